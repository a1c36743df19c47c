"""Files written so that they are whole or not there, and what a full disk says. No Arrow: a scan starts without it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

import orjson

from filters.errors import OutputError
from pipelines.places import Place, Remote
from pipelines.spool import spool_file, sweep_spools

UNFINISHED = "_tmp"  # folders of files that are being written
_HALF = re.compile(r"\..+\.[0-9a-f]{32}")  # names of small files that are being written


class writing:  # noqa: N801 - reads as a statement
    """Maps what the system says of a place that cannot be written to one line for the user."""

    _HINTS = {  # noqa: RUF012 - constant
        errno.ENOSPC: "no space left on the disk; make room and run it again: it goes on where it stopped",
        errno.EDQUOT: "disk quota exceeded; make room and run the same command again",
        errno.EROFS: "the file system is read-only; choose another folder with --out",
        errno.EACCES: "permission denied; choose a folder that you may write with --out",
        errno.EEXIST: "a file stands where a folder is needed; choose another with --out",
        errno.ENOTDIR: "a file stands where a folder is needed; choose another with --out",
    }

    def __init__(self, root: Place) -> None:
        self.root = root

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in self._HINTS:
            msg = f"{self.root}: cannot write: {self._HINTS[error.errno]}"
            raise OutputError(msg) from error


def unfinished_file(root: Place, name: str) -> Path:
    """Where a file of a folder is written before it is committed."""
    if isinstance(root, Remote):
        return spool_file(name)
    tmp = root / UNFINISHED / f"{name}.{uuid.uuid4().hex}"
    tmp.parent.mkdir(parents=True, exist_ok=True)
    return tmp


def commit_file(tmp: Path, target: Place) -> None:
    """Gives a finished file its name: by a rename, where both it and the folder's entry are on disk afterwards.

    In an object store it is written under that name, where it is not to be seen before it is whole.
    """
    if isinstance(target, Remote):
        target.upload(tmp)
        tmp.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tmp.open("rb") as file:
        os.fsync(file.fileno())
    tmp.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_bytes(path: Place, data: bytes) -> None:
    """Writes a small file atomically."""
    if isinstance(path, Remote):
        path.write_bytes(data)
        return
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            tmp.write_bytes(data)
            commit_file(tmp, path)
        except OSError:
            tmp.unlink(missing_ok=True)
            raise


def write_json(path: Place, value: Any) -> None:
    """Writes JSON with sorted keys, atomically."""
    write_bytes(path, orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n")


def sweep(root: Place) -> None:
    """Deletes what killed writers left below a folder that no other run is using, or on this machine before upload."""
    if isinstance(root, Remote):
        sweep_spools()
        return
    for folder, below, names in os.walk(root):
        if UNFINISHED in below:
            below.remove(UNFINISHED)
            shutil.rmtree(Path(folder, UNFINISHED), ignore_errors=True)
        for name in filter(_HALF.fullmatch, names):
            Path(folder, name).unlink(missing_ok=True)


def encodable(value: Any) -> Any:
    """The value, lone surrogates in it replaced if it is a string: neither Parquet nor JSON can hold them."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "replace").decode()
    return value

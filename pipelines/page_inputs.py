"""What `mathcorpus extract` reads: files of pages behind files, folders, globs, standard input, URLs and datasets.

The kind of a file is told by its name, or by its first bytes where a file was named itself or comes from a pipe. What
is no file of this machine is copied to one first, so that it can be read in pieces and again.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple
from urllib.parse import urlsplit

import orjson

from filters.errors import InputError
from filters.html import looks_like_html
from pipelines.inputs import SUFFIXES, check_parquet, find_files
from pipelines.row_find import find_rows, open_file
from pipelines.streams import BrokenStreamError, lines, open_chunks

ROWS = ("jsonl", "parquet")
KINDS = ("wet", "warc", "html", *ROWS)
_MAGIC = ((b"\x1f\x8b", ".gz"), (b"\x28\xb5\x2f\xfd", ".zst"))
_COPY = 1 << 20
_FIRST_ROW = 1 << 26  # bytes of the longest first row that is looked at


class PageFile(NamedTuple):
    """A file of pages. `name` is its path below what the caller gave, with forward slashes."""

    kind: str
    name: str
    path: Path


def find_pages(inputs: Sequence[str], field: str, spool: Path) -> tuple[list[PageFile], list[str]]:
    """(files by kind and name, names in the folders that are of no kind or hold rows without the field).

    spool : folder for what is no file. Raises InputError where an input holds nothing to read, or is of no kind.
    """
    found: dict[tuple[str, str], PageFile] = {}
    unread: list[str] = []
    for given in inputs:
        files, others = _readable(given, field, spool)
        unread += others
        for file in files:
            other = found.setdefault((file.kind, file.name), file)
            if other.path.absolute() != file.path.absolute():
                msg = f"input: {other.path} and {file.path} are both called {file.name!r}; give the folder above both"
                raise InputError(msg)
    return sorted(found.values()), sorted(unread)


def _readable(given: str, field: str, spool: Path) -> tuple[list[PageFile], list[str]]:
    """(files, names of others) behind one input."""
    found: list[PageFile] = []
    others: list[str] = []
    problem = f"input: {given}: holds no pages; expected files that end in {', '.join(_endings())}"
    for name, path, named in _files(given, spool):
        kind = kind_of(name)
        if kind is None and not named:
            others.append(name)
            continue
        file = PageFile(kind, name, path) if kind else _sniffed(name, path, spool)
        try:
            _check_rows(file, field)
        except InputError as error:
            if named:
                raise
            others.append(name)
            problem = str(error)
        else:
            found.append(file)
    if not found:
        raise InputError(problem)
    return found, others


def _check_rows(file: PageFile, field: str) -> None:
    """Raises InputError for a file of rows without the field. Rows of JSON may differ: there the first one tells."""
    what = f"input: {file.name}"
    if file.kind == "parquet":
        check_parquet(file.path, field, what, "--field")
    elif file.kind == "jsonl":
        first = next((line.data for line in lines(open_chunks(file.path), _FIRST_ROW)), None)
        try:
            row = orjson.loads(first) if first else None
        except orjson.JSONDecodeError:
            return  # the reader counts it
        if isinstance(row, dict) and field not in row:
            msg = f"{what}: has no field {field!r}; it has {', '.join(row)}; name one with --field"
            raise InputError(msg)


def kind_of(name: str) -> str | None:
    """The kind of a file by its name, if that tells."""
    return next((kind for kind in KINDS if name.lower().endswith(SUFFIXES[kind])), None)


def _endings() -> Iterator[str]:
    for kind in KINDS:
        yield from (ending for ending in SUFFIXES[kind] if ending.count(".") == 1)


def _files(given: str, spool: Path) -> Iterator[tuple[str, Path, bool]]:
    """(name, path, whether the caller named it) of each file behind an input."""
    if given == "-":
        yield "stdin", _copied(sys.stdin.buffer, spool / "stdin"), True
    elif "://" in given and kind_of(urlsplit(given).path) not in (None, *ROWS):
        name = PurePosixPath(urlsplit(given).path).name
        with open_file(given) as remote:
            yield name, _copied(remote, spool / name), True
    elif "://" in given or (os.path.isdir(given) and _is_saved_dataset(Path(given))):
        for row_file in find_rows([given], spool):
            path = Path(row_file.path)
            if row_file.is_remote:
                with open_file(row_file.path) as remote:
                    path = _copied(remote, spool / row_file.name)
            yield row_file.name, path, True
    else:
        folder = os.path.isdir(given)
        if folder and not any(names for _, _, names in os.walk(given)):
            return  # the caller says what was expected
        yield from ((name, path, not folder) for name, path in find_files([given], ("",), "input"))


def _is_saved_dataset(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _copied(source: BinaryIO, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file, _COPY)
    return path


def _sniffed(name: str, path: Path, spool: Path) -> PageFile:
    """The file with a kind by its first bytes; under a name that tells it, since readers go by names."""
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        msg = f"input: {name}: is empty"
        raise InputError(msg)
    packed = next((ending for mark, ending in _MAGIC if magic.startswith(mark)), "")
    link = spool / f"{name}{packed}"
    kind = "parquet" if magic == b"PAR1" else None
    if kind is None:
        _link(path, link)
        kind = _kind_by_content(link)
    if kind is None:
        msg = f"input: {name}: neither WARC, WET, HTML, JSON lines nor Parquet; give it a name with the right ending"
        raise InputError(msg)
    ending = f".{kind}{packed}"
    target = spool / f"{name}{ending}"
    _link(path, target)
    return PageFile(kind, name, target)


def _link(path: Path, link: Path) -> None:
    if link != path:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())


def _kind_by_content(path: Path) -> str | None:
    try:
        head = b"".join(islice(open_chunks(path), 16))
    except BrokenStreamError:
        return None
    if head.startswith(b"WARC/"):
        return "wet" if b"WARC-Type: conversion" in head else "warc"
    if head.lstrip().startswith(b"{"):
        return "jsonl"
    return "html" if looks_like_html(head) else None

"""A file that is there whole or not at all, whoever kills the process that writes it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import zstandard

from filters.errors import OutputError

LEVEL = 3  # of zstd


@contextmanager
def whole(path: Path, level: int = LEVEL) -> Iterator[BinaryIO]:
    """A file to write, which has its name when the block has ended well; compressed unless the level is 0.

    OutputError where it cannot be written.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # as `pipelines.files.sweep` knows halves of killed runs
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as raw:
            if level:
                with zstandard.ZstdCompressor(level).stream_writer(raw, closefd=False) as packed:
                    yield packed
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        msg = f"{path}: {error.strerror or error}; make room for it, or name another place"
        raise OutputError(msg) from error
    finally:
        if part.exists():
            part.unlink()


def _sync_folder(folder: Path) -> None:
    """So that the new name is on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Files of rows written again without some rows: name, format, compression, fields, order and types stay.

Lines of JSONL that nothing is decided about are written as the bytes that they were; Parquet see `row_parquet_writers`.
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import zstandard

from filters.errors import InputError
from pipelines.row_blocks import blocks
from pipelines.row_fields import cut_line, tag_line
from pipelines.row_find import RowFile, open_file

GZIP_LEVEL, ZSTD_LEVEL = 6, 3  # the usual ones; the level of an input is written nowhere


class Decision(NamedTuple):
    """What happens to a row."""

    row: int
    drop: bool
    cuts: dict[str, list[list[int]]]  # spans to remove, by the place of the text
    tag: str | None  # value of the field `contamination`


class Written(NamedTuple):
    """Rows that went each way."""

    clean: int
    removed: int


def copy_rows(file: RowFile, clean: Path) -> None:
    """Copies a file that nothing is decided about."""
    clean.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_remote:
        shutil.copyfile(file.path, clean)
    else:
        with open_file(file.path) as source, clean.open("wb") as copied:
            shutil.copyfileobj(source, copied)
    with clean.open("rb") as copied:
        os.fsync(copied.fileno())


def rewrite(file: RowFile, decisions: Iterable[Decision], out: Path, *, tagged: bool) -> Written:
    """Writes `clean/NAME` and, if any row goes, `removed/NAME` below `out`.

    decisions : in ascending order of row
    tagged : whether Parquet files get the column `contamination`
    """
    pending = Pending(iter(decisions))
    if file.is_parquet:
        from pipelines.row_parquet_writers import rewrite_parquet  # Arrow takes a while to import

        written = rewrite_parquet(file, pending, out, tagged=tagged)
    else:
        written = _rewrite_jsonl(file, pending, out)
    if pending.next is not None:
        msg = f"{file.path}: changed while it was read: its row {pending.next.row} is gone; run it again"
        raise InputError(msg)
    return written


class Pending:
    """Decisions still to come, in ascending order of row."""

    def __init__(self, decisions: Iterator[Decision]) -> None:
        self._rest = decisions
        self.next = next(decisions, None)

    def before(self, end: int) -> dict[int, Decision]:
        """Those of the rows before row `end`, by row."""
        taken = {}
        while self.next is not None and self.next.row < end:
            taken[self.next.row] = self.next
            self.next = next(self._rest, None)
        return taken


# --- JSONL ------------------------------------------------------------------------------------------------------------


def _rewrite_jsonl(file: RowFile, pending: Pending, out: Path) -> Written:
    kept = gone = number = 0
    with ExitStack() as stack:
        clean = stack.enter_context(_Lines(out / "clean" / file.name))
        removed: _Lines | None = None
        for block in blocks(file):
            data = block.data
            first, number = number, number + data.count(b"\n")
            decided = {} if block.problem else pending.before(number + (not data.endswith(b"\n")))
            if not decided:
                clean.write(data)
                kept += not block.continues if block.problem else _rows(data)
                continue
            for row, line in enumerate(_whole_lines(data), first):
                decision = decided.get(row)
                if decision is None or not decision.drop:
                    clean.write(_edited_line(line, decision) if decision else line)
                    kept += not line.isspace()
                else:
                    removed = removed or stack.enter_context(_Lines(out / "removed" / file.name))
                    removed.write(line)
                    gone += 1
    return Written(kept, gone)


def _rows(data: bytes) -> int:
    return sum(1 for line in data.split(b"\n") if line and not line.isspace())


def _whole_lines(data: bytes) -> list[bytes]:
    """Lines with their ends; not `splitlines`, which also ends a line at a carriage return."""
    *lines, last = data.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _edited_line(line: bytes, decision: Decision) -> bytes:
    if decision.cuts:
        line = cut_line(line, decision.cuts)
    return tag_line(line, decision.tag) if decision.tag else line


class _Lines:
    """A file of lines, compressed as its name says; the same lines give the same bytes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._writer: IO[bytes] | Any = self._file
        if path.name.endswith(".gz"):
            self._writer = gzip.GzipFile("", "wb", GZIP_LEVEL, self._file, mtime=0)
        elif path.name.endswith(".zst"):
            compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
            self._writer = compressor.stream_writer(self._file, closefd=False)
        self.write = self._writer.write

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not self._file:
            self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

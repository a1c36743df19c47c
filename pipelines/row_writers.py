"""Files of rows written again without some rows: name, format, compression, fields, order and types stay.

Lines of JSONL that nothing is decided about are written as the bytes that they were. Parquet keeps its schema, its row
groups (less the removed rows), the codec of each column, and its metadata.
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from filters.errors import InputError
from pipelines.row_fields import CONTAMINATION, cut_line, put_at, tag_line, top, value_at, without
from pipelines.row_files import Block, RowFile, blocks, open_parquet, unreadable

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
    shutil.copyfile(file.path, clean)
    with clean.open("rb") as copied:
        os.fsync(copied.fileno())


def rewrite(file: RowFile, decisions: Iterable[Decision], out: Path, *, tagged: bool) -> Written:
    """Writes `clean/NAME` and, if any row goes, `removed/NAME` below `out`.

    decisions : in ascending order of row
    tagged : whether Parquet files get the column `contamination`
    """
    pending = _Pending(iter(decisions))
    written = _rewrite_parquet(file, pending, out, tagged) if file.is_parquet else _rewrite_jsonl(file, pending, out)
    if pending.next is not None:
        msg = f"{file.path}: changed while it was read: its row {pending.next.row} is gone; run it again"
        raise InputError(msg)
    return written


class _Pending:
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


def _rewrite_jsonl(file: RowFile, pending: _Pending, out: Path) -> Written:
    kept = gone = 0
    with ExitStack() as stack:
        clean = stack.enter_context(_Lines(out / "clean" / file.name))
        removed: _Lines | None = None
        for block in blocks(Path(file.path)):
            lines = block.data.count(b"\n") + (not block.data.endswith(b"\n"))
            decided = {} if block.problem else pending.before(block.first + lines)
            if not decided:
                clean.write(block.data)
                kept += _rows(block)
                continue
            for number, line in enumerate(_whole_lines(block.data), block.first):
                decision = decided.get(number)
                if decision is None or not decision.drop:
                    clean.write(_edited_line(line, decision) if decision else line)
                    kept += not line.isspace()
                else:
                    removed = removed or stack.enter_context(_Lines(out / "removed" / file.name))
                    removed.write(line)
                    gone += 1
    return Written(kept, gone)


def _rows(block: Block) -> int:
    if block.problem:
        return int(not block.continues)
    lines = block.data.split(b"\n")
    return sum(1 for line in lines if line and not line.isspace())


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


# --- Parquet ----------------------------------------------------------------------------------------------------------


def _rewrite_parquet(file: RowFile, pending: _Pending, out: Path, tagged: bool) -> Written:
    kept = gone = number = 0
    with ExitStack() as stack:
        source = stack.enter_context(open_parquet(file))
        schema = source.schema_arrow
        if tagged and CONTAMINATION in schema.names:
            msg = f"{file.path}: has a column {CONTAMINATION!r} already, which the action tag would write; rename it"
            raise InputError(msg)
        clean_schema = schema.append(pa.field(CONTAMINATION, pa.string())) if tagged else schema
        clean = stack.enter_context(_Table(out / "clean" / file.name, clean_schema, source))
        removed: _Table | None = None
        for group in range(source.metadata.num_row_groups):
            try:
                table = source.read_row_group(group)
            except (OSError, pa.ArrowException) as error:
                raise unreadable(file, error) from error
            decided = {row - number: d for row, d in pending.before(number + len(table)).items()}
            number += len(table)
            dropped = [row for row, d in decided.items() if d.drop]
            if dropped:
                removed = removed or stack.enter_context(_Table(out / "removed" / file.name, schema, source))
                removed.write(table.take(dropped))
            edited = _edited_table(table, decided, tagged)
            stays = [True] * len(table)
            for row in dropped:
                stays[row] = False
            clean.write(edited.filter(pa.array(stays, pa.bool_())) if dropped else edited)
            kept, gone = kept + len(table) - len(dropped), gone + len(dropped)
    return Written(kept, gone)


def _edited_table(table: pa.Table, decided: dict[int, Decision], tagged: bool) -> pa.Table:
    for row, decision in decided.items():
        for place, spans in decision.cuts.items() if not decision.drop else ():
            table = _cut_cell(table, row, place, spans)
    if tagged:
        tags = [None] * len(table)
        column: list[str | None] = [*tags]
        for row, decision in decided.items():
            column[row] = decision.tag
        table = table.append_column(CONTAMINATION, pa.array(column, pa.string()))
    return table


def _cut_cell(table: pa.Table, row: int, place: str, spans: list[list[int]]) -> pa.Table:
    name = place if place in table.schema.names else top(place)
    number = table.schema.names.index(name)
    column = table.column(number)
    cell = {name: column[row].as_py()}
    text = value_at(cell, place)
    if isinstance(text, bytes):
        changed: Any = without(text.decode("utf-8", "surrogateescape"), spans).encode("utf-8", "surrogateescape")
    else:
        changed = without(text, spans)
    put_at(cell, place, changed)
    new = pa.array([cell[name]], column.type)
    chunks = [*column.slice(0, row).chunks, new, *column.slice(row + 1).chunks]
    return table.set_column(number, table.schema.field(number), pa.chunked_array(chunks, column.type))


class _Table:
    """A Parquet file written as the one that it comes from was."""

    def __init__(self, path: Path, schema: pa.Schema, source: pq.ParquetFile) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._writer = pq.ParquetWriter(path, schema, **_settings(source))

    def write(self, table: pa.Table) -> None:
        """Adds a row group, unless it is empty."""
        if len(table):
            self._writer.write_table(table, row_group_size=len(table))

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        with self._path.open("rb") as written:
            os.fsync(written.fileno())


def _settings(source: pq.ParquetFile) -> dict[str, Any]:
    """How a file was written, as far as its footer tells."""
    meta = source.metadata
    if not meta.num_row_groups:
        return {}
    columns = [meta.row_group(0).column(i) for i in range(meta.num_columns)]
    codecs = {c.path_in_schema: c.compression for c in columns}
    return {
        "compression": {path: "NONE" if codec == "UNCOMPRESSED" else codec for path, codec in codecs.items()},
        "use_dictionary": [c.path_in_schema for c in columns if c.dictionary_page_offset is not None] or False,
        "use_deprecated_int96_timestamps": any(c.physical_type == "INT96" for c in columns),
        "store_schema": b"ARROW:schema" in (meta.metadata or {}),
        "version": meta.format_version,
        "use_compliant_nested_type": False,  # or elements of lists are all called "element"
    }

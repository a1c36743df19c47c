"""Parquet files written again without some rows.

Schema, row groups (less the removed rows), the codec of each column and the metadata stay. A row group is held whole to
be written, so one of more than GROUP_BYTES comes out as several: some writers put a whole file into one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.errors import InputError
from pipelines.row_fields import CONTAMINATION, put_at, top, value_at, without
from pipelines.row_find import RowFile
from pipelines.row_parquet import open_parquet, unreadable
from pipelines.row_writers import Decision, Pending, Written

GROUP_BYTES = 1 << 25  # of a row group that is written as one, as its columns are encoded


def rewrite_parquet(file: RowFile, pending: Pending, out: Path, *, tagged: bool) -> Written:
    """What `rewrite` does, of a Parquet file."""
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
        for table in _tables(file, source):
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


def _tables(file: RowFile, source: pq.ParquetFile) -> Iterator[pa.Table]:
    """The row groups of a file, large ones in parts."""
    try:
        for number in range(source.metadata.num_row_groups):
            group = source.metadata.row_group(number)
            if group.total_byte_size <= GROUP_BYTES:
                yield source.read_row_group(number)
                continue
            rows = max(1, GROUP_BYTES * group.num_rows // group.total_byte_size)
            yield from (pa.Table.from_batches([batch]) for batch in source.iter_batches(rows, [number]))
    except (OSError, pa.ArrowException) as error:
        raise unreadable(file, error) from error


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

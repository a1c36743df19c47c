"""Rows of a Parquet file in which a single cell may be larger than memory should be.

Arrow reads whole pages, and holds a cell three times while it does. A cell that is certainly too large is not turned
into a Python string; one that is a row group by itself is not read at all: the size of its chunk tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

UNREAD: Final = object()  # stands in a row for a cell that is too large
_UTF8_BYTES = 4  # of a character at most: limits are in characters of a string
_MARGIN = 1 << 16  # bytes of headers and statistics in the chunk of one cell


def cell_rows(parquet: pq.ParquetFile, group: int, together: int, column: str, limit: int) -> Iterator[dict[str, Any]]:
    """The rows of a row group, so many read together; UNREAD where a cell has more than `limit` characters for sure."""
    limit *= _UTF8_BYTES
    if parquet.metadata.row_group(group).num_rows == 1 and _chunk_bytes(parquet, group, column) > limit + _MARGIN:
        others = [name for name in parquet.schema_arrow.names if name != column]
        table = parquet.read_row_group(group, columns=others)
        yield {**(table.to_pylist()[0] if others else {}), column: UNREAD}
        return
    for batch in parquet.iter_batches(batch_size=together, row_groups=[group]):
        small, giants = _without_giants(batch, column, limit)
        for number, row in enumerate(small.to_pylist()):
            yield {**row, column: UNREAD} if number in giants else row


def _chunk_bytes(parquet: pq.ParquetFile, group: int, column: str) -> int:
    """Bytes of a row group's values of a column, before compression; 0 where there is no such column."""
    about = parquet.metadata.row_group(group)
    chunks = (about.column(i) for i in range(about.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == column)


def _without_giants(batch: pa.RecordBatch, column: str, limit: int) -> tuple[pa.RecordBatch, set[int]]:
    """The batch with nulls for cells of more than `limit` bytes, and the rows of these."""
    at = batch.schema.get_field_index(column)
    if at < 0 or batch.nbytes <= limit or not _has_bytes(batch.schema.field(at).type):
        return batch, set()
    cells = batch.column(at)
    giant = pc.fill_null(pc.greater(pc.binary_length(cells), limit), False)
    rows = set(pc.indices_nonzero(giant).to_pylist())
    if not rows:
        return batch, rows
    values = [None if number in rows else cells[number] for number in range(len(cells))]  # kernels would copy giants
    return batch.set_column(at, column, pa.array(values, cells.type)), rows


def _has_bytes(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )

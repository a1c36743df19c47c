"""Parquet files and Arrow batches as texts: columns of strings are read in place, lists of messages by their offsets.

What no buffer holds as it is wanted (a message whose content is a list of parts, a null inside a struct, a string that
is not UTF-8) is read row by row. The id column is read only up to the last row that anything was found in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.byte_masks import are_utf8
from filters.errors import InputError
from filters.text import Batch, from_arrow
from filters.words import read_only
from pipelines.row_fields import Fields, steps, top
from pipelines.row_find import RowFile, open_file
from pipelines.row_texts import I64, Singles, TextBatch, batch_of, joined

PART_BYTES = 1 << 26  # of Parquet in one unit of work
BATCH_BYTES = 1 << 20  # of text read at a time; see row_blocks.BLOCK_BYTES
_MAX_ROWS = 1 << 13  # of a batch: rows without text are cheap, but not free
_RELEASED_BYTES = 1 << 24  # of text, behind which Arrow gives back what it keeps: a dictionary, buffers that were grown
_BUFFER_BYTES = 1 << 18  # of a column chunk held at a time, which is as large as its row group otherwise


@contextmanager
def open_parquet(file: RowFile) -> Iterator[pq.ParquetFile]:
    """A Parquet file; InputError where it cannot be opened."""
    with ExitStack() as stack:
        try:
            source = stack.enter_context(open_file(file.path)) if file.is_remote else file.path
            opened = pq.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(file, error) from error
        yield stack.enter_context(opened)


def unreadable(file: RowFile, error: BaseException) -> InputError:
    """What to say of a file that Arrow cannot read."""
    return InputError(f"{file.path}: cannot be read as Parquet ({str(error).splitlines()[0]})")


def row_groups(file: RowFile, fields: Fields) -> list[tuple[int, ...]]:
    """The row groups of a file in units of work; InputError where it cannot be read or lacks every field."""
    with open_parquet(file) as parquet:
        _columns(file, parquet.schema_arrow, fields)
        units, groups, size = [], list[int](), 0
        for number in range(parquet.metadata.num_row_groups):
            group = parquet.metadata.row_group(number)
            if groups and size + group.total_byte_size > PART_BYTES:
                units.append(tuple(groups))
                groups, size = [], 0
            groups.append(number)
            size += group.total_byte_size
    return [*units, tuple(groups)]


def _columns(file: RowFile, schema: pa.Schema, fields: Fields) -> list[str]:
    names = dict.fromkeys(schema.names)
    columns = [name if name in names else top(name) for name in fields.of(names)]
    found = list(dict.fromkeys(c for c in columns if c in names))
    if not found:
        msg = f"{file.path}: has no column {columns[0]!r}; it has {', '.join(names)}; name one with --field"
        raise InputError(msg)
    return found


def read_parquet(file: RowFile, groups: Sequence[int], fields: Fields, id_field: str) -> Iterator[TextBatch]:
    """The texts of row groups; rows are counted from the first of them."""
    with open_parquet(file) as parquet:
        columns = _columns(file, parquet.schema_arrow, fields)
        ids = _Ids(file, groups, id_field)
        first = read = 0
        try:
            for number in groups:
                group = parquet.metadata.row_group(number)
                for batch in parquet.iter_batches(_batch_rows(group, columns), [number], columns, use_threads=False):
                    for piece in _pieces(batch):
                        yield arrow_texts(piece, first, fields, ids.of)
                        first += piece.num_rows
                    read += batch.nbytes
                    if read > _RELEASED_BYTES:
                        pa.default_memory_pool().release_unused()
                        read = 0
        except (OSError, pa.ArrowException) as error:
            raise unreadable(file, error) from error


def _batch_rows(group: Any, columns: Sequence[str]) -> int:
    """Rows of a row group that hold about BATCH_BYTES of these columns."""
    parts = [group.column(i) for i in range(group.num_columns)]
    size: int = sum(
        c.total_uncompressed_size for c in parts if {c.path_in_schema, top(c.path_in_schema)} & set(columns)
    )
    rows: int = BATCH_BYTES * group.num_rows // max(1, size)
    return max(1, min(_MAX_ROWS, rows))


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch, halved until no piece is much larger than asked for; rows were counted by their average."""
    if batch.num_rows < 2 or batch.nbytes < 2 * BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


class _Ids:
    """The values of the id column, asked for in ascending order of row; the file is opened when the first is."""

    def __init__(self, file: RowFile, groups: Sequence[int], id_field: str) -> None:
        self._batches = self._read(file, list(groups), id_field)
        self._first, self._held = 0, pa.nulls(0)

    @staticmethod
    def _read(file: RowFile, groups: list[int], id_field: str) -> Iterator[pa.Array]:
        with open_parquet(file) as parquet:  # of its own: a file has one size of batches, for all that read from it
            if id_field not in parquet.schema_arrow.names:
                yield pa.nulls(sum(parquet.metadata.row_group(group).num_rows for group in groups))
                return
            for batch in parquet.iter_batches(_MAX_ROWS, groups, [id_field], use_threads=False):
                yield batch.column(0)

    def of(self, number: int) -> Any:
        """The id of a row; None where there is no such column."""
        while number >= self._first + len(self._held):
            self._first += len(self._held)
            self._held = next(self._batches)
        return _value(self._held.slice(number - self._first, 1))


# --- a batch ----------------------------------------------------------------------------------------------------------


def arrow_texts(batch: pa.RecordBatch, first: int, fields: Fields, identify: Callable[[int], Any]) -> TextBatch:
    """The texts of the rows of a record batch, the first of which has the number `first`.

    identify : the id of a row, by its number.
    """
    names = fields.of(dict.fromkeys(batch.schema.names))
    columns = [column for column in (_Column.of(batch, name) for name in names) if column]
    if len(columns) < len(names):
        return _row_by_row(batch, first, fields, identify)
    nulls = [(first + row, f"null:{n}") for n, c in zip(names, columns, strict=True) for row in c.nulls]
    numbers = np.concatenate([column.rows + first for column in columns])
    return TextBatch(
        rows=batch.num_rows,
        numbered=batch.num_rows,
        batch=joined([column.texts for column in columns]),
        numbers=numbers,
        paths=np.repeat(np.arange(len(columns)), [len(column.rows) for column in columns]),
        elements=np.concatenate([column.elements for column in columns]),
        fields=names,
        problems=sorted(nulls, key=itemgetter(0)),
        keys=batch.schema.names if nulls else (),
        identify=lambda text: identify(int(numbers[text])),
    )


def _row_by_row(batch: pa.RecordBatch, first: int, fields: Fields, identify: Callable[[int], Any]) -> TextBatch:
    singles = Singles()
    for number, row in enumerate(value_lists(batch), first):
        singles.add(number, dict(zip(batch.schema.names, row, strict=True)), fields)
    return replace(batch_of(singles, batch.num_rows), identify=lambda text: identify(int(singles.texts[text].number)))


class _Column(NamedTuple):
    """The texts at a path of all rows: the row and element of each, and the rows without one."""

    texts: Batch
    rows: I64
    elements: I64
    nulls: list[int]

    @classmethod
    def of(cls, batch: pa.RecordBatch, name: str) -> _Column | None:
        """What stands at a path of a batch; None where it has to be read row by row."""
        path = (name,) if name in batch.schema.names else steps(name)
        if path[0] not in batch.schema.names:
            return None
        column = batch.column(batch.schema.names.index(path[0]))
        rows, elements, nulls = np.arange(len(column)), np.full(len(column), -1), list[int]()
        for step in path[1:]:
            if isinstance(step, str) and pa.types.is_struct(column.type) and column.type.get_field_index(step) >= 0:
                column = column.flatten()[column.type.get_field_index(step)]  # `field` forgets the nulls of the structs
            elif step is None and _is_list(column.type) and not column.null_count and elements.max(initial=-1) < 0:
                offsets = column.offsets.to_numpy().astype(np.int64)
                lengths = np.diff(offsets)
                rows = np.repeat(rows, lengths)
                elements = np.arange(len(rows)) - np.repeat(offsets[:-1] - offsets[0], lengths)
                column = column.values.slice(offsets[0], len(rows))
            else:
                return None
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not _is_text(column.type) or (column.null_count and len(path) > 1 and None not in path):
            return None
        if column.null_count:
            held = column.is_valid().to_numpy(zero_copy_only=False)
            nulls = np.flatnonzero(~held).tolist() if len(path) == 1 else []
            column, rows, elements = column.drop_null(), rows[held], elements[held]
        texts = from_arrow(column)
        return cls(texts, rows, elements, nulls) if are_utf8(read_only(texts.data), texts.offsets) else None


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def value_lists(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """The rows of a batch as Python values."""
    return zip(*(_values(batch.column(i)) for i in range(batch.num_columns)), strict=True)


def _values(column: pa.Array) -> list[Any]:
    """The column as Python values; where a string is not UTF-8, lone surrogates stand for its bytes."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [_value(column.slice(i, 1)) for i in range(len(column))]


def _value(one: pa.Array) -> Any:
    try:
        return one.to_pylist()[0]
    except UnicodeDecodeError:
        if pa.types.is_string(one.type) or pa.types.is_large_string(one.type):
            raw: bytes = one.cast(pa.large_binary()).to_pylist()[0]
            return raw.decode("utf-8", "surrogateescape")
        return 0  # inside a struct or a list: reported as no text

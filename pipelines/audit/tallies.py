"""What the audit keeps while it streams over a dataset: counts, first rows, histograms, places of rows.

Each takes tables as `Dataset.tables` gives them and holds only its own answer, so that memory follows the number of
groups and not the number of documents. Nothing depends on how the rows are cut into tables or shards.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.dataset import Dataset, in_parts

_MERGE_PARTS = 64  # partial counts that wait before they become one table
_SCORE_DECIMALS = 6  # scores are float32: 0.35 is stored as 0.34999999 and belongs to the bin from 0.35
BINS = 20


class Tally:
    """Number of documents, and sums of columns, for each value of some columns."""

    def __init__(self, by: Sequence[str], sums: Sequence[str] = ()) -> None:
        self.by, self.sums = list(by), list(sums)
        self._parts: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        """Counts the rows of a table."""
        self._group(table, [([], "count_all"), *((c, "sum") for c in self.sums)])
        if len(self._parts) >= _MERGE_PARTS:
            self._merge()

    def _merge(self) -> None:
        whole = pa.concat_tables(self._parts)
        self._parts = []
        self._group(whole, [(c, "sum") for c in ("documents", *self.sums)])

    def _group(self, table: pa.Table, aggregates: list[tuple[Any, str]]) -> None:
        grouped = table.group_by(self.by, use_threads=False).aggregate(aggregates)
        columns = [*self.by, *("_".join([c, f] if c else [f]) for c, f in aggregates)]
        self._parts.append(grouped.select(columns).rename_columns([*self.by, "documents", *self.sums]))

    def table(self) -> pa.Table | None:
        """The counts, most documents first, then by the values; None where no table came."""
        if not self._parts:
            return None
        self._merge()
        order = [("documents", "descending"), *((c, "ascending") for c in self.by)]
        return self._parts[0].sort_by(order)

    def rows(self) -> list[dict[str, Any]]:
        """The counts as dicts, most documents first; a sum over nothing but nulls is None."""
        table = self.table()
        return [] if table is None else list(table.to_pylist())


class Smallest:
    """The first rows of each group by some columns (ids), with their numbers in the dataset as `row`."""

    def __init__(self, by: Sequence[str], count: int, order: Sequence[str] = ("id", "origin")) -> None:
        self.by, self.count = list(by), count
        self._order = [(c, "ascending") for c in (*by, *order)]
        self._found: pa.Table | None = None

    def add(self, table: pa.Table, first_row: int) -> None:
        """Considers the rows of a table, whose first is number `first_row` of its dataset."""
        if "row" not in table.column_names:
            table = table.append_column("row", pa.array(np.arange(first_row, first_row + table.num_rows)))
        both = table if self._found is None else pa.concat_tables([self._found, table])
        both = both.sort_by(self._order).combine_chunks()
        self._found = both.filter(pa.array(_ranks(both, self.by) < self.count))

    def rows(self) -> list[dict[str, Any]]:
        """The rows, by group and then in order."""
        return [] if self._found is None else list(self._found.to_pylist())


def _ranks(table: pa.Table, by: Sequence[str]) -> npt.NDArray[np.int64]:
    """The place of each row in its group; rows of a group are neighbours."""
    numbers = np.arange(table.num_rows)
    starts = numbers == 0
    for column in by:
        codes = pa.chunked_array(table[column]).combine_chunks().dictionary_encode("encode").indices.to_numpy()
        starts[1:] |= codes[1:] != codes[:-1]
    return np.asarray(numbers - np.maximum.accumulate(np.where(starts, numbers, 0)))


class Histogram:
    """Counts of a column's values in bins; those outside fall into the first or last bin, nulls into none."""

    def __init__(self, edges: npt.NDArray[np.float64]) -> None:
        self.edges, self.counts = edges, np.zeros(len(edges) - 1, np.int64)

    def add(self, column: pa.ChunkedArray) -> None:
        """Counts the values of a column."""
        self.counts += np.histogram(bounded(column.drop_null(), self.edges), self.edges)[0]


def bounded(column: pa.ChunkedArray, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values of a column without nulls, not-a-numbers left out, moved to the nearest edge where outside."""
    values = np.round(column.to_numpy().astype(np.float64), _SCORE_DECIMALS)
    return np.asarray(np.clip(values[~np.isnan(values)], edges[0], edges[-1]))


def share_edges() -> npt.NDArray[np.float64]:
    """Edges of equal bins over 0 to 1; k / 20 and not linspace, whose 0.35 is above 0.35."""
    return np.arange(BINS + 1) / BINS


def doubling_edges() -> npt.NDArray[np.float64]:
    """Edges of bins that double, from 1 to 2**20."""
    return np.exp2(np.arange(BINS + 1, dtype=np.float64))


class Places:
    """Where the rows are that hold one of some values in the first of `columns`; as dicts, with their numbers."""

    def __init__(self, values: Collection[str], columns: Sequence[str]) -> None:
        self._values, self._columns = pa.array(sorted(values), pa.string()), list(columns)
        self.rows: list[dict[str, Any]] = []

    def add(self, table: pa.Table, first_row: int) -> None:
        """Notes those rows of a table, whose first is number `first_row` of its dataset."""
        found = np.flatnonzero(pc.is_in(table[self._columns[0]], value_set=self._values).to_numpy())
        if len(found):
            rows = table.select(self._columns).take(found).to_pylist()
            self.rows += [{**row, "row": first_row + int(n)} for row, n in zip(rows, found, strict=True)]


def fetch(dataset: Dataset, rows: Collection[int], columns: list[str], chars: int = 0) -> dict[int, dict[str, Any]]:
    """The rows of these numbers; reads the row groups that hold them, and of a text its first `chars` characters.

    The files are those that `Dataset.tables` has checked before.
    """
    wanted, found, first = sorted(set(rows)), {}, 0
    for shard in dataset.shards:
        inside = wanted[bisect_left(wanted, first) : bisect_left(wanted, first + shard.rows)]
        if inside:
            with pq.ParquetFile(in_parts(dataset.root / shard.path)) as file:
                found.update(_from_groups(file, inside, first, (columns, chars)))
        first += shard.rows
    return found


def _from_groups(
    file: pq.ParquetFile, inside: list[int], first: int, what: tuple[list[str], int]
) -> dict[int, dict[str, Any]]:
    columns, chars = what
    found: dict[int, dict[str, Any]] = {}
    for group in range(file.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        here = inside[bisect_left(inside, first) : bisect_left(inside, end)]
        if here:
            table = file.read_row_group(group, columns).take([r - first for r in here])
            if "text" in columns:
                text = pc.utf8_slice_codeunits(table["text"], 0, chars)
                table = table.set_column(table.column_names.index("text"), "text", text)
            found.update(zip(here, table.to_pylist(), strict=True))
        first = end
    return found

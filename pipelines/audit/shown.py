"""The documents behind the figures: of each group that the report counts, the first by id.

Ids are digests, so the first are as good as chance, and the same whatever the order of the rows. They are sought once
the report knows which groups it shows: a crawl has millions of hosts, and a page has fifty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.audit.tallies import bounded, fetch
from pipelines.dataset import Dataset

PER_GROUP = 3
_BEYOND = 400  # characters that are read behind a cut, so that personal data is not cut in half and shown
ORDER = [("id", "ascending"), ("origin", "ascending")]
Value = str | int | None


class Firsts:
    """The first documents of each group, by the name of a grouping and the values of its columns.

    `groups` names for each grouping its columns; `wanted` the values that count, for groupings of one column that have
    too many. Tables have the columns id and origin too.
    """

    def __init__(
        self, groups: Mapping[str, Sequence[str]], wanted: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self.groups = groups
        self._wanted = {by: pa.array(sorted(values), pa.string()) for by, values in (wanted or {}).items()}
        self._found: dict[tuple[str, tuple[Value, ...]], list[tuple[str, str, int]]] = {}

    def add(self, table: pa.Table, first_row: int) -> None:
        """Considers the rows of a table, whose first is number `first_row` of its dataset."""
        table = table.append_column("row", pa.array(np.arange(first_row, first_row + table.num_rows))).sort_by(ORDER)
        for name, columns in self.groups.items():
            part = table.select([*columns, "id", "origin", "row"])
            if name in self._wanted:
                part = part.filter(pc.is_in(part[columns[0]], value_set=self._wanted[name]))
            for row in part.take(pa.array(_first_rows(part, columns))).to_pylist():
                key = name, tuple(row[c] for c in columns)
                held = [*self._found.get(key, ()), (row["id"], row["origin"] or "", row["row"])]
                self._found[key] = sorted(held)[:PER_GROUP]

    def ids(self, name: str, *values: Value) -> list[str]:
        """Ids of the first documents of a group."""
        return list(dict.fromkeys(i for i, _, _ in self._found.get((name, values), ())))

    @property
    def rows(self) -> set[int]:
        """Rows of all that were found."""
        return {row for held in self._found.values() for _, _, row in held}


def _first_rows(table: pa.Table, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """The places of the first rows of each group of a table."""
    codes = np.zeros(table.num_rows, np.int64)
    for column in columns:
        encoded = pa.chunked_array(table[column]).combine_chunks().dictionary_encode("encode")
        codes = codes * (len(encoded.dictionary) + 1) + encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    ranks = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return np.asarray(order[ranks < PER_GROUP])


def with_bins(table: pa.Table, edges: Mapping[str, npt.NDArray[np.float64]]) -> pa.Table:
    """The table with a column `bin:NAME` for each column of numbers: the place of its bin, null where it has none."""
    for name, borders in edges.items():
        there = pc.and_(pc.is_valid(table[name]), pc.invert(pc.is_nan(table[name].cast(pa.float64()))))
        there = pc.fill_null(there, False)
        bins = np.full(table.num_rows, -1)
        values = bounded(table[name].filter(there), borders)
        bins[there.to_numpy()] = np.minimum(np.searchsorted(borders, values, side="right") - 1, len(borders) - 2)
        table = table.append_column(f"bin:{name}", pa.array(bins, mask=bins < 0))
    return table


def documents(data: Dataset, rows: Iterable[int], columns: Sequence[str], chars: int) -> dict[int, dict[str, Any]]:
    """The documents in these rows of a dataset, by row, with the first `chars` characters of their texts.

    Addresses and texts are without personal data: a report goes further than the corpus does.
    """
    found = fetch(data, list(rows), list(columns), chars + _BEYOND)
    texts = masked([doc["text"] for doc in found.values()])
    urls = masked([doc["url"] or "" for doc in found.values()])
    both = zip(found.items(), urls, texts, strict=True)
    return {row: {**doc, "url": url or None, "text": text[:chars]} for (row, doc), url, text in both}


def by_id(found: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents in order of their ids."""
    return sorted(found.values(), key=lambda doc: (doc["id"], doc["origin"] or ""))


def masked(texts: Sequence[str]) -> list[str]:
    """The texts with a placeholder for each of the personal data in them."""
    from filters.personal import find_in, mask

    return [mask(text, spans) for text, spans in zip(texts, find_in(texts), strict=True)] if texts else []

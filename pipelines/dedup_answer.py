"""The fate of every row that was read, beside those of earlier runs: equal content, equal address, near duplicates.

Rows of earlier runs come first in rank and keep their fates. A new row is compared with all that they were compared
with in their time, kept or not, so that the answer is that of one run over everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dedup_decide import DIGITS, gathered, near_counts
from pipelines.dedup_reduce import (
    I64,
    Flags,
    Near,
    NearParams,
    Ranked,
    first_of_equals,
    halves,
    near_duplicates,
    rank_order,
)
from pipelines.dedup_saved import REASONS, Saved, chained

if TYPE_CHECKING:
    from pipelines.dedup import Options

_KEPT, _EXACT, _URL, _NEAR = range(len(REASONS))
_RANK = [("priority", "ascending"), ("quality", "descending"), ("id", "ascending"), ("place", "ascending")]
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("origin", pa.string()),  # file#row
        ("kind", pa.string()),  # exact, url, near; sibling: the same words with other numbers, all of which stay
        ("cluster", pa.string()),  # the id of its best member
        ("kept", pa.string()),  # the id that it goes for; null where it stays
        ("similarity", pa.float64()),  # of the two; null for equal addresses
    ],
    metadata={"mathcorpus": "row-clusters-1"},
)


@dataclass(frozen=True)
class Answer:
    """What became of the new rows.

    fates : uint8[N] numbers of REASONS, in the order of their keys. rows : the table of all rows, earlier ones first.
    clusters : the members of all groups, see _SCHEMA. counts : of pairs, edges and clusters.
    """

    new: Saved
    fates: npt.NDArray[np.uint8]
    rows: pa.Table
    clusters: pa.Table
    counts: dict[str, int]

    def removed_rows(self) -> Iterator[list[int]]:
        """The numbers of the rows that go, part by part."""
        begin = 0
        for part in self.new.parts:
            fates = self.fates[begin : begin + part.rows]
            begin += part.rows
            numbers = [number for table in Saved((part,)).tables(["row"]) for number in table["row"].to_pylist()]
            yield [number for number, gone in zip(numbers, (fates != _KEPT).tolist(), strict=True) if gone]


def answer(saved: Sequence[Saved], options: Options, scratch: Path) -> Answer:
    """The answer for the last of `saved`, given those before it."""
    scratch.mkdir()
    *old, new = saved
    tables = chained(saved)
    rows = gathered(tables, ["id", "origin", "host", "priority", "quality", "content", "url", "template"])
    sizes = [one.rows for one in saved]
    rows = rows.append_column("generation", pa.array(np.repeat(np.arange(len(saved)), sizes)))
    rows = rows.append_column("place", pa.array(np.arange(rows.num_rows)))
    fates = np.concatenate(
        [np.zeros(0, np.uint8), *(o.fates for o in old if o.fates is not None), np.zeros(new.rows, np.uint8)]
    )
    work = _Work(rows, fates, sum(sizes) - new.rows)
    order = rank_order(rows, _RANK)
    left = work.equals("content", _EXACT, order[np.isin(fates[order], (_KEPT, _URL, _NEAR))])
    left = left[np.isin(fates[left], (_KEPT, _NEAR))]
    if options.urls:
        left = work.equals("url", _URL, left)
    counts: dict[str, int] = {}
    parts = [work.members("exact", _EXACT), work.members("url", _URL)]
    if options.near:
        near, places = work.near(tables, left, options, scratch)
        counts = near_counts(near)
        parts += work.near_members(near, places)
    clusters = pa.concat_tables(parts)
    return Answer(new, work.fates[work.old :], rows, clusters, counts)


class _Work:
    """The fates of all rows, as far as they are decided."""

    def __init__(self, rows: pa.Table, fates: npt.NDArray[np.uint8], old: int) -> None:
        self.rows, self.fates, self.old = rows, fates, old
        self.keeper = np.full(rows.num_rows, -1, np.int64)
        self.score = np.full(rows.num_rows, np.nan)

    def equals(self, column: str, fate: int, order: I64) -> I64:
        """Decides against new rows with a value that a better one has; those that are left, by rank."""
        first = first_of_equals(*halves(self.rows[column]), order)
        gone = (first != np.arange(len(order))) & (order >= self.old)
        rows = order[gone]
        self.fates[rows] = fate
        self.keeper[rows] = order[first[gone]]
        self.score[rows] = 1.0 if fate == _EXACT else np.nan
        left: I64 = order[~gone]
        return left

    def near(self, tables: Any, order: I64, options: Options, scratch: Path) -> tuple[Near, I64]:
        """Decides against new rows that are like a better one that stays; the answer is by place in the rows given."""
        content, held = halves(self.rows["content"])
        order = order[held[order]]
        old = int(np.searchsorted(order >= self.old, True))
        template = self.rows["template"].to_numpy()[order]
        kept: Flags = self.fates[order[:old]] == _KEPT
        ranked = Ranked(order, template, content[order, 0], kept)
        shape = options.rows.minhash
        slots = shape.slots if options.rows.proof == "signature" else 0
        params = NearParams(shape.bands, options.threshold, options.band_cap, options.band_hubs, slots)
        near = near_duplicates(tables, ranked, params, scratch)
        gone = np.flatnonzero(near.keeper >= 0)
        self.fates[order[gone]] = _NEAR
        self.keeper[order[gone]] = order[near.keeper[gone]]
        self.score[order[gone]] = near.score[gone].round(DIGITS)
        return near, order

    def members(self, kind: str, fate: int) -> pa.Table:
        """The groups of equals: what goes, and what each goes for."""
        gone = self.old + np.flatnonzero(self.fates[self.old :] == fate)
        gone = gone[self.keeper[gone] >= 0]
        kept = np.unique(self.keeper[gone])
        places = np.concatenate([kept, gone])
        return self._table(kind, places, np.concatenate([kept, self.keeper[gone]]), places >= 0, len(kept))

    def near_members(self, near: Near, order: I64) -> list[pa.Table]:
        """The components that hold a new row, and the groups of siblings that do."""
        new = order >= self.old
        parts = []
        for kind, label in (("near", near.cluster), ("sibling", near.sibling)):
            held = np.flatnonzero(label >= 0)
            size = np.bincount(label[held], minlength=len(order))
            fresh = np.bincount(label[held], new[held], minlength=len(order))
            chosen = held[(size[label[held]] > 1) & (fresh[label[held]] > 0)]
            chosen = chosen[new[chosen] | (self.fates[order[chosen]] == _KEPT)]
            parts.append(self._table(kind, order[chosen], order[label[chosen]], near.keeper[chosen] >= 0, 0))
        return parts

    def _table(self, kind: str, places: I64, cluster: I64, gone: Flags, stay: int) -> pa.Table:
        """Rows of the clusters, by cluster and place; the first `stay` of the places stay."""
        gone = gone.copy()
        gone[:stay] = False
        gone &= kind != "sibling"
        by_cluster = np.lexsort((places, ~gone, cluster))
        places, cluster, gone = places[by_cluster], cluster[by_cluster], gone[by_cluster]
        keeper = np.where(gone, self.keeper[places], 0)
        score = pa.array(self.score[places], mask=~gone | np.isnan(self.score[places]))
        ids = self.rows["id"]
        columns = [
            ids.take(pa.array(places)),
            self.rows["origin"].take(pa.array(places)),
            pa.chunked_array([pa.array([kind] * len(places), pa.string())]),
            ids.take(pa.array(cluster)),
            ids.take(pa.array(keeper, mask=~gone)),
            pa.chunked_array([score]),
        ]
        return pa.table([c.combine_chunks() for c in columns], schema=_SCHEMA)


def write_clusters(clusters: pa.Table, path: Path) -> None:
    """The members of all clusters as Parquet."""
    pq.write_table(clusters, path, compression="zstd")

"""The Reduces of deduplication: which documents go, for which they go, and the clusters, from the keys of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.decisions import DECISIONS, decision_rows
from pipelines.dedup_reduce import (
    I64,
    Near,
    NearParams,
    Ranked,
    Tables,
    first_of_equals,
    halves,
    near_duplicates,
    rank_order,
)
from pipelines.recipe import ExactDedupStage, MinhashDedupStage

DIGITS = 4  # of a similarity, as it is told
_CHUNK = 1 << 14  # rows that are Python objects at a time
_EXACT = {"duplicate_id": (None, "id"), "exact_duplicate": (1.0, "kept"), "url_duplicate": (None, "kept")}
_NO_FATES = np.zeros(0, np.bool_)  # no document is of an earlier corpus

CLUSTERS = pa.schema(
    [
        ("id", pa.string()),
        ("kind", pa.string()),  # near; sibling: the same words with other numbers, all of which stay
        ("cluster", pa.string()),  # the id of its best member
        ("kept", pa.string()),  # the id that it goes for; null where it stays
        ("similarity", pa.float64()),  # exact Jaccard of the shingles of the two
    ],
    metadata={"mathcorpus": "clusters-1"},
)


@dataclass(frozen=True)
class Reduced:
    """What a Reduce decides, and what it tells beside."""

    decision: pa.Table
    counts: dict[str, Any] = field(default_factory=dict)
    clusters: pa.Table | None = None


def exact_decision(tables: Tables, _config: ExactDedupStage, _scratch: Path) -> Reduced:
    """Removes repeats of an id (all but the least key), of a content, then of an address (all but the best)."""
    table = gathered(tables, ["rank", "key", "id", "priority", "quality", "content", "url"])
    by_id = rank_order(table, [("id", "ascending"), ("key", "ascending")])
    again = np.flatnonzero(_repeats(table["id"].take(pa.array(by_id))))
    rows = [exact_rows(_named(table, by_id[again], by_id[again]), "duplicate_id")]
    once = np.zeros(table.num_rows, np.bool_)
    once[np.delete(by_id, again)] = True
    order = rank_order(table)
    order = order[once[order]]
    for column, reason in (("content", "exact_duplicate"), ("url", "url_duplicate")):
        first = first_of_equals(*halves(table[column]), order)
        gone = np.flatnonzero(first != np.arange(len(order)))
        rows.append(exact_rows(_named(table, order[gone], order[first[gone]]), reason))
        order = np.delete(order, gone)
    return Reduced(decision_rows(chain.from_iterable(rows)))


def exact_rows(gone: Iterable[tuple[int, bytes, str]], reason: str) -> Iterator[tuple[Any, ...]]:
    """Rows of the decision on (rank, key, id of the one for which it goes)."""
    score, name = _EXACT[reason]
    return ((rank, key, reason, score, {name: other}) for rank, key, other in gone)


def _named(table: pa.Table, gone: I64, other: I64) -> Iterator[tuple[int, bytes, str]]:
    """(rank, key, id of the other) of each row of `gone`; `other` : the rows for which they go."""
    for begin in range(0, len(gone), _CHUNK):
        some = pa.array(gone[begin : begin + _CHUNK])
        ids = table["id"].take(pa.array(other[begin : begin + _CHUNK]))
        columns = table["rank"].take(some), table["key"].take(some), ids
        yield from zip(*(column.to_pylist() for column in columns), strict=True)


def _repeats(column: pa.ChunkedArray) -> np.ndarray:
    """Which rows equal the row before."""
    whole = column.combine_chunks()
    if len(whole) == 0:
        return np.zeros(0, np.bool_)
    return np.append(False, pc.equal(whole[1:], whole[:-1]).to_numpy(zero_copy_only=False))


def gathered(tables: Tables, columns: Sequence[str]) -> pa.Table:
    """Some columns of all keys."""
    parts = list(tables(columns))
    return pa.concat_tables(parts) if parts else DECISIONS.empty_table()


def minhash_decision(tables: Tables, config: MinhashDedupStage, scratch: Path) -> Reduced:
    """Removes each document that is like a better one that stays."""
    table = gathered(tables, ["rank", "key", "id", "priority", "quality", "content", "template"])
    order = rank_order(table)
    content, held = halves(table["content"])
    order = order[held[order]]
    ranked = Ranked(order, table["template"].to_numpy()[order], content[order, 0], _NO_FATES)
    near = near_duplicates(tables, ranked, near_params(config), scratch)
    gone = np.flatnonzero(near.keeper >= 0)
    ids = table["id"].take(pa.array(order))
    scores = near.score[gone].round(DIGITS).tolist()
    rows = _named(table, order[gone], order[near.keeper[gone]])
    decision = near_rows((*row, score) for row, score in zip(rows, scores, strict=True))
    return Reduced(decision, near_counts(near), cluster_table(near, ids))


def near_params(config: MinhashDedupStage) -> NearParams:
    """What a stage asks for."""
    slots = config.bands * config.rows if config.proof == "signature" else 0
    return NearParams(config.bands, config.threshold, config.band_cap, config.band_hubs, slots)


def near_rows(gone: Iterable[tuple[int, bytes, str, float]]) -> pa.Table:
    """The decision on (rank, key, id of the kept one, similarity to it)."""
    return decision_rows(
        (rank, key, "near_duplicate", score, {"kept": kept, "similarity": score}) for rank, key, kept, score in gone
    )


def near_counts(near: Near) -> dict[str, Any]:
    """What a report tells of a search for near duplicates."""
    return {
        "pairs": near.pairs,
        "pairs_skipped": near.skipped,
        "edges": near.edges,
        "sibling_pairs": near.sibling_pairs,
        "siblings": int(np.count_nonzero(near.sibling >= 0)),
        "clusters": len(np.unique(near.cluster[near.cluster != np.arange(len(near.cluster))])),
    }


def cluster_table(near: Near, ids: pa.ChunkedArray) -> pa.Table:
    """The members of clusters and of groups of siblings, by kind, cluster and rank; ids : of the documents, by rank."""
    sizes = np.bincount(near.cluster, minlength=1)
    members = np.flatnonzero(sizes[near.cluster] > 1) if len(near.cluster) else np.zeros(0, np.int64)
    siblings = np.flatnonzero(near.sibling >= 0)
    parts = [
        _members("near", members, near.cluster[members], near, ids),
        _members("sibling", siblings, near.sibling[siblings], None, ids),
    ]
    return pa.concat_tables(parts)


def _members(kind: str, places: I64, cluster: I64, near: Near | None, ids: pa.ChunkedArray) -> pa.Table:
    by_cluster = np.lexsort((places, cluster))
    places, cluster = places[by_cluster], cluster[by_cluster]
    keeper = near.keeper[places] if near else np.full(len(places), -1)
    kept = pa.array(keeper, mask=keeper < 0)
    score = pa.array(near.score[places].round(DIGITS) if near else np.zeros(len(places)), mask=keeper < 0)
    columns = [
        ids.take(pa.array(places)),
        pa.array([kind] * len(places), pa.string()),
        ids.take(pa.array(cluster)),
        ids.take(kept),
        score,
    ]
    return pa.table([_whole(c) for c in columns], schema=CLUSTERS)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


Decide = Callable[[Tables, Any, Path], Reduced]

"""The Reduces of a build, in two halves: what each document gives (rank by rank), and the canonical answer.

An engine with a shuffle of its own may compute the second half in its own way; the decision table must be equal. All
comparisons are of integers and bytes, ties end in the id, and nothing depends on the order of arrival.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import Document

from filters.clusters import components
from filters.minhash import MinHashParams, band_keys, signatures, similarity
from filters.text import pack, tokenise
from pipelines.decisions import KEY_BYTES, ApplyDecision, decision_rows, document_key
from pipelines.recipe import ExactDedupStage, MinhashDedupStage
from pipelines.scan_reduce import SCANS, ApplyScans, scans, stock_decision

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

QUALITY_UNITS = 10_000  # quality_score as an integer: floats are not compared
ALL_PAIRS_UP_TO = 50  # members of a band; a larger band is compared with its first HUBS members and its neighbours
HUBS = 8

_RANKED = [
    ("key", pa.binary(KEY_BYTES)),
    ("id", pa.string()),
    ("priority", pa.int32()),
    ("quality", pa.int32()),
]
EXACT_KEYS = pa.schema([*_RANKED, ("content", pa.binary(16))], metadata={"mathcorpus": "exact-keys-1"})
MINHASH_KEYS = pa.schema([*_RANKED, ("signature", pa.binary())], metadata={"mathcorpus": "minhash-keys-1"})


def _ranked(docs: Sequence[Document], priority: Sequence[str]) -> dict[str, list[Any]]:
    order = {kind: i for i, kind in enumerate(priority)}
    return {
        "key": [document_key(d) for d in docs],
        "id": [d.id for d in docs],
        "priority": [order.get(d.metadata.get("source", ""), len(order)) for d in docs],
        "quality": [round(QUALITY_UNITS * (d.metadata.get("quality_score") or 0.0)) for d in docs],
    }


# --- exact ------------------------------------------------------------------------------------------------------------


def exact_keys(docs: Sequence[Document], config: ExactDedupStage, _: object = None) -> pa.Table:
    """One row a document: its rank among equals, and the digest of its tokens (operators kept)."""
    tokens = tokenise(pack([d.text for d in docs]), operators=True)
    content = [hashlib.blake2b(tokens.normalised(i).encode(), digest_size=16).digest() for i in range(len(docs))]
    return pa.table({**_ranked(docs, config.priority), "content": content}, schema=EXACT_KEYS)


def exact_decision(table: pa.Table, _: ExactDedupStage) -> pa.Table:
    """Removes repeats of an id (all but the least key), then repeats of a content (all but the best)."""
    table = table.sort_by([("id", "ascending"), ("key", "ascending")])
    rows = [
        (key, "duplicate_id", None, {"id": own})
        for key, own in _pairs(table.filter(_repeats(table["id"])), "key", "id")
    ]
    table = table.filter(pc.invert(_repeats(table["id"])))
    order = [
        ("content", "ascending"),
        ("priority", "ascending"),
        ("quality", "descending"),
        ("id", "ascending"),
    ]
    table = table.sort_by(order)
    repeated = _repeats(table["content"]).to_numpy(zero_copy_only=False)
    first = np.maximum.accumulate(np.where(repeated, 0, np.arange(len(repeated))))
    kept = table["id"].take(pa.array(first[repeated])).to_pylist()
    keys = table["key"].filter(pa.array(repeated)).to_pylist()
    return decision_rows([*rows, *((k, "exact_duplicate", 1.0, {"kept": i}) for k, i in zip(keys, kept, strict=True))])


def _repeats(column: pa.ChunkedArray) -> pa.Array:
    """Mask of the rows equal to the row before."""
    whole = column.combine_chunks()
    if len(whole) == 0:
        return pa.array([], pa.bool_())
    return pa.concat_arrays([pa.array([False]), pc.equal(whole[1:], whole[:-1])])


def _pairs(table: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    return list(zip(*(table[c].to_pylist() for c in columns), strict=True))


# --- MinHash ----------------------------------------------------------------------------------------------------------


def minhash_params(config: MinhashDedupStage) -> MinHashParams:
    """The signature's parameters."""
    return MinHashParams(bands=config.bands, rows=config.rows, ngram=config.ngram, seed=config.seed)


def minhash_keys(docs: Sequence[Document], config: MinhashDedupStage, _: object = None) -> pa.Table:
    """One row a document with at least one token: its rank among likes, and its signature (uint32, little-endian)."""
    tokens = tokenise(pack([d.text for d in docs]), operators=True)
    found, counts = signatures(tokens, minhash_params(config))
    blobs = [row.astype("<u4").tobytes() for row in found]
    table = pa.table({**_ranked(docs, config.priority), "signature": blobs}, schema=MINHASH_KEYS)
    return table.filter(pa.array(counts > 0))


def minhash_decision(table: pa.Table, config: MinhashDedupStage) -> pa.Table:
    """Removes the members of a cluster that are like its best member, by the whole signature."""
    table = table.sort_by([("id", "ascending")])
    matrix = signature_matrix(table["signature"].combine_chunks(), config)
    candidates = candidate_pairs(band_keys(matrix, minhash_params(config)))
    alike = similarity(matrix[candidates[:, 0]], matrix[candidates[:, 1]]) >= config.threshold
    best = best_members(components(candidates[alike], len(matrix)), table)
    members = np.flatnonzero(best != np.arange(len(best)))
    scores = similarity(matrix[members], matrix[best[members]])
    keys, ids = table["key"].to_pylist(), table["id"].to_pylist()
    return near_duplicates(
        [(keys[m], ids[best[m]], float(s)) for m, s in zip(members, scores, strict=True)], config.threshold
    )


def near_duplicates(members: Sequence[tuple[bytes, str, float]], threshold: float) -> pa.Table:
    """The decision on (key, id of the kept one, similarity to it): what is less alike than the threshold stays."""
    return decision_rows(
        (key, "near_duplicate", round(score, 4), {"kept": kept, "similarity": round(score, 4)})
        for key, kept, score in members
        if score >= threshold
    )


def signature_matrix(column: pa.Array, config: MinhashDedupStage) -> np.ndarray:
    """uint32[N, slots] of a column of signatures."""
    slots = config.bands * config.rows
    data = b"".join(column.to_pylist())
    return np.frombuffer(data, dtype="<u4").reshape(-1, slots).astype(np.uint32)


def candidate_pairs(bands: np.ndarray) -> np.ndarray:
    """int64[P, 2], i < j: pairs of rows that share a band, each once; hot bands are thinned by `bucket_pairs`."""
    found = [np.zeros((0, 2), np.int64)]
    for band in range(bands.shape[1]):
        order = np.argsort(bands[:, band], kind="stable")
        cuts = np.flatnonzero(np.diff(bands[order, band])) + 1
        found += [order[g] for g in _bucket_members(np.concatenate(([0], cuts)), len(order))]
    pairs = np.concatenate(found)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _bucket_members(starts: np.ndarray, n: int) -> list[np.ndarray]:
    sizes = np.diff(np.concatenate((starts, [n])))
    return [s + bucket_pairs(int(k)) for s, k in zip(starts, sizes, strict=True) if k > 1]


def bucket_pairs(size: int) -> np.ndarray:
    """int64[P, 2]: which members of a band, sorted by id, are compared.

    All with all up to ALL_PAIRS_UP_TO; above it each with the first HUBS and with the one before: linear, and enough to
    hold a band of copies together.
    """
    if size <= ALL_PAIRS_UP_TO:
        left, right = np.triu_indices(size, 1)
        return np.stack([left, right], axis=1).astype(np.int64)
    members = np.arange(1, size)
    hubs = [np.stack([np.full(size - h - 1, h), np.arange(h + 1, size)], axis=1) for h in range(HUBS)]
    return np.concatenate([*hubs, np.stack([members - 1, members], axis=1)]).astype(np.int64)


def best_members(labels: np.ndarray, table: pa.Table) -> np.ndarray:
    """For each row the row that its cluster keeps: least priority, then best quality, then least id."""
    priority = table["priority"].to_numpy()
    quality = table["quality"].to_numpy()
    rank = np.lexsort((np.arange(len(labels)), -quality, priority))  # rows are sorted by id
    place = np.empty(len(rank), np.int64)
    place[rank] = np.arange(len(rank))
    least = np.full(len(labels), len(labels), np.int64)
    np.minimum.at(least, labels, place)
    return np.asarray(rank[least[labels]])


@dataclass(frozen=True, slots=True)
class Reduction:
    """The two halves of a Reduce, the schema between them, and the step that applies its decision."""

    schema: pa.Schema
    columns: Sequence[str]  # of the keys, that the answer needs
    keys: Callable[..., pa.Table]  # of documents, the stage's configuration, and its artefact
    decide: Callable[..., pa.Table]  # of these columns of all keys and the configuration
    apply: Callable[..., BaseFilter]  # of the configuration, the artefact, and the folder of the Reduce
    told: str  # of the numbers of rows of keys and of the decision


def _dedup(schema: pa.Schema, keys: Callable[..., pa.Table], decide: Callable[..., pa.Table]) -> Reduction:
    def apply(config: Any, _: object, reduced: Any) -> BaseFilter:
        return ApplyDecision(config.stage, reduced)

    return Reduction(schema, schema.names, keys, decide, apply, "{:>9,} compared, {:,} to remove")


REDUCTIONS = {
    "exact_dedup": _dedup(EXACT_KEYS, exact_keys, exact_decision),
    "minhash_dedup": _dedup(MINHASH_KEYS, minhash_keys, minhash_decision),
    "decontaminate": Reduction(
        SCANS, ["loose"], scans, stock_decision, ApplyScans, "{:>9,} share text with a benchmark, {:,} stock phrases"
    ),
}

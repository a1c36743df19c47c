"""Which documents are duplicates of which, over the keys of all: canonical, and in bounded memory.

Documents are numbered by rank: the earlier corpus first, then by priority of the source, quality, id. Everything below
is decided in that order and looks back only, so that documents which come behind never change the fate of those before:
adding a crawl to a corpus gives what one run over both gives. Memory grows by about 450 bytes a document, mapped files
included (benchmarks/dedup_memory.py); bands, pairs and what proves them pass through files in a scratch folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.clusters import components
from filters.minhash import similarity
from filters.near import bucket_pairs, first_kept, jaccards
from filters.words import read_only

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]
Tables = Callable[[Sequence[str]], Iterable[pa.Table]]  # columns of the keys, in the order of rows

RANK = [("priority", "ascending"), ("quality", "descending"), ("id", "ascending"), ("key", "ascending")]
_HELD_PAIRS = 1 << 25  # of 8 bytes, before they are sorted and written
_SCORED_PAIRS = 1 << 18  # together: bounds what is read of the proofs at a time


def rank_order(ranked: pa.Table, columns: Sequence[tuple[str, str]] = RANK) -> I64:
    """The rows, best first, int64[N]; by the generation first, where there is such a column."""
    if "generation" in ranked.column_names:
        columns = [("generation", "ascending"), *columns]
    order: I64 = pc.sort_indices(ranked, sort_keys=list(columns)).to_numpy().astype(np.int64)
    return order


def halves(column: pa.ChunkedArray) -> tuple[U64, Flags]:
    """(both halves of digests of 16 bytes, uint64[N, 2], which of them are there, bool[N]); read in place."""
    found, held = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.bool_)]
    for chunk in column.chunks:
        data = chunk.buffers()[1]
        words = (
            np.frombuffer(data, "<u8", 2 * len(chunk), 16 * chunk.offset) if data else np.zeros(2 * len(chunk), "<u8")
        )
        found.append(words.reshape(-1, 2).astype(np.uint64, copy=False))
        held.append(chunk.is_valid().to_numpy(zero_copy_only=False))
    return np.concatenate(found), np.concatenate(held)


def first_of_equals(digests: U64, held: Flags, order: I64) -> I64:
    """For each row of `order` the first there with an equal digest, by place in `order`, int64[M]; itself without one.

    digests, held : of all rows, as `halves` gives them.
    """
    first = np.arange(len(order))
    places = np.flatnonzero(held[order])
    values = digests[order[places]]
    by_value = np.lexsort((places, values[:, 1], values[:, 0]))
    values = values[by_value]
    begins = np.append(True, np.any(values[1:] != values[:-1], axis=1))[: len(places)]
    group = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    first[places[by_value]] = places[by_value[group]]
    return first


@dataclass(frozen=True)
class NearParams:
    """What makes a pair a candidate, and a candidate an edge."""

    bands: int
    threshold: float
    band_cap: int
    band_hubs: int
    slots: int = 0  # of the signature where that is the proof; else 0


@dataclass(frozen=True)
class Ranked:
    """The M documents that are compared, best first; the first `old` of them are of an earlier corpus.

    rows : int64[M] where each stands among the keys. template : uint64[M] digest of its words; 0 for a document that
    has no siblings. content : uint64[M] digest of its tokens. kept : bool[old] whether the earlier run kept them.
    """

    rows: I64
    template: U64
    content: U64
    kept: Flags

    @property
    def old(self) -> int:
        """How many are of an earlier corpus."""
        return len(self.kept)


@dataclass(frozen=True)
class Near:
    """The answer, by place in `Ranked`.

    keeper : int64[M] the best document that is kept and like it, or -1 where it stays itself. score : float64[M] their
    similarity. cluster : int64[M] the best member of its connected component. sibling : int64[M] the first with the
    same words and other numbers, or -1.
    """

    keeper: I64
    score: F64
    cluster: I64
    sibling: I64
    edges: int
    pairs: int
    skipped: int  # pairs of hot bands that were not compared
    sibling_pairs: int  # pairs above the threshold that are no edge


def near_duplicates(tables: Tables, ranked: Ranked, params: NearParams, scratch: Path) -> Near:
    """Who is a near duplicate of whom: band, prove, then keep each document that is like no better one that is kept."""
    count = len(ranked.rows)
    pairs = Pairs(scratch)
    skipped = 0
    for keys in _bands(tables, ranked.rows, params.bands, scratch):
        found, more = bucket_pairs(keys, params.band_cap, params.band_hubs, ranked.old)
        pairs.add(found)
        skipped += more
    proofs = _Proofs(tables, ranked.rows, pairs.members(count), params, scratch)
    edges, scores, siblings = [np.zeros((0, 2), np.int64)], [np.zeros(0)], 0
    compared = 0
    for some in pairs.drain():
        compared += len(some)
        above = proofs.scores(some)
        like = above >= params.threshold
        (template, other), (content, differs) = ranked.template[some].T, ranked.content[some].T
        masked = (template == other) & (template != 0) & (content != differs)
        siblings += int(np.count_nonzero(like & masked))
        edges.append(some[like & ~masked])
        scores.append(above[like & ~masked])
    joined, values = np.concatenate(edges), np.concatenate(scores)
    kept = np.append(ranked.kept, np.ones(count - ranked.old, np.bool_))
    keeper = first_kept(joined, kept, ranked.old)
    return Near(
        keeper=keeper,
        score=_score_of(joined, values, keeper),
        cluster=components(joined, count),
        sibling=_siblings(ranked.template, ranked.content),
        edges=len(joined),
        pairs=compared,
        skipped=skipped,
        sibling_pairs=siblings,
    )


def _score_of(edges: I64, scores: F64, keeper: I64) -> F64:
    """The similarity of each document to its keeper; 0 without one."""
    found = np.zeros(len(keeper))
    chosen = keeper[edges[:, 1]] == edges[:, 0]
    found[edges[chosen, 1]] = scores[chosen]
    return found


def _siblings(template: U64, content: U64) -> I64:
    """The first document with each template under which there are several contents."""
    first = np.full(len(template), -1, np.int64)
    held = np.flatnonzero(template)
    order = held[np.lexsort((held, content[held], template[held]))]
    begins = np.append(True, template[order][1:] != template[order][:-1])[: len(order)]
    group = np.cumsum(begins) - 1
    another = np.append(False, content[order][1:] != content[order][:-1])[: len(order)] & ~begins
    several = np.bincount(group, another)[group] > 0
    least = np.minimum.reduceat(order, np.flatnonzero(begins)) if len(order) else order
    first[order[several]] = least[group[several]]
    return first


# --- bands ------------------------------------------------------------------------------------------------------------


def _bands(tables: Tables, rows: I64, bands: int, scratch: Path) -> Iterator[U64]:
    """The keys of one band after another, uint64[M] in the order of ranks; each passes through a file."""
    place = _places(rows)
    files = [scratch / f"band-{band:03d}" for band in range(bands)]
    held = [np.memmap(path, np.uint64, "w+", shape=(max(1, len(rows)),)) for path in files]
    for first, table in _numbered(tables(["bands"])):
        column = table["bands"].combine_chunks()
        valid = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        keys = np.frombuffer(b"".join(column.drop_null().to_pylist()), np.dtype("<u8")).reshape(-1, bands)
        at = _at(place, first + valid)
        for band in range(bands):
            held[band][at[at >= 0]] = keys[at >= 0, band]
    for path, keys in zip(files, held, strict=True):
        yield read_only(np.array(keys[: len(rows)]))
        path.unlink()


def _numbered(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    first = 0
    for table in tables:
        yield first, table
        first += table.num_rows


def _places(rows: I64) -> I64:
    """The place of each row that is compared, -1 for others."""
    places = np.full(int(rows.max(initial=-1)) + 1, -1, np.int64)
    places[rows] = np.arange(len(rows))
    return places


def _at(places: I64, rows: I64) -> I64:
    """Their places; rows behind the last that is compared have none."""
    inside = rows < len(places)
    return np.where(inside, places[np.where(inside, rows, 0)] if len(places) else -1, -1)


# --- pairs ------------------------------------------------------------------------------------------------------------


class Pairs:
    """Pairs (better, worse) from all bands, each once; those that do not fit in memory are sorted and written."""

    def __init__(self, scratch: Path, held: int = _HELD_PAIRS) -> None:
        self._scratch, self._limit = scratch, held
        self._held: list[U64] = []
        self._count = 0
        self._runs: list[U64] = []

    def add(self, pairs: I64) -> None:
        """Adds int64[P, 2] pairs."""
        codes = pairs.astype(np.uint64)
        self._held.append(np.unique(codes[:, 1] << np.uint64(32) | codes[:, 0]))
        self._count += len(pairs)
        if self._count > self._limit:
            run = self._merged()
            path = self._scratch / f"pairs-{len(self._runs):04d}"
            run.tofile(path)
            self._runs.append(np.memmap(path, np.uint64, "r") if len(run) else run)
            self._held, self._count = [], 0

    def _merged(self) -> U64:
        merged: U64 = np.unique(np.concatenate([np.zeros(0, np.uint64), *self._held]))
        self._held, self._count = [merged], len(merged)
        return merged

    def members(self, count: int) -> Flags:
        """bool[count]: which documents are in a pair."""
        found = np.zeros(count, np.bool_)
        for some in self.drain():
            found[some.ravel()] = True
        return found

    def drain(self) -> Iterator[I64]:
        """The pairs, int64[P, 2], by worse, then better; as often as it is asked for."""
        runs = [*self._runs, self._merged()]
        step = max(1, self._limit // len(runs) // 2)
        cuts = np.unique(np.concatenate([np.asarray(run[::step]) for run in runs]))[1:]
        starts = [0] * len(runs)
        for cut in [*cuts.tolist(), None]:
            ends = [len(run) if cut is None else int(np.searchsorted(run, np.uint64(cut))) for run in runs]
            part = np.unique(np.concatenate([run[a:b] for run, a, b in zip(runs, starts, ends, strict=True)]))
            starts = ends
            if len(part):
                yield np.stack([part & np.uint64(0xFFFFFFFF), part >> np.uint64(32)], axis=1).astype(np.int64)


# --- proof ------------------------------------------------------------------------------------------------------------


class _Proofs:
    """What proves a pair, of the documents that are in one: their shingles, or their signatures."""

    def __init__(self, tables: Tables, rows: I64, wanted: Flags, params: NearParams, scratch: Path) -> None:
        self._params = params
        place = _places(rows)
        lengths, numbers = [0], [np.zeros(0, np.int64)]
        with (scratch / "proofs").open("wb") as out:
            for first, table in _numbered(tables(["proof"])):
                at = _at(place, first + np.arange(table.num_rows))
                chosen = np.flatnonzero((at >= 0) & wanted[np.maximum(at, 0)] if len(wanted) else at >= 0)
                numbers.append(at[chosen])
                for proof in table["proof"].take(pa.array(chosen)).to_pylist():
                    out.write(proof)
                    lengths.append(len(proof) // 4)
        self._offsets = np.cumsum(np.array(lengths, np.int64))
        self._number = np.full(len(rows), -1, np.int64)  # of each document among the proofs
        self._number[np.concatenate(numbers)] = np.arange(len(lengths) - 1)
        size = int(self._offsets[-1])
        self._values = np.memmap(scratch / "proofs", np.dtype("<u4"), "r") if size else np.zeros(0, np.uint32)

    def scores(self, pairs: I64) -> F64:
        """The similarity of each pair, float64[P]; what is certainly below the threshold may be 0."""
        found = np.zeros(len(pairs))
        for begin in range(0, len(pairs), _SCORED_PAIRS):
            some = self._number[pairs[begin : begin + _SCORED_PAIRS]]
            found[begin : begin + len(some)] = self._score(some)
        return found

    def _score(self, numbers: I64) -> F64:
        if not self._params.slots:
            values = read_only(np.asarray(self._values))
            return jaccards(values, read_only(self._offsets), numbers, self._params.threshold)
        matrix = np.asarray(self._values).reshape(-1, self._params.slots)
        return similarity(matrix[numbers[:, 0]], matrix[numbers[:, 1]])

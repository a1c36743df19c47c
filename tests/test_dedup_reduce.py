"""The search for near duplicates against its slow twin, and pairs that do not fit in memory."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import naive_dedup
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.minhash import MinHashParams, band_keys, shingle_sets, signatures
from filters.text import pack
from pipelines.dedup_keys import near_columns, tokens_of
from pipelines.dedup_reduce import NearParams, Pairs, Ranked, near_duplicates

SHAPE = MinHashParams(bands=6, rows=2, ngram=2)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 30), st.integers(0, 4), st.integers(1, 3), st.floats(0.2, 1))
def test_the_answer_is_that_of_the_twin(rng: random.Random, count: int, cap: int, hubs: int, threshold: float) -> None:
    """Bands, exact similarity, then each document that is like a better one that stays; any order of rows."""
    texts = [" ".join(rng.choices("abcdefgh", k=rng.randint(1, 12))) for _ in range(count)]
    rows = rng.sample(range(count), count)
    tokens = tokens_of(pack(texts))
    table = pa.table(near_columns(tokens, SHAPE, "shingles", 0))
    content = np.arange(count, dtype=np.uint64)
    ranked = Ranked(np.array(rows, np.int64), np.zeros(count, np.uint64), content, np.zeros(0, np.bool_))
    with tempfile.TemporaryDirectory() as folder:
        params = NearParams(SHAPE.bands, threshold, cap, hubs)
        found = near_duplicates(lambda columns: [table.select(columns)], ranked, params, Path(folder))

    keys = band_keys(signatures(tokens, SHAPE)[0], SHAPE)[rows]
    pairs = [naive_dedup.bucket_pairs(keys[:, band].tolist(), cap, hubs) for band in range(SHAPE.bands)]
    sets = shingle_sets(tokens, SHAPE)
    held = [set(sets.values[sets.offsets[row] : sets.offsets[row + 1]].tolist()) for row in rows]
    candidates = sorted({pair for some, _ in pairs for pair in some}, key=lambda pair: pair[::-1])
    edges = [(a, b) for a, b in candidates if naive_dedup.jaccard(held[a], held[b]) >= threshold]
    keeper = naive_dedup.first_kept(edges, [True] * count)
    assert found.keeper.tolist() == keeper
    assert (found.pairs, found.edges) == (len(candidates), len(edges))
    assert found.skipped == sum(skipped for _, skipped in pairs)
    assert [found.score[b] for b, a in enumerate(keeper) if a >= 0] == [
        naive_dedup.jaccard(held[a], held[b]) for b, a in enumerate(keeper) if a >= 0
    ]


@pytest.mark.parametrize("held", [1, 7, 10_000])
def test_pairs_that_are_written_are_those_that_were_added(tmp_path: Path, held: int) -> None:
    """Each once, by worse and better, as often as they are asked for, whatever fits in memory."""
    rng = np.random.default_rng(3)
    pairs = Pairs(tmp_path, held)
    added = set()
    for _ in range(20):
        some = np.sort(rng.integers(0, 40, (10, 2)), axis=1)
        pairs.add(some)
        added |= set(map(tuple, some.tolist()))
    expected = sorted(added, key=lambda pair: pair[::-1])

    for _ in range(2):
        drained = list(pairs.drain())
        assert [tuple(pair) for some in drained for pair in some.tolist()] == expected
    assert pairs.members(41).tolist() == [any(n in pair for pair in added) for n in range(41)]
    assert len(list(tmp_path.iterdir())) == (0 if held == 10_000 else 20)

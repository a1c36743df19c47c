"""Statistics of recall: counts and cuts equal to their slow twins however the pages are cut into ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dataset import Dataset
from pipelines.engine import Engine, make_engine, totals_of
from pipelines.recall_recipe import Hosts, Keep
from pipelines.recall_stats import (
    COUNTS,
    SCORES,
    Sides,
    count_prefixes,
    cut_at,
    find_budget,
    histogram,
    judge_prefixes,
    parents,
    wilson_lower,
)
from pipelines.tables import write_table

HOST_PATHS = ["a.org/", "a.org/x/", "a.org/x/y/", "b.org/", "b.org/x/"]
PAGES = st.lists(st.tuples(st.sampled_from(HOST_PATHS), st.integers(0, 4), st.integers(0, 9)), max_size=40)


def scores(pages: Sequence[tuple[str, int, int]]) -> pa.Table:
    """A table of scores of (folder, score in quarters, tokens)."""
    rows = [
        {
            "key": bytes([(7 * n) % 251] * 16),
            "id": str(n),
            "prefixes": [*reversed(parents(folder)), folder] if folder.count("/") > 1 else [folder.rstrip("/")],
            "score": score * 250_000,
            "tokens": tokens,
        }
        for n, (folder, score, tokens) in enumerate(pages)
    ]
    return pa.Table.from_pylist(rows, schema=SCORES)


def dataset(root: Path, name: str, tables: Sequence[pa.Table]) -> Dataset:
    """Tables as shards."""
    shards = [write_table(root / name, f"{n:05d}.parquet", table) for n, table in enumerate(tables)]
    return Dataset(root / name, tuple(shards), name)


def naive_kept(table: pa.Table, keep: Keep) -> set[str]:
    """Ids of the pages that are caught: the best first, ties by key, until a limit would be passed."""
    rows = sorted(table.to_pylist(), key=lambda r: (-r["score"], r["key"]))
    kept: set[str] = set()
    tokens = 0
    for row in rows:
        tokens += row["tokens"]
        if row["score"] < keep.threshold * 1_000_000 or len(kept) == keep.pages or tokens > (keep.tokens or tokens):
            break
        kept.add(row["id"])
    return kept


@settings(deadline=None)
@given(PAGES, st.one_of(st.none(), st.integers(1, 30)), st.one_of(st.none(), st.integers(1, 90)))
def test_the_cut_is_where_its_slow_twin_stops(pages: Any, most: int | None, tokens: int | None) -> None:
    """By threshold, by rank, by tokens, and by all at once; equal scores in the order of their keys."""
    table, keep = scores(pages), Keep(threshold=0.25, pages=most, tokens=tokens)
    budget = find_budget(histogram(table), keep)
    tied = [(r["key"], r["tokens"]) for r in table.to_pylist() if r["score"] == budget.tied]
    mask = cut_at(budget, tied).mask(table)

    assert {i for i, caught in zip(table["id"].to_pylist(), mask, strict=True) if caught} == naive_kept(table, keep)


@pytest.mark.parametrize(("name", "workers"), [("inline", 1), ("local", 2), ("spark", 2)])
def test_totals_are_the_same_on_every_engine(name: str, workers: int, tmp_path: Path, request: Any) -> None:
    """Sums by prefix of ranks cut in two ways; equal to counting each page by itself."""
    pages = [(HOST_PATHS[n * n % 5], n % 5, n) for n in range(200)]
    whole = scores(pages)
    caught = np.array([score >= 2 for _, score, _ in pages])
    counted: Counter[str] = Counter()
    recalled: Counter[str] = Counter()
    for row, found in zip(whole.to_pylist(), caught, strict=True):
        counted.update(row["prefixes"])
        recalled.update(row["prefixes"] if found else [])
    expected = [(p, counted[p], recalled[p]) for p in sorted(counted) if counted[p] >= 50]
    for cuts in ([0, 200], [0, 7, 7, 110, 200]):
        parts = [count_prefixes(whole[a:b], caught[a:b]) for a, b in pairwise(cuts)]
        counts = dataset(tmp_path, f"{name}{len(cuts)}", parts)
        engine = spark_engine(request) if name == "spark" else make_engine(name, workers)
        table = engine.totals(counts, "prefix", 50)
        engine.close()

        assert table.schema == COUNTS
        assert list(zip(*(c.to_pylist() for c in table.columns), strict=True)) == expected


def spark_engine(request: Any) -> Engine:
    from pipelines.engine_spark import SparkEngine

    return SparkEngine(2, session=request.getfixturevalue("spark"))


def test_totals_of_nothing_are_empty(tmp_path: Path) -> None:
    """A web without a host."""
    counts = dataset(tmp_path, "none", [COUNTS.empty_table()])

    assert totals_of(counts, "prefix", 1).num_rows == 0


@pytest.mark.parametrize(
    ("found", "number", "z", "lower"),
    [(10, 100, 1.96, 0.0552), (1, 10, 1.96, 0.0179), (3, 10, 0, 0.3), (0, 5, 1.96, 0)],
)
def test_wilson_lower_bound(found: int, number: int, z: float, lower: float) -> None:
    """Values of the formula; with z = 0 the share itself."""
    assert wilson_lower(found, number, z) == pytest.approx(lower, abs=5e-5)


def judged(counts: dict[str, tuple[int, int]], **hosts: Any) -> dict[str, str]:
    """Side by prefix of counted pages."""
    rows = [(p, *n) for p, n in sorted(counts.items())]
    table = pa.table([list(c) for c in zip(*rows, strict=True)], schema=COUNTS)
    return {name: prefix.side for name, prefix in judge_prefixes(table, Hosts(**hosts)).items()}


def test_a_folder_speaks_for_its_pages_and_not_the_host() -> None:
    """A mixed host is mathematical in one folder: without it, a twentieth of its pages is."""
    counts = {"h.org": (300, 95), "h.org/math/": (100, 90), "h.org/news/": (100, 0)}

    assert judged(counts) == {"h.org": "other", "h.org/math/": "math", "h.org/news/": "other"}


def test_a_tenth_of_the_pages_makes_a_host_mixed_and_three_tenths_mathematical() -> None:
    """DeepSeekMath's rule on the bare share; with an interval few pages leave it open."""
    counts = {"h.org": (20, 3)}

    assert judged(counts, z=0) == {"h.org": "mixed"}
    assert judged(counts) == {"h.org": "open"}
    assert judged({"h.org": (200, 30)}) == {"h.org": "mixed"}
    assert judged({"h.org": (200, 90)}) == {"h.org": "math"}
    assert judged({"h.org": (200, 19)}) == {"h.org": "other"}


def test_verdicts_stand_before_statistics() -> None:
    """A verdict on a host rules its folders, and one on a folder rules that folder."""
    sides = Sides({"h.org/a/": "math", "h.org": "other"}, {"h.org": "reject", "h.org/b/": "accept"})

    assert sides.side(["h.org", "h.org/a/"]) == ("rejected", "h.org")
    assert sides.side(["h.org", "h.org/b/"]) == ("accepted", "h.org/b/")
    assert Sides(sides.judged).side(["h.org", "h.org/a/", "h.org/a/b/"]) == ("math", "h.org/a/")
    assert Sides({}).side(["new.org"]) == ("open", "new.org")
    assert Sides({}).side([]) == ("open", "")

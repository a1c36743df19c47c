"""Duplicates in an audit: exact ones among all documents, near ones among all or, of many, among a sample.

Near duplicates are rarely together in a sample of documents drawn one by one. So documents are drawn by the least of
their shingles, which two documents share as often as they are alike: of pairs with similarity J the sample has J times
its share of the documents, where chance would have its square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.audit.measure import numbered
from pipelines.audit.measure_figures import PER_VALUE, share
from pipelines.audit.measure_rows import NEAR
from pipelines.dataset import Dataset
from pipelines.dedup_decide import minhash_decision
from pipelines.dedup_reduce import first_of_equals, halves

TOP_GROUPS = 20


def exact_duplicates(facts: Dataset) -> tuple[dict[str, Any], npt.NDArray[np.bool_]]:
    """The figures `duplicates.exact`, and which documents repeat an earlier one: bool[N]. 40 bytes a document."""
    column = pa.chunked_array([c for t, _ in numbered(facts, ["content"]) for c in t["content"].chunks], pa.binary(16))
    digests, held = halves(column)
    rows = np.arange(len(digests))
    first = first_of_equals(digests, held, rows)
    repeats = first != rows
    sizes = np.bincount(first, minlength=1)
    groups = np.flatnonzero(sizes > 1)
    largest = groups[np.lexsort((groups, -sizes[groups]))][:TOP_GROUPS]
    members = {int(g): np.flatnonzero(first == g)[:PER_VALUE] for g in largest}
    names = _ids(facts, [int(row) for some in members.values() for row in some])
    count = int(np.count_nonzero(repeats))
    told = {
        "documents": count,
        "share": share(count, len(rows)),
        "groups": [
            {"documents": int(sizes[g]), "shown": sorted(names[int(row)] for row in some)}
            for g, some in members.items()
        ],
    }
    return told, repeats


def _ids(facts: Dataset, rows: Sequence[int]) -> dict[int, str]:
    wanted = np.array(sorted(rows), np.int64)
    names: dict[int, str] = {}
    for table, first in numbered(facts, ["id"]):
        here = wanted[(wanted >= first) & (wanted < first + table.num_rows)]
        names.update(zip(here.tolist(), table["id"].take(pa.array(here - first)).to_pylist(), strict=True))
    return names


def near_duplicates(facts: Dataset, repeats: npt.NDArray[np.bool_], scratch: Path) -> dict[str, Any]:
    """The figures `duplicates.near`: documents that are like an earlier one that stays, and do not repeat one."""
    chosen = _chosen(facts, repeats)
    found = minhash_decision(chosen, NEAR, scratch)
    assert found.clusters is not None
    removed = found.decision.num_rows
    sampled = sum(table.num_rows for table in chosen(["quality"]))
    contents = sum(pc.count(table["content"]).as_py() for table in facts.tables(["content"]))
    near = found.clusters.filter(pc.equal(found.clusters["kind"], "near"))
    groups: dict[str, list[dict[str, Any]]] = {}
    sizes = near.group_by("cluster").aggregate([([], "count_all")])
    order = [("count_all", "descending"), ("cluster", "ascending")]
    largest = sizes.sort_by(order).slice(0, TOP_GROUPS)
    for row in near.filter(pc.is_in(near["cluster"], value_set=largest["cluster"].combine_chunks())).to_pylist():
        groups.setdefault(row["cluster"], []).append(row)
    return {
        "sampled": sampled,
        "of": contents - int(np.count_nonzero(repeats)),
        "documents": removed,
        "share": share(removed, sampled),
        "siblings": found.counts["siblings"],
        "groups": [_group(size, groups[name]) for name, size in zip(*_columns(largest), strict=True)],
    }


def _columns(sizes: pa.Table) -> tuple[list[str], list[int]]:
    return sizes["cluster"].to_pylist(), sizes["count_all"].to_pylist()


def _group(size: int, members: list[dict[str, Any]]) -> dict[str, Any]:
    """A cluster, with the documents that are shown, and the least similarity among those that would go."""
    scores = [m["similarity"] for m in members if m["similarity"] is not None]
    return {
        "documents": size,
        "similarity": min(scores) if scores else None,
        "shown": [m["id"] for m in members[:PER_VALUE]],
    }


def _chosen(facts: Dataset, repeats: npt.NDArray[np.bool_]) -> Callable[[Sequence[str]], Iterator[pa.Table]]:
    """Columns of the keys of the documents that are compared: those with bands that repeat no other."""

    def tables(columns: Sequence[str]) -> Iterator[pa.Table]:
        first = 0
        for table in facts.tables(list(dict.fromkeys([*columns, "bands"]))):
            compared = pc.is_valid(table["bands"]).to_numpy() & ~repeats[first : first + table.num_rows]
            first += table.num_rows
            yield table.filter(pa.array(compared)).select(list(columns))

    return tables

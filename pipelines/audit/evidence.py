"""Figures from the evidence of a build: which documents were one, and which benchmark items were found where.

Evidence is JSON, a list of lines for each document. pyarrow parses it a table at a time; only the lines that are shown
become Python objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from decontam.align import side_by_side
from pipelines.audit.shown import PER_GROUP, masked
from pipelines.audit.tallies import BINS, Smallest, Tally, bounded, fetch, share_edges
from pipelines.dataset import Dataset
from pipelines.places import Place, modified

EXACT, NEAR, DECONTAMINATE = "exact_dedup", "minhash_dedup", "decontaminate"  # stages, as recipes name them
TOP_CLUSTERS = 20
SHOWN_MEMBERS = 3
SHOWN_PAIRS = 100

_DUPLICATE = [("kept", pa.string()), ("similarity", pa.float64())]
_LINE = [
    *((c, pa.string()) for c in ("benchmark", "split")),
    ("item", pa.int64()),
    ("class", pa.string()),
    ("lcs", pa.float64()),
    ("more", pa.int64()),
]
_SET = ["benchmark", "split"]


def parse(evidence: pa.ChunkedArray, fields: Sequence[tuple[str, pa.DataType]]) -> pa.ListArray:
    """The lines of each row's evidence, as structs of these fields; null where a line has no such field."""
    kind = pa.list_(pa.struct(fields))
    if len(evidence) == 0:
        return pa.array([], kind)
    data = ('{"lines":' + '}\n{"lines":'.join(evidence.to_pylist()) + "}\n").encode()
    found = pj.read_json(
        pa.BufferReader(data),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(data) + 1),  # a row may not straddle two blocks
        parse_options=pj.ParseOptions(explicit_schema=pa.schema([("lines", kind)]), unexpected_field_behavior="ignore"),
    )
    return found["lines"].combine_chunks()


def _flat(table: pa.Table, fields: Sequence[tuple[str, pa.DataType]], keep: Sequence[str]) -> pa.Table:
    """A row for each line of evidence: its fields, its number in the document, and columns of the document."""
    lists = parse(table["evidence"], fields)
    parents = pc.list_parent_indices(lists).to_numpy()
    numbers = np.arange(len(parents)) - np.searchsorted(parents, parents)
    flat = pa.Table.from_struct_array(lists.flatten()).append_column("line", pa.array(numbers))
    for column in keep:
        flat = flat.append_column(column, table[column].take(pa.array(parents)))
    return flat


# --- duplicates -------------------------------------------------------------------------------------------------------


class Clusters:
    """Documents that were removed for one that was kept, counted over the tables of the evidence."""

    def __init__(self) -> None:
        self._tally = Tally(["kept"], ["near"])

    def add(self, table: pa.Table) -> None:
        """Counts the duplicates of a table."""
        found = _duplicates(table)
        self._tally.add(found.append_column("near", pc.equal(found["stage"], NEAR).cast(pa.int64())))

    def largest(self, evidence: Dataset) -> tuple[list[dict[str, Any]], int]:
        """The largest clusters, with their first members by id, and the number of all clusters."""
        found = self._tally.table()
        if found is None or found.num_rows == 0:
            return [], 0
        top = found.slice(0, TOP_CLUSTERS)
        members = Smallest(["kept"], SHOWN_MEMBERS, ["id", "stage"])
        for table in evidence.tables(["id", "stage", "evidence"]):
            rows = _duplicates(table)
            members.add(rows.filter(pc.is_in(rows["kept"], value_set=top["kept"].combine_chunks())), 0)
        clusters = {c["kept"]: {**c, "exact": c["documents"] - c["near"], "members": []} for c in top.to_pylist()}
        for row in members.rows():
            shown = {c: row[c] for c in ("id", "stage", "similarity")}
            clusters[row["kept"]]["members"].append(shown)
        return list(clusters.values()), found.num_rows


def _duplicates(table: pa.Table) -> pa.Table:
    """id, stage, kept and similarity of each duplicate; repeats of an id have no kept document, and are left out."""
    table = table.filter(pc.is_in(table["stage"], value_set=pa.array([EXACT, NEAR])))
    flat = _flat(table, _DUPLICATE, ["id", "stage"])
    return flat.filter(pc.is_valid(flat["kept"]))


# --- contamination ----------------------------------------------------------------------------------------------------


class Contamination:
    """Benchmark items found in documents, counted over the tables of the evidence.

    `removed` holds the keys of the evidence on which documents were removed; other evidence is only counted.
    """

    def __init__(self, removed: Collection[str]) -> None:
        self._removed = pa.array(sorted(removed), pa.string())
        self._lines, self._documents = Tally(_SET), Tally(_SET)
        self._items, self._lcs, self._classes = Tally([*_SET, "item"]), Tally([*_SET, "bin"]), Tally(["class"])
        self._pairs, self._reported = Smallest(_SET, SHOWN_PAIRS, ["line", "id", "row"]), Tally(["class"])
        self._reported_first = Smallest(["class"], PER_GROUP, ["id"])
        self.documents = self.reported = self.left_out = 0

    def add(self, table: pa.Table, first_row: int) -> None:
        """Counts the lines of a table, whose first row is number `first_row` of the evidence."""
        table = table.append_column("row", pa.array(np.arange(first_row, first_row + table.num_rows)))
        table = table.filter(pc.equal(table["stage"], DECONTAMINATE))
        removed = pc.is_in(table["key"], value_set=self._removed)
        kept = table.filter(pc.invert(removed))
        self.reported += kept.num_rows
        best = _flat(kept, _LINE, ["id"])
        best = best.filter(pc.equal(best["line"], 0))
        self._reported.add(best)
        self._reported_first.add(best.select(["class", "id"]), 0)
        table = table.filter(removed)
        self.documents += table.num_rows
        lines = _flat(table, _LINE, ["id", "row"])
        self.left_out += pc.sum(lines["more"]).as_py() or 0
        bins = np.searchsorted(share_edges(), bounded(lines["lcs"].fill_null(0.0), share_edges()), side="right") - 1
        self._lcs.add(lines.append_column("bin", pa.array(np.minimum(bins, BINS - 1))))
        for tally in (self._lines, self._items, self._classes):
            tally.add(lines)
        self._documents.add(lines.group_by([*_SET, "row"]).aggregate([]))
        self._pairs.add(lines.select([*_SET, "line", "id", "row"]), 0)

    @property
    def ids(self) -> set[str]:
        """Ids of the documents that are shown: of each benchmark, of each class of reports, and side by side."""
        beside = {row["id"] for row in self._chosen()}
        groups = (*self._shown_by_set().values(), *self._reported_shown().values())
        return beside.union(*groups)

    def _reported_shown(self) -> dict[str, list[str]]:
        shown: dict[str, list[str]] = {}
        for row in self._reported_first.rows():
            shown.setdefault(row["class"], []).append(row["id"])
        return shown

    def _shown_by_set(self) -> dict[tuple[str, str], list[str]]:
        """Of each benchmark the first documents that were removed for it."""
        shown: dict[tuple[str, str], dict[str, None]] = {}
        for row in self._pairs.rows():
            shown.setdefault((row["benchmark"], row["split"]), {})[row["id"]] = None
        return {key: list(ids)[:PER_GROUP] for key, ids in shown.items()}

    def figures(self, evidence: Dataset, coverage: list[dict[str, Any]]) -> dict[str, Any]:
        """The figures under `contamination`, see `figures.figures`."""
        lines = sum(row["documents"] for row in self._lines.rows())
        pairs = self._shown(evidence)
        return {
            "documents": self.documents,
            "reported": self.reported,
            "reported_classes": {row["class"]: row["documents"] for row in self._reported.rows()},
            "reported_shown": self._reported_shown(),
            "lines": lines,
            "lines_left_out": self.left_out,
            "classes": {row["class"]: row["documents"] for row in self._classes.rows()},
            "benchmarks": self._benchmarks(coverage),
            "lcs_edges": share_edges().tolist(),
            "pairs": pairs,
            "pairs_left_out": lines - len(pairs),
        }

    def _benchmarks(self, coverage: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A row for each benchmark that was looked for or found."""
        empty = {"items": None, "protected": None, "unprotected": None}
        found = {(c["benchmark"], c["split"]): {**empty, **c} for c in coverage}
        documents = {(r["benchmark"], r["split"]): r["documents"] for r in self._documents.rows()}
        items = Counter((r["benchmark"], r["split"]) for r in self._items.rows())
        lcs = {key: [0] * BINS for key in {*found, *documents}}
        shown = self._shown_by_set()
        for row in self._lcs.rows():
            lcs[row["benchmark"], row["split"]][row["bin"]] = row["documents"]
        return [
            {
                **found.get(key, {"benchmark": key[0], "split": key[1], **empty}),
                "documents": documents.get(key, 0),
                "items_hit": items[key],
                "lcs": lcs[key],
                "shown": shown.get(key, []),
            }
            for key in sorted(lcs)
        ]

    def _chosen(self) -> list[dict[str, Any]]:
        """Of each benchmark in turn, the best line of each document first."""
        turns: Counter[tuple[str, str]] = Counter()
        queue = []
        for row in self._pairs.rows():
            key = (row["benchmark"], row["split"])
            queue.append((turns[key], *key, row["line"], row["id"], row["row"]))
            turns[key] += 1
        chosen = sorted(c[1:] for c in sorted(queue)[:SHOWN_PAIRS])
        return [{"line": line, "id": name, "row": row} for _, _, line, name, row in chosen]

    def _shown(self, evidence: Dataset) -> list[dict[str, Any]]:
        """The chosen lines with both texts."""
        chosen = self._chosen()
        texts = fetch(evidence, [c["row"] for c in chosen], ["evidence"])
        return [_pair(orjson.loads(texts[c["row"]]["evidence"])[c["line"]]) for c in chosen]


def _pair(line: dict[str, Any]) -> dict[str, Any]:
    [text] = masked([line["doc_text"]])
    document, item = side_by_side(text, line["item_text"])
    kept = {k: v for k, v in line.items() if k not in {"doc_text", "item_text", "more"}}
    return {**kept, "doc_text": document, "item_text": item}


def read_coverage(build: Place, need: str | None) -> list[dict[str, Any]]:
    """How many items of each benchmark the build's index protects; of several indexes the one of key `need`.

    Where the manifest does not say which (`need` is None), it is the newest.
    """
    found = []
    for path in build.glob("work/index-*/manifest.json"):
        about = orjson.loads(path.read_bytes())
        if need is None or about["key"] == need:
            found.append((modified(path), str(path), about["coverage"]))
    return list(max(found)[2]) if found else []

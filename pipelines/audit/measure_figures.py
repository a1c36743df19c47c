"""Figures of an audit, counted from the facts of its documents.

Two passes: the first counts, the second finds the documents to show of the groups that are shown. Of a group these are
the ones whose digest of (seed, id) is smallest: as good as chance, and the same whatever the order of the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.language import MIXED, UNKNOWN
from filters.quality import QualityParams
from pipelines.audit.measure import numbered
from pipelines.audit.measure_formulas import KINDS
from pipelines.audit.measure_rows import PERSONAL, TEXTS
from pipelines.audit.shown import with_bins
from pipelines.audit.tallies import Histogram, Smallest, Tally, doubling_edges, share_edges
from pipelines.dataset import Dataset

TOP_VALUES = 50  # of a column; the others are added up
PER_VALUE = 3  # documents shown for each value, and
PER_FIGURE = 10  # for each other figure, and of each slice
_AMOUNTS = ["tokens", "characters"]
_BOTH = ("en", "zh")  # of which a mixed text is
_SLICE = ["source", "language"]
_ORDER = ("draw", "id")
_COLUMNS = [
    *("id", *TEXTS, *_AMOUNTS, "formulas", "formula_characters", "unbalanced", *PERSONAL),
    *("adult_share", "spam_share", "synthetic", "draw"),
]
FLAGS = ("unbalanced", *PERSONAL, "adult", "spam", "synthetic")
EDGES = {"lengths": doubling_edges(), "formulas": share_edges()}


@dataclass
class Counts:
    """The first pass: what is counted over all documents."""

    total: Tally = field(default_factory=lambda: Tally([], [*_AMOUNTS, "formulas", *PERSONAL]))
    synthetic: Tally = field(default_factory=lambda: Tally(["synthetic"], ["tokens"]))
    by: dict[str, Tally] = field(default_factory=lambda: {name: Tally([name], _AMOUNTS) for name in TEXTS})
    slices: Tally = field(default_factory=lambda: Tally(_SLICE, _AMOUNTS))
    languages: Tally = field(default_factory=lambda: Tally(["stated_language", "language"]))
    lengths: Histogram = field(default_factory=lambda: Histogram(EDGES["lengths"]))
    shares: Histogram = field(default_factory=lambda: Histogram(EDGES["formulas"]))
    kinds: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)

    def add(self, table: pa.Table) -> None:
        """Counts the rows of a table."""
        for tally in (self.total, self.synthetic, self.slices, *self.by.values()):
            tally.add(table)
        self.languages.add(table.filter(pc.is_valid(table["stated_language"])))
        self.lengths.add(table["tokens"])
        shares = formula_shares(table).drop_null()
        self.shares.add(shares)
        self.kinds.update(pc.list_flatten(table["unbalanced"]).to_pylist())
        self.flags["empty"] += pc.sum(pc.equal(table["tokens"], 0)).as_py() or 0
        self.flags["formulas"] += len(shares)
        for name in FLAGS:
            self.flags[name] += int(np.count_nonzero(flagged(table, name)))
        anything = np.any([flagged(table, kind) for kind in PERSONAL], axis=0)
        self.flags["personal"] += int(np.count_nonzero(anything))

    @property
    def documents(self) -> int:
        """How many there are."""
        return sum(row["documents"] for row in self.total.rows())

    def amount(self, name: str) -> int:
        """The sum of a column over all documents."""
        return sum(row[name] or 0 for row in self.total.rows())

    def confusion(self) -> list[dict[str, Any]]:
        """(stated, detected) pairs that disagree, with documents; a mixed text is in both of its languages."""
        pairs = ((r["stated_language"], r["language"], r["documents"]) for r in self.languages.rows())
        return [{"stated": s, "detected": d, "documents": n} for s, d, n in pairs if disagree(s, d)]


def disagree(stated: str, detected: str | None) -> bool:
    """Whether a text is in another language than is said."""
    return detected not in {stated, UNKNOWN, None} and not (detected == MIXED and stated in _BOTH)


def formula_shares(table: pa.Table) -> pa.ChunkedArray:
    """The share of each text's characters that is in formulas; null where it has none."""
    parts, whole = (table[name].cast(pa.float64()) for name in ("formula_characters", "characters"))
    return pc.if_else(pc.greater(table["formulas"], 0), pc.divide(parts, whole), pa.scalar(None, pa.float64()))


def flagged(table: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The rows of which a figure counts: bool[N]."""
    if name == "unbalanced":
        found = pc.greater(pc.list_value_length(table[name]), 0)
    elif name in {"adult", "spam"}:
        found = pc.greater(table[f"{name}_share"], getattr(QualityParams(), f"max_{name}_share"))
    else:
        found = table[name] if name == "synthetic" else pc.greater(table[name], 0)
    return np.asarray(found.to_numpy())


class Shown:
    """The second pass: the documents of each group that is shown, and where they stand."""

    def __init__(self, counts: Counts, wanted: Sequence[str] = ()) -> None:
        self.top = {name: pa.array([r[name] for r in tally.rows()[:TOP_VALUES]]) for name, tally in counts.by.items()}
        self.by = {name: Smallest([name], PER_VALUE, _ORDER) for name in counts.by}
        self.flags = {name: Smallest([], PER_FIGURE, _ORDER) for name in FLAGS}
        self.kinds = {kind: Smallest([], PER_VALUE, _ORDER) for kind in KINDS}
        self.bins = {name: Smallest([f"bin:{name}"], PER_VALUE, _ORDER) for name in EDGES}
        self.slices = Smallest(_SLICE, PER_FIGURE, _ORDER)
        self.pairs = Smallest(["stated_language", "language"], PER_VALUE, _ORDER)
        self.rows: dict[str, int] = {}
        self._wanted = pa.array(sorted(wanted), pa.string())

    def add(self, table: pa.Table, first: int) -> None:
        """Considers the rows of a table, whose first is number `first`."""
        table = table.append_column("row", pa.array(np.arange(first, first + table.num_rows)))
        plain = table.select(["id", "row", "draw", *TEXTS])
        for name, found in self.by.items():
            found.add(plain.filter(pc.is_in(plain[name], value_set=self.top[name].cast(pa.string()))), first)
        for name, found in self.flags.items():
            found.add(plain.filter(pa.array(flagged(table, name))), first)
        kinds = table["unbalanced"]
        for kind, found in self.kinds.items():
            parents = pc.list_parent_indices(kinds).filter(pc.equal(pc.list_flatten(kinds), kind))
            found.add(plain.take(parents), first)
        measured = pa.table({"lengths": table["tokens"], "formulas": formula_shares(table)})
        binned = with_bins(measured, EDGES)
        for name, found in self.bins.items():
            column = f"bin:{name}"
            found.add(plain.append_column(column, binned[column]).filter(pc.is_valid(binned[column])), first)
        self.slices.add(plain, first)
        self.pairs.add(plain.filter(pc.is_valid(plain["stated_language"])), first)
        known = table.filter(pc.is_in(table["id"], value_set=self._wanted))
        self.rows.update(zip(known["id"].to_pylist(), known["row"].to_pylist(), strict=True))

    def in_bins(self, name: str) -> list[list[str]]:
        """Ids of documents in each bin of a histogram."""
        return [self.ids(self.bins[name], **{f"bin:{name}": place}) for place in range(len(EDGES[name]) - 1)]

    def ids(self, found: Smallest, **values: str | int | None) -> list[str]:
        """Ids of the documents that were found of a group."""
        rows = [row for row in found.rows() if all(row[name] == value for name, value in values.items())]
        self.rows.update((row["id"], row["row"]) for row in rows)
        return [row["id"] for row in rows]


def counted(facts: Dataset) -> Counts:
    """The first pass over the facts."""
    counts = Counts()
    for table, _ in numbered(facts, _COLUMNS):
        counts.add(table)
    return counts


def sought(facts: Dataset, counts: Counts, wanted: Sequence[str]) -> Shown:
    """The second pass; `wanted` are ids of documents that other figures show."""
    shown = Shown(counts, wanted)
    for table, first in numbered(facts, _COLUMNS):
        shown.add(table, first)
    return shown


def plain_figures(counts: Counts, shown: Shown) -> dict[str, Any]:
    """The figures that need no comparison of documents; see docs/audit.md."""
    documents, tokens = counts.documents, counts.amount("tokens")
    synthetic = {row["synthetic"]: row for row in counts.synthetic.rows()}.get(True, {"documents": 0, "tokens": 0})
    stated = sum(row["documents"] for row in counts.languages.rows())
    confused = sum(row["documents"] for row in counts.confusion())
    confusion = [
        {**row, "shown": shown.ids(shown.pairs, stated_language=row["stated"], language=row["detected"])}
        for row in counts.confusion()[:TOP_VALUES]
    ]
    return {
        "documents": documents,
        "characters": counts.amount("characters"),
        "tokens": tokens,
        "empty": counts.flags["empty"],
        "by": {name: list(_values(name, counts, shown)) for name in counts.by},
        "others": {name: _others(tally) for name, tally in counts.by.items()},
        "lengths": _bins("lengths", counts.lengths, shown),
        "formulas": _formulas(counts, shown),
        "language": {"stated": stated, "confused": confused, "share": share(confused, stated), "confusion": confusion},
        "personal_any": counts.flags["personal"],
        **{name: _share(name, counts, shown) for name in ("adult", "spam")},
        "synthetic": {
            "documents": synthetic["documents"],
            "tokens": synthetic["tokens"] or 0,
            "share": share(synthetic["documents"], documents),
            "shown": shown.ids(shown.flags["synthetic"]),
        },
        "slices": [
            {
                **{c: row[c] for c in (*_SLICE, "documents")},
                "shown": shown.ids(shown.slices, **{c: row[c] for c in _SLICE}),
            }
            for row in counts.slices.rows()[:TOP_VALUES]
        ],
    }


def share(part: int, whole: int) -> float:
    """A share of documents, rounded so that it reads well; of nothing it is 0."""
    return round(part / whole, 6) if whole else 0.0


def _bins(name: str, histogram: Histogram, shown: Shown) -> dict[str, Any]:
    return {"edges": EDGES[name].tolist(), "counts": histogram.counts.tolist(), "shown": shown.in_bins(name)}


def _values(name: str, counts: Counts, shown: Shown) -> Iterator[dict[str, Any]]:
    for row in counts.by[name].rows()[:TOP_VALUES]:
        amounts = {a: row[a] for a in ("documents", *_AMOUNTS)}
        yield {"value": row[name], **amounts, "shown": shown.ids(shown.by[name], **{name: row[name]})}


def _others(tally: Tally) -> dict[str, int]:
    rows = tally.rows()[TOP_VALUES:]
    return {"values": len(rows), **{a: sum(row[a] or 0 for row in rows) for a in ("documents", *_AMOUNTS)}}


def _formulas(counts: Counts, shown: Shown) -> dict[str, Any]:
    unbalanced = counts.flags["unbalanced"]
    return {
        "documents_with": counts.flags["formulas"],
        "formulas": counts.amount("formulas"),
        "characters_share": _bins("formulas", counts.shares, shown),
        "unbalanced": {
            "documents": unbalanced,
            "share": share(unbalanced, counts.flags["formulas"]),
            "kinds": {kind: counts.kinds[kind] for kind in KINDS},
            "kinds_shown": {kind: shown.ids(shown.kinds[kind]) for kind in KINDS},
            "shown": shown.ids(shown.flags["unbalanced"]),
        },
    }


def _share(name: str, counts: Counts, shown: Shown) -> dict[str, Any]:
    found = counts.flags[name]
    return {"documents": found, "share": share(found, counts.documents), "shown": shown.ids(shown.flags[name])}

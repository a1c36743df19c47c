"""The keys that the report of a build has, of a folder: filled from the measures, empty where a folder has none."""

from __future__ import annotations

from typing import Any

from pipelines.audit.tallies import BINS

_ABSENT = ("build", "funnel", "removed", "cost")
_AMOUNTS = ("documents", "tokens", "characters")
NO_CONTAMINATION: dict[str, Any] = {
    "documents": 0,
    "reported": 0,
    "reported_classes": {},
    "reported_shown": {},
    "lines": 0,
    "lines_left_out": 0,
    "classes": {},
    "benchmarks": [],
    "lcs_edges": [k / BINS for k in range(BINS + 1)],
    "pairs": [],
    "pairs_left_out": 0,
}


def folder_figures(
    measures: dict[str, Any], documents: dict[str, dict[str, Any]], about: dict[str, Any]
) -> dict[str, Any]:
    """The figures of `figures.figures` for a folder."""
    lengths = measures["lengths"]
    return {
        **dict.fromkeys(_ABSENT),
        "verdict": _verdict(measures, about),
        "composition": _composition(measures),
        "histograms": {"tokens": {"edges": lengths["edges"], "kept": lengths["counts"], "removed": [0] * BINS}},
        "duplicates": {"removed": {}, "clusters": [], "clusters_left_out": 0},
        "contamination": measures["contamination"] or NO_CONTAMINATION,
        "samples": [
            {
                "source": one["source"],
                "language": one["language"],
                "documents": [documents[name] for name in one["shown"]],
            }
            for one in measures["slices"]
        ],
    }


def _composition(measures: dict[str, Any]) -> dict[str, Any]:
    by = {
        f"by_{name}": [{name: row["value"], **{a: row[a] for a in _AMOUNTS}} for row in measures["by"][name]]
        for name in ("source", "language", "host", "licence")
    }
    others = measures["others"]["host"]
    hosts = [row for row in by["by_host"] if row["host"] is not None]
    return {
        "total": {a: measures[a] for a in _AMOUNTS},
        **by,
        "by_host": hosts,
        "by_source_language": [{k: v for k, v in one.items() if k != "shown"} for one in measures["slices"]],
        "other_hosts": {"hosts": others["values"], **{a: others[a] for a in _AMOUNTS}},
    }


def _verdict(measures: dict[str, Any], about: dict[str, Any]) -> str:
    """One sentence."""
    unreadable = sum(about["unreadable"].values())
    parts = [f"{measures['documents']:,} documents in {about['files']:,} files, {measures['tokens']:,} tokens"]
    if unreadable:
        parts.append(f"{unreadable:,} records are no documents")
    parts.append(f"{measures['duplicates']['exact']['documents']:,} repeat another")
    if measures["contamination"] is not None:
        found = measures["contamination"]["strongest"]
        parts.append(f"{found['exact'] + found['short']:,} hold benchmark text")
    return f"{'; '.join(parts)}."

"""What the report of a folder says in place of the figures of a build: they stand under `measures`, and once."""

from __future__ import annotations

from typing import Any

OF_BUILDS = (
    *("build", "funnel", "removed", "cost"),  # a folder has none
    *("composition", "histograms", "duplicates", "contamination", "samples"),  # measured, for a folder
)


def folder_figures(measures: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """The keys of `figures.figures`: the verdict, and null for the others."""
    return {**dict.fromkeys(OF_BUILDS), "verdict": _verdict(measures, about)}


def _verdict(measures: dict[str, Any], about: dict[str, Any]) -> str:
    unreadable = sum(about["unreadable"].values())
    parts = [f"{measures['documents']:,} documents in {about['files']:,} files, {measures['tokens']:,} tokens"]
    if unreadable:
        parts.append(f"{unreadable:,} records are no documents")
    parts.append(f"{measures['duplicates']['exact']['documents']:,} repeat another")
    if measures["contamination"] is not None:
        found = measures["contamination"]["strongest"]
        alike = f", {found['near']:,} look like it" if found["near"] else ""
        parts.append(f"{found['exact'] + found['short']:,} hold benchmark text{alike}")
    return f"{'; '.join(parts)}."

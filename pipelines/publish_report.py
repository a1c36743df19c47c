"""The report of a build as it may be published: its figures, without a text of what was removed or of a benchmark.

What may stay is named here; a key that is not named is left out, so that a figure which the audit learns to show does
not leave by accident. Samples of the corpus stay: their texts are in the corpus.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pipelines.publish_private import public

NOTE = "Published form: without the texts of removed documents and of benchmark items."
_AS_THEY_ARE = ("format", "kind", "build", "funnel", "composition", "histograms", "samples", "cost", "mixes", "packed")
_EXTRAS: dict[str, Any] = {"mixes": [], "packed": None}  # told of where they are published, and else as where none is
_WITH_PATHS = {"build", "mixes", "packed"}  # of a tokenizer, for instance
_EMPTY: dict[str, Any] = {"input": None, "measures": None, "comparison": None, "gates": {}, "failed": []}
_OF_A_DOCUMENT = {"id", "origin", "url", "source", "language", "licence", "tokens", "text", "kept",
                  "math_score", "quality_score", "language_score"}  # fmt: skip


def public_figures(
    found: dict[str, Any], params: Mapping[str, str | None], extras: Collection[str] = ()
) -> dict[str, Any]:
    """The figures of `audit.figures` without texts of documents that did not stay.

    params : of the recipe, for paths that figures hold (a tokenizer's); extras  what is published beside the corpus.
    """
    shown = {key: found[key] for key in _AS_THEY_ARE if key in found}
    shown |= {key: value for key, value in _EMPTY.items() if key in found}
    shown |= {key: value for key, value in _EXTRAS.items() if key in found and key not in extras}
    shown["verdict"] = f"{found['verdict']} {NOTE}"
    shown["removed"] = [_without_lists(reason) for reason in found["removed"]]
    shown["duplicates"] = {**found["duplicates"], "clusters": [], "clusters_left_out": 0}
    shown["contamination"] = {**found["contamination"], "pairs": [], "pairs_left_out": 0}
    shown["documents"] = {i: _stayed(d) for i, d in found["documents"].items() if d["kept"] and not d["removed"]}
    unread = {**found["build"]["unread_files"], "first": []}  # names of files that are no part of the corpus
    shown["build"] = {**found["build"], "unread_files": unread}
    for key in _WITH_PATHS & shown.keys():
        shown[key] = public(shown[key], params)
    told: dict[str, Any] = _without(shown, found["documents"].keys() - shown["documents"].keys())
    return told


def _without(value: Any, ids: Collection[str]) -> Any:
    """The value without these ids in any of its lists."""
    if isinstance(value, dict):
        return {key: _without(one, ids) for key, one in value.items()}
    if isinstance(value, list):
        return [_without(one, ids) for one in value if not (isinstance(one, str) and one in ids)]
    return value


def _without_lists(reason: dict[str, Any]) -> dict[str, Any]:
    """A reason and its counts, without the documents that stand for it."""
    return {key: [] if isinstance(value, list) else value for key, value in reason.items()}


def _stayed(document: dict[str, Any]) -> dict[str, Any]:
    """A document of the corpus, without what was found in it."""
    return {**{k: v for k, v in document.items() if k in _OF_A_DOCUMENT}, "removed": []}

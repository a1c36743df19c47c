"""Lines of evidence: each match with what stands in the document and in the benchmark.

Apart from the datatrove step, which takes as long to import as all that a scan needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decontam.index import Index
from decontam.match import KINDS, Match
from decontam.private import SHOWN_INSTEAD

MAX_EVIDENCE_CHARS = 2_000  # of doc_text and of item_text: enough to judge by eye, and a row stays small


def evidence_lines(
    index: Index, text: str, matches: Sequence[Match], doc_id: str | None, origin: str
) -> list[dict[str, Any]]:
    """Each match of a text as a line of evidence, strongest class and highest ratio first."""
    ordered = sorted(matches, key=lambda m: (KINDS.index(m.kind), -m.lcs, m.item))
    return [evidence_line(index, text, match, doc_id, origin) for match in ordered]


def evidence_line(index: Index, text: str, match: Match, doc_id: str | None, origin: str) -> dict[str, Any]:
    """A match of a text as a line of evidence.

    `span` is in characters of the text and is not cut; the texts are cut at MAX_EVIDENCE_CHARS.
    """
    item = index.items[match.item]
    first, last = match.span
    line = {
        "doc_id": doc_id,
        "origin": origin,
        "benchmark": item.benchmark,
        "split": item.split,
        "item": item.row,
        "field": item.field,
        "class": match.kind,
        "lcs": match.lcs,
        "ngrams": match.ngrams,
        "span": [first, last],
        "doc_text": _excerpt(text[first:last]),
        "item_text": _excerpt(item.text),
    }
    return {**line, "private": SHOWN_INSTEAD} if index.is_private(match.item) else line


def _excerpt(text: str) -> str:
    """The first MAX_EVIDENCE_CHARS of a text; a lone surrogate, which no JSON writer takes, becomes `?`."""
    return text[:MAX_EVIDENCE_CHARS].encode("utf-8", "replace").decode()

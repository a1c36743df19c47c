"""The documents that an audit shows, with their texts: cut, and without the personal data in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filters.personal import Found, disguise, find_in, mask
from pipelines.audit.measure_figures import Counts, Shown
from pipelines.audit.measure_rows import PERSONAL
from pipelines.audit.tallies import fetch
from pipelines.dataset import Dataset

TEXT_CHARS = 600  # of a text in the report
_READ_CHARS = 2000  # before personal data are masked: what the cut goes through is not shown
_AROUND = 60  # characters on each side of personal data
_WHOLE = 1 << 30
_ABOUT = ["id", "origin", "url", "source", "language", "licence", "tokens"]


def shown_documents(data: Dataset, facts: Dataset, rows: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """What the report tells of each document, by id; rows : the number of each in the dataset and its facts."""
    about = fetch(facts, list(rows.values()), _ABOUT)
    texts = fetch(data, list(rows.values()), ["text"], _READ_CHARS)
    found: dict[str, dict[str, Any]] = {}
    for name, row in sorted(rows.items()):
        text = masked_text(texts[row]["text"]) or ""
        found[name] = {**about[row], "url": masked_text(about[row]["url"]), "text": text[:TEXT_CHARS]}
    return found


def personal_figures(data: Dataset, counts: Counts, shown: Shown) -> dict[str, Any]:
    """The figures `personal`: documents and occurrences of each kind, and some of them, masked."""
    figures: dict[str, Any] = {}
    for kind in PERSONAL:
        ids = shown.ids(shown.flags[kind])
        texts = fetch(data, [shown.rows[name] for name in ids], ["text"], _WHOLE)
        figures[kind] = {
            "documents": counts.flags[kind],
            "occurrences": counts.amount(kind),
            "shown": [{"id": name, **_first(texts[shown.rows[name]]["text"], kind)} for name in ids],
        }
    return figures


def _first(text: str, kind: str) -> dict[str, str]:
    """The first of a kind in a text, as far as it may be shown, and what stands around it."""
    [found] = find_in([text])
    at = next(number for number, one in enumerate(found) if one.kind == kind)
    begin, end, which = found[at]
    behind = [Found(b - end, e - end, k) for b, e, k in found[at + 1 :]]
    before, after = mask(text[:begin], found[:at]), mask(text[end:], behind)
    value = disguise(text[begin:end], which)
    return {"masked": value, "context": f"{before[-_AROUND:]}{value}{after[:_AROUND]}"}


def masked_text(text: str | None) -> str | None:
    """The text with placeholders for personal data."""
    return None if text is None else mask(text, find_in([text])[0])

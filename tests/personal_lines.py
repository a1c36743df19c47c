"""The labelled lines of personal.tsv, and how a finder does on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("personal.tsv")
Find = Callable[[str], Sequence[tuple[str, str]]]  # (kind, what was found) of a text


@dataclass(frozen=True)
class Line:
    """A text, and the personal data in it: (kind, string) of each."""

    text: str
    expected: tuple[tuple[str, str], ...]


def lines() -> list[Line]:
    """All of them."""
    rows = [row.split("\t") for row in _FILE.read_text("utf-8").splitlines() if not row.startswith("#")]
    return [
        Line(
            text.replace("⟦", "").replace("⟧", ""),
            tuple((kind, part.partition("⟧")[0]) for part in text.split("⟦")[1:]),
        )
        for kind, text in rows
    ]


def score(find: Find, kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision and recall of each kind; found is what has the same ends."""
    right, there, told = Counter[str](), Counter[str](), Counter[str]()
    for line in lines():
        found = Counter(find(line.text))
        right.update(kind for kind, _ in (found & Counter(line.expected)).elements())
        there.update(kind for kind, _ in line.expected)
        told.update(kind for kind, _ in found.elements())
    return {k: {"precision": right[k] / max(1, told[k]), "recall": right[k] / max(1, there[k])} for k in kinds}

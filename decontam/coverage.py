"""What the rules can protect of a benchmark: its questions by the strongest class that finds a copy of them.

No rule finds a copy of "Compute 7!" without finding half of all exercise sheets, so a report that says "no
contamination" has to say of how many items it could not have found any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from decontam.benchmarks import Item
from decontam.index import build_index

CLASSES = ("exact", "short", "near", "none")  # strongest first; a question is counted in the first that holds


@dataclass(frozen=True, slots=True)
class Protection:
    """The questions of one file by class; they add up to `items`."""

    benchmark: str
    split: str
    items: int
    exact: int  # owns a 13-gram
    short: int  # too short for one, and found as a whole
    near: int  # neither, but owns an anchor of look-alikes: a copy is found as `near`
    none: int
    options: int  # of the last three, with its options behind it owns a 13-gram


@dataclass(frozen=True, slots=True)
class Unprotected:
    """A question that nothing protects."""

    benchmark: str
    split: str
    item: int  # 0-based row
    tokens: int
    text: str
    options: bool  # with its options behind it, it is found


def protection(items: Iterable[Item]) -> tuple[list[Protection], list[Unprotected]]:
    """(one line for each file, sorted; the questions that nothing protects, sorted)."""
    index = build_index(item for item in items if item.field != "solution")  # half of all tokens, and not counted
    held = index.protected()
    flags = np.stack([held["exact"], held["short"], held["near"] | held["masked"], np.ones(len(index.items), bool)])
    strongest = flags.argmax(axis=0).tolist()  # the first that holds
    tokens = index.lengths.tolist()
    with_options = {
        (item.benchmark, item.split, item.row)
        for item, exact in zip(index.items, held["exact"].tolist(), strict=True)
        if item.field == "option" and exact
    }
    counts: dict[tuple[str, str], list[int]] = {}
    open_items = []
    for number, item in enumerate(index.items):
        if item.field != "question":
            continue
        line = counts.setdefault((item.benchmark, item.split), [0] * (len(CLASSES) + 1))
        kind = CLASSES[strongest[number]]
        helped = kind != "exact" and (item.benchmark, item.split, item.row) in with_options
        line[strongest[number]] += 1
        line[-1] += helped
        if kind == "none":
            open_items.append(Unprotected(item.benchmark, item.split, item.row, tokens[number], item.text, helped))
    lines = [Protection(*key, sum(line[:-1]), *line) for key, line in sorted(counts.items())]
    return lines, open_items


def as_json(lines: Sequence[Protection], unprotected: Sequence[Unprotected]) -> dict[str, Any]:
    """The figures as a value that JSON can hold, with every unprotected item."""
    return {"sets": [asdict(one) for one in lines], "unprotected": [asdict(one) for one in unprotected]}

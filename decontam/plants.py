"""Benchmark questions planted in documents, changed as copies are in the wild: a rule is judged by what it finds.

A recall that was measured on somebody else's pages says little about the caller's own, which have other languages,
other boilerplate and other stock phrases; so the documents are the caller's. Each choice is a digest of the seed, the
kind and the question, and not a stream of random numbers: a question is edited alike whatever else is planted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from decontam import edits
from decontam.edits import Choices, Edit
from decontam.match import KINDS, Match, scan_batch
from decontam.stock import demote
from filters.batches import batched

if TYPE_CHECKING:
    from decontam.benchmarks import Item
    from decontam.index import Index
    from decontam.params import DecontaminationParams

HOST_CHARS = 4_000  # of the text that a question is planted in: a page
LONG_CHARS = 100_000  # of a long document: a chapter
DUMP_ITEMS = 20  # questions of a document that lists them

_BATCH_CHARS = 1 << 21  # of plants that are searched together: bounds memory
_NORMAL_95 = 1.96  # standard deviations on each side that hold 95 % of a normal distribution


class Kind(NamedTuple):
    """A kind of plant: how a question is changed, and where it stands."""

    edit: Edit = edits.verbatim
    place: str = "line"  # of its own; `sentence`: within one of a long document; `list`, `json`: among others
    short: bool = False  # of questions that are too short for an n-gram


PLANTS = {
    "verbatim": Kind(),
    "wrapped": Kind(edits.wrapped),
    "embedded": Kind(place="sentence"),
    "quoted": Kind(edits.quoted),
    "respaced": Kind(edits.respaced),
    "recased": Kind(edits.recased),
    "full_width": Kind(edits.full_width),
    "half_width": Kind(edits.half_width),
    "chinese_spacing": Kind(edits.chinese_spacing),
    "latex": Kind(edits.latex),
    "one_word": Kind(edits.one_word),
    "one_number": Kind(edits.one_number),
    "all_numbers": Kind(edits.all_numbers),
    "edits_20": Kind(edits.dense(20)),
    "edits_10": Kind(edits.dense(10)),
    "names": Kind(edits.names),
    "one_clause": Kind(edits.one_clause),
    "short": Kind(short=True),
    "list": Kind(place="list"),
    "json": Kind(place="json"),
}


class Plant(NamedTuple):
    """Questions in a document: their numbers in the index, each as it stands there."""

    questions: tuple[tuple[int, str], ...]
    text: str


@dataclass(frozen=True, slots=True)
class Missed:
    """A planted question that was not found."""

    kind: str
    item: Item
    planted: str


@dataclass(slots=True)
class Recall:
    """What was found of one kind of plant."""

    planted: int = 0
    classes: Counter[str] = field(default_factory=Counter)  # questions by the strongest class that found them
    missed: list[Missed] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Questions found by any class."""
        return self.planted - len(self.missed)

    def figures(self) -> dict[str, int | float | None]:
        """The counts, and the share that was found with its 95 % interval; None where nothing was planted."""
        low, high = wilson(self.found, self.planted)
        share = round(self.found / self.planted, 4) if self.planted else None
        classes = {kind: self.classes[kind] for kind in KINDS}
        return {"planted": self.planted, "found": self.found, **classes, "recall": share, "low": low, "high": high}


def wilson(found: int, of: int) -> tuple[float | None, float | None]:
    """The 95 % interval of a share, 4 decimals; (None, None) of nothing.

    Source: Wilson (1927), the score interval, which holds at shares of 0 and 1, where the usual one has no width.
    """
    if not of:
        return None, None
    share, z = found / of, _NORMAL_95
    middle = share + z * z / (2 * of)
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * half) / (1 + z * z / of) for sign in (-1, 1))
    return round(max(0.0, low), 4), round(min(1.0, high), 4)


# --- planting ---------------------------------------------------------------------------------------------------------


class Questions(NamedTuple):
    """The questions of an index by what the rule can do for them; by their numbers in it."""

    exact: dict[int, Item]  # with an n-gram of their own
    short: dict[int, Item]  # too short for one, and found as a whole
    unprotected: int  # number of those that nothing finds for certain
    private: int  # of those whose text the index does not hold

    def of(self, name: str) -> dict[int, Item]:
        """Those that the kind of plant `name` is made of."""
        return self.short if PLANTS[name].short else self.exact


def plantable(index: Index, params: DecontaminationParams) -> Questions:
    """The questions that can be planted and should be found, and how many can not."""
    held = index.protected()
    questions = {number: item for number, item in enumerate(index.items) if item.field == "question"}
    shown = {number: item for number, item in questions.items() if not index.is_private(number)}
    exact = {number: item for number, item in shown.items() if held["exact"][number]}
    short = {n: item for n, item in shown.items() if n not in exact and held["short"][n] and params.short}
    return Questions(exact, short, len(shown) - len(exact) - len(short), len(questions) - len(shown))


def plants(name: str, questions: Mapping[int, Item], hosts: Sequence[str], seed: int, count: int) -> Iterator[Plant]:
    """Documents with up to `count` of the questions, changed and placed as the kind `name` says.

    hosts : texts without a hit, not empty. A question that the kind leaves as it is (no number to change) is passed
    over.
    """
    place = PLANTS[name].place
    chosen = islice(_changed(name, questions, seed), count)
    while taken := tuple(islice(chosen, 1 if place in {"line", "sentence"} else DUMP_ITEMS)):
        choices = Choices(seed, name, "host", *_name(questions[taken[0][0]]))
        texts = [text for _, text in taken]
        if place == "sentence":
            yield Plant(taken, _within(hosts, texts[0], choices))
        else:
            yield Plant(taken, _on_lines(choices.of(hosts), _LISTED[place](texts)))


def _changed(name: str, questions: Mapping[int, Item], seed: int) -> Iterator[tuple[int, str]]:
    """(question, its text changed) in an order that the seed decides."""
    edit = PLANTS[name].edit
    order = sorted((Choices(seed, name, *_name(item)).below(1 << 63), number) for number, item in questions.items())
    for _, number in order:
        item = questions[number]
        text = edit(item.text, Choices(seed, name, "edit", *_name(item)))
        if edit is edits.verbatim or text != item.text:
            yield number, text


def _name(item: Item) -> tuple[str | int, ...]:
    return item.benchmark, item.split, item.row


def _on_lines(host: str, text: str) -> str:
    """The host with a text as lines of its own in the middle."""
    middle = host.rfind("\n", 0, len(host) // 2) + 1
    return f"{host[:middle]}\n{text}\n{host[middle:]}"


def _within(hosts: Sequence[str], text: str, choices: Choices) -> str:
    """A long document of hosts with a text in the middle of a line."""
    long, number = "", choices.below(len(hosts))
    while len(long) < LONG_CHARS:
        long += f"{hosts[number % len(hosts)]}\n\n"
        number += 1
    middle = max(long.find(" ", len(long) // 2), len(long) // 2)
    return f"{long[:middle]} {text} {long[middle:]}"


_LISTED: dict[str, Callable[[Sequence[str]], str]] = {
    "line": "".join,
    "list": lambda texts: "\n\n".join(f"{n}. {text}" for n, text in enumerate(texts, 1)),
    # line breaks and quotation marks are escaped, as in the files of a benchmark
    "json": lambda texts: "\n".join(json.dumps({"question": text}, ensure_ascii=False) for text in texts),
}


# --- finding ----------------------------------------------------------------------------------------------------------


def recall(
    index: Index, params: DecontaminationParams, name: str, planted: Iterator[Plant], stock: Collection[int] = ()
) -> Recall:
    """What the rule finds of plants of the kind `name`; matches that rest on `stock` alone count as `review`."""
    result = Recall()
    for batch in batched(planted, _BATCH_CHARS):
        scans = scan_batch(index, [plant.text for plant in batch], params)
        for plant, scan in zip(batch, scans, strict=True):
            matches = demote(scan.matches, stock)
            for number, text in plant.questions:
                result.planted += 1
                found = found_by(index, number, matches)
                if found is None:
                    result.missed.append(Missed(name, index.items[number], text))
                else:
                    result.classes[found] += 1
    return result


def found_by(index: Index, number: int, matches: Sequence[Match]) -> str | None:
    """The strongest class among the matches with a question, its solution or options, or its text in another set."""
    wanted = index.items[number]
    kinds = [m.kind for m in matches if _same(index.items[m.item], wanted)]
    return min(kinds, key=KINDS.index) if kinds else None


def _same(found: Item, wanted: Item) -> bool:
    return found.text == wanted.text or _name(found) == _name(wanted)

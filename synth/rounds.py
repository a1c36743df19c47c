"""Chains of tasks: documents to pairs, pairs to refined ones, these to solutions, each round with its gates.

A round plans lazily, has everything asked, and then makes its files from plan and journal alone, in the order of the
plan: whether a run was killed cannot be seen in them. The accepted samples of a round are the items of a later one,
read back from its file, so that memory does not grow with their number (but for what `gates.Seen` remembers).

Every request ends in a counted state, and every result of it is accepted or rejected with a reason; both sums are
checked, and one that does not hold is an error of ours.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import zstandard

from filters.errors import AccountingError, UsageError
from synth.gates import Gates
from synth.requests import Outcome, Request
from synth.samples import Document, Rejection, Sample, from_row, rejection_from_row, to_row
from synth.tasks.task import Task
from synth.whole_file import whole

ACCEPTED, REJECTED, COUNTS = "accepted.jsonl.zst", "rejected.jsonl.zst", "counts.json"

Check = Callable[[Request, Outcome], str]
Ask = Callable[[Iterable[Request], Check], object]
"""Brings each request to its end, as `synth.engine.answer_all` with a backend, a journal and options does."""
Resolve = Callable[[Request, Check], tuple[Request, Outcome]]
"""The last attempt at a request and what came of it, as `synth.engine.resolve` with the same journal and options."""
Documents = Callable[[], Iterable[Document]]  # the same each time: plan and output are made of them


@dataclass(frozen=True, slots=True)
class Round:
    """One task with its gates.

    after : names of earlier rounds whose accepted samples are the items; the documents, where empty.
    missed : an earlier round on documents: only those that it found nothing in are the items.
    """

    name: str
    task: Task[Any]
    gates: Gates = field(default_factory=lambda: Gates(()))
    after: tuple[str, ...] = ()
    missed: str = ""


@dataclass(slots=True)
class Counts:
    """What became of a round: requests = answered + failures, results = accepted + rejections of all stages."""

    items: int = 0
    unasked: int = 0  # items about which there was nothing to ask
    requests: int = 0
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # of requests, after all tries
    results: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # by stage:reason

    def check(self) -> None:
        """AccountingError where the sums do not hold."""
        asked = self.answered + self.failures.total() == self.requests
        ended = sum(n for reason, n in self.rejected.items() if reason.startswith("request:")) == self.failures.total()
        made = self.accepted + self.rejected.total() == self.results >= self.requests
        if not (asked and ended and made):
            msg = f"synthesis: counts that do not add up: {self.plain()}"
            raise AccountingError(msg)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "items": self.items, "unasked": self.unasked, "requests": self.requests, "answered": self.answered,
            "failures": dict(self.failures), "results": self.results, "accepted": self.accepted,
            "rejected": dict(self.rejected),
        }  # fmt: skip


def run(rounds: Sequence[Round], documents: Documents, out: Path, ask: Ask, resolve: Resolve) -> dict[str, Counts]:
    """Asks and writes each round into `out`/its name; what became of each.

    UsageError for rounds that do not follow on each other, OutputError where nothing can be written.
    """
    _check_chain(rounds)
    return {each.name: _run(each, _items(each, rounds, documents, out, resolve), out, ask, resolve) for each in rounds}


def materialise(rounds: Sequence[Round], documents: Documents, out: Path, resolve: Resolve) -> dict[str, Counts]:
    """The files of all rounds from the journal, without asking; what nobody asked yet is rejected as `unasked`."""
    return run(rounds, documents, out, lambda _plan, _check: None, resolve)


def accepted(out: Path, name: str) -> Iterator[Sample]:
    """The accepted samples of a round, in order."""
    yield from map(from_row, _lines(out / name / ACCEPTED))


def rejected(out: Path, name: str) -> Iterator[Rejection]:
    """The rejections of a round, in order."""
    yield from map(rejection_from_row, _lines(out / name / REJECTED))


def _lines(path: Path) -> Iterator[bytes]:
    with zstandard.open(path, "rb") as file:
        yield from io.BufferedReader(file)


def _run(each: Round, items: Callable[[], Iterable[Any]], out: Path, ask: Ask, resolve: Resolve) -> Counts:
    task, counts, folder = each.task, Counts(), out / each.name
    ask((request for item in items() for request in task.plan(item)), task.check)
    with whole(folder / ACCEPTED) as kept, whole(folder / REJECTED) as refused:
        for item in items():
            for result in _finished(task, item, resolve, counts):
                sample, stopped = each.gates(result, item) if isinstance(result, Sample) else (result, None)
                if stopped is not None and isinstance(sample, Sample):
                    sample = Rejection(
                        sample.parents, task.name, stopped.gate, f"{stopped.outcome}:{stopped.reason}",
                        sample.generation.request, sample=sample,
                    )  # fmt: skip
                if isinstance(sample, Rejection):
                    counts.rejected[f"{sample.stage}:{sample.reason}"] += 1
                else:
                    counts.accepted += 1
                (refused if isinstance(sample, Rejection) else kept).write(to_row(sample) + b"\n")
    counts.check()
    with whole(folder / COUNTS, level=0) as file:
        file.write(orjson.dumps(counts.plain(), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n")
    return counts


def _finished(task: Task[Any], item: Any, resolve: Resolve, counts: Counts) -> list[Sample | Rejection]:
    """What is made of one item, counted."""
    answers = [resolve(request, task.check) for request in task.plan(item)]
    made = task.finish(item, answers) if answers else []
    counts.items += 1
    counts.unasked += not answers
    counts.requests += len(answers)
    counts.answered += sum(not outcome.failure for _, outcome in answers)
    counts.failures.update(outcome.failure for _, outcome in answers if outcome.failure)
    counts.results += len(made)
    return made


def _items(
    each: Round, rounds: Sequence[Round], documents: Documents, out: Path, resolve: Resolve
) -> Callable[[], Iterator[Any]]:
    """The items of a round, from the start each time."""

    def items() -> Iterator[Any]:
        if each.after:
            for name in each.after:
                yield from accepted(out, name)
        elif each.missed:
            task = next(other.task for other in rounds if other.name == each.missed)
            for item in documents():
                if not any(isinstance(made, Sample) for made in _finished(task, item, resolve, Counts())):
                    yield item
        else:
            yield from documents()

    return items


def _check_chain(rounds: Sequence[Round]) -> None:
    known: set[str] = set()
    for each in rounds:
        lacking = [name for name in (*each.after, each.missed) if name and name not in known]
        if each.name in known or lacking or (each.after and each.missed):
            problem = f"no earlier round {lacking[0]!r}" if lacking else "the name twice, or both `after` and `missed`"
            msg = f"synthesis: round {each.name!r}: {problem}; earlier rounds are {', '.join(sorted(known)) or 'none'}"
            raise UsageError(msg)
        known.add(each.name)

"""The judge of `decontaminate`: pairs that the wide net caught go to a model, and what it calls the same is a hit.

While texts are scanned their pairs are written beside the hits, with the lines of evidence that they would become. When
the hits are judged, those of rows that are removed anyway are let go, the best of the others are asked about, as many
as the budget allows, and those answered yes become hits of class `judged`. Every other pair is counted: no, or unknown
for a reason. A document with an unknown pair and no yes could not be judged, which is told and is not clean.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from decontam.index import Index
from decontam.judge import MAX_ANSWER_TOKENS, PROMPT_VERSION, ask_about, read_answer
from decontam.match import Match, Scan
from decontam.wide import WIDE_VERSION, Net, Pair, make_net, wide_pairs
from filters.errors import UsageError
from pipelines.row_scan import JUDGED, LISTED, Hit, evidence, read_hits
from pipelines.row_texts import TextBatch
from synth.client import HttpBackend, Server
from synth.engine import CONCURRENCY, Options, answer_all, resolve
from synth.journal import Journal
from synth.pace import Patience
from synth.requests import Outcome, Request, Sampling

BUDGET = 10_000  # pairs that are asked about, unless the caller says otherwise

# Why a pair is unknown, beside the failures of the client.
OVER_BUDGET, CROWDED, UNPARSABLE = "budget", "crowded", "unparsable"

_CHUNK = 1_024  # pairs asked together; a server that is slow with one holds up no others but these
_PATIENCE = Patience(tries=6, lost=30.0)
_ANSWER_CHARS = 200  # of an answer, in the evidence
_JSON_LINE = orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True, slots=True)
class Judge:
    """What the caller asks for."""

    server: Server
    concurrency: int = CONCURRENCY  # questions at a time
    budget: int = BUDGET
    journal: Path | None = None  # of answers


# A part that was scanned: its hits, beside which its pairs are; and the name of a row.
ScannedPart = tuple[Path, Callable[[int], str]]


# --- while texts are at hand ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Questions:
    """The questions of an index that have a text, as a net."""

    net: Net
    items: Sequence[int]  # of the index, by number in the net
    numbers: dict[tuple[str, str, int], int]  # by benchmark, split and row

    def known(self, index: Index, matches: Sequence[Match]) -> Collection[int]:
        """The questions of whose rows something was found."""
        rows = {(item.benchmark, item.split, item.row) for item in (index.items[m.item] for m in matches)}
        return {self.numbers[row] for row in rows if row in self.numbers}


@lru_cache(maxsize=1)
def _questions(index: Index) -> _Questions:
    kept = [(n, item) for n, item in enumerate(index.items) if item.field == "question" and item.text]
    numbers = {(item.benchmark, item.split, item.row): number for number, (_, item) in enumerate(kept)}
    return _Questions(make_net([item.text for _, item in kept]), [n for n, _ in kept], numbers)


def collect(index: Index, batch: TextBatch, scans: Sequence[Scan], hits: Path) -> None:
    """Writes the pairs of a batch beside the hits of its part, in the order of rows."""
    if not scans:
        return
    questions = _questions(index)
    caught = wide_pairs(questions.net, batch.batch, [questions.known(index, scan.matches) for scan in scans])
    held = [text for text, catch in enumerate(caught) if catch.pairs]
    with _pairs(hits).open("ab") as out:
        for text in sorted(held, key=batch.order):
            matches = [_match(questions.items[pair.question], pair) for pair in caught[text].pairs]
            lines = evidence(index, batch, text, matches)
            left_out = caught[text].left_out
            for pair, match, line in zip(caught[text].pairs, matches, lines, strict=True):
                row = {"row": int(batch.numbers[text]), "place": batch.place(text), "matches": [match]}
                row |= {"lines": [{**line, "score": pair.score}], "left_out": left_out}
                out.write(orjson.dumps(row, option=_JSON_LINE))
                left_out = 0


def _match(item: int, pair: Pair) -> Match:
    """A pair as the match that it is when the model says yes; its ratio is the share of the question's bits."""
    return Match(item=item, kind="judged", lcs=pair.share, ngrams=0, window=pair.window, span=pair.span)


def _pairs(hits: Path) -> Path:
    return hits.with_suffix(".pairs")


# --- when all texts are scanned ---------------------------------------------------------------------------------------


@dataclass
class _Counts:
    """What became of the pairs."""

    spared: int = 0  # of rows that are removed anyway
    answers: Counter[str] = field(default_factory=lambda: Counter(yes=0, no=0))
    unknown: Counter[str] = field(default_factory=Counter)
    listed: dict[str, list[str]] = field(default_factory=dict)  # the first rows of each reason
    told: set[tuple[int, int]] = field(default_factory=set)  # (part, row) with a yes
    untold: set[tuple[int, int]] = field(default_factory=set)  # and with an unknown pair

    def add_unknown(self, reason: str, row: tuple[int, int], origin: str, pairs: int = 1) -> None:
        self.unknown[reason] += pairs
        self.untold.add(row)
        listed = self.listed.setdefault(reason, [])
        if len(listed) < LISTED and origin not in listed[-1:]:
            listed.append(origin)


class Judging:
    """A judge at work."""

    def __init__(self, judge: Judge, backend: HttpBackend, journal: Journal) -> None:
        self._judge, self._backend, self._journal = judge, backend, journal
        self._counts = _Counts()

    def settle(
        self, parts: Sequence[ScannedPart], is_gone: Callable[[Sequence[Hit]], bool], progress: Callable[[], None]
    ) -> None:
        """Asks about the pairs of the parts, and writes the hits that come of it beside those of each part.

        is_gone : whether a row with these hits is removed anyway.
        """
        if not parts:
            return
        gathered = parts[0][0].with_name("pairs")
        allowed = _best(self._gather(parts, is_gone, gathered), self._judge.budget)
        with gathered.open("rb") as lines:
            pairs = map(orjson.loads, lines)
            while chunk := list(islice(zip(pairs, allowed, strict=False), _CHUNK)):
                self._ask(chunk, parts, progress)

    def _gather(
        self, parts: Sequence[ScannedPart], is_gone: Callable[[Sequence[Hit]], bool], gathered: Path
    ) -> Sequence[int]:
        """Writes the pairs of all parts that are worth a question to one file; their scores."""
        scores = array("q")
        with gathered.open("wb") as out:
            for number, (hits, origin) in enumerate(parts):
                path = _pairs(hits)
                gone = {row for row, found in read_hits(hits) if is_gone(found)} if path.exists() else set()
                for pair in _read(path):
                    if pair["row"] in gone:
                        self._counts.spared += 1 + pair["left_out"]
                        continue
                    if pair["left_out"]:
                        row = number, pair["row"]
                        self._counts.add_unknown(CROWDED, row, origin(pair["row"]), pair["left_out"])
                    scores.append(pair["lines"][0]["score"])
                    out.write(orjson.dumps({**pair, "part": number}, option=_JSON_LINE))
        return scores

    def _ask(
        self, chunk: Sequence[tuple[dict[str, Any], bool]], parts: Sequence[ScannedPart], progress: Callable[[], None]
    ) -> None:
        """Asks about the pairs that are allowed, and counts all."""
        asked = [pair["lines"][0] for pair, allowed in chunk if allowed]
        requests = [self._request(ask_about(line["doc_text"], line["item_text"])) for line in asked]
        options = Options(self._judge.concurrency, resamples=0, patience=_PATIENCE)
        answer_all(requests, self._backend, self._journal, _no_check, options, lambda _: progress())
        outcomes = (resolve(request, self._journal, _no_check, 0)[1] for request in requests)
        for pair, allowed in chunk:
            (hits, origin), row = parts[pair["part"]], (pair["part"], pair["row"])
            outcome = next(outcomes) if allowed else Outcome(failure=OVER_BUDGET)
            said = None if outcome.failure else read_answer(str(outcome.text))
            if said is None:
                self._counts.add_unknown(outcome.failure or UNPARSABLE, row, origin(pair["row"]))
                continue
            self._counts.answers[said] += 1
            if said == "yes":
                self._counts.told.add(row)
                told = {"judge_model": self._backend.model, "judge_answer": str(outcome.text)[:_ANSWER_CHARS]}
                lines = [{**pair["lines"][0], **told}]
                with hits.with_suffix(JUDGED).open("ab") as out:
                    out.write(orjson.dumps({**pair, "lines": lines}, option=_JSON_LINE))

    def _request(self, messages: Sequence[dict[str, str]]) -> Request:
        said = tuple((message["role"], message["content"]) for message in messages)
        return Request("judge", PROMPT_VERSION, self._backend.model, said, Sampling(max_tokens=MAX_ANSWER_TOKENS))

    def report(self, index: Index) -> dict[str, Any]:
        """What report.json holds of it; `private_items` have no text, and nobody can be asked about them."""
        counts = self._counts
        private = sum(index.is_private(n) for n, item in enumerate(index.items) if item.field == "question")
        return {
            "endpoint": self._backend.base,
            "model": self._backend.model,
            "prompt": PROMPT_VERSION,
            "net": WIDE_VERSION,
            "budget": self._judge.budget,
            "pairs": counts.spared + counts.answers.total() + counts.unknown.total(),
            "spared": counts.spared,
            "answers": dict(counts.answers),
            "unknown": dict(sorted(counts.unknown.items())),
            "unknown_listed": dict(sorted(counts.listed.items())),
            "documents_unknown": len(counts.untold - counts.told),
            "private_items": private,
        }


@contextmanager
def at_work(judge: Judge, kept: Path | None) -> Iterator[Judging]:
    """The judge; its answers are kept in the journal that it names, otherwise in `kept`, otherwise in memory.

    UsageError where it cannot be asked at all.
    """
    with ExitStack() as stack:
        try:
            journal = stack.enter_context(Journal(judge.journal or kept))
            backend = HttpBackend(judge.server)
            backend.check_key()
        except UsageError as error:
            msg = f"--judge: {error}"
            raise type(error)(msg) from error
        yield Judging(judge, backend, journal)


def _no_check(_: Request, __: Outcome) -> str:
    """Whatever the model says is its answer: an odd one is counted where it is read."""
    return ""


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The pairs of a part; a part of whose texts none has any has no file."""
    if path.exists():
        with path.open("rb") as lines:
            yield from map(orjson.loads, lines)


def _best(scores: Sequence[int], budget: int) -> list[bool]:
    """Which pairs are among the best, the first of equals first."""
    allowed = np.zeros(len(scores), dtype=bool)
    allowed[np.argsort(-np.array(scores, dtype=np.int64), kind="stable")[:budget]] = True
    chosen: list[bool] = allowed.tolist()
    return chosen

"""What all tasks share: how they ask, how an answer is checked, and what becomes of one that is no use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

from synth.parse import Parsed, parse_pairs, parse_text
from synth.prompts import Prompt, Prompts
from synth.requests import Outcome, Request
from synth.samples import Document, Rejection, Sample
from synth.texts import is_in, loops, refuses

CUT = "length"  # the finish of an answer that ended because it was long enough
FILTERED = "content_filter"

Answers = Sequence[tuple[Request, Outcome]]
Item_contra = TypeVar("Item_contra", contravariant=True)


class Task(Protocol[Item_contra]):
    """What is done with each item of a round. All three are pure functions, since a resumed run calls them again.

    `plan` says what is asked about an item, `check` what is wrong with an answer ("" where nothing is), and `finish`
    what is made of the last attempt at each request of the plan, in its order; `Outcome.failure` is set where it is no
    use. Each request leaves at least one result, a rejection if nothing else.
    """

    @property
    def name(self) -> str:
        """Of the task."""

    def plan(self, item: Item_contra) -> list[Request]:
        """The requests about an item."""

    def check(self, request: Request, outcome: Outcome) -> str:
        """The failure of an answer, or nothing."""

    def finish(self, item: Item_contra, answers: Answers) -> list[Sample | Rejection]:
        """What is made of the answers."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How the tasks of a run ask: with which prompts, which model, and from which seed their samples are drawn."""

    prompts: Prompts
    model: str
    seed: int = 0

    def prompt(self, task: str, item: Document | Sample, language: str = "") -> Prompt:
        """The prompt of a task in the language of an item, or in another."""
        return self.prompts.get(task, language or language_of(item), task)

    def request(
        self, prompt: Prompt, values: Mapping[str, str], *, sample: int = 0, labels: tuple[str, ...] = ()
    ) -> Request:
        """One request."""
        messages = prompt.render(values)
        return Request(
            prompt.task,
            prompt.name,
            self.model,
            messages,
            prompt.sampling,
            sample=sample,
            seed=self.seed,
            labels=labels,
        )


def language_of(item: Document | Sample) -> str:
    """The language that an item is asked about in: Chinese if it is, English otherwise."""
    return "zh" if item.language == "zh" else "en"


def language_asked(request: Request) -> str:
    """The language of the prompt of a request, which is that of the answer."""
    return request.prompt.partition("/")[2].partition("@")[0]


def rejected(item: Document | Sample, request: Request, stage: str, reason: str, raw: str | None = None) -> Rejection:
    """The rejection of what this request brought."""
    return Rejection(item.lineage, request.task, stage, reason, request.id, raw or "")


def failures(item: Document | Sample, answers: Answers) -> list[Rejection]:
    """A rejection for each request that no usable answer came to, with what came."""
    return [rejected(item, request, "request", o.failure, o.text) for request, o in answers if o.failure]


def check_text(outcome: Outcome) -> str:
    """What is wrong with any text: `empty`, `content_filter`, `loop`."""
    text = outcome.text or ""
    if outcome.finish == FILTERED:
        return FILTERED
    if not text.strip():
        return "empty"
    return "loop" if loops(text) else ""


def check_parsed(parsed: Parsed, outcome: Outcome) -> str:
    """What is wrong with tags: `refusal`, `truncated` or `parse:REASON`."""
    if not parsed.failure:
        return ""
    if refuses(outcome.text or ""):
        return "refusal"
    return "truncated" if outcome.finish == CUT else f"parse:{parsed.failure}"


def pairs_in(outcome: Outcome) -> Parsed:
    """The pairs of an answer."""
    return _parsed(outcome.text or "", outcome.finish == CUT)


@lru_cache(maxsize=16)  # check and finish look at the same answers
def _parsed(text: str, cut: bool) -> Parsed:
    return parse_pairs(text, cut=cut)


def text_in(outcome: Outcome) -> Parsed:
    """The text of an answer."""
    return parse_text(outcome.text or "")


def check_language(texts: Iterable[str], request: Request) -> str:
    """`language` where the texts are not in that of the prompt."""
    return "" if is_in("\n".join(texts), language_asked(request)) else "language"


def check_pairs(request: Request, outcome: Outcome, *, own_words: bool) -> str:
    """What is wrong with an answer of pairs; its language too where the words are the model's own."""
    failure = check_text(outcome)
    if failure:
        return failure
    parsed = pairs_in(outcome)
    failure = check_parsed(parsed, outcome)
    if failure or not own_words:
        return failure
    return check_language((part for p in parsed.pairs for part in (p.question, p.solution)), request)


def chosen(names: Sequence[str], number: int, seed: str) -> list[str]:
    """`number` of the names, drawn by digests of the seed; all of them where there are fewer."""
    ranked = sorted(names, key=lambda name: hashlib.blake2b(f"{seed}\0{name}".encode()).digest())
    return ranked[:number]

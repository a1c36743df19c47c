"""Scores of documents by the probabilities of a model's next token: YES or NO to two questions, and a grade of 0 to 5.

After AutoMathText the score of a question is exp(yes) / (exp(yes) + exp(no)), and that of a text the product of both
questions' scores. The probabilities of all spellings of a label are added up, and where the labels have less than half
of the mass together, the model did not answer the question: the score is none and marked, since 0 would say that the
text is bad. Long documents are read at fixed windows, which the score names. Thresholds are for later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from synth.prompts import Prompt
from synth.requests import Outcome, Request
from synth.samples import Document, Rejection
from synth.tasks.task import Answers, Asking, failures
from synth.windows import WINDOW_CHARS, windows

MIN_LABEL_MASS = 0.5  # of the next token's probability, below which the model said something else
OFF_FORMAT = "off_format"


@dataclass(frozen=True, slots=True)
class Score:
    """What a model thinks of a document.

    windows : [start, end] in characters of the text that were read.
    scores : one for each window, in [0, 1] or [0, 5]; None where it is off format, or an answer failed.
    mean, least : over the windows that have one; None where none has.
    questions : name -> score for each window; masses : name -> probability of all labels for each window.
    marks : off_format or the failure -> how many answers it befell.
    grades : for the scale of 0 to 5, the most probable grade of each window.
    """

    document: str
    task: str
    prompt: str
    model: str
    windows: tuple[tuple[int, int], ...]
    scores: tuple[float | None, ...]
    mean: float | None
    least: float | None
    questions: Mapping[str, tuple[float | None, ...]]
    masses: Mapping[str, tuple[float, ...]]
    marks: Mapping[str, int]
    requests: tuple[str, ...]
    grades: tuple[int | None, ...] = ()


def label_masses(tops: Sequence[tuple[str, float]], labels: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The probability of each meaning: of all its spellings among the next tokens (token, log-probability)."""
    meaning = {spelling: name for name, spellings in labels.items() for spelling in spellings}
    masses = dict.fromkeys(labels, 0.0)
    for token, logarithm in tops:
        if token in meaning:
            masses[meaning[token]] += math.exp(logarithm)
    return masses


def _check_labels(outcome: Outcome) -> str:
    return "" if outcome.tops else "no_logprobs"


@dataclass(frozen=True, slots=True)
class LmScore:
    """The product of the scores of the prompt's questions, for each window.

    budget : of a window, in what `count` counts; characters where it counts none.
    """

    asking: Asking
    budget: int = WINDOW_CHARS
    count: Callable[[str], int] = len
    name: str = "lm_score"

    def plan(self, item: Document) -> list[Request]:
        """A request for each window and question, those of a window beside each other; none about blanks."""
        prompt = self.asking.prompt(self.name, item)
        labels = _spellings(prompt)
        return [
            self.asking.request(prompt, {"document": item.text[a:b], "question": question}, labels=labels)
            for a, b in _places(item, self.budget, self.count)
            for question in prompt.questions.values()
        ]

    def check(self, request: Request, outcome: Outcome) -> str:
        """`no_logprobs` where there are no probabilities."""
        del request
        return _check_labels(outcome)

    def finish(self, item: Document, answers: Answers) -> list[Score | Rejection]:
        """One score, and a rejection for each answer that failed."""
        prompt = self.asking.prompt(self.name, item)
        names = list(prompt.questions)
        found = [_yes(outcome, prompt.labels) for _, outcome in answers]
        questions = {name: tuple(score for score, _ in found[k :: len(names)]) for k, name in enumerate(names)}
        masses = {name: tuple(mass for _, mass in found[k :: len(names)]) for k, name in enumerate(names)}
        scores = [_product(each) for each in zip(*questions.values(), strict=True)]
        return [
            _score(self, item, answers, scores, questions=questions, masses=masses),
            *failures(item, answers),
        ]


@dataclass(frozen=True, slots=True)
class EduScore:
    """The grade of 0 to 5 that the model expects, for each window, and the one that it finds most probable."""

    asking: Asking
    budget: int = WINDOW_CHARS
    count: Callable[[str], int] = len
    name: str = "edu_score"

    def plan(self, item: Document) -> list[Request]:
        """A request for each window; none about blanks."""
        prompt = self.asking.prompt(self.name, item)
        labels = _spellings(prompt)
        places = _places(item, self.budget, self.count)
        return [self.asking.request(prompt, {"document": item.text[a:b]}, labels=labels) for a, b in places]

    def check(self, request: Request, outcome: Outcome) -> str:
        """`no_logprobs` where there are no probabilities."""
        del request
        return _check_labels(outcome)

    def finish(self, item: Document, answers: Answers) -> list[Score | Rejection]:
        """One score, and a rejection for each answer that failed."""
        labels = self.asking.prompt(self.name, item).labels
        grades: list[int | None] = []
        scores: list[float | None] = []
        masses: list[float] = []
        for _, outcome in answers:
            each = label_masses(outcome.tops, labels)
            mass = sum(each.values())
            said = not outcome.failure and mass >= MIN_LABEL_MASS
            scores.append(sum(int(k) * p for k, p in each.items()) / mass if said else None)
            grades.append(max(range(6), key=lambda k: each[str(k)]) if said else None)
            masses.append(mass)
        kept, mass_of = {"grade": tuple(scores)}, {"grade": tuple(masses)}
        score = _score(self, item, answers, scores, questions=kept, masses=mass_of, grades=tuple(grades))
        return [score, *failures(item, answers)]


def _places(item: Document, budget: int, count: Callable[[str], int]) -> tuple[tuple[int, int], ...]:
    return windows(item.text, budget, count) if item.text.strip() else ()


def _spellings(prompt: Prompt) -> tuple[str, ...]:
    return tuple(spelling for spellings in prompt.labels.values() for spelling in spellings)


def _yes(outcome: Outcome, labels: Mapping[str, Sequence[str]]) -> tuple[float | None, float]:
    """(score of one answer, mass of its labels)."""
    masses = label_masses(outcome.tops, labels)
    mass = sum(masses.values())
    said = not outcome.failure and mass >= MIN_LABEL_MASS
    return (masses["positive"] / mass if said else None), mass


def _product(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return math.prod(known) if len(known) == len(scores) else None


def _score(  # noqa: PLR0913
    task: LmScore | EduScore,
    item: Document,
    answers: Answers,
    scores: Sequence[float | None],
    *,
    questions: Mapping[str, tuple[float | None, ...]],
    masses: Mapping[str, tuple[float, ...]],
    grades: tuple[int | None, ...] = (),
) -> Score:
    known = [score for score in scores if score is not None]
    marks: dict[str, int] = {}
    for (_, outcome), mass in zip(answers, _in_order(masses), strict=True):
        mark = outcome.failure or (OFF_FORMAT if mass < MIN_LABEL_MASS else "")
        if mark:
            marks[mark] = marks.get(mark, 0) + 1
    answered = next((outcome.model for _, outcome in answers if outcome.model), task.asking.model)
    return Score(
        item.id, task.name, task.asking.prompt(task.name, item).name, answered,
        _places(item, task.budget, task.count), tuple(scores), math.fsum(known) / len(known) if known else None,
        min(known, default=None), questions, masses, marks, tuple(request.id for request, _ in answers), grades,
    )  # fmt: skip


def _in_order(masses: Mapping[str, tuple[float, ...]]) -> list[float]:
    """The masses in the order of the requests: window by window, question by question."""
    return [mass for window in zip(*masses.values(), strict=True) for mass in window]

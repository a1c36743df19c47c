"""Solutions to a question, several to each, with the vote of their answers; and a judge of finished exercises.

A solution is the whole answer of the model: reasoning that ends in a boxed result, or a Python program between an
explanation and a boxed result. Whether two answers are equal is for `synth.equality` to say; it comes in as a function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from synth.answers import extract_answer, normalise
from synth.parse import parse_verdict, spoken, unescape
from synth.requests import Outcome, Request
from synth.samples import Rejection, Sample, generation, sample_id
from synth.tasks.task import (
    CUT,
    Answers,
    Asking,
    check_language,
    check_text,
    failures,
    language_asked,
)
from synth.texts import refuses
from synth.votes import Vote, vote

Compare = Callable[[str, str], str]  # of two answers: equal, different or unknown
Reward = Callable[[str, str], float]  # of question and solution; the higher, the better
_FENCE = "```python"


@dataclass(frozen=True, slots=True)
class Solve:
    """n solutions to the question of a sample; `name` is solve_cot or solve_code.

    compare : says which answers are equal, those that the vote is of and the one that the question came with, if it has
    one. reward : the solutions come best first, those that agree with the vote before the others.
    """

    asking: Asking
    compare: Compare
    name: str = "solve_cot"
    n: int = 8
    reward: Reward | None = None

    def plan(self, item: Sample) -> list[Request]:
        """n requests that differ in `sample` alone."""
        first = self.asking.request(self.asking.prompt(self.name, item), {"question": item.question})
        return [replace(first, sample=k) for k in range(self.n)]

    def check(self, request: Request, outcome: Outcome) -> str:
        """What is wrong with the text: `truncated`, `refusal`, `language`, `parse:no_code`, ..."""
        failure = check_text(outcome)
        if failure:
            return failure
        if outcome.finish == CUT:
            return "truncated"
        text, failure = spoken(outcome.text or "")
        if failure or not text.strip():
            return f"parse:{failure}" if failure else "empty"
        if refuses(text) and "\\boxed" not in text:
            return "refusal"
        if self.name == "solve_code" and _FENCE not in text:
            return "parse:no_code"
        return check_language([text], request)

    def finish(self, item: Sample, answers: Answers) -> list[Sample | Rejection]:
        """A sample for each solution, each with the vote of all."""
        whole = [(request, outcome) for request, outcome in answers if not outcome.failure]
        texts = [unescape(spoken(outcome.text or "")[0]).strip() for _, outcome in whole]
        found = [stated.text if (stated := extract_answer(text)) else None for text in texts]
        cast = vote([*found, *[None] * (len(answers) - len(whole))], self._equal)
        made = [self._sample(item, *parts, cast) for parts in zip(whole, texts, found, strict=True)]
        return [*failures(item, answers), *self._ranked(made)]

    def _equal(self, left: str, right: str) -> bool:
        return self.compare(left, right) == "equal"

    def _sample(
        self, item: Sample, answer: tuple[Request, Outcome], text: str, found: str | None, cast: Vote
    ) -> Sample:
        request, outcome = answer
        agrees = found is not None and (normalise(found) == cast.winner or self._equal(found, cast.winner))
        votes: dict[str, Any] = {**asdict(cast), "agrees": agrees}
        if item.answer:
            votes["reference"] = self.compare(item.answer, found) if found else "unknown"
        return Sample(
            sample_id(item.lineage, request, 0), self.name.removeprefix("solve_"), language_asked(request),
            item.lineage, generation(request, outcome), item.question, text, found or "", url=item.url,
            context=item.context, votes=votes, signals={"reference_answer": item.answer},
        )  # fmt: skip

    def _ranked(self, samples: list[Sample]) -> list[Sample]:
        """The samples with their rewards, the best first: of those that agree with the vote, then of the others."""
        if self.reward is None:
            return samples
        rewards = [float(self.reward(s.question, s.solution)) for s in samples]
        order = sorted(range(len(samples)), key=lambda k: (not samples[k].votes.get("agrees"), -rewards[k], k))
        return [
            replace(samples[k], signals={**samples[k].signals, "reward": rewards[k], "reward_rank": rank})
            for rank, k in enumerate(order)
        ]


@dataclass(frozen=True, slots=True)
class Judge:
    """A verdict on a sample, which stays the same sample; gates read `signals["judge"]`."""

    asking: Asking
    name: str = "judge"

    def plan(self, item: Sample) -> list[Request]:
        """One request."""
        return [self.asking.request(self.asking.prompt(self.name, item), asdict(item.pair))]

    def check(self, request: Request, outcome: Outcome) -> str:
        """What is wrong with the tags."""
        del request
        failure = check_text(outcome) or ("truncated" if outcome.finish == CUT else "")
        if failure:
            return failure
        failure = parse_verdict(outcome.text or "")[1]
        if not failure:
            return ""
        return "refusal" if refuses(outcome.text or "") else f"parse:{failure}"

    def finish(self, item: Sample, answers: Answers) -> list[Sample | Rejection]:
        """The sample with the verdict."""
        made: list[Sample | Rejection] = list(failures(item, answers))
        for request, outcome in answers:
            if not outcome.failure:
                verdict = parse_verdict(outcome.text or "")[0]
                judged = {"judge": verdict, "judge_request": request.id, "judge_model": outcome.model or request.model}
                made.append(replace(item, signals={**item.signals, **judged}))
        return made

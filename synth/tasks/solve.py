"""Solutions to a question, several to each, with the vote of their answers; and a judge of finished exercises.

A solution is the whole answer of the model: reasoning that ends in a boxed result, or a Python program between an
explanation and a boxed result. What two answers have in common is for `synth.votes` to say, and comes in as a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from synth.answers import Extracted, extract_answer
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

Vote = Callable[[Sequence[str | None]], Sequence[Mapping[str, Any]]]
"""From the answers to a question, None where a solution marks none: for each of them what its sample is to say.

`n_parsed` (answers that are not None), `share` and `margin` of the class with the most votes (its part of all n; votes
more than the second), `agrees` (whether this one is in that class).
"""
Same = Callable[[str, str], str]  # equal, different or unknown
Reward = Callable[[str, str], float]  # of question and solution; the higher, the better
_FENCE = "```python"


@dataclass(frozen=True, slots=True)
class Solve:
    """n solutions to the question of a sample; `name` is solve_cot or solve_code.

    vote : see `Vote`. same : compares the answer that the question came with, if it has one. reward : ranks solutions
    that agree; the best has rank 0.
    """

    asking: Asking
    vote: Vote
    name: str = "solve_cot"
    n: int = 8
    same: Same | None = None
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
        found = [extract_answer(text) for text in texts]
        votes = self.vote([answer.text if answer else None for answer in found]) if found else []
        made = [self._sample(item, *parts) for parts in zip(whole, texts, found, votes, strict=True)]
        return [*failures(item, answers), *self._ranked(made)]

    def _sample(
        self, item: Sample, answer: tuple[Request, Outcome], text: str, found: Extracted | None, vote: Mapping[str, Any]
    ) -> Sample:
        request, outcome = answer
        votes = {"n": self.n, **vote}
        if self.same is not None and item.answer:
            votes["reference"] = self.same(item.answer, found.text) if found else "unknown"
        return Sample(
            sample_id(item.lineage, request, 0), self.name.removeprefix("solve_"), language_asked(request),
            item.lineage, generation(request, outcome), item.question, text, found.text if found else "", url=item.url,
            context=item.context, votes=votes, signals={"reference_answer": item.answer},
        )  # fmt: skip

    def _ranked(self, samples: list[Sample]) -> list[Sample]:
        """The samples with their rewards, and ranks among those that agree with the vote; ties go to the first."""
        if self.reward is None:
            return samples
        rewards = [float(self.reward(s.question, s.solution)) for s in samples]
        order = sorted(range(len(samples)), key=lambda k: (not samples[k].votes.get("agrees"), -rewards[k], k))
        ranks = {k: rank for rank, k in enumerate(order)}
        return [
            replace(sample, signals={**sample.signals, "reward": rewards[k], "reward_rank": ranks[k]})
            for k, sample in enumerate(samples)
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

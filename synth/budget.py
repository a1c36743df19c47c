"""What a run may spend, in tokens and in money, over all its resumptions.

What was spent is read from the journal. A call is made only if the most that it can cost still fits beside what is
under way: an answer has at most the tokens that are asked for, and a prompt no more tokens than bytes. So a budget is
never exceeded by what a server counts, and what is left at the end is less than one call may cost. Calls that failed
bring no count: what a server charges for those is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from filters.errors import UsageError
from synth.requests import Outcome, Request, Usage

_MILLION = 1_000_000
_TEMPLATE_TOKENS = 32  # that a chat template puts around a message, and before the answer


@dataclass(frozen=True, slots=True)
class Budget:
    """tokens : of prompts and answers. money : in the currency of the prices, which are for a million tokens each."""

    tokens: int | None = None
    money: float | None = None
    prompt_price: float = 0.0
    completion_price: float = 0.0

    def __post_init__(self) -> None:
        """UsageError for money without a price."""
        if self.money is not None and self.prompt_price <= 0 and self.completion_price <= 0:
            msg = "a budget in money needs prices: give those of a million tokens of prompt and of answer"
            raise UsageError(msg)

    @property
    def is_given(self) -> bool:
        """Whether there is any limit."""
        return self.tokens is not None or self.money is not None

    def cost(self, usage: Usage) -> float:
        """What so many tokens cost."""
        return (usage.prompt * self.prompt_price + usage.completion * self.completion_price) / _MILLION

    def allows(self, usage: Usage) -> bool:
        """Whether so much may be spent in all."""
        return (self.tokens is None or usage.prompt + usage.completion <= self.tokens) and (
            self.money is None or self.cost(usage) <= self.money
        )


class Purse:
    """What is spent and what is under way."""

    def __init__(self, budget: Budget, spent: Usage) -> None:
        self._budget, self._spent = budget, spent
        self._under_way = Usage()

    def takes(self, group: Sequence[Request]) -> bool:
        """Sets the most that a call can cost aside, if it fits."""
        if not self._budget.is_given:
            return True
        after = _sum(self._under_way, most_tokens(group))
        if not self._budget.allows(_sum(self._spent, after)):
            return False
        self._under_way = after
        return True

    def settle(self, group: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Books what a call did cost, nothing if it failed; UsageError where a server that answers counts nothing."""
        if not self._budget.is_given:
            return
        bound, now = most_tokens(group), self._under_way
        self._under_way = Usage(now.prompt - bound.prompt, 0, now.completion - bound.completion)
        for outcome in outcomes:
            self._spent = _sum(self._spent, outcome.usage)
        if outcomes and not any(outcome.usage.prompt + outcome.usage.completion for outcome in outcomes):
            msg = "the server does not say how many tokens it used, so that a budget cannot be kept; leave it out"
            raise UsageError(msg)


def most_tokens(group: Sequence[Request]) -> Usage:
    """The most that a call for these requests can use."""
    conversations = dict.fromkeys(request.messages for request in group)
    prompt = sum(len(text.encode()) + _TEMPLATE_TOKENS for messages in conversations for _, text in messages)
    return Usage(prompt, 0, sum(1 if request.labels else request.sampling.max_tokens for request in group))


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.prompt + other.prompt, one.cached + other.cached, one.completion + other.completion)

"""What every way of asking a model has in common: what it can do, how it is asked, and what each failure calls for.

    failure           what happened                                              action
    refused           no connection, or it broke                                 again
    timeout           no whole answer in time                                    again
    garbage           an answer that is none: cut off, no JSON, no completion    again
    http_408, _425, _429, and all from http_500 on                               again
    missing           fewer answers than asked for with `n`                      again, alone
    empty             an answer without text                                     drawn again, as the task's own failures
    context_too_long  prompt and answer do not fit the model                     end
    content_filter    withheld by the server                                     end
    http_400, _413, _422   this request is none for this server                  end
    no_logprobs       probabilities were asked for, and none came                end
    every other status (401, 403, 404, a redirect ...), no_model                 stop: no request would fare better

    budget, and the failure of a server that is lost, are the ends of requests that were not sent.

A failure that a later run may mend is not lasting: it is kept, and asked about again by the next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from synth.requests import Outcome, Request

REFUSED, TIMEOUT, GARBAGE, MISSING, EMPTY = "refused", "timeout", "garbage", "missing", "empty"
TOO_LONG, FILTERED, NO_MODEL, NO_LOGPROBS = "context_too_long", "content_filter", "no_model", "no_logprobs"
BUDGET = "budget"
UNASKED = "unasked"  # the end, in an export, of a request of which the journal knows nothing yet

_ENDS = {TOO_LONG, FILTERED, NO_LOGPROBS, EMPTY, "http_400", "http_413", "http_422"}
_AGAIN = {REFUSED, TIMEOUT, GARBAGE, MISSING, "http_408", "http_425", "http_429"}
_OVERLOADED = {TIMEOUT, "http_429", "http_503", "http_529"}
_LASTING = {"", TOO_LONG, FILTERED, EMPTY, "http_400", "http_413", "http_422"}


class Action(Enum):
    """What is done after a failure of a call."""

    AGAIN = "again"  # the same request, later
    END = "end"  # of this request
    STOP = "stop"  # of the run


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server can do, found by trying: a field that it accepts and ignores is one that it does not have.

    model : as the server names it.
    n : most answers that one call brings.
    logprobs, top_logprobs : whether the first token's alternatives come with a chat completion, and how many at most.
    list_logprobs : how many at most with a completion.
    context : tokens of prompt and answer; 0 where the server does not say.
    """

    model: str = ""
    chat: bool = True
    completions: bool = False
    prompt_lists: bool = False
    n: int = 1
    seed: bool = False
    stop: bool = False
    logprobs: bool = False
    top_logprobs: int = 0
    list_logprobs: int = 0
    choices: bool = False  # structured: an answer that is one of those given
    context: int = 0


class CallFailedError(Exception):
    """A call that brought no answer to any of its requests.

    kind : see above. wait : seconds that the server asks to wait. detail : what it said, without the key.
    """

    def __init__(self, kind: str, wait: float = 0.0, detail: str = "") -> None:
        super().__init__(kind)
        self.kind, self.wait, self.detail = kind, wait, detail


class Backend(Protocol):
    """A way to ask a model."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    def joins(self, group: Sequence[Request], request: Request) -> bool:
        """Whether a request may be asked in one call with those of a group."""

    async def open(self) -> None:
        """Makes it ready; UsageError where it cannot be asked at all."""

    async def ask(self, group: Sequence[Request]) -> list[Outcome]:
        """One call: an outcome for each request, in order. CallFailedError where the call as a whole failed."""

    async def close(self) -> None:
        """Lets go of what `open` took."""

    def remedy(self, failed: CallFailedError) -> str:
        """What to tell of a failure that stops the run: one line that says what, where, and how to mend it."""


def action_of(kind: str) -> Action:
    """What a failure calls for."""
    if kind in _ENDS:
        return Action.END
    return Action.AGAIN if kind in _AGAIN or kind.startswith("http_5") else Action.STOP


def is_overload(kind: str) -> bool:
    """Whether fewer calls at a time may help."""
    return kind in _OVERLOADED


def is_lasting(failure: str) -> bool:
    """Whether an outcome stays what it is, however often it is asked for."""
    return failure in _LASTING


def is_sampled_alike(group: Sequence[Request], request: Request) -> bool:
    """Whether a request is another sample of the same question, so that one call with `n` asks for all."""
    first = group[0]
    return (
        request.messages == first.messages
        and request.sampling == first.sampling
        and request.attempt == first.attempt == 0
        and (request.model, request.prompt, request.task, request.seed, request.labels)
        == (first.model, first.prompt, first.task, first.seed, first.labels)
    )

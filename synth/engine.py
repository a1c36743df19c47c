"""Asks a model about all requests of a plan: lazily, adaptively, exactly once, each to a counted end.

The plan is read as far as there is room for calls, so that memory does not grow with it. What the journal knows is not
asked. A call that failed waits among the deferred, and takes no other's place while it does. An answer that the task
refuses is drawn again with another seed. No call is made while more than a few answers are not on the disk, so that a
process that is killed has asked for nothing twice but what was under way and those few.

Outputs are not made here: `resolve` finds in the journal what came of a request, for whoever writes them in the order
of the plan.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from filters.errors import UsageError
from synth.backend import BUDGET, EMPTY, MISSING, UNASKED, Action, Backend, CallFailedError, action_of, is_lasting
from synth.budget import Budget, Purse
from synth.journal import Journal
from synth.pace import Pace, Patience
from synth.requests import Outcome, Request, Usage

CONCURRENCY = 16  # enough to keep one model busy, and what a hosted one lets through
UNWRITTEN = 32  # answers that are not on the disk, beyond which no call is made

_GROUP_COMMIT = 16  # rows, or
_COMMIT_SECONDS = 0.02  # since the first of them
_DEFERRED = 4  # times the calls at a time: more than these wait before new requests are taken from the plan
_TOLD = 1_024  # requests of the plan
_DENIED = 3  # calls in a row that say that none would do better; without an answer before them, the first says it

Check = Callable[[Request, Outcome], str]


@dataclass(frozen=True, slots=True)
class Options:
    """How a run asks."""

    concurrency: int = CONCURRENCY  # most calls at a time
    resamples: int = 2  # times that an answer which the task refuses is drawn again
    patience: Patience = field(default_factory=Patience)
    budget: Budget = field(default_factory=Budget)


@dataclass(slots=True)
class Summary:
    """What became of the requests of a plan: planned = answered + all failures."""

    planned: int = 0
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    known: int = 0  # of both, those about which nothing had to be asked
    calls: int = 0  # that came back, in whatever way
    troubles: Counter[str] = field(default_factory=Counter)  # failures of calls, those that another try mended too
    redrawn: int = 0  # answers that the task refused, and that were drawn again
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    concurrency: int = 0  # calls at a time that the server bears, as far as is known


def answer_all(
    requests: Iterable[Request],
    backend: Backend,
    journal: Journal,
    check: Check,
    options: Options,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Brings every request to its end, with the outcomes in the journal.

    check : empty, or why the task refuses an answer.
    progress : told of the counts after each call, and now and then while known requests are passed over.
    UsageError where no request would get an answer: a wrong key, a wrong model, a server that is not there.
    """
    run = _Run(iter(requests), backend, journal, check, options)
    run.progress = progress or (lambda _: None)
    asyncio.run(run.run())
    return run.summary


def resolve(request: Request, journal: Journal, check: Check, resamples: int) -> tuple[Request, Outcome]:
    """The last attempt at a request and what came of it, from the journal alone; a task's refusal is its failure."""
    first = request
    while (outcome := journal.get(request.id)) is not None:
        failure = outcome.failure or check(request, outcome)
        later = _again(first, request, outcome, failure, resamples)
        if later is None:
            return request, replace(outcome, failure=failure)
        request = later
    return request, Outcome(failure=UNASKED, tries=0)


def _again(first: Request, request: Request, outcome: Outcome, failure: str, resamples: int) -> Request | None:
    """The next attempt after a refused answer, if there is one. At temperature 0 another draw is the same draw.

    An answer that was cut off gets twice the room, once.
    """
    drawn = outcome.failure in {"", EMPTY} and not request.labels
    if not failure or not drawn or request.attempt - first.attempt >= resamples:
        return None
    sampling = request.sampling
    if outcome.finish == "length" and sampling.max_tokens == first.sampling.max_tokens:
        return replace(request.again(), sampling=replace(sampling, max_tokens=2 * sampling.max_tokens))
    return request.again() if sampling.temperature > 0 else None


@dataclass(eq=False, slots=True)
class _Case:
    """A planned request on its way to its end."""

    first: Request
    request: Request
    key: str  # id of the first
    tries: int = 0


class _Run:
    """One run; all of it but the writing to disk is in one thread."""

    def __init__(
        self, plan: Iterator[Request], backend: Backend, journal: Journal, check: Check, options: Options
    ) -> None:
        self.summary = Summary()
        self.progress: Callable[[Summary], None] = lambda _: None
        self._backend, self._journal, self._check, self._options = backend, journal, check, options
        self._pace = Pace(options.concurrency, options.patience)
        self._purse = Purse(options.budget, journal.usage() if options.budget.is_given else Usage())
        self._fresh = self._unknown(plan)
        self._next: _Case | None = None  # of the plan, taken and not yet in a call
        self._deferred: list[tuple[float, int, list[_Case]]] = []  # a heap by time
        self._number = 0
        self._shares: dict[str, int] = {}  # planned requests of each id that is on its way
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped: BaseException | None = None
        self._denied = _DENIED - 1  # calls in a row that were told that none would do better
        self._timed = False  # a group of answers goes to the disk by the clock

    async def run(self) -> None:
        """All requests to their ends."""
        self._wake, self._dirty = asyncio.Event(), asyncio.Event()
        await self._backend.open()
        writer = asyncio.create_task(self._write())
        writer.add_done_callback(self._done)
        try:
            await self._dispatch()
        finally:
            for task in (*self._tasks, writer):
                task.cancel()
            await asyncio.gather(*self._tasks, writer, return_exceptions=True)
            self._journal.flush()
            await self._backend.close()

    async def _dispatch(self) -> None:
        """Makes calls while there is anything to ask and leave to do so; what is left then ends unsent."""
        while True:
            if self._stopped is not None:
                raise self._stopped
            now = time.monotonic()
            if self._pace.given_up(now):
                return await self._end_unsent(self._pace.failure)
            if self._journal.waiting > UNWRITTEN or len(self._tasks) >= self._pace.room(now):
                await self._sleep(self._pace.wait(now))
            elif (group := self._take(now)) is None:
                if not self._tasks and not self._deferred:
                    return None
                await self._sleep(self._deferred[0][0] - now if self._deferred else 0)
            elif self._purse.takes([case.request for case in group]):
                task = asyncio.create_task(self._call(group))
                self._tasks.add(task)
                task.add_done_callback(self._done)
            else:
                self._defer(group, now)
                if not self._tasks:
                    return await self._end_unsent(BUDGET)
                await self._sleep(0)

    async def _sleep(self, seconds: float) -> None:
        """Until something happened, at most as long as is said; 0 says nothing."""
        timer = asyncio.get_running_loop().call_later(seconds, self._wake.set) if seconds > 0 else None
        await self._wake.wait()
        self._wake.clear()
        if timer is not None:
            timer.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._stopped = self._stopped or task.exception()
        self._wake.set()

    async def _write(self) -> None:
        """Puts answers on the disk in groups."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await asyncio.to_thread(self._journal.flush)
            self._wake.set()

    # --- what is asked next -------------------------------------------------------------------------------------------

    def _unknown(self, plan: Iterator[Request]) -> Iterator[_Case]:
        """The requests of which the journal has no end, in the order of the plan."""
        for request in plan:
            self.summary.planned += 1
            if self.summary.planned % _TOLD == 0:  # a resumed run may go through many that are known
                self.progress(self.summary)
            case = _Case(request, request, request.id)
            if case.key in self._shares:
                self._shares[case.key] += 1
                continue
            self._shares[case.key] = 1
            if self._follow(case):
                self.summary.known += 1
            else:
                yield case

    def _follow(self, case: _Case) -> bool:
        """Goes to the first attempt that has to be asked; whether there is none, and the case has ended."""
        while (outcome := self._journal.get(case.request.id)) is not None and is_lasting(outcome.failure):
            if not self._advance(case, outcome):
                return True
        return False

    def _advance(self, case: _Case, outcome: Outcome) -> bool:
        """Goes to the next attempt, or ends the case; whether there is a next."""
        failure = outcome.failure or self._check(case.request, outcome)
        later = _again(case.first, case.request, outcome, failure, self._options.resamples)
        if later is None:
            self._end(case, failure)
            return False
        case.request, case.tries = later, 0
        return True

    def _end(self, case: _Case, failure: str) -> None:
        share = self._shares.pop(case.key)
        if failure:
            self.summary.failures[failure] += share
        else:
            self.summary.answered += share

    def _take(self, now: float) -> list[_Case] | None:
        """The next call: what was deferred and is due, otherwise the next of the plan."""
        if self._deferred and self._deferred[0][0] <= now:
            return heapq.heappop(self._deferred)[2]
        if len(self._deferred) >= _DEFERRED * self._options.concurrency:
            return None
        first, self._next = self._next or next(self._fresh, None), None
        if first is None:
            return None
        group, asked = [first], [first.request]
        while (case := next(self._fresh, None)) is not None:
            if not self._backend.joins(asked, case.request):
                self._next = case
                break
            group.append(case)
            asked.append(case.request)
        return group

    def _defer(self, group: list[_Case], due: float) -> None:
        self._number += 1
        heapq.heappush(self._deferred, (due, self._number, group))

    async def _end_unsent(self, failure: str) -> None:
        """The end of all that is not sent, once what was has come back. The journal has no row of these."""
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._stopped is not None:
            raise self._stopped
        for _, _, group in self._deferred:
            for case in group:
                self._end(case, failure)
        if self._next is not None:
            self._end(self._next, failure)
        for case in self._fresh:
            self._end(case, failure)
        self.progress(self.summary)

    # --- a call -------------------------------------------------------------------------------------------------------

    async def _call(self, group: list[_Case]) -> None:
        asked = [case.request for case in group]
        outcomes: Sequence[Outcome] = ()
        try:
            outcomes = await self._backend.ask(asked)
        except CallFailedError as failed:
            self._failed(group, failed)
        else:
            self._answered(group, outcomes)
        self._purse.settle(asked, outcomes)
        self.summary.calls += 1
        self.summary.concurrency = int(self._pace.limit)
        self.progress(self.summary)

    def _answered(self, group: list[_Case], outcomes: Sequence[Outcome]) -> None:
        self._pace.answered()
        self._denied = 0
        for case, outcome in zip(group, outcomes, strict=True):
            case.tries += 1
            if outcome.failure == MISSING and case.tries < self._options.patience.tries:
                self.summary.troubles[MISSING] += 1
                self._defer([case], 0)
                continue
            self._keep(case, replace(outcome, tries=case.tries))
            self.summary.prompt_tokens += outcome.usage.prompt
            self.summary.cached_tokens += outcome.usage.cached
            self.summary.completion_tokens += outcome.usage.completion
            if self._advance(case, outcome):
                self.summary.redrawn += 1
                if not self._follow(case):
                    self._defer([case], 0)

    def _failed(self, group: list[_Case], failed: CallFailedError) -> None:
        """Ends the requests of a call that failed, or defers them; UsageError where no request would do better."""
        now, patience, kind = time.monotonic(), self._options.patience, failed.kind
        self.summary.troubles[kind] += 1
        action = action_of(kind)
        if action is Action.STOP:
            self._denied += 1
            if self._denied >= _DENIED:
                raise UsageError(self._backend.remedy(failed)) from failed
        elif action is Action.AGAIN:
            self._pace.failed(kind, failed.wait, now)
        else:
            self._pace.answered()
        if action is Action.END and len(group) > 1:  # one of them may be all that is wrong
            for case in group:
                self._defer([case], now)
            return
        for case in group:
            case.tries += not self._pace.is_lost
        if action is Action.END or (group[0].tries >= patience.tries and not self._pace.is_lost):
            for case in group:
                self._keep(case, Outcome(failure=kind, tries=case.tries))
                self._end(case, kind)
        else:
            wait = min(patience.longest_wait, failed.wait) or patience.wait(group[0].tries, group[0].key)
            self._defer(group, now + wait)

    def _keep(self, case: _Case, outcome: Outcome) -> None:
        """Into the journal; on the disk soon."""
        self._journal.add(case.request.id, outcome)
        if self._journal.waiting >= _GROUP_COMMIT:
            self._dirty.set()
        elif not self._timed:
            self._timed = True
            asyncio.get_running_loop().call_later(_COMMIT_SECONDS, self._due)

    def _due(self) -> None:
        self._timed = False
        self._dirty.set()

"""The engine: every planned request to one counted end, whatever the server does, and nothing asked twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from conftest import REPOSITORY
from model_server import FOR_EVER, MODEL, Reply, model_server, storm

from filters.errors import UsageError
from synth.backend import CallFailedError, Capabilities, is_sampled_alike
from synth.budget import Budget
from synth.client import HttpBackend, Server
from synth.engine import Options, Summary, answer_all, resolve
from synth.export import write_outcomes
from synth.journal import Journal
from synth.pace import Patience
from synth.replay import ReplayBackend
from synth.requests import Outcome, Request, Sampling, Usage

QUICK = Patience(tries=8, first_wait=0.005, longest_wait=0.1, give_up=50, lost=0.2)
SAMPLED = Sampling(temperature=0.7, max_tokens=20)


def questions(count: int, prompt: str = "p@1", sampling: Sampling = SAMPLED) -> list[Request]:
    return [Request("t", prompt, MODEL, (("user", f"q{n}"),), sampling) for n in range(count)]


def accept(request: Request, outcome: Outcome) -> str:
    return ""


@dataclass
class Scripted:
    """A backend in this process: what it was asked, and answers by a function."""

    reply: object = lambda request: Outcome(f"a {request.attempt}", "stop", Usage(10, 0, 5))
    n: int = 1
    asked: list[list[Request]] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(n=self.n)

    def joins(self, group: Sequence[Request], request: Request) -> bool:
        return len(group) < self.n and is_sampled_alike(group, request)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, group: Sequence[Request]) -> list[Outcome]:
        self.asked.append(list(group))
        return [self.reply(request) for request in group]  # type: ignore[operator]

    def remedy(self, failed: CallFailedError) -> str:
        return f"refused: {failed.kind}"


def run(
    plan: Sequence[Request] | Iterator[Request],
    backend: object,
    path: Path | None = None,
    check: object = accept,
    **more: object,
) -> Summary:
    """The counts of a run, of which every planned request is in one."""
    with Journal(path) as journal:
        options = Options(**{"patience": QUICK, **more})  # type: ignore[arg-type]
        summary = answer_all(plan, backend, journal, check, options)  # type: ignore[arg-type]
    assert summary.planned == summary.answered + summary.failures.total()
    return summary


# --- once -------------------------------------------------------------------------------------------------------------


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    """A second run asks only for what failed for a reason that passes; what failed for good stays so."""
    ends = {"q1": "http_500", "q2": "context_too_long"}

    class Failing(Scripted):
        async def ask(self, group: Sequence[Request]) -> list[Outcome]:
            found = await super().ask(group)
            if kind := ends.get(group[0].messages[0][1]):
                raise CallFailedError(kind)
            return found

    first, second = Failing(), Failing()
    counted = run(questions(5), first, tmp_path / "j")
    ends.pop("q1")
    again = run(questions(5), second, tmp_path / "j")

    assert (counted.answered, counted.failures) == (3, {"http_500": 1, "context_too_long": 1})
    assert (again.answered, again.failures, again.known) == (4, {"context_too_long": 1}, 4)
    assert [group[0].messages[0][1] for group in second.asked] == ["q1"]


@pytest.mark.parametrize(
    "change",
    [{"prompt": "p@2"}, {"model": "other"}, {"sampling": replace(SAMPLED, top_p=0.9)}, {"seed": 3}],
)
def test_a_changed_plan_finds_nothing_stale(change: dict[str, object], tmp_path: Path) -> None:
    """Another prompt, model, parameter or seed is asked for anew; changed input only where it changed; ids are kept."""
    run(questions(20), Scripted(), tmp_path / "j")
    asked = Scripted()
    counted = run([replace(request, **change) for request in questions(20)], asked, tmp_path / "j")  # type: ignore[arg-type]
    moved = Scripted()
    other = run([*questions(30)[25:], *questions(20)[::2]], moved, tmp_path / "j")

    assert (len(asked.asked), counted.answered, counted.known) == (20, 20, 0)
    assert (len(moved.asked), other.answered, other.known) == (5, 15, 10)


def test_the_same_request_twice_is_one_call_and_two_ends(tmp_path: Path) -> None:
    """Ids that a plan has twice: while the first is under way, and after it."""
    plan = [request for request in questions(50) for _ in range(2)] + questions(50)
    asked = Scripted()

    assert run(plan, asked, tmp_path / "j").answered == 150
    assert len(asked.asked) == 50


def test_a_plan_is_read_as_far_as_there_is_room(tmp_path: Path) -> None:
    """A plan without end: of what was taken from it, nearly all is asked."""
    taken = 0

    def plan() -> Iterator[Request]:
        nonlocal taken
        while True:
            taken += 1
            yield Request("t", "p", MODEL, (("user", str(taken)),))

    class Stops(Scripted):
        async def ask(self, group: Sequence[Request]) -> list[Outcome]:
            if len(self.asked) == 500:
                raise CallFailedError(kind="http_401")
            return await super().ask(group)

    asked = Stops()
    with pytest.raises(UsageError, match="refused: http_401"):
        run(plan(), asked, tmp_path / "j", concurrency=4)
    assert taken - len(asked.asked) < 20


def test_an_earlier_run_can_be_replayed(tmp_path: Path) -> None:
    """The outcomes of its journal, without a server; what it does not know has an end of its own."""
    run(questions(5), Scripted(), tmp_path / "before")
    with Journal(tmp_path / "before") as before:
        counted = run(questions(7), ReplayBackend(before), tmp_path / "j")

    assert (counted.answered, counted.failures) == (5, {"unasked": 2})


# --- samples and attempts ---------------------------------------------------------------------------------------------


def test_samples_of_one_question_are_one_call_and_the_missing_are_asked_alone() -> None:
    """10 samples with at most 4 a call; a server that brings fewer than asked for."""
    plan = [replace(request, sample=k) for request in questions(3) for k in range(10)]
    asked = Scripted(n=4)
    run(plan, asked)
    with model_server(lambda *_: Reply("yes", fewer=2)) as served:
        backend = HttpBackend(Server(served.url, MODEL), Capabilities(n=5))
        served.reply = lambda asked, times: Reply("yes", fewer=2 if times == 0 else 0)
        counted = run(plan[:5], backend)

    assert [[r.sample for r in group] for group in asked.asked[:4]] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
        [0, 1, 2, 3],
    ]
    assert sorted(body["n"] for body in served.requests) == [1, 1, 5]
    assert len({body["seed"] for body in served.requests}) == 3
    assert (counted.answered, counted.troubles) == (5, {"missing": 2})


def test_one_bad_request_of_a_call_takes_no_other_with_it() -> None:
    """A call that is refused as such is taken apart: only the one that is refused alone has failed."""

    class Picky(Scripted):
        async def ask(self, group: Sequence[Request]) -> list[Outcome]:
            found = await super().ask(group)
            if any(request.sample == 2 for request in group):
                raise CallFailedError(kind="http_400")
            return found

    counted = run([replace(questions(1)[0], sample=k) for k in range(4)], Picky(n=4))
    assert (counted.answered, counted.failures) == (3, {"http_400": 1})


def test_a_refused_answer_is_drawn_again_and_found_again(tmp_path: Path) -> None:
    """Up to so often; the journal alone tells which attempt is the last, and a task's refusal is its failure."""

    def check(request: Request, outcome: Outcome) -> str:
        wanted = {"q0": 0, "q1": 1, "q2": 2}.get(request.messages[0][1], 9)
        return "" if request.attempt >= wanted else "parse"

    counted = run(questions(4), Scripted(), tmp_path / "j", check, resamples=2)
    again = run(questions(4), Scripted(), tmp_path / "j", check, resamples=2)
    with Journal(tmp_path / "j") as journal:
        ends = [resolve(request, journal, check, 2) for request in questions(5)]

    assert (counted.answered, counted.failures, counted.redrawn) == (3, {"parse": 1}, 5)
    assert (again.answered, again.failures, again.calls) == (3, {"parse": 1}, 0)
    assert [(r.attempt, o.text, o.failure) for r, o in ends] == [
        (0, "a 0", ""), (1, "a 1", ""), (2, "a 2", ""), (2, "a 2", "parse"), (0, None, "unasked"),
    ]  # fmt: skip


def test_a_greedy_answer_is_drawn_again_only_with_more_room() -> None:
    """At temperature 0 the same would come; an answer that was cut off gets twice the tokens, once."""
    asked = Scripted(lambda request: Outcome("a", "length" if request.messages[0][1] == "q0" else "stop"))
    counted = run(questions(2, sampling=Sampling(max_tokens=8)), asked, None, lambda *_: "parse", resamples=3)

    assert [(g[0].messages[0][1], g[0].attempt, g[0].sampling.max_tokens) for g in asked.asked] == [
        ("q0", 0, 8), ("q1", 0, 8), ("q0", 1, 16),
    ]  # fmt: skip
    assert counted.failures == {"parse": 2}


# --- faults -----------------------------------------------------------------------------------------------------------

HANG = 0.3  # seconds
FAULTS = {
    "busy": (Reply(status=429, headers={"Retry-After": "1"}), ""),
    "unavailable": (Reply(status=503), ""),
    "broken": (Reply(status=500), ""),
    "no answer": (Reply("x", keep=0), ""),
    "dropped in the middle": (Reply("x", keep=150), ""),
    "hang": (Reply("x", wait=FOR_EVER), ""),
    "no JSON": (Reply(body=b"<html>"), ""),
    "half of the JSON": (Reply(body=b'{"choices": [{"mess'), ""),
    "too long": (Reply(status=400, body=b"maximum context length is 64 tokens"), "context_too_long"),
    "denied": (Reply(status=401), ""),
    "withheld": (Reply("x", finish="content_filter"), "content_filter"),
    "empty": (Reply("   "), ""),
    "cut off": (Reply("x", finish="length"), ""),
    "in chunks": (Reply("yes", chunked=True), ""),
}


def test_each_fault_once_and_every_request_ends(tmp_path: Path) -> None:
    """14 kinds, one each among 200 requests: all end, the sums are exact, and what a second try mends is answered."""
    faults = dict(zip((f"q{10 * n + 9}" for n in range(len(FAULTS))), FAULTS.values(), strict=True))

    def reply(asked: str, times: int) -> Reply | str:
        return faults[asked][0] if times == 0 and asked in faults else Reply("yes")

    def check(request: Request, outcome: Outcome) -> str:
        return "truncated" if outcome.finish == "length" else ""

    plan = questions(200)
    with model_server(reply) as served, Journal(tmp_path / "j") as journal:
        backend = HttpBackend(Server(served.url, MODEL, timeout=HANG))
        counted = answer_all(plan, backend, journal, check, Options(8, patience=QUICK))
        written = write_outcomes(tmp_path / "out", plan, journal, check, 2)
    ends = Counter(end for _, end in FAULTS.values())

    assert counted.planned == counted.answered + counted.failures.total() == 200
    assert counted.failures == {end: count for end, count in ends.items() if end}
    assert written == counted.failures + Counter({"": counted.answered})
    assert len((tmp_path / "out").read_bytes().splitlines()) == 200
    assert max(served.times.values()) == 2


def test_a_storm_ends_for_all() -> None:
    """10 % of 429, 5 % of 5xx, 2 % of drops, 1 % of hangs and 1 % of bad bodies: every request is answered."""
    with model_server(lambda asked, times: storm(asked, times, 0.002)) as served:
        backend = HttpBackend(Server(served.url, MODEL, timeout=HANG))
        counted = run(questions(1500), backend, concurrency=32)

    assert counted.answered == 1500
    assert max(served.times.values()) <= 8
    assert set(counted.troubles) >= {"http_429", "http_503", "http_500", "garbage", "timeout"}


def test_a_server_that_comes_back_costs_no_request_a_try() -> None:
    """Down for longer than all tries of a request take: it is waited for, with one call at a time."""
    back = time.monotonic() + 1
    down = Reply(status=503)
    with model_server(lambda *_: down if time.monotonic() < back else "yes") as served:
        patience = Patience(tries=8, first_wait=0.01, longest_wait=0.1, give_up=10, lost=30)
        counted = run(questions(100), HttpBackend(Server(served.url, MODEL)), patience=patience)

    assert counted.answered == 100
    assert counted.troubles["http_503"] < 60


def test_a_server_that_is_lost_is_not_asked_for_ever() -> None:
    """After so many failures in a row, and the time to come back, the rest ends unsent, with the same name."""
    with model_server(lambda *_: Reply(status=503)) as served:
        patience = Patience(tries=1, give_up=5, lost=0)
        counted = run(questions(100), HttpBackend(Server(served.url, MODEL)), concurrency=2, patience=patience)

    assert counted.failures == {"http_503": 100}
    assert 5 <= len(served.requests) <= 7


def test_bad_requests_do_not_count_as_a_lost_server() -> None:
    """Texts that are too long for the model, one after the other, and then one that is not."""
    with model_server(lambda asked, _: Reply(status=400) if asked != "q99" else "yes") as served:
        counted = run(questions(100), HttpBackend(Server(served.url, MODEL)), patience=Patience(give_up=5, lost=0))

    assert (counted.answered, counted.failures) == (1, {"http_400": 99})


def test_calls_at_a_time_follow_the_server() -> None:
    """A server that refuses more than 20 at a time: about as many are made, though 200 are allowed."""
    now = 0

    class Small(Scripted):
        async def ask(self, group: Sequence[Request]) -> list[Outcome]:
            nonlocal now
            import asyncio

            now += 1
            await asyncio.sleep(0.002)
            now -= 1
            if now >= 20:
                raise CallFailedError(kind="http_429")
            return await super().ask(group)

    patience = replace(QUICK, tries=100, give_up=1000)
    counted = run(questions(6000), Small(), concurrency=200, patience=patience)

    assert counted.answered == 6000
    assert 10 <= counted.concurrency <= 40


# --- budget -----------------------------------------------------------------------------------------------------------


def test_a_budget_is_kept_and_can_be_raised(tmp_path: Path) -> None:
    """Never more than was allowed, over several runs; the rest ends as such, and is asked with a greater budget."""
    cost = 10 + 5
    tokens = [run(questions(100), Scripted(), tmp_path / "j", budget=Budget(tokens=n)) for n in (700, 700, 10_000)]
    money = run(
        questions(100), Scripted(), tmp_path / "m", budget=Budget(money=3, prompt_price=2e4, completion_price=4e4)
    )

    assert tokens[0].failures == {"budget": 100 - tokens[0].answered}
    assert 700 - 80 < tokens[0].answered * cost <= 700
    assert (tokens[1].calls, tokens[1].answered) == (0, tokens[0].answered)
    assert (tokens[2].answered, tokens[2].known) == (100, tokens[0].answered)
    assert 0 < money.answered * (10 * 2e4 + 5 * 4e4) / 1e6 <= 3


def test_a_budget_needs_prices_and_a_server_that_counts() -> None:
    """One line for each."""
    with pytest.raises(UsageError, match="needs prices"):
        Budget(money=3)
    with pytest.raises(UsageError, match="does not say how many tokens"):
        run(questions(5), Scripted(lambda _: Outcome("a")), budget=Budget(tokens=10_000))


def test_killed_runs_lose_and_double_nothing() -> None:
    """kill -9 while it asks and while it writes: the output of a run that nobody disturbed, few calls made again."""
    script = REPOSITORY / "benchmarks" / "synth_kills.py"
    told = subprocess.run(
        [sys.executable, str(script), "--kills", "3", "--count", "300", "--seed", "5"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1].startswith("3 kills")

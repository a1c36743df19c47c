"""The processor time of a page: a loop, a regular expression and a swallowed exception all end; nothing else is hurt."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from typing import NoReturn

import pytest
from conftest import REPOSITORY

from filters import html, page_limits
from filters.html import extract

LIMIT_S = 0.2
# the alarm may ring inside a callback of the garbage collector (hypothesis has one), which swallows it; it rings again
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def forever() -> NoReturn:
    while True:
        pass


def backtracks() -> object:
    return re.match(r"(a+)+$", "a" * 40 + "b")


def swallows() -> NoReturn:
    while True:
        try:
            forever()
        except BaseException:  # noqa: BLE001 - what the limit has to survive
            continue


@pytest.mark.parametrize("call", [forever, backtracks])
def test_what_takes_too_long_ends(call: object) -> None:
    """After so many seconds of processor time, give or take a little."""
    started = time.process_time()

    assert page_limits.within(LIMIT_S, call) is None  # type: ignore[arg-type]
    assert LIMIT_S * 0.9 < time.process_time() - started < LIMIT_S + 0.3


def test_a_swallowed_exception_comes_again() -> None:
    """Code that catches everything once is interrupted a second time."""

    def stubborn() -> None:
        try:
            forever()
        except BaseException:  # noqa: BLE001 - what the limit has to survive
            forever()

    assert page_limits.within(LIMIT_S, stubborn) is None


def test_what_is_quick_is_not_touched() -> None:
    """The value or the exception of the call comes through, and no signal comes later."""
    assert page_limits.within(LIMIT_S, lambda: 7) == 7
    with pytest.raises(KeyError):
        page_limits.within(LIMIT_S, lambda: {}["no"])
    started = time.process_time()
    while time.process_time() - started < 2 * LIMIT_S:
        pass


def test_timers_and_handlers_are_left_as_they_were() -> None:
    """A handler of somebody else is there again."""

    def handler(*_: object) -> None:
        return None

    before = signal.signal(signal.SIGPROF, handler)
    try:
        page_limits.within(LIMIT_S, forever)

        assert signal.getsignal(signal.SIGPROF) is handler
        assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    finally:
        signal.signal(signal.SIGPROF, before)


def test_other_threads_have_no_limit() -> None:
    """Signals reach the main thread alone; there the call simply runs."""
    found: list[int | None] = []
    thread = threading.Thread(target=lambda: found.append(page_limits.within(0.01, lambda: sum(range(2_000_000)))))
    thread.start()
    thread.join()

    assert found == [1_999_999_000_000]


def test_a_page_that_takes_too_long_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted as too_slow, and the next page is extracted."""
    monkeypatch.setattr(html, "MAX_CPU_S", 0.05)
    page = "<p>" + "Let \\(x_1\\) be. " * 40_000

    assert extract(page).reason == "too_slow"
    assert extract("<p>Let \\(x_1\\) be prime.</p>").text == "Let $x_1$ be prime."


HOSTILE = {
    "nested": "<div>" * 400_000,
    "below": "<" * 2_000_000,
    "attributes": "<p " + " ".join(f"a{n}" for n in range(200_000)) + ">",
    "equals": "<p " + " ".join(f"={n}" for n in range(200_000)) + ">",
    "table": "<table>" + ("<tr>" + "<td>1</td>" * 20 + "</tr>") * 9_000,
    "dollars": "<p>" + "$x^2$ and " * 100_000,
    "parens": "\\(x_1\\) " * 200_000,
    "open": "\\(" * 1_000_000,
    "braces": "$" + "{" * 500_000 + "}" * 500_000 + "$",
    "mathml": "<math><mi>x</mi><mo>+</mo></math>" * 20_000,
    "scripts": '<script type="math/tex">x^2</script> a ' * 50_000,
    "bold": "<b>" * 300 + "<p>x" * 90_000,
    "macros": "\\(\\newcommand{\\a}{\\a\\a}\\a\\)" * 20_000,
    "comments": "<!-- " * 400_000,
    "chinese": "数学分析" * 500_000,
}
MEASURE = """
import resource, sys, time
from filters.html import extract
from test_page_limits import HOSTILE
extract("<p>$x$ <math><mi>x</mi></math></p>")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.process_time()
extract(HOSTILE[sys.argv[1]])
spent = time.process_time() - started
print(spent, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("name", HOSTILE)
def test_no_page_takes_more_than_two_seconds_and_300_mb(name: str) -> None:
    """Pages made to be slow or large, two megabytes each, in a process of their own."""
    folders = f"{REPOSITORY}:{REPOSITORY / 'tests'}"
    command = [sys.executable, "-c", MEASURE, name]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": folders})

    assert told.returncode == 0, told.stderr
    seconds, megabytes = map(float, told.stdout.split())
    assert seconds < 2.2  # the limit, and what a signal waits for
    assert megabytes < 300

"""Equality of answers: labelled pairs, what math-verify alone gets wrong, and that nothing hangs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st

from filters.errors import UsageError
from synth import equality as module
from synth.answers import normalise
from synth.equality import DIFFERENT, EQUAL, UNKNOWN, Equality, Verdict, same
from synth.shapes import read
from synth.votes import vote

FLOORS = json.loads((REPOSITORY / "tests" / "floors.json").read_text())["synth_equality"]
ROWS = (REPOSITORY / "tests" / "answer_pairs.tsv").read_text(encoding="utf-8").splitlines()[1:]
BOMBS = (
    "\\boxed{\\dfrac{5^{(5^{(5^{(5^5)})}-4)}-5}{16}}",
    "9^{9^{9^{9}}}",
    "(10^{8})!-1",
    "9999^9999^99",
)

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="the verify extra is not installed"
)


@pytest.fixture(scope="module")
def equality() -> Iterator[Equality]:
    """One worker for all tests."""
    if importlib.util.find_spec("math_verify") is None:
        pytest.skip("the verify extra is not installed")
    with Equality() as made:
        yield made


def nobody(left: str, right: str) -> Verdict:
    """No worker: expressions are unknown."""
    return Verdict(UNKNOWN, f"{left} and {right} not asked")


def test_hand_written_pairs(equality: Equality) -> None:
    """Every pair of tests/answer_pairs.tsv comes out as it is labelled."""
    pairs = [line.split("\t") for line in ROWS]
    wrong = [pair for pair in pairs if equality.compare(pair[1], pair[2]).equal != (pair[3] == EQUAL)]

    assert len(pairs) >= 150
    assert wrong == []


def test_the_order_of_a_pair_does_not_matter(equality: Equality) -> None:
    """Each tenth of the hand-written pairs, turned, by fresh comparison."""
    for _, left, right, _ in (line.split("\t") for line in ROWS[::10]):
        forth, back = (same(read(a), read(b), equality._expressions).equal for a, b in ((left, right), (right, left)))

        assert forth == back, (left, right)


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("$x\\ge3$ 或 $x\\le-1$", "x\\le-1", DIFFERENT), ("x=2 或 x=3", "3", DIFFERENT), ("3 or 4", "3", DIFFERENT),
        ("100\\%", "100", DIFFERENT), ("100\\%", "1", DIFFERENT), ("(1,2)", "\\{1,2\\}", DIFFERENT), ("0.333333", "1/3", DIFFERENT),
        ("最终答案：58 平方米", "58", EQUAL), ("三分之二", "\\frac23", EQUAL), ("１２", "12", EQUAL), ("七", "7", EQUAL), ("选 C", "\\boxed{C}", EQUAL),
    ],
)  # fmt: skip
def test_what_math_verify_alone_gets_wrong(left: str, right: str, result: str) -> None:
    """Five kinds of false accept and the misses of Chinese, decided without the worker."""
    assert same(read(left), read(right), nobody).result == result


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("", "3"), ("", ""), ("tree", "a tree"), ("C", "\\sqrt{2}"), ("5~apples", "5~pears"), ("三角形", "正方形"),
        ("AB", "ab"), ("\\frac{", "\\frac{1"), ("\\boxed{}", "1"), ("(1,2)", "1, 2"), ("\\int_0^1 f", "\\foo"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_unknown(equality: Equality, left: str, right: str) -> None:
    """Unknown is neither a pass nor a vote against."""
    verdict = equality.compare(left, right)

    assert (verdict.result, verdict.equal) == (UNKNOWN, False)


@given(st.fractions(max_denominator=1000), st.fractions(max_denominator=1000))
def test_fractions_are_equal_when_their_values_are(one: Fraction, other: Fraction) -> None:
    """Whatever the writing; decided without the worker."""
    for left in (f"{one.numerator}/{one.denominator}", f"\\frac{{{one.numerator * 3}}}{{{one.denominator * 3}}}"):
        right = f"\\dfrac{{{other.numerator}}}{{{other.denominator}}}"

        assert same(read(left), read(right), nobody).result == (EQUAL if one == other else DIFFERENT)


@given(st.sets(st.integers(-50, 50), min_size=2, max_size=5), st.sets(st.integers(-50, 50), min_size=2, max_size=5))
def test_sets_are_equal_when_their_elements_are(one: set[int], other: set[int]) -> None:
    """In any order, with any of the separators."""
    left = read(" 或 ".join(map(str, sorted(one))))
    right = read("\\{" + ", ".join(map(str, sorted(other, reverse=True))) + "\\}")

    assert same(left, right, nobody).result == (EQUAL if one == other else DIFFERENT)


@needs_math_verify
def test_nothing_hangs() -> None:
    """Numbers that no machine can write end as not equal within the limit, and the next comparison works."""
    with Equality(cpu_s=0.5) as fresh:
        assert fresh.compare("\\sqrt{8}", "2\\sqrt{2}").equal  # the worker is there
        worker = fresh._worker
        told = [fresh.compare(bomb, "\\sqrt{3}").equal for bomb in BOMBS]

        assert told == [False] * len(BOMBS)
        assert fresh._worker is worker  # its own limit on CPU ended each, not our patience
        assert fresh.compare("\\sqrt{18}", "3\\sqrt{2}").equal


@needs_math_verify
def test_a_bomb_costs_a_vote_one_time_limit() -> None:
    """It is remembered, not tried against each of the other answers."""
    with Equality(cpu_s=0.5) as fresh:
        bomb = "9^{9^{9^{9}}}+\\sqrt{2}"
        answers = [bomb, *(f"\\sqrt{{{n}}}" for n in (2, 3, 5, 7))]
        told = vote(answers, lambda a, b: fresh.compare(a, b).equal)

        assert told.classes == (1, 1, 1, 1, 1)
        assert fresh._endless == {normalise(bomb)}


@needs_math_verify
def test_a_worker_that_dies_is_replaced() -> None:
    """Killed from outside: that comparison is unknown, or made again; the next is right."""
    with Equality() as fresh:
        assert fresh.compare("\\sqrt{8}", "2\\sqrt{2}").equal
        assert fresh._worker is not None
        os.kill(fresh._worker.pid, 9)
        fresh._worker.wait()

        assert not fresh.compare("\\sqrt{8}", "\\sqrt{2}").equal
        assert fresh.compare("\\sqrt{18}", "3\\sqrt{2}").equal


@needs_math_verify
def test_the_memory_of_the_worker_is_limited() -> None:
    """1 GB of address space, as /proc tells it."""
    with Equality() as fresh:
        fresh.compare("\\sqrt{8}", "2")
        assert fresh._worker is not None
        limits = Path(f"/proc/{fresh._worker.pid}/limits").read_text()

    assert any(
        line.split()[3:5] == [str(1 << 30)] * 2 for line in limits.splitlines() if line.startswith("Max address")
    )


def test_without_math_verify_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(UsageError, match="extra `verify`"):
        Equality()


def test_pairs_made_from_benchmarks(shared_data: Path) -> None:
    """The ceilings of floors.json, on a sample of what benchmarks/answer_pairs.py measures."""
    if importlib.util.find_spec("math_verify") is None:
        pytest.skip("the verify extra is not installed")
    script = [
        sys.executable,
        "-P",
        "benchmarks/answer_pairs.py",
        shared_data,
        "--json",
        "--answers",
        str(FLOORS["answers"]),
    ]
    told = subprocess.run(script, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    for name, figures in json.loads(told.stdout).items():
        assert figures["pairs"] > 80, name
        assert figures["false_accepts"] <= FLOORS["false_accepts_ceiling"], (name, told.stderr)
        assert figures["false_rejects"] <= FLOORS["false_rejects_ceiling"], (name, told.stderr)

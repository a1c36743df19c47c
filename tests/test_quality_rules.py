"""Quality rules: junk of each kind goes, the mathematics that looks like it stays."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

from filters.quality import QualityParams, signals, word_list

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
from quality_rules import CLASSIC, RULES, mathematics, rubbish, table

DATA = REPOSITORY.parent / "shared" / "data"
PRIMES = [n for n in range(2, 2000) if all(n % d for d in range(2, int(n**0.5) + 1))]
CODE = "\n".join(f"    total_{i} = first_part_{i} + second_part_{i};" for i in range(20))
CHINESE = "设级数的部分和数列有极限，则称这个级数收敛，并把这个极限叫做级数的和。\n下面给出求和的程序，并说明它为什么是对的。\n"
PROSE = "The sum of two odd numbers is even because each of them leaves one, and one and one make two.\n"


def verdict(text: str, params: QualityParams | None = None) -> str | None:
    [found] = signals([text])
    broken = found.verdict(params or QualityParams())
    return broken[0] if broken else None


@pytest.mark.parametrize(
    "text",
    [
        "The first prime numbers\n" + "\n".join("\t".join(map(str, PRIMES[i : i + 10])) for i in range(0, 300, 10)),
        "\n".join(str(n) for n in PRIMES),
        "| n | quotient | denominator |\n" + "\n".join(f"| {n} | {n * 37 % 101} | {n * 11 % 97} |" for n in range(40)),
        "\\begin{pmatrix} " + " \\\\ ".join("0 & 1 & 0 & 2" for _ in range(30)) + " \\end{pmatrix} = $A$",
        "\n".join(f"{n} * {n} = {n * n}" for n in range(30)),
        CHINESE + CODE + "\n" + CODE,
        CHINESE + "```c\n" + CODE * 4 + "\n```\n",
        PROSE + "{\\left\\{ x \\in \\mathbb{R} : x > 0 \\right\\}}\n" * 2 + "}\n" * 40,
        PROSE * 2 + "Sign in to see the proof of this theorem.\n",
        PROSE * 3 + "A casino wins since the expected gain of a roulette player is negative; the casino has no luck.\n",
        "小明有12个苹果，给了小红3个，又买了5个，现在小明有多少个苹果？\nx=12-3+5\n答案：14",
    ],
    ids=[
        "primes",
        "sequence",
        "table",
        "matrix",
        "products",
        "shown-twice",
        "fenced",
        "braces",
        "one-line",
        "casino",
        "short",
    ],
)
def test_mathematics_that_looks_like_junk_stays(text: str) -> None:
    """Tables, matrices, code shown twice, braces, short exercises, and a word that spam uses."""
    assert verdict(text) is None


def test_junk_of_each_kind_goes() -> None:
    """Nearly every page of rubbish goes, and each rule finds what it is for."""
    _, shares = table(list(rubbish(seed=2, each=20)))
    expected = {
        "number_junk": ["lottery", "phone list"],
        "log_lines": ["parcel tracking", "server log"],
        "link_list": ["link farm"],
        "repeated_lines": ["repeated"],
        "boilerplate": ["boilerplate"],
        "spam": ["spam"],
        "adult": ["adult"],
    }

    assert min(shares["all"].values()) >= 0.95
    assert {(rule, kind): shares[rule][kind] >= 0.9 for rule, kinds in expected.items() for kind in kinds} == {
        (rule, kind): True for rule, kinds in expected.items() for kind in kinds
    }


def test_a_line_is_repeated_from_its_third_time_on() -> None:
    """Twice is how pages show code and formulas; the limit is on characters."""
    line = "Subscribe to our newsletter today for more of this\n"

    assert verdict(PROSE + line * 2) is None
    assert verdict(PROSE + line * 12) == "repeated_lines"


def test_lists_of_words_ask_for_several_entries() -> None:
    """One word often is a subject; three different ones densely are spam. No entry is inside a longer word."""
    assert verdict("casino " * 20 + PROSE) is None
    assert verdict("casino jackpot coupon " * 7 + PROSE) == "spam"
    assert word_list("adult").search("the xxxiv. chapter, nudeness") is None


@pytest.mark.skipif(not DATA.exists(), reason="the real data does not lie beside the project (../shared/data)")
def test_no_rule_costs_known_mathematics() -> None:
    """On seeds and books: below 1 % by all rules together, where the rule on braces alone takes most."""
    found = [one for i, one in enumerate(mathematics(Path(DATA))) if i % 6 == 0]
    sources, shares = table(found)
    removed = {
        rule: sum(shares[rule][s] * sum(f == s for f, _ in found) for s in sources) / len(found) for rule in shares
    }

    assert set(removed) == {*RULES, *CLASSIC}
    assert {
        rule: share
        for rule, share in removed.items()
        if rule in RULES and rule not in ("all", "too_short") and share > 0.001
    } == {}
    assert removed["all"] < 0.02
    assert removed["C4: has a brace"] > 0.5

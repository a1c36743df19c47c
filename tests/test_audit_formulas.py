"""Formulas of any text, and delimiters without a partner: exact counts, prices and programs left alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.audit.measure_formulas import KINDS, formulas

PARTS = {
    "dollar": "$x^2 + \\alpha$",
    "display_dollar": "$$\\sum_{i=1}^n i$$",
    "parenthesis": "\\(a_{1} + \\beta\\)",
    "bracket": "\\[\\int_0^1 f\\]",
    "environment": "\\begin{align*} a &= b_{2} \\\\ c &= \\delta \\end{align*}",
}
BROKEN = {
    "dollar": ("$x^2 + \\alpha$", "$x^2 + \\alpha"),
    "display_dollar": ("i$$", "i"),
    "parenthesis": ("\\beta\\)", "\\beta"),
    "bracket": ("f\\]", "f"),
    "environment": ("\\end{align*}", ""),
    "brace": ("_{i=1}", "_{i=1"),
}


@given(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=6), st.sampled_from(["\n\n", "\n", " "]))
def test_formulas_that_are_whole_are_counted_and_balanced(kinds: list[str], between: str) -> None:
    """As many formulas as were written, in any order, with as many characters as they have."""
    found = formulas(between.join(f"so that {PARTS[kind]} holds" for kind in kinds))

    assert found.count == len(kinds)
    assert found.characters == sum(len(PARTS[kind]) for kind in kinds)
    assert +found.unbalanced == {}


@given(st.sampled_from(sorted(BROKEN)), st.lists(st.sampled_from(sorted(PARTS)), max_size=4))
def test_a_delimiter_that_is_lost_is_named(kind: str, others: list[str]) -> None:
    """One lost among whole formulas of other paragraphs is found, under its own kind and no other."""
    whole, lost = BROKEN[kind]
    source = "display_dollar" if kind == "brace" else kind
    parts = [*(PARTS[k] for k in others), PARTS[source].replace(whole, lost)]
    text = "\n\n".join(f"so that {part} holds" for part in parts)

    assert set(+formulas(text).unbalanced) == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $6, or US$ 7.50 for two.",
        "A ticket is $12.99; with $x^2$ and \\(\\alpha_{1}\\) it is $5 more.",
        "Prices: $3/kg, $4 million, $1,200.",
        "```sh\n$ ls $HOME\n$ echo ${x}\n```\nwith $x^2$.",
        "Type\n\n    $ cargo build\n\nand `$PATH` is searched; $\\alpha^2$ is not.",
        "The variables $name, $value[0] and $obj->field of \\(f_{1}\\).",
        "A backslash keeps \\$ from being one: \\$5, and $\\beta^2$ is one.",
        "- \\[[`abc1`](https://a.example/c)] - **async_wrap**: fix\n- \\[[`def2`](https://a.example/d)] - text",
        "The $i$th and the $n$th row of $\\binom{n}{k}$, its $2^k$s.",
        "A table of $A_{\\text{$k$th point}}$ and \\$.",
        "\\section{A} % a comment with $ alone\nText with $a$ and ``quotes'' and \\verb|$| in it.",
        "\\begin{verbatim}\n$ one\n\\end{verbatim}\nand $\\gamma^3$",
        "<p>Let <m>x^2</m> be; <c>$f[1]</c> is a program.</p>",
        "a line ~~~ with tildes\n~~~ between\n$\\alpha^2$ and \\begin{align}a\\end{align}",
    ],
)
def test_prices_programs_and_escapes_are_no_delimiters(text: str) -> None:
    """Nothing of this is mathematics without a partner."""
    assert +formulas(text).unbalanced == {}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("no formula at all, $5", 0),
        ("$a$$b$", 2),
        ("$$a_{1}$$\n\n$b^2$", 2),
        ("\\begin{cases} a \\\\ b \\end{cases}", 1),
        ("$\\begin{pmatrix} a \\end{pmatrix}$", 1),
        ("\\begin {align} a \\end{align}", 1),
        ("<m>x</m> and <me>y</me>", 2),
    ],
)
def test_what_counts_as_one_formula(text: str, count: int) -> None:
    """Neighbours, formulas in formulas, and PreTeXt."""
    assert formulas(text).count == count


@pytest.mark.parametrize(
    "part",
    ["$", "$$", "\\(", "\\)", "\\[x ", "\\begin{align}", "\\end{align}", "<m>", "\\verb|", "```\n", "\\begin{verbatim}",
     "\\text{$", "$ \\text{a ", "{", "\\", "`", "~~~ x\n", "$x", "\n\n$\\a_{", "%", "$a$$"],
)  # fmt: skip
def test_hostile_texts_take_no_longer_than_others(part: str) -> None:
    """200,000 characters of openings without ends: seconds at most, where a square of them would take hours."""
    text = part * (200_000 // len(part)) + "\\alpha </m>"
    started = time.process_time()
    formulas(text)

    assert time.process_time() - started < 10


def test_every_kind_has_a_name() -> None:
    """The kinds are those of the report."""
    assert set(KINDS) == set(BROKEN)

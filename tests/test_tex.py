"""TeX as pages state it: wrappers, comments, macros, `$` inside."""

from __future__ import annotations

import time

import pytest

from filters.tex import Macro, Macros, clean, sound, unwrapped, without_dollars

CLEAN = {
    "% <![CDATA[\na < b %]]>": "a < b",
    "<![CDATA[x]]>": "x",
    "n-1%\n  }{x": "n-1}{x",
    "a % a note\nb": "a b",
    "60% of x": r"60\% of x",
    r"60\% of x": r"60\% of x",
    r"\begin{array}{c} % columns a \end{array}": r"\begin{array}{c} \% columns a \end{array}",
    "a &lt; b &amp; c &#x2264; d": "a < b & c ≤ d",
    "x\u200b\u00a0+ y\ufeff": "x + y",
    "a\n\n \nb": "a\nb",
    "x\\ ": "x",
    "x \\\\ ": "x \\\\",
}
UNWRAPPED = {
    "$x$": ("x", False),
    "$$x$$": ("x", True),
    r"\( x \)": ("x", False),
    r"\[x\]": ("x", True),
    "\\begin{displaymath}\nx\n\\end{displaymath}": ("x", True),
    "$a$ and $b$": ("$a$ and $b$", None),
    r"$5\$": (r"$5\$", None),
    "x": ("x", None),
}
SOUND = {
    r"\frac{1}{2}": True,
    r"\{ x": True,
    r"{ \left( \right. }": True,
    r"\begin{cases}\begin{matrix}\end{matrix}\end{cases}": True,
    r"\leftarrow \rightarrow": True,
    r"\frac{1}{2": False,
    r"\left( x": False,
    r"\right) \left(": False,
    r"\begin{cases} x": False,
    r"\end{cases}": False,
    r"\begin{a}\begin{b}\end{a}\end{b}": False,
}
DOLLARS = {
    r"\text{if $x$ and $y$}": r"\text{if \(x\) and \(y\)}",
    r"a $b$ c": "a b c",
    r"\text{if $x}": r"\text{if x}",
    r"5\$ \text{$a$}": r"5\$ \text{\(a\)}",
}


@pytest.mark.parametrize(("tex", "expected"), CLEAN.items())
def test_clean(tex: str, expected: str) -> None:
    """Comments, wrappers, entities and blank lines go; nothing else does."""
    assert clean(tex) == expected


@pytest.mark.parametrize(("tex", "expected"), UNWRAPPED.items())
def test_unwrapped(tex: str, expected: tuple[str, bool | None]) -> None:
    """One pair of delimiters around the whole comes off, and says whether it is a display."""
    assert unwrapped(tex) == expected


@pytest.mark.parametrize(("tex", "expected"), SOUND.items())
def test_sound(tex: str, expected: bool) -> None:
    """Braces, stretched fences and environments have to match."""
    assert sound(tex) is expected


@pytest.mark.parametrize(("tex", "expected"), DOLLARS.items())
def test_no_dollar_stays_inside(tex: str, expected: str) -> None:
    """A formula in a text inside a formula keeps its delimiters, in a form that does not end the outer one."""
    assert without_dollars(tex) == expected


def test_macros_that_a_formula_defines_are_expanded_in_the_next() -> None:
    """newcommand with arguments and a default, def, DeclareMathOperator; a formula of definitions is empty."""
    macros = Macros()
    definitions = (
        r"\newcommand{\R}{\mathbb{R}} \renewcommand\vec[1]{\mathbf{#1}} \newcommand{\norm}[2][2]{\|#2\|_{#1}}"
        r"\def\pair#1#2{(#1,#2)} \DeclareMathOperator*{\argmax}{arg\,max} \definecolor{shade}{gray}{0.9}"
    )

    assert macros.apply(definitions).strip() == ""
    assert macros.apply(r"\R^n, x^\R, \vec{v}\vec w") == r"\mathbb{R}^n, x^{\mathbb{R}}, \mathbf{v}\mathbf{w}"
    assert macros.apply(r"\norm{x} + \norm[1]{y}") == r"\|x\|_{2} + \|y\|_{1}"
    assert macros.apply(r"\pair{a}{\pair bc} \argmax_x") == r"(a,(b,c)) \operatorname*{arg\,max}_x"
    assert macros.apply(r"\Rx \alpha") == r"\Rx \alpha"


def test_a_command_stays_apart_from_the_letter_behind_it() -> None:
    """Expansion does not glue `\\alpha` to what follows."""
    macros = Macros({"a": Macro(r"\alpha"), "p": Macro(r"\beta#1", 1)})

    assert macros.apply(r"\a{}x \p{y}z \a x") == r"\alpha{}x \beta yz \alpha x"


def test_macros_that_renderers_know_or_that_lack_an_argument_stay() -> None:
    """`\\lt` is as good as `<`; a call without its argument is left alone."""
    macros = Macros()

    assert macros.apply(r"\newcommand{\lt}{<}\newcommand{\f}[1]{f(#1)} a \lt b") == r" a \lt b"
    assert macros.apply(r"\f") == r"\f"


def test_a_macro_without_end_is_given_up_and_others_stay() -> None:
    """A macro that calls itself costs one attempt."""
    macros = Macros()
    macros.apply(r"\def\a{\b\b}\def\b{\a\a}\def\R{\mathbb R}")

    assert macros.apply(r"\a + \R") == r"\a + \R"
    assert macros.apply(r"\a + \R") == r"\a + \mathbb R"


@pytest.mark.parametrize(
    "piece", ["\\newcommand", "\\def\\a{", "%", "$", "{", "\\a", "&", "\n ", "% <![CDATA[", "\\begin{a}"]
)
def test_time_is_linear_in_the_text(piece: str) -> None:
    """50,000 repeats of what could make a pattern look back take no seconds."""
    tex = piece * 50_000
    start = time.process_time()
    Macros().apply(without_dollars(clean(tex)))
    sound(tex)

    assert time.process_time() - start < 2

"""AsciiMath to TeX: literal cases from the grammar, and texts that are none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.asciimath import MAX_DEPTH, to_tex

CASES = {
    "sum_(i=1)^n i^3=((n(n+1))/2)^2": r"\sum_{i=1}^ni^3=\left(\frac{n(n+1)}{2}\right)^2",
    "x = (-b +- sqrt(b^2-4ac))/(2a)": r"x=\frac{-b\pm\sqrt{b^2-4ac}}{2a}",
    "int_0^1 f(x) dx": r"\int_0^1f(x)dx",
    "lim_(x->oo) 1/x = 0": r"\lim_{x\to\infty}\frac{1}{x}=0",
    "[[a,b],[c,d]]": r"\begin{bmatrix} a & b \\ c & d \end{bmatrix}",
    "((1),(2))": r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
    "{(x,if x > 0),(0,text(otherwise)):}": r"\begin{cases} x & \text{if }x>0 \\ 0 & \text{otherwise} \end{cases}",
    "[[1,2],[3]]": "[[1,2],[3]]",
    "root(3)(x+1) hat x bar(AB) vec v": r"\sqrt[3]{x+1}\hat{x}\overline{AB}\vec{v}",
    "abs(x) + |y| <= norm(z)": r"\left|x\right|+\left|y\right|\le\left\|z\right\|",
    "floor(x/2) < ceil(x)": r"\left\lfloor\frac{x}{2}\right\rfloor<\left\lceil x\right\rceil",
    "AA x in RR, EE n !in NN": r"\forall x\in\mathbb{R},\exists n\notin\mathbb{N}",
    '"rate" alpha/beta': r"\text{rate}\frac{\alpha}{\beta}",
    "2xx3 o+ 4 // 5": r"2\times3\oplus4/5",
    "frac(1)(2) stackrel(def)= color(red)(y)": r"\frac{1}{2}\overset{def}{=}y",
    "a_1^2 x^(n+1) e^(i pi)": r"a_1^2x^{n+1}e^{i\pi}",
    "(a,b] 5% $3": r"(a,b]5\%\$3",
    "bb(A) bbb(C) cc(L) sin^2 theta": r"\mathbf{A}\mathbb{C}\mathcal{L}\sin^2\theta",
    "x^": "x^{}",
    "sqrt)": r"\sqrt{})",
    "text(open": "(open",
}


@pytest.mark.parametrize(("typed", "tex"), CASES.items(), ids=CASES.keys())
def test_asciimath_becomes_tex(typed: str, tex: str) -> None:
    """One case for each part of the grammar, and what is typed wrong."""
    assert to_tex(typed) == tex


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.sampled_from([*'()[]{}|_^/,"x1 ', "sqrt", "sum", "frac", "text", "color", "(:", ":}", "oo", "->"]),
        max_size=60,
    )
)
def test_any_text_gives_tex_with_matching_braces(pieces: list[str]) -> None:
    """Whatever stands between backticks: no error, and braces of TeX match."""
    tex = to_tex("".join(pieces)).replace("\\{", "").replace("\\}", "")

    assert tex.count("{") == tex.count("}")


@pytest.mark.parametrize("piece", ["(", "sqrt", "|", "[[", "a/", "x^", '"', "[[1,2],[3,4]],"])
def test_time_is_linear_in_the_text(piece: str) -> None:
    """20,000 repeats take no seconds."""
    start = time.process_time()
    to_tex(piece * 20_000)

    assert time.process_time() - start < 2


def test_what_is_nested_too_deep_stays_as_it_was_typed() -> None:
    """Beyond the limit the rest is text."""
    assert r"\text{" in to_tex("(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1))

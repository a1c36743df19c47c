"""MathML to TeX: literal cases, and TeX -> MathML (latex2mathml) -> TeX -> MathML with the same leaves and structure."""

from __future__ import annotations

import random
from pathlib import Path

import latex2mathml.converter
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st
from mathml_oracle import fidelity, read_back, shape
from selectolax.lexbor import LexborHTMLParser, LexborNode

from filters import mathml
from filters.mathml_tree import MAX_NESTING

CASES = {
    "fraction and root": (
        "<mi>x</mi><mo>=</mo><mfrac><mrow><mo>−</mo><mi>b</mi></mrow><mrow><mn>2</mn><mi>a</mi></mrow></mfrac>"
        "<mroot><mi>y</mi><mn>3</mn></mroot>",
        r"x=\frac{-b}{2a}\sqrt[3]{y}",
    ),
    "scripts, primes and nested bases": (
        "<msubsup><mi>a</mi><mi>i</mi><mn>2</mn></msubsup><msup><mi>f</mi><mo>′</mo></msup>"
        "<msup><msub><mi>x</mi><mn>1</mn></msub><mn>2</mn></msup>",
        r"a_i^2f'{x_1}^2",
    ),
    "scripts in front": (
        "<mmultiscripts><mi>X</mi><mi>c</mi><mi>d</mi><mprescripts></mprescripts><mi>a</mi><none></none></mmultiscripts>",
        r"{}_aX_c^d",
    ),
    "limits of operators and functions": (
        "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>"
        "<munder><mo>lim</mo><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder><munder><mi>argmax</mi><mi>θ</mi></munder>",
        r"\sum_{i=1}^n\lim_{x\to0}\operatorname*{argmax}_{\theta}",
    ),
    "accents": (
        "<mover><mi>x</mi><mo>^</mo></mover><mover><mrow><mi>A</mi><mi>B</mi></mrow><mo>→</mo></mover>"
        "<mover><mi>z</mi><mo>¯</mo></mover><munder><mi>u</mi><mo>_</mo></munder>",
        r"\hat{x}\overrightarrow{AB}\bar{z}\underline{u}",
    ),
    "braces with labels": (
        "<munder><munder><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mo>⏟</mo></munder><mi>n</mi></munder>",
        r"\underbrace{a+b}_n",
    ),
    "labels over arrows and relations": (
        "<mover><mo>→</mo><mi>f</mi></mover><mover><mo>=</mo><mtext>def</mtext></mover><mover><mi>A</mi><mi>b</mi></mover>",
        r"\xrightarrow{f}\overset{\mathrm{def}}{=}\overset{b}{A}",
    ),
    "stretched fences": (
        '<mrow><mo data-mjx-texclass="OPEN">(</mo><mfrac><mi>a</mi><mi>b</mi></mfrac><mo data-mjx-texclass="CLOSE">)</mo>'
        '</mrow><mrow><mo stretchy="false">(</mo><mi>c</mi><mo stretchy="false">)</mo></mrow>',
        r"\left(\frac{a}{b}\right)(c)",
    ),
    "a fence that closes nothing": (
        '<mrow><mo fence="true"></mo><mfrac><mi>a</mi><mi>b</mi></mfrac><mo fence="true">|</mo></mrow>',
        r"\left.\frac{a}{b}\right|",
    ),
    "fences of another pair each": ("<mrow><mo>(</mo><mi>a</mi><mo>)</mo><mo>(</mo><mfrac><mn>1</mn><mn>2</mn></mfrac><mo>)</mo></mrow>", r"(a)(\frac{1}{2})"),
    "fenced": (
        '<mfenced><mi>a</mi><mi>b</mi></mfenced><mfenced open="[" close=")" separators=";"><mi>a</mi><mi>b</mi></mfenced>',
        "(a,b)[a;b)",
    ),
    "binomial": (
        '<mrow><mo>(</mo><mfrac linethickness="0"><mi>n</mi><mi>k</mi></mfrac><mo>)</mo></mrow>',
        r"\binom{n}{k}",
    ),
    "matrix": (
        "<mo>[</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr></mtable><mo>]</mo>",
        r"\begin{bmatrix} 1 & 0 \end{bmatrix}",
    ),
    "cases": (
        "<mrow><mo>{</mo><mtable columnalign='left left'><mtr><mtd><mi>a</mi></mtd><mtd><mtext>if </mtext><mi>x</mi></mtd></mtr>"
        "<mtr><mtd><mi>b</mi></mtd></mtr></mtable></mrow>",
        r"\begin{cases} a & \text{if }x \\ b \end{cases}",
    ),
    "aligned equations": (
        "<mtable columnalign='right left'><mtr><mtd><mi>a</mi></mtd><mtd><mo>=</mo><mi>b</mi></mtd></mtr></mtable>",
        r"\begin{aligned} a & =b \end{aligned}",
    ),
    "a numbered line": (
        "<mtable displaystyle='true'><mlabeledtr><mtd><mtext>(3)</mtext></mtd><mtd><mi>a</mi></mtd></mlabeledtr></mtable>",
        r"\begin{gathered} a \tag{3} \end{gathered}",
    ),
    "alphabets": (
        '<mi>ℝ</mi><mi mathvariant="script">A</mi><mi mathvariant="bold">v</mi><mi mathvariant="bold">α</mi><mi>𝔤</mi>'
        '<mi mathvariant="normal">d</mi><mi>𝑥</mi>',
        r"\mathbb{R}\mathcal{A}\mathbf{v}\boldsymbol{\alpha}\mathfrak{g}\mathrm{d}x",
    ),
    "functions and words": (
        "<mi>sin</mi><mo>⁡</mo><mi>x</mi><mi>rank</mi><mo>⁡</mo><mi>A</mi><mi>speed</mi>",
        r"\sin x\operatorname{rank}A\mathrm{speed}",
    ),
    "letters of one word": ("<mi mathvariant='normal'>o</mi><mi mathvariant='normal'>b</mi><mi>x</mi>", r"\mathrm{ob}x"),
    "text with signs that TeX would read": ("<mtext>5% of $3 & a_b</mtext>", r"\text{5\% of \$3 \& a\_b}"),
    "modulo": ("<mi>a</mi><mspace width='1em'/><mo>(</mo><mi>mod</mi><mspace width='0.33em'/><mi>n</mi><mo>)</mo>", r"a\pmod{n}"),
    "sizes": ('<mo minsize="1.2em" maxsize="1.2em">(</mo><mi>x</mi><mo minsize="2.047em" maxsize="2.047em">⟩</mo>', r"\big(x\bigg\rangle"),
    "negated": ("<mi>a</mi><mo>≠</mo><mi>b</mi><mo>\u2209</mo><mi>C</mi><mo>\u2208\u0338</mo><mi>D</mi>", r"a\ne b\notin C\not\in D"),
    "frames": ('<menclose notation="box"><mi>x</mi></menclose><mphantom><mi>y</mi></mphantom>', r"\boxed{x}\phantom{y}"),
    "stacked conditions": (
        "<munder><mo>∑</mo><mtable><mtr><mtd><mi>i</mi></mtd></mtr><mtr><mtd><mi>j</mi></mtd></mtr></mtable></munder>",
        r"\sum_{\substack{i \\ j}}",
    ),
    "an operator that KaTeX puts into an identifier": (
        "<mi><munder><mo><mi mathvariant='normal'>min</mi><mo>⁡</mo></mo><mi>x</mi></munder></mi><mi>f</mi>",
        r"\min_xf",
    ),
    "presentation beside content": (
        "<semantics><mi>x</mi><annotation-xml encoding='MathML-Content'><ci>y</ci></annotation-xml></semantics>",
        "x",
    ),
    "accents that carry scripts": (
        "<msup><mover><mi>x</mi><mo>^</mo></mover><mn>2</mn></msup><msup><msqrt><mi>y</mi></msqrt><mn>3</mn></msup>",
        r"\hat{x}^2\sqrt{y}^3",
    ),
    "an empty last column": (
        "<mrow><mo>{</mo><mtable><mtr><mtd><mi>a</mi></mtd><mtd></mtd></mtr><mtr><mtd><mi>b</mi></mtd><mtd/></mtr></mtable></mrow>",
        r"\begin{cases} a \\ b \end{cases}",
    ),
    "degrees": ("<msup><mn>90</mn><mo>°</mo></msup><mo>+</mo><mn>4</mn><mo>°</mo>", r"90^{\circ}+4^{\circ}"),
}  # fmt: skip


def element(source: str) -> LexborNode:
    """The first `math` of a source."""
    found = LexborHTMLParser(source).css_first("math")

    assert found is not None
    return found


@pytest.mark.parametrize(("source", "tex"), CASES.values(), ids=CASES.keys())
def test_mathml_becomes_the_tex_of_an_author(source: str, tex: str) -> None:
    """One case for each element and habit."""
    assert mathml.to_tex(element(f"<math>{source}</math>")) == tex


def test_prefixed_elements_that_the_parser_nests_stay_in_order() -> None:
    """`mml:mspace/` is not closed for an HTML parser; what follows it is no part of it."""
    tree = LexborHTMLParser("<mml:math><mml:mi>a</mml:mi><mml:mspace width='2em'/><mml:mi>b</mml:mi></mml:math>")
    node = tree.css_first("mml\\:math")

    assert node is not None
    assert mathml.to_tex(node) == r"a\qquad b"


def test_nothing_and_too_much_give_none() -> None:
    """An empty element, and one nested deeper than Python's recursion, have no TeX."""
    assert mathml.to_tex(element("<math></math>")) is None
    assert mathml.to_tex(element("<math>" + "<mrow>" * (MAX_NESTING + 2) + "<mi>x</mi>")) is None


def test_mathml_of_any_nesting_below_the_limit_is_converted() -> None:
    """Deep scripts do not end the recursion."""
    depth = MAX_NESTING - 2
    source = (
        "<math>" + "<msup><mi>x</mi><mrow><mi>y</mi>" * (depth // 2) + "<mi>z</mi>" + "</mrow></msup>" * (depth // 2)
    )

    assert (mathml.to_tex(element(source)) or "").count("^") == depth // 2


# --- round trip -------------------------------------------------------------------------------------------------------

_LEAF = st.sampled_from(
    [
        *"abxyznN",
        *"0179",
        "12",
        "3.5",
        r"\alpha ",
        r"\beta ",
        r"\Gamma ",
        r"\infty ",
        r"\partial ",
        r"\ell ",
        r"\emptyset ",
    ]
)
_SIGN = st.sampled_from(
    [
        "+",
        "-",
        "=",
        "<",
        ">",
        r"\le ",
        r"\ge ",
        r"\ne ",
        r"\in ",
        r"\subset ",
        r"\to ",
        r"\times ",
        r"\cdot ",
        r"\pm ",
        r"\cup ",
    ]
)
_NAME = st.sampled_from([r"\sin ", r"\cos ", r"\log ", r"\det ", r"\exp "])


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    row = st.tuples(inner, _SIGN, inner).map("".join)
    return st.one_of(
        row,
        st.tuples(_NAME, inner).map("".join),
        pair.map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
        st.tuples(_LEAF, inner).map(lambda p: rf"\sqrt[{p[0].strip()}]{{{p[1]}}}"),
        st.tuples(_LEAF, inner).map(lambda p: f"{p[0]}^{{{p[1]}}}"),
        st.tuples(_LEAF, inner, inner).map(lambda p: f"{p[0]}_{{{p[1]}}}^{{{p[2]}}}"),
        pair.map(lambda p: rf"\sum_{{{p[0]}}}^{{{p[1]}}}"),
        inner.map(lambda s: rf"\left({s}\right)"),
        st.tuples(_LEAF).map(lambda p: rf"\hat{{{p[0].strip()}}}"),
        st.lists(st.tuples(inner, inner), min_size=1, max_size=3).map(
            lambda rows: r"\begin{pmatrix}" + r" \\ ".join(f"{a} & {b}" for a, b in rows) + r"\end{pmatrix}"
        ),
    )


_FORMULAS = st.recursive(_LEAF, _compound, max_leaves=12)


@settings(max_examples=300, deadline=None)
@given(_FORMULAS)
def test_round_trip_keeps_leaves_and_structure(tex: str) -> None:
    """What latex2mathml makes of the TeX that we read out of its MathML has the same leaves and the same structure."""
    back = mathml.to_tex(element(latex2mathml.converter.convert(tex)))

    assert back is not None
    assert shape(read_back(back)) == shape(read_back(tex))


def test_real_elements_keep_their_leaves_and_structure(shared_data: Path) -> None:
    """MathML of LaTeXML, MathJax 4 and KaTeX in the raw corpus, through latex2mathml and back."""
    sources = []
    with sorted((shared_data / "raw" / "web").glob("*.warc.gz"))[1].open("rb") as stream:
        for page in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            html = bytes(page.reader.read()).decode("utf-8", "replace")
            sources += [node.html or "" for node in LexborHTMLParser(html).css("math")] if "<math" in html else []
    sample = [s for s in random.Random(1).sample(sorted(set(sources)), 2_000) if "<merror" not in s]
    scores = [fidelity(element(s), mathml.to_tex(element(s)) or "") for s in sample]

    assert sum(score.kept for score in scores) / len(scores) >= 0.997
    assert sum(score.same for score in scores) / len(scores) >= 0.999

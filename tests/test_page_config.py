"""What a page says about its mathematics, as it is written in the wild."""

from __future__ import annotations

import time

import pytest

from filters.js_literal import Value, parse
from filters.page_config import Dollar, PageConfig, read


def config(script: str, **attributes: str) -> PageConfig:
    """The configuration of a page with one script."""
    stated = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return read(f"<html><head><script{stated}>{script}</script></head><body></body></html>")


@pytest.mark.parametrize(
    "script",
    [
        r"MathJax.Hub.Config({tex2jax: {inlineMath: [['$','$'], ['\\(','\\)']]}});",
        r'window.MathJax={tex:{inlineMath:[["$","$"],["\\(","\\)"]],processEscapes:!0}}',
        r"MathJax = { tex: { inlineMath: {'[+]': [['$', '$']]}, tags: 'ams' } }; // set",
        r'{"tex2jax": {"inlineMath": [["$","$"],["\\(","\\)"]]}} /* MathJax */',
        r"renderMathInElement(document.body, {delimiters: [{left: '$$', right: '$$', display: true}, {left: '$', right: '$', display: false}]})",
    ],
)
def test_a_dollar_is_a_delimiter_where_the_page_says_so(script: str) -> None:
    """MathJax 2, 3 and 4, minified or not, and KaTeX."""
    assert config(script).dollar is Dollar.YES


def test_a_page_that_names_other_delimiters_has_no_dollar_and_one_that_names_none_may() -> None:
    """Its `$` is money."""
    assert config(r"MathJax = {tex: {inlineMath: [['\\(', '\\)']]}}").dollar is Dollar.NO
    assert config("", src="https://example.org/mathjax@3/es5/tex-chtml.js").dollar is Dollar.MAYBE
    assert config("").renderer is False


def test_delimiters_of_its_own() -> None:
    """Pairs that the page defines stand beside the defaults."""
    found = config("MathJax.Hub.Config({tex2jax: {inlineMath: [['$$$','$$$']], displayMath: [['@@','@@']]}})")

    assert found.inline == [("\\(", "\\)"), ("$$$", "$$$")]
    assert found.display == [("$$", "$$"), ("\\[", "\\]"), ("@@", "@@")]


def test_an_inline_pair_is_no_display() -> None:
    """A page can make `$$` its inline delimiter."""
    found = config("MathJax = {tex: {inlineMath: [['$$','$$']]}}")

    assert ("$$", "$$") in found.inline
    assert ("$$", "$$") not in found.display


def test_macros_of_mathjax_and_katex() -> None:
    """With and without arguments, and with a default."""
    found = config(r'MathJax = {tex: {macros: {RR: "\\mathbb{R}", v: ["\\mathbf{#1}", 1], n: ["#1^{#2}", 2, "x"]}}}')
    katex = config(r'renderMathInElement(document.body, {macros: {"\\RR": "\\mathbb{R}", "\\f": "f(#1)"}})')

    assert found.macros.apply(r"\RR \v{u} \n{2} \n[y]{3}") == r"\mathbb{R} \mathbf{u} x^{2} y^{3}"
    assert katex.macros.apply(r"\RR \f{x}") == r"\mathbb{R} f(x)"


def test_classes_that_switch_delimiters() -> None:
    """Patterns of class names; `.*` is every class."""
    found = config(r'MathJax = {options: {ignoreHtmlClass: ".*|", processHtmlClass: "arithmatex"}}')

    assert "*" in found.ignored
    assert "arithmatex" in found.processed


def test_code_is_mathematics_only_where_its_tag_is_not_skipped() -> None:
    """A list of skipped tags without `code`."""
    assert config("MathJax={options:{skipHtmlTags:['script','style','pre']}}").code is True
    assert config("MathJax={options:{skipHtmlTags:['script','style','pre','code']}}").code is False


def test_asciimath_alone_and_beside_tex() -> None:
    """Pages whose only language it is, and combined configurations that hardly anybody uses it with."""
    alone = config("", src="/js/ASCIIMathML.js")
    beside = config("", src="https://example.org/MathJax.js?config=TeX-MML-AM_CHTML")
    own = config("MathJax.Hub.Config({asciimath2jax: {delimiters: [['~','~']]}})")

    assert (alone.asciimath, alone.asciimath_only) == ([("`", "`")], True)
    assert (beside.asciimath, beside.asciimath_only) == ([("`", "`")], False)
    assert (own.asciimath, own.asciimath_only) == ([("~", "~")], True)


def test_katex_in_an_attribute() -> None:
    """The call of auto-render stands in `onload`, with its quotes as entities."""
    found = read(
        '<script src="k.js" onload="renderMathInElement(document.body, {delimiters: [{left: &quot;%%&quot;, right: &quot;%%&quot;, display: true}]})"></script>'
    )

    assert ("%%", "%%") in found.display


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("[1, 'a', !0, null, f(x, [2]), `t`]", [1.0, "a", True, None, None, "t"]),
        (
            "{a: {b: [[]]}, 'c': \"\\u0041\\n\", d() { return {e: 1} }, f: /* no */ -2}",
            {"a": {"b": [[]]}, "c": "A\n", "f": -2.0},
        ),
        ("{a: [1, 2", {"a": [1.0, 2.0]}),
        ("function () {}", None),
        ("[" * 50, [[[[[[[[[[[[None]]]]]]]]]]]]),
    ],
)
def test_literals_of_javascript(source: str, value: Value) -> None:
    """What is no literal is None; what is not closed ends with the text."""
    assert parse(source, 0) == value


@pytest.mark.parametrize(
    "piece", ["<script>", "<script>MathJax</script>", "MathJax inlineMath: [", "[[", "<SCRIPT x='", "'\\"]
)
def test_time_is_linear_in_the_page(piece: str) -> None:
    """20,000 repeats take no seconds."""
    start = time.process_time()
    read("<script>MathJax = {tex: {inlineMath:" + piece * 20_000)

    assert time.process_time() - start < 2

"""The formulas of a page: a page for each convention, and what any page must keep to."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from filters import formulas, page_config
from filters.formulas import Formula, delimited

PAGES = sorted((Path(__file__).parent / "pages").glob("*.html"))
PIECES = sorted({piece for page in PAGES for piece in re.findall(r"<[^>]*>|[^<]+", page.read_text(encoding="utf-8"))})
RAW = [
    "$",
    "$$",
    "\\(",
    "\\)",
    "{",
    "}",
    "`",
    "\\begin{align}",
    "\\end{align}",
    "<em>",
    "</em>",
    "<p>",
    "\ue000",
    "&#xe000;0&#xe001;",
]
LIMIT_S = 2.0


def extract(html: str) -> tuple[LexborHTMLParser, list[Formula]]:
    """The tree of a page, with placeholders, and its formulas."""
    tree = LexborHTMLParser(html)
    return tree, formulas.replace(tree, page_config.read(html))


def text_of(tree: LexborHTMLParser) -> str:
    """The page's text."""
    return tree.body.text() if tree.body is not None else ""


def of(body: str, script: str = "MathJax = {tex: {inlineMath: [['$','$']]}}") -> list[str]:
    """The formulas of a body, as they are written, on a page that says that `$` is a delimiter."""
    return [delimited(f) for f in extract(f"<html><head><script>{script}</script></head><body>{body}</body></html>")[1]]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_each_convention(page: Path) -> None:
    """All formulas of the page in order, each once; the text around them stays, copies and macros go."""
    truth: dict[str, Any] = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    tree, found = extract(page.read_text(encoding="utf-8"))

    assert [
        {"kind": f.kind, "display": f.display, "tex": f.tex} | ({} if f.ok else {"ok": False}) for f in found
    ] == truth["formulas"]
    assert re.findall("\ue000(\\d+)\ue001", text_of(tree)) == [str(number) for number in range(len(found))]
    assert [words for words in truth.get("kept", []) if words not in text_of(tree)] == []
    assert [words for words in truth.get("gone", []) if words in (tree.html or "")] == []


def test_the_placeholder_stands_where_the_formula_stood() -> None:
    """Text, formula, text: in their order, blanks included; emphasis inside a formula is no emphasis of the text."""
    tree, found = extract("<p>Let <b>$x_1$</b> and \\(y<em>1 + z</em>2\\), then</p>")

    assert tree.css_first("p").html == "<p>Let <b>\ue0000\ue001</b> and \ue0001\ue001, then</p>"  # type: ignore[union-attr]
    assert [f.tex for f in found] == ["x_1", "y_1 + z_2"]


def test_delimited() -> None:
    """One pair of delimiters; an inline formula is one line; what could not be converted is plain text."""
    assert delimited(Formula("a\n+ b", False, "raw")) == "$a + b$"
    assert delimited(Formula("a\n+ b", True, "raw")) == "$$a\n+ b$$"
    assert delimited(Formula("x{", False, "raw", ok=False)) == "$x{$"
    assert delimited(Formula("a b", False, "mathml", ok=False, plain=True)) == "a b"


def test_touching_formulas_are_two() -> None:
    """`$$a$$$$b$$` and `$a$$b$`."""
    assert of("<p>$$a$$$$b$$</p><p>$a$$b$</p>") == ["$$a$$", "$$b$$", "$a$", "$b$"]


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $10",
        "from $1,000 to $2,000 a month",
        "US$3 (A$4)",
        "\\$5 and \\$10",
        "$ 5 million and $x",
        "价格 $30，打折后 $20",
    ],
)
def test_prices_are_no_formulas(text: str) -> None:
    """Also where the page says that `$` is a delimiter."""
    tree, found = extract(f"<script>MathJax = {{tex: {{inlineMath: [['$','$']]}}}}</script><p>{text}</p>")

    assert found == []
    assert text in text_of(tree)


def test_a_lonely_dollar_does_not_turn_the_rest_of_the_block_over() -> None:
    """Prose between two formulas is refused, and the formula behind it is found."""
    assert of("<p>$ 的时候，有 $m$ 个；costs $5 but $n$ is free</p>") == ["$m$", "$n$"]


def test_a_page_that_names_no_dollar_but_is_full_of_tex_in_dollars_means_them() -> None:
    """Three texts with TeX in `$` are enough for the plain ones to count, too; one is not."""
    script = "MathJax = {}"
    plain = "<p>$ n $ of $两倍$</p>"

    assert of(plain, script) == []
    assert len(of("".join(f"<p>$x_{n}$</p>" for n in range(3)) + plain, script)) == 5


def test_placeholders_that_a_page_types_are_taken_out() -> None:
    """A page cannot repeat one of its formulas by typing our characters."""
    tree, found = extract("<p>&#xE000;0&#xe001; and \ue0000\ue001 \\(x\\)</p>")

    assert len(found) == 1
    assert text_of(tree) == "0 and 0 \ue0000\ue001"


def test_indices_in_code_links_and_notes_are_left_alone() -> None:
    """Only indices of running text are mathematics."""
    assert (
        of(
            "<p>word<sup>1</sup> x<sup><a href='#'>2</a></sup> <sup>3</sup> 5<sup>th</sup> y<sup class='footnote'>4</sup></p>"
        )
        == []
    )


def test_a_formula_nested_deep_is_found() -> None:
    """900 open elements of each kind."""
    for tag in ("div", "em", "span", "blockquote"):
        assert of(f"<{tag}>" * 900 + "$x_1$") == ["$x_1$"], tag


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, *RAW]), max_size=40))
def test_any_page_gives_each_formula_one_placeholder(pieces: list[str]) -> None:
    """Whatever the page: no error, no formula lost or doubled, no stray `$` and no outer blanks in one."""
    tree, found = extract("".join(pieces))
    placed = re.findall("\ue000(\\d+)\ue001", text_of(tree))

    assert sorted(map(int, placed)) == list(range(len(found)))
    assert [f for f in found if f.tex != f.tex.strip() or re.search(r"(?<!\\)(?:\\\\)*\$", f.tex)] == []


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_never_raise(data: bytes) -> None:
    """Bytes read as Latin-1, inside a page and alone."""
    text = data.decode("latin-1")
    extract(text)
    extract(f"<script type='math/tex'>{text}</script><p>${text}$ <math>{text}</math><img class=latex alt='{text}'>")


MANY = {
    "raw": "<p>word $x_{i}^2$ and \\(y\\)</p>",
    "raw in one block": "word $x_{i}^2$ and ",
    "scripts": '<p>a <script type="math/tex">x_1</script> b</p>',
    "scripts in one block": 'a <script type="math/tex">x_1</script> $b_1$ ',
    "mathml": "<math><msup><mi>x</mi><mn>2</mn></msup></math> ",
    "images": '<img class="latex" alt="$x$"> ',
    "indices": "x<sup>2</sup> + ",
    "emphasis": "a <em>b</em> $c_<em>1$ d</em> ",
    "comments": '<!-- MATH $x$ --><img src="a.png">',
    "macros": "$\\newcommand{\\a}{\\b\\b}\\newcommand{\\b}{xx}$ $\\a+1$ ",
    "dollars": "$",
    "openings": "\\(",
    "environments": "\\begin{align}",
    "braces": "{$",
    "brackets": "\\[{ ",
    "prices": "$5 and $10 ",
    "previews": '<span class="MathJax_Preview">x</span><span class="MathJax">x</span>',
    "open katex": '<span class="katex"><span class="katex-mathml">',
}


@pytest.mark.parametrize("piece", MANY.values(), ids=MANY.keys())
def test_time_is_linear_in_the_page(piece: str) -> None:
    """5,000 formulas, or what begins like one, take no more than the limit of a page."""
    html = "<body><p>" + piece * (900 if "katex" in piece else 5_000)
    tree, config = LexborHTMLParser(html), page_config.read(html)
    start = time.process_time()
    formulas.replace(tree, config)

    assert time.process_time() - start < LIMIT_S


def test_real_pages_keep_the_tex_they_state(shared_data: Path) -> None:
    """On pages of the raw corpus: each `math/tex` script and KaTeX annotation comes out as one formula."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    stated = kept = 0
    archive = sorted((shared_data / "raw" / "web").glob("*.warc.gz"))[0]
    with archive.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            html = bytes(record.reader.read()).decode("utf-8", "replace")
            sources = re.findall(r'encoding="application/x-tex">|<script type="math/tex', html)
            if sources and "<noscript" not in html:
                found = extract(html)[1]
                stated += len(sources)
                kept += sum(f.kind in ("katex", "math/tex", "mathml-annotation") for f in found)

    assert stated > 500
    assert abs(kept / stated - 1) < 0.002

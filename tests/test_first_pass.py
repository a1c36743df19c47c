"""The first pass: the kernel sees what its twin sees, pages with mathematics pass, others do not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from datatrove.data import Document, Media, MediaType
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_page_scan import naive_scan

from filters.extract_step import Extract
from filters.first_pass import THRESHOLD, Signs, signs
from filters.html import decode_html, extract
from filters.page_scan import scan_page
from pipelines.inputs import InputFile
from pipelines.recipe import WarcSource
from pipelines.sources import Rejected, read_file

PIECES = [
    b"<", b">", b"</", b"/>", b"<!--", b"-->", b"--!>", b"<!", b"<?", b'"', b"'", b"=", b" ", b"\n", b"/", b"a", b"x1",
    b"<script", b"</script>", b"<SCRIPT type='math/tex", b"<style>", b"</style", b"<math", b"<img alt=", b"<span class=",
    b"<a href=", b"<sup>", b"<mjx-container", b"katex", b"Math", b"mathematics", b"amath", b"data-tex=", b"latex.php", b"ltx_",
    b"equation", b"$", b"$$", b"`", b"$a$", b"\\(", b"\\[", b"\\begin{", b"\\beginn{", b"\\frac", b"\\a", b"^", b"_", b"{", b"&#8721;",
    b"&#x2211;", b"&#x", b"&#1d400", b"&lt;", "∑".encode(), "𝑥".encode(), "²×".encode(), "数学分析".encode(), "数 学".encode(),
    b"\xe3", b"\xe5\x88", b"\xf0\x9d", b"\xff", b"\0", b"Theorem", b"thefoundations", b"eightlet",
]  # fmt: skip


def look(body: str) -> Signs:
    return signs([f"<html><body>{body}</body></html>".encode()])[0]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))
def test_the_kernel_counts_what_its_twin_counts(text: bytes) -> None:
    """On pages put together from tags, quotes, comments, formulas and broken characters."""
    assert scan_page(text) == naive_scan(text)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_what_the_twin_gives(text: bytes) -> None:
    """On noise."""
    assert scan_page(text) == naive_scan(text)


def test_the_text_is_what_stands_between_tags() -> None:
    """Without scripts, styles, comments and references; formulas of TeX stay."""
    body = r"<p>Let \\(x\\)&nbsp;be &lt; <b class=x>数学</b>.<script>no</script><style>no</style><!-- no --> AT&T a < b"
    expected = r" Let \\(x\\) be    数学 .      AT&T a < b"

    assert scan_page(body.encode()).text.decode().split() == expected.split()


@pytest.mark.parametrize(
    "body",
    [
        '<script type="math/tex; mode=display">x</script>',
        "<script type=math/tex>x</script>",
        "<math><mi>x</mi></math>",
        "<mml:math><mml:mi>x</mml:mi></mml:math>",
        '<span class="katex"><span class="katex-mathml">x</span></span>',
        '<span class="MathJax_Preview"></span>',
        '<mjx-container data-latex="x"></mjx-container>',
        '<span class=math-container>x</span>',
        '<span class="mwe-math-element">x</span>',
        '<img src="/latex.php?latex=x%5E2">',
        '<img src="https://latex.codecogs.com/gif.download?x">',
        '<img src="/cgi-bin/mimetex.cgi?x">',
        '<img src="https://www.zhihu.com/equation?tex=x">',
        '<img src="https://chart.googleapis.com/chart?cht=tx&chl=x">',
        '<img alt="$x^2$" src="img7.png">',
        '<img alt="{\\displaystyle x}" src="a.svg">',
        '<div class="arithmatex">x</div>',
        '<p class="formulaDsp"><img src="form_0.png"></p>',
        '<span class="ltx_Math">x</span>',
        '<d-math>x</d-math>',
        '<img src="../../equations/tgamma1.svg">',
        '<code class="language-math">x</code>',
    ],
)  # fmt: skip
def test_each_way_to_carry_a_formula_is_seen(body: str) -> None:
    """Elements, classes, sources and alternative texts of all conventions."""
    assert look(body).carriers > 0


@pytest.mark.parametrize(
    "body",
    [
        r"Let \(x\) be", r"\[x\]", "$$x$$", r"\begin{align}", "so $x^2$ is", r"of $\alpha$", "a `x^2` in AsciiMath", "串 $A$ 的长度",
    ],
)  # fmt: skip
def test_each_delimiter_is_seen(body: str) -> None:
    """Delimiters of TeX in text; single dollars and backticks if there is TeX between them."""
    assert look(body).delimiters >= 1


def test_what_only_loads_mathematics_is_no_sign() -> None:
    """Scripts, style sheets, links, comments and prices stand in every page of a site."""
    body = (
        '<script src="https://cdn.example/mathjax/tex-mml.js"></script><script>var s = "\\\\( $$ <math>";</script>'
        '<link href="katex.min.css"><style>.katex { }</style><!-- <math> $$ --><a href="/math/latex">Math</a>'
        "<p>It costs $5 or $10. <code>$a = 1; $b = 2;</code></p>"
        '<span class="mathematics template later">maths</span>'
    )
    found = look(body)

    assert (found.carriers, found.delimiters, found.symbols) == (0, 0, 0)


def test_characters_and_references_are_symbols() -> None:
    """U+22xx, U+2Axx, mathematical letters and ± ² ³ × ÷, written or referred to by number."""
    assert look("∑ ⨁ 𝑥 ± ² × &#8721; &#x2211; &#X1D465; é — “ &#65; &amp;").symbols == 9


def test_words_of_mathematics_pass_without_any_formula() -> None:
    """English and Chinese; a help page, a recipe and a travel post do not."""
    algebra = "Every finite group of prime order is cyclic, and a subgroup of an abelian group is normal. " * 3
    analysis = "设函数在闭区间上连续，则它在该区间上一致连续，并且可以取到最大值与最小值。证明从略。" * 3
    help_page = "Click the download button, sign in to your account and install the latest release on the server. " * 3
    cooking = "Bake the cake until it is golden, then let it cool and serve it with tea, cream and plum jam. " * 3
    travel = "我们早上离开酒店去海边散步，晚上在城里吃饭，大家都很开心。第二天坐火车回家。" * 3

    assert [look(text).verdict for text in (algebra, analysis)] == [True, True]
    assert [look(text).verdict for text in (help_page, cooking, travel)] == [False, False, False]


def test_a_page_without_words_does_not_pass() -> None:
    """Empty bytes, or a page whose text a script would write."""
    assert signs([]) == []
    assert look("").verdict is False
    assert look("<div id=root></div><script>render()</script>").probability == 0


def test_tags_end_where_browsers_end_them() -> None:
    """Quoted signs do not end a tag, --!> ends a comment, and a name may begin with an equals sign."""
    pages = (b'<a b="> c d" e=f g = h i/>word', b'<a =" c>word<b ">', b"<!-- no > -- no --!>word<!-->")

    assert [scan_page(page).text.split() for page in pages] == [[b"word"]] * 3


def test_a_batch_gives_what_each_page_gives() -> None:
    """Pages do not see each other, and one without text has no probability."""
    pages = [b"<p>Every subgroup of an abelian group is normal.", b"", b"<p>Bake the cake.", "<p>数学分析".encode()]

    assert signs(pages) == [found for page in pages for found in signs([page])]
    assert signs(pages)[1].probability == 0


def test_the_step_leaves_other_pages_alone() -> None:
    """Their reason and score are kept, whatever the charset; documents without a page pass."""
    cake = "<p>Bake the cake until it is golden, then serve it with tea and jam.</p>" * 9
    proof = "<p>设函数在闭区间上连续，则它在该区间上一致连续，并且可以取到最大值与最小值。</p>" * 9
    docs = [Document(text="", id=str(n)) for n in range(3)]
    for doc, data in zip(docs, (cake.encode("utf-16"), proof.encode("gb18030")), strict=False):
        doc.media.append(Media("html", MediaType.DOCUMENT, "", media_bytes=data))

    assert Extract(first_pass=True).filter_batch(docs) == [(False, "no_math_signs"), (True, ""), True]
    assert docs[0].metadata["filter_score"] < THRESHOLD
    assert docs[1].text.startswith("设函数")


def test_real_pages_with_formulas_pass(shared_data: Path) -> None:
    """On one file of the real crawl: of pages with formulas in their text nearly all pass, and many others do not."""
    path = shared_data / "raw" / "web" / "web-00003.warc.gz"
    source = WarcSource(format="warc", name="web", path=str(path))
    with_formulas = passed = others = saved = 0
    for record in read_file(source, InputFile("web", path.name, str(path), path.stat().st_size, ""), Counter()):
        if isinstance(record, Rejected):
            continue
        data, charset = record.media[0].media_bytes, record.media[0].metadata.get("charset")
        [found] = signs([(decode_html(data, charset) or "").encode("utf-8", "replace")])
        if sum(extract(data, charset=charset).kept.values()) >= 3:
            with_formulas, passed = with_formulas + 1, passed + found.verdict
        else:
            others, saved = others + 1, saved + (not found.verdict)

    assert with_formulas > 150
    assert passed / with_formulas >= 0.995
    assert saved / others >= 0.5

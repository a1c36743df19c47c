"""Markdown of small pieces of HTML, literal pairs; formulas come back as they were stated."""

from __future__ import annotations

import pytest
from selectolax.lexbor import LexborHTMLParser

from filters import formulas, main_content, markdown, page_config
from filters.content_tree import flatten


def written(body: str) -> str:
    tree = LexborHTMLParser(f"<html><body>{body}</body></html>")
    found = formulas.replace(tree, page_config.read(body))
    outline = flatten(tree)
    return markdown.write(outline, main_content.everything(outline), found)[0]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h1>One</h1><p>two</p><h3>Three <em>x</em></h3>", "# One\n\ntwo\n\n### Three x"),
        ("<p>a\n  b<br>c</p><div>d<p>e</div>f", "a b\nc\n\nd\n\ne\n\nf"),
        ("<ul><li>a<li><p>b</p><p>c</p><ol start=3><li>d<li>e</ol></ul>", "- a\n- b\n\n  c\n  3. d\n  4. e"),
        ("<ul><li>a</ul><ul><li>b</ul>", "- a\n\n- b"),
        ("<blockquote><p>a</p><p>b</p></blockquote><p>c</p>", "> a\n>\n> b\n\nc"),
        ("<ul><li><blockquote>q</blockquote></ul>", "- > q"),
        ("<dl><dt>knot</dt><dd>a loop</dd><dd>a speed</dd></dl>", "knot\n\n: a loop\n: a speed"),
        ("<p>run <code>ls  -l</code> or <kbd>`</kbd></p>", "run `ls -l` or `` ` ``"),
        ("<p>x<h2><a href='#x'>¶</a></h2>", "x"),
        ("<h3>1 Logic<br>1.1 Statements</h3>", "### 1 Logic 1.1 Statements"),
    ],
)
def test_blocks(html: str, expected: str) -> None:
    """Headings, paragraphs, nested lists, quotes, definitions, inline code."""
    assert written(html) == expected


@pytest.mark.parametrize(
    ("html", "language", "code"),
    [
        ("<pre>a\n  b\n</pre>", "", "a\n  b"),
        ('<pre><code class="language-python">x = 1\n</code></pre>', "python", "x = 1"),
        (
            '<div class="highlight-c notranslate"><div class="highlight"><pre><span>int</span> x;\n</pre></div></div>',
            "c",
            "int x;",
        ),
        (
            '<figure class="highlight cpp"><table><tr><td class="gutter"><pre><span class="line">1</span><br></pre></td>'
            '<td class="code"><pre><span class="line">a;</span><br><span class="line">1;</span><br></pre></td></tr></table></figure>',
            "cpp",
            "a;\n1;",
        ),
        (
            '<div class="language-ruby highlighter-rouge"><table class="rouge-table"><tbody><tr>'
            '<td class="rouge-gutter gl"><pre class="lineno">1\n2\n</pre></td><td class="rouge-code"><pre>p 1\np 2\n</pre></td>'
            "</tr></tbody></table></div>",
            "ruby",
            "p 1\np 2",
        ),
        ('<pre><span class="linenos">1</span>a\n<span class="linenos">2</span>2\n</pre>', "", "a\n2"),
        (
            '<pre><code class="hljs"><ol><li>a</li><li>b</li></ol></code><ul class="pre-numbering"><li>1</li></ul></pre>',
            "",
            "a\nb",
        ),
    ],
)
def test_code_keeps_its_language_and_loses_its_line_numbers(html: str, language: str, code: str) -> None:
    """Hexo, rouge, pygments, highlight.js and CSDN number their lines in different ways."""
    assert written(html) == f"```{language}\n{code}\n```"


def test_a_fence_is_longer_than_any_in_the_code() -> None:
    """Markdown inside a code block stays inside."""
    assert written("<pre>```\nx\n```</pre>") == "````\n```\nx\n```\n````"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<table><tr><th>a<th>b<tr><td>1|2<td>3</table>", "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"),
        ("<table><tr><th colspan=2>a<tr><td>1<td>2</table>", "| a |  |\n| --- | --- |\n| 1 | 2 |"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "a | b\nc"),
        ("<table><tr><td><h2>a</h2><p>b</p><td>c</table>", "## a\n\nb\n\nc"),
        ("<table><tr><td><table><tr><td>1<td>2<tr><td>3<td>4</table></table>", "| 1 | 2 |\n| --- | --- |\n| 3 | 4 |"),
    ],
)
def test_tables_that_hold_data_and_tables_that_lay_out(html: str, expected: str) -> None:
    """Rectangular ones as pipe tables, others as rows, layout tables as what is in them."""
    assert written(html) == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (
            '<article class="theorem theorem-like"><h4 class="heading"><span>Theorem</span> <span>1.2</span><span>.</span></h4>'
            "<p>All is well.</p></article>",
            "**Theorem 1.2.** All is well.",
        ),
        (
            '<div class="ltx_proof"><h6 class="ltx_title ltx_title_proof">Proof.</h6><div class="ltx_para"><p>Clear.</p></div></div>',
            "**Proof.** Clear.",
        ),
        (
            '<div class="admonition note"><p class="admonition-title">Note</p><p>Mind the gap.</p></div>',
            "**Note** Mind the gap.",
        ),
        (
            '<div class="lemma"><p><strong>Lemma 3</strong> Small things add up.</p></div>',
            "**Lemma 3** Small things add up.",
        ),
        ('<div class="example"><h5>Example</h5><ul><li>one</ul></div>', "**Example**\n\n- one"),
        ("<div><h5>Example</h5><p>one</div>", "##### Example\n\none"),
    ],
)
def test_theorems_and_notes_have_bold_leads(html: str, expected: str) -> None:
    """Environments of PreTeXt, LaTeXML, Sphinx and pages that name theirs after amsthm."""
    assert written(html) == expected


def test_footnotes_keep_their_labels() -> None:
    """The mark in the text, the note where it stands, and no arrow back."""
    html = '<p>A year<sup><a href="#fn:1" class="footnote-ref">1</a></sup>.</p><ol><li id="fn:1">365 days. <a href="#r">↩</a></ol>'

    assert written(html) == "A year[^1].\n\n[^1]: 365 days."


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (r"<p>Let \(a\) and \[b\] hold.</p>", "Let $a$ and\n\n$$b$$\n\nhold."),
        (r"<p>so \[b\], and</p>", "so\n\n$$b$$,\n\nand"),
        (r"<p>\(a\)\(b\)</p>", "$a$ $b$"),
        (r"<h2>On \(x\)</h2>", "## On $x$"),
        (r"<table><tr><th>\(x\)<th>y<tr><td>1<td>\(|x|\)</table>", "| $x$ | y |\n| --- | --- |\n| 1 | $|x|$ |"),
        ("<blockquote><p>\\[a\n+b\\]</p></blockquote>", "> $$a +b$$"),
        (r"<p>\(x\) costs $5 or $PATH, not \$6</p>", r"$x$ costs \$5 or \$PATH, not \$6"),
        (r"<p>\(x\)</p><pre>$5</pre>", "$x$\n\n```\n$5\n```"),
        ("<p>It costs $5, not $6.</p>", "It costs $5, not $6."),
    ],
)
def test_formulas_come_back(html: str, expected: str) -> None:
    """Inline in the line, display on lines of their own; the other dollars of such a page are escaped."""
    assert written(html) == expected


def test_a_placeholder_that_the_page_typed_is_no_formula() -> None:
    """U+E000 in a page's own text means nothing, and is not written."""
    assert written(r"<p>\(a\) &#xE000;0&#xE001; &#xE000;7&#xE001;b</p>").count("$a$") <= 2
    assert "\ue000" not in written("<p>a&#xE000;7&#xE001;b</p>")

"""Main content of self-written pages, one for each template: the words between `<!--main-->` marks, and no others."""

from __future__ import annotations

import html as entities
import json
import re
import time
from pathlib import Path
from statistics import mean

import pytest
from conftest import REPOSITORY
from extraction_scorer import token_f1
from selectolax.lexbor import LexborHTMLParser

from filters.content_rules import BODY, COMMENTS, DROP, LIKELY_BODY, POST, of_names
from filters.content_tree import INLINE, flatten
from filters.html import extract

FLOORS = json.loads((REPOSITORY / "tests" / "floors.json").read_text(encoding="utf-8"))["main_content"]
PAGES = sorted((REPOSITORY / "tests" / "pages_content").glob("*.html"))
_MAIN = re.compile(r"<!--main-->(.*?)<!--/main-->", re.DOTALL)
_TAG = re.compile(r"</?([a-zA-Z][\w-]*)[^>]*>")
_NAMES = re.compile(r'\s(?:class|id|role|itemprop|itemtype)="[^"]*"')
_MEANING = re.compile(r"<(/?)(?:nav|main|article|aside|footer|header|section)\b")


def truth(html: str) -> str:
    marked = " ".join(_MAIN.findall(html))
    return entities.unescape(_TAG.sub(lambda m: "" if m[1] in INLINE else " ", marked))


def score(page: Path) -> float:
    html = page.read_text(encoding="utf-8")
    return token_f1(extract(html).text, truth(html))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_of_each_template(page: Path) -> None:
    """Articles lose their chrome and their comments; threads keep each post and lose each signature."""
    assert score(page) >= FLOORS["page_floor"]


def test_the_mean_of_the_templates() -> None:
    """No template pays for another."""
    assert mean(score(page) for page in PAGES) >= FLOORS["mean_floor"]


def test_pages_without_telling_names() -> None:
    """Without classes, ids, roles and the tags that mean something, blocks are judged by their text alone."""
    scores = []
    for page in PAGES:
        if page.stem in {"news", "news_zh", "wordpress", "hexo_next", "layout_tables", "latexml", "sphinx"}:
            html = _MEANING.sub(r"<\1div", _NAMES.sub("", page.read_text(encoding="utf-8")))
            scores.append(token_f1(extract(html).text, truth(html)))

    assert mean(scores) >= FLOORS["nameless_floor"]


@pytest.mark.parametrize(
    ("names", "flags"),
    [
        ("post-navigation ", DROP),
        ("site-header__menu ", DROP),
        ("relatedPosts", DROP),
        ("article-body ", BODY),
        ("post-content entry", BODY | LIKELY_BODY),
        ("comments-area comments", COMMENTS),
        ("js-post-body", POST),
        (" postmessage_10233", POST),
        ("has-sidebar no-menu", 0),
        ("elementor-widget-container", 0),
        ("paragraph lead", 0),
    ],
)
def test_names_are_read_by_their_parts(names: str, flags: int) -> None:
    """`relatedPosts` is two words, and `has-sidebar` says that the whole has one."""
    assert of_names(names) == flags


def article(inside: str, *, before: str = "", after: str = "") -> str:
    text = "".join(
        f"<p>Sentence number {n} of the article is long enough to count, and it has a comma.</p>" for n in range(9)
    )
    return f"<html><body>{before}<div class='c1'>{text}{inside}</div>{after}</body></html>"


@pytest.mark.parametrize(
    "gone",
    [
        "<nav><a href='/'>Chrome</a></nav>",
        "<div role='navigation'><a href='/'>Chrome</a></div>",
        "<div class='cookie-consent'>Chrome: we use cookies, and you accept them.</div>",
        "<div id='comments'><p>Chrome, I like this article, it is the best I have read.</p></div>",
        "<div class='share-buttons'>Chrome</div>",
        "<div style='display: none'>Chrome</div>",
        "<div><h3>Related articles</h3><ul><li><a href='/1'>Chrome one</a><li><a href='/2'>Two</a></ul></div>",
        "<h3>相关文章</h3><ul><li><a href='/1'>Chrome</a></ul>",
        "<p>Posted by Chrome</p>",
        "<select><option>Chrome</option></select>",
    ],
)
def test_chrome_goes_from_inside_an_article(gone: str) -> None:
    """By tag, role, name, style, heading and phrase."""
    text = extract(article(gone)).text

    assert "Chrome" not in text
    assert text.count("Sentence number") == 9


@pytest.mark.parametrize(
    "kept",
    [
        "<section id='comments'><h2>Comments</h2><p>Kept: this chapter is about comments in programs.</p></section>",
        "<h2 id='related-work'>Related work</h2><p>Kept: others have tried as well, and failed.</p>",
        "<h2>References</h2><ul><li><a href='/1'>Kept</a></li></ul>",
        "<p>By using Kept words at its start, a sentence must not look like a byline of some author.</p>",
        "<aside class='note'><p>Kept: a note in the margin.</p></aside>",
        "<figure><img alt=''><figcaption aria-hidden='true'>Kept caption</figcaption></figure>",
        "<pre><code><span class='comment'># Kept</span></code></pre>",
        "<details><summary>Kept</summary><p>hidden until clicked</p></details>",
    ],
)
def test_what_only_looks_like_chrome_stays(kept: str) -> None:
    """Ids made of headings, classes of a highlighter, reading lists, notes, captions."""
    assert "Kept" in extract(article(kept)).text


def test_a_name_on_the_whole_page_drops_nothing() -> None:
    """A wrapper with a menu's name holds the article."""
    assert "Sentence number 8" in extract(article("").replace("<body>", "<body><div class='offcanvas-menu'>")).text


def test_no_formula_is_left_outside_the_region() -> None:
    """The region grows until it holds nearly all formulas outside chrome; formulas of linked teasers do not count."""
    far = "".join(rf"<div><div><p>\(x_{n}\)</p></div></div>" for n in range(9))
    teasers = "".join(rf"<div><a href='/{n}'>Read about \(y_{n}\) in another post of ours</a></div>" for n in range(10))
    page = extract(article("", before=f"<div>{far}</div>", after=f"<div>{teasers}</div>"))

    assert all(f"$x_{n}$" in page.text for n in range(9))
    assert "y_1" not in page.text
    assert page.found == {"raw": 19}
    assert page.kept == {"raw": 9}


def test_an_index_page_keeps_its_links() -> None:
    """Where there is nothing but links, they are the text."""
    links = "".join(f"<li><a href='/{n}'>Chapter {n}: a title of some length</a></li>" for n in range(40))

    assert (
        "Chapter 39" in extract(f"<html><body><div id='content'><h1>Book</h1><ul>{links}</ul></div></body></html>").text
    )


def test_blanks_between_blocks_are_no_nodes() -> None:
    """Indentation is dropped when the tree is flattened; the blank between two words is not."""
    outline = flatten(LexborHTMLParser("<body>\n <div>\n  <p>a <b>b</b> <i>c</i></p>\n </div>\n</body>"))

    assert [t for t in outline.texts if t] == ["a ", "b", " ", "c"]


@pytest.mark.parametrize(
    "piece", ["<h2>Related posts</h2><p>x</p>", "<div class=a><a href=x>y</a></div>", "<p>x<sup>2</sup>"]
)
def test_time_grows_with_the_page_and_not_faster(piece: str) -> None:
    """Ten times the page takes about ten times as long: no step looks at all others for each."""
    times = []
    for count in (1_000, 10_000):
        start = time.process_time()
        extract(f"<html><body>{piece * count}</body></html>")
        times.append(time.process_time() - start)

    assert times[1] < 30 * times[0]


def test_code_whose_names_are_links_is_no_menu() -> None:
    """Coqdoc writes code in boxes of links to what each name stands for."""
    names = " ".join(f"<a href='lib{n}.html'>lemma{n}</a>" for n in range(8))
    prose = "<p>In this file we prove that similar matrices have the same trace and determinant.</p>" * 20
    page = f"<div id='main'><div class='doc'>{prose}</div>" + f"<div class='code'>Lemma {names}.</div>" * 10 + "</div>"

    assert extract(f"<html><body><div id='page'>{page}</div></body></html>").text.count("lemma7") == 10

"""`extract`: what it says of a page, what it refuses, and that no bytes whatever harm it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time

import pytest
from conftest import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import html as module
from filters.html import Page, extract

MAX_SECONDS = 2.0
MAX_MEGABYTES = 300  # above what the imports take
METERED = """
import json, resource, sys, time
from filters.html import extract
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
page, _ = sys.stdin.buffer.read(), extract(b"<p>Let \\\\(x\\\\) be odd, and <math><mi>x</mi></math> too.</p>")
base, start = peak(), time.process_time()
extract(page)
print(json.dumps([time.process_time() - start, peak() - base]))
"""
TEMPLATES = [p.read_bytes() for p in sorted((REPOSITORY / "tests" / "pages_content").glob("*.html"))]
PIECES = [
    b"<div>", b"</div>", b"<p>", b"<table><tr><td>", b"</table>", b"<ul><li>", b"<pre>", b"</pre>", b"<code>", b"$", b"$$", b"\\(",
    b"\\)", b"\\[", b"\\]", b"\\begin{align}", b"<math><mi>x</mi>", b"</math>", b'<script type="math/tex">', b"</script>", b"<!--", b"-->",
    b"&#xE000;0&#xE001;", b"\xee\x80\x80", b"\xff", b"\x00", b"<b>", b"<a href='#fn1'>1</a>", b"<span class='katex'>", b"`", b"|", b"<sup>2</sup>",
    b"<blockquote>", b"<dl><dt>", b"<dd>", b"<h2>", b"<br>", b"<svg>", b"<template>", b"<noscript>", b"<nav>", b"<img alt='$x$'>", b"x", b"\xe4\xb8\xad",
]  # fmt: skip


def check(data: bytes) -> Page:
    page = extract(data)
    page.text.encode("utf-8")  # no half of a surrogate pair
    assert bool(page.text) != bool(page.reason)
    assert not set("\ue000\ue001\ue002") & set(page.text)
    assert all(page.kept.get(kind, 0) <= count for kind, count in page.found.items())
    return page


def test_what_a_page_says_of_itself() -> None:
    """Title, language, and the formulas found, kept and lost, by kind."""
    body = r"<main><p>Let \(x\) be odd, and let <script type='math/tex'>y</script> be even.</p></main><nav>\(z\)</nav>"
    page = extract(
        f"<html lang='en-GB'><head><title> On  \\(x\\) </title></head><body>{body}</body></html>",
        "https://example.org/",
    )

    assert page.text == "Let $x$ be odd, and let $y$ be even."
    assert (page.title, page.language, page.reason, page.cut) == (r"On \(x\)", "en-GB", "", False)
    assert page.found == {"math/tex": 1, "raw": 2}
    assert page.kept == {"math/tex": 1, "raw": 1}
    assert page.failed == {}


@pytest.mark.parametrize(
    ("head", "language"),
    [
        ("<html lang='zh-CN'>", "zh-CN"),
        ("<html><meta property='og:locale' content='zh_TW'>", "zh-TW"),
        ("<html><meta http-equiv='Content-Language' content='fr'>", "fr"),
        ("<html lang='{{ lang }}'>", ""),
        ("<html>", ""),
    ],
)
def test_the_language_hint(head: str, language: str) -> None:
    """The html element, then a meta element, then Open Graph; templates that were never filled in say nothing."""
    assert extract(f"{head}<body><p>text</p>").language == language


def test_a_heading_is_said_once() -> None:
    """PreTeXt puts the kind of a section before its title, and hides it; where both differ both are part of it."""
    for kind, title, heading in (("Preface", "Preface", "Preface"), ("Section", "Sums", "Section 1 Sums")):
        number = "1" * (kind != title)
        spans = f"<span class=type>{kind}</span> <span>{number}</span> <span class=title>{title}</span>"
        page = extract(f"<main><h2 class='heading hide-type'>{spans}</h2><p>What stands below it.</p></main>")

        assert page.text == f"## {heading}\n\nWhat stands below it."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no_content"),
        (b"<html><body><script>x</script></body></html>", "no_content"),
        (bytes(range(128, 256)) * 20, "undecodable"),
        (b"<div>" * 2_000 + b"deep", "nested_too_deep"),
        (b"".join(b"<font color=%d>" % n for n in range(290)) + b"<p>x" * 2_000, "nested_too_deep"),
        (b"<p " + b" ".join(b"a%d=1" % n for n in range(3_000)) + b">x", "too_many_attributes"),
    ],
)
def test_refusals_have_reasons(data: bytes, reason: str) -> None:
    """What would cost minutes or gigabytes is told before it is parsed."""
    assert extract(data) == Page(reason=reason)


def test_tags_inside_scripts_do_not_count_as_depth() -> None:
    """Programs compare with `<`, and news sites carry megabytes of them."""
    script = "<script>" + "if(a<b&&c<d)e();" * 20_000 + "</script>"

    assert extract(f"<html><body>{script}<p>Text, of some length.</p></body></html>").text == "Text, of some length."


def test_a_long_page_is_cut_behind_its_scripts_went() -> None:
    """Long scripts and styles make room first; then what stands behind two million bytes is not read."""
    heavy = b"<script>" + b"x" * module.MAX_HTML + b"</script><style>" + b"y" * 10_000 + b"</style>"
    long = b"<p>" + b"word " * 500_000

    assert extract(heavy + b"<p>Text.") == Page(text="Text.")
    page = extract(long)
    assert page.cut
    assert page.text.count("word") == (module.MAX_HTML - 3) // 5
    assert extract("<p>x</p>" * (module.MAX_MARKS // 2 + 9)).cut


@pytest.mark.parametrize(
    "page",
    [
        "<p>word word, word. " * 100_000,
        "<h2>Related posts</h2><p>x</p>" * 25_000,
        "<div class='c d'>text here.<a href='x'>link text</a></div>" * 20_000,
        "<header>abc</header>" * 30_000,
        "<blockquote>x" * 250,
        "<table><tr><td>x" * 95,
        "<div class='theorem'><b>T</b> x</div>" * 16_000,
        "<pre><span class='line'>1</span><br></pre>" * 16_000,
        "<p>$x+1$ " * 50_000,
        "\\(" * 500_000,
        "\\(" + "{" * 500_000,
        "`" * 1_000_000,
        "<" * 1_000_000,
        "&" * 1_000_000,
        "<a b='" * 200_000,
    ],
    ids=lambda page: page[:20],
)
def test_the_dearest_pages_stay_within_the_limits(page: str) -> None:
    """Each of them would be a trap for a step that looks at all others for each, or goes back."""
    told = subprocess.run(
        [sys.executable, "-c", METERED], input=page.encode(), capture_output=True, check=True, cwd=REPOSITORY
    )
    seconds, megabytes = json.loads(told.stdout)

    assert seconds < MAX_SECONDS
    assert megabytes < MAX_MEGABYTES


def mutated(rng: random.Random) -> bytes:
    """A page of a template with pieces of it repeated, removed, swapped, and foreign ones put in."""
    data = bytearray(rng.choice(TEMPLATES))
    for _ in range(rng.randint(1, 12)):
        at, length = rng.randrange(len(data) + 1), rng.randint(0, 400)
        match rng.randrange(4):
            case 0:
                del data[at : at + length]
            case 1:
                data[at:at] = data[at : at + length] * rng.randint(1, 4)
            case 2:
                data[at:at] = b"".join(rng.choices(PIECES, k=rng.randint(1, 20)))
            case _:
                data[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400) | st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join))
def test_any_bytes_give_a_page(data: bytes) -> None:
    """No bytes and no order of tags and delimiters raise."""
    check(data)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_mutated_pages_give_a_page(rng: random.Random) -> None:
    """Nor do real pages that were torn and sewn together again."""
    check(mutated(rng))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_gives_a_page(text: str) -> None:
    """A page that comes as text may hold halves of surrogate pairs."""
    extract(text)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_inputs() -> None:
    """Half of them mutated pages, half of them pieces in any order; none raises or takes longer than the limit."""
    rng, slowest = random.Random(5), 0.0
    for number in range(100_000):
        data = mutated(rng) if number % 2 else b"".join(rng.choices(PIECES, k=rng.randint(0, 80)))
        start = time.process_time()
        check(data)
        slowest = max(slowest, time.process_time() - start)

    assert slowest < MAX_SECONDS

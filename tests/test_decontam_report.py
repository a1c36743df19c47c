"""The page of a decontamination run shows texts and runs none of them, whatever they hold, and its filters filter."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, start

from decontam.align import visible
from decontam.match import KINDS
from decontam.report import CLASSES, MAX_BYTES, SHOWN_PAIRS, page, percent, verdict, write_report
from filters.errors import OutputError

PAYLOADS = (
    "<script>document.title='ran'</script>",
    "</script>",
    "</style></title></select>",
    "\"><img src=x onerror=document.title='ran'>",
    "'><svg onload=document.title='ran'>",
    "{{7*7}}{% raw %}",
    "nul \x00 escape \x1b bidi \u202e end",
)
HOSTILE = "".join(PAYLOADS)
REPORT: dict[str, Any] = {
    "documents": {"read": 1200, "clean": 1188, "removed": 10, "reported": 2},
    "files": [{"name": "a.jsonl", "read": 1200, "clean": 1188, "removed": 10}],
    "fields": {"text": 11, "messages[0].content": 1},
    "classes": {"exact": 9, "near": 1, "review": 2},
    "benchmarks": [{"benchmark": "gsm8k", "split": "test", "items_hit": 7, "documents": 12, "exact": 9, "near": 1}],
    "coverage": [{"benchmark": "gsm8k", "split": "test", "items": 1319, "protected": 1319, "unprotected": 0}],
    "bad_rows": {"not JSON": 3},
    "options": {"rule": "qwen-math", "against": ["gsm8k"]},
    "index": {"digest": "5f0c2e6d", "items": 1319, "ngram": 13},
}


def line(doc: str, kind: str = "exact", **other: Any) -> dict[str, Any]:
    """A line of evidence."""
    about = {"doc_id": doc, "origin": f"a.jsonl#{doc}", "benchmark": "gsm8k", "split": "test", "item": 4}
    measured = {"field": "question", "class": kind, "lcs": 0.75, "ngrams": 2, "span": [10, 31], "action": "drop"}
    texts = {"doc_text": "A train goes 60 miles", "item_text": "The train goes 75 miles."}
    return {**about, **measured, **texts, **other}


HITS = [
    line("d1"),
    line("d2", "near", doc_text="Two trains meet", field="solution"),
    line("d3", "near", benchmark="cmath", doc_text="小明有３个苹果", item_text="小明有3个苹果"),
    line("d4", "review", benchmark="math", doc_text=r"solve \frac{1}{2}", item_text=r"solve \frac{1}{3}"),
]


# --- the page as text -------------------------------------------------------------------------------------------------


def test_the_class_names_are_those_of_the_matcher() -> None:
    """In the same order: the strongest first."""
    assert tuple(CLASSES) == KINDS


@pytest.mark.parametrize(
    ("documents", "bad", "sentence"),
    [
        ({}, {}, "No document was read."),
        ({"read": 1, "clean": 1}, {}, "No benchmark text was found in 1 document."),
        (
            {"read": 5000, "clean": 4997, "removed": 2, "reported": 1},
            {},
            "Benchmark text was found in 3 of 5,000 documents (0.06 %): 2 removed, 1 kept and reported.",
        ),
        (
            {"read": 4, "clean": 4, "reported": 2, "cut": 1, "tagged": 1},
            {},
            "Benchmark text was found in 2 of 4 documents (50 %): 2 kept and reported (1 cut, 1 tagged).",
        ),
        ({"read": 2, "clean": 2}, {"x": 1}, "No benchmark text was found in 2 documents; 1 row could not be read."),
    ],
)
def test_the_verdict_is_one_sentence(documents: dict[str, int], bad: dict[str, int], sentence: str) -> None:
    """With the figures that matter, and the rows that nobody looked at."""
    assert verdict({"documents": documents, "bad_rows": bad}) == sentence


def test_shares_are_never_rounded_to_nothing_or_all() -> None:
    """One document in a million is not 0 %, and all but one are not 100 %."""
    found = [percent(part, 10**6) for part in (0, 1, 123, 999_999, 10**6)]

    assert found == ["0 %", "under 0.001 %", "0.012 %", "99.99 %", "100 %"]


def test_both_texts_are_cut_into_what_they_share() -> None:
    """Words and Chinese characters are marked by token, LaTeX and full-width digits as they were written."""
    html = page(REPORT, HITS)
    texts = re.findall(r'<div class="text"[^>]*>(.*)</div>', html)

    assert texts == [
        "A <mark>train goes</mark> 60 <mark>miles</mark>",
        "The <mark>train goes</mark> 75 <mark>miles</mark>.",
        "<mark>小明有３个苹果</mark>",
        "<mark>小明有3个苹果</mark>",
        "Two trains meet",
        "The train goes 75 miles.",
        r"<mark>solve \frac{1</mark>}{2}",
        r"<mark>solve \frac{1</mark>}{3}",
    ]


def test_every_part_of_the_report_is_on_the_page() -> None:
    """Figures, settings, bad rows and all that is known of a hit."""
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page(REPORT, HITS[:1])))

    for expected in (
        "Benchmark text or its like was found in 12 of 1,200 documents (1 %): 10 removed, 2 kept and reported; 3 rows could not be read.",
        "benchmark / split documents items hit exact near gsm8k / test 12 7 9 1",
        "benchmark / split items protected unprotected gsm8k / test 1,319 1,319 0",
        "a.jsonl 1,200 1,188 10",
        "messages[0].content 1",
        "not JSON 3",
        "rule qwen-math against",
        "digest 5f0c2e6d items 1319 ngram 13",
        "ratio 0.75 shared n-grams 2 line 1 of evidence.jsonl",
        "characters 10 to 31",
        "id d1 origin a.jsonl#d1 action drop",
        "Hits: 1, all that evidence.jsonl holds.",
    ):
        assert expected in words


def test_nothing_is_needed_but_the_page_opens() -> None:
    """A report of an older or a newer version, without hits, and a hit of a private index."""
    assert "No document was read." in page({}, [])
    assert "The index holds no text of this item." in page({}, [line("d", item_text=None, **{"class": "new"})])


def test_hidden_characters_stand_as_their_numbers() -> None:
    """What cannot be seen, or turns the text around, is shown; tabs, line ends and emoji stay."""
    assert visible("a\x00\u202eb\u200bc\ud800\U000e0041") == "a[U+0000][U+202E]b[U+200B]c[U+D800][U+E0041]"
    assert visible("a\tb\r\nc👨\u200d👩 中文") == "a\tb\nc👨\u200d👩 中文"


def test_a_million_hits_are_a_fair_choice() -> None:
    """One document with a whole benchmark, or one common set, does not push the others out; lines are counted."""
    dump = (line("dump", item=i) for i in range(10_000))
    common = (line(f"c{i}", benchmark="math") for i in range(10_000))
    rare = [line("r1", "review", benchmark="aime24"), line("r2", "near", benchmark="amc23", more=7)]
    html = page(REPORT, itertools.chain(dump, common, rare))
    shown = re.findall(r'data-class="(\w+)" data-benchmark="(\w+)', html)

    assert [(kind, name, shown.count((kind, name))) for kind, name in sorted(set(shown))] == [
        ("exact", "gsm8k", 1),
        ("exact", "math", SHOWN_PAIRS - 3),
        ("near", "amc23", 1),
        ("review", "aime24", 1),
    ]
    assert "400 of 20,002 hits are shown" in html
    assert "The other 19,602 are in <code>evidence.jsonl</code>." in html
    assert "7 more are in neither." in html


def test_the_page_stays_below_its_limit() -> None:
    """Texts that become many times longer as HTML, names without end, and tables of any length."""
    hits = [
        line(f"d{i}", benchmark=f"{i}" + "'" * 900, doc_text="\"a'" * 3000, item_text="a\u202e" * 3000)
        for i in range(400)
    ]
    rows = [{"benchmark": "<" * 900 + str(i), "split": "&" * 900, "items_hit": i, "documents": i} for i in range(9999)]
    files = [{"name": "\u202e" * 900, "read": 1, "clean": 1, "removed": 0}] * 9999
    html = page({**REPORT, "benchmarks": rows, "files": files}, hits)

    assert 4_000_000 < len(html.encode()) < MAX_BYTES
    assert "9,799 more rows stand in report.json." in html


def test_the_file_is_the_same_each_time_and_whole(tmp_path: Path) -> None:
    """Byte for byte; nothing else is left in the folder; a place that cannot be written is one line."""
    write_report(tmp_path / "out", REPORT, HITS)
    first = (tmp_path / "out" / "report.html").read_bytes()
    write_report(tmp_path / "out", REPORT, HITS)

    assert (tmp_path / "out" / "report.html").read_bytes() == first
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "out" / "report.html", REPORT, HITS)


def test_the_policy_allows_our_script_and_nothing_else() -> None:
    """One script, named by the hash of its bytes; no address is in the page."""
    html = page(REPORT, HITS)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}';" in html
    assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function|https?:", html) == []
    assert {value[:1] for value in re.findall(r'\b(?:src|href)="([^"]*)"', html)} == {"#"}


# --- the page in a browser --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of this file."""
    started = start(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


SHOWN = "[...document.querySelectorAll('.hit')].filter((h) => h.offsetHeight).map((h) => h.id).join(' ')"


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """The address of a report with four hits."""
    write_report(tmp_path, REPORT, HITS)
    return (tmp_path / "report.html").as_uri()


def test_a_browser_shows_hostile_text_and_runs_none_of_it(browser: Browser, tmp_path: Path) -> None:
    """Escaping alone holds: the policy is switched off, and still no tag appears and no request leaves."""
    names = {
        "benchmark": HOSTILE,
        "split": HOSTILE,
        "field": HOSTILE,
        "class": HOSTILE,
        "origin": HOSTILE,
        HOSTILE: HOSTILE,
    }
    hit = line(HOSTILE, **names, item=HOSTILE, text_field=HOSTILE, doc_text=HOSTILE, item_text=f"item {HOSTILE}")
    counts = {
        "fields": {HOSTILE: 1},
        "bad_rows": {HOSTILE: 1},
        "options": {HOSTILE: [HOSTILE]},
        "index": {"digest": HOSTILE},
    }
    file, found = {"name": HOSTILE, "read": 1}, {"benchmark": HOSTILE, "split": HOSTILE, HOSTILE: 1}
    rows = {"files": [file], "benchmarks": [found], "coverage": [found], "documents": {"read": 1, HOSTILE: 1}}
    write_report(tmp_path, {**REPORT, **counts, **rows}, [hit])
    browser.ask("Page.setBypassCSP", enabled=True)
    browser.open((tmp_path / "report.html").as_uri())
    browser.ask("Page.setBypassCSP", enabled=False)
    tags = browser.value("[...new Set([...document.querySelectorAll('*')].map((e) => e.localName))].join(' ')").split()
    handlers = "[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames()).filter((a) => /^on/.test(a))"
    text = browser.value("document.querySelector('.hit .text').textContent")

    assert set(tags) & {"img", "svg", "iframe", "object", "embed", "link", "base", "form", "a:href"} == set()
    assert browser.value("document.scripts.length") == browser.value("document.querySelectorAll('style').length") == 1
    assert browser.value(handlers) == []
    assert browser.value("document.title") == "Decontamination report"
    assert text == "".join(PAYLOADS[:-1]) + "nul [U+0000] escape [U+001B] bidi [U+202E] end"
    assert browser.value(SHOWN) == "line-1"
    assert browser.said("Runtime.exceptionThrown") == []
    assert [r["request"]["url"] for r in browser.said("Network.requestWillBeSent")] == [
        (tmp_path / "report.html").as_uri()
    ]


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("", "line-1 line-3 line-2 line-4"),
        ("#evidence", "line-1 line-3 line-2 line-4"),
        ("#class=near", "line-3 line-2"),
        ("#class=near&q=TRAIN", "line-2"),
        ("#q=goes+60", "line-1"),
        ("#q=3个苹果", "line-3"),
        ("#q=\\frac{1}{2}", "line-4"),
        ("#benchmark=gsm8k+/+test&field=question", "line-1"),
        ("#class=no such class", "line-1 line-3 line-2 line-4"),
        ("#q=nowhere", ""),
    ],
)
def test_a_link_holds_filters(browser: Browser, plain: str, wanted: str, shown: str) -> None:
    """The script applies the fragment when the page opens, and says how many hits fit."""
    browser.open(plain + wanted)

    assert browser.value(SHOWN) == shown
    assert browser.value("document.getElementById('count').textContent") == f"{len(shown.split())} of 4 shown"
    assert browser.value("document.getElementById('none').offsetHeight > 0") == (not shown)
    assert browser.said("Log.entryAdded") == []  # the policy refused nothing


def test_a_reader_filters_by_hand(browser: Browser, plain: str) -> None:
    """Words typed, a class chosen from the menu, and all cleared; the address follows, so that it can be sent on."""
    browser.open(plain)
    browser.value("document.querySelector('[name=q]').focus()")
    browser.ask("Input.insertText", text="Train")
    typed = browser.value(SHOWN)
    browser.value(
        "{const m = document.querySelector('[name=class]'); m.value = 'near'; m.dispatchEvent(new Event('input', {bubbles: true}))}"
    )
    chosen, address = browser.value(SHOWN), browser.value("location.hash")
    browser.value("document.getElementById('clear').click()")

    assert typed == "line-1 line-2"
    assert (chosen, address) == ("line-2", "#class=near&q=Train")
    assert browser.value(SHOWN) == "line-1 line-3 line-2 line-4"


def test_without_script_all_is_shown(browser: Browser, plain: str) -> None:
    """Every hit, no dead filters, and a word on why."""
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(plain + "#q=nowhere")
    shown = browser.value(SHOWN)
    filters = browser.value("document.getElementById('filters').offsetHeight")
    notice = browser.value("document.querySelector('noscript').offsetHeight > 0")
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)

    assert (shown, filters, notice) == ("line-1 line-3 line-2 line-4", 0, True)


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_the_page_fits_the_screen(browser: Browser, tmp_path: Path, width: int) -> None:
    """A telephone scrolls tables inside their frame, never the page; words without end are broken."""
    write_report(tmp_path, REPORT, [*HITS, line("d" * 300, doc_text="x" * 900, benchmark="b" * 200, field="f" * 90)])
    browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=True)
    browser.open((tmp_path / "report.html").as_uri())

    assert browser.value("document.documentElement.scrollWidth") == width


def test_a_table_sorts(browser: Browser, tmp_path: Path) -> None:
    """The benchmarks by the items that were hit."""
    rows = [{"benchmark": name, "split": "test", "items_hit": n} for name, n in (("a", 2), ("b", 1000), ("c", 30))]
    write_report(tmp_path, {**REPORT, "benchmarks": rows}, HITS)
    browser.open((tmp_path / "report.html").as_uri())
    table = "[...document.querySelectorAll('table')].find((t) => t.textContent.includes('b / test'))"
    browser.value(f"[...{table}.querySelectorAll('th button')].find((b) => b.textContent === 'items hit').click()")
    order = browser.value(f"[...{table}.tBodies[0].rows].map((r) => r.cells[0].textContent).join()")

    assert order == "b / test,c / test,a / test"

"""The page of a report shows what documents hold and runs none of it, and its charts draw whatever they are called."""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest
from fake_build import STAGES, doc, line, write_build

from pipelines.audit.charts import charts, labels
from pipelines.audit.figures import figures
from pipelines.audit.report import write_report

PAYLOADS = (
    "<script>document.title='ran'</script>",
    "</script>",
    "</style></svg></title>",
    "\"><img src=x onerror=document.title='ran'>",
    "'><svg onload=document.title='ran'>",
    "{{7*7}}{% raw %}",
    "nul \x00 bidi \u202e",
)
HOSTILE = "".join(PAYLOADS)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build in which every string that a document can bring is hostile."""
    common = {"text": f"{HOSTILE} end", "url": f"https://x/{HOSTILE}", "host": HOSTILE, "language": HOSTILE}
    common |= {"licence": HOSTILE, "source": HOSTILE, "tokens": 9, "math_score": 0.5}
    pair = line("r1", HOSTILE, 0, 0.9, split=HOSTILE, field=HOSTILE, doc_text=HOSTILE, item_text=f"item {HOSTILE}")
    copy = {"kept": "k1", "similarity": 0.9}
    docs = [
        {**doc("k1"), **common},
        {**doc("r1"), **common, "stage": "decontaminate", "reason": f"contaminated:{HOSTILE}", "evidence": [pair]},
        {**doc("r2"), **common, "stage": "minhash_dedup", "reason": HOSTILE, "evidence": [copy]},
        {**doc("r3"), **common, "stage": "quality", "reason": HOSTILE, "evidence": [{HOSTILE: HOSTILE}]},
        {**doc("r4"), **common, "stage": HOSTILE, "reason": HOSTILE},
    ]
    root = write_build(tmp_path_factory.mktemp("hostile"), docs, stages=(*STAGES, HOSTILE))
    write_report(root)
    return root


def test_hostile_text_is_escaped_wherever_it_stands(hostile: Path) -> None:
    """No payload comes through as markup, nothing of it was a template, and every chart was drawn."""
    html = (hostile / "report.html").read_text("utf-8")
    beyond = [p for p in PAYLOADS if p in html]

    assert beyond == ["{{7*7}}{% raw %}"]  # braces are plain text once the page is written
    assert not any(tag in html for tag in ("<script", "<img", "<svg onload", "\x00", "\u202e"))
    assert html.count("<title>") == 1
    assert html.count("<style>") == 1
    assert html.count("<svg ") == len(charts(figures(hostile))) == 8
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html


def test_charts_escape_names_from_documents(hostile: Path) -> None:
    """Also when they are drawn by themselves, where nothing has made control characters visible before."""
    for svg in charts(figures(hostile)).values():
        assert not any(tag in svg for tag in ("<script", "<img", "<svg onload", "</style>", "</title>", "\u202e"))


@pytest.mark.parametrize(
    "name",
    [
        "nul \x00",
        "\uffff",
        "constructor",
        "__proto__",
        "😀" * 40,
        "e\u0301" * 9999,
        "",
        "中" * 99,
        "\u2028",
        "\\",
        "'\"\n",
    ],
)
def test_names_that_break_the_renderer_are_drawn(name: str) -> None:
    """A control character ends vl-convert's process; a cut surrogate pair, `constructor` or U+2028 its drawing."""
    amounts = {"documents": 2, "kept": 2, "removed": 1, "cpu_s": 1.0, "lcs": [1]}
    row = {**dict.fromkeys(["stage", "reason", "source", "language", "benchmark", "split"], name), **amounts}
    found = {
        "funnel": {"stages": [row, row]},
        "removed": [row, row],
        "composition": {by: [row] for by in ("by_source", "by_language", "by_source_language")},
        "histograms": {},
        "contamination": {"benchmarks": [row, row], "lcs_edges": [0, 1]},
        "cost": {"stages_cpu_s": [row, row]},
    }

    assert list(charts(found)) == ["funnel", "reasons", "composition", "benchmarks", "lcs", "cost"]


def test_labels_are_short_and_differ() -> None:
    """Two media types that begin alike are two bars."""
    nbsp = "\u00a0"

    assert labels(
        ["not_html:application/vnd.a", "not_html:application/vnd.bc", "not_html:application/vnd.bd", None]
    ) == [
        f"not_html:application/vnd.a{nbsp}",
        f"not_html:application/vnd.b…{nbsp}",
        f"not_html:application/vnd.b…{nbsp}{nbsp}",
        f"none{nbsp}",
    ]


def test_json_keeps_what_the_page_makes_visible(hostile: Path) -> None:
    """report.json is the figures, byte for byte the same each time."""
    data = (hostile / "report.json").read_bytes()
    write_report(hostile)

    assert orjson.loads(data) == orjson.loads(orjson.dumps(figures(hostile)))
    assert orjson.loads(data)["samples"][0]["documents"][0]["text"] == f"{HOSTILE} end"
    assert (hostile / "report.json").read_bytes() == data


def test_an_empty_build_has_a_page_without_charts(tmp_path: Path) -> None:
    """Nothing to draw is no error."""
    write_report(write_build(tmp_path, [], stages=("ingest",)))
    html = (tmp_path / "report.html").read_text("utf-8")

    assert "0 documents read, 0 kept, 0 removed; every document is accounted for." in html
    assert html.count("<svg") == 1  # what the stages cost


def test_importing_the_report_draws_nothing() -> None:
    """The command line stays fast: Altair, Jinja and the kernels come when a page is written."""
    code = "import pipelines.audit.report, sys; print({'altair', 'jinja2', 'numba', 'vl_convert'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


class Page(HTMLParser):
    """Tags, attribute names and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def dump_dom(html: Path, profile: Path) -> str:
    """The page as a browser holds it after scripts, if there were any, have run."""
    found = [shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")]
    browser = next((b for b in found if b), None)
    if browser is None:
        pytest.skip("no chromium or chrome on the path")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    quiet = "--disable-component-update --disable-sync --dump-dom"
    command = [browser, *flags.split(), *quiet.split(), f"--user-data-dir={profile}", html.as_uri()]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()


def test_a_browser_shows_hostile_text_and_runs_none_of_it(hostile: Path, tmp_path: Path) -> None:
    """Escaping alone holds: the page is opened without its content security policy."""
    html = (hostile / "report.html").read_text("utf-8")
    bare = html.replace('<meta http-equiv="Content-Security-Policy"', '<meta name="policy"')
    assert bare != html
    (tmp_path / "bare.html").write_text(bare, "utf-8")
    shown = Page()
    shown.feed(dump_dom(tmp_path / "bare.html", tmp_path / "profile"))

    assert not shown.tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
    assert not {a for a in shown.attributes if a.startswith("on")}
    assert "fake – corpus report" in shown.text
    for payload in PAYLOADS[:-1]:
        assert payload in shown.text
    assert "nul ␀ bidi �" in shown.text

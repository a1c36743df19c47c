"""The page of a report shows what documents hold and runs none of it, and its charts draw whatever they are called."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import orjson
import pytest
from conftest import REPOSITORY
from fake_build import DOCUMENTS, write_build
from hostile import HOSTILE, PAYLOADS, hostile_build
from report_shapes import additions, folder

from pipelines.audit import report
from pipelines.audit.charts import charts, labels
from pipelines.audit.figures import figures
from pipelines.audit.report import frame, page, write_report


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build in which every string that a document can bring is hostile."""
    root = hostile_build(tmp_path_factory.mktemp("hostile"))
    write_report(root)
    return root


def test_hostile_text_is_escaped_wherever_it_stands(hostile: Path) -> None:
    """No payload comes through as markup, nothing of it was a template, and every chart was drawn."""
    html = (hostile / "report.html").read_text("utf-8")
    html, script = html.replace(str(frame()["script"]), "OURS"), str(frame()["script"])
    beyond = [p for p in PAYLOADS if p in html.replace("<script>OURS</script>", "")]

    assert beyond == ["{{7*7}}{% raw %}", "javascript:ran(8)"]  # plain text once the page is written
    assert html.count("<script") == html.count("<script>OURS</script>") == 1
    assert not any(tag in html for tag in ("<img", "<svg onload", "<math", "<iframe", "<form", "\x00", "\u202e"))
    assert html.count("<title>") == html.count("<style>") == 1
    assert html.count("<svg ") == len(charts(figures(hostile))) == 8
    assert {value[:1] for value in re.findall(r'\b(?:src|href)="([^"]*)"', html)} == {"#"}
    assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function|https?:", script) == []


def test_the_policy_lets_in_our_script_and_nothing_else(hostile: Path) -> None:
    """It is named by the digest of its bytes."""
    html = (hostile / "report.html").read_text("utf-8")
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri" in html


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
    assert orjson.loads(data)["documents"]["k1"]["licence"] == HOSTILE
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


def words(html: str) -> str:
    """What a reader reads of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.replace(str(frame()["script"]), "")))


def test_a_number_links_to_its_documents_and_they_link_back(tmp_path: Path) -> None:
    """Without a script too: to the first, from there to the next, and from each to the number."""
    html = page(figures(write_build(tmp_path, DOCUMENTS)))
    [number] = re.findall(r'<a id="(n-\d+)" [^>]*data-what="Removed by minhash_dedup: near_duplicate">2</a>', html)

    for one, then in (("r4", ', <a href="#d-r5">next</a>'), ("r5", "")):
        [card] = re.findall(rf'<article class="document" id="d-{one}">.*?</article>', html, re.DOTALL)
        assert f'<a href="#{number}">Removed by minhash_dedup: near_duplicate</a>' in card
        assert f"{2 if one == 'r5' else 1} of 2{then}" in card
        assert f"mathcorpus trace {one} --build ." in card
        assert "was kept in its place" in card


def test_every_link_of_the_page_leads_somewhere(tmp_path: Path) -> None:
    """Each address of a fragment is an id, and no id stands twice."""
    for html in (page(figures(write_build(tmp_path, DOCUMENTS))), page(folder()), page(folder('"an id" & more'))):
        ids = re.findall(r'\bid="([^"]*)"', html)

        assert set(re.findall(r'href="#([^"]*)"', html)) - set(ids) == set()
        assert len(ids) == len(set(ids))


def test_a_folder_has_a_page_of_its_measures() -> None:
    """No stages and no cost, but what is in it, what was unreadable, and the gate that did not hold."""
    told = words(page(folder()))

    for expected in (
        "1 gate failed",
        "contaminated.exact &gt; 0 : it is 1",
        "2 files, 999 bytes: 2 documents.",
        "plain 3",
        "1 document repeats another one, whatever their case, marks and blanks (50 %).",
        "Near duplicates were sought among a sample of 1 of 2 documents",
        "1 document with 3 formulas",
        "jo***@ex***.org",
        "1 other value with 1 document is not listed.",
    ):
        assert expected in told
    assert list(charts(folder())) == ["formula_share", "by_source", "by_language", "lengths"]
    assert "mathcorpus trace" not in told
    assert "Stages" not in told


def test_an_audited_build_has_all_sections(tmp_path: Path) -> None:
    """Mixes, sequences, measures and the comparison stand beside what the build itself tells."""
    found = {**figures(write_build(tmp_path, DOCUMENTS)), **additions("plain", "k1", "r1")}
    told = words(page(found))
    headings = re.findall(r'<h2 id="([a-z]+)">', page(found))

    assert headings == [
        "funnel", "corpus", "removed", "scores", "mixes", "packed", "duplicates", "contamination", "measures",
        "comparison", "gates", "samples", "cost", "versions", "documents",
    ]  # fmt: skip
    for expected in (
        "130 tokens of 200 wanted, 10 documents, 13 with their copies; seed 7.",
        "source: web; math_score: at least 0.5; host: plain, b.org weight 3 75.0 % 90 % 120 30 1.33 9 9",
        "no_part 4, budget 2, cap:plain 1",
        "9 documents in 2 sequences of 4,096 tokens",
        "padding 202 2 %",
        "6 documents are in both, 1 under another id, 2 with another text.",
        "stage plain threshold, plain, its files, its place",
        "stage quality only now",
        "removed before: language: plain 2 67 %",
        "not read before 1 33 %",
    ):
        assert expected.replace(" %", "\u00a0%") in told.replace(" %", "\u00a0%")


def test_the_shapes_of_these_tests_are_those_of_the_schema(tmp_path: Path) -> None:
    """Else the pages above would be of reports that nobody writes."""
    schema = json.loads((REPOSITORY / "docs" / "report.schema.json").read_text())
    valid = jsonschema.Draft202012Validator(schema)
    built = figures(write_build(tmp_path, DOCUMENTS))

    for found in (folder(), built, {**built, **additions("plain", "k1", "r1")}):
        assert [e.message for e in valid.iter_errors(json.loads(orjson.dumps(found)))] == []


def test_a_published_report_without_texts_opens() -> None:
    """Its table of documents is empty, and so is every list of them: then no number is a link."""
    html = page({**folder(), "documents": {}})

    assert "data-see" not in html.replace(str(frame()["script"]), "")
    assert 'id="documents"' not in html


def test_the_page_stays_below_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts and names are cut further, then documents left out; report.json has them all."""
    monkeypatch.setattr(report, "MAX_BYTES", limit := 300_000)
    found = folder("'<" * 3000)
    for count, told in (
        (100, ""),
        (600, "So that the page opens fast, 450 documents more stand in report.json alone."),
    ):
        many = {f"{n:032x}": {**found["documents"]["a" * 32], "id": f"{n:032x}"} for n in range(count)}
        html = page({**found, "documents": many})

        assert limit / 4 < len(html.encode()) < limit
        assert told in words(html)


def test_a_long_table_ends() -> None:
    """What is not there is said."""
    rows = [{"value": f"h{n}", "documents": 1, "tokens": 1, "characters": 1, "shown": []} for n in range(500)]
    by = {**folder()["measures"]["by"], "host": rows}
    told = words(page({**folder(), "measures": {**folder()["measures"], "by": by}}))
    assert "h199 1" in told
    assert "h200 1" not in told
    assert "300 more rows stand in report.json ." in told

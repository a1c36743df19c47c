"""`mathcorpus audit` counts what was planted in a folder, whatever the order, the workers, or what is broken in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from planted import prose, rows, write_benchmarks, write_planted
from test_cli import run

from pipelines.audit.schema import schema

VALIDATOR = Draft202012Validator(schema())


def audit(*arguments: str | Path) -> dict[str, Any]:
    """The report of an audit that has to end well; it is one of the schema."""
    code, _, told = run("audit", *arguments, "--workers", "1", "--quiet")

    assert code == 0, told
    out = Path(arguments[arguments.index("--out") + 1])
    report: dict[str, Any] = orjson.loads((out / "report.json").read_bytes())
    assert [e.message for e in VALIDATOR.iter_errors(report)] == []
    assert (out / "report.html").stat().st_size > 1000
    return report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted documents."""
    return write_planted(tmp_path_factory.mktemp("audit") / "docs")


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of one question."""
    return write_benchmarks(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def report(folder: Path, benchmarks: Path) -> dict[str, Any]:
    """Its report."""
    return audit(folder, "--benchmarks", benchmarks, "--out", folder.parent / "out")


def names(report: dict[str, Any], ids: list[str]) -> list[str]:
    """The rows' own names of documents, by their origin."""
    lines = [orjson.dumps(row) for row in rows()]
    offsets = {sum(len(line) + 1 for line in lines[:n]): row["id"] for n, row in enumerate(rows())}
    places = [report["documents"][i]["origin"].split("#") for i in ids]
    return sorted(_own_name(place, offsets) for place in places)


def _own_name(place: list[str], offsets: dict[int, str]) -> str:
    return offsets[int(place[1])] if place[0] == "jsonl/rows.jsonl.gz" else place[0]


def test_what_was_read_and_what_could_not_be(report: dict[str, Any]) -> None:
    """Every format is read; each broken record has its reason; files that nobody reads are named."""
    assert report["kind"] == "folder"
    assert {k: v for k, v in report["input"].items() if k not in {"paths", "bytes"}} == {
        "files": 7,
        "documents": 17,
        "unreadable": {
            "broken_file": 1,
            "empty": 1,
            "http_status:404": 1,
            "no_text": 1,
            "not_json": 1,
            "truncated_compression": 1,
        },
        "skipped": {},
        "unread_files": {"count": 1, "first": ["slides.pdf"]},
    }


def counts(report: dict[str, Any], column: str) -> dict[str | None, int]:
    return {row["value"]: row["documents"] for row in report["measures"]["by"][column]}


def test_what_the_documents_are(report: dict[str, Any]) -> None:
    """By folder or own source, detected and stated language, host, licence and year."""
    assert counts(report, "source") == {"jsonl": 11, "notes": 2, "shelf": 2, "web": 2}
    assert counts(report, "language") == {"en": 14, "zh": 2, "und": 1}
    assert counts(report, "stated_language") == {None: 12, "en": 4, "zh": 1}
    assert counts(report, "host") == {None: 15, "a.org": 1, "b.org": 1}
    assert counts(report, "licence") == {None: 16, "CC0": 1}
    assert counts(report, "year") == {None: 16, "2021": 1}
    assert sum(report["measures"]["lengths"]["counts"]) == report["measures"]["documents"] == 17


def test_duplicates_are_counted_once(report: dict[str, Any]) -> None:
    """One of two equal texts repeats the other, one of two that differ in two words is near; no document is both."""
    exact, near = (report["measures"]["duplicates"][kind] for kind in ("exact", "near"))

    assert (exact["documents"], near["documents"], near["sampled"], near["of"]) == (1, 1, 16, 16)
    assert [names(report, g["shown"]) for g in exact["groups"]] == [["repeat-a", "repeat-b"]]
    assert [names(report, g["shown"]) for g in near["groups"]] == [["near-a", "near-b"]]
    assert 0.75 < near["groups"][0]["similarity"] < 1


def test_formulas_and_their_delimiters(report: dict[str, Any]) -> None:
    """A `$` without a partner is found, a price is none."""
    found = report["measures"]["formulas"]

    assert (found["documents_with"], found["unbalanced"]["documents"]) == (2, 1)
    assert {k: n for k, n in found["unbalanced"]["kinds"].items() if n} == {"dollar": 1}
    assert names(report, found["unbalanced"]["shown"]) == ["unbalanced"]
    assert names(report, found["unbalanced"]["kinds_shown"]["dollar"]) == ["unbalanced"]


def test_bins_name_documents_of_theirs(report: dict[str, Any]) -> None:
    """Up to three of each bin, and none of another."""
    for figure in (report["measures"]["lengths"], report["measures"]["formulas"]["characters_share"]):
        assert [len(ids) for ids in figure["shown"]] == [min(3, n) for n in figure["counts"]]
    lengths = report["measures"]["lengths"]
    for low, high, ids in zip(lengths["edges"], lengths["edges"][1:], lengths["shown"], strict=False):
        assert all(low <= max(1, report["documents"][i]["tokens"]) < high for i in ids)


def test_benchmark_text_is_found_with_both_sides(report: dict[str, Any]) -> None:
    """The planted question, and nothing else."""
    found = report["measures"]["contamination"]

    assert {k: n for k, n in found["strongest"].items() if n} == {"exact": 1}
    assert names(report, found["strongest_shown"]["exact"]) == ["contaminated"]
    assert [(p["benchmark"], p["item"]) for p in found["pairs"]] == [("clips", 0)]
    assert report["verdict"].endswith("1 repeat another; 1 hold benchmark text.")


def test_languages_personal_data_and_synthetic_text(report: dict[str, Any]) -> None:
    """Each is found once; what is shown of personal data is masked, wherever it stands."""
    measures = report["measures"]
    [confusion] = measures["language"]["confusion"]
    personal = measures["personal"]

    assert (confusion["stated"], confusion["detected"], confusion["documents"]) == ("en", "zh", 1)
    assert names(report, confusion["shown"]) == ["says-english"]
    assert [(k, personal[k]["documents"], personal[k]["occurrences"]) for k in ("email", "telephone", "ip")] == [
        ("email", 1, 1), ("telephone", 1, 1), ("ip", 0, 0),
    ]  # fmt: skip
    assert measures["personal_any"] == 1
    assert personal["email"]["shown"][0]["masked"].startswith("ja***@")
    assert b"jane.miller" not in orjson.dumps(report)
    assert b"5022345" not in orjson.dumps(report)
    assert measures["synthetic"]["documents"] == len(measures["synthetic"]["shown"]) == 1


def test_every_document_that_is_shown_is_there(report: dict[str, Any]) -> None:
    """Each id that a figure names has its entry, with a text."""

    def shown(value: Any, *, ids: bool = False) -> list[str]:
        if isinstance(value, dict):
            own = [value["id"]] if ids and "id" in value else []
            return own + [i for k, v in value.items() for i in shown(v, ids=k.endswith("shown"))]
        if isinstance(value, list):
            return [i for v in value for i in ([v] if ids and isinstance(v, str) else shown(v, ids=ids))]
        return []

    ids = set(shown(report["measures"]))
    assert len(ids) == 17  # samples of each slice show all of so few
    assert ids == set(report["documents"])
    assert all(doc["text"].strip() and doc["origin"] for doc in report["documents"].values())


def test_the_report_depends_on_the_documents_alone(
    folder: Path, benchmarks: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    """Two workers, two paths given in another order, a folder that was written anew: the same bytes, but for paths."""
    again = tmp_path / "docs"
    shutil.copytree(folder, again)
    parts = sorted(again.iterdir(), reverse=True)
    code, told, _ = run(
        "audit", again, "--benchmarks", benchmarks, "--out", tmp_path / "out", "--workers", "2", "--json"
    )

    assert code == 0
    found = orjson.loads(told)
    assert {**found, "input": None} == {**report, "input": None}
    assert len(parts) == 7


def test_a_sample_is_drawn_so_that_alike_documents_stay_together(tmp_path: Path) -> None:
    """Of 400 documents, half of them copies but for a word, a sample of a quarter finds their share, within a third."""
    lines = []
    for n in range(200):
        words = prose(1000 + n, 200).split()
        lines += [orjson.dumps({"text": " ".join(words)}), orjson.dumps({"text": " ".join([*words[:-1], "changed"])})]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.jsonl").write_bytes(b"\n".join(lines))
    near = audit(tmp_path / "docs", "--sample", "100", "--out", tmp_path / "out")["measures"]["duplicates"]["near"]

    assert near["of"] == 400
    assert 60 < near["sampled"] < 140
    assert near["share"] == pytest.approx(0.5, abs=0.1)


def test_what_holds_no_document_is_an_error_in_one_line(tmp_path: Path) -> None:
    """An empty folder, one of files nobody reads, one whose rows have their text elsewhere, a path that is not there."""
    for name in ("empty", "pdf", "rows"):
        (tmp_path / name).mkdir()
    (tmp_path / "pdf" / "a.pdf").write_bytes(b"%PDF")
    (tmp_path / "rows" / "a.jsonl").write_bytes(b'{"body": "some text", "n": 1}\n')
    cases = {
        "empty": "holds no file",
        "pdf": "holds no documents",
        "rows": "no row has a text in 'text'; they have body, n; name one with --field",
        "nowhere": "no such file or folder",
    }
    for name, words in cases.items():
        code, _, told = run("audit", tmp_path / name, "--out", tmp_path / "out" / name, "--workers", "1")

        assert code == 2
        assert words in told
        assert len(told.splitlines()) == 1
    assert audit(tmp_path / "rows", "--field", "body", "--out", tmp_path / "out" / "rows")["measures"]["documents"] == 1


def test_nothing_is_written_among_documents(tmp_path: Path) -> None:
    """The output may not be a folder of other files; one below the input is not read as input; a second run is equal."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text(prose(1))
    code, _, told = run("audit", docs, "--out", docs, "--workers", "1")
    first = audit(docs, "--out", docs / "audit")
    second = audit(docs, "--out", docs / "audit")

    assert code == 2
    assert "holds other files (a.txt)" in told
    assert first == second
    assert sorted(p.name for p in docs.iterdir()) == ["a.txt", "audit"]
    assert sorted(p.name for p in (docs / "audit").iterdir()) == [".lock", "report.html", "report.json"]

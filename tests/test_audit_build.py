"""`mathcorpus audit` of a build: its report gets the measures; mixes and comparisons; runs that were killed go on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from conftest import REPOSITORY
from small import ITEM, plan, write_input, write_rows
from test_audit import VALIDATOR
from test_cli import run

from filters.errors import InputError
from pipelines.audit import measure_report
from pipelines.audit.report import write_report
from pipelines.audit.schema import text as schema_text
from pipelines.build import Build
from pipelines.engine import InlineEngine


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build, with its report."""
    root = tmp_path_factory.mktemp("build")
    write_input(root)
    Build(plan(root), InlineEngine).run()
    write_report(root / "out")
    return root


def audit(*arguments: str | Path) -> dict[str, Any]:
    """The figures of an audit that has to end well; they are those of the schema."""
    code, told, errors = run("audit", *arguments, "--workers", "1", "--json")

    assert code == 0, errors
    report: dict[str, Any] = orjson.loads(told)
    assert [e.message for e in VALIDATOR.iter_errors(report)] == []
    return report


def test_the_schema_that_is_published_is_that_of_the_code() -> None:
    """docs/report.schema.json is what `python -m pipelines.audit.schema` writes."""
    assert (REPOSITORY / "docs" / "report.schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_report_of_a_plain_build_is_of_the_schema(built: Path) -> None:
    """Without an audit it has no measures, no gates, and all of its own."""
    report = orjson.loads((built / "out" / "report.json").read_bytes())

    assert [e.message for e in VALIDATOR.iter_errors(report)] == []
    assert (report["kind"], report["measures"], report["input"], report["gates"]) == ("build", None, None, {})


def test_an_audit_fills_the_report_of_a_build(built: Path, tmp_path: Path) -> None:
    """The same funnel; the corpus measured: what the build removed is not there, its look-alikes are told apart."""
    shutil.copytree(built / "out", tmp_path / "out")
    before = orjson.loads((built / "out" / "report.json").read_bytes())
    report = audit(tmp_path / "out")
    measures = report["measures"]

    assert report["funnel"] == before["funnel"]
    assert measures["documents"] == report["build"]["documents"]["kept"] == before["composition"]["total"]["documents"]
    assert measures["tokens"] == before["composition"]["total"]["tokens"]
    assert measures["duplicates"]["exact"]["documents"] == measures["duplicates"]["near"]["documents"] == 0
    assert sum(measures["contamination"]["strongest"].values()) == 0  # by the benchmarks of its recipe
    assert before["documents"].keys() <= report["documents"].keys()
    assert orjson.loads((tmp_path / "out" / "report.json").read_bytes()) == report
    assert not (tmp_path / "out" / ".audit").exists()


def test_the_benchmarks_of_a_recipe_are_found_without_its_work(built: Path, tmp_path: Path) -> None:
    """work/ may be deleted: then the recipe's paths are read; where they are gone too, nothing is measured."""
    shutil.copytree(built / "out", tmp_path / "out", ignore=shutil.ignore_patterns("work"))
    recipe = orjson.loads((tmp_path / "out" / "recipe.json").read_bytes())
    stage = next(s for s in recipe["stages"] if s["stage"] == "decontaminate")
    found = []
    for path in (str(built / "bench"), str(tmp_path / "nowhere")):
        stage["against"] = path
        (tmp_path / "out" / "recipe.json").write_bytes(orjson.dumps(recipe))
        found.append(audit(tmp_path / "out", "--out", tmp_path / "audit")["measures"]["contamination"])
    code, _, told = run("audit", tmp_path / "out", "--fail-if", "contaminated.any > 0", "--out", tmp_path / "audit")

    assert found[0] is not None
    assert found[1] is None
    assert code == 2
    assert "name what to look for with --benchmarks" in told


def test_other_benchmarks_than_those_of_the_build(built: Path, tmp_path: Path) -> None:
    """--benchmarks takes the place of the recipe's; a corpus that was checked against one holds text of another."""
    corpus = audit(built / "out", "--out", tmp_path / "audit")
    first = next(d["text"] for d in corpus["documents"].values() if d.get("kept", True))
    write_rows(tmp_path / "other" / "set" / "test.jsonl", [{"question": first, "answer": "1"}, {"question": ITEM}])
    found = audit(built / "out", "--benchmarks", tmp_path / "other", "--out", tmp_path / "audit")

    assert found["gates"]["contaminated.exact"] >= 1
    assert {p["benchmark"] for p in found["measures"]["contamination"]["pairs"]} == {"set"}


def test_a_corpus_is_measured_as_its_build_is(built: Path, tmp_path: Path) -> None:
    """corpus/ by itself is a folder of documents in our own format: the same measures, but for benchmarks."""
    whole = audit(built / "out", "--out", tmp_path / "one")["measures"]
    alone = audit(built / "out" / "corpus", "--out", tmp_path / "two")
    code, _, told = run("audit", built / "out" / "ledger", "--out", tmp_path / "three")

    assert alone["kind"] == "folder"
    assert {**alone["measures"], "contamination": None} == {**whole, "contamination": None}
    assert code == 2
    assert "not of documents" in told


def test_two_builds_are_compared(built: Path, tmp_path: Path) -> None:
    """A build without the near duplicates' stage has one document more: it came, since the other removed it."""
    shutil.copytree(built / "in", tmp_path / "in")
    shutil.copytree(built / "bench", tmp_path / "bench")
    stages = [{"stage": "quality", "min_tokens": 5}, {"stage": "exact_dedup"}, {"stage": "tokens"}]
    Build(plan(tmp_path, stages=stages), InlineEngine).run()
    report = audit(tmp_path / "out", "--against", built / "out", "--out", tmp_path / "audit")
    found = report["comparison"]

    assert found["in_both"] + found["came"]["documents"] == report["measures"]["documents"]
    assert found["came"]["documents"] == report["gates"]["comparison.came"] > 0
    assert all(why.startswith("removed_before:") for why in found["came"]["why"])
    assert {i for ids in found["came"]["shown"].values() for i in ids} <= report["documents"].keys()


def test_a_run_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is not read again; other documents are, and nothing of the killed run stays."""
    write_rows(tmp_path / "docs" / "a.jsonl", [{"text": "one two three four"}])
    out = tmp_path / "out"

    def killed(_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(measure_report, "page", killed)
        with pytest.raises(KeyboardInterrupt):
            measure_report.audit(measure_report.Options((str(tmp_path / "docs"),), out), lambda *_: None)
    kept = out / ".audit" / "read" / "documents" / "kept" / "00000.parquet"
    written = kept.stat().st_mtime_ns

    def seen(what: str, done: int, whole: int) -> None:
        steps.append((what, done, whole))
        assert kept.stat().st_mtime_ns == written

    steps: list[tuple[str, int, int]] = []
    report = measure_report.audit(measure_report.Options((str(tmp_path / "docs"),), out), seen).report

    assert ("read", 1, 1) == steps[0]
    assert report["measures"]["documents"] == 1
    assert not (out / ".audit").exists()


def test_an_input_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    """No folder is made for it."""
    with pytest.raises(InputError):
        measure_report.audit(measure_report.Options((str(tmp_path / "no"),), tmp_path / "out"), lambda *_: None)

    assert list(tmp_path.iterdir()) == []

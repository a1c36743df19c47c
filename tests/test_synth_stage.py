"""The stage `synth`: samples follow their documents, what is refused has its row, and children go with their parents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from model_server import MODEL, Reply, model_server
from small import build, digests, plan, text, write_rows

from pipelines import dataset as ds
from pipelines.trace import trace

pytest.importorskip("aiohttp", reason="the llm extra is not installed")

PAIRS = {
    "sum": "Question: What is the sum of the numbers 12 and 30?\n\nSolution: We add the tens and the ones: "
    "$12 + 30 = 42$, so the sum is $\\boxed{42}$.",
    "rest": "Question: What is left when seven is taken from twenty?\n\nSolution: Count down from twenty: "
    "$20 - 7 = 13$, therefore what is left is $\\boxed{13}$.",
}


def answers(asked: str, _times: int) -> Reply | str:
    """By what a document holds: its pair by blocks, nothing, a loop, or tags that do not close."""
    if "<document>" not in asked:
        return "one two three four five six seven eight nine"  # to the probe
    if "Question:" in asked:
        return "<qa><question>1</question><answer></answer><solution>2</solution></qa>"
    if "endless" in asked:
        return "again and " * 300
    return "<qa><question>1" if "broken" in asked else "<none/>"


def write_input(root: Path) -> None:
    """Two documents with a pair, one of other text, one that makes the model loop, one that breaks its tags."""
    texts = [*PAIRS.values(), text(7), "endless " + text(8), "broken " + text(9)]
    write_rows(root / "in" / "notes.jsonl", [{"id": str(n), "text": each} for n, each in enumerate(texts)])


def stages(url: str, *behind: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Extraction without refining, and what stands behind it."""
    synth = {"stage": "synth", "server": {"url": url, "model": MODEL}, "refine": False, "resamples": 0, **more}
    return [{"stage": "language"}, synth, *behind]


def rows(root: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a dataset."""
    return [row for table in ds.Dataset.load(root / name).tables() for row in table.to_pylist()]


def test_samples_follow_their_documents(tmp_path: Path) -> None:
    """Read + made = kept + removed; text of the document's own characters; parents, prompt and gates are told."""
    write_input(tmp_path)
    with model_server(answers) as served:
        manifest = build(plan(tmp_path, stages=stages(served.url)))
    assert manifest["documents"] == {"read": 5, "made": 2, "kept": 7, "removed": 0}
    corpus = {row["id"]: row for row in rows(tmp_path / "out", "corpus")}
    samples = [row for row in corpus.values() if row["source"] == "synth"]
    assert {row["text"] for row in samples} == set(PAIRS.values())
    for row in samples:
        about = orjson.loads(row["metadata"])["synth"]
        assert corpus[row["parents"][0]]["text"] == row["text"]
        assert about["generation"]["prompt"].startswith("extract_blocks/en@")
        assert [gate["outcome"] for gate in about["gates"]] == ["pass"] * len(about["gates"])
        assert row["url"] is None
        life = trace(tmp_path / "out", row["id"])["lives"][0]
        assert (life["parents"], life["passed"]) == (row["parents"], ["synth"])
    told = [orjson.loads(row["evidence"])[0]["unused"] for row in rows(tmp_path / "out", "evidence")]
    assert sorted(reason for one in told for reason in one) == [
        "extract:nothing:none", "extract:request:loop", "extract:request:parse:unclosed",
    ]  # fmt: skip


def test_what_a_gate_stops_has_a_row(tmp_path: Path) -> None:
    """A pair twice, in two documents: the second is removed, with the gate as the reason."""
    write_input(tmp_path)
    write_rows(tmp_path / "in" / "more.jsonl", [{"text": PAIRS["sum"]}])
    with model_server(answers) as served:
        recipe = plan(tmp_path, stages=stages(served.url))
        manifest = build(recipe)
    assert manifest["documents"]["made"] == 3
    removed = {row["reason"]: row for row in rows(tmp_path / "out", "removed")}
    if len(recipe.groups) == 1:  # duplicates of other ranks are for the stages of deduplication
        assert set(removed) == {"extract:duplicate:fail:question"}


def test_a_build_that_was_asked_before_asks_nothing(tmp_path: Path) -> None:
    """With work/ but for the answers gone, the same bytes without a question."""
    write_input(tmp_path)
    with model_server(answers) as served:
        first = digests(build(plan(tmp_path, stages=stages(served.url))))
        asked = len([body for body in served.requests if "<document>" in str(body)])
        (tmp_path / "out" / "manifest.json").unlink()
        for folder in (tmp_path / "out" / "work").glob("map-*"):
            (folder / "done.json").unlink()
            for marker in (folder / "ranks").iterdir():
                marker.unlink()
        assert digests(build(plan(tmp_path, stages=stages(served.url)))) == first
        assert len([body for body in served.requests if "<document>" in str(body)]) == asked


@pytest.mark.parametrize("gone", ["takedown", "decontaminate"])
def test_children_go_with_their_parents(tmp_path: Path, gone: str) -> None:
    """A parent that is taken down takes its samples with it; a sample like a benchmark goes, even where its parent stays."""
    write_input(tmp_path)
    (tmp_path / "gone.txt").write_text("id 0\n")
    item = PAIRS["sum"].removeprefix("Question: ").partition("\n")[0] + " Give the sum of both as one number."
    write_rows(tmp_path / "bench" / "sums" / "test.jsonl", [{"question": item, "answer": "42"}])
    remove = {"takedown": {"path": "gone.txt"}, "decontaminate": {"against": "bench"}}[gone]
    behind = [{"stage": gone, **remove}, {"stage": "orphans"}]
    with model_server(answers) as served:
        before = build(plan(tmp_path, stages=stages(served.url)))
        after = build(plan(tmp_path, stages=stages(served.url, *behind)))
    assert (before["documents"]["kept"], after["documents"]["made"]) == (7, 2)
    reasons = [(row["source"], row["stage"], row["reason"]) for row in rows(tmp_path / "out", "ledger")]
    if gone == "takedown":
        assert reasons == [("web", "takedown", "taken_down:id"), ("synth", "orphans", "parent_gone")]
    else:  # a look-alike: reported in what came from the web, removed from what was made of it
        assert reasons == [("synth", "decontaminate", "contaminated:sums")]

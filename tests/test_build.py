"""A build accounts for every document, does nothing twice, and does again only what a change asks for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.filters.base_filter import BaseFilter
from small import DEFAULT_STAGES, build, digests, plan, text, write_input, write_rows

from filters.classifier import TrainParams, train
from filters.errors import AccountingError, OutputError, UsageError
from pipelines.build import Build, locked
from pipelines.dataset import Dataset
from pipelines.engine import InlineEngine, Progress
from pipelines.stage import Task, missing_ranks
from pipelines.trace import in_words, trace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_input(tmp_path)
    return tmp_path


def ledger(root: Path, out: str = "out") -> list[tuple[str, str]]:
    """(stage, reason) of every removed document, sorted."""
    table = pa.concat_tables(Dataset.load(root / out / "ledger").tables())
    return sorted(zip(table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True))


def with_threshold(value: float) -> list[dict[str, Any]]:
    return [{**s, "lcs_threshold": value} if s["stage"] == "decontaminate" else s for s in DEFAULT_STAGES]


def test_every_planted_document_goes_for_its_reason(root: Path) -> None:
    """The ledger holds the plants and nothing else; read = kept + removed."""
    manifest = build(plan(root))

    assert ledger(root) == [
        ("decontaminate", "contaminated:farm"),
        ("exact_dedup", "exact_duplicate"),
        ("ingest", "not_json"),
        ("minhash_dedup", "near_duplicate"),
        ("quality", "too_short"),
    ]
    assert manifest["documents"] == {"read": 29, "made": 0, "kept": 24, "removed": 5}
    for stage in manifest["stages"]:
        assert stage["in"] == stage["kept"] + sum(stage["removed"].values())


def test_a_second_run_does_nothing(root: Path) -> None:
    """The same recipe on the same input finds everything done, and no engine is started."""
    first = build(plan(root))

    def no_engine() -> Any:
        raise AssertionError

    second = Build(plan(root), no_engine).run()

    assert {s for _, s in plan(root).states()} == {"reused"}
    assert (first["fresh"], second["fresh"]) == (True, False)
    assert digests(first) == digests(second)


def test_a_corpus_that_was_deleted_is_put_together_again(root: Path) -> None:
    """A manifest alone is no build: what is missing or cut is made anew from what the passes left."""
    first = build(plan(root))
    shards = sorted((root / "out" / "corpus").glob("*.parquet"))
    shards[0].unlink()
    second = build(plan(root))
    (root / "out" / "ledger" / "manifest.json").unlink()
    third = build(plan(root))

    assert shards[0].exists()
    assert [m["fresh"] for m in (first, second, third)] == [True, True, True]
    assert digests(first) == digests(second) == digests(third)


def test_another_threshold_runs_decontamination_and_what_follows(root: Path) -> None:
    """Nothing before the changed stage runs again, and its files are not touched."""
    build(plan(root))
    before = {p: p.stat().st_mtime_ns for p in (root / "out" / "work").rglob("*.parquet")}
    changed = plan(root, stages=with_threshold(1.0))  # which nothing is strictly above
    states = {s.name: state for s, state in changed.states()}
    manifest = build(changed)

    assert states == {
        "ingest": "reused", "quality": "reused", "exact_dedup": "reused", "minhash_dedup": "reused",
        "decontaminate": "run", "tokens": "run",
    }  # fmt: skip
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert manifest["documents"]["kept"] == 25


def test_going_back_to_an_earlier_recipe_reuses_what_it_left(root: Path) -> None:
    """Passes are known by their keys, so an earlier answer is there at once, byte for byte."""
    first = build(plan(root))
    build(plan(root, stages=with_threshold(0.9)))
    again = plan(root)

    assert {s for _, s in again.states()} == {"reused"}
    assert digests(build(again)) == digests(first)


def test_a_changed_input_file_is_found_out(root: Path) -> None:
    """One more line in one file is another key, and the document is in the corpus."""
    build(plan(root))
    with (root / "in" / "part-1.jsonl").open("ab") as file:
        file.write(orjson.dumps({"text": text(99)}) + b"\n")
    changed = plan(root)

    assert changed.states()[0][1] == "run"
    assert build(changed)["documents"]["kept"] == 25


def test_keys_do_not_hold_paths_or_the_order_of_inputs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same bytes in another folder, listed in another order, are the same build."""
    other = tmp_path_factory.mktemp("elsewhere")
    write_input(other)
    names = [f"in/part-{i}.jsonl" for i in (2, 0, 3, 1)]

    assert plan(root).key == plan(other, path=names).key
    assert digests(build(plan(root))) == digests(build(plan(other, path=names)))


def test_a_build_resumes_at_the_rank_where_it_stopped(root: Path) -> None:
    """Ranks with a marker are not run again, and the result is that of an undisturbed build."""
    whole = build(plan(root, "whole"))
    made = plan(root)

    with pytest.raises(KeyboardInterrupt):
        build(made, Stops())
    watched = Watches()
    manifest = build(made, watched)

    assert watched.first == list(range(2, len(made.groups)))
    assert digests(manifest) == digests(whole)


class Stops(InlineEngine):
    """Is interrupted after two ranks."""

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        super().run(task, ranks[:2], progress)
        raise KeyboardInterrupt


class Watches(InlineEngine):
    """Remembers the first ranks that it is asked for."""

    first: list[int] | None = None

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        assert ranks == missing_ranks(task)
        self.first = self.first or list(ranks)
        super().run(task, ranks, progress)


def test_a_lost_document_fails_the_build(root: Path) -> None:
    """A step that drops a document without saying so is found out, by stage and rank."""
    stages = [{"stage": "datatrove", "name": "thief", "filter": "test_build.Thief"}, *DEFAULT_STAGES]
    with pytest.raises(AccountingError, match="stage 'thief', rank 0: 7 documents in \\+ 0 made, but 6 kept"):
        build(plan(root, stages=stages, path=["in/part-1.jsonl", "in/part-2.jsonl"]))


class Thief(BaseFilter):
    """Loses one document in silence."""

    def filter(self, doc: object) -> bool:
        return True

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        docs = list(data)
        yield from docs[1:]


def test_any_datatrove_filter_can_stand_in_a_recipe(root: Path) -> None:
    """Its reason is in the ledger under the name that the recipe gives it."""
    stage = {
        "stage": "datatrove", "name": "lengths", "filter": "datatrove.pipeline.filters.RegexFilter",
        "args": {"regex_exp": "farmer"},
    }  # fmt: skip
    build(plan(root, stages=[stage, *DEFAULT_STAGES]))

    assert [e for e in ledger(root) if e[0] == "lengths"] == [("lengths", "dropped")]


@pytest.mark.parametrize(
    ("filter_path", "args", "message"),
    [
        ("no.such.Filter", {}, "cannot be imported"),
        ("pathlib.Path", {}, "is no datatrove filter"),
        ("datatrove.pipeline.filters.RegexFilter", {"nope": 1}, "refuses its args"),
    ],
)
def test_a_filter_that_is_none_stops_with_one_line(root: Path, filter_path: str, args: Any, message: str) -> None:
    """Before any work is done."""
    stage = {"stage": "datatrove", "name": "x", "filter": filter_path, "args": args}
    with pytest.raises(UsageError, match=message):
        build(plan(root, stages=[stage, *DEFAULT_STAGES]))


def test_repeated_ids_from_records_are_removed_with_a_reason(tmp_path: Path) -> None:
    """Of two rows with one id, the one with the least key stays."""
    write_rows(tmp_path / "in" / "a.jsonl", [{"id": "k", "text": text(1)}, {"id": "k", "text": text(2)}])
    manifest = build(plan(tmp_path, ids="record", stages=[{"stage": "exact_dedup"}]))

    assert ledger(tmp_path) == [("exact_dedup", "duplicate_id")]
    assert manifest["documents"] == {"read": 2, "made": 0, "kept": 1, "removed": 1}


def test_ids_from_records_survive_another_cut_into_files(tmp_path: Path) -> None:
    """Re-sharded from 2 files to 5, the corpus holds the same rows."""
    contents = []
    for files in (2, 5):
        folder = tmp_path / str(files)
        write_input(folder, files)
        contents.append(build(plan(folder, ids="record"))["datasets"]["corpus"]["content"])

    assert contents[0] == contents[1]


def test_files_that_no_source_takes_are_named(root: Path) -> None:
    """A file of another kind in an input folder is not read, and the manifest says so."""
    (root / "in" / "notes.docx").write_bytes(b"PK")

    assert build(plan(root))["unread_files"] == {"count": 1, "first": ["notes/notes.docx"]}


def test_a_model_may_be_given(root: Path) -> None:
    """A fastText file in the place of seeds; another file at the same path is another key."""
    params = TrainParams(epochs=10, buckets=100_000)
    train([text(i) for i in range(20)], ["breakfast with fresh bread and coffee"] * 20, params, root / "m.bin")
    stages = [{"stage": "recall", "model": "m.bin"}]
    write_rows(root / "in" / "other.jsonl", [{"text": "breakfast with coffee and fresh bread"}])
    first = plan(root, stages=stages)

    assert build(first)["documents"]["read"] == 30
    assert ledger(root)[0] == ("ingest", "not_json")
    removed = pa.concat_tables(Dataset.load(root / "out" / "removed").tables()).to_pylist()
    assert "breakfast with coffee and fresh bread" in [r["text"] for r in removed if r["reason"] == "not_math"]
    train([text(i) for i in range(19)], ["breakfast with fresh bread and coffee"] * 20, params, root / "m.bin")
    assert plan(root, stages=stages).key != first.key


def test_rows_may_hold_html(root: Path) -> None:
    """With html: true the text column is a page, and its main content the document."""
    page = f"<html><head><title>T</title></head><body><article><p>{text(1)}</p></article></body></html>"
    write_rows(root / "pages" / "a.jsonl", [{"text": page}])
    stages = [{"stage": "extract"}, {"stage": "quality", "min_tokens": 5}]
    build(plan(root, stages=stages, path="pages", html=True))

    assert pa.concat_tables(Dataset.load(root / "out" / "corpus").tables())["text"].to_pylist() == [text(1)]


def test_trace_tells_the_life_of_kept_and_removed_documents(root: Path) -> None:
    """Each removed document's trace names stage, reason and evidence; a kept one's says so."""
    build(plan(root))
    removed = pa.concat_tables(Dataset.load(root / "out" / "removed").tables()).to_pylist()
    told = {row["reason"]: in_words(trace(root / "out", row["id"])) for row in removed}
    [kept] = [
        e["kept"]
        for row in removed
        if row["reason"] == "exact_duplicate"
        for e in trace(root / "out", row["id"])["lives"][0]["evidence"]
    ]

    assert "REMOVED      by quality: too_short, score 2" in told["too_short"]
    assert "too_short is 2, the limit 5" in told["too_short"]
    assert "it holds farm/test item 0 (question): LCS 1.0" in told["contaminated:farm"]
    assert "passed       no stage" in told["not_json"]
    assert f"{kept} was kept in its place" in told["exact_duplicate"]
    assert "KEPT         it is in corpus/" in in_words(trace(root / "out", kept))
    assert "1 documents were removed as duplicates of it" in in_words(trace(root / "out", kept))


def test_a_folder_in_use_is_refused(root: Path) -> None:
    """A second run on one folder stops at once; the lock is free again afterwards."""
    with (
        locked(root / "out"),
        pytest.raises(OutputError, match="another run is using this folder"),
        locked(root / "out"),
    ):
        pass
    with locked(root / "out"):
        pass


def test_a_killed_writer_leaves_nothing_that_is_taken_for_data(root: Path) -> None:
    """kill -9 in mid-build, then again: the same digests, and no leftovers in the corpus."""
    whole = build(plan(root, "whole"))
    code = (
        "import os, signal, sys; sys.path.insert(0, 'tests'); from pathlib import Path; import small\n"
        "from pipelines import dataset\n"
        "real, calls = dataset.commit_file, []\n"
        "def killing(tmp, target):\n"
        "    calls.append(1)\n"
        "    if len(calls) == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(tmp, target)\n"
        "dataset.commit_file = killing\n"
        "small.build(small.plan(Path(sys.argv[1])))\n"
    )
    for point in ("3", "9", "17"):
        command = [sys.executable, "-c", code, str(root), point]
        killed = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parent.parent)

        assert killed.returncode == -9, killed.stderr
    manifest = build(plan(root))

    assert digests(manifest) == digests(whole)
    assert sorted(os.listdir(root / "out" / "corpus")) == sorted(os.listdir(root / "whole" / "corpus"))

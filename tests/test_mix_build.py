"""Mixes in a build: made on any engine, resumed after any kill, made anew alone, and accounted for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner
from conftest import REPOSITORY
from small import DEFAULT_STAGES, build, digests, plan, text, write_input, write_rows

from pipelines import files
from pipelines.build import Build
from pipelines.cli import main
from pipelines.dataset import Dataset
from pipelines.engine import Engine, InlineEngine, Progress, make_engine
from pipelines.places import Remote, place
from pipelines.plan import Plan
from pipelines.recipe_mix import Mix
from pipelines.stage import Task
from pipelines.status import in_words, read_status
from pipelines.trace import in_words as trace_in_words
from pipelines.trace import trace

HALF = {
    "name": "half",
    "tokens": 2400,
    "parts": [
        {"name": "dated", "where": {"metadata.year": {"at_least": 2000}}, "weight": 1},
        {"name": "rest", "weight": 2, "max_epochs": 2},
    ],
    "caps": [{"column": "host", "share": 0.2}],
}
TWICE = {"name": "twice", "parts": [{"name": "all", "epochs": 1.5}]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_input(tmp_path)
    rows = [
        {"id": f"m{n}", "text": text(100 + n), "url": f"https://h{n % 2}.org/{n}", "year": 1996 + n} for n in range(12)
    ]
    write_rows(tmp_path / "in" / "more.jsonl", rows)
    return tmp_path


def mixed(root: Path, *mixes: dict[str, Any], out: str = "out", **source: Any) -> Plan:
    """The plan of the small recipe with mixes."""
    made = plan(root, out, **source)
    return replace(made, recipe=made.recipe.model_copy(update={"mixes": [Mix.model_validate(m) for m in mixes]}))


def mix_digests(manifest: dict[str, Any], by: str = "digest") -> dict[str, str]:
    return {name: made["dataset"][by] for name, made in manifest["mixes"].items()}


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for table in Dataset.load(folder).tables() for row in table.to_pylist()]


def test_corpus_is_taken_and_left_out(root: Path) -> None:
    """Each document of the corpus is in a mix or left out with a reason; a mix is a dataset with part and copy."""
    manifest = build(mixed(root, HALF, TWICE))
    corpus = {row["id"]: row for row in rows(root / "out" / "corpus")}

    assert set(manifest["mixes"]) == {"half", "twice"}
    for name, made in manifest["mixes"].items():
        taken, left = rows(root / "out" / "mixes" / name), rows(root / "out" / "mixes_left_out" / name)
        assert {r["id"] for r in taken} | {r["id"] for r in left} == set(corpus)
        assert {r["id"] for r in taken} & {r["id"] for r in left} == set()
        assert len(taken) == made["copies"] == made["dataset"]["rows"]
        assert sum(r["tokens"] for r in taken) == made["tokens_got"] == sum(p["tokens"] for p in made["parts"])
        for row in taken:
            assert {**corpus[row["id"]], "part": row["part"], "copy": row["copy"]} == row
    assert {r["copy"] for r in rows(root / "out" / "mixes" / "twice")} == {0, 1}
    assert set(manifest["mixes"]["half"]["left_out"]) == {"budget", "cap:host"}
    assert manifest["datasets"] == build(plan(root, "plain"))["datasets"]


def test_the_folder_of_a_mix_loads_as_it_is(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` takes all Parquet below a folder, so nothing else may be there."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    made = build(mixed(root, TWICE))["mixes"]["twice"]
    found = datasets.load_dataset(str(root / "out" / "mixes" / "twice"), split="train", cache_dir=str(tmp_path))
    assert (found.num_rows, sum(found["tokens"])) == (made["copies"], made["tokens_got"])


def test_a_trace_names_the_mixes_of_a_document(root: Path) -> None:
    """For each document of the corpus: how often each mix has it, of which part, or why not; by index and by scan."""
    build(mixed(root, HALF, TWICE))
    out = root / "out"
    corpus = rows(out / "corpus")
    by_index = [trace(out, row["id"])["mixes"] for row in corpus]
    (out / "index" / "manifest.json").unlink()
    for row, told in zip(corpus, by_index, strict=True):
        assert told == trace(out, row["id"])["mixes"]
        assert [one["mix"] for one in told] == ["half", "twice"]
        for one in told:
            taken = [r["part"] for r in rows(out / "mixes" / one["mix"]) if r["id"] == row["id"]]
            left = [r["reason"] for r in rows(out / "mixes_left_out" / one["mix"]) if r["id"] == row["id"]]
            assert (one["copies"], one["reason"]) == (len(taken), left[0] if left else None)
            assert set(taken) <= {one["part"]}
    assert {one["copies"] for told in by_index for one in told} == {0, 1, 2}
    twice = next(told for told in by_index if told[1]["copies"] == 2)
    words = trace_in_words({"id": "x", "lives": [], "similar_removed": 0, "mixes": twice})
    assert f"in twice, part {twice[1]['part']}: 2 times" in words


def test_a_mix_is_made_alone(root: Path) -> None:
    """Another mix runs no stage and no other mix again; what is there is not made again, what was deleted is."""
    first = build(mixed(root, HALF))
    before = {p: p.stat().st_mtime_ns for p in (root / "out" / "work").rglob("*.parquet")}
    assert build(mixed(root, HALF))["fresh"] is False

    changed = mixed(root, HALF, TWICE)
    assert [(m.config.name, state) for m, state in changed.mix_states()] == [("half", "reused"), ("twice", "run")]
    assert {state for _, state in changed.states()} == {"reused"}
    second = build(changed)
    assert second["fresh"]
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (digests(first), mix_digests(first)["half"]) == (digests(second), mix_digests(second)["half"])

    next((root / "out" / "mixes_left_out" / "twice").glob("*.parquet")).unlink()
    assert mix_digests(build(changed)) == mix_digests(second)


def test_another_seed_or_corpus_is_another_mix(root: Path) -> None:
    """The recipe's seed holds where a mix has none; a stage that changes makes the mixes again."""
    keys = {
        mixed(root, HALF).mixes[0].key,
        mixed(root, {**HALF, "seed": 2}).mixes[0].key,
        replace(mixed(root, HALF), passes=plan(root, stages=DEFAULT_STAGES[1:]).passes).mixes[0].key,
    }

    assert len(keys) == 3
    assert mixed(root, {**HALF, "seed": 1}).mixes[0].seed == mixed(root, HALF).mixes[0].seed == 1
    assert mixed(root).key == plan(root).key != mixed(root, HALF).key


def test_mixes_of_another_recipe_go(root: Path) -> None:
    """What is not of this build does not stay beside it; files of others do."""
    build(mixed(root, HALF, TWICE))
    mixes = root / "out" / "mixes"
    (mixes / "half" / "packed").mkdir()
    (mixes / "half" / "packed" / "manifest.json").write_text("{}")
    build(mixed(root))

    assert sorted(p.relative_to(mixes).as_posix() for p in mixes.rglob("*")) == [
        "half", "half/packed", "half/packed/manifest.json",
    ]  # fmt: skip


def test_another_cut_into_files_is_the_same_mix(root: Path) -> None:
    """The rows of a mix do not depend on files, shards or ranks."""
    contents = []
    for count in (2, 5):
        folder = root / str(count)
        write_input(folder, count)
        manifest = build(mixed(folder, {**HALF, "caps": []}, TWICE, ids="record"))
        contents.append(mix_digests(manifest, "content"))

    assert contents[0] == contents[1]


@pytest.mark.parametrize(("name", "workers"), [("local", 3), ("spark", 2)])
def test_engines_agree(name: str, workers: int, root: Path, request: pytest.FixtureRequest) -> None:
    """Mixes are byte for byte those of the inline engine."""
    expected = mix_digests(build(mixed(root, HALF, TWICE)))
    made: Engine
    if name == "spark":
        from pipelines.engine_spark import SparkEngine

        made = SparkEngine(workers, session=request.getfixturevalue("spark"))
    else:
        made = make_engine(name, workers)

    build(mixed(root, out=name))

    assert mix_digests(build(mixed(root, HALF, TWICE, out=name), made)) == expected


# --- interrupted ------------------------------------------------------------------------------------------------------


class Stops(InlineEngine):
    """Is interrupted behind each rank of a mix."""

    ranks = 0

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        if not task.out.name.startswith("mix-"):
            super().run(task, ranks, progress)
            return
        for rank in ranks:
            super().run(task, [rank], progress)
            self.ranks += 1
            raise KeyboardInterrupt


def test_a_mix_goes_on_behind_each_rank(root: Path) -> None:
    """No rank is done twice, and the result is that of an undisturbed build."""
    whole = build(mixed(root, HALF, TWICE, out="whole"))
    made, engine, manifest = mixed(root, HALF, TWICE), Stops(), None
    while manifest is None:
        try:
            manifest = build(made, engine)
        except KeyboardInterrupt:
            assert not (root / "out" / "manifest.json").exists()

    assert engine.ranks == 2 * 2 * len(made.groups)
    assert mix_digests(manifest) == mix_digests(whole)


def die_at_commits(root: str, points: int) -> None:
    """In a process that has no threads to fork: builds killed at the first commit behind the stages, the second, …"""
    for point in range(points + 1):
        if (child := os.fork()) == 0:
            _arm(point)
            build(mixed(Path(root), *([HALF, TWICE] if point else [])))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write("killed " if os.WIFSIGNALED(status) else "whole ")


def _arm(point: int) -> None:
    count = 0
    commit: Callable[..., None] = files.commit_file

    def counted(tmp: Path, target: Path) -> None:
        nonlocal count
        count += 1
        if count == point:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(tmp, target)

    for module in list(sys.modules.values()):
        if getattr(module, "commit_file", None) is commit:
            module.commit_file = counted  # type: ignore[attr-defined]


def test_a_mix_survives_kill_9_at_each_commit(root: Path) -> None:
    """Killed before each file that a build renames, one run after the other, a build comes to its end."""
    whole = build(mixed(root, HALF, TWICE, out="whole"))
    code = f"import test_mix_build; test_mix_build.die_at_commits({str(root)!r}, 16)"
    paths = os.pathsep.join([str(REPOSITORY / "tests"), str(REPOSITORY)])
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
    )
    runs = told.stdout.split()
    manifest = build(mixed(root, HALF, TWICE))

    assert runs.count("killed") > 10
    assert set(runs) == {"killed", "whole"}
    assert mix_digests(manifest) == mix_digests(whole)
    assert digests(manifest) == digests(whole)
    assert not list((root / "out").rglob("_tmp"))


# --- where it is told -------------------------------------------------------------------------------------------------


def test_plan_build_and_status_tell_of_mixes(root: Path) -> None:
    """`plan` lists them with what is reused, `build` prints wanted and got, `--status` their ranks."""
    source = {"format": "jsonl", "name": "notes", "path": "in"}
    recipe = {"name": "small", "sources": [source], "stages": DEFAULT_STAGES, "mixes": [HALF, TWICE]}
    (root / "r.yaml").write_text(yaml.safe_dump(recipe))
    out = ["--out", str(root / "out")]
    run = CliRunner().invoke
    planned = run(main, ["plan", str(root / "r.yaml"), *out])
    made = run(main, ["build", str(root / "r.yaml"), "--engine", "inline", *out])
    again = run(main, ["plan", str(root / "r.yaml"), "--json", *out])

    assert "run     mix half " in planned.output
    assert "\nmix half                 2,280 of 2,400 tokens, 19 documents\n" in made.output
    assert "\n  rest                   1,560 of 1,600  0.464 epochs\n" in made.output
    assert [(m["name"], m["state"]) for m in orjson.loads(again.output)["mixes"]] == [
        ("half", "reused"), ("twice", "reused"),
    ]  # fmt: skip
    told = in_words(read_status(root / "out"))
    assert "done     mix-count half: " in told
    assert "done     mix twice: " in told
    report = orjson.loads((root / "out" / "report.json").read_bytes())
    assert [mix["name"] for mix in report["mixes"]] == ["half", "twice"]
    assert report["mixes"][0]["parts"][1]["wanted"] == {"weight": 2.0, "tokens": 1600}


def test_mixes_in_an_object_store(root: Path) -> None:
    """They are written, found whole, and withdrawn there, too."""
    pytest.importorskip("fsspec")
    expected = mix_digests(build(mixed(root, HALF)))
    there = place("memory://corpora/mixed")
    assert isinstance(there, Remote)
    made = build(replace(mixed(root, HALF), out=there))

    assert mix_digests(made) == expected
    assert Build(replace(mixed(root, HALF), out=there), InlineEngine).run()["fresh"] is False
    assert len(Dataset.load(there / "mixes" / "half").paths()) == len(mixed(root).groups)
    build(replace(mixed(root), out=there))
    assert (there / "mixes").files() == {}

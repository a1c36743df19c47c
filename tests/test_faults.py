"""Killed anywhere, a build goes on and ends as if nothing had happened; what changed under it is found out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from faults import KINDS, Ground, Outcome
from faulty import AlwaysKills, KillsOnce
from small import build, digests, plan, text, write_input, write_rows

from filters.classifier import TrainParams, train
from filters.errors import InputError, MathcorpusError
from pipelines.audit.report import write_report
from pipelines.engine import InlineEngine, Progress
from pipelines.engine_datatrove import MAX_LOSSES, LocalEngine
from pipelines.files import sweep
from pipelines.stage import Task


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("ground"))
    yield made
    made.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_input(tmp_path)
    return tmp_path


def struck(ground: Ground, kind: str, seeds: Sequence[int]) -> None:
    """Every build recovers, with nothing lost, doubled, left behind or still running."""
    outcome = Outcome()
    for seed in seeds:
        ground.strike(kind, seed, outcome)

    assert outcome == Outcome(struck=outcome.struck, builds=len(seeds), recovered=len(seeds))
    assert outcome.struck


@pytest.mark.parametrize("kind", ["driver", "worker in a shard", "worker at a commit"])
def test_a_build_survives_kill_9(kind: str, ground: Ground) -> None:
    """The driver at any time, a worker in mid-shard, and a worker before or behind the renaming of a file."""
    struck(ground, kind, [1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS["local"])
def test_a_build_survives_kill_9_of_every_kind(kind: str, ground: Ground) -> None:
    """Ten builds of each kind, each killed up to twice."""
    struck(ground, kind, range(10))


@pytest.fixture(scope="module", params=["spark", "cluster"])
def spark_ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """local[2,4], and a standalone cluster of two workers."""
    pytest.importorskip("pyspark", reason="the spark extra is not installed")
    made = Ground(tmp_path_factory.mktemp("ground"), request.param)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)  # faults.py has limits of its own for each run
def test_a_build_on_spark_survives_kill_9(spark_ground: Ground) -> None:
    """A build of each kind, each killed up to twice."""
    for kind in KINDS[spark_ground.engine]:
        struck(spark_ground, kind, [0])


# --- workers ----------------------------------------------------------------------------------------------------------


def test_workers_end_with_their_driver(tmp_path: Path) -> None:
    """kill -9 of a driver: its worker writes no line more, instead of going on beside the next run."""
    code = (
        "import sys; from pathlib import Path; from faulty import WritesOn\n"
        "from pipelines.engine_datatrove import LocalEngine\n"
        "LocalEngine(1).run(WritesOn(Path(sys.argv[1])), [0], print)\n"
    )
    here = Path(__file__).parent
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "PYTHONPATH": f"{here}:{here.parent}"}
    )
    lines = tmp_path / "lines"
    until = time.monotonic() + 60
    while not lines.exists() and time.monotonic() < until:
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    time.sleep(1)
    size = lines.stat().st_size
    time.sleep(0.5)

    assert lines.stat().st_size == size > 0


def test_workers_may_be_lost_as_often_as_there_is_progress(tmp_path: Path) -> None:
    """Each of eight ranks loses its worker once, which is more than any of them may."""
    task, done = KillsOnce(tmp_path, 2 * MAX_LOSSES), []
    engine = LocalEngine(1)
    engine.run(task, range(task.ranks), done.append)
    engine.close()

    assert len(list((tmp_path / "ranks").iterdir())) == task.ranks


def test_a_rank_that_always_kills_its_worker_is_named(tmp_path: Path) -> None:
    """The build stops with one line, and the other ranks are done."""
    engine = LocalEngine(1)
    with pytest.raises(
        MathcorpusError, match=rf"ranks \[1\] killed their worker {MAX_LOSSES} times; for want of memory"
    ):
        engine.run(AlwaysKills(tmp_path), [0, 1, 2], lambda _: None)
    engine.close()

    assert sorted(p.name for p in (tmp_path / "ranks").iterdir()) == ["00000.json", "00002.json"]


def test_leftovers_are_swept_and_nothing_else(tmp_path: Path) -> None:
    """What was being written goes; finished files, and hidden ones of other names, stay."""
    half = tmp_path / "ranks" / f".00001.json.{'a' * 32}"
    keep = tmp_path / "ranks" / ".00001.json"
    for file in (half, keep, tmp_path / "kept" / "_tmp" / "x", tmp_path / "kept" / "00000.parquet"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    sweep(tmp_path)

    assert sorted(p.name for p in tmp_path.rglob("*")) == [".00001.json", "00000.parquet", "kept", "ranks"]


def test_a_report_does_not_outlive_its_build(root: Path) -> None:
    """Killed between the build and its report, the folder has no report rather than that of the build before."""
    build(plan(root))
    write_report(root / "out")
    build(plan(root, stages=[{"stage": "tokens"}]))

    assert not list((root / "out").glob("report.*"))


# --- what changes under a build ---------------------------------------------------------------------------------------


class Meddles(InlineEngine):
    """Changes something just before the first ranks run."""

    def __init__(self, meddle: Callable[[], Any]) -> None:
        self.meddle: Callable[[], Any] | None = meddle

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        if self.meddle:
            self.meddle()
            self.meddle = None
        super().run(task, ranks, progress)


@pytest.mark.parametrize("change", ["grows", "is cut", "is gone"])
def test_an_input_that_changes_under_a_build_is_named(change: str, root: Path) -> None:
    """The rank that read it is not committed; the next run starts from the file as it is, as a new build does."""
    file = root / "in" / "part-1.jsonl"
    old = file.read_bytes()
    new = {"grows": old + b'{"text": "one two three four five six"}\n', "is cut": old[:300], "is gone": b""}[change]
    meddle = file.unlink if change == "is gone" else lambda: file.write_bytes(new)
    with pytest.raises(InputError, match=r"part-1\.jsonl"):
        build(plan(root), Meddles(meddle))
    file.write_bytes(new)

    assert digests(build(plan(root))) == digests(build(plan(root, "fresh")))


def test_a_change_that_keeps_size_and_time_is_found_out(root: Path) -> None:
    """As `cp -p` and `rsync -t` make it."""
    file = root / "in" / "part-1.jsonl"
    first, stat = plan(root).key, file.stat()
    file.write_bytes(file.read_bytes().replace(b"prime", b"PRIME"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert file.stat().st_size == stat.st_size
    assert plan(root).key != first


def small_model(path: Path, examples: int) -> None:
    params = TrainParams(epochs=5, buckets=100_000)
    train([text(i) for i in range(examples)], ["breakfast with fresh bread"] * 20, params, path)


def test_a_model_that_is_replaced_under_a_build_is_found_out(root: Path) -> None:
    """Before it is copied it is refused; afterwards the build goes on with its copy."""
    stages = [{"stage": "recall", "model": "m.bin"}]
    small_model(root / "m.bin", 20)
    before = (root / "m.bin").read_bytes()
    made = plan(root, stages=stages)
    small_model(root / "m.bin", 10)
    with pytest.raises(InputError, match="stage 'recall': the files of its model changed while the build ran"):
        build(made)
    (root / "m.bin").write_bytes(before)
    replaced = build(plan(root, stages=stages), Meddles(lambda: small_model(root / "m.bin", 10)))
    (root / "m.bin").write_bytes(before)

    assert digests(replaced) == digests(build(plan(root, "other", stages=stages)))


def test_benchmarks_that_change_under_a_build_are_found_out(root: Path) -> None:
    """Between the plan and the making of the index."""
    made = plan(root)
    write_rows(root / "bench" / "farm" / "test.jsonl", [{"question": text(77), "answer": "1"}])

    with pytest.raises(InputError, match="the files of its index changed while the build ran; run it again"):
        build(made)


def test_the_lock_dies_with_its_owner(root: Path) -> None:
    """A run that was killed holds nothing."""
    code = (
        "import os, signal, sys; from pathlib import Path; from pipelines.build import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    told = subprocess.run([sys.executable, "-c", code, str(root / "out")], check=False)

    assert told.returncode == -signal.SIGKILL
    assert build(plan(root))["fresh"]

"""The Slurm engine, against programs that stand for sbatch, squeue and scancel and run the scripts."""

from __future__ import annotations

import os
from pathlib import Path

import fake_slurm
import pytest
from faulty import AlwaysKills, Fails, KillsOnce
from small import build, digests, plan, write_input

from filters.errors import MathcorpusError, UsageError
from pipelines import engine_slurm
from pipelines.engine import InlineEngine, make_engine
from pipelines.engine_slurm import SUBMISSIONS, SlurmEngine


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the programs; they are on PATH."""
    folder = fake_slurm.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here}{os.pathsep}{here.parent}")  # jobs import faulty.py
    monkeypatch.setattr(engine_slurm, "POLL_S", 0.1)
    monkeypatch.setattr(engine_slurm, "GRACE_S", 0.3)
    return folder


def calls(slurm: Path, name: str) -> list[str]:
    return [line for line in (slurm / "calls").read_text().splitlines() if line.startswith(name)]


def test_slurm_gives_the_same_bytes(slurm: Path, tmp_path: Path) -> None:
    """A build by job arrays, with options of the caller; the log of each job is kept."""
    write_input(tmp_path, 2)
    stages = [{"stage": "quality", "min_tokens": 5}, {"stage": "exact_dedup"}]
    made = plan(tmp_path, stages=stages)
    manifest = build(made, SlurmEngine(7, ["partition=cpu", "mem=2G"]))

    assert manifest["engine"] == "slurm"
    assert digests(manifest) == digests(build(plan(tmp_path, "inline", stages=stages), InlineEngine()))
    assert len(calls(slurm, "sbatch")) == len(made.passes) == 3
    assert all("--array=0-1%7" in c and "--partition=cpu --mem=2G" in c for c in calls(slurm, "sbatch"))
    assert len(list((made.work / made.passes[0].folder / "slurm").glob("*.log"))) == len(made.groups)


def test_ranks_whose_jobs_were_lost_are_submitted_again(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In arrays of a bounded length, and whatever the queue says of jobs that have ended."""
    monkeypatch.setattr(engine_slurm, "MAX_ARRAY", 2)
    monkeypatch.setenv("FAKE_SLURM_FORGETS", "1")
    out, done = tmp_path / "pass", list[int]()
    out.mkdir()
    SlurmEngine(2).run(KillsOnce(out, 3), [0, 1, 2], done.append)

    assert sorted(done) == [0, 1, 2]
    assert ["0-1%2" in c for c in calls(slurm, "sbatch")] == [True, False, True, False]


def test_ranks_that_never_end_well_are_named(slurm: Path, tmp_path: Path) -> None:
    """The build stops with one line that says where the logs are."""
    out = tmp_path / "pass"
    out.mkdir()
    with pytest.raises(
        MathcorpusError, match=rf"ranks \[1\] ended {SUBMISSIONS} times without a result; the logs are in .*slurm; for"
    ):
        SlurmEngine(2).run(AlwaysKills(out), [0, 1, 2], lambda _: None)


def test_an_error_of_a_job_comes_through_and_ends_the_others(slurm: Path, tmp_path: Path) -> None:
    """As one line, with its exit code; what is left of the array is cancelled."""
    out = tmp_path / "pass"
    out.mkdir()
    with pytest.raises(UsageError, match=r"^rank \d cannot be done; mend it$"):
        SlurmEngine(2).run(Fails(out), [0, 1], lambda _: None)

    assert calls(slurm, "scancel") == ["scancel 1"]
    assert not list((out / "slurm").glob("*.job"))


def test_jobs_of_a_driver_that_was_killed_are_cancelled(slurm: Path, tmp_path: Path) -> None:
    """The next run ends them before it submits its own."""
    out = tmp_path / "work" / "pass"
    (tmp_path / "work" / "earlier" / "slurm").mkdir(parents=True)
    (tmp_path / "work" / "earlier" / "slurm" / "41.job").touch()
    (slurm / "41.pid").write_text("999999999")
    SlurmEngine(2).run(KillsOnce(out, 0), [], lambda _: None)

    assert calls(slurm, "scancel") == ["scancel 41"]


def test_what_sbatch_refuses_is_one_line(slurm: Path, tmp_path: Path) -> None:
    """With its own words."""
    (tmp_path / "pass").mkdir()
    with pytest.raises(UsageError, match="sbatch refused the job: sbatch: error: invalid partition specified: closed"):
        SlurmEngine(2, ["partition=closed"]).run(Fails(tmp_path / "pass"), [0], lambda _: None)


@pytest.mark.parametrize("option", ["mem", "=8G", "array=0-9", "output=x", "mem=", "a b=c"])
def test_options_that_are_none_are_refused(option: str, slurm: Path) -> None:
    """Those that sbatch cannot have, and those that the engine sets."""
    with pytest.raises(UsageError, match="give NAME=VALUE of an option of sbatch"):
        SlurmEngine(2, [option])


def test_slurm_has_to_be_there_and_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No sbatch, or its options with another engine: one line each."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no sbatch here; start the build on a node that can submit jobs"):
        make_engine("slurm", 2)
    with pytest.raises(UsageError, match="--slurm mem=8G: only with --engine slurm"):
        make_engine("local", 2, slurm=["mem=8G"])

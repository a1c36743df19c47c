"""The `slurm` engine: the ranks of a pass as job arrays, on folders that all nodes see.

Each job of an array is `python -m pipelines.engine_slurm TASK INDEX`, which runs one rank. What says that it is done is
its marker, and not what Slurm thinks of the job: a rank without one is submitted again. Reduces run in the driver, so
the driver belongs on a node that may compute. datatrove's own Slurm executor was refused: it submits and goes, and a
build has to go on with the next pass.
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from filters import errors
from filters.errors import MathcorpusError, UsageError
from pipelines.engine import InlineEngine, Progress, shared_out
from pipelines.files import write_bytes, write_json
from pipelines.stage import Task, marker

POLL_S = 2.0  # between looks at markers and queue
GRACE_S = 10.0  # in which a marker may still come into sight behind its job, on a shared file system
MAX_ARRAY = 1000  # jobs of an array: Slurm's own default is 1001
SUBMISSIONS = 3  # one after the other, that may end without a rank done
OURS = {"array", "chdir", "job-name", "output", "parsable", "wait"}  # options of sbatch that the engine sets


class SlurmEngine(InlineEngine):
    """Ranks as jobs of a Slurm cluster, at most `workers` at a time; Reduces in this process."""

    name = "slurm"

    def __init__(self, workers: int, options: Sequence[str] = ()) -> None:
        """`options`: NAME=VALUE of sbatch (partition=cpu, time=04:00:00, mem=8G). Raises UsageError without sbatch."""
        self.workers = workers
        self._options = [f"--{one}" for one in options]
        for one in options:
            name, equals, value = one.partition("=")
            if not equals or not value or name in OURS or not name.replace("-", "").isalnum():
                msg = f"--slurm {one}: give NAME=VALUE of an option of sbatch, such as partition=cpu or time=04:00:00"
                raise UsageError(msg)
        if shutil.which("sbatch") is None:
            msg = "--engine slurm: there is no sbatch here; start the build on a node that can submit jobs"
            raise UsageError(msg)

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Submits the ranks, and again those whose job ended without a marker."""
        for old in sorted(shared_out(task, self.name).parent.glob("*/slurm/*.job")):  # of a driver that was killed
            _cancel(old)
        left, idle = list(ranks), 0
        while left:
            before = len(left)
            self._run_once(task, left, progress)
            left = [r for r in left if not marker(task.out, r).exists()]
            idle = idle + 1 if len(left) == before else 0
            if idle == SUBMISSIONS:
                why = f"ended {idle} times without a result; the logs are in {task.out / 'slurm'}"
                msg = f"{task.out}: ranks {left} {why}; for want of memory or time? Try --slurm mem=… or time=…"
                raise MathcorpusError(msg)

    def _run_once(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        folder = shared_out(task, self.name) / "slurm"
        shutil.rmtree(folder / "errors", ignore_errors=True)
        jobs: list[Path] = []
        try:
            for start in range(0, len(ranks), MAX_ARRAY):
                jobs += [self._submit(task, folder, ranks[start : start + MAX_ARRAY])]
            _wait(task, ranks, jobs, progress)
        finally:
            for job in jobs:
                _cancel(job)

    def _submit(self, task: Task, folder: Path, ranks: Sequence[int]) -> Path:
        """Submits one array; a file that is named after it."""
        work = folder / f"ranks-{ranks[0]:05d}.task"
        write_bytes(work, pickle.dumps((task, list(ranks))))
        script = work.with_suffix(".sh")
        run = f'exec "{sys.executable}" -m pipelines.engine_slurm "{work}" "$SLURM_ARRAY_TASK_ID"'
        write_bytes(script, f"#!/bin/sh\n{run}\n".encode())
        array = f"--array=0-{len(ranks) - 1}%{self.workers}"
        named = [f"--job-name=mathcorpus-{task.out.name}", f"--output={folder}/%A_%a.log"]
        told = _ask("sbatch", "--parsable", array, *named, *self._options, str(script))
        if told.returncode:
            msg = f"sbatch refused the job: {' '.join(told.stderr.split())}"
            raise UsageError(msg)
        job = folder / f"{told.stdout.strip().partition(';')[0]}.job"
        write_bytes(job, b"")
        return job


def _wait(task: Task, ranks: Sequence[int], jobs: Sequence[Path], progress: Progress) -> None:
    """Until every rank has a marker, or no job is left that could write one."""
    waiting, ended = list(ranks), 0.0
    while waiting:
        if failed := sorted((shared_out(task, SlurmEngine.name) / "slurm" / "errors").glob("*.json")):
            told = orjson.loads(failed[0].read_bytes())
            raise getattr(errors, told["kind"], MathcorpusError)(told["message"])
        done = [r for r in waiting if marker(task.out, r).exists()]
        for rank in done:
            waiting.remove(rank)
            progress(rank)
        if done or any(map(_is_alive, jobs)):
            ended = 0.0
        elif ended and time.monotonic() - ended > GRACE_S:
            return
        else:
            ended = ended or time.monotonic()
        if waiting:
            time.sleep(POLL_S)


def _is_alive(job: Path) -> bool:
    """Whether the queue holds the job; one that does not answer is asked again later."""
    told = _ask("squeue", "--noheader", f"--jobs={job.stem}")
    return bool(told.stdout.strip()) if told.returncode == 0 else "Invalid job id" not in told.stderr


def _cancel(job: Path) -> None:
    _ask("scancel", job.stem)  # one that has ended is no matter
    job.unlink(missing_ok=True)


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list, without a shell


def run_one(work: Path, index: int) -> None:
    """Runs a rank of a submitted task; an error of ours is left where the driver looks, and not tried again."""
    task, ranks = pickle.loads(work.read_bytes())  # noqa: S301 - our own file, beside the data
    if marker(task.out, ranks[index]).exists():
        return
    try:
        task.run(ranks[index])
    except MathcorpusError as error:
        told = {"kind": type(error).__name__, "message": str(error)}
        write_json(task.out / "slurm" / "errors" / f"{ranks[index]:05d}.json", told)
        raise


if __name__ == "__main__":
    run_one(Path(sys.argv[1]), int(sys.argv[2]))

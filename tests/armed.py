"""Builds that kill themselves, or a worker of theirs, at a point that a Spec names; faults.py runs them.

They run in a process of their own that has imported everything and forks for each: a start costs seconds otherwise.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import small

from pipelines import dataset, files
from pipelines.build import Build
from pipelines.dataset import ShardWriter
from pipelines.engine import Engine, Progress, make_engine
from pipelines.plan import Plan
from pipelines.stage import Task

WORKERS = 2


@dataclass
class Spec:
    """A build and the point where it kills itself; `at` counts calls, and 0 never."""

    root: str
    out: str
    engine: str = "local"
    master: str | None = None
    driver: int = 0  # commits of the driver
    folder: str = ""  # of the pass in which a worker dies,
    rank: int = 0  # in this rank,
    what: str = ""  # in `row` or `commit`
    at: int = 0
    after: bool = False  # behind the rename
    once: str = ""  # the file that says that it has happened


def die(spec: Spec) -> None:
    """Kills this process, once."""
    try:
        Path(spec.once).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def arm_commits(spec: Spec, at: int, count: list[int]) -> None:
    """From now on the commit of that number kills, before the file is renamed or behind."""

    def commit(tmp: Path, target: Path) -> None:
        count[0] += 1
        if count[0] == at and not spec.after:
            die(spec)
        REAL_COMMIT(tmp, target)
        if count[0] == at and spec.after:
            die(spec)

    for module in (files, dataset):
        module.commit_file = commit  # type: ignore[attr-defined]


REAL_COMMIT = files.commit_file
REAL_WRITE = ShardWriter.write


def arm_rows(spec: Spec) -> None:
    """From now on the row of that number kills, when those before it are a whole Parquet file in _tmp."""
    count = [0]

    def write(self: ShardWriter, row: dict[str, Any]) -> None:
        count[0] += 1
        REAL_WRITE(self, row)
        if count[0] == spec.at:
            self._flush()
            self._file.close()
            die(spec)

    ShardWriter.write = write  # type: ignore[method-assign]


@dataclass(frozen=True)
class Deadly:
    """A task of which one rank kills its worker."""

    task: Task
    spec: Spec

    @property
    def out(self) -> Path:
        return self.task.out

    @property
    def ranks(self) -> int:
        return self.task.ranks

    def run(self, rank: int) -> None:
        """Runs the rank, armed if it is the one."""
        if rank == self.spec.rank and self.spec.folder == self.out.name:
            arm_rows(self.spec) if self.spec.what == "row" else arm_commits(self.spec, self.spec.at, [0])
        try:
            self.task.run(rank)
        finally:
            arm_commits(self.spec, 0, [0])
            ShardWriter.write = REAL_WRITE  # type: ignore[method-assign]


class DeadlyEngine:
    """An engine whose ranks may kill their worker."""

    def __init__(self, engine: Engine, spec: Spec) -> None:
        self._engine, self._spec = engine, spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        self._engine.run(Deadly(task, self._spec), ranks, progress)


def run_build(spec: Spec) -> None:
    """The build that is killed; writes how often its driver commits, and the manifest."""
    count = [0]
    plan = planned(Path(spec.root), spec.out)
    engine: Callable[[], Any] = lambda: make_engine(spec.engine, WORKERS, spec.master)  # noqa: E731
    if spec.folder:
        manifest = Build(plan, lambda: DeadlyEngine(engine(), spec)).run()
    else:
        arm_commits(spec, spec.driver, count)
        manifest = Build(plan, engine).run()
    (Path(spec.root) / f"{spec.out}.told").write_bytes(orjson.dumps({"commits": count[0], "manifest": manifest}))


def serve() -> None:
    """Forks for each line of stdin, a Spec; prints the build's process, and how it ended when it has."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os.setsid()
            sys.stdin.close()
            os.dup2(2, 1)
            try:
                run_build(Spec(**orjson.loads(line)))
            except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)  # noqa: T201 - read by faults.Ground
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


def planned(root: Path, out: str) -> Plan:
    return small.plan(root, out)

"""The `ray` engine: a rank is a task of Ray, on this machine or on a cluster that shares the folder of the build.

datatrove's own Ray executor was refused: it runs each rank in a pool inside an actor, so a killed worker is never
noticed and the run hangs; and it returns as if all were well when a rank has failed. Here what says that a rank is done
is its marker, a rank whose worker died is done again, and an error of ours ends the build. Reduces run in the driver.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from filters.errors import MathcorpusError, UsageError
from pipelines.engine import InlineEngine, Progress
from pipelines.engine_datatrove import MAX_LOSSES
from pipelines.stage import Task, marker

_STORE_BYTES = 80 << 20  # of the object store, near the least that Ray takes: ranks hand over files
_HERE = {
    "include_dashboard": False,
    "object_store_memory": _STORE_BYTES,
}
_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}


class RayEngine(InlineEngine):
    """Ranks as tasks of Ray, at most `workers` at a time; Reduces in this process."""

    name = "ray"

    def __init__(self, workers: int, address: str | None = None) -> None:
        """`address`: of a cluster; without it RAY_ADDRESS, else a Ray of this build's own on this machine."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells its makers otherwise
        try:
            import ray
        except ImportError as error:
            msg = "--engine ray needs the extra: pip install 'mathcorpus[ray]'"
            raise UsageError(msg) from error
        self.workers, self._ray, self._own = workers, ray, not ray.is_initialized()
        self._folder = tempfile.TemporaryDirectory(prefix="mathcorpus-", ignore_cleanup_errors=True)
        if self._own:
            self._start(address or os.environ.get("RAY_ADDRESS"))

    def _start(self, address: str | None) -> None:
        try:
            if address:
                self._ray.init(address, **_QUIET)
            else:  # one that somebody else has started here is not ours to use
                self._ray.init("local", num_cpus=self.workers, _temp_dir=self._folder.name, **_HERE, **_QUIET)
        except (ConnectionError, RuntimeError, ValueError) as error:
            msg = f"--master {address or 'local'}: no Ray ({' '.join(str(error).split())})"
            raise UsageError(msg) from error

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Runs the ranks; that of a worker that died is done again, until it has lost its worker MAX_LOSSES times."""
        rank_task = self._ray.remote(num_cpus=1, max_retries=0)(run_rank)
        todo, losses = deque(ranks), Counter[int]()
        running: dict[Any, int] = {}
        try:
            while todo or running:
                while todo and len(running) < self.workers:
                    rank = todo.popleft()
                    running[rank_task.remote(task, rank)] = rank
                [done], _ = self._ray.wait(list(running), num_returns=1)
                rank = running.pop(done)
                if self._is_done(done) or marker(task.out, rank).exists():
                    progress(rank)
                    continue
                losses[rank] += 1
                if losses[rank] == MAX_LOSSES:
                    why = f"killed its worker {MAX_LOSSES} times; for want of memory? Try fewer --workers"
                    msg = f"{task.out}: rank {rank} {why}"
                    raise MathcorpusError(msg)
                todo.append(rank)  # last, so that a deadly rank does not keep the others from theirs
        finally:
            for left in running:
                self._ray.cancel(left, force=True)

    def _is_done(self, done: Any) -> bool:
        """Whether a task ended well; False where its worker was lost. What the rank itself raised is raised."""
        try:
            self._ray.get(done)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError:
            return False
        return True

    def close(self) -> None:
        """Ends this build's own Ray, or leaves the cluster; one that this process had before goes on."""
        if self._own:
            self._ray.shutdown()
        self._folder.cleanup()


def run_rank(task: Task, rank: int) -> None:
    """Does a rank on a worker, unless an earlier try has done it."""
    if not marker(task.out, rank).exists():
        task.run(rank)

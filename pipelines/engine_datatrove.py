"""The `local` engine: datatrove's executor on a pool of our own.

datatrove's own pool hangs for ever when a worker is killed, and skips by rank number whatever the configuration. Here a
dead worker breaks the pool, the pool is made anew, and ranks without a marker are done again. When the driver is
killed, its workers end at once: Python's own would wait for work for ever, or write on beside the next run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pyarrow as pa
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.utils.logging import logger

from filters.errors import MathcorpusError
from pipelines.dataset import Dataset
from pipelines.dedup_decide import Reduced
from pipelines.engine import Progress, decide, totals_of
from pipelines.stage import StageSpec, Task, marker

MAX_LOSSES = 4  # of a rank's worker: such a rank is not unlucky
PRELOADED = ["pipelines.stage", "pipelines.engine_datatrove"]


class _RankExecutor(LocalPipelineExecutor):
    """datatrove's executor over one step: our rank. Its completions are not used, since they do not know of keys."""

    def __init__(self, task: Task, logging_dir: str) -> None:
        def step(data: Any, rank: int, world_size: int) -> None:  # noqa: ARG001 - datatrove's signature
            task.run(rank)

        super().__init__([step], tasks=task.ranks, workers=1, logging_dir=logging_dir, skip_completed=False)

    def run_rank(self, rank: int) -> None:
        """One rank, logged where datatrove logs."""
        self._run_for_rank(rank, local_rank=1)


def _begin(environment: dict[str, str]) -> None:
    """Runs in each worker first: the environment of the driver, and an end with it.

    Otherwise a worker has the environment of the first that this process ever started, with the keys of then.
    """
    os.environ.clear()
    os.environ.update(environment)
    _end_with_driver()


def _end_with_driver() -> None:
    """Kills this worker when the process that made it is gone, in mid-rank or waiting."""
    driver = multiprocessing.parent_process()
    assert driver is not None

    def watch() -> None:
        driver.join()
        os.kill(os.getpid(), signal.SIGKILL)  # what it was writing is swept by the next run

    threading.Thread(target=watch, daemon=True).start()


def _run_in_worker(task: Task, rank: int, logging_dir: str) -> int:
    logger.remove()
    _RankExecutor(task, logging_dir).run_rank(rank)
    return rank


class LocalEngine:
    """Ranks on several processes of this machine."""

    name = "local"

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._pool: ProcessPoolExecutor | None = None
        self._logs = tempfile.TemporaryDirectory(prefix="mathcorpus-")

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Runs the ranks; that of a worker that died is done again, until it has lost its worker MAX_LOSSES times."""
        left, losses = list(ranks), Counter[int]()
        while left:
            try:
                self._run_once(task, left, progress)
            except BrokenProcessPool:
                self._drop_pool()
            left = [r for r in left if not marker(task.out, r).exists()]
            running = left[: self.workers]  # of a pool that broke; nothing is left of one that did not
            losses.update(running)
            if deadly := sorted(r for r in running if losses[r] == MAX_LOSSES):
                why = f"killed their worker {MAX_LOSSES} times; for want of memory? Try fewer --workers"
                msg = f"{task.out}: ranks {deadly} {why}"
                raise MathcorpusError(msg)
            left = left[self.workers :] + running  # last, so that a deadly rank does not keep the others from theirs

    def _run_once(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, self._context, _begin, (dict(os.environ),))
        futures: list[Future[int]] = []
        try:
            futures += [self._pool.submit(_run_in_worker, task, r, self._logs.name) for r in ranks]
            for future in as_completed(futures):
                progress(future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def _drop_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def reduce(self, stage: StageSpec, keys: Dataset) -> Reduced:
        """The decision, computed in this process."""
        return decide(stage, keys)

    def totals(self, counts: Dataset, by: str, least: int = 0) -> pa.Table:
        """The sums, computed in this process: each rank has summed its own already."""
        return totals_of(counts, by, least)

    def close(self) -> None:
        """Ends the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._logs.cleanup()

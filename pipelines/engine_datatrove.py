"""The `local` engine: datatrove's executor on a pool of our own.

datatrove's own pool hangs for ever when a worker is killed, and skips by rank number whatever the configuration. Here a
dead worker breaks the pool, the pool is made anew, and ranks without a marker are done again.
"""

from __future__ import annotations

import multiprocessing
import tempfile
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

MAX_POOLS = 4  # a rank that kills its worker this often is not unlucky
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
        """Runs the ranks; those of a worker that died are done again, up to MAX_POOLS times."""
        left = list(ranks)
        for _ in range(MAX_POOLS):
            try:
                self._run_once(task, left, progress)
            except BrokenProcessPool:
                self._drop_pool()
            left = [r for r in left if not marker(task.out, r).exists()]
            if not left:
                return
        msg = f"{task.out}: ranks {left} killed their worker {MAX_POOLS} times; for want of memory? Try fewer --workers"
        raise MathcorpusError(msg)

    def _run_once(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, mp_context=self._context)
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

"""Work on files by several processes, its results in order: the same whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from filters.errors import MathcorpusError
from pipelines.cores import usable_cores

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

J = TypeVar("J")
R = TypeVar("R")

_LOADED = "pipelines.row_worker"  # what every process needs
_PARALLEL_BYTES = 1 << 27  # of input; less is done before a second process has started


class Pool:
    """Processes, or none where one does."""

    def __init__(self, workers: int | None, size: int, jobs: int) -> None:
        """Takes the number of processes; without one, the cores of this machine where the input is large enough.

        size : bytes of the input.
        """
        if workers is None:
            workers = usable_cores() if size > _PARALLEL_BYTES else 1
        self.workers = max(1, min(workers, jobs))
        self.parallel = self.workers > 1
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Pool:
        if self.parallel:
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor

            # not fork: numba's and Arrow's threads do not survive it, and the server has none
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([_LOADED])
            self._executor = ProcessPoolExecutor(self.workers, context)
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def map(self, there: Callable[[J], R], here: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """The results in the order of the jobs: of `there` in the processes, of `here` without them."""
        if self._executor is None:
            yield from map(here, jobs)
            return
        from concurrent.futures.process import BrokenProcessPool

        try:
            yield from self._executor.map(there, jobs)
        except BrokenProcessPool as error:
            msg = "a worker process died (was there too little memory?); run it again with fewer --workers"
            raise MathcorpusError(msg) from error

"""What an engine is, and the simplest one.

An engine runs ranks and answers Reduces; it never looks into a document. `inline` does both in this process, in order:
it is the oracle that the others are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import pyarrow as pa

from filters.errors import UsageError
from pipelines.dataset import Dataset
from pipelines.reduces import REDUCTIONS
from pipelines.stage import StageSpec, Task

ENGINES = ("inline", "local", "spark")
Progress = Callable[[int], None]  # called with the rank that is done


class Engine(Protocol):
    """Runs tasks; a rank that it has run has its marker on disk."""

    name: str

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Runs ranks of a task, in any order."""
        ...

    def reduce(self, stage: StageSpec, keys: Dataset) -> pa.Table:
        """The decision table of a Reduce."""
        ...

    def close(self) -> None:
        """Ends worker processes and sessions."""
        ...


class InlineEngine:
    """One rank after the other, in this process."""

    name = "inline"

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Runs the ranks in order."""
        for rank in ranks:
            task.run(rank)
            progress(rank)

    def reduce(self, stage: StageSpec, keys: Dataset) -> pa.Table:
        """The decision, computed in memory."""
        return decide(stage, keys)

    def close(self) -> None:
        """Nothing to end."""


def decide(stage: StageSpec, keys: Dataset) -> pa.Table:
    """The decision table of a Reduce, computed in memory from all its keys."""
    reduction = REDUCTIONS[stage.name]
    tables = [reduction.schema.empty_table(), *keys.tables()]
    return reduction.decide(pa.concat_tables(tables), stage.config)


def make_engine(name: str, workers: int, master: str | None = None) -> Engine:
    """The engine of a name; UsageError where its libraries are missing."""
    if name == "inline":
        return InlineEngine()
    if name == "local":
        from pipelines.engine_datatrove import LocalEngine

        return LocalEngine(workers)
    if name == "spark":
        from pipelines.engine_spark import SparkEngine

        return SparkEngine(workers, master)
    msg = f"--engine {name}: no such engine; there are {', '.join(ENGINES)}"
    raise UsageError(msg)

"""What an engine is, and the simplest one.

An engine runs ranks and answers Reduces; it never looks into a document. `inline` does both in this process, in order:
it is the oracle that the others are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filters.errors import AccountingError, UsageError
from pipelines.dataset import Dataset, in_parts
from pipelines.decisions import ranked_tables
from pipelines.dedup_decide import Reduced
from pipelines.files import writing
from pipelines.places import Remote
from pipelines.reduces import REDUCTIONS
from pipelines.spool import spool_folder
from pipelines.stage import StageSpec, Task, missing_ranks

ENGINES = ("inline", "local", "spark", "ray", "slurm")
Progress = Callable[[int], None]  # called with the rank that is done


class Engine(Protocol):
    """Runs tasks; a rank that it has run has its marker on disk."""

    name: str

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Runs ranks of a task, in any order."""
        ...

    def reduce(self, stage: StageSpec, keys: Dataset) -> Reduced:
        """The answer of a Reduce."""
        ...

    def totals(self, counts: Dataset, by: str, least: int = 0) -> pa.Table:
        """`sum_by` of a dataset of counts; of the groups only those whose first sum is at least `least`."""
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

    def reduce(self, stage: StageSpec, keys: Dataset) -> Reduced:
        """The answer, computed in this process."""
        return decide(stage, keys)

    def totals(self, counts: Dataset, by: str, least: int = 0) -> pa.Table:
        """The sums, computed in memory, a row group at a time."""
        return totals_of(counts, by, least)

    def close(self) -> None:
        """Nothing to end."""


def run_missing(engine: Engine, task: Task, started: Callable[[int], None], progress: Progress) -> None:
    """Runs the ranks of a task that are not done; `started` is told how many.

    Raises AccountingError where the engine leaves some.
    """
    missing = missing_ranks(task)
    started(len(missing))
    if missing:
        engine.run(task, missing, progress)
    if left := missing_ranks(task):
        msg = f"{task.out}: the engine {engine.name} left ranks {left} undone"
        raise AccountingError(msg)


@contextmanager
def scratch_beside(keys: Dataset) -> Iterator[Path]:
    """A folder for what does not fit in memory, where the ranks write theirs; gone in the end."""
    if isinstance(keys.root, Remote):
        with TemporaryDirectory(prefix="reduce-", dir=spool_folder()) as folder:
            yield Path(folder)
        return
    scratch = keys.root.parent / "_tmp"
    with writing(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="reduce-", dir=scratch) as folder:
            yield Path(folder)


def shared_out(task: Task, engine: str) -> Path:
    """The folder of a pass for an engine whose machines write into it; UsageError where it is in an object store."""
    if isinstance(task.out, Remote):
        msg = f"--engine {engine}: needs a folder that all its machines share, not {task.out}; give another with --out"
        raise UsageError(msg)
    return task.out


def decide(stage: StageSpec, keys: Dataset) -> Reduced:
    """The answer of a Reduce, computed in this process."""
    with scratch_beside(keys) as scratch:
        return REDUCTIONS[stage.name].decide(ranked_tables(keys.at_hand(scratch)), stage.config, scratch)


def sum_by(table: pa.Table, by: str) -> pa.Table:
    """The sums of all other columns, integers, for each value of one: a row each, sorted by it."""
    names = [name for name in table.column_names if name != by]
    summed = table.group_by(by).aggregate([(name, "sum") for name in names])
    columns = {by: summed[by], **{name: summed[f"{name}_sum"] for name in names}}
    return pa.table(columns, schema=table.schema).sort_by(by)


def totals_of(counts: Dataset, by: str, least: int) -> pa.Table:
    """`Engine.totals`, computed in memory."""
    schema = pq.read_schema(in_parts(counts.paths()[0]))
    total = schema.empty_table()
    for part in counts.tables():
        total = sum_by(pa.concat_tables([total, part.cast(schema)]), by)
    first = next(name for name in schema.names if name != by)
    return total.filter(pc.greater_equal(total[first], least))


def make_engine(name: str, workers: int, master: str | None = None, slurm: Sequence[str] = ()) -> Engine:
    """The engine of a name; UsageError where its libraries are missing."""
    if slurm and name != "slurm":
        msg = f"--slurm {slurm[0]}: only with --engine slurm"
        raise UsageError(msg)
    if name == "inline":
        return InlineEngine()
    if name == "local":
        from pipelines.engine_datatrove import LocalEngine

        return LocalEngine(workers)
    if name == "spark":
        from pipelines.engine_spark import SparkEngine

        return SparkEngine(workers, master)
    if name == "ray":
        from pipelines.engine_ray import RayEngine

        return RayEngine(workers, master)
    if name == "slurm":
        from pipelines.engine_slurm import SlurmEngine

        return SlurmEngine(workers, slurm)
    msg = f"--engine {name}: no such engine; there are {', '.join(ENGINES)}"
    raise UsageError(msg)

"""The `spark` engine: a Map is one row per rank through mapInArrow, a Reduce a native shuffle.

DataFrame API only (no sparkContext, RDD, broadcast or accumulator), so that Spark Connect can run it. Ranks write their
own files, as on every engine; only decisions and edges come back to the driver.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.errors import MathcorpusError, UsageError
from pipelines.dataset import Dataset
from pipelines.dedup_decide import Reduced
from pipelines.engine import Progress, scratch_beside
from pipelines.java import java_home
from pipelines.recipe import DecontaminateStage
from pipelines.scan_reduce import stock_table
from pipelines.spark_dedup import ANSWERS, Answer, rows_of
from pipelines.stage import StageSpec, Task, marker

POLL_S = 0.3
_OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
    "spark.sql.session.timeZone": "UTC",
    "spark.task.maxFailures": "4",
    "spark.speculation": "false",
    "spark.log.level": "ERROR",
}

Batches = Iterator[pa.RecordBatch]


def make_session(workers: int, master: str | None) -> Any:
    """A Spark session; `local[N,4]` unless a master is given, since plain local[N] fails at the first lost worker."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        msg = "--engine spark needs the extra: pip install 'mathcorpus[spark]'"
        raise UsageError(msg) from error
    home = java_home()
    if home:
        os.environ["JAVA_HOME"] = home
    os.environ["PYSPARK_PYTHON"] = sys.executable  # pyspark would take the first python3 on PATH
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.master(master or f"local[{workers},4]").appName("mathcorpus")
    for name, value in {**_OPTIONS, "spark.sql.shuffle.partitions": str(max(2, workers))}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


class SparkEngine:
    """Ranks and shuffles on Spark."""

    name = "spark"

    def __init__(self, workers: int, master: str | None = None, session: Any = None) -> None:
        self._own = session is None
        self.spark = session or make_session(workers, master)

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Runs the ranks, one partition each."""
        todo, waiting = list(ranks), set(ranks)
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(self._run_ranks, task, todo)
            while True:
                with contextlib.suppress(NotYet):
                    job.exception(timeout=POLL_S)
                for rank in sorted(r for r in waiting if marker(task.out, r).exists()):
                    waiting.discard(rank)
                    progress(rank)
                if job.done():
                    break
        _translated(job.result)

    def _run_ranks(self, task: Task, ranks: list[int]) -> None:
        def run(batches: Batches) -> Batches:
            for batch in batches:
                for at in batch.column(0).to_pylist():
                    if not marker(task.out, ranks[at]).exists():  # a task that is tried again
                        task.run(ranks[at])
                yield batch

        self.spark.range(0, len(ranks), 1, len(ranks)).mapInArrow(run, "id long").count()

    def reduce(self, stage: StageSpec, keys: Dataset) -> Reduced:
        """The answer, by shuffles."""
        from pyspark import sql

        frame = self.spark.read.parquet(*map(str, keys.paths()))
        with scratch_beside(keys) as scratch:
            answer: Reduced = _translated(lambda: _REDUCES[stage.name](frame, stage.config, sql, scratch))
        return answer

    def totals(self, counts: Dataset, by: str, least: int = 0) -> pa.Table:
        """The sums, by a shuffle."""
        from pyspark.sql import functions as f

        schema = pq.read_schema(counts.paths()[0])
        names = [name for name in schema.names if name != by]
        frame = self.spark.read.parquet(*map(str, counts.paths()))
        summed = frame.groupBy(by).agg(*(f.sum(name).alias(name) for name in names)).where(f.col(names[0]) >= least)
        table = _translated(summed.toArrow)
        return table.select(schema.names).cast(schema).sort_by(by)

    def close(self) -> None:
        """Stops the session, if this engine made it."""
        if self._own:
            self.spark.stop()


def _translated(call: Callable[[], Any]) -> Any:
    """What a call returns; an error of ours that a worker raised comes back as itself."""
    from pyspark.errors import PySparkException

    try:
        return call()
    except PySparkException as error:
        text = str(error)
        for kind in _all_errors(MathcorpusError):
            if (at := text.find(f"{kind.__module__}.{kind.__name__}: ")) >= 0:
                line = text[at:].splitlines()[0].partition(": ")[2]
                raise kind(line) from error
        raise


def _all_errors(kind: type[MathcorpusError]) -> Iterator[type[MathcorpusError]]:
    for below in kind.__subclasses__():
        yield from _all_errors(below)
    yield kind


def _stock(frame: Any, config: DecontaminateStage, sql: Any, _scratch: Path) -> Reduced:
    f = sql.functions
    counts = frame.select(f.explode("loose").alias("ngram")).groupBy("ngram").agg(f.count("*").alias("documents"))
    return Reduced(stock_table(rows_of(counts.where(f.col("documents") >= config.stock_documents).toArrow())))


_REDUCES: dict[str, Answer] = {**ANSWERS, "decontaminate": _stock}

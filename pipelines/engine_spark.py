"""The `spark` engine: a Map is one row per rank through mapInArrow, a Reduce a native shuffle.

DataFrame API only (no sparkContext, RDD, broadcast or accumulator), so that Spark Connect can run it. Ranks write their
own files, as on every engine; only decisions and edges come back to the driver. Where the workers are not of this
machine's own session, they are sent the code, and models that they do not see (`pipelines.spark_ship`).
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
from pipelines import spark_ship, spark_worker
from pipelines.dataset import Dataset
from pipelines.decisions import RANK
from pipelines.dedup_decide import Reduced
from pipelines.engine import Progress, scratch_beside, shared_out
from pipelines.java import java_home
from pipelines.recipe import DecontaminateStage
from pipelines.scan_reduce import stock_table
from pipelines.spark_dedup import ANSWERS, Answer, Sql, rows_of
from pipelines.stage import StageSpec, Task, missing_ranks

POLL_S = 0.3
BYTES_PER_PARTITION = 32 << 20  # of compressed keys: a shuffle of them is a few times as large
_ROWS_TO_COUNT_CORES = 1 << 16  # any number that is larger than that of the cores
_CONNECT = "sc://"
_OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
    "spark.sql.session.timeZone": "UTC",
    "spark.task.maxFailures": "4",
    "spark.speculation": "false",
    "spark.log.level": "ERROR",
}
_LOCAL_OPTIONS = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}  # a quick start

Batches = Iterator[pa.RecordBatch]


def make_session(workers: int, master: str | None) -> Any:
    """A Spark session; `local[N,4]` unless a master is given, since plain local[N] fails at the first lost worker."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        msg = "--engine spark needs the extra: pip install 'mathcorpus[spark]'"
        raise UsageError(msg) from error
    master = master or f"local[{workers},4]"
    if master.startswith(_CONNECT):
        builder = SparkSession.builder.remote(master)
    else:
        if home := java_home():
            os.environ["JAVA_HOME"] = home
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # pyspark would take the first python3 on PATH
        if _on_this_machine(master):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = SparkSession.builder.master(master).appName("mathcorpus")
        for name, value in (_OPTIONS | _LOCAL_OPTIONS if _is_local(master) else _OPTIONS).items():
            builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except PySparkException as error:
        msg = f"--master {master}: no session ({str(error).splitlines()[0]})"
        raise UsageError(msg) from error


def _is_local(master: str) -> bool:
    return master.startswith("local[") or master == "local"


def _on_this_machine(master: str) -> bool:
    return _is_local(master) or master.startswith(("spark://127.", "spark://localhost"))


def _is_remote(spark: Any) -> bool:
    """Whether workers may be on other machines, or run another copy of the code."""
    connect = "connect" in type(spark).__module__
    return connect or not _is_local(spark.conf.get("spark.master"))


class SparkEngine:
    """Ranks and shuffles on Spark."""

    name = "spark"

    def __init__(self, workers: int, master: str | None = None, session: Any = None) -> None:
        self._own = session is None
        self.spark = session or make_session(workers, master)
        self._ship = spark_ship.Shipping(self.spark, _by_value) if _is_remote(self.spark) else None
        self._found_cores = 0

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Runs the ranks, one partition each."""
        todo, waiting = list(ranks), set(ranks)
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(self._run_ranks, task, todo)
            while True:
                with contextlib.suppress(NotYet):
                    job.exception(timeout=POLL_S)
                for rank in sorted(waiting.difference(missing_ranks(task))):
                    waiting.discard(rank)
                    progress(rank)
                if job.done():
                    break
        _translated(job.result)

    def _run_ranks(self, task: Task, ranks: list[int]) -> None:
        sign, sent = self._prepare(task) if self._ship else (None, {})

        def run(batches: Batches) -> Batches:
            for batch in batches:
                for at in batch.column(0).to_pylist():
                    spark_ship.run_rank(task, ranks[at], sign, sent)
                yield batch

        rows = self.spark.range(0, len(ranks), 1, len(ranks))
        rows.mapInArrow(self._wrap(run), "id long").count()

    def _prepare(self, task: Task) -> tuple[Path, dict[str, str]]:
        """Sends the models that not every worker sees; an error where one does not see the folder of the build."""
        assert self._ship is not None
        sign = spark_ship.leave_sign(shared_out(task, "spark on a cluster"))
        paths = sorted({artefact.path for artefact in spark_ship.artefacts(task)})

        def look(batches: Batches) -> Batches:
            for _ in batches:
                yield pa.record_batch({"path": pa.array(spark_ship.unseen(sign, paths), pa.string())})

        cores = self._cores()
        found = self.spark.range(0, cores, 1, cores).mapInArrow(self._wrap(look), "path string").distinct().toArrow()
        for path in found.column(0).to_pylist():
            self._ship.send(Path(path))
        return sign, dict(self._ship.sent)

    def _wrap(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return self._ship.wrap(function) if self._ship else function

    def _cores(self) -> int:
        """Cores of the workers that are there now; those of one machine stay the same, and asking is two jobs."""
        if self._ship or not self._found_cores:
            self._found_cores = self._asked_cores()
        return self._found_cores

    def _asked_cores(self) -> int:
        from pyspark.sql import functions as f

        rows = self.spark.range(_ROWS_TO_COUNT_CORES).select(f.spark_partition_id().alias("p"))
        return int(rows.agg(f.max("p")).toArrow().column(0)[0].as_py()) + 1

    def _keys(self, keys: Dataset) -> Any:
        """The frame of a dataset of keys, to be shuffled into partitions that keep the cores busy and fit in memory."""
        size = sum(shard.bytes for shard in keys.shards)
        partitions = max(2, self._cores(), -(-size // BYTES_PER_PARTITION))
        self.spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
        from pyspark.sql import functions as f

        rank = f.regexp_extract(f.col("_metadata.file_name"), r"^(\d+)", 1).cast("int")
        return self.spark.read.parquet(*map(str, keys.paths())).withColumn(RANK.name, rank)

    def reduce(self, stage: StageSpec, keys: Dataset) -> Reduced:
        """The answer, by shuffles."""
        from pyspark import sql

        tools = Sql(sql.functions, sql.Window, self._wrap, sql.Observation)
        with scratch_beside(keys) as scratch:
            here = keys.at_hand(scratch)
            answer: Reduced = _translated(lambda: _REDUCES[stage.name](self._keys(here), stage.config, tools, scratch))
        return answer

    def totals(self, counts: Dataset, by: str, least: int = 0) -> pa.Table:
        """The sums, by a shuffle."""
        from pyspark.sql import functions as f

        schema = pq.read_schema(counts.paths()[0])
        names = [name for name in schema.names if name != by]
        grouped = self._keys(counts).groupBy(by)
        summed = grouped.agg(*(f.sum(name).alias(name) for name in names)).where(f.col(names[0]) >= least)
        table = _translated(summed.toArrow)
        return table.select(schema.names).cast(schema).sort_by(by)

    def close(self) -> None:
        """Stops the session, if this engine made it."""
        from py4j.protocol import Py4JError

        if self._ship:
            self._ship.close()
        if self._own:
            with contextlib.suppress(Py4JError, ConnectionError):  # of a JVM that is gone: what lost it has been told
                self.spark.stop()


def _by_value(function: Callable[[Any], Any]) -> bytes:
    """A function as Spark would send it, and from now on the stub around it without a module of ours."""
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(spark_worker)
    pickled: bytes = cloudpickle.dumps(function)
    return pickled


def _translated(call: Callable[[], Any]) -> Any:
    """What a call returns; an error of ours that a worker raised comes back as itself."""
    from py4j.protocol import Py4JNetworkError
    from pyspark.errors import PySparkException

    try:
        return call()
    except (Py4JNetworkError, ConnectionError) as error:
        msg = f"Spark's JVM was lost ({' '.join(str(error).split())}); run the same command again to go on"
        raise MathcorpusError(msg) from error
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


def _stock(frame: Any, config: DecontaminateStage, sql: Sql, _scratch: Path) -> Reduced:
    f = sql.functions
    counts = frame.select(f.explode("loose").alias("ngram")).groupBy("ngram").agg(f.count("*").alias("documents"))
    return Reduced(stock_table(rows_of(counts.where(f.col("documents") >= config.stock_documents).toArrow())))


_REDUCES: dict[str, Answer] = {**ANSWERS, "decontaminate": _stock}

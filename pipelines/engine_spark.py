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
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.clusters import components
from filters.errors import MathcorpusError, UsageError
from filters.minhash import band_keys, similarity
from pipelines.dataset import Dataset
from pipelines.decisions import decision_rows
from pipelines.engine import Progress
from pipelines.java import java_home
from pipelines.recipe import DecontaminateStage, MinhashDedupStage
from pipelines.reduces import best_members, bucket_pairs, minhash_params, near_duplicates, signature_matrix
from pipelines.scan_reduce import stock_table
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

    def reduce(self, stage: StageSpec, keys: Dataset) -> pa.Table:
        """The decision, by shuffles."""
        frame = self.spark.read.parquet(*map(str, keys.paths()))
        return _translated(lambda: _REDUCES[stage.name](frame, stage.config))

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


def _exact(frame: Any, _: object) -> pa.Table:
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    by_id = Window.partitionBy("id").orderBy("key")
    numbered = frame.withColumn("n", f.row_number().over(by_id))
    repeated = numbered.where("n > 1").select("key", "id").toArrow()
    best_first = [f.asc("priority"), f.desc("quality"), f.asc("id")]
    by_content = Window.partitionBy("content").orderBy(*best_first)
    ranked = numbered.where("n = 1").withColumn("kept", f.first("id").over(by_content))
    copies = ranked.withColumn("m", f.row_number().over(by_content)).where("m > 1").select("key", "kept").toArrow()
    rows = [(k, "duplicate_id", None, {"id": i}) for k, i in _rows(repeated)]
    return decision_rows([*rows, *((k, "exact_duplicate", 1.0, {"kept": i}) for k, i in _rows(copies))])


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(c.to_pylist() for c in table.columns), strict=True)


def _minhash(frame: Any, config: MinhashDedupStage) -> pa.Table:
    edges = _edges(frame, config)
    ids = sorted({i for row in edges for i in row})
    if not ids:
        return decision_rows([])
    spark = frame.sparkSession
    known = spark.createDataFrame(pa.table({"id": ids})).join(frame, "id").select("id", "key", "priority", "quality")
    table = known.toArrow().sort_by("id")
    place = {i: n for n, i in enumerate(ids)}
    numbered = np.array([(place[a], place[b]) for a, b in edges], np.int64)
    best = best_members(components(numbered, len(ids)), table)
    members = np.flatnonzero(best != np.arange(len(best)))
    if not len(members):
        return decision_rows([])
    pairs = pa.table({"a": [ids[m] for m in members], "b": [ids[best[m]] for m in members]})
    scored = _scored(spark.createDataFrame(pairs), frame, config)
    key_of = dict(zip(ids, table["key"].to_pylist(), strict=True))
    return near_duplicates([(key_of[a], b, s) for a, b, s in _rows(scored.toArrow())], config.threshold)


def _edges(frame: Any, config: MinhashDedupStage) -> list[tuple[str, str]]:
    """Pairs of ids that share a band and whose signatures are alike."""
    from pyspark.sql import functions as f

    def bands(batches: Batches) -> Batches:
        for batch in batches:
            found = band_keys(signature_matrix(batch.column(1), config), minhash_params(config))
            number, count = found.shape
            yield pa.record_batch(
                {
                    "id": batch.column(0).take(pa.array(np.repeat(np.arange(number), count))),
                    "band": pa.array(np.tile(np.arange(count), number).astype(np.int32)),
                    "bucket": pa.array(found.astype(np.uint64).view(np.int64).reshape(-1)),
                }
            )

    def pairs(batches: Batches) -> Batches:
        for batch in batches:
            found = [(m[a], m[b]) for m in batch.column(0).to_pylist() for a, b in bucket_pairs(len(m))]
            yield pa.record_batch(
                {
                    "a": pa.array([p[0] for p in found], pa.string()),
                    "b": pa.array([p[1] for p in found], pa.string()),
                }
            )

    banded = frame.select("id", "signature").mapInArrow(bands, "id string, band int, bucket long")
    buckets = banded.groupBy("band", "bucket").agg(f.sort_array(f.collect_list("id")).alias("ids"))
    candidates = buckets.where(f.size("ids") > 1).select("ids").mapInArrow(pairs, "a string, b string").distinct()
    scored = _scored(candidates, frame, config).where(f.col("score") >= config.threshold)
    return list(_rows(scored.select("a", "b").toArrow()))


def _scored(pairs: Any, frame: Any, config: MinhashDedupStage) -> Any:
    """(a, b, score): the share of equal slots of each pair's signatures."""
    left = frame.selectExpr("id as a", "signature as first")
    right = frame.selectExpr("id as b", "signature as second")

    def score(batches: Batches) -> Batches:
        for batch in batches:
            first, second = (signature_matrix(batch.column(i), config) for i in (2, 3))
            scores = similarity(first, second).astype(np.float64)
            yield pa.record_batch({"a": batch.column(0), "b": batch.column(1), "score": pa.array(scores)})

    joined = pairs.join(left, "a").join(right, "b").select("a", "b", "first", "second")
    return joined.mapInArrow(score, "a string, b string, score double")


def _stock(frame: Any, config: DecontaminateStage) -> pa.Table:
    from pyspark.sql import functions as f

    counts = frame.select(f.explode("loose").alias("ngram")).groupBy("ngram").agg(f.count("*").alias("documents"))
    return stock_table(_rows(counts.where(f.col("documents") >= config.stock_documents).toArrow()))


_REDUCES: dict[str, Callable[[Any, Any], pa.Table]] = {
    "exact_dedup": _exact,
    "minhash_dedup": _minhash,
    "decontaminate": _stock,
}

"""Deduplication on Spark: the same answers as `pipelines.dedup_decide`, by shuffles.

Documents get numbers in the order of their ranks; pairs, edges, clusters and keepers are rows of these numbers. Only
what is decided comes back to the driver. Frames that are used more than once are written to a scratch folder and read
again: a number that was computed a second time could be another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.clusters import components
from filters.minhash import similarity
from filters.near import first_kept, jaccards
from pipelines.decisions import decision_rows
from pipelines.dedup_decide import CLUSTERS, DIGITS, Reduced, exact_rows, near_rows
from pipelines.paragraph_reduce import repeated
from pipelines.parents_reduce import Tie
from pipelines.parents_reduce import orphans as without_parents
from pipelines.recipe import ExactDedupStage, MinhashDedupStage, OrphansStage, ParagraphDedupStage

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class Sql:
    """What the answers need of pyspark, which only the adapter imports; `sent` makes a function one for workers."""

    functions: Any
    Window: Any
    sent: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]
    Observation: Any


FEW_EDGES = 1 << 21  # of 24 bytes each: the driver decides on them itself; on more, rounds of shuffles do
_CHUNK = 1 << 14  # rows
_RANK = ["priority", "minus_quality", "id", "key"]


def exact(frame: Any, _: ExactDedupStage, sql: Sql, _scratch: Path) -> Reduced:
    """See `dedup_decide.exact_decision`."""
    f, window = sql.functions, sql.Window
    again = f.row_number().over(window.partitionBy("id").orderBy("key")) > 1
    fates = {"reason": f.when(again, "duplicate_id"), "other": f.when(again, f.col("id"))}
    told = frame.selectExpr("*", "-quality AS minus_quality").withColumns(fates)
    for column, reason in (("content", "exact_duplicate"), ("url", "url_duplicate")):
        stays = f.col("reason").isNull()
        best_first = window.partitionBy(column, stays).orderBy(*_RANK)
        again = stays & f.col(column).isNotNull() & (f.row_number().over(best_first) > 1)
        fates = {"reason": f.lit(reason), "other": f.first("id").over(best_first)}
        told = told.withColumns({name: f.when(again, to).otherwise(f.col(name)) for name, to in fates.items()})
    gone = told.where("reason IS NOT NULL").select("rank", "key", "other", "reason")
    found = rows_of(gone.toArrow())
    rows = (row for *named, reason in found for row in exact_rows([tuple(named)], reason))
    return Reduced(decision_rows(rows))


def rows_of(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """The rows of a table as tuples, not all of which are Python objects at a time."""
    for batch in table.to_batches(max_chunksize=_CHUNK):
        yield from zip(*(c.to_pylist() for c in batch.columns), strict=True)


def minhash(frame: Any, config: MinhashDedupStage, sql: Sql, scratch: Path) -> Reduced:
    """See `dedup_decide.minhash_decision`."""
    return _Near(frame, config, sql, scratch).reduced()


class _Near:
    """The steps of the search for near duplicates, and the frames that they share."""

    def __init__(self, frame: Any, config: MinhashDedupStage, sql: Sql, scratch: Path) -> None:
        self._config, self._f, self._window, self._scratch = config, sql.functions, sql.Window, scratch
        self._sent, self._observation = sql.sent, sql.Observation
        self._spark = frame.sparkSession
        held = frame.where("bands IS NOT NULL").selectExpr("*", "-quality AS minus_quality")
        told = ["rank", "key", "id", "template", "content"]
        order = held.select(*told, *_RANK[:2]).orderBy(*_RANK)
        self._numbers = self._kept("numbers", order.selectExpr("monotonically_increasing_id() AS n", *told))
        self._documents = held.join(self._numbers.select("n", "key"), "key").drop("rank", "key", "id")

    def reduced(self) -> Reduced:
        """The answer."""
        f = self._f
        pairs, skipped = self._pairs()
        alike = f.col("score") >= self._config.threshold
        edge = alike & ~f.col("sibling")
        scored, (compared, proven, masked) = self._counted(
            "scored", self._scored(pairs), f.count("*"), f.count_if(edge), f.count_if(alike & f.col("sibling"))
        )
        edges = scored.where(edge).select("a", "b", "score")
        if proven <= FEW_EDGES:
            fates = self._spark.createDataFrame(decide(edges.toArrow()))
        else:
            fates = self._kept("fates", self._fates(edges))
        told = self._named(fates)
        gone = told.filter(pc.is_valid(told["kept"]))
        rows = rows_of(gone.select(["rank", "key", "kept", "score"]))
        decision = near_rows((r, k, i, round(s, DIGITS)) for r, k, i, s in rows)
        clusters = _clusters(told)
        near = clusters.filter(pc.equal(clusters["kind"], "near"))
        counts = {
            "pairs": compared,
            "pairs_skipped": skipped,
            "edges": proven,
            "sibling_pairs": masked,
            "siblings": clusters.num_rows - near.num_rows,
            "clusters": len(near["cluster"].unique()),
        }
        return Reduced(decision, counts, clusters)

    def _kept(self, name: str, frame: Any) -> Any:
        path = str(self._scratch / name)
        frame.write.parquet(path)
        return self._spark.read.schema(frame.schema).parquet(path)  # to look for the schema would be a job of its own

    def _counted(self, name: str, frame: Any, *measures: Any) -> tuple[Any, list[int]]:
        """As `_kept`, and what is counted of the rows while they are written: to count afterwards is two more jobs."""
        watch = self._observation()
        names = [f"m{number}" for number in range(len(measures))]
        told = frame.observe(watch, *(m.alias(n) for m, n in zip(measures, names, strict=True)))
        kept = self._kept(name, told)
        found = watch.get
        return kept, [found[n] or 0 for n in names]

    def _pairs(self) -> tuple[Any, int]:
        """(a, b), the better and the worse of each pair to compare; and how many pairs of hot bands are not."""
        f, bands = self._f, self._config.bands
        cap, few = self._config.band_cap, self._config.band_hubs

        def banded(batches: Batches) -> Batches:
            for batch in batches:
                keys = np.frombuffer(b"".join(batch.column(1).to_pylist()), "<i8").reshape(-1, bands)
                yield pa.record_batch(
                    {
                        "n": batch.column(0).take(pa.array(np.repeat(np.arange(len(keys)), bands))),
                        "band": pa.array(np.tile(np.arange(bands, dtype=np.int32), len(keys))),
                        "bucket": pa.array(keys.reshape(-1)),
                    }
                )

        rows = self._documents.select("n", "bands").mapInArrow(self._sent(banded), "n long, band int, bucket long")
        by_rank = self._window.partitionBy("band", "bucket").orderBy("n")
        placed = rows.withColumn("p", f.row_number().over(by_rank) - 1).withColumn("before", f.lag("n").over(by_rank))
        taken = f.when(f.col("p") <= cap, f.col("p")).otherwise(f.least(f.col("p"), f.lit(few)))
        # of p better members, those behind the hubs are left out, but for the one before
        behind = f.sum(f.when(f.col("p") > taken, f.col("p") - taken - 1))
        several, [left_out] = self._counted("buckets", placed, behind)
        hubs = several.where(f.col("p") < max(cap, few)).selectExpr("band", "bucket", "n AS a", "p AS q")
        joined = several.where("p > 0").join(hubs, ["band", "bucket"])
        with_hubs = joined.where(f.col("q") < taken).selectExpr("a", "n AS b")
        with_last = several.where("before IS NOT NULL").selectExpr("before AS a", "n AS b")
        return with_hubs.union(with_last).distinct(), left_out

    def _scored(self, pairs: Any) -> Any:
        """(a, b, score, sibling) of each pair."""
        slots = self._config.bands * self._config.rows if self._config.proof == "signature" else 0
        least = self._config.threshold
        left = self._documents.selectExpr("n AS a", "template AS words", "content AS own", "proof AS first")
        right = self._documents.selectExpr("n AS b", "template AS others", "content AS its", "proof AS second")
        joined = pairs.join(left, "a").join(right, "b")
        sibling = "words = others AND words != 0 AND own != its AS sibling"
        told = joined.selectExpr("a", "b", sibling, "first", "second")

        def score(batches: Batches) -> Batches:
            for batch in batches:
                scores = proven(batch.column(3).to_pylist(), batch.column(4).to_pylist(), slots, least)
                columns = [*batch.columns[:2], pa.array(scores), batch.column(2)]
                yield pa.record_batch(columns, ["a", "b", "score", "sibling"])

        return told.mapInArrow(self._sent(score), "a long, b long, score double, sibling boolean")

    def _fates(self, edges: Any) -> Any:
        """(n, cluster, keeper, score) of each document that has an edge."""
        roots = self._components(edges)
        grouped = edges.join(roots.selectExpr("n AS a", "cluster"), "a").groupBy("cluster")
        return grouped.applyInArrow(self._sent(decide), "n long, cluster long, keeper long, score double")

    def _components(self, edges: Any) -> Any:
        """(n, cluster): each document with an edge, and the best of its component.

        Alternating large-star and small-star operations: Kiveris and others, "Connected Components in MapReduce and
        Beyond" (2014). They end when no edge changes.
        """
        f = self._f
        links, round_number, told = edges.selectExpr("b AS u", "a AS v"), 0, None
        while True:
            both = links.union(links.selectExpr("v AS u", "u AS v"))
            least = self._window.partitionBy("u")
            large = both.withColumn("m", f.least(f.min("v").over(least), f.col("u"))).where("v > u")
            links = large.selectExpr("v AS u", "m AS v").where("u != v").distinct()
            small = links.withColumn("m", f.min("v").over(least))
            kept = small.selectExpr("v AS u", "m AS v").where("u != v").union(small.selectExpr("u", "m AS v"))
            digest = f.sum(f.hash("u", "v").cast("long"))
            links, now = self._counted(f"links-{round_number:03d}", kept.distinct(), f.count("*"), digest)
            if now == told:
                break
            told, round_number = now, round_number + 1
        return links.selectExpr("u AS n", "v AS cluster").union(links.selectExpr("v AS n", "v AS cluster")).distinct()

    def _siblings(self) -> Any:
        f = self._f
        same = self._window.partitionBy("template")
        held = self._numbers.where("template != 0")
        told = held.withColumn("cluster", f.min("n").over(same)).withColumn("first", f.min("content").over(same))
        several = told.withColumn("last", f.max("content").over(same)).where("first != last")
        return several.select("n", "cluster")

    def _named(self, fates: Any) -> pa.Table:
        """The members of clusters and of groups of siblings, with their ids; of those that go, rank and key too."""
        near = fates.selectExpr("'near' AS kind", "n", "cluster", "keeper", "score")
        nothing = "CAST(NULL AS long) keeper", "CAST(NULL AS double) score"
        told = near.union(self._siblings().selectExpr("'sibling' AS kind", "n", "cluster", *nothing))
        own = self._numbers.select("n", "id", "rank", "key")
        told = told.join(own, "n", "left")
        for column, name in (("cluster", "label"), ("keeper", "kept")):
            told = told.join(self._numbers.selectExpr(f"n AS {column}", f"id AS {name}"), column, "left")
        where = "CASE WHEN keeper IS NOT NULL THEN"
        names = "kind", "n", "cluster", "score", "id", "label", "kept"
        return told.selectExpr(*names, f"{where} rank END AS rank", f"{where} key END AS key").toArrow()


def proven(first: list[bytes], second: list[bytes], slots: int, least: float) -> np.ndarray:
    """The similarity of each pair of proofs, float64[P]: of signatures if there are slots, else of shingles."""
    values = np.frombuffer(b"".join([*first, *second]), "<u4").astype(np.uint32)
    count = len(first)
    if slots:
        matrix = values.reshape(-1, slots)
        return similarity(matrix[:count], matrix[count:])
    ends = np.cumsum([0, *(len(proof) // 4 for proof in (*first, *second))]).astype(np.int64)
    return jaccards(values, ends, np.stack([np.arange(count), np.arange(count, 2 * count)], axis=1), least)


def _clusters(told: pa.Table) -> pa.Table:
    """`dedup_decide.CLUSTERS` of what is told of the members."""
    table = told.sort_by([(c, "ascending") for c in ("kind", "cluster", "n")])
    score = [None if s is None else round(s, DIGITS) for s in table["score"].to_pylist()]
    columns = [*(table[c].combine_chunks() for c in ("id", "kind", "label", "kept")), pa.array(score, pa.float64())]
    return pa.table(columns, schema=CLUSTERS)


def decide(table: pa.Table) -> pa.Table:
    """The fates of the documents of whole components, from their edges (a, b, score)."""
    edges = np.stack([table["a"].to_numpy(), table["b"].to_numpy()], axis=1)
    order = np.lexsort((edges[:, 0], edges[:, 1]))
    numbers, dense = np.unique(edges[order], return_inverse=True)
    dense = dense.reshape(-1, 2)
    keeper = first_kept(dense, np.ones(len(numbers), np.bool_))
    chosen = keeper[dense[:, 1]] == dense[:, 0]
    score = np.zeros(len(numbers))
    score[dense[chosen, 1]] = table["score"].to_numpy()[order][chosen]
    gone = keeper >= 0
    return pa.table(
        {
            "n": numbers,
            "cluster": numbers[components(dense, len(numbers))],
            "keeper": pa.array(numbers[np.maximum(keeper, 0)], mask=~gone),
            "score": pa.array(score, mask=~gone),
        }
    )


def paragraphs(frame: Any, config: ParagraphDedupStage, sql: Sql, _scratch: Path) -> Reduced:
    """See `paragraph_reduce.paragraph_decision`."""
    f = sql.functions
    counts = frame.select(f.explode("paragraphs").alias("paragraph")).groupBy("paragraph").agg(f.count("*").alias("n"))
    return repeated(rows_of(counts.where(f.col("n") >= config.min_pages).toArrow()))


def orphans(frame: Any, _: OrphansStage, sql: Sql, _scratch: Path) -> Reduced:
    """See `parents_reduce.orphan_decision`."""
    ties = frame.select("rank", "key", "id", sql.functions.explode("parents").alias("parent"))
    missing = ties.join(frame.selectExpr("id AS parent"), "parent", "left_anti")
    of_samples = ties.join(ties.selectExpr("id AS parent").distinct(), "parent", "left_semi")
    found = (rows_of(part.select("rank", "key", "id", "parent").toArrow()) for part in (missing, of_samples))
    return without_parents(*((Tie(*row) for row in rows) for rows in found))


Answer = Callable[[Any, Any, Sql, Path], Reduced]
ANSWERS: dict[str, Answer] = {
    "exact_dedup": exact,
    "minhash_dedup": minhash,
    "paragraph_dedup": paragraphs,
    "orphans": orphans,
}

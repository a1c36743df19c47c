"""What the engines run of a cycle, rank by rank: score, count, choose, copy.

A rank is a shard of the documents; the tables of a rank stand row for row beside it, so that nothing is joined.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from filters.url_prefix import url_prefixes
from pipelines import dataset as ds
from pipelines.decisions import Artefact
from pipelines.recall_model import score_texts
from pipelines.recall_recipe import Widen
from pipelines.recall_seeds import (
    BORDER,
    CANDIDATES,
    HARD,
    LOW,
    POSITIVE,
    Candidate,
    candidate_table,
    capped,
    order_of,
)
from pipelines.recall_stats import (
    ACCEPTED,
    COUNTS,
    MATH,
    MIXED,
    OPEN,
    OTHER,
    REJECTED,
    SCORE_UNITS,
    SCORES,
    UNSURE,
    Cut,
    Sides,
    count_prefixes,
    histogram,
)
from pipelines.stage import finish
from pipelines.tables import write_table

MARKS = pa.schema([("caught", pa.bool_()), ("ever", pa.bool_())], metadata={"mathcorpus": "recall-marks-1"})

TEXTS = pa.schema([("row", pa.int64()), ("text", pa.string())], metadata={"mathcorpus": "recall-texts-1"})


@dataclass(frozen=True)
class RankTask:
    """A task over the shards of a dataset, which gives tables by kind and figures for its marker."""

    out: Path
    documents: ds.Dataset

    @property
    def ranks(self) -> int:
        """One for each shard of the documents."""
        return len(self.documents.shards)

    def run(self, rank: int) -> None:
        """Writes the tables of one rank, then its marker."""
        started = time.perf_counter(), time.process_time()
        name = f"{rank:05d}.parquet"
        tables, figures = self.tables(rank)
        shards = {kind: asdict(write_table(self.out / kind, name, table)) for kind, table in tables.items()}
        finish(self.out, rank, {"shards": shards, **figures}, started, {})

    def tables(self, rank: int) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        raise NotImplementedError

    def _read(self, rank: int, columns: list[str]) -> Iterator[pa.Table]:
        return rank_tables(self.documents, rank, columns)


def rank_tables(held: ds.Dataset, rank: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of one shard, checked."""
    return ds.Dataset(held.root, (held.shards[rank],), held.key).tables(columns)


def _rank_table(held: ds.Dataset, rank: int, columns: list[str] | None = None) -> pa.Table:
    return pa.concat_tables(rank_tables(held, rank, columns)) if held.shards[rank].rows else pa.table({})


@dataclass(frozen=True)
class ScoreTask(RankTask):
    """Scores every page; kinds: scores, histogram."""

    model: Artefact
    depth: int

    def tables(self, rank: int) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        parts = [self._scored(table) for table in self._read(rank, ["id", "origin", "url", "text", "tokens"])]
        scores = pa.concat_tables([SCORES.empty_table(), *parts])
        return {"scores": scores, "histogram": histogram(scores)}, {}

    def _scored(self, table: pa.Table) -> pa.Table:
        found = score_texts(table["text"].combine_chunks(), self.model)
        columns = {
            "key": [bytes.fromhex(ds.document_id(origin)) for origin in table["origin"].to_pylist()],
            "id": table["id"],
            "url": table["url"],
            "prefixes": [url_prefixes(url or "", self.depth) for url in table["url"].to_pylist()],
            "score": np.rint(found * SCORE_UNITS).astype(np.int64),
            "tokens": table["tokens"],
        }
        return pa.table(columns, schema=SCORES)


@dataclass(frozen=True)
class CountTask(RankTask):
    """Counts pages and caught pages by prefix; kind: counts."""

    cut: Cut

    def tables(self, rank: int) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        parts = [count_prefixes(table, self.cut.mask(table)) for table in self._read(rank, SCORES.names)]
        return {"counts": pa.concat_tables([COUNTS.empty_table(), *parts])}, {}


@dataclass(frozen=True)
class Choice:
    """What decides about pages: a file of sides and verdicts by its digest, and the recipe's rules."""

    sides: Artefact
    widen: Widen
    seed: int
    cycle: int
    cut: Cut


@dataclass(frozen=True)
class ChooseTask(RankTask):
    """Marks what is caught and was ever caught, and names the candidates for seeds; kinds: marks, candidates.

    documents : scores; before : marks of the cycle before.
    """

    choice: Choice
    before: ds.Dataset | None = None

    def tables(self, rank: int) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        scores = _rank_table(self.documents, rank)
        if not scores.num_rows:
            return {"marks": MARKS.empty_table(), "candidates": CANDIDATES.empty_table()}, _figures(Counter())
        book = load_sides(self.choice.sides.path, self.choice.sides.digest)
        above = self.choice.cut.mask(scores)
        ever = _rank_table(self.before, rank)["ever"].to_numpy() if self.before else np.zeros(len(above), np.bool_)
        caught = np.zeros(len(above), np.bool_)
        rows: list[Candidate] = []
        for at, page in enumerate(scores.to_pylist()):
            side, prefix = book.side(page["prefixes"])
            caught[at] = above[at] and side != REJECTED and book.pages.get(page["id"]) != "reject"
            for why in self._reasons(page, side, bool(caught[at]), bool(above[at]), book):
                order = order_of(self.choice.seed, f"{why}\0{self.choice.cycle}", page["id"])
                rows.append(
                    Candidate(order, why, page["id"], page["url"], prefix, page["key"], page["score"], rank, at)
                )
        figures = Counter(
            caught=int(caught.sum()),
            known=int((caught & ever).sum()),
            tokens=int(_tokens(scores, caught)),
        )
        marks = pa.table([caught, caught | ever], schema=MARKS)
        return {"marks": marks, "candidates": candidate_table(capped(rows, self.choice.widen))}, _figures(figures)

    def _reasons(self, page: Mapping[str, Any], side: str, caught: bool, above: bool, book: Sides) -> Iterator[str]:
        """What a page is a candidate for. A verdict on the page itself stands before all."""
        verdict = book.pages.get(page["id"])
        if verdict is not None:
            if verdict != "unsure":
                yield verdict
            return
        if side in {MATH, ACCEPTED}:
            if not caught and (side == ACCEPTED or page["score"] >= self.choice.widen.least_score * SCORE_UNITS):
                yield POSITIVE
        elif above and side in {OTHER, REJECTED}:
            yield HARD
        elif not above and side not in {UNSURE, MIXED} and page["score"] < self.choice.widen.low_score * SCORE_UNITS:
            yield LOW
        if side in {OPEN, MIXED, UNSURE} and above:
            yield BORDER


def _tokens(scores: pa.Table, caught: np.ndarray) -> int:
    return int(scores["tokens"].fill_null(0).to_numpy()[caught].sum())


def _figures(counts: Counter[str]) -> dict[str, Any]:
    return {"figures": {name: counts[name] for name in ("caught", "known", "tokens")}}


@lru_cache(maxsize=2)
def load_sides(path: str, sha256: str) -> Sides:  # noqa: ARG001 - the digest is the cache's key
    """The sides that a file holds, loaded once a process."""
    return Sides(**orjson.loads(Path(path).read_bytes()))


@dataclass(frozen=True)
class PickTask(RankTask):
    """Copies the texts of chosen pages; kind: texts. `chosen` is a file: rows of each rank, rising."""

    chosen: Artefact

    def tables(self, rank: int) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        rows = _load_chosen(self.chosen.path, self.chosen.digest).get(str(rank), [])
        texts = [_rank_table(self.documents, rank, ["text"])["text"].take(rows)] if rows else []
        return {"texts": pa.table([rows, pa.chunked_array(texts, pa.string())], schema=TEXTS)}, {}


@lru_cache(maxsize=2)
def _load_chosen(path: str, sha256: str) -> dict[str, list[int]]:  # noqa: ARG001 - the digest is the cache's key
    return dict(orjson.loads(Path(path).read_bytes()))


@dataclass(frozen=True)
class CorpusTask(RankTask):
    """Writes the documents that were caught, with their score; kind: corpus."""

    scores: ds.Dataset
    marks: ds.Dataset

    def run(self, rank: int) -> None:
        """Writes one shard of the corpus, then its marker."""
        started = time.perf_counter(), time.process_time()
        writer = ds.ShardWriter(self.out / "corpus", f"{rank:05d}.parquet", ds.DOCUMENTS)
        try:
            scores = (s for t in rank_tables(self.scores, rank, ["score"]) for s in t["score"].to_pylist())
            marks = (c for t in rank_tables(self.marks, rank, ["caught"]) for c in t["caught"].to_pylist())
            docs = ds.read_documents(self.documents.root, self.documents.shards[rank])
            for doc, score, caught in zip(docs, scores, marks, strict=True):
                if caught:
                    doc.metadata["math_score"] = score / SCORE_UNITS
                    writer.write(ds.document_to_row(doc))
            shard = writer.commit()
        except BaseException:
            writer.abort()
            raise
        finish(self.out, rank, {"shards": {"corpus": asdict(shard)}}, started, {})

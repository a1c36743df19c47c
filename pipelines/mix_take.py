"""The documents of a mix, and a row for each that it leaves out: the second task over the corpus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import AccountingError
from pipelines import dataset as ds
from pipelines.decisions import Artefact
from pipelines.memory import memory_limit
from pipelines.mix_decide import BUDGET, I64, UNCAPPED, Cut
from pipelines.mix_rows import NO_PART, most_copies, rows_schema
from pipelines.places import Place, place
from pipelines.recipe_mix import Mix
from pipelines.stage import finish

MIX = pa.schema([*list(ds.DOCUMENTS), ("part", pa.string()), ("copy", pa.int64())], metadata={"mathcorpus": "mix-1"})
LEFT_OUT = pa.schema(
    [("id", pa.string()), ("part", pa.string()), ("reason", pa.string())], metadata={"mathcorpus": "mix-left-out-1"}
)
KINDS = {"taken": MIX, "left_out": LEFT_OUT}
IN_NO_PART = "no_part"
OVER_BUDGET = "budget"


class Layer(NamedTuple):
    """Thresholds of one part, for values of a cap, or for all of it (BUDGET)."""

    cap: int
    values: pa.Array
    cut: Cut


@lru_cache(maxsize=8)
def _layers(root: str, digest: str) -> dict[int, list[Layer]]:  # noqa: ARG001 - the digest is the cache's key
    """The layers of each part: the budget, then the caps in their order."""
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for table in ds.Dataset.load(place(root)).tables():
        for row in table.to_pylist():
            found.setdefault((row["part"], row["cap"]), []).append(row)
    layers: dict[int, list[Layer]] = {}
    for (part, cap), rows in sorted(found.items()):
        cut = Cut(np.array([r["rounds"] for r in rows]), np.array([r["bound"] for r in rows], np.uint64))
        layers.setdefault(part, []).append(Layer(cap, pa.array([r["value"] for r in rows], pa.string()), cut))
    return layers


@dataclass(frozen=True)
class TakeTask:
    """Writes, for each shard of the corpus, the documents that the mix takes, copies one behind the other."""

    out: Place
    corpus: ds.Dataset
    rows: ds.Dataset  # of `CountTask`, whose ranks are those of the corpus
    mix: Mix
    decision: Artefact
    memory_mb: int | None = None  # a rank may hold

    @property
    def ranks(self) -> int:
        """One for each shard."""
        return len(self.corpus.shards)

    def run(self, rank: int) -> None:
        """Does one rank; AccountingError where it has not as many rows as documents."""
        with memory_limit(self.memory_mb, f"{self.out}: rank {rank}"):
            self._run(rank)

    def _run(self, rank: int) -> None:
        started = time.perf_counter(), time.process_time()
        held = ds.Dataset(self.rows.root, (self.rows.shards[rank],), self.rows.key)
        table = pa.concat_tables([rows_schema(self.mix).empty_table(), *held.tables()])
        if table.num_rows != self.corpus.shards[rank].rows:
            msg = f"{self.out}: rank {rank}: {table.num_rows} rows of {self.corpus.shards[rank].rows} documents"
            raise AccountingError(msg)
        copies, reasons = drawn(table, self.mix, _layers(self.decision.path, self.decision.digest))
        parts = table["part"].to_numpy()
        name = f"{rank:05d}.parquet"
        writers = {kind: ds.ShardWriter(self.out / kind, name, schema) for kind, schema in KINDS.items()}
        with ExitStack() as stack:
            for writer in writers.values():
                stack.callback(writer.abort)
            self._write(rank, parts, copies, reasons, writers)
            shards = {kind: asdict(writer.commit()) for kind, writer in writers.items()}
            stack.pop_all()
        tokens = table["tokens"].to_numpy()
        got = [[int(np.count_nonzero(copies[parts == p])), *_sums(copies, tokens, parts == p)] for p in self._parts()]
        left = Counter(reasons[row] for row in np.flatnonzero(copies == 0))
        finish(self.out, rank, {"shards": shards, "got": got, "left_out": dict(sorted(left.items()))}, started, {})

    def _parts(self) -> range:
        return range(len(self.mix.parts))

    def _write(
        self, rank: int, parts: I64, copies: I64, reasons: list[str], writers: dict[str, ds.ShardWriter]
    ) -> None:
        names = {NO_PART: None, **{number: part.name for number, part in enumerate(self.mix.parts)}}
        for first, batch in _batches(self.corpus, rank):
            here = copies[first : first + batch.num_rows]
            places = np.flatnonzero(here)
            for at, row in zip(places, batch.take(pa.array(places)).to_pylist(), strict=True):
                part = names[int(parts[first + at])]
                for copy in range(here[at]):
                    writers["taken"].write({**row, "part": part, "copy": copy})
            places = np.flatnonzero(here == 0)
            for at, identity in zip(places, batch["id"].take(pa.array(places)).to_pylist(), strict=True):
                row = {"id": identity, "part": names[int(parts[first + at])], "reason": reasons[first + at]}
                writers["left_out"].write(row)


def _sums(copies: I64, tokens: I64, mask: np.ndarray) -> tuple[int, int]:
    """(rows, tokens) of the documents of a mask, copies counted."""
    return int(copies[mask].sum()), int((copies[mask] * tokens[mask]).sum())


def _batches(corpus: ds.Dataset, rank: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of a shard, few at a time as documents are read, each with the number of its first row."""
    first = 0
    with ds.open_shard(corpus.root, corpus.shards[rank]) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(batch_size=ds.READ_ROWS, row_groups=[group]):
                yield first, batch
                first += batch.num_rows


def drawn(table: pa.Table, mix: Mix, layers: dict[int, list[Layer]]) -> tuple[I64, list[str]]:
    """(copies of each document, int64[N], why it has none: the first layer that leaves none; "" where it has some).

    The budget is asked first: a cap is the reason of those alone that would be in the mix without it.
    """
    digests, parts = table["digest"].to_numpy(), table["part"].to_numpy()
    copies = np.zeros(table.num_rows, np.int64)
    reasons = np.where(parts == NO_PART, IN_NO_PART, "").astype(object)
    for number, part in enumerate(mix.parts):
        mine = parts == number
        copies[mine] = most_copies(part)
        for cap, values, cut in layers.get(number, []):
            codes = np.zeros(table.num_rows, np.int64)
            if cap != BUDGET:
                found = pc.fill_null(pc.index_in(table[f"cap{cap}"], value_set=values), UNCAPPED)
                codes = found.to_numpy().astype(np.int64)
            copies = np.where(mine, np.minimum(copies, cut.copies(digests, codes)), copies)
            reason = OVER_BUDGET if cap == BUDGET else f"cap:{mix.caps[cap].column}"
            reasons[mine & (copies == 0) & (reasons == "")] = reason
    return copies, reasons.tolist()

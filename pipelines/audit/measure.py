"""The work of `mathcorpus audit`: every document is read once, what is noted of it is counted, and a few are fetched.

A rank of the one task reads a shard of documents and writes their facts, without texts; so it runs on any engine, and a
run that was killed goes on. What follows needs no text: counts, duplicates, stock phrases. Only documents that hold
benchmark text are read again, for the evidence, and those few that the report shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import orjson
import pyarrow as pa

from filters.batches import batched
from pipelines import dataset as ds
from pipelines.audit.documents import Progress, run_ranks, shards_of
from pipelines.audit.measure_rows import FACTS, Measures, facts
from pipelines.engine import Engine
from pipelines.memory import memory_limit
from pipelines.places import Place, contents
from pipelines.stage import KEY_CHARS, KEY_DOCUMENTS, finish, marker
from pipelines.tables import write_tables

KEYS = "keys"  # as Reduces call what they decide on
_ROWS = 1 << 16  # of facts that are counted together


@dataclass(frozen=True)
class MeasureTask:
    """The facts of the documents of a dataset, shard by shard."""

    out: Place
    source: ds.Dataset
    measures: Measures
    memory_mb: int | None = field(default=None)  # a rank may hold

    @property
    def ranks(self) -> int:
        """One for each shard."""
        return len(self.source.shards)

    def run(self, rank: int) -> None:
        """Writes the facts of one shard and commits them."""
        with memory_limit(self.memory_mb, f"{self.out}: rank {rank}"):
            started = time.perf_counter(), time.process_time()
            docs = ds.read_documents(self.source.root, self.source.shards[rank])
            tables = (facts(batch, self.measures, rank) for batch in batched(docs, KEY_CHARS, KEY_DOCUMENTS))
            shard = write_tables(self.out / KEYS, f"{rank:05d}.parquet", FACTS, tables)
            finish(self.out, rank, {"shards": {KEYS: asdict(shard)}}, started, {})


def measure(source: ds.Dataset, measures: Measures, out: Place, engine: Engine, progress: Progress) -> ds.Dataset:
    """The facts of all documents of a dataset, in its order; what is in `out` from a run that was killed is used."""
    task = MeasureTask(out, source, measures)
    run_ranks(engine, task, "measure", progress)
    reports = [orjson.loads(c) for c in contents([marker(out, r) for r in range(task.ranks)])]
    found = shards_of(out / KEYS, KEYS, reports, source.key)
    found.save(FACTS)
    return found


def numbered(data: ds.Dataset, columns: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
    """Columns of a dataset in large tables, each with the number of its first row."""
    held: list[pa.Table] = []
    first = rows = 0
    for table in data.tables(list(columns)):
        held.append(table)
        rows += table.num_rows
        if rows >= _ROWS:
            yield pa.concat_tables(held).combine_chunks(), first
            held, first, rows = [], first + rows, 0
    if held:
        yield pa.concat_tables(held).combine_chunks(), first

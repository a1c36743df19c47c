"""Decisions of a Reduce: a canonical table (document key -> reason), cut by rank, and the step that applies it.

A document's key is the digest of its origin, which no two documents share, even where the input repeats its ids. What
is decided on the documents of a rank is a shard of its own, so that a worker holds that of its rank only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.errors import AccountingError
from pipelines.dataset import Dataset, document_id
from pipelines.places import Place, place
from pipelines.tables import save_table, write_table

KEY_BYTES = 16
RANK = pa.field("rank", pa.int32())  # of the shard in which a document is
_CHUNK = 1 << 14  # rows that are Python objects at a time
DECISIONS = pa.schema(
    [
        ("key", pa.binary(KEY_BYTES)),
        ("reason", pa.string()),
        ("score", pa.float64()),
        ("evidence", pa.string()),
    ],
    metadata={"mathcorpus": "decisions-1"},
)


@dataclass(frozen=True)
class Artefact:
    """A file that a stage needs (model, index), by its digest; or the folder of a Reduce, by that of its decision."""

    path: str
    digest: str


def document_key(doc: Document) -> bytes:
    """16 bytes that no other document of the build has."""
    return bytes.fromhex(document_id(doc.metadata["origin"]))


@dataclass(frozen=True, slots=True)
class Decision:
    """Documents to remove, kept sorted by key: two uint64 halves of each, and the row to say why."""

    high: np.ndarray
    low: np.ndarray
    rows: pa.Table

    def find(self, key: bytes) -> dict[str, Any] | None:
        """The row that removes the document of a key, or None where it stays."""
        high, low = (np.uint64(int.from_bytes(key[i : i + 8])) for i in (0, 8))
        at = int(np.searchsorted(self.high, high))
        while at < len(self.high) and self.high[at] == high:
            if self.low[at] == low:
                return dict(self.rows.slice(at, 1).to_pylist()[0])
            at += 1
        return None


def ranked_tables(keys: Dataset) -> Callable[[Sequence[str]], Iterator[pa.Table]]:
    """`keys.tables`, of which a column `rank` may be asked for too: the number of the shard."""

    def tables(columns: Sequence[str]) -> Iterator[pa.Table]:
        stored = [name for name in columns if name != RANK.name]
        for rank, shard in enumerate(keys.shards):
            for table in Dataset(keys.root, (shard,), keys.key).tables(stored):
                ranks = pa.array(np.full(table.num_rows, rank, np.int32))
                yield table.append_column(RANK, ranks).select(list(columns)) if RANK.name in columns else table

    return tables


def decision_rows(rows: Iterable[tuple[int, bytes, str, float | None, dict[str, Any]]]) -> pa.Table:
    """The decision table of (rank, key, reason, score, evidence) rows, sorted by rank and key."""
    schema = pa.schema([RANK, *DECISIONS], metadata=DECISIONS.metadata)
    left, chunks = iter(rows), [schema.empty_table()]
    while some := list(islice(left, _CHUNK)):
        *columns, found = zip(*some, strict=True)
        evidence = [orjson.dumps(e, option=orjson.OPT_SORT_KEYS).decode() for e in found]
        chunks.append(pa.table([*columns, evidence], schema=schema))
    return pa.concat_tables(chunks).sort_by([("rank", "ascending"), ("key", "ascending")])


def save_decision(root: Place, key: str, decision: pa.Table) -> Dataset:
    """The answer of a Reduce as a dataset: a shard for each rank that loses documents, or one if there are no ranks."""
    if RANK.name not in decision.column_names:
        return save_table(root, key, decision)
    column = decision[RANK.name].to_numpy()
    ranks = np.unique(column)
    begins, ends = np.searchsorted(column, ranks), np.searchsorted(column, ranks, side="right")
    rows = decision.drop_columns([RANK.name])
    shards = tuple(
        write_table(root, shard_name(rank), rows.slice(begin, end - begin))
        for rank, begin, end in zip(ranks.tolist(), begins.tolist(), ends.tolist(), strict=True)
    )
    dataset = Dataset(root, shards, key)
    dataset.save(DECISIONS)
    return dataset


def shard_name(rank: int) -> str:
    """The file of what is decided on a rank."""
    return f"{rank:05d}.parquet"


def load_decision(root: str, rank: int | None = None) -> Decision:
    """What is decided on the documents of a rank, or on all of them, from the folder of a decision."""
    whole = Dataset.load(place(root))
    shards = tuple(shard for shard in whole.shards if rank is None or shard.path == shard_name(rank))
    table = pa.concat_tables([DECISIONS.empty_table(), *Dataset(whole.root, shards, whole.key).tables()])
    table = table.sort_by("key").combine_chunks()
    keys = np.frombuffer(b"".join(table["key"].to_pylist()), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return Decision(keys[:, 0].copy(), keys[:, 1].copy(), table)


class ApplyDecision(BaseFilter):
    """Removes the documents that a Reduce decided against; they must come in the ranks that gave their keys."""

    def __init__(self, name: str, reduced: Artefact) -> None:
        super().__init__()
        self.name, self.root = name, f"{reduced.path}/decision"
        self._decision: Decision | None = None

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """The documents that stay, in order."""
        self._decision, self._found = load_decision(self.root, rank), 0
        yield from super().run(data, rank, world_size)
        if self._found != len(self._decision.high):
            msg = f"{self.root}: rank {rank}: {len(self._decision.high)} are to go, but {self._found} of them came"
            raise AccountingError(msg)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the document stays."""
        assert self._decision is not None
        row = self._decision.find(document_key(doc))
        if row is None:
            return True
        self._found += 1
        if row["score"] is not None:
            doc.metadata["filter_score"] = row["score"]
        doc.metadata["evidence"] = [orjson.loads(row["evidence"])]
        return False, row["reason"]

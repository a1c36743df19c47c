"""Decontamination as a Reduce: documents are scanned once, stock phrases are counted over all of them, then verdicts.

The first half keeps of each document what was found in it: its matches, and the n-grams that convict nothing. The
answer is the table of stock phrases, which needs every document and is small. Verdicts are left to the map that
follows: it has the text to cut the evidence from, and reads the matches of its own rank. Refused: a table of verdicts
with their evidence, which every worker would hold whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import Document

from decontam.match import DecontaminationParams, scan_batch
from decontam.step import PROFILES, Action, Decontaminate, open_index
from decontam.stock import demote, match_of, stock_ngrams
from filters.errors import AccountingError
from pipelines.dataset import ROWS_PER_GROUP, Dataset, open_shard
from pipelines.decisions import KEY_BYTES, document_key
from pipelines.dedup_decide import Reduced
from pipelines.dedup_reduce import Tables
from pipelines.places import place

if TYPE_CHECKING:
    from pipelines.decisions import Artefact
    from pipelines.recipe import DecontaminateStage

SCANS = pa.schema(
    [("key", pa.binary(KEY_BYTES)), ("loose", pa.list_(pa.int64())), ("matches", pa.binary())],
    metadata={"mathcorpus": "scans-1"},
)
STOCK = pa.schema([("ngram", pa.int64()), ("documents", pa.int64())], metadata={"mathcorpus": "stock-1"})


def rule(config: DecontaminateStage) -> DecontaminationParams:
    """The points of the rule that a recipe sets."""
    return DecontaminationParams(**{point.name: getattr(config, point.name) for point in fields(DecontaminationParams)})


def scans(docs: Sequence[Document], config: DecontaminateStage, index: Artefact) -> pa.Table:
    """A row for each document that shares an n-gram with the benchmarks: its loose n-grams, and its matches as JSON."""
    found = scan_batch(open_index(index.path, index.digest), [d.text for d in docs], rule(config))
    rows = [
        (document_key(doc), scan.loose, orjson.dumps(scan.matches))
        for doc, scan in zip(docs, found, strict=True)
        if scan.matches or scan.loose
    ]
    return pa.table(list(zip(*rows, strict=True)) or [(), (), ()], schema=SCANS)


def stock_decision(tables: Tables, config: DecontaminateStage, _scratch: Path) -> Reduced:
    """The n-grams that are loose in so many documents that they are stock phrases."""
    table = pa.concat_tables([SCANS.empty_table().select(["loose"]), *tables(["loose"])])
    counted = pc.value_counts(pc.list_flatten(table["loose"]))
    counts = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    return Reduced(stock_table((ngram, counts[ngram]) for ngram in stock_ngrams(counts, rule(config))))


def stock_table(rows: Iterable[tuple[int, int]]) -> pa.Table:
    """The decision table of (n-gram, documents) rows, sorted."""
    columns = list(zip(*sorted(rows), strict=True)) or [(), ()]
    return pa.table(columns, schema=STOCK)


@lru_cache(maxsize=8)
def _stock(root: str, digest: str) -> frozenset[int]:  # noqa: ARG001 - the digest is the cache's key
    tables = Dataset.load(place(root)).tables(["ngram"])
    return frozenset(ngram for table in tables for ngram in table["ngram"].to_pylist())


class ApplyScans(Decontaminate):
    """Removes and reports documents by what the Reduce found in them; no text is matched again.

    Documents must come in the ranks and the order in which they were scanned, as the map behind a Reduce has them.
    """

    def __init__(self, config: DecontaminateStage, index: Artefact, decision: Artefact) -> None:
        super().__init__(index.path, index.digest, rule(config), batch_size=1, actions=PROFILES[config.profile])
        self.decision = decision
        self._scanned: Iterator[tuple[bytes, bytes]] = iter(())
        self._next: tuple[bytes, bytes] | None = None

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """The documents that stay, in order."""
        self._scanned = self._read(rank)
        self._next = next(self._scanned, None)
        yield from super().run(data, rank, world_size)
        if self._next is not None:
            msg = f"{self.decision.path}: rank {rank}: a document that was scanned did not come again, or out of order"
            raise AccountingError(msg)

    def actions_for(self, doc: Document) -> Mapping[str, Action]:
        """Synthesised samples are post-training data: look-alikes among them go, whatever holds for the web."""
        return PROFILES["posttrain"] if doc.metadata.get("source") == "synth" else self.actions

    def _read(self, rank: int) -> Iterator[tuple[bytes, bytes]]:
        scanned = Dataset.load(place(self.decision.path) / "keys")
        with open_shard(scanned.root, scanned.shards[rank]) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, columns=["key", "matches"]):
                yield from zip(batch["key"].to_pylist(), batch["matches"].to_pylist(), strict=True)

    def _matches(self, doc: Document) -> bytes:
        """What was found in the document, as JSON; it is the next that was scanned, or nothing was found in it."""
        if self._next is None or self._next[0] != document_key(doc):
            return b"[]"
        found = self._next[1]
        self._next = next(self._scanned, None)
        return found

    def filter_batch(self, batch: Sequence[Document]) -> list[bool | tuple[bool, str]]:
        """True or (False, reason) for each document; those with matches get their evidence."""
        index = open_index(self.index_path, self.index_digest)
        stock = _stock(f"{self.decision.path}/decision", self.decision.digest)
        results: list[bool | tuple[bool, str]] = []
        for doc in batch:
            stored = orjson.loads(self._matches(doc))
            matches = demote(map(match_of, stored), stock)
            results.append(self._verdict(index, doc, matches) if matches else True)
        return results

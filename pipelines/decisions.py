"""Decisions of a Reduce: a small canonical table (document key -> reason), and the step that applies it.

A document's key is the digest of its origin, which no two documents share, even where the input repeats its ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from pipelines.dataset import Dataset, document_id

KEY_BYTES = 16
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


def decision_rows(rows: Iterable[tuple[bytes, str, float | None, dict[str, Any]]]) -> pa.Table:
    """The decision table of (key, reason, score, evidence) rows, sorted by key."""
    ordered = sorted(rows, key=lambda row: row[0])
    columns = list(zip(*ordered, strict=True)) or [(), (), (), ()]
    evidence = [orjson.dumps(e, option=orjson.OPT_SORT_KEYS).decode() for e in columns[3]]
    return pa.table([columns[0], columns[1], columns[2], evidence], schema=DECISIONS)


@lru_cache(maxsize=8)
def load_decision(root: str, digest: str) -> Decision:  # noqa: ARG001 - the digest is the cache's key
    """The decision table of a folder, loaded once a process."""
    tables = list(Dataset.load(Path(root)).tables())
    table = pa.concat_tables(tables) if tables else DECISIONS.empty_table()
    keys = np.frombuffer(b"".join(table["key"].to_pylist()), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return Decision(keys[:, 0].copy(), keys[:, 1].copy(), table)


class ApplyDecision(BaseFilter):
    """Removes the documents that a Reduce decided against."""

    def __init__(self, name: str, reduced: Artefact) -> None:
        super().__init__()
        self.name, self.root, self.digest = name, f"{reduced.path}/decision", reduced.digest

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the document stays."""
        row = load_decision(self.root, self.digest).find(document_key(doc))
        if row is None:
            return True
        if row["score"] is not None:
            doc.metadata["filter_score"] = row["score"]
        doc.metadata["evidence"] = [orjson.loads(row["evidence"])]
        return False, row["reason"]

"""Which rows of two datasets are the same: keys of fixed width, in buckets on disk, paired a bucket at a time.

A key is 16 bytes, of an id or of a text. A dataset may hold a key several times; then as many rows are paired as both
have. Memory is that of a bucket, whatever the number of documents.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from pipelines import dataset as ds
from pipelines.places import Place
from pipelines.stage import finish
from pipelines.tables import write_tables

KEYS = pa.schema(
    [(name, pa.uint64()) for name in ("id_high", "id_low", "text_high", "text_low")]
    + [("tokens", pa.int64()), ("label", pa.string())],
    metadata={"mathcorpus": "compare-keys-1"},
)
BUCKET_ROWS = 1 << 18
_WIDTH = 64
_HALVES = np.dtype([("high", np.uint64), ("low", np.uint64)])
ROW = np.dtype([("id", _HALVES), ("text", _HALVES), ("tokens", np.int64), ("code", np.int32), ("row", np.int64)])
Rows = npt.NDArray[Any]  # of ROW
Places = npt.NDArray[np.int64]


def halves(values: Sequence[str]) -> tuple[list[int], list[int]]:
    """The upper and the lower 64 bits of a digest of each value."""
    digests = [xxhash.xxh3_128_intdigest(value.encode("utf-8", "replace")) for value in values]
    return [one >> _WIDTH for one in digests], [one & ((1 << _WIDTH) - 1) for one in digests]


@dataclass(frozen=True)
class KeysTask:
    """A row of keys for each document of a dataset, a rank for each shard.

    Its label is the document's source, or, of removed ones, why it went.
    """

    out: Place
    data: ds.Dataset
    removed: bool = False

    @property
    def ranks(self) -> int:
        """One for each shard."""
        return len(self.data.shards)

    def run(self, rank: int) -> None:
        """Writes the keys of one shard and commits them."""
        started = time.perf_counter(), time.process_time()
        one = ds.Dataset(self.data.root, (self.data.shards[rank],), self.data.key)
        columns = ["id", "text", "tokens", *(("stage", "reason") if self.removed else ("source",))]
        tables = (_keys_of(table, self.removed) for table in one.tables(columns))
        shard = write_tables(self.out / "keys", f"{rank:05d}.parquet", KEYS, tables)
        finish(self.out, rank, {"shards": {"keys": asdict(shard)}}, started, {})


def _keys_of(table: pa.Table, removed: bool) -> pa.Table:
    both = [*halves(table["id"].to_pylist()), *halves([text or "" for text in table["text"].to_pylist()])]
    columns = [pa.array(half, pa.uint64()) for half in both]
    labels = pa.array(whys(table)) if removed else table["source"]
    return pa.table([*columns, table["tokens"].fill_null(0), labels], schema=KEYS)


def whys(table: pa.Table) -> list[str]:
    """`stage:reason` of removed documents, or of the ledger."""
    return [f"{s}:{r}" for s, r in zip(table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True)]


class Codes:
    """Numbers for strings, in the order in which they come."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def of(self, names: Sequence[str]) -> list[int]:
        """The number of each name; a new one has the next."""
        for name in dict.fromkeys(names):
            if self._numbers.setdefault(name, len(self.names)) == len(self.names):
                self.names.append(name)
        return [self._numbers[name] for name in names]


def rows_of(keys: ds.Dataset, codes: Codes) -> Iterator[Rows]:
    """The keys of a dataset as arrays of ROW, numbered through; `code` is that of the label."""
    first = 0
    for table in keys.tables():
        rows = np.empty(table.num_rows, ROW)
        for part in ("id", "text"):
            for half in ("high", "low"):
                rows[part][half] = table[f"{part}_{half}"].to_numpy()
        rows["tokens"] = table["tokens"].to_numpy()
        rows["code"] = codes.of([label or "" for label in table["label"].to_pylist()])
        rows["row"] = np.arange(first, first + len(rows))
        first += len(rows)
        yield rows


class Buckets:
    """Rows in files by the upper bits of one of their keys."""

    def __init__(self, folder: Path, by: str, rows: int) -> None:
        """`rows` : how many there will be, about."""
        self.folder, self.by = folder, by
        self.bits = (rows // BUCKET_ROWS).bit_length()
        folder.mkdir(parents=True)

    def add(self, rows: Rows) -> None:
        """Appends rows."""
        shift = np.uint64(_WIDTH - self.bits)
        places = rows[self.by]["high"] >> shift if self.bits else np.zeros(len(rows), np.uint64)
        order = np.argsort(places, kind="stable")
        for chunk in np.split(order, np.flatnonzero(np.diff(places[order])) + 1):
            if len(chunk):
                with self._path(int(places[chunk[0]])).open("ab") as file:
                    rows[chunk].tofile(file)

    def __len__(self) -> int:
        """Number of buckets."""
        return 1 << self.bits

    def __getitem__(self, number: int) -> Rows:
        """The rows of a bucket, in the order in which they came."""
        path = self._path(number)
        return np.fromfile(path, ROW) if path.exists() else np.empty(0, ROW)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.bin"


def paired(one: Rows, other: Rows, *by: str) -> tuple[Places, Places]:
    """Places of rows of both sides with equal keys, pair by pair, each in one pair at most; in the order of the keys.

    Of a key that stands there several times those are paired that have the first texts, whatever the order of the rows.
    """
    both = np.concatenate([one, other])
    side = np.repeat([0, 1], [len(one), len(other)])
    columns = [both[part][half] for part in by for half in ("low", "high")]
    texts = both["text"]["low"], both["text"]["high"]
    order = np.lexsort([both["row"], both["tokens"], *texts, side, *columns])
    fresh = np.ones(len(order), bool)
    fresh[1:] = np.logical_or.reduce([column[order][1:] != column[order][:-1] for column in columns])
    group = np.cumsum(fresh) - 1
    sides = side[order]
    counts = np.bincount(group * 2 + sides, minlength=2 * (int(fresh.sum()) or 1)).reshape(-1, 2)
    starts = np.flatnonzero(fresh)
    number = np.arange(len(order)) - starts[group] - sides * counts[group, 0]
    chosen = number < counts.min(axis=1)[group]
    found = order[chosen]
    return found[sides[chosen] == 0], found[sides[chosen] == 1] - len(one)

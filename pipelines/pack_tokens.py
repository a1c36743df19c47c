"""Packing, first half: the documents of a shard become token ids, sorted by their place in the shuffle.

A rank's documents come in runs that fit in memory; each run is sorted by the digest of (seed, copy, id) and appended to
one file of ids, with a row for each document in an index beside it. A bucket of the second half is a range of digests,
so it reads one piece of each run. The digest of a document's ids stands in its row, and is checked when they are read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from filters.batches import batched
from filters.errors import InputError
from filters.subwords import WINDOW, load_subwords
from pipelines import dataset as ds
from pipelines.decisions import Artefact
from pipelines.files import commit_file, unfinished_file, writing
from pipelines.places import Place
from pipelines.stage import finish

RUN_TOKENS = 1 << 23  # that a rank holds before it writes them: 32 MB
ROWS_PER_GROUP = 1 << 13  # of an index, of which a bucket reads the groups that it needs
BATCH = 1024  # documents that are encoded together, or WINDOW characters
_BUFFER = 1 << 20
INDEX = pa.schema(
    [
        ("key", pa.uint64()),  # place in the shuffle; number in the shard where there is none
        ("id", pa.string()),
        ("copy", pa.int64()),
        ("content", pa.uint64()),  # digest of the ids
        ("tokens", pa.int64()),
        ("at", pa.int64()),  # in the rank's file, in tokens
    ]
)

Ids = npt.NDArray[np.unsignedinteger]


class _Document(NamedTuple):
    key: int
    id: str
    copy: int
    text: str


class _Row(NamedTuple):
    key: int
    id: str
    copy: int
    content: int
    ids: Ids


def shuffled_place(seed: int, document: str, copy: int, at: int = 0) -> int:
    """A number below 2**64 that scatters documents, or pieces of them that begin at a token."""
    return xxhash.xxh3_64_intdigest(f"{seed}/{copy}/{at}/{document}")


@dataclass(frozen=True)
class TokenTask:
    """Token ids of a dataset, shard by shard. `seed` is None where documents keep the order of the dataset."""

    out: Place
    source: ds.Dataset
    tokenizer: Artefact
    eos: str
    token_bytes: int
    seed: int | None

    @property
    def ranks(self) -> int:
        """One for each shard."""
        return len(self.source.shards)

    def run(self, rank: int) -> None:
        """Encodes one shard and commits its ids and index; InputError where text became the end-of-text token."""
        started = time.perf_counter(), time.process_time()
        subwords = load_subwords(self.tokenizer.path, self.tokenizer.digest, self.eos)
        end = np.array([subwords.id_of(self.eos)], f"<u{self.token_bytes}")
        with _Runs(self.out, rank, end, sort=self.seed is not None) as runs:
            for batch in batched(self._documents(rank), WINDOW, BATCH):
                for document, ids in zip(batch, subwords.ids([d.text for d in batch]), strict=True):
                    runs.add(document, ids)
            report = runs.commit()
        finish(self.out, rank, report, started, {"tokens": time.process_time() - started[1]})

    def _documents(self, rank: int) -> Iterator[_Document]:
        with ds.open_shard(self.source.root, self.source.shards[rank]) as file:
            columns = ["id", "text", *({"copy"} & set(file.schema_arrow.names))]
            number = 0
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(batch_size=ds.READ_ROWS, row_groups=[group], columns=columns):
                    for row in batch.to_pylist():
                        copy = row.get("copy") or 0
                        key = number if self.seed is None else shuffled_place(self.seed, row["id"], copy)
                        yield _Document(key, row["id"], copy, row["text"] or "")
                        number += 1


class _Runs:
    """Files of ids and of the index of one rank, which appear under their names when `commit` is called."""

    def __init__(self, out: Place, rank: int, end: Ids, *, sort: bool) -> None:
        self._out, self._end, self._sort = out, end, sort
        self._names = {"ids": f"{rank:05d}.bin", "index": f"{rank:05d}.parquet"}
        self._rows: list[_Row] = []
        self._held = self._written = self._documents = 0
        self._runs: list[tuple[int, int]] = []

    def __enter__(self) -> _Runs:
        with writing(self._out):
            self._tmp = {kind: unfinished_file(self._out / kind, name) for kind, name in self._names.items()}
            self._ids = self._tmp["ids"].open("wb")
            self._index = pq.ParquetWriter(self._tmp["index"], INDEX, compression="zstd")
        return self

    def __exit__(self, *_: object) -> None:
        self._ids.close()
        for tmp in self._tmp.values():
            tmp.unlink(missing_ok=True)

    def add(self, document: _Document, ids: Ids) -> None:
        """A document's ids; those of one without any stay without end-of-text."""
        if np.any(ids == self._end):
            msg = (
                f"document {document.id}: its text becomes the end-of-text token of the tokenizer; name another token "
                f"with --eos"
            )
            raise InputError(msg)
        ids = np.concatenate([ids.astype(self._end.dtype), self._end]) if len(ids) else ids.astype(self._end.dtype)
        content = xxhash.xxh3_64_intdigest(ids.data)
        self._rows.append(_Row(document.key, document.id, document.copy, content, ids))
        self._held += len(ids)
        if self._held >= RUN_TOKENS:
            self._flush()

    def _flush(self) -> None:
        if self._sort:
            self._rows.sort(key=lambda row: row[:4])
        sizes = np.array([len(row.ids) for row in self._rows], np.int64)
        at = self._written + np.cumsum(sizes) - sizes
        columns = [[row[n] for row in self._rows] for n in range(4)]
        with writing(self._out):
            for row in self._rows:
                self._ids.write(row.ids.data)
            self._index.write_table(pa.table([*columns, sizes, at], schema=INDEX), row_group_size=ROWS_PER_GROUP)
        self._runs.append((len(self._rows), self._held))
        self._written += self._held
        self._documents += len(self._rows)
        self._rows, self._held = [], 0

    def commit(self) -> dict[str, object]:
        """What the rank's marker says: documents, tokens, and both of each run."""
        if self._rows:
            self._flush()
        with writing(self._out):
            self._ids.close()
            self._index.close()
            for kind, name in self._names.items():
                commit_file(self._tmp[kind], self._out / kind / name)
        return {"documents": self._documents, "tokens": self._written, "runs": self._runs}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Documents with their ids in memory. Documents without any are in it, too."""

    names: list[str]
    copies: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]  # of each
    begins: npt.NDArray[np.int64]  # of each in `ids`
    ids: Ids


def read_bucket(root: Place, ranges: Sequence[tuple[int, int, int]], token_bytes: int, *, sort: bool) -> Bucket:
    """The documents of (rank, lowest key, key behind the last) of a TokenTask's output, in the order of the shuffle.

    InputError where ids are not those that were written.
    """
    tables = [read_index(root, *one) for one in ranges]
    sources = np.repeat([rank for rank, _, _ in ranges], [t.num_rows for t in tables]).astype(np.int64)
    table = pa.concat_tables([INDEX.empty_table(), *tables])
    sizes, at = table["tokens"].to_numpy(), table["at"].to_numpy()
    ids = np.empty(int(sizes.sum()), f"<u{token_bytes}")
    begins = np.cumsum(sizes) - sizes
    _read_ids(root, (sources, at, sizes, begins), ids)
    for begin, size, content in zip(begins.tolist(), sizes.tolist(), table["content"].to_pylist(), strict=True):
        if xxhash.xxh3_64_intdigest(ids[begin : begin + size].data) != content:
            msg = f"{root}: token ids are not those that were written; delete {root} and run again"
            raise InputError(msg)
    if sort:
        order = table.append_column("row", pa.array(np.arange(table.num_rows)))
        by = [(name, "ascending") for name in ("key", "id", "copy", "content")]
        rows = order.sort_by(by)["row"].to_numpy()
        table, sizes, begins = table.take(rows), sizes[rows], begins[rows]
    return Bucket(table["id"].to_pylist(), table["copy"].to_numpy(), sizes, begins, ids)


def read_index(root: Place, rank: int, low: int, high: int) -> pa.Table:
    """The rows of an index with keys in [low, high), in the order of the file."""
    found = [INDEX.empty_table()]
    with pq.ParquetFile(ds.in_parts(root / "index" / f"{rank:05d}.parquet")) as file:
        for group in range(file.num_row_groups):
            about = file.metadata.row_group(group).column(0).statistics
            if about.max < low or about.min >= high:
                continue
            table = file.read_row_group(group)
            keys = table["key"].to_numpy()
            # `< high` would not do: 2**64 is no uint64
            found.append(table.filter(pa.array((keys >= np.uint64(low)) & (keys <= np.uint64(high - 1)))))
    return pa.concat_tables(found)


def _read_ids(root: Place, rows: tuple[npt.NDArray[np.int64], ...], ids: Ids) -> None:
    """Fills `ids` from files of ids; documents that stand behind one another are read together."""
    sources, at, sizes, begins = rows
    if not len(sources):
        return
    goes_on = (np.diff(sources) == 0) & (at[1:] == at[:-1] + sizes[:-1])
    firsts = np.concatenate([[0], np.flatnonzero(~goes_on) + 1])
    lasts = np.append(firsts[1:], len(sources)) - 1
    width, into = ids.itemsize, ids.data.cast("B")
    for source in np.unique(sources).tolist():
        path = root / "ids" / f"{source:05d}.bin"
        with path.open("rb", buffering=_BUFFER) as file:
            for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
                if sources[first] != source:
                    continue
                file.seek(int(at[first]) * width)
                begin, end = int(begins[first]) * width, int(begins[last] + sizes[last]) * width
                while begin < end:
                    got = cast(BufferedReader, file).readinto(into[begin:end])
                    if not got:
                        msg = f"{path}: is cut; delete {root} and run again"
                        raise InputError(msg)
                    begin += got

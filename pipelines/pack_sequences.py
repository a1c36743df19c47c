"""Packing, second half: token ids become sequences of one length, as datatrove's tokenised files and as Parquet.

A bucket is packed by itself. What fills no whole sequence there, fewer tokens than one of them has, is its tail; the
tails of all buckets are laid end to end in the last step, so that at most one sequence of a whole corpus is padded.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from filters.packing import Pieces, best_fit, gather, greedy
from pipelines import dataset as ds
from pipelines.files import commit_file, unfinished_file, writing
from pipelines.pack_tokens import Bucket, read_bucket, shuffled_place
from pipelines.places import Place
from pipelines.stage import finish
from pipelines.tables import write_table

GROUP_BYTES = 1 << 24  # of sequences that are written together
KEYS = 1 << 64
SEQUENCES = pa.schema(
    [
        ("input_ids", pa.list_(pa.int32())),  # `length` of them
        ("tokens", pa.int32()),  # that are not padding
        ("starts", pa.list_(pa.int32())),  # where each piece of a document begins; the first is 0
        ("documents", pa.list_(pa.string())),  # whose
        ("offsets", pa.list_(pa.int64())),  # the token of its document with which each piece begins
    ],
    metadata={"mathcorpus": "sequences-1"},
)
DOCUMENTS = pa.schema(
    [("id", pa.string()), ("copy", pa.int64()), ("tokens", pa.int64()), ("pieces", pa.int64())],
    metadata={"mathcorpus": "packed-documents-1"},
)
TAILS = pa.schema([*DOCUMENTS, ("at", pa.int64()), ("ids", pa.list_(pa.uint32()))])

_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Packing:
    """How tokens become sequences. `seed` is None where documents keep the order of the corpus."""

    length: int
    method: str  # best-fit | greedy
    fill: str  # cut | pad: what becomes of the room that best-fit leaves
    seed: int | None
    drop_last: bool
    tokenizer: str
    token_bytes: int
    eos: int


@dataclass(frozen=True)
class PackTask:
    """Sequences of buckets, from the ids of a TokenTask in `tokens`; `shards` is the number of its ranks.

    runs : of each bucket the (rank, first, behind the last) documents, where they are not shuffled.
    """

    out: Place
    tokens: Place
    shards: int
    buckets: int
    packing: Packing
    runs: tuple[tuple[tuple[int, int, int], ...], ...] | None

    @property
    def ranks(self) -> int:
        """One for each bucket."""
        return self.buckets

    def run(self, rank: int) -> None:
        """Packs one bucket and commits its sequences, its tail and the rows of its documents."""
        started = time.perf_counter(), time.process_time()
        packing = self.packing
        bucket = read_bucket(self.tokens, self._ranges(rank), packing.token_bytes, sort=packing.seed is not None)
        pieces, tail = _split_tail(_arranged(_packed(bucket.tokens, packing), bucket, packing), packing)
        counts = np.bincount(pieces.document, minlength=len(bucket.names))
        waits = np.zeros(len(bucket.names), bool)
        waits[tail.document] = True
        report = _write(self.out, rank, bucket, pieces, np.zeros(len(bucket.names), np.int64), packing)
        rows = pa.table([bucket.names, bucket.copies, bucket.tokens, counts], schema=DOCUMENTS)
        report["shards"]["documents"] = asdict(
            write_table(self.out / "documents", f"{rank:05d}.parquet", rows.filter(pa.array(~waits)))
        )
        _write_tail(self.out, rank, rows, bucket, tail)
        report["documents"] = cuts(rows.filter(pa.array(~waits)), packing.length)
        finish(self.out, rank, report, started, {"pack": time.process_time() - started[1]})

    def _ranges(self, rank: int) -> Sequence[tuple[int, int, int]]:
        if self.runs is not None:
            return self.runs[rank]
        low, high = (KEYS * border // self.buckets for border in (rank, rank + 1))
        return [(shard, low, high) for shard in range(self.shards)]


@dataclass(frozen=True)
class TailTask:
    """One rank: sequences of the tails of all buckets, in their order."""

    out: Place
    packed: Place
    buckets: int
    packing: Packing
    ranks: int = 1

    def run(self, rank: int) -> None:
        """Packs the tails and commits their sequences and the rows of their documents."""
        started = time.perf_counter(), time.process_time()
        names = [f"{bucket:05d}.parquet" for bucket in range(self.buckets)]
        tails = pa.concat_tables([pq.read_table(ds.in_parts(self.packed / "tails" / name)) for name in names])
        ids = tails["ids"].combine_chunks()
        begins = ids.offsets.to_numpy().astype(np.int64)
        values = ids.values.to_numpy().astype(f"<u{self.packing.token_bytes}")
        bucket = Bucket(tails["id"].to_pylist(), tails["copy"].to_numpy(), np.diff(begins), begins[:-1], values)
        pieces, left = greedy(bucket.tokens, self.packing.length), 0
        if self.packing.drop_last:
            pieces, last = _split_tail(pieces, self.packing)
            left = int(last.size.sum())
        report = _write(self.out, rank, bucket, pieces, tails["at"].to_numpy(), self.packing)
        counts = tails["pieces"].to_numpy() + np.bincount(pieces.document, minlength=tails.num_rows)
        rows = tails.select(DOCUMENTS.names).set_column(3, "pieces", pa.array(counts)).cast(DOCUMENTS)
        report["shards"]["documents"] = asdict(write_table(self.out / "documents", f"{rank:05d}.parquet", rows))
        report |= {"documents": cuts(rows, self.packing.length), "dropped": left}
        finish(self.out, rank, report, started, {"pack": time.process_time() - started[1]})


def _packed(tokens: _I64, packing: Packing) -> Pieces:
    there = np.flatnonzero(tokens)
    if packing.method == "greedy":
        found = greedy(tokens[there], packing.length)
    else:
        found = best_fit(tokens[there], packing.length, pad=packing.fill == "pad")
    return replace(found, document=there[found.document])


def _split_tail(pieces: Pieces, packing: Packing) -> tuple[Pieces, Pieces]:
    """(pieces of whole sequences, those of the last one where it is shorter and not to be padded)."""
    padded = packing.method == "best-fit" and packing.fill == "pad"
    last = pieces.sequence == (pieces.sequence[-1] if len(pieces) else 0)
    if padded or int(pieces.size[last].sum()) == packing.length:
        last[:] = False
    return pieces.take(np.flatnonzero(~last)), pieces.take(np.flatnonzero(last))


def _arranged(pieces: Pieces, bucket: Bucket, packing: Packing) -> Pieces:
    """The pieces with best-fit's sequences in another order than that of their fullness: shuffled, or by document.

    The last one stays last where it is a tail.
    """
    if packing.method == "greedy" or not len(pieces):
        return pieces
    heads = np.flatnonzero(np.diff(pieces.sequence, prepend=-1))
    if packing.seed is None:
        keys = pieces.document[heads].astype(np.uint64)
    else:
        seed = packing.seed
        firsts = zip(pieces.document[heads].tolist(), pieces.at[heads].tolist(), strict=True)
        found = [shuffled_place(seed, bucket.names[d], int(bucket.copies[d]), at + 1) for d, at in firsts]
        keys = np.array(found, np.uint64)
    if packing.fill == "cut":
        keys[-1] = np.iinfo(np.uint64).max
    rank = np.empty(len(heads), np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(heads))
    moved = replace(pieces, sequence=rank[pieces.sequence])
    return moved.take(np.argsort(moved.sequence, kind="stable"))


def cuts(rows: pa.Table, length: int) -> dict[str, int]:
    """Of rows of documents: how many there are, were empty, left out, cut, and cut although they would have fitted."""
    tokens, pieces = rows["tokens"].to_numpy(), rows["pieces"].to_numpy()
    least = -(-tokens // length)
    found = {
        "in": np.ones(len(tokens), bool),
        "packed": pieces > 0,
        "empty": tokens == 0,
        "dropped": (tokens > 0) & (pieces == 0),
        "longer": tokens > length,
        "cut": pieces > 1,
        "cut_needlessly": (pieces > least) & (tokens <= length),
        "cut_more_than_needed": pieces > least,
    }
    return {name: int(np.count_nonzero(which)) for name, which in found.items()}


def _write_tail(out: Place, rank: int, rows: pa.Table, bucket: Bucket, tail: Pieces) -> None:
    begins = (bucket.begins[tail.document] + tail.at).tolist()
    parts = [bucket.ids[b : b + n].astype(np.uint32) for b, n in zip(begins, tail.size.tolist(), strict=True)]
    offsets = np.concatenate([[0], np.cumsum(tail.size)]).astype(np.int32)
    ids = pa.ListArray.from_arrays(offsets, pa.array(np.concatenate([np.zeros(0, np.uint32), *parts])))
    table = rows.take(pa.array(tail.document)).append_column("at", pa.array(tail.at)).append_column("ids", ids)
    write_table(out / "tails", f"{rank:05d}.parquet", table.cast(TAILS))


def _write(out: Place, rank: int, bucket: Bucket, pieces: Pieces, before: _I64, packing: Packing) -> dict[str, Any]:
    """Writes whole sequences in both formats; what the marker says of them. `before`: offset of what is in `bucket`."""
    count = int(pieces.sequence[-1]) + 1 if len(pieces) else 0
    real = int(pieces.size.sum())
    report: dict[str, Any] = {"sequences": count, "tokens": real, "padding": count * packing.length - real}
    padded = np.count_nonzero(np.bincount(pieces.sequence, pieces.size) < packing.length)
    report |= {"padded": int(padded), "shards": {}}
    if not count:
        return report
    names = {"tokens": f"{rank:05d}.ds", "sequences": f"{rank:05d}.parquet"}
    with writing(out):
        tmp = {kind: unfinished_file(out / kind, name) for kind, name in names.items()}
        _write_groups(tmp, bucket, pieces, before, packing)
        for kind, name in names.items():
            sha256, size = ds.file_sha256(tmp[kind])
            commit_file(tmp[kind], out / kind / name)
            report["shards"][kind] = {"path": name, "bytes": size, "sha256": sha256, "sequences": count}
    ends = document_ends(pieces, packing.length)
    about = (
        f"{packing.tokenizer}|{packing.token_bytes}\n{count * packing.length}\n{count * packing.length / 1e6:.3g} MT"
    )
    for suffix, data in ((".index", ends.astype("<u8").tobytes()), (".metadata", about.encode())):
        ds.write_bytes(out / "tokens" / f"{names['tokens']}{suffix}", data)
        report["shards"]["tokens"][f"sha256{suffix}"] = hashlib.sha256(data).hexdigest()
    return report


def document_ends(pieces: Pieces, length: int) -> _I64:
    """Where documents end in a file of sequences, as datatrove's .index has them.

    A piece that goes on with the next token of the file, in the next sequence, ends no document there.
    """
    filled = np.bincount(pieces.sequence, pieces.size).astype(np.int64)
    ends = np.cumsum(pieces.size) + (np.cumsum(length - filled) - (length - filled))[pieces.sequence]
    goes_on = np.zeros(len(pieces), bool)
    goes_on[:-1] = (np.diff(pieces.document) == 0) & (pieces.at[1:] == (pieces.at + pieces.size)[:-1])
    gaps = np.flatnonzero(filled < length)
    return np.unique(np.concatenate([ends[~goes_on], (gaps + 1) * length]))


def _write_groups(tmp: dict[str, Any], bucket: Bucket, pieces: Pieces, before: _I64, packing: Packing) -> None:
    rows = max(1, GROUP_BYTES // (4 * packing.length))
    count = int(pieces.sequence[-1]) + 1
    names = pa.array(bucket.names, pa.string())
    with tmp["tokens"].open("wb") as file, pq.ParquetWriter(tmp["sequences"], SEQUENCES, compression="zstd") as table:
        for first in range(0, count, rows):
            begin, end = np.searchsorted(pieces.sequence, [first, min(first + rows, count)])
            group = pieces.take(np.arange(begin, end))
            group = replace(group, sequence=group.sequence - first)
            ids = gather(bucket.ids, bucket.begins, group, packing.length, packing.eos)
            file.write(ids.astype(bucket.ids.dtype).data)
            table.write_table(_table(ids, group, before, names))


def _table(ids: npt.NDArray[np.int32], pieces: Pieces, before: _I64, names: pa.Array) -> pa.Table:
    count, length = ids.shape
    tokens = np.bincount(pieces.sequence, pieces.size, count).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pieces.sequence, minlength=count))]).astype(np.int32)
    starts = np.cumsum(pieces.size) - pieces.size
    starts -= starts[offsets[:-1]][pieces.sequence]
    columns = [
        pa.ListArray.from_arrays(np.arange(0, ids.size + 1, length, dtype=np.int32), ids.reshape(-1)),
        tokens,
        *(
            pa.ListArray.from_arrays(offsets, pa.array(values))
            for values in (
                starts.astype(np.int32),
                names.take(pa.array(pieces.document)),
                pieces.at + before[pieces.document],
            )
        ),
    ]
    return pa.table(columns, schema=SEQUENCES)

"""Where the rows of a document are: an index beside the datasets of a build, so that `trace` does not scan them.

An entry is a 64-bit hash and a place (dataset, shard, row), and entries are sorted by hash in files cut by its first
bits: an answer reads one file and a few row groups. Hashes may collide, so rows are compared with what was asked for.
The index says which bytes of the datasets it was made from; without it, or for other bytes, everything is scanned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from filters.errors import InputError
from pipelines.dataset import Dataset, in_parts
from pipelines.files import commit_file, unfinished_file, write_json, writing
from pipelines.places import Place, names_in, remove_all

FOLDER = "index"
DATASETS = ("corpus", "removed", "evidence")
KEEPERS = len(DATASETS)  # stands for the evidence of those that went for a document, found by its id
DEDUPS = ("exact_dedup", "minhash_dedup")
_SHARD_BITS, _ROW_BITS = 22, 40
_ENTRIES = 1 << 22  # of a file, about, and in memory before they are written out
_READ_ROWS = 8192

U64 = NDArray[np.uint64]


def write_index(build: Place) -> None:
    """Makes the index of a build's datasets; memory is bounded, whatever their size."""
    root = build / FOLDER
    sets = {name: Dataset.load(build / name) for name in DATASETS}
    (root / "manifest.json").unlink(missing_ok=True)
    bits = max(0, (sum(d.rows for d in sets.values()) // _ENTRIES).bit_length())
    with writing(root):
        remove_all([root / stale for stale in names_in(root) if stale.endswith(".bin")])
        spool = unfinished_file(root, "parts")
        spool.mkdir()
        waiting: list[NDArray[Any]] = []
        for entries in _entries(sets):
            waiting.append(entries)
            if sum(map(len, waiting)) >= _ENTRIES:
                _spill(spool, waiting, bits)
                waiting.clear()
        _spill(spool, waiting, bits)
        files = [_sort(spool, root, number) for number in range(1 << bits)]
    about = {"datasets": {name: d.digest for name, d in sets.items()}, "bits": bits, "files": files}
    write_json(root / "manifest.json", about)


def _entries(sets: dict[str, Dataset]) -> Iterator[NDArray[Any]]:
    """(hash, place) pairs of all rows, some thousand at a time."""
    for kind, name in enumerate(DATASETS):
        columns = ["id", "stage", "evidence"] if name == "evidence" else ["id"]
        for shard, path in enumerate(sets[name].paths()):
            row = 0
            with pq.ParquetFile(in_parts(path)) as file:
                for batch in file.iter_batches(_READ_ROWS, columns=columns):
                    place = (kind << _SHARD_BITS | shard) << _ROW_BITS | row
                    yield _pairs(batch["id"].to_pylist(), range(place, place + len(batch)))
                    if name == "evidence":
                        yield _keepers(batch, (KEEPERS << _SHARD_BITS | shard) << _ROW_BITS | row)
                    row += len(batch)


def _keepers(batch: pa.RecordBatch, place: int) -> NDArray[Any]:
    """Entries of the documents in whose favour those of the batch went."""
    import pyarrow.compute as pc  # not where an index is read: a seventh of the start

    ids, places = [], []
    for at in pc.indices_nonzero(pc.is_in(batch["stage"], pa.array(DEDUPS))).to_pylist():
        kept = {line["kept"] for line in orjson.loads(batch["evidence"][at].as_py()) if "kept" in line}
        ids += sorted(kept)
        places += [place + at] * len(kept)
    return _pairs(ids, places)


def _pairs(ids: Iterable[str], places: Iterable[int]) -> NDArray[Any]:
    hashes = np.fromiter(map(xxhash.xxh3_64_intdigest, ids), np.uint64)
    return np.stack([hashes, np.fromiter(places, np.uint64)], axis=1)


def _file_of(hashes: U64, bits: int) -> U64:
    """The number of the file that has a hash."""
    found: U64 = hashes >> np.uint64(64 - bits) if bits else np.zeros_like(hashes)
    return found


def _spill(spool: Path, waiting: list[NDArray[Any]], bits: int) -> None:
    entries = np.concatenate([np.empty((0, 2), np.uint64), *waiting])
    numbers = _file_of(entries[:, 0], bits)
    order = np.argsort(numbers, kind="stable")
    entries, numbers = entries[order], numbers[order]
    for number in np.unique(numbers):
        first, last = np.searchsorted(numbers, number, "left"), np.searchsorted(numbers, number, "right")
        with (spool / f"{number:05d}").open("ab") as file:
            file.write(entries[first:last].astype("<u8").tobytes())


def _sort(spool: Path, root: Place, number: int) -> dict[str, Any]:
    """Commits one file, hashes first and then places; what the manifest says of it."""
    given = spool / f"{number:05d}"
    data = given.read_bytes() if given.exists() else b""
    entries = np.frombuffer(data, "<u8").reshape(-1, 2)
    entries = entries[np.lexsort((entries[:, 1], entries[:, 0]))]
    data = entries.T.tobytes()
    given.write_bytes(data)
    commit_file(given, root / f"{number:05d}.bin")
    return {"entries": len(entries), "sha256": hashlib.sha256(data).hexdigest()}


class Index:
    """Answers from the index of a build."""

    def __init__(self, build: Place, about: dict[str, Any]) -> None:
        self.build, self._about = build, about
        self._sets = {name: Dataset.load(build / name) for name in DATASETS}

    @classmethod
    def of(cls, build: Place) -> Index | None:
        """The index of a build, if there is one and it was made from these very datasets."""
        path = build / FOLDER / "manifest.json"
        try:
            found = cls(build, orjson.loads(path.read_bytes()))
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        made_from = {name: d.digest for name, d in found._sets.items()}
        return found if found._about["datasets"] == made_from else None

    def rows(self, name: str, document: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Rows of a dataset with that id, in order."""
        return [r for r in self._read(DATASETS.index(name), document, columns) if r["id"] == document]

    def shards(self, name: str, document: str) -> list[int]:
        """Numbers of the shards of a dataset that may hold a row with that id."""
        places = self._places(document)
        places = places[places >> np.uint64(_SHARD_BITS + _ROW_BITS) == DATASETS.index(name)]
        return sorted({int(p) for p in places >> np.uint64(_ROW_BITS) & np.uint64((1 << _SHARD_BITS) - 1)})

    def keeper_rows(self, document: str) -> Iterator[dict[str, Any]]:
        """Rows of evidence that may name the document as the one that was kept."""
        yield from self._read(KEEPERS, document, ["stage", "evidence"])

    def _read(self, kind: int, document: str, columns: list[str] | None) -> Iterator[dict[str, Any]]:
        places = self._places(document)
        places = places[places >> np.uint64(_SHARD_BITS + _ROW_BITS) == kind]
        shards = places >> np.uint64(_ROW_BITS) & np.uint64((1 << _SHARD_BITS) - 1)
        rows = places & np.uint64((1 << _ROW_BITS) - 1)
        paths = self._sets[DATASETS[min(kind, len(DATASETS) - 1)]].paths()
        for shard in np.unique(shards):
            with pq.ParquetFile(in_parts(paths[int(shard)])) as file:
                yield from _rows(file, rows[shards == shard].astype(np.int64), columns)

    def _places(self, document: str) -> U64:
        """Places of a hash, sorted."""
        wanted = np.uint64(xxhash.xxh3_64_intdigest(document))
        number = int(_file_of(np.array([wanted]), self._about["bits"])[0])
        path = self.build / FOLDER / f"{number:05d}.bin"
        try:
            data = path.read_bytes()
        except OSError as error:
            msg = f"{path}: cannot be read ({error.strerror}); delete {path.parent}, and trace scans instead"
            raise InputError(msg) from error
        if hashlib.sha256(data).hexdigest() != self._about["files"][number]["sha256"]:
            msg = f"{path}: not the file that its manifest describes; delete {path.parent}, and trace scans instead"
            raise InputError(msg)
        hashes, places = np.frombuffer(data, "<u8").reshape(2, -1)
        first, last = np.searchsorted(hashes, wanted, "left"), np.searchsorted(hashes, wanted, "right")
        return places[first:last].astype(np.uint64)


def _rows(file: pq.ParquetFile, rows: NDArray[np.int64], columns: list[str] | None) -> Iterator[dict[str, Any]]:
    """Rows of a file by their numbers, sorted; only their row groups are read."""
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    ends = np.cumsum(sizes)
    groups = np.searchsorted(ends, rows, "right")
    for group in np.unique(groups):
        table = file.read_row_group(int(group), columns=columns)
        first = int(ends[group]) - sizes[int(group)]
        for row in rows[groups == group].tolist():  # and no `take`: pa.array of numpy imports pandas, half a second
            yield from table.slice(row - first, 1).to_pylist()

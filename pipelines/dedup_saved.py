"""What is saved of deduplicated rows: their keys and their fates, enough to compare a later input with."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from filters.errors import InputError, UsageError
from filters.minhash import MINHASH_VERSION
from filters.text import TEXT_VERSION
from pipelines.files import encodable, write_json
from pipelines.inputs import file_digest

if TYPE_CHECKING:
    from pipelines.dedup import Keyed
    from pipelines.dedup_answer import Answer
    from pipelines.dedup_rows import RowParams

FORMAT = "dedup-signatures-1"
_BATCH_ROWS = 1000
REASONS = ("", "exact_duplicate", "url_duplicate", "near_duplicate")  # by the number that is stored


class SavedPart(NamedTuple):
    """A file of keys: where its rows came from, and their number."""

    path: Path
    name: str  # of the file of rows
    first: int  # number in that file of the row that has 0 here
    rows: int


@dataclass(frozen=True)
class Saved:
    """The keys of some rows, part by part, and, of an earlier run, what became of each: a number of REASONS."""

    parts: tuple[SavedPart, ...]
    fates: npt.NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, keyed: Sequence[Keyed]) -> Saved:
        """Those of the rows that were just read."""
        return cls(tuple(SavedPart(k.keys, k.part.file.name, k.first, k.read.keys) for k in keyed))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(part.rows for part in self.parts)

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns, in order; `origin` is where a row stood, and a row without an id is named by it."""
        wanted = [c for c in columns if c not in ("origin", "id")]
        named = "origin" in columns or "id" in columns
        for part in self.parts:
            with pq.ParquetFile(part.path, pre_buffer=False) as file:
                read = [*wanted, *(("row", "id") if named else ())]
                for batch in file.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(read))):
                    table = pa.Table.from_batches([batch])
                    if named:
                        table = _named(table, part)
                    yield table.select(list(columns))


def _named(table: pa.Table, part: SavedPart) -> pa.Table:
    name = encodable(part.name)
    origin = pa.array([f"{name}#{part.first + row}" for row in table["row"].to_pylist()], pa.string())
    ids = [one or other for one, other in zip(table["id"].to_pylist(), origin.to_pylist(), strict=True)]
    table = table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids, pa.string()))
    return table.append_column("origin", origin)


def about(rows: RowParams) -> dict[str, Any]:
    """What two runs must have in common to be compared."""
    kinds = {"proof": rows.proof, "sibling_tokens": rows.sibling_tokens}
    return {"format": FORMAT, "text": TEXT_VERSION, "minhash": MINHASH_VERSION, **asdict(rows.minhash), **kinds}


def save(folder: Path, keyed: Sequence[Keyed], found: Answer, rows: RowParams) -> None:
    """Writes the keys and fates of the rows that were just read; the manifest comes last."""
    folder.mkdir()
    parts = []
    for number, one in enumerate(keyed):
        name = f"{number:06d}.parquet"
        shutil.move(one.keys, folder / name)
        digest = file_digest(folder / name)
        file = encodable(one.part.file.name)
        parts.append({"path": name, "file": file, "first": one.first, "rows": one.read.keys, "digest": digest})
    pq.write_table(pa.table({"fate": found.fates}), folder / "fates.parquet", compression="zstd")
    fates = file_digest(folder / "fates.parquet")
    write_json(folder / "manifest.json", {**about(rows), "parts": parts, "fates_digest": fates})


def load_saved(folder: Path, rows: RowParams) -> Saved:
    """The keys that an earlier run left in a folder; UsageError where it left none, or with other parameters."""
    root = folder / "signatures"
    try:
        manifest = orjson.loads((root / "manifest.json").read_bytes())
        files = [(root / one["path"], one["digest"]) for one in manifest["parts"]]
        for path, digest in [*files, (root / "fates.parquet", manifest["fates_digest"])]:
            if file_digest(path) != digest:
                msg = f"--against {folder}: {path} is not the file that was saved; run `mathcorpus dedup` on it again"
                raise InputError(msg)
    except FileNotFoundError as error:
        msg = f"--against {folder}: holds no signatures; give a folder that `mathcorpus dedup` wrote with --out"
        raise UsageError(msg) from error
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        msg = f"--against {folder}: its signatures cannot be read ({error}); run `mathcorpus dedup` on it again"
        raise InputError(msg) from error
    for name, value in about(rows).items():
        if manifest.get(name) != value:
            msg = f"--against {folder}: made with {name} {manifest.get(name)!r}, not {value!r}; use the same for both"
            raise UsageError(msg)
    parts = [SavedPart(root / p["path"], p["file"], p["first"], p["rows"]) for p in manifest["parts"]]
    return Saved(tuple(parts), pq.read_table(root / "fates.parquet")["fate"].to_numpy())


def chained(saved: Sequence[Saved]) -> Any:
    """`Saved.tables` of several, one behind another."""

    def tables(columns: Sequence[str]) -> Iterable[pa.Table]:
        for one in saved:
            yield from one.tables(columns)

    return tables

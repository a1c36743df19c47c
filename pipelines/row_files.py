"""Files of rows, read as texts: JSONL (plain, gzip, zstd), Parquet, standard input, datasets of the hub.

JSONL is read in blocks of whole lines, about a megabyte each. The lines of `streams.lines` were refused here: blank
lines, line ends and lines too long to hold have to come out again when the file is written without some rows.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from filters.errors import InputError
from pipelines.inputs import SUFFIXES, find_files
from pipelines.row_fields import Fields, parse_row, top
from pipelines.streams import BrokenStreamError, open_chunks

ENDINGS = (*SUFFIXES["jsonl"], *SUFFIXES["parquet"])
HUB = "hf://datasets/"
BLOCK_BYTES = 1 << 20  # of JSONL or of text in Parquet read at a time: bounds memory, and a kernel's batch
MAX_LINE_BYTES = 1 << 28  # a line as long as a hundred books is no sample; it goes through unread
TOO_LARGE = "too_large"

_PART_BYTES = 1 << 26  # of Parquet in one unit of work
_MAX_ROWS = 1 << 13  # of a batch: rows without text are cheap, but not free
_SPOOL_ZSTD_LEVEL = 3
_COPY = 1 << 20


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows. `name` is its path below what the caller gave, with forward slashes."""

    name: str
    path: str

    @property
    def is_parquet(self) -> bool:
        """Whether it is Parquet; else it is JSONL."""
        return self.name.lower().endswith(SUFFIXES["parquet"])


@dataclass(frozen=True, slots=True)
class Part:
    """A unit of reading: a file, or some row groups of one."""

    file: RowFile
    groups: tuple[int, ...] = ()
    first: int = 0  # number of its first row


@dataclass(slots=True)
class TextBatch:
    """Texts of neighbouring rows. The lists of texts are parallel; a row may have several."""

    rows: int = 0
    numbers: list[int] = field(default_factory=list)  # of the row in its file, from 0 (JSONL: of the line)
    ids: list[Any] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    keys: Sequence[str] = ()  # of a row that lacks a field

    def add(self, number: int, row: dict[str, Any], fields: Fields, id_field: str) -> None:
        """Adds the texts of a row."""
        found = fields.find(row)
        for place, text in found.texts:
            self.numbers.append(number)
            self.ids.append(row.get(id_field))
            self.places.append(place)
            self.texts.append(text)
        if found.problems:
            self.problems += [(number, p) for p in found.problems]
            self.keys = self.keys or list(row)


# --- finding ----------------------------------------------------------------------------------------------------------


def find_rows(inputs: Sequence[str], spool: Path) -> list[RowFile]:
    """The files behind files, folders, globs, `-`, `hf://datasets/NAME` and saved datasets, sorted by name.

    What is no file of rows (standard input, a dataset) is written to one in `spool`.
    """
    plain = [given for given in inputs if not _is_spooled(given)]
    found = dict(find_files(plain, ENDINGS, "input")) if plain else {}
    for given in inputs:
        for name, path in _spooled(given, spool) if _is_spooled(given) else ():
            if found.setdefault(name, path) != path:
                msg = f"input: {given}: there are two inputs called {name!r}; give one of them alone"
                raise InputError(msg)
    for name in found:
        if not name.lower().endswith(ENDINGS):
            msg = f"input: {name}: not a file of rows; expected {', '.join(ENDINGS)}"
            raise InputError(msg)
    return [RowFile(name, str(path)) for name, path in sorted(found.items())]


def _is_spooled(given: str) -> bool:
    return given == "-" or given.startswith(HUB) or _is_saved_dataset(Path(given))


def _is_saved_dataset(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _spooled(given: str, spool: Path) -> Iterator[tuple[str, Path]]:
    if given != "-":
        yield from _dataset_files(given, spool)
        return
    path = spool / "stdin.jsonl"
    with path.open("wb") as file:
        while chunk := sys.stdin.buffer.read(_COPY):
            file.write(chunk)
    yield path.name, path


def _dataset_files(given: str, spool: Path) -> Iterator[tuple[str, Path]]:
    """A Parquet file for each split of a dataset of the `datasets` library, with its features."""
    for name, dataset in _load_dataset(given):
        path = spool / name
        path.parent.mkdir(parents=True, exist_ok=True)
        schema = dataset.features.arrow_schema
        with pq.ParquetWriter(path, schema, compression="zstd", compression_level=_SPOOL_ZSTD_LEVEL) as writer:
            for table in dataset.with_format("arrow").iter(batch_size=1000):
                writer.write_table(table.cast(schema))
        yield name, path


def _load_dataset(given: str) -> Iterator[tuple[str, Any]]:
    try:
        datasets: Any = importlib.import_module("datasets")
    except ImportError as error:
        msg = f"input: {given}: needs the library `datasets`; install it, or give files"
        raise InputError(msg) from error
    try:
        if given.startswith(HUB):
            owner, *rest = given.removeprefix(HUB).strip("/").split("/")
            repository, _, revision = "/".join([owner, *rest[:1]]).partition("@")
            loaded = datasets.load_dataset(repository, *rest[1:2], revision=revision or None)
            name = repository
        else:
            loaded, name = datasets.load_from_disk(given), Path(given).resolve().name
    except Exception as error:  # the library raises whatever its many readers raise
        msg = f"input: {given}: the dataset cannot be loaded ({str(error).splitlines()[0] if str(error) else error!r})"
        raise InputError(msg) from error
    if isinstance(loaded, datasets.Dataset):
        yield f"{name}.parquet", loaded
    else:
        yield from ((f"{name}/{split}.parquet", loaded[split]) for split in sorted(loaded))


# --- reading ----------------------------------------------------------------------------------------------------------


def parts_of(file: RowFile, fields: Fields) -> list[Part]:
    """The units of a file; InputError where it is a Parquet file that cannot be read or lacks every field."""
    if not file.is_parquet:
        return [Part(file)]
    with open_parquet(file) as parquet:
        _columns(file, parquet.schema_arrow, fields)
        parts, groups, first, size, row = [], list[int](), 0, 0, 0
        for number in range(parquet.metadata.num_row_groups):
            group = parquet.metadata.row_group(number)
            if groups and size + group.total_byte_size > _PART_BYTES:
                parts.append(Part(file, tuple(groups), first))
                groups, first, size = [], row, 0
            groups.append(number)
            size += group.total_byte_size
            row += group.num_rows
    return [*parts, Part(file, tuple(groups), first)]


def open_parquet(file: RowFile) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file.path)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(file, error) from error


def unreadable(file: RowFile, error: BaseException) -> InputError:
    return InputError(f"{file.path}: cannot be read as Parquet ({str(error).splitlines()[0]})")


def _columns(file: RowFile, schema: pa.Schema, fields: Fields) -> list[str]:
    names = dict.fromkeys(schema.names)
    columns = [name if name in names else top(name) for name in fields.of(names)]
    found = list(dict.fromkeys(c for c in columns if c in names))
    if not found:
        msg = f"{file.path}: has no column {columns[0]!r}; it has {', '.join(names)}; name one with --field"
        raise InputError(msg)
    return found


def read_texts(part: Part, fields: Fields, id_field: str) -> Iterator[TextBatch]:
    """The texts of a part, about a megabyte at a time."""
    if part.file.is_parquet:
        yield from _read_parquet(part, fields, id_field)
        return
    for block in blocks(Path(part.file.path)):
        batch = TextBatch()
        if block.problem:
            if not block.continues:
                batch.rows = 1
                batch.problems.append((block.first, block.problem))
            yield batch
            continue
        for number, line in enumerate(block.data.split(b"\n"), block.first):
            if not line or line.isspace():
                continue
            batch.rows += 1
            row, problem = parse_row(line)
            if row is None:
                batch.problems.append((number, problem))
            else:
                batch.add(number, row, fields, id_field)
        yield batch


def _read_parquet(part: Part, fields: Fields, id_field: str) -> Iterator[TextBatch]:
    with open_parquet(part.file) as parquet:
        columns = _columns(part.file, parquet.schema_arrow, fields)
        wanted = [*columns, *({id_field} & set(parquet.schema_arrow.names) - set(columns))]
        number = part.first
        try:
            for group in part.groups:
                rows = _batch_rows(parquet.metadata.row_group(group), columns)
                for batch in parquet.iter_batches(rows, [group], wanted, use_threads=False):
                    for piece in _pieces(batch):
                        yield arrow_texts(piece, number, fields, id_field)
                        number += piece.num_rows
        except (OSError, pa.ArrowException) as error:
            raise unreadable(part.file, error) from error


def _batch_rows(group: Any, columns: Sequence[str]) -> int:
    """Rows of a row group that hold about a megabyte of these columns."""
    parts = [group.column(i) for i in range(group.num_columns)]
    size: int = sum(
        c.total_uncompressed_size for c in parts if {c.path_in_schema, top(c.path_in_schema)} & set(columns)
    )
    rows: int = BLOCK_BYTES * group.num_rows // max(1, size)
    return max(1, min(_MAX_ROWS, rows))


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch, halved until no piece is much more than a megabyte; rows were counted by their average."""
    if batch.num_rows < 2 or batch.nbytes < 2 * BLOCK_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


def arrow_texts(batch: pa.RecordBatch, first: int, fields: Fields, id_field: str) -> TextBatch:
    """The texts of the rows of a record batch, the first of which has the number `first`."""
    found = TextBatch(batch.num_rows)
    columns = [_values(batch.column(i)) for i in range(batch.num_columns)]
    for number, values in enumerate(zip(*columns, strict=True), first):
        row = dict(zip(batch.schema.names, values, strict=True))
        found.add(number, row, fields, id_field)
    return found


def _values(column: pa.Array) -> list[Any]:
    """The column as Python values; where a string is not UTF-8, lone surrogates stand for its bytes."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [_value(column.slice(i, 1)) for i in range(len(column))]


def _value(one: pa.Array) -> Any:
    try:
        return one.to_pylist()[0]
    except UnicodeDecodeError:
        if pa.types.is_string(one.type) or pa.types.is_large_string(one.type):
            raw: bytes = one.cast(pa.large_binary()).to_pylist()[0]
            return raw.decode("utf-8", "surrogateescape")
        return 0  # inside a struct or a list: reported as no text


class Block(NamedTuple):
    """Whole lines of a file, or one that cannot be read."""

    first: int  # number of its first line
    data: bytes  # lines with their ends; the last of a file may have none
    problem: str = ""
    continues: bool = False  # the line began in the block before


def blocks(path: Path) -> Iterator[Block]:
    """All bytes of a JSONL file in blocks; where a compressed stream breaks, what came before it, and the problem."""
    held, number, skipping = _Held(), 0, False
    try:
        for chunk in open_chunks(path):
            begin = 0
            if skipping:
                begin = chunk.find(b"\n") + 1
                yield Block(number, chunk[: begin or None], TOO_LARGE, continues=True)
                if not begin:
                    continue
                number, skipping = number + 1, False
            held.add(chunk[begin:] if begin else chunk)
            if held.complete and held.size >= BLOCK_BYTES:
                data = held.take(held.complete)
                yield Block(number, data)
                number += data.count(b"\n")
            if not held.complete and held.size > MAX_LINE_BYTES:
                yield Block(number, held.take(held.size), TOO_LARGE)
                skipping = True
    except BrokenStreamError as error:
        data = held.take(held.complete)
        if data:
            yield Block(number, data)
        yield Block(number + data.count(b"\n"), held.take(held.size), error.reason, continues=skipping)
        return
    if held.size:
        yield Block(number, held.take(held.size))


class _Held:
    """Chunks that were read and not yet given on."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = self.complete = 0  # bytes; of whole lines

    def add(self, chunk: bytes) -> None:
        """Adds a chunk."""
        end = chunk.rfind(b"\n") + 1
        if end:
            self.complete = self.size + end
        self.chunks.append(chunk)
        self.size += len(chunk)

    def take(self, size: int) -> bytes:
        """The first bytes; the rest stays."""
        data = b"".join(self.chunks)
        rest = data[size:]
        self.chunks, self.size, self.complete = [rest] if rest else [], len(rest), 0
        return data[:size]

"""Keys of the rows of files, a part at a time; see `pipelines.dedup_keys`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from filters.batches import batched
from filters.minhash import MinHashParams
from filters.text import pack
from pipelines.dedup_keys import contents, near_columns, quality_units, tokens_of, url_digest
from pipelines.files import encodable
from pipelines.row_blocks import blocks
from pipelines.row_fields import Fields, parse_row, top
from pipelines.row_files import Part

LISTED = 100  # bad rows of a file that the report lists for each reason; all are counted
_BATCH_ROWS = 1024
_BATCH_CHARS = 1 << 22  # bounds memory where texts are long

ROW_KEYS = pa.schema(
    [
        ("row", pa.int64()),  # of its part
        ("id", pa.string()),  # null where the input gives none
        ("host", pa.string()),
        ("priority", pa.int32()),
        ("quality", pa.int32()),
        ("content", pa.binary(16)),
        ("url", pa.binary(16)),
        ("template", pa.uint64()),
        ("bands", pa.binary()),
        ("proof", pa.binary()),
    ],
    metadata={"mathcorpus": "row-keys-1"},
)


@dataclass(frozen=True)
class RowParams:
    """Where texts, ids, addresses and qualities stand in rows, and what is made of them."""

    fields: Fields = field(default_factory=Fields)
    id_field: str = "id"
    url_field: str = "url"
    quality_field: str = "quality_score"
    minhash: MinHashParams = field(default_factory=MinHashParams)
    proof: str = "shingles"
    sibling_tokens: int = 200


class Row(NamedTuple):
    """A row with text."""

    number: int
    text: str
    values: dict[str, Any]


@dataclass(slots=True)
class Read:
    """What reading a part found, but for the keys, which are on disk."""

    rows: int = 0
    numbered: int = 0  # rows of Parquet; lines, blank ones too
    chars: int = 0
    keys: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    listed: dict[str, list[int]] = field(default_factory=dict)
    fields: Sequence[str] = ()  # of a row that lacks the text

    def refuse(self, number: int, problem: str) -> None:
        """Counts a row that cannot be compared; it stays."""
        self.problems[problem] += 1
        listed = self.listed.setdefault(problem, [])
        if len(listed) < LISTED:
            listed.append(number)


@dataclass(frozen=True)
class Job:
    """A part to read, and where its keys go."""

    part: Part
    out: str
    priority: int
    params: RowParams


def write_keys(job: Job) -> Read:
    """Reads a part and writes a row of keys for each of its rows with text."""
    read = Read()
    with pq.ParquetWriter(job.out, ROW_KEYS, compression="zstd", compression_level=1) as out:
        for rows in batched(read_rows(job.part, job.params, read), _BATCH_CHARS, _BATCH_ROWS):
            read.keys += len(rows)
            read.chars += sum(len(row.text) for row in rows)
            out.write_table(_keys(rows, job))
    return read


def _keys(rows: Sequence[Row], job: Job) -> pa.Table:
    params = job.params
    tokens = tokens_of(pack([row.text for row in rows]))
    ids = [row.values.get(params.id_field) for row in rows]
    urls = [row.values.get(params.url_field) for row in rows]
    addresses = [encodable(url) if isinstance(url, str) else None for url in urls]
    columns = {
        "row": [row.number for row in rows],
        "id": [None if one is None else encodable(str(one)) for one in ids],
        "host": [_host(url) for url in addresses],
        "priority": [job.priority] * len(rows),
        "quality": [quality_units(_number(row.values.get(params.quality_field))) for row in rows],
        "content": contents(tokens),
        "url": [url_digest(url) for url in addresses],
        **near_columns(tokens, params.minhash, params.proof, params.sibling_tokens),
    }
    return pa.table(columns, schema=ROW_KEYS)


def _host(url: str | None) -> str | None:
    try:
        return urlsplit(url).hostname if url else None
    except ValueError:  # no address, whatever it is
        return None


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and value == value else None  # noqa: PLR0124 - not a NaN


# --- reading ----------------------------------------------------------------------------------------------------------


def read_rows(part: Part, params: RowParams, read: Read) -> Iterator[Row]:
    """The rows of a part that have text; texts of several fields are joined by a line feed."""
    for number, values, problem in _parquet(part, params) if part.file.is_parquet else _lines(part, read):
        read.rows += 1
        if values is None:
            read.refuse(number, problem)
            continue
        found = params.fields.find(values)
        text = "\n".join(one for _, one in found.texts)
        if found.texts:
            if not text.strip():
                read.refuse(number, "empty")
            yield Row(number, text, values)
        for one in found.problems:
            read.refuse(number, one)
            read.fields = read.fields or list(values)
    if part.file.is_parquet:
        read.numbered = read.rows


Values = tuple[int, "dict[str, Any] | None", str]  # number of the row, what it holds, or what is wrong with it


def _lines(part: Part, read: Read) -> Iterator[Values]:
    number = 0
    for block in blocks(part.file, part.begin, part.end):
        lines = block.data.split(b"\n")
        if block.problem:
            if not block.continues:
                yield number, None, block.problem
        else:
            for place, line in enumerate(lines, number):
                if line and not line.isspace():
                    yield (place, *parse_row(line))
        number += len(lines) - 1
    read.numbered = number


def _parquet(part: Part, params: RowParams) -> Iterator[Values]:
    from pipelines.row_parquet import open_parquet, unreadable, value_lists

    with open_parquet(part.file) as parquet:
        names = parquet.schema_arrow.names
        wanted = _columns(params, names)
        number = 0
        try:
            for batch in parquet.iter_batches(_BATCH_ROWS, list(part.groups), wanted, use_threads=False):
                for values in value_lists(batch):
                    yield number, dict(zip(batch.schema.names, values, strict=True)), ""
                    number += 1
        except (OSError, pa.ArrowException) as error:
            raise unreadable(part.file, error) from error


def _columns(params: RowParams, names: Sequence[str]) -> list[str]:
    """The columns that paths begin in, and those of id, address and quality, as far as there are any."""
    paths = [name if name in names else top(name) for name in params.fields.of(dict.fromkeys(names))]
    others = [params.id_field, params.url_field, params.quality_field]
    return [name for name in dict.fromkeys([*paths, *others]) if name in names]


def texts_at(part: Part, params: RowParams, numbers: frozenset[int]) -> dict[int, str]:
    """The texts of some rows of a part, by number."""
    return {row.number: row.text for row in read_rows(part, params, Read()) if row.number in numbers}

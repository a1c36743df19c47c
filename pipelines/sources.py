"""Readers: every record of an input file becomes a document, or a removed document with a reason.

Nothing is dropped with a warning, as datatrove's readers do: a record that cannot be read has an origin, an id and a
reason, and is counted. Records of a WARC that are no documents by their kind (warcinfo, request, metadata) are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document, Media, MediaType
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from filters.charset import decode
from filters.epub import epub_text
from filters.errors import InputError
from filters.html import looks_like_html
from pipelines.cells import UNREAD, cell_rows
from pipelines.dataset import BYTES_PER_GROUP, RESERVED, document_id
from pipelines.http_bodies import TOO_LARGE, decoded, limited
from pipelines.inputs import InputFile
from pipelines.places import Place
from pipelines.recipe import MEGABYTE, JsonlSource, ParquetSource, Source, WarcSource, WetSource
from pipelines.streams import BrokenStreamError, lines, open_chunks

HTTP_OK = 200
_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_PARQUET_ROWS = 64
_TRUNCATED_RECORD = "truncated_record"
SEED_MAX_BYTES = 20 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is no document, with the reason."""

    doc: Document
    reason: str


Records = Iterator[Document | Rejected]
_OwnIds = JsonlSource | ParquetSource | WarcSource | WetSource


def read_file(source: Source, file: InputFile, skipped: Counter[str]) -> Records:
    """Documents and rejected records of one input file, in its order; `skipped` counts records of other kinds.

    Raises InputError where the file is gone or cannot be read.
    """
    if file.size == 0:
        yield Rejected(_document(source, file.origin), "empty_file")
        return
    try:
        yield from _READERS[source.format](source, file, skipped)
    except OSError as error:
        why = f"cannot be read ({error.strerror or error}); bring it back or leave it out"
        msg = f"source {source.name!r}: {file.path}: {why}"
        raise InputError(msg) from error


def _document(source: Source, origin: str, text: str = "", **metadata: Any) -> Document:
    known = {"source": source.source, "origin": origin, "licence": source.licence}
    kept = {k: v for k, v in {**known, **metadata}.items() if v is not None}
    if (url := kept.get("url")) and (host := _host(url)):
        kept["host"] = host
    return Document(text=text, id=document_id(origin), metadata=kept)


def _named(source: _OwnIds, own_id: object, found: Document | Rejected) -> Document | Rejected:
    """The record with the id that its source wants; with `ids: record` one without an own id is rejected."""
    if source.ids == "origin":
        return found
    doc = found.doc if isinstance(found, Rejected) else found
    if own_id is None:
        return Rejected(doc, "no_id")
    doc.id = document_id(f"{source.name}:{own_id}")
    return found


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _max_bytes(source: Source) -> int:
    return int(source.max_document_mb * MEGABYTE)


def _with_html(doc: Document, data: bytes, charset: str | None) -> Document:
    metadata = {"charset": charset} if charset else {}
    doc.media.append(
        Media("html", MediaType.DOCUMENT, doc.metadata.get("url", ""), media_bytes=data, metadata=metadata)
    )
    return doc


# --- WARC and WET -----------------------------------------------------------------------------------------------------


def _read_warc(source: Source, file: InputFile, skipped: Counter[str]) -> Records:
    yield from _archive(source, file, skipped, {"response", "resource"}, _page)


def _read_wet(source: Source, file: InputFile, skipped: Counter[str]) -> Records:
    yield from _archive(source, file, skipped, {"conversion"}, _conversion)


def _archive(
    source: Source,
    file: InputFile,
    skipped: Counter[str],
    kinds: set[str],
    convert: Callable[[Source, str, WarcRecord], Document | Rejected],
) -> Records:
    assert isinstance(source, WarcSource | WetSource)
    position, again, empty = -1, 0, True
    with Path(file.path).open("rb") as stream:
        try:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.any_type, parse_http=True):
                again = again + 1 if record.stream_pos == position else 0  # where all is one gzip member
                position, empty = record.stream_pos, False
                if str(record.record_type) in kinds:
                    found = convert(source, f"{file.origin}#{position}" + (f".{again}" if again else ""), record)
                    yield _named(source, record.headers.get("WARC-Record-ID"), found)
                else:
                    skipped[f"record:{record.record_type}"] += 1
        except OSError as error:  # what FastWARC raises for a broken header and for broken compression
            origin = f"{file.origin}#after-{max(0, position)}"
            yield Rejected(_document(source, origin, problem=str(error)), "broken_archive")
            return
    if empty:
        yield Rejected(_document(source, f"{file.origin}#0"), "no_records")


def _page(source: Source, origin: str, record: WarcRecord) -> Document | Rejected:
    url = record.headers.get("WARC-Target-URI")
    doc = _document(source, origin, url=url, source_id=record.headers.get("WARC-Record-ID"))
    if date := record.headers.get("WARC-Date"):
        doc.metadata["date"] = date
    if record.http_headers and record.http_headers.status_code != HTTP_OK:
        return Rejected(doc, f"http_status:{record.http_headers.status_code}")
    mime = (record.http_content_type or "").lower()
    if mime and mime not in _HTML_TYPES:
        return Rejected(doc, f"not_html:{mime}")
    headers: Any = record.http_headers or {}
    try:
        data = _body(record, _max_bytes(source))
        transfer, encodings = headers.get("Transfer-Encoding") or "", headers.get("Content-Encoding") or ""
        data = decoded(data, transfer, encodings, _max_bytes(source))
    except BrokenStreamError as error:
        return Rejected(doc, error.reason)
    return _with_html(doc, data, record.http_charset) if looks_like_html(data) else Rejected(doc, "not_html")


def _conversion(source: Source, origin: str, record: WarcRecord) -> Document | Rejected:
    doc = _document(source, origin, url=record.headers.get("WARC-Target-URI"))
    try:
        return _with_text(doc, _body(record, _max_bytes(source)))
    except BrokenStreamError as error:
        return Rejected(doc, error.reason)


def _body(record: WarcRecord, limit: int) -> bytes:
    """The record's payload; raises BrokenStreamError where it is longer than the limit, or breaks off."""
    if record.content_length > limit:  # it is not read then
        raise BrokenStreamError(TOO_LARGE)
    size = record.content_length  # reading changes it
    data = bytes(record.reader.read())
    if len(data) < size:
        raise BrokenStreamError(_TRUNCATED_RECORD)
    return data


def _with_text(doc: Document, data: bytes) -> Document | Rejected:
    text = decode(data)
    if text is None:
        return Rejected(doc, "undecodable")
    if not text.strip():
        return Rejected(doc, "empty")
    doc.text = text
    return doc


# --- one document a file ----------------------------------------------------------------------------------------------


def _read_html(source: Source, file: InputFile, _: Counter[str]) -> Records:
    doc = _document(source, file.origin, path=file.name)
    try:
        data = limited(open_chunks(Path(file.path)), _max_bytes(source))
    except BrokenStreamError as error:
        yield Rejected(doc, error.reason)
        return
    yield _with_html(doc, data, None) if looks_like_html(data) else Rejected(doc, "not_html")


def _read_text(source: Source, file: InputFile, _: Counter[str]) -> Records:
    doc = _document(source, file.origin, path=file.name)
    if file.size > _max_bytes(source):
        yield Rejected(doc, TOO_LARGE)
        return
    data = Path(file.path).read_bytes()
    if not file.name.endswith(".epub"):
        yield _with_text(doc, data)
    elif (text := epub_text(data)) is None:
        yield Rejected(doc, "broken_epub")
    else:
        yield _with_text(doc, text.encode())


# --- rows -------------------------------------------------------------------------------------------------------------


def _read_jsonl(source: Source, file: InputFile, _: Counter[str]) -> Records:
    assert isinstance(source, JsonlSource)
    for line in lines(open_chunks(Path(file.path)), _max_bytes(source)):
        origin = f"{file.origin}#{line.offset}"
        if line.data is None:
            yield Rejected(_document(source, origin, bytes=line.length), line.problem or "unreadable")
            continue
        try:
            row = orjson.loads(line.data)
        except orjson.JSONDecodeError as error:
            reason = "not_utf8" if not _is_utf8(line.data) else "not_json"
            yield Rejected(_document(source, origin, problem=str(error)), reason)
            continue
        if isinstance(row, dict):
            yield _row(source, origin, row)
        else:
            yield Rejected(_document(source, origin), "not_an_object")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_parquet(source: Source, file: InputFile, _: Counter[str]) -> Records:
    assert isinstance(source, ParquetSource)
    number = 0
    try:
        with pq.ParquetFile(file.path) as parquet:
            for group in range(parquet.num_row_groups):
                together = _rows_together(parquet.metadata.row_group(group))
                for row in cell_rows(parquet, group, together, source.text_field, _max_bytes(source)):
                    yield _row(source, f"{file.origin}#{number}", row)
                    number += 1
    except (OSError, pa.ArrowInvalid) as error:
        origin = f"{file.origin}#after-{number}"
        yield Rejected(_document(source, origin, problem=str(error).splitlines()[0]), "broken_file")


def _rows_together(group: Any) -> int:
    """How many rows of a row group are read at a time: fewer where they are large."""
    row_bytes = max(1, group.total_byte_size // max(1, group.num_rows))
    return int(min(_PARQUET_ROWS, max(1, BYTES_PER_GROUP // row_bytes)))


def _row(source: JsonlSource | ParquetSource, origin: str, row: dict[str, Any]) -> Document | Rejected:
    own_id = row.pop(source.id_field, None)
    return _named(source, own_id, _row_document(source, origin, row, own_id))


def _row_document(
    source: JsonlSource | ParquetSource, origin: str, row: dict[str, Any], own_id: object
) -> Document | Rejected:
    text, url = row.pop(source.text_field, None), row.pop(source.url_field, None)
    doc = _document(source, origin, url=url if isinstance(url, str) else None)
    if isinstance(licence := row.get("licence"), str):
        doc.metadata["licence"] = licence
    # an input may hold columns of the names that our stages write
    doc.metadata.update({f"input_{k}" if k in RESERVED else k: v for k, v in row.items() if v is not None})
    if own_id is not None:
        doc.metadata["source_id"] = str(own_id)
    if problem := _problem(text, source):
        return Rejected(doc, problem)
    if isinstance(text, bytes):
        return _with_html(doc, text, None)
    if source.html:
        return _with_html(doc, text.encode("utf-8", "replace"), "utf-8")
    doc.text = text
    return doc


def _problem(text: object, source: JsonlSource | ParquetSource) -> str | None:
    """Why a value is no text, if it is none."""
    if text is UNREAD:
        return TOO_LARGE
    if not (isinstance(text, str) or (source.html and isinstance(text, bytes))):
        return "no_text" if text is None else f"text_is_{type(text).__name__}"
    if len(text) > _max_bytes(source):
        return TOO_LARGE
    return None if text.strip() else "empty"


_READERS: dict[str, Callable[[Any, InputFile, Counter[str]], Records]] = {
    "warc": _read_warc,
    "wet": _read_wet,
    "html": _read_html,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "text": _read_text,
    "code": _read_text,
}


def read_texts(paths: Sequence[Place], text_field: str) -> list[str]:
    """The texts of JSONL or Parquet files, in order; InputError at the first row without one.

    For seeds and the like, which a person chose: there a broken row is a mistake to mend, not data to count.
    """
    return [text for text, _ in read_seeds(paths, text_field)]


def read_seeds(paths: Sequence[Place], text_field: str) -> list[tuple[str, str]]:
    """(text, url) of the rows of JSONL or Parquet files, as `read_texts`; "" where a row has no url."""
    seeds: list[tuple[str, str]] = []
    for path in paths:
        for where, row in seed_rows(path):
            text = row.get(text_field) if isinstance(row, dict) else None
            if not isinstance(text, str):
                found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
                msg = f"{path}: {where}: no text in {text_field!r} (it has {found}); name the column with text_field"
                raise InputError(msg)
            url = row.get("url")
            seeds.append((text, url if isinstance(url, str) else ""))
    return seeds


def seed_rows(path: Place) -> Iterator[tuple[str, Any]]:
    """(where, row) of a JSONL or Parquet file; InputError at a line that is no JSON."""
    if path.name.endswith(".parquet"):
        with path.open("rb") as file:
            rows = pq.read_table(file).to_pylist()
        for number, row in enumerate(rows):
            yield f"row {number}", row
        return
    for number, line in enumerate(lines(open_chunks(path), SEED_MAX_BYTES), 1):
        try:
            yield f"line {number}", orjson.loads(line.data or b"")
        except orjson.JSONDecodeError as error:
            msg = f"{path}: line {number}: {line.problem or 'not JSON'} ({error})"
            raise InputError(msg) from error

"""Every record of an input becomes a document or a rejected one with a reason; nothing is dropped in silence."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from datatrove.data import Document
from pydantic import TypeAdapter

from filters.errors import InputError
from pipelines.dataset import document_id
from pipelines.inputs import InputFile, find_files, group_files
from pipelines.recipe import Source
from pipelines.sources import Rejected, read_file
from pipelines.streams import Line, lines, open_chunks


def read(tmp_path: Path, name: str, data: bytes, **source: Any) -> list[tuple[str, str]]:
    """(origin, text or reason) of each record of a file."""
    path = tmp_path / name
    path.write_bytes(data)
    made = TypeAdapter(Source).validate_python({"name": "s", "path": name, **source})
    file = InputFile("s", name, str(path), len(data), "")
    found = []
    for record in read_file(made, file, Counter()):
        doc = record.doc if isinstance(record, Rejected) else record
        media = doc.media[0].media_bytes if doc.media else None
        outcome = f"!{record.reason}" if isinstance(record, Rejected) else doc.text or (media or b"").decode()
        found.append((doc.metadata["origin"], outcome))
    return found


def warc(*records: bytes) -> bytes:
    return b"".join(records)


def record(
    body: bytes, status: str = "200 OK", mime: str = "text/html", length: int | None = None, kind: str = "response"
) -> bytes:
    http = f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\n\r\n".encode() + body
    size = len(http) if length is None else length
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a.example/x\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    head += f"Content-Type: application/http; msgtype=response\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + http + b"\r\n\r\n"


PAGE = b"<html><body><p>Let x be prime.</p></body></html>"
BROTLI_PAGE = bytes.fromhex(
    "8b17803c68746d6c3e3c626f64793e3c703e4c65742078206265207072696d652e3c2f703e3c2f626f64793e3c2f68746d6c3e03"
)


def test_jsonl_lines_are_documents_or_verdicts(tmp_path: Path) -> None:
    """Broken lines are rejected by name, and each row's origin is its byte offset."""
    rows = [
        b'{"text": "a b"}',
        b"{broken",
        b'["list"]',
        b'{"other": 1}',
        b'{"text": 5}',
        b'{"text": " "}',
        b'{"text": "\xff"}',
    ]

    assert read(tmp_path, "a.jsonl", b"\n".join(rows), format="jsonl") == [
        ("s/a.jsonl#0", "a b"),
        ("s/a.jsonl#16", "!not_json"),
        ("s/a.jsonl#24", "!not_an_object"),
        ("s/a.jsonl#33", "!no_text"),
        ("s/a.jsonl#46", "!text_is_int"),
        ("s/a.jsonl#58", "!empty"),
        ("s/a.jsonl#72", "!not_utf8"),
    ]


def test_a_line_that_is_too_long_is_a_verdict(tmp_path: Path) -> None:
    """A line over the limit is skipped, and the next one is read."""
    data = b'{"text": "' + b"x" * 3_000_000 + b'"}\n{"text": "ok"}\n'

    assert [r[1] for r in read(tmp_path, "a.jsonl", data, format="jsonl", max_document_mb=1)] == ["!too_large", "ok"]


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst"])
def test_a_truncated_compressed_file_says_so(tmp_path: Path, ending: str) -> None:
    """What can be read is read; the place where the file breaks off is a verdict."""
    plain = b"".join(b'{"text": "line %d %s"}\n' % (i, str(i * 7919).encode()) for i in range(20_000))
    packed = gzip.compress(plain) if ending.endswith("gz") else zstandard.compress(plain)
    whole = read(tmp_path, f"a{ending}", packed, format="jsonl")
    cut = read(tmp_path, f"b{ending}", packed[: len(packed) * 2 // 3], format="jsonl")

    assert len(whole) == 20_000
    assert cut[-1][1] == "!truncated_compression"
    assert [t for _, t in cut[:-1]] == [t for _, t in whole[: len(cut) - 1]]


def test_several_frames_in_one_file_are_read_whole(tmp_path: Path) -> None:
    """Concatenated gzip members and zstd frames are one stream."""
    for name, pack in (("a.gz", gzip.compress), ("a.zst", zstandard.compress)):
        (tmp_path / name).write_bytes(pack(b"one\n") + pack(b"two\n"))

        assert b"".join(open_chunks(tmp_path / name)) == b"one\ntwo\n"


def test_lines_are_the_same_however_the_chunks_fall() -> None:
    """Offsets and contents do not depend on where the stream is cut."""
    data = b"ab\n\ncdef\n  \nxyz"
    expected = [Line(0, 2, b"ab"), Line(4, 4, b"cdef"), Line(12, 3, b"xyz")]
    for size in range(1, len(data) + 1):
        chunks = (data[i : i + size] for i in range(0, len(data), size))

        assert list(lines(chunks, 100)) == expected


def test_warc_responses_become_pages_and_other_records_verdicts(tmp_path: Path) -> None:
    """Status, type, content and size decide; origins hold the record's offset."""
    parts = [
        record(PAGE),
        record(b"", "404 Not Found"),
        record(b"GIF89a", mime="image/gif"),
        record(b"%PDF-1.4 <"),
        record(PAGE + b" " * 2_000_000),
    ]
    offsets = [sum(map(len, parts[:i])) for i in range(len(parts))]
    found = read(tmp_path, "a.warc", warc(*parts), format="warc", max_document_mb=1)

    assert [t for _, t in found] == [
        PAGE.decode(),
        "!http_status:404",
        "!not_html:image/gif",
        "!not_html",
        "!too_large",
    ]
    assert [o for o, _ in found] == [f"s/a.warc#{o}" for o in offsets]


def test_records_of_other_kinds_are_counted(tmp_path: Path) -> None:
    """Requests and the like are no documents, but they are counted."""
    path = tmp_path / "a.warc"
    path.write_bytes(warc(record(PAGE), record(b"x", kind="request")))
    source = TypeAdapter(Source).validate_python({"format": "warc", "name": "s", "path": "a.warc"})
    skipped: Counter[str] = Counter()
    list(read_file(source, InputFile("s", "a.warc", str(path), path.stat().st_size, ""), skipped))

    assert skipped == {"record:request": 1}


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_warc_record_is_a_verdict(tmp_path: Path, packed: bool) -> None:
    """The record that the file breaks off in is rejected; those before it are read."""
    parts = [record(PAGE), record(PAGE * 400)]
    data = b"".join(gzip.compress(p) if packed else p for p in parts)
    found = read(tmp_path, "a.warc.gz" if packed else "a.warc", data[:-40], format="warc")

    assert [t for _, t in found] == [PAGE.decode(), "!truncated_record"]


@pytest.mark.parametrize(
    ("headers", "body", "outcome"),
    [
        ("Content-Encoding: gzip", gzip.compress(PAGE, mtime=0), PAGE.decode()),
        ("Content-Encoding: deflate", zlib.compress(PAGE), PAGE.decode()),
        ("Content-Encoding: deflate", zlib.compress(PAGE)[2:-4], PAGE.decode()),
        ("Content-Encoding: zstd", zstandard.compress(PAGE), PAGE.decode()),
        ("Content-Encoding: br", BROTLI_PAGE, PAGE.decode()),
        (
            "Transfer-Encoding: chunked",
            b"10\r\n" + PAGE[:16] + b"\r\n20\r\n" + PAGE[16:] + b"\r\n0\r\n\r\n",
            PAGE.decode(),
        ),
        ("Content-Encoding: gzip", PAGE, PAGE.decode()),
        ("Transfer-Encoding: chunked", PAGE, PAGE.decode()),
        ("Content-Encoding: gzip", gzip.compress(PAGE, mtime=0)[:-20], "!truncated_compression"),
        ("Content-Encoding: gzip", gzip.compress(PAGE * 100_000, mtime=0), "!too_large"),
        ("Content-Encoding: br", b"\xff" * 20, "!corrupt_compression"),
        ("Content-Encoding: other", PAGE, PAGE.decode()),
    ],
)
def test_bodies_are_decoded_as_far_as_they_are_encoded(tmp_path: Path, headers: str, body: bytes, outcome: str) -> None:
    """Compression and chunks are undone where they are there, whatever the headers say; a bomb is too large."""
    found = read(tmp_path, "a.warc", record(body, mime=f"text/html\r\n{headers}"), format="warc", max_document_mb=1)

    assert [t for _, t in found] == [outcome]


@pytest.mark.parametrize("pack", [zstandard.compress, gzip.compress])
def test_archives_may_be_compressed_by_record(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """gzip members and zstd frames, one for each record."""
    name = "a.warc.zst" if pack is zstandard.compress else "a.warc.gz"
    found = read(tmp_path, name, pack(record(PAGE)) + pack(record(PAGE, "404 Not Found")), format="warc")

    assert [t for _, t in found] == [PAGE.decode(), "!http_status:404"]


def test_wet_conversions_are_texts(tmp_path: Path) -> None:
    """The text of a conversion record is taken as it is; one that breaks off is a verdict."""
    body = "Let x be prime. 设 x 为质数。".encode()
    head = b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://a.example/x\r\nContent-Type: text/plain\r\n"
    one = head + b"Content-Length: %d\r\n\r\n" % len(body) + body + b"\r\n\r\n"
    found = read(tmp_path, "a.warc.wet", one + one[:-20], format="wet")

    assert [t for _, t in found] == [body.decode(), "!truncated_record"]


def test_html_files_are_pages(tmp_path: Path) -> None:
    """One document a file; what is no page is a verdict."""
    assert read(tmp_path, "a.html", PAGE, format="html") == [("s/a.html", PAGE.decode())]
    assert read(tmp_path, "b.html", b"%PDF-1.4 <", format="html") == [("s/b.html", "!not_html")]


def test_html_files_may_be_compressed(tmp_path: Path) -> None:
    """By gzip or zstd; one that breaks off, or is a bomb, is a verdict."""
    assert read(tmp_path, "a.html.gz", gzip.compress(PAGE), format="html") == [("s/a.html.gz", PAGE.decode())]
    assert read(tmp_path, "a.htm.zst", zstandard.compress(PAGE), format="html") == [("s/a.htm.zst", PAGE.decode())]
    assert read(tmp_path, "b.html.gz", gzip.compress(PAGE)[:-9], format="html")[0][1] == "!truncated_compression"
    bomb = gzip.compress(bytes(3_000_000))

    assert read(tmp_path, "c.html.gz", bomb, format="html", max_document_mb=1)[0][1] == "!too_large"


def test_rows_of_html_are_pages(tmp_path: Path) -> None:
    """JSON holds it as text, Parquet as text or as bytes of any charset; other types are verdicts."""
    row = b'{"html": "<p>prime</p>", "url": "http://a.example/x", "id": 7}\n{"html": 5}\n{"html": " "}'
    html = {"text_field": "html", "html": True}

    assert [t for _, t in read(tmp_path, "a.jsonl", row, format="jsonl", **html)] == [
        "<p>prime</p>",
        "!text_is_int",
        "!empty",
    ]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"html": [PAGE, "<p>é</p>".encode("cp1252"), None]}), path)
    source = TypeAdapter(Source).validate_python({"format": "parquet", "name": "s", "path": "a.parquet", **html})
    first, second, third = read_file(source, InputFile("s", "a.parquet", str(path), path.stat().st_size, ""), Counter())

    assert [d.media[0].media_bytes for d in (first, second) if isinstance(d, Document)] == [PAGE, b"<p>\xe9</p>"]
    assert isinstance(third, Rejected)
    assert third.reason == "no_text"


def test_garbage_in_the_place_of_a_warc_is_a_verdict(tmp_path: Path) -> None:
    """A file that is no WARC gives one rejected record with the parser's words."""
    assert read(tmp_path, "a.warc", b"hello\n" * 50, format="warc") == [("s/a.warc#after-0", "!broken_archive")]


def test_an_empty_file_is_a_verdict(tmp_path: Path) -> None:
    """A file of zero bytes is one rejected record, whatever its format."""
    for fmt, name in (("warc", "a.warc"), ("jsonl", "a.jsonl"), ("html", "a.html"), ("text", "a.txt")):
        assert read(tmp_path, name, b"", format=fmt) == [(f"s/{name}", "!empty_file")]


def test_text_files_are_read_in_their_charset(tmp_path: Path) -> None:
    """UTF-8, GBK and UTF-16 are found out; noise is a verdict."""
    chinese = "设函数在区间上连续，则它有最大值和最小值。" * 5

    assert read(tmp_path, "a.txt", chinese.encode("gbk"), format="text") == [("s/a.txt", chinese)]
    assert read(tmp_path, "b.txt", chinese.encode("utf-16"), format="text") == [("s/b.txt", chinese)]
    assert read(tmp_path, "c.txt", bytes(range(256)) * 4, format="text") == [("s/c.txt", "!undecodable")]


def test_parquet_rows_are_documents_and_ids_may_come_from_records(tmp_path: Path) -> None:
    """With ids: record, the id is a digest of source and own id, and a row without one is rejected."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["k1", None], "text": ["one two", "three"], "language": ["xx", None]}), path)
    source = TypeAdapter(Source).validate_python(
        {"format": "parquet", "name": "s", "path": "a.parquet", "ids": "record"}
    )
    first, second = read_file(source, InputFile("s", "a.parquet", str(path), path.stat().st_size, ""), Counter())

    assert isinstance(first, Document)
    assert first.id == document_id("s:k1")
    assert first.metadata == {"source": "web", "origin": "s/a.parquet#0", "source_id": "k1", "input_language": "xx"}
    assert isinstance(second, Rejected)
    assert second.reason == "no_id"


def test_files_are_found_by_folder_file_and_glob_in_one_order(tmp_path: Path) -> None:
    """Names are relative to what was given, hidden files are left out, and the order of paths does not matter."""
    for name in ("b/2.jsonl", "b/1.jsonl", "b/.x.jsonl", "b/note.txt", "a.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    both = [str(tmp_path / "b"), str(tmp_path / "a.jsonl")]

    assert [n for n, _ in find_files(both, (".jsonl",), "x")] == ["1.jsonl", "2.jsonl", "a.jsonl"]
    assert find_files(both, (".jsonl",), "x") == find_files(both[::-1], (".jsonl",), "x")
    assert [n for n, _ in find_files([str(tmp_path / "*" / "*.jsonl")], (".jsonl",), "x")] == ["b/1.jsonl", "b/2.jsonl"]


def test_paths_that_hold_nothing_stop_at_once(tmp_path: Path) -> None:
    """A path that is missing, empty, or ambiguous is one line and exit code 2."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder / "x.jsonl").write_text("{}")
    for paths, message in (
        ([tmp_path / "none"], "no such file or folder"),
        ([tmp_path / "a"], "holds no file that ends in .warc"),
        ([tmp_path / "a", tmp_path / "b"], "are both called 'x.jsonl'"),
    ):
        endings = (".warc",) if "warc" in message else (".jsonl",)
        with pytest.raises(InputError, match=message):
            find_files(map(str, paths), endings, "source 's'")


def test_small_files_share_a_rank_and_sources_do_not() -> None:
    """Neighbours of one source are read together up to the size; a large file is alone."""
    files = [
        InputFile(s, n, "", size, "") for s, n, size in (("a", "1", 4), ("a", "2", 4), ("a", "3", 9), ("b", "1", 1))
    ]

    assert [[f.name for f in g] for g in group_files(files, 8e-6)] == [["1", "2"], ["3"], ["1"]]

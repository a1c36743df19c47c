"""One large file in several units of work, by ranges of lines or frames; and files at URLs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from conftest import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st
from small import ITEM, text, write_rows
from test_decontaminate import clean, snapshot
from test_row_files import compressed, plain

from filters.errors import InputError
from pipelines import row_blocks, row_files, row_parquet_writers
from pipelines.row_blocks import blocks
from pipelines.row_fields import Fields
from pipelines.row_files import parts_of, read_texts
from pipelines.row_find import RowFile, find_rows
from pipelines.row_parquet import open_parquet
from pipelines.row_writers import Decision, rewrite
from pipelines.zstd_frames import frame_borders


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A benchmark of one item."""
    write_rows(tmp_path / "bench" / "farm" / "test.jsonl", [{"question": ITEM, "answer": "33"}])
    return tmp_path / "bench"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of work of a few lines."""
    monkeypatch.setattr(row_files, "PLAIN_BYTES", 30)
    monkeypatch.setattr(row_files, "FRAME_BYTES", 1)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 16)


def frames(pieces: list[bytes]) -> bytes:
    """Pieces as frames of one file, with a frame to skip between them, and one that is empty."""
    skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"
    return skipped.join(zstandard.ZstdCompressor().compress(piece) for piece in [*pieces, b""])


def lines_of(file: RowFile) -> tuple[list[tuple[int, str]], int]:
    """((row, text) of all parts, how many parts there are)."""
    found, first = [], 0
    parts = parts_of(file, Fields())
    for part in parts:
        begin = first
        for batch in read_texts(part, Fields(), "id"):
            found += [(begin + int(batch.numbers[n]), batch.text(n)) for n in range(len(batch))]
            first += batch.numbered
    return found, len(parts)


PIECES = st.lists(
    st.lists(st.sampled_from([b"\n", b'{"text":"a"}', b'{"text":"some more"}\n', b"\r\n", b"{"])).map(b"".join)
)


@settings(max_examples=100, deadline=None)
@given(pieces=PIECES, size=st.integers(1, 40), block=st.sampled_from([8, 50]))
def test_ranges_have_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], size: int, block: int
) -> None:
    """Wherever a file is cut, in a line, at its end, between frames: together the ranges are the file."""
    folder = tmp_path_factory.mktemp("ranges")
    data = b"".join(pieces)
    (folder / "a.jsonl").write_bytes(data)
    (folder / "a.jsonl.zst").write_bytes(frames(pieces))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_files, "PLAIN_BYTES", size)
        patch.setattr(row_files, "FRAME_BYTES", size)
        patch.setattr(row_blocks, "BLOCK_BYTES", block)
        for name in ("a.jsonl", "a.jsonl.zst"):
            file = RowFile(name, str(folder / name))
            parts = [[b.data for b in blocks(file, part.begin, part.end)] for part in parts_of(file, Fields())]

            assert b"".join(b"".join(part) for part in parts) == data
            assert all(b.endswith(b"\n") for part in parts for b in part) or not data.endswith(b"\n")


def test_rows_of_ranges_have_the_numbers_of_the_file(tmp_path: Path, small_parts: None) -> None:
    """Blank lines count, a row is in one part alone; a file of frames is cut as a plain one is."""
    data = b"".join(b'{"text":"%d"}\n\n' % n for n in range(20))
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "a.jsonl.zst").write_bytes(frames([data[i : i + 50] for i in range(0, len(data), 50)]))
    (tmp_path / "a.jsonl.gz").write_bytes(compressed("a.jsonl.gz", data))
    expected = [(2 * n, str(n)) for n in range(20)]

    found = [lines_of(RowFile(name, str(tmp_path / name))) for name in ("a.jsonl", "a.jsonl.zst", "a.jsonl.gz")]

    assert [rows for rows, _ in found] == [expected] * 3
    assert [parts > 5 for _, parts in found] == [True, True, False]


def test_borders_of_frames_are_told_by_their_headers(tmp_path: Path) -> None:
    """Frames of every kind: with a checksum, of one repeated byte, of incompressible data, to be skipped."""
    checked = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    pieces = [
        checked.compress(b"a" * 300_000),
        zstandard.compress(os.urandom(200_000)),
        frames([b"x"]),
        checked.compress(b""),
    ]
    (tmp_path / "a.zst").write_bytes(b"".join(pieces))

    def borders(size: int) -> list[int]:
        (tmp_path / "b.zst").write_bytes(b"".join(pieces)[:size])
        with (tmp_path / "b.zst").open("rb") as file:
            return frame_borders(file.fileno(), size)

    sizes = [sum(map(len, pieces[:n])) for n in range(5)]
    assert set(sizes) <= set(borders(sizes[-1]))
    assert [borders(size - 1) for size in sizes[1:]] == [[]] * 4
    assert borders(0) == [0]


@pytest.mark.parametrize("cut", ["truncated", "corrupt"])
def test_a_break_in_one_frame_ends_the_file(
    tmp_path: Path, bench: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    """The same rows are read, kept and counted as where the file is read in one go."""
    rows = [orjson.dumps({"text": f"{text(n)} {ITEM if n % 5 == 0 else ''}"}) + b"\n" for n in range(400)]
    data = b"".join(rows)
    whole = bytearray(frames([data[i : i + 20_000] for i in range(0, len(data), 20_000)]))
    if cut == "truncated":
        del whole[-len(whole) // 3 :]
    else:
        whole[len(whole) // 2 : len(whole) // 2 + 40] = b"\x55" * 40
    (tmp_path / "a.jsonl.zst").write_bytes(whole)

    one = clean(tmp_path, tmp_path / "a.jsonl.zst")
    first = snapshot(tmp_path / "out")
    monkeypatch.setattr(row_files, "FRAME_BYTES", 1)
    clean(tmp_path, tmp_path / "a.jsonl.zst")

    assert one["bad_rows"] == {f"{cut}_compression": 1}
    assert 20 < one["documents"]["removed"] < 70
    assert snapshot(tmp_path / "out") == first


def test_two_workers_on_one_file_give_the_bytes_of_one(
    tmp_path: Path, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Origins, ids, bad rows and the clean file: whatever the parts, whoever reads them."""
    rows = [orjson.dumps({"text": f"{text(n)} {ITEM if n % 7 == 0 else ''}", "id": n}) for n in range(300)]
    rows[50] = b"{broken"
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(rows))
    report = clean(tmp_path, tmp_path / "a.jsonl", "--workers", "1")
    one = snapshot(tmp_path / "out")
    monkeypatch.setattr(row_files, "PLAIN_BYTES", 10_000)
    clean(tmp_path, tmp_path / "a.jsonl", "--workers", "2")

    assert snapshot(tmp_path / "out") == one
    assert [line["origin"] for line in report["evidence"]] == [f"a.jsonl#{n}" for n in range(0, 300, 7)]
    assert [line["doc_id"] for line in report["evidence"]] == [str(n) for n in range(0, 300, 7)]
    assert report["bad_rows_listed"] == {"not_json": ["a.jsonl#50"]}


def test_large_row_groups_come_out_as_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group that is too large to hold is cut; rows, order and types stay."""
    monkeypatch.setattr(row_parquet_writers, "GROUP_BYTES", 10_000)
    table = pa.table({"text": [f"{n} {'x' * 100}" for n in range(1000)], "n": pa.array(range(1000), pa.int16())})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
    drop = [Decision(n, True, {}, None) for n in range(0, 1000, 10)]

    written = rewrite(RowFile("a.parquet", str(tmp_path / "a.parquet")), drop, tmp_path, tagged=False)

    clean_file = pq.ParquetFile(tmp_path / "clean/a.parquet")
    assert written == (900, 100)
    assert clean_file.read().equals(table.filter([n % 10 != 0 for n in range(1000)]))
    assert 5 < clean_file.metadata.num_row_groups < 50


# --- URLs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """A file system in memory with files of rows."""
    system = fsspec.filesystem("memory")
    lines = b"".join(
        orjson.dumps({"text": f"{text(n)} {ITEM if n == 3 else ''}", "id": str(n)}) + b"\n" for n in range(9)
    )
    pq.write_table(pa.Table.from_pylist([orjson.loads(line) for line in lines.splitlines()]), tmp_path / "p.parquet")
    system.pipe("/data/in/a.jsonl", lines)
    system.pipe("/data/in/deep/b.jsonl.zst", compressed("b.jsonl.zst", lines))
    system.pipe("/data/in/p.parquet", (tmp_path / "p.parquet").read_bytes())
    system.pipe("/data/in/notes.txt", b"no rows")
    yield system
    system.rm("/data", recursive=True)


def test_urls_are_files_folders_and_globs(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """Names below what was given, as of local files."""

    def names(url: str) -> list[str]:
        return [file.name for file in find_rows([url], tmp_path)]

    assert names("memory://data/in") == ["a.jsonl", "deep/b.jsonl.zst", "p.parquet"]
    assert names("memory://data/in/*/*.zst") == ["deep/b.jsonl.zst"]
    assert names("memory://data/in/a.jsonl") == ["a.jsonl"]
    assert names("https://example.org/x/b.jsonl.gz?download=true") == ["b.jsonl.gz"]
    assert find_rows(["memory://data/in/a.jsonl"], tmp_path)[0].size > 1000


def test_files_at_urls_are_scanned_as_local_ones_are(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, bench: Path
) -> None:
    """The same report and evidence, and clean files written here; what has no hit is copied."""
    memory.get("/data/in", str(tmp_path / "local"), recursive=True)
    memory.pipe("/data/in/clean.jsonl", b'{"text":"nothing"}\n')
    (tmp_path / "local/clean.jsonl").write_bytes(b'{"text":"nothing"}\n')

    here = clean(tmp_path, tmp_path / "local", "--workers", "1")
    local = snapshot(tmp_path / "out")
    there = clean(tmp_path, "memory://data/in", "--workers", "1")
    remote = snapshot(tmp_path / "out")

    assert there["evidence"] == here["evidence"]
    assert len(here["evidence"]) == 3
    assert plain(tmp_path / "out/clean/clean.jsonl") == b'{"text":"nothing"}\n'
    assert {n: d for n, d in remote.items() if not n.startswith("report")} == {
        n: d for n, d in local.items() if not n.startswith("report")
    }


def test_a_file_url_is_a_path(memory: fsspec.AbstractFileSystem, tmp_path: Path, bench: Path) -> None:
    """`file://` is a protocol like any other."""
    path = tmp_path / "local/a.jsonl"
    memory.get("/data/in/a.jsonl", str(path))

    here = clean(tmp_path, path, "--workers", "1")["evidence"]

    assert clean(tmp_path, path.as_uri(), "--workers", "1")["evidence"] == here
    assert len(here) == 1


@pytest.mark.parametrize(
    "url", ["memory://data/none.jsonl", "nosuch://x/a.jsonl", "memory://data/empty", "s3:/x/*.jsonl"]
)
def test_a_url_that_cannot_be_read_is_one_line(memory: fsspec.AbstractFileSystem, tmp_path: Path, url: str) -> None:
    """A file that is not there, a protocol that nobody knows, a folder of nothing: the URL is in the message."""

    def read() -> None:
        for file in find_rows([url], tmp_path):
            list(read_texts(parts_of(file, Fields())[0], Fields(), "id"))

    with pytest.raises(InputError, match=url.partition("*")[0]) as told:
        read()

    assert "\n" not in str(told.value)


def test_a_broken_parquet_file_at_a_url_is_one_line(memory: fsspec.AbstractFileSystem) -> None:
    """As of a local one."""
    memory.pipe("/data/broken.parquet", b"PAR1 no")
    said = "memory://data/broken.parquet: cannot be read as Parquet"
    with pytest.raises(InputError, match=said), open_parquet(RowFile("b.parquet", "memory://data/broken.parquet")):
        pass


# --- memory -----------------------------------------------------------------------------------------------------------

PEAK = """
import re, sys
from pathlib import Path
from pipelines.row_fields import Fields
from pipelines.row_files import parts_of, read_texts
from pipelines.row_find import RowFile
for part in parts_of(RowFile(sys.argv[1], sys.argv[1]), Fields()):
    for batch in read_texts(part, Fields(), "id"):
        pass
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])  # ru_maxrss knows the parent's
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.parquet"])
def test_memory_does_not_grow_with_the_input(tmp_path: Path, name: str) -> None:
    """A file of 60 MB takes as much as one of 3 MB, though it is one row group."""
    peaks = []
    for size, rows in (("small", 1_000), ("large", 20_000)):
        path = tmp_path / size / name
        path.parent.mkdir()
        texts = [f"{n} {text(n)} " * 5 for n in range(1_000)]
        if name.endswith("parquet"):
            table = pa.table({"text": [texts[n % 1_000] for n in range(rows)]})
            pq.write_table(table, path, use_dictionary=False, row_group_size=rows, write_batch_size=64)
        else:
            lines = b"".join(orjson.dumps({"text": one}) + b"\n" for one in texts)
            path.write_bytes(compressed(name, lines * (rows // 1_000)))
        command = [sys.executable, "-c", PEAK, str(path)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY).stdout))

    assert peaks[1] - peaks[0] < 25_000  # KiB

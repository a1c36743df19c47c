"""Shards appear whole or not at all; readers trust the manifest and nothing else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document

from filters.errors import InputError, OutputError
from pipelines import dataset as ds


def row(number: int, **more: Any) -> dict[str, Any]:
    doc = Document(text=f"text {number}", id=ds.document_id(f"o/{number}"), metadata={"origin": f"o/{number}", **more})
    return ds.document_to_row(doc)


def write(root: Path, rows: list[dict[str, Any]], name: str = "00000.parquet") -> ds.Shard:
    writer = ds.ShardWriter(root, name, ds.DOCUMENTS)
    for one in rows:
        writer.write(one)
    return writer.commit()


def save(root: Path, *parts: list[dict[str, Any]]) -> ds.Dataset:
    shards = tuple(write(root, rows, f"{i:05d}.parquet") for i, rows in enumerate(parts))
    ds.Dataset(root, shards, "key").save(ds.DOCUMENTS)
    return ds.Dataset.load(root)


def test_documents_come_back_as_they_went(tmp_path: Path) -> None:
    """Text, typed columns and other metadata survive the trip to disk."""
    doc = Document(
        text="π \x00 é", id="a" * 32, metadata={"origin": "o", "tokens": 3, "language": "en", "title": "T", "n": [1]}
    )
    found = save(tmp_path, [ds.document_to_row(doc)])
    [back] = ds.read_documents(found.root, found.shards[0])

    assert (back.text, back.id, back.metadata) == (doc.text, doc.id, doc.metadata)


def test_a_lone_surrogate_is_replaced_and_stops_nothing(tmp_path: Path) -> None:
    """Neither Parquet nor JSON can hold one."""
    metadata = {"origin": "o", "url": "u\udfff", "title": "t\ud800", "big": 1 << 70}
    shard = write(tmp_path, [ds.document_to_row(Document(text="a\ud800b", id="x", metadata=metadata))])
    [row] = pq.read_table(tmp_path / shard.path).to_pylist()

    assert (row["text"], row["url"]) == ("a?b", "u?")
    assert row["metadata"] == '{"big": 1180591620717411303424, "title": "t?"}'


def test_ids_are_pinned() -> None:
    """The id of an origin is a literal: changing it would change every id ever given out."""
    assert ds.document_id("crawl/web-00000.warc.gz#1234") == "66c43140c39ac76d85be9d4e0b9ed325"


def test_content_does_not_depend_on_order_or_shards(tmp_path: Path) -> None:
    """Cut and shuffled otherwise, the same rows have another digest but the same content."""
    rows = [row(i) for i in range(7)]
    one, two = save(tmp_path / "1", rows), save(tmp_path / "2", rows[4:], rows[:4])

    assert one.content == two.content
    assert one.digest != two.digest
    assert one.content != save(tmp_path / "3", rows[:6]).content


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    """Two writers, one digest."""
    assert save(tmp_path / "1", [row(1)]).digest == save(tmp_path / "2", [row(1)]).digest


def test_an_aborted_shard_leaves_nothing(tmp_path: Path) -> None:
    """Neither a shard under its name nor a temporary file."""
    writer = ds.ShardWriter(tmp_path, "00000.parquet", ds.DOCUMENTS)
    writer.write(row(1))
    writer.abort()

    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_folder_without_manifest_is_no_dataset(tmp_path: Path) -> None:
    """Shards alone are not taken for data."""
    write(tmp_path, [row(1)])
    with pytest.raises(InputError, match="no manifest.json, so this is no finished dataset"):
        ds.Dataset.load(tmp_path)


@pytest.mark.parametrize("harm", ["cut", "flip", "gone"])
def test_a_harmed_shard_is_refused(tmp_path: Path, harm: str) -> None:
    """A shard that is not the one of the manifest is an error, never a shorter dataset."""
    found = save(tmp_path, [row(i) for i in range(50)])
    path = found.paths()[0]
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-10] if harm == "cut" else bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(InputError, match=r"00000\.parquet: .*; delete .* and run again"):
        list(found.tables())


def test_a_stray_file_is_not_read(tmp_path: Path) -> None:
    """Readers take the list of shards from the manifest."""
    found = save(tmp_path, [row(1)])
    write(tmp_path, [row(2)], "00001.parquet")

    assert pa.concat_tables(found.tables())["text"].to_pylist() == ["text 1"]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC in any write becomes an OutputError that says what to do."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = ds.ShardWriter(tmp_path, "00000.parquet", ds.DOCUMENTS)
    writer.write(row(1))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="cannot write: no space left on the disk; make room and run it again"):
        writer.commit()

    assert not (tmp_path / "00000.parquet").exists()


def test_importing_a_room_is_light() -> None:
    """filters.errors and the recipe models import without Spark, fastText or a chart library."""
    heavy = "{'pyspark', 'fasttext', 'altair', 'numba'}"
    code = f"import sys, pipelines.recipe, pipelines.cli; print(sorted({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"

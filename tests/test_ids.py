"""Which ids survive what: other files, other orders, other compression; and one answer for any number of workers."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from pydantic import TypeAdapter
from small import build, digests, plan, write_input, write_rows

from pipelines.dataset import Dataset
from pipelines.engine import InlineEngine, make_engine
from pipelines.inputs import InputFile
from pipelines.recipe import Source
from pipelines.sources import Rejected, read_file

Pack = Callable[[Sequence[bytes]], bytes]
PACKS: dict[str, Pack] = {  # of the records of an archive, by the ending of its name
    "a.warc": b"".join,
    "a.warc.gz": lambda records: b"".join(gzip.compress(r, 9) for r in records),
    "b.warc.gz": lambda records: gzip.compress(b"".join(records)),  # against the rules, and common
    "a.warc.zst": lambda records: b"".join(zstandard.compress(r) for r in records),
}


def page(number: int, named: bool = True) -> bytes:
    """A response record, perhaps without its id."""
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body>%d%s</body></html>" % (number, b"x" * 300)
    own = b"WARC-Record-ID: <urn:uuid:%d>\r\n" % number if named else b""
    return b"WARC/1.0\r\nWARC-Type: response\r\n%sContent-Length: %d\r\n\r\n%s\r\n\r\n" % (own, len(http), http)


def ids(folder: Path, name: str, data: bytes, mode: str) -> list[tuple[str, str, bool]]:
    """(id, origin, whether it was rejected) of each record of an archive."""
    path = folder / name
    path.write_bytes(data)
    source = TypeAdapter(Source).validate_python({"format": "warc", "name": "s", "path": name, "ids": mode})
    found = []
    for one in read_file(source, InputFile("s", name, str(path), path.stat().st_size, ""), Counter()):
        doc = one.doc if isinstance(one, Rejected) else one
        found.append((doc.id, doc.metadata["origin"], isinstance(one, Rejected)))
    return found


@pytest.mark.parametrize("name", PACKS)
def test_archives_may_be_packed_anew_with_ids_from_records(name: str, tmp_path: Path) -> None:
    """WARC-Record-ID makes the ids, whatever the compression and the order; a record without one is rejected."""
    plain = ids(tmp_path, "plain.warc", b"".join(page(n) for n in range(9)), "record")
    again = ids(tmp_path, name, PACKS[name]([page(n) for n in reversed(range(9))]), "record")

    assert [i for i, _, _ in again] == [i for i, _, _ in reversed(plain)]
    assert [r for _, _, r in ids(tmp_path, name, PACKS[name]([page(1), page(2, named=False)]), "record")] == [0, 1]


@pytest.mark.parametrize("name", PACKS)
def test_no_two_records_of_an_archive_share_an_origin(name: str, tmp_path: Path) -> None:
    """Not even where all are one gzip member, and the reader's position stands still."""
    found = ids(tmp_path, name, PACKS[name]([page(n) for n in range(50)]), "origin")

    assert len({i for i, _, _ in found}) == len({o for _, o, _ in found}) == 50


def contents(root: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on how records are cut into files: but for the one that has no id."""
    removed = sorted(
        (row["id"], row["stage"], row["reason"], row["score"])
        for table in Dataset.load(root / "out" / "ledger").tables()
        for row in table.to_pylist()
        if row["reason"] != "not_json"
    )
    names = ("corpus", "clusters")  # evidence of contamination names the origin
    return {name: manifest["datasets"][name]["content"] for name in names} | {"removed": removed}


def cut_anew(root: Path, files: int, name: str) -> None:
    """The rows of the small input, shuffled, in so many files of other names."""
    rows = [line for path in sorted((root / "in").iterdir()) for line in path.read_bytes().splitlines()]
    random.Random(files).shuffle(rows)
    for path in (root / "in").iterdir():
        path.unlink()
    for number in range(files):
        data = b"".join(row + b"\n" for row in rows[number::files])
        (root / "in" / name.format(number)).write_bytes(gzip.compress(data) if name.endswith("gz") else data)


def test_records_may_be_cut_into_other_files(tmp_path: Path) -> None:
    """From 3 files to 11, shuffled, renamed and compressed: the same corpus, decisions and clusters."""
    found = []
    for files, name in ((3, "part-{}.jsonl"), (11, "other-{}.jsonl.gz")):
        root = tmp_path / str(files)
        write_input(root, 3)
        cut_anew(root, files, name)
        found.append(contents(root, build(plan(root, ids="record"))))

    assert found[0] == found[1]
    assert {reason for _, _, reason, _ in found[0]["removed"]} >= {
        "exact_duplicate",
        "near_duplicate",
        "contaminated:farm",
    }


def test_ids_from_origins_name_files(tmp_path: Path) -> None:
    """The same rows in a file of another name have other ids."""
    rows = [{"text": f"row {n}"} for n in range(3)]
    found = []
    for name in ("a.jsonl", "b.jsonl"):
        write_rows(tmp_path / name / "in" / name, rows)
        build(plan(tmp_path / name, stages=[{"stage": "tokens"}]))
        tables = Dataset.load(tmp_path / name / "out" / "corpus").tables(["id"])
        found.append({i for table in tables for i in table["id"].to_pylist()})

    assert not found[0] & found[1]


def test_seven_workers_and_a_shuffled_order_of_files(tmp_path: Path) -> None:
    """All digests are those of the inline engine; test_engines.py has other numbers, and Spark."""
    write_input(tmp_path, 7)
    expected = digests(build(plan(tmp_path, "whole"), InlineEngine()))
    names = [f"in/part-{n}.jsonl" for n in range(7)]
    random.Random(7).shuffle(names)
    found = digests(build(plan(tmp_path, "out", path=names), make_engine("local", 7)))

    assert found == expected
    assert found.keys() == {"corpus", "removed", "ledger", "evidence", "clusters"}

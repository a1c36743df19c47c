"""Trace: an index answers what a scan answers, for every document, and is not believed where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_build import DOCUMENTS, doc, write_build
from small import build, plan, write_input

from filters.errors import InputError
from pipelines import trace_index
from pipelines.dataset import Dataset
from pipelines.trace import Scan, trace
from pipelines.trace_index import Index, write_index


def answers(root: Path, ids: list[str]) -> list[dict[str, Any]]:
    return [trace(root, one) for one in ids]


def without_index(root: Path) -> None:
    (root / "index" / "manifest.json").unlink()


def crowd(count: int) -> list[dict[str, Any]]:
    """Documents of which some repeat their id, and some went for others; one in seven has a strange id."""
    docs = [doc(f"k{n}" if n % 7 else f'"ü\\{n}', f"text {n}") for n in range(count)]
    gone = [
        doc(f"r{n % 90}", stage="exact_dedup", reason="exact_duplicate", evidence=[{"kept": docs[n % 9]["id"]}])
        for n in range(count // 2)
    ]
    return docs + gone


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("entries", [100, 1 << 22])
def test_the_index_answers_what_the_scan_answers(
    shards: int, entries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every document of two builds, with the index in one file and in many."""
    monkeypatch.setattr(trace_index, "_ENTRIES", entries)
    monkeypatch.setattr(trace_index, "_READ_ROWS", 64)
    for number, docs in enumerate((DOCUMENTS, crowd(400))):
        root = write_build(tmp_path / str(number), docs, shards)
        ids = sorted({d["id"] for d in docs})
        write_index(root)
        found = answers(root, ids)
        assert Index.of(root)
        without_index(root)
        assert Index.of(root) is None

        assert found == answers(root, ids)
    assert found[0]["similar_removed"] or any(one["similar_removed"] > 20 for one in found)
    assert len(list((root / "index").glob("*.bin"))) == (1 if entries > 1000 else 16)


def test_equal_hashes_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all documents have one hash, the answers are the same."""
    monkeypatch.setattr(trace_index.xxhash, "xxh3_64_intdigest", lambda _: 5)
    root = write_build(tmp_path, DOCUMENTS, 2)
    write_index(root)
    found = answers(root, [d["id"] for d in DOCUMENTS])
    without_index(root)

    assert found == answers(root, [d["id"] for d in DOCUMENTS])


def test_a_build_has_an_index_and_trace_does_not_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's answer comes from it."""
    write_input(tmp_path)
    build(plan(tmp_path))
    [one, *_] = next(iter(Dataset.load(tmp_path / "out" / "removed").tables(["id"])))["id"].to_pylist()
    expected = [Scan(tmp_path / "out").rows("removed", one), list(Scan(tmp_path / "out").keeper_rows(one))]
    monkeypatch.setattr(Scan, "rows", None)
    index = Index.of(tmp_path / "out")

    assert index
    assert [index.rows("removed", one), list(index.keeper_rows(one))] == expected
    assert not trace(tmp_path / "out", one)["lives"][0]["kept"]


def test_an_index_of_other_bytes_is_not_used(tmp_path: Path) -> None:
    """A build that was made again has other rows in other places."""
    write_index(write_build(tmp_path, DOCUMENTS, 2))
    write_build(tmp_path, DOCUMENTS[::-1], 1)

    assert Index.of(tmp_path) is None
    assert trace(tmp_path, "k1")["similar_removed"] == 2


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_index_is_named(damage: str, tmp_path: Path) -> None:
    """One line that says how to go on without it."""
    write_index(write_build(tmp_path, DOCUMENTS))
    file = tmp_path / "index" / "00000.bin"
    file.unlink() if damage == "gone" else file.write_bytes(file.read_bytes()[::-1])

    with pytest.raises(InputError, match=r"00000\.bin: .*; delete .*index, and trace scans instead$"):
        trace(tmp_path, "k1")


def test_a_document_that_is_none_is_named(tmp_path: Path) -> None:
    """Whether there is an index or not."""
    write_index(write_build(tmp_path, DOCUMENTS))
    for _ in range(2):
        with pytest.raises(InputError, match="no document 'k9'"):
            trace(tmp_path, "k9")
        (tmp_path / "index" / "manifest.json").unlink(missing_ok=True)

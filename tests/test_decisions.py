"""A decision cut by rank against the same decision as a whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.errors import AccountingError
from pipelines.dataset import Dataset
from pipelines.decisions import (
    RANK,
    ApplyDecision,
    Artefact,
    decision_rows,
    document_key,
    load_decision,
    ranked_tables,
    save_decision,
)
from pipelines.tables import write_table

ROWS = st.dictionaries(st.binary(min_size=16, max_size=16), st.integers(0, 6), max_size=40)
FEW_BYTES = st.integers(0, 300).map(lambda n: b"\0" * 7 + n.to_bytes(2) + b"\0" * 7)  # halves that are equal


@given(st.one_of(ROWS, st.dictionaries(FEW_BYTES, st.integers(0, 6))), st.lists(FEW_BYTES))
@settings(max_examples=40)
def test_the_cut_is_the_whole(rank_of: dict[bytes, int], others: list[bytes]) -> None:
    """Every key is found in its rank and in no other, with the row that the whole has; no other key is found."""
    rows = [(rank, key, "near_duplicate", 0.5, {"kept": key.hex()}) for key, rank in rank_of.items()]
    with tempfile.TemporaryDirectory() as folder:
        saved = save_decision(Path(folder), "k", decision_rows(rows))
        whole, parts = load_decision(folder), [load_decision(folder, rank) for rank in range(8)]

    assert saved.rows == len(rank_of) == sum(len(part.high) for part in parts)
    for key, rank in rank_of.items():
        row = whole.find(key)
        assert row is not None
        assert row["key"] == key
        assert [part.find(key) for part in parts] == [row if at == rank else None for at in range(8)]
    assert not any(whole.find(key) for key in others if key not in rank_of)


def test_rows_of_keys_know_their_rank(tmp_path: Path) -> None:
    """The number of the shard, whatever columns stand beside it and in whatever order."""
    shards = tuple(
        write_table(tmp_path, f"{n:05d}.parquet", pa.table({"a": ["x"] * n, "b": ["y"] * n})) for n in (2, 0, 3)
    )
    tables = ranked_tables(Dataset(tmp_path, shards, "k"))

    found = pa.concat_tables(tables(["b", RANK.name]))

    assert found.column_names == ["b", "rank"]
    assert found["rank"].to_pylist() == [0, 0, 2, 2, 2]
    assert [t.column_names for t in tables(["a"])] == [["a"], ["a"]]


def test_a_document_that_was_decided_against_and_does_not_come_is_an_error(tmp_path: Path) -> None:
    """Documents in other ranks than their keys would keep duplicates without a word."""
    doc = Document(text="a", id="1", metadata={"origin": "s/a#0"})
    save_decision(tmp_path / "decision", "k", decision_rows([(3, document_key(doc), "url_duplicate", None, {})]))

    assert list(ApplyDecision("exact_dedup", Artefact(str(tmp_path), "")).run(iter([doc]), 3, 4)) == []
    with pytest.raises(AccountingError, match="rank 3: 1 are to go, but 0 of them came"):
        list(ApplyDecision("exact_dedup", Artefact(str(tmp_path), "")).run(iter(()), 3, 4))

"""Cells of Parquet that are larger than memory should be: a verdict, and all other rows as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cells import UNREAD, cell_rows

KINDS = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.list_(pa.int64())]
LIMIT = 5  # characters, so 20 bytes


def cell(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values on both sides of the limit, and nulls."""
    if pa.types.is_list(kind):
        return st.none() | st.lists(st.integers(0, 9), max_size=40)
    text = st.text(st.sampled_from("aé数"), max_size=30)
    return st.none() | (text.map(str.encode) if "binary" in str(kind) else text)


@given(st.data(), st.sampled_from(KINDS), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_all_rows_come_and_only_giants_are_unread(data: st.DataObject, kind: pa.DataType, group: int, few: int) -> None:
    """Whatever the type of the column, the size of row groups and the rows that are read together."""
    cells = data.draw(st.lists(cell(kind), min_size=1, max_size=9))
    rows = pa.table({"n": list(range(len(cells))), "text": pa.array(cells, kind)})
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(rows, f"{folder}/a.parquet", row_group_size=group)
        with pq.ParquetFile(f"{folder}/a.parquet") as file:
            found = [row for g in range(file.num_row_groups) for row in cell_rows(file, g, few, "text", LIMIT)]

    texts = [one.encode() if isinstance(one, str) else one for one in cells]
    giant = [isinstance(one, bytes) and len(one) > 4 * LIMIT for one in texts]
    assert found == [
        {"n": n, "text": UNREAD if big else one} for n, (one, big) in enumerate(zip(cells, giant, strict=True))
    ]


@pytest.mark.parametrize("others", [["id"], []])
def test_a_giant_that_is_a_row_group_by_itself_is_not_read(tmp_path: Path, others: list[str]) -> None:
    """Its bytes may be anything; the other columns of the row come."""
    path = tmp_path / "a.parquet"
    giant = "".join(chr(97 + n * n % 23) for n in range(100_000))
    columns = {"text": [giant], **{name: ["x"] for name in others}}
    pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    begin = chunk.data_page_offset
    data[begin : begin + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(bytes(data))

    with pq.ParquetFile(path) as file:
        assert list(cell_rows(file, 0, 64, "text", LIMIT)) == [{"text": UNREAD, **dict.fromkeys(others, "x")}]
        with pytest.raises(OSError, match=r"."):
            list(cell_rows(file, 0, 64, "text", len(giant)))

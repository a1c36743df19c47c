"""A rank streams, a document that is too large gets a verdict and no memory, and a worker can be limited."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from small import build, digests, plan, write_input
from test_cli import run
from test_sources import record

from filters.errors import AccountingError, MemoryLimitError
from pipelines import dataset as ds
from pipelines import sources
from pipelines.build import Build
from pipelines.decisions import Artefact, document_key
from pipelines.engine import InlineEngine
from pipelines.engine_datatrove import LocalEngine
from pipelines.inputs import InputFile
from pipelines.memory import memory_limit, resident_mb
from pipelines.recipe import DecontaminateStage, ParquetSource, Recipe
from pipelines.scan_reduce import SCANS, STOCK, ApplyScans
from pipelines.sources import Rejected, read_file
from pipelines.tables import save_table, write_table, write_tables

GIANT = 30_000_000  # bytes; sources below allow one megabyte


def hold_more(megabytes: int) -> None:
    """Takes memory in steps, and touches it."""
    held = []
    while len(held) < megabytes:
        held.append(np.ones(1 << 20, np.uint8))
        sum(range(20_000))  # time in which a watcher can look


def test_a_worker_that_passes_its_limit_ends_with_one_line() -> None:
    """The error names the rank, what is held and what was allowed; it comes before all is taken."""
    before = resident_mb()

    line = r"^rank 3: holds [\d,]+ MB, more than --worker-memory \d+; "
    with pytest.raises(MemoryLimitError, match=line) as told, memory_limit(before + 100, "rank 3"):
        hold_more(1_000)

    assert "\n" not in str(told.value)
    assert resident_mb() < before + 600


def test_no_step_takes_the_limit_for_a_broken_document() -> None:
    """What is raised passes through steps that catch every Exception."""

    def careless() -> None:
        try:
            hold_more(1_000)
        except Exception:  # noqa: BLE001 - what a careless step does
            return

    with pytest.raises(MemoryLimitError), memory_limit(resident_mb() + 100, "rank 0"):
        careless()


@pytest.mark.parametrize("limit", [None, 1_000_000])
def test_below_the_limit_nothing_happens(limit: int | None) -> None:
    """The block runs to its end, and nothing is raised behind it."""
    with memory_limit(limit, "rank 0"):
        hold_more(50)
    hold_more(50)


@pytest.mark.parametrize("make", [InlineEngine, lambda: LocalEngine(2)], ids=["inline", "local"])
def test_a_build_that_was_stopped_by_its_limit_goes_on(tmp_path: Path, make: Any) -> None:
    """No rank counts as done, and with more memory the answer is that of a build without a limit."""
    write_input(tmp_path, files=2)
    expected = digests(build(plan(tmp_path, "undisturbed")))

    with pytest.raises(MemoryLimitError, match=r"rank \d: holds"):
        Build(plan(tmp_path), make, memory_mb=1).run()
    assert not list((tmp_path / "out").rglob("done.json"))

    assert digests(Build(plan(tmp_path), make, memory_mb=1_000_000).run()) == expected


def test_the_option_is_obeyed(tmp_path: Path) -> None:
    """`--worker-memory` ends with exit code 2 and one line."""
    write_input(tmp_path)
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nsources: [{format: jsonl, name: s, path: in}]\nstages: [{stage: tokens}]\n")

    code, _, told = run("build", recipe, "--engine", "inline", "--out", tmp_path / "o", "--worker-memory", "1")

    assert code == 2
    assert "more than --worker-memory 1;" in told.splitlines()[-1]


# --- giants -----------------------------------------------------------------------------------------------------------


def giant(kind: str, folder: Path) -> Path:
    """A file of a format with one document of GIANT bytes, and where the format has records a small one behind it."""
    body = b"two is even. " * (GIANT // 13)
    path = folder / f"a.{kind}"
    if kind == "jsonl":
        path.write_bytes(b'{"text":"' + body + b'"}\n{"text":"1 + 1 = 2"}\n')
    elif kind == "warc":
        path.write_bytes(record(b"<html><p>" + body) + record(b"<html><p>1 + 1 = 2"))
    else:
        path.write_bytes(b"<html><p>" + body)
    return path


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        ("jsonl", ["too_large", None]),
        ("warc", ["too_large", None]),
        ("html", ["too_large"]),
        ("text", ["too_large"]),
        ("code", ["too_large"]),
    ],
)
def test_a_giant_gets_a_verdict_and_no_memory(tmp_path: Path, kind: str, reasons: list[str | None]) -> None:
    """It is removed as too_large, the record behind it is read, and Python never holds a quarter of it."""
    path = giant(kind, tmp_path)
    source = {"format": kind, "name": "s", "path": "in", "max_document_mb": 1}
    [made] = Recipe.model_validate({"name": "r", "sources": [source], "stages": [{"stage": "extract"}]}).sources
    file = InputFile("s", path.name, str(path), path.stat().st_size, "")

    tracemalloc.start()
    found = [one.reason if isinstance(one, Rejected) else None for one in read_file(made, file, Counter())]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found == reasons
    assert peak < GIANT / 4


def test_large_rows_of_parquet_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 rows of 20 MB would be more than a gigabyte; all come, in order, and a giant among them is removed."""
    monkeypatch.setattr(sources, "BYTES_PER_GROUP", 1_000_000)
    texts = [f"{n} " * 100_000 for n in range(10)] + ["long " * 250_000]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=6)
    asked: list[int] = []
    read = pq.ParquetFile.iter_batches

    def spy(file: pq.ParquetFile, batch_size: int, row_groups: list[int]) -> Any:
        asked.append(batch_size)
        return read(file, batch_size, row_groups)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    source = ParquetSource(name="s", path="in", format="parquet", max_document_mb=1)
    found = list(read_file(source, InputFile("s", "a.parquet", str(tmp_path / "a.parquet"), 1, ""), Counter()))

    assert asked == [4, 2]
    assert [one.text for one in found if isinstance(one, Document)] == texts[:10]
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["too_large"]


# --- streams ----------------------------------------------------------------------------------------------------------


def test_tables_are_written_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are there in order, in row groups of bounded size, and no later table is asked for before a write."""
    monkeypatch.setattr(ds, "BYTES_PER_GROUP", 8_000)
    schema = pa.schema([("n", pa.int64())], metadata={"mathcorpus": "test-1"})
    sizes = []

    def tables() -> Iterator[pa.Table]:
        for first in range(0, 20_000, 500):
            sizes.append(sum(f.stat().st_size for f in (tmp_path / "_tmp").iterdir()))
            yield pa.table({"n": range(first, first + 500)}, schema=schema)

    shard = write_tables(tmp_path, "a.parquet", schema, tables())

    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert shard.rows == 20_000
    assert file.read()["n"].to_pylist() == list(range(20_000))
    assert file.num_row_groups >= 20
    assert sizes[-1] > 10 * max(1, sizes[0])


def test_no_tables_make_a_shard_without_rows(tmp_path: Path) -> None:
    """It has the schema, and can be read."""
    schema = pa.schema([("n", pa.int64())], metadata={"mathcorpus": "test-1"})

    assert write_tables(tmp_path, "a.parquet", schema, iter(())).rows == 0
    assert pq.read_table(tmp_path / "a.parquet").schema.names == ["n"]


def test_documents_are_read_a_row_group_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch never spans row groups, each of which a writer has bounded in bytes."""
    monkeypatch.setattr(ds, "BYTES_PER_GROUP", 100)
    writer = ds.ShardWriter(tmp_path, "a.parquet", ds.DOCUMENTS)
    for number in range(10):
        writer.write(ds.document_to_row(Document(text=f"{number}" * 100, id=str(number), metadata={"origin": "o"})))
    shard = writer.commit()
    asked: list[list[int]] = []
    read = pq.ParquetFile.iter_batches

    def spy(file: pq.ParquetFile, batch_size: int, row_groups: list[int]) -> Any:
        asked.append(row_groups)
        return read(file, batch_size, row_groups)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)

    assert [doc.id for doc in ds.read_documents(tmp_path, shard)] == [str(n) for n in range(10)]
    assert asked == [[n] for n in range(10)]


def test_a_scanned_document_that_does_not_come_again_is_an_error(tmp_path: Path) -> None:
    """Matches are read in step with the documents; one that is left over is a bug, and said."""
    doc = Document(text="a", id="1", metadata={"origin": "s/a#0"})
    rows = pa.table([[document_key(doc)], [[]], [b"[]"]], schema=SCANS)
    found = ds.Dataset(tmp_path / "keys", (write_table(tmp_path / "keys", "00000.parquet", rows),), "k")
    found.save(SCANS)
    save_table(tmp_path / "decision", "k", STOCK.empty_table())
    config = DecontaminateStage(stage="decontaminate", against="b")
    step = ApplyScans(config, Artefact("", ""), Artefact(str(tmp_path), ""))

    with pytest.raises(AccountingError, match="did not come again"):
        list(step.run(iter(()), 0, 1))

"""The corpus of a build is read as it is by the libraries that people train and count with: same rows, same types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_build import doc, write_build

DOCS = [
    doc("k1", "one α", parents=["p1", "p2"], tokens=3, math_score=0.5, metadata='{"a":1}'),
    doc("k2", "设 𝔸 是三角形，\n$a>0$。", language="zh", licence="CC0"),
    doc("k3", "", parents=[]),
    doc("r1", "gone", stage="quality", reason="too_short"),
]
SHARDS = 6  # more than documents: some are empty
EXPECTED = [
    ("k1", "one α", ["p1", "p2"], 3, 0.5, None),
    ("k2", "设 𝔸 是三角形，\n$a>0$。", None, None, None, "zh"),
    ("k3", "", [], None, None, None),
]
COLUMNS = ("id", "text", "parents", "tokens", "math_score", "language")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of a build of few documents in many shards; most columns have no value at all."""
    return write_build(tmp_path_factory.mktemp("build"), DOCS, SHARDS) / "corpus"


def rows(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[c] for c in COLUMNS) for row in found)


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, with a cache of its own and no network."""
    found = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    return found


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_the_shards(corpus: Path, datasets: Any, streaming: bool) -> None:
    """By a pattern, at once or streamed; an empty column keeps its type."""
    found = datasets.load_dataset("parquet", data_files=str(corpus / "*.parquet"), split="train", streaming=streaming)

    assert rows(list(found)) == EXPECTED
    if not streaming:
        kinds = {name: str(getattr(kind, "dtype", kind)) for name, kind in found.features.items()}
        assert (kinds["lm_score"], kinds["code_rule"], kinds["tokens"]) == ("float64", "string", "int64")


def test_datasets_reads_the_folder(corpus: Path, datasets: Any) -> None:
    """The manifest that lies beside the shards is no hindrance."""
    assert rows(list(datasets.load_dataset(str(corpus), split="train"))) == EXPECTED


def test_polars_reads_the_shards(corpus: Path) -> None:
    """At once and lazily."""
    polars = pytest.importorskip("polars")
    lazy = polars.scan_parquet(corpus / "*.parquet").filter(polars.col("language") == "zh").select("id")

    assert rows(polars.read_parquet(corpus / "*.parquet").to_dicts()) == EXPECTED
    assert lazy.collect().to_dicts() == [{"id": "k2"}]


def test_duckdb_reads_the_shards(corpus: Path) -> None:
    """By SQL; a list is a list, a null a null."""
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        found = connection.sql(f"select {', '.join(COLUMNS)} from '{corpus}/*.parquet' order by id").fetchall()
        [counted] = connection.sql(
            f"select count(*), count(lm_score), sum(len(parents)) from '{corpus}/*.parquet'"
        ).fetchall()

    assert found == EXPECTED
    assert counted == (3, 0, 2)


def test_spark_reads_the_shards(corpus: Path, spark: Any) -> None:
    """As one frame with the types of the schema."""
    frame = spark.read.parquet(str(corpus / "*.parquet"))
    kinds = dict(frame.dtypes)

    assert rows([row.asDict() for row in frame.collect()]) == EXPECTED
    assert (kinds["parents"], kinds["tokens"], kinds["lm_score"]) == ("array<string>", "bigint", "double")

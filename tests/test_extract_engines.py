"""One page, one text: the command, the step in a pipeline of datatrove, and Spark give the same bytes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from datatrove.data import Document, Media
from test_extract_command import crawl, extracted, shards

from filters.extract_step import Extract
from pipelines.arrow_steps import SCHEMA, as_map_in_arrow
from pipelines.build import Build
from pipelines.dataset import Dataset
from pipelines.engine import make_engine
from pipelines.inputs import InputFile
from pipelines.plan import make_plan
from pipelines.recipe import Recipe, WarcSource
from pipelines.sources import Rejected, read_file

Texts = dict[str, str]  # by address
WORKERS = 2


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl in three files."""
    folder = tmp_path_factory.mktemp("crawl")
    for name in "abc":
        (folder / f"{name}.warc.gz").write_bytes(crawl(f"{name}.example"))
    return folder


@pytest.fixture(scope="module")
def commanded(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of it, on one core."""
    out = tmp_path_factory.mktemp("command")
    extracted(out, archive, "--workers", "1")
    return out


def corpus(out: Path) -> Texts:
    rows = [row for table in Dataset.load(out / "corpus").tables(["url", "text"]) for row in table.to_pylist()]
    return {row["url"]: row["text"] for row in rows}


def documents(archive: Path) -> list[Document]:
    """The pages of the crawl as the reader gives them."""
    found = []
    for path in sorted(archive.iterdir()):
        source = WarcSource(format="warc", name="warc", path=str(path))
        file = InputFile("warc", path.name, str(path), path.stat().st_size, "")
        found += [d for d in read_file(source, file, Counter()) if not isinstance(d, Rejected)]
    return found


@pytest.mark.parametrize(("name", "workers"), [("local", WORKERS), ("spark", WORKERS)])
def test_builds_on_engines_give_the_bytes_of_the_command(
    name: str, workers: int, archive: Path, commanded: Path, tmp_path: Path, request: Any
) -> None:
    """Corpus, removed and ledger, shard for shard: the command and a recipe with one stage are the same run."""
    source = {"format": "warc", "name": "warc", "path": [str(archive)]}
    recipe = Recipe.model_validate({"name": "extract", "sources": [source], "stages": [{"stage": "extract"}]})

    def engine() -> Any:
        if name == "local":
            return make_engine(name, workers)
        from pipelines.engine_spark import SparkEngine

        return SparkEngine(workers, session=request.getfixturevalue("spark"))

    Build(make_plan(recipe, Path(), tmp_path), engine).run()

    assert shards(tmp_path) == shards(commanded)


def test_the_step_in_a_pipeline_of_datatrove_gives_the_texts_of_the_command(archive: Path, commanded: Path) -> None:
    """Documents with the page as media."""
    kept = list(Extract().run(iter(documents(archive))))

    assert {doc.metadata["url"]: doc.text for doc in kept} == corpus(commanded)
    assert len(kept) > 50


def test_a_dataframe_of_pages_gives_the_texts_of_the_command(archive: Path, commanded: Path, spark: Any) -> None:
    """`mapInArrow` over a column of bytes; the charset of the HTTP header is a column beside it."""
    rows = []
    for doc in documents(archive):
        media: Media = doc.media[0]
        rows.append([doc.id, doc.metadata["url"], media.media_bytes, media.metadata.get("charset")])
    columns = dict(zip(("id", "url", "html", "charset"), map(list, zip(*rows, strict=True)), strict=True))
    function = as_map_in_arrow([Extract(html_in_text=True)], text_column="html")
    found = spark.createDataFrame(pa.table(columns)).mapInArrow(function, SCHEMA).toArrow().to_pylist()

    texts = {orjson.loads(row["metadata"])["url"]: row["text"] for row in found if row["kept"]}
    assert texts == corpus(commanded)
    assert {row["reason"] for row in found if not row["kept"]} == {"no_content"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # see test_page_limits
def test_a_page_that_takes_too_long_stops_nothing(
    archive: Path, commanded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the command it is removed as too_slow, with what it is in removed/; the others are what they were."""
    slow = "<p>" + "Let \\(x_1\\) be prime. " * 20_000
    (tmp_path / "slow.html").write_text(slow)
    monkeypatch.setattr("filters.html.MAX_CPU_S", 0.05)
    report = extracted(tmp_path / "out", archive, tmp_path / "slow.html", "--workers", "1")

    assert report["removed"]["too_slow"] >= 1
    assert corpus(tmp_path / "out").items() <= corpus(commanded).items()
    assert len(corpus(tmp_path / "out")) > 50

"""Mixes and packed sequences, published beside the corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from publishing import make_build, run
from small_tokenizer import save

from pipelines import dataset as ds
from pipelines.cli import main

MIXES = [
    {
        "name": "bilingual",
        "parts": [
            {"name": "books", "where": {"source": "book"}, "epochs": 2},
            {"name": "pages", "where": {"source": "web"}, "epochs": 0.5},
        ],
    }
]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build with a mix and packed sequences."""
    root = tmp_path_factory.mktemp("build")
    folder = make_build(root, mixes=MIXES)
    pack(folder, save(root / "tiny" / "tokenizer.json"))
    return folder


def pack(folder: Path, tokenizer: Path) -> None:
    words = ["pack", str(folder), "--tokenizer", str(tokenizer), "--length", "64", "--engine", "inline"]
    result = CliRunner().invoke(main, words)

    assert result.exit_code == 0, result.output


@pytest.fixture
def published(build: Path, tmp_path: Path) -> Path:
    """All of it in a folder."""
    result = run(build, "--to", tmp_path / "out", "--with", "mixes,packed")

    assert result.exit_code == 0, result.output
    return tmp_path / "out"


def test_they_are_published_as_they_are(build: Path, published: Path) -> None:
    """Rows of the mix with part and copy; sequences and files of tokens; neither what was left out nor the tokenizer."""
    mix = pq.read_table(published / "mixes" / "bilingual")
    names = {p.relative_to(published).parts[1] for p in (published / "packed").rglob("*") if p.is_file()}

    assert mix.num_rows == ds.Dataset.load(build / "mixes" / "bilingual").rows
    assert sorted(set(zip(mix["part"].to_pylist(), mix["copy"].to_pylist(), strict=True))) == [
        ("books", 0), ("books", 1), ("pages", 0),
    ]  # fmt: skip
    assert names == {"sequences", "tokens", "manifest.json"}
    for name in ("packed/tokens/00000.ds", "packed/tokens/00000.ds.index", "packed/tokens/00000.ds.metadata"):
        assert (published / name).read_bytes() == (build / name).read_bytes()
    assert not list(published.rglob("*left_out*"))


def test_the_card_tells_of_them(build: Path, published: Path, tmp_path: Path) -> None:
    """A configuration for each, their parts and sizes; without --with no word of them."""
    told = (published / "README.md").read_text()
    head: dict[str, Any] = yaml.safe_load(told.split("---\n")[1])
    packed = orjson.loads((build / "packed" / "manifest.json").read_bytes())

    assert {c["config_name"]: c["data_files"][0]["path"] for c in head["configs"]} == {
        "default": "data/*.parquet",
        "mix-bilingual": "mixes/bilingual/*.parquet",
        "packed": "packed/sequences/*.parquet",
    }
    assert "| bilingual | books | 1 | 2 |" in told
    assert f"{packed['sequences']['count']:,} sequences of 64 tokens" in told
    assert run(build, "--to", tmp_path / "bare").exit_code == 0
    bare = (tmp_path / "bare" / "README.md").read_text() + (tmp_path / "bare" / "report.json").read_text()
    assert not any(word in bare for word in ("## Mixes", "## Packed", '"input_ids"', packed["tokenizer"]["sha256"]))


def test_load_dataset_reads_each(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder, by the names in the card."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    sizes = {
        name: datasets.load_dataset(str(published), name, split="train").num_rows
        for name in ("default", "mix-bilingual", "packed")
    }

    assert sizes == {
        "default": pq.read_table(published / "data").num_rows,
        "mix-bilingual": pq.read_table(published / "mixes" / "bilingual").num_rows,
        "packed": pq.read_table(published / "packed" / "sequences").num_rows,
    }


def test_what_was_packed_of_another_corpus_is_refused(tmp_path: Path) -> None:
    """It may hold documents that were removed since; so may a mix that is not this build's."""
    folder = make_build(tmp_path, mixes=MIXES)
    pack(folder, save(tmp_path / "tiny" / "tokenizer.json"))
    settings = folder / "packed" / "manifest.json"
    about = orjson.loads(settings.read_bytes())
    settings.write_bytes(orjson.dumps(about | {"settings": about["settings"] | {"corpus": "0" * 64}}))
    refused = run(folder, "--to", tmp_path / "published", "--with", "packed")
    other = folder / "mixes" / "bilingual" / "manifest.json"
    mix = orjson.loads(other.read_bytes())
    other.write_bytes(orjson.dumps(mix | {"shards": mix["shards"][:1]}))
    also = run(folder, "--to", tmp_path / "published", "--with", "mixes")

    assert (refused.exit_code, also.exit_code) == (2, 2)
    assert "was packed of another corpus; delete it and run `mathcorpus pack` again" in refused.stderr
    assert "is not the mix of this build" in also.stderr
    assert not (tmp_path / "published").exists()

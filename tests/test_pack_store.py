"""Packing from an object store into one: the same bytes as on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from object_store import environment, serving
from small_tokenizer import TEXTS, save, write_dataset
from test_pack import files, packed

from filters.errors import OutputError
from pipelines import pack as packing
from pipelines.engine import make_engine
from pipelines.places import Remote

s3fs = pytest.importorskip("s3fs", reason="the s3 extra is not installed")
pytest.importorskip("moto", reason="moto is not installed")


@pytest.fixture
def bucket() -> Iterator[Remote]:
    """An empty one."""
    with serving() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(endpoint).items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("corpora")
        yield Remote("s3://corpora")
        s3fs.S3FileSystem.clear_instance_cache()


def test_an_object_store_holds_the_same_bytes(bucket: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In two processes; nothing but the result is left there, and other settings are refused as on disk."""
    monkeypatch.setattr(packing, "BUCKET_TOKENS", 1500)
    tokenizer = save(tmp_path / "tokenizer.json")
    corpus = write_dataset(tmp_path / "corpus", [*TEXTS, ""])
    packed(corpus, tokenizer, tmp_path / "out")
    for path in corpus.iterdir():
        if path.is_file():
            (bucket / "corpus" / path.name).upload(path)
    with closing(make_engine("local", 2)) as engine:
        packed(bucket / "corpus", tokenizer, bucket / "packed", engine)
    there = bucket / "packed"
    names = [name for name in there.files() if name not in ("cost.json", ".lease")]

    assert {name: hashlib.sha256((there / name).read_bytes()).hexdigest() for name in names} == files(tmp_path / "out")
    assert packed(bucket / "corpus", tokenizer, there)["fresh"] is False
    with pytest.raises(OutputError, match="was made with length 64, not 32"):
        packed(bucket / "corpus", tokenizer, there, length=32)

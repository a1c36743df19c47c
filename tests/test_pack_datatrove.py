"""Packed token files are datatrove's: its own reader gives back every token and every position."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_tokenizer import TEXTS, save, train, write_dataset
from test_pack import packed, sequences

from pipelines import pack as packing

LENGTH = 64
METHODS = [("best-fit", "cut"), ("best-fit", "pad"), ("greedy", "cut")]
HIGH = {"id": 70_000, "content": "<far>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}  # fmt: skip


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Packs texts in several buckets, with ids of two or four bytes; (folder, its sequences, its manifest)."""
    monkeypatch.setattr(packing, "BUCKET_TOKENS", 1500)

    def one(method: str, fill: str, size: int) -> tuple[Path, list[dict[str, Any]], dict[str, Any]]:
        tokenizer = train()
        path = save(tmp_path / "tokenizer.json", tokenizer)
        if size == 4:
            model = {"type": "BPE", "vocab": {**tokenizer.get_vocab(), "<far>": HIGH["id"]}, "merges": []}
            save(path, tokenizer, model=model, added_tokens=[{**HIGH, "id": 0, "content": "<|endoftext|>"}, HIGH])
        corpus = write_dataset(tmp_path / "corpus", [*TEXTS, "", " ".join(TEXTS)])
        manifest = packed(corpus, path, tmp_path / "out", method=method, fill=fill)
        return tmp_path / "out", sequences(tmp_path / "out"), manifest

    return one


def positions(row: dict[str, Any]) -> list[int]:
    """Of each token, its place in its piece; padding is a piece of its own."""
    ends = [*row["starts"][1:], row["tokens"], LENGTH]
    begins = [*row["starts"], row["tokens"]]
    return [at for begin, end in zip(begins, ends, strict=True) for at in range(end - begin)]


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(("method", "fill"), METHODS)
def test_datatrove_reads_every_token_and_position(method: str, fill: str, size: int, make: Any) -> None:
    """By its reader of folders, set as the manifest says; in files of two and of four bytes a token."""
    pytest.importorskip("torch", reason="datatrove's reader is one of torch's data sets: pip install torch")
    from datatrove.utils.dataset import DatatroveFolderDataset

    out, rows, manifest = make(method, fill, size)
    settings = manifest["datatrove"]
    data = DatatroveFolderDataset(str(out / "tokens"), **settings, return_positions=True)

    assert settings == {"seq_len": LENGTH - 1, "token_size": size}
    assert [data[n]["input_ids"].tolist() for n in range(len(data))] == [row["input_ids"] for row in rows]
    assert [data[n]["positions"].tolist() for n in range(len(data))] == [positions(row) for row in rows]


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(("method", "fill"), METHODS)
def test_files_are_as_datatrove_writes_them(method: str, fill: str, size: int, make: Any) -> None:
    """Little-endian ids without a header, ends of documents as 64-bit numbers, and a text of three lines."""
    out, rows, _ = make(method, fill, size)
    kind, at = {2: "<u2", 4: "<u4"}[size], 0
    for file in sorted((out / "tokens").glob("*.ds")):
        tokens = np.frombuffer(file.read_bytes(), kind)
        here = rows[at : at + len(tokens) // LENGTH]
        at += len(here)
        index = file.with_name(f"{file.name}.index").read_bytes()
        ends = list(struct.unpack(f"<{len(index) // 8}Q", index))
        begun = [n * LENGTH + s for n, row in enumerate(here) for s, p in enumerate(positions(row)) if p == 0]

        assert tokens.tolist() == [token for row in here for token in row["input_ids"]]
        assert ends == sorted(set(ends))
        assert ends[-1] == len(tokens)
        assert {n for n in begun if n % LENGTH} == {n for n in ends if n % LENGTH}
        assert file.with_name(f"{file.name}.metadata").read_text().splitlines()[:2] == [
            f"tokenizer.json|{size}",
            str(len(tokens)),
        ]
    assert at == len(rows)


def test_a_document_that_goes_on_in_the_next_sequence_ends_once(make: Any) -> None:
    """Greedy files are a stream of documents: their index can be read with any other length."""
    out, rows, manifest = make("greedy", "cut", 2)
    ends = [len(np.fromfile(file, "<u8")) for file in sorted((out / "tokens").glob("*.ds.index"))]
    pieces = sum(len(row["documents"]) for row in rows)

    assert pieces > manifest["documents"]["packed"]
    assert sum(ends) <= manifest["documents"]["packed"] + 2 * len(ends) + 1

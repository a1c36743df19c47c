"""A packing run that was killed goes on, and ends in the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from small_tokenizer import TEXTS, save, write_dataset
from test_pack import files

LENGTH = 64


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("tok") / "tokenizer.json")


def struck(corpus: Path, tokenizer: Path, runs: dict[Path, int]) -> int:
    """Runs that die at a point each; how many points the last has that did not die."""
    script = Path(__file__).with_name("pack_killed.py")
    count = corpus.parent / "count"
    command = [sys.executable, script, corpus, tokenizer, count, *(f"{out}={at}" for out, at in runs.items())]
    paths = f"{REPOSITORY}:{script.parent}"
    subprocess.run([*map(str, command)], check=True, env={**os.environ, "PYTHONPATH": paths}, timeout=240)
    return int(count.read_text()) if count.exists() else 0


def test_a_run_that_was_killed_goes_on(tokenizer: Path, tmp_path: Path) -> None:
    """Killed while shards, indexes, tails and manifests are written, before and behind their renaming."""
    corpus = write_dataset(tmp_path / "c", [*TEXTS, ""])
    count = struck(corpus, tokenizer, {tmp_path / "whole": 0})
    points = sorted({1, 2, *(count * n // 5 for n in range(1, 5)), count - 3, count - 1, count})
    outs = {tmp_path / f"o{point}": point for point in points}
    struck(corpus, tokenizer, outs)

    assert count > 40
    assert [out.name for out in outs if not (out / "work").exists()] == []
    struck(corpus, tokenizer, dict.fromkeys(outs, 0))
    whole = files(tmp_path / "whole")
    assert {out.name: files(out) == whole for out in outs} == {out.name: True for out in outs}

"""Recalls of a synthetic web, small enough for a test, and what they found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from synthetic_web import Page

from pipelines.dataset import file_sha256
from pipelines.engine import Engine, InlineEngine
from pipelines.recall import Recall
from pipelines.recall_recipe import RecallRecipe

TRAIN = {"dim": 50, "min_count": 1, "epochs": 5, "learning_rate": 0.5, "word_ngrams": 2, "density": False}


def recipe(**changes: Any) -> RecallRecipe:
    """A recipe for what `synthetic_web.write_web` writes."""
    labelled = {name: {k: f"{name}/{k}.jsonl" for k in ("positive", "negative")} for name in ("seeds", "test")}
    given = {
        "name": "synthetic",
        "shard_mb": 0.3,
        "sources": [{"format": "jsonl", "name": "web", "path": "web"}],
        "seeds": labelled["seeds"],
        "evaluate": labelled["test"],
        "train": TRAIN,
    }
    return RecallRecipe.model_validate({**given, **changes})


def recall(root: Path, out: str = "out", engine: Engine | None = None, last: int | None = None, **changes: Any) -> Any:
    """Runs a recall in a folder; its report."""
    return Recall(recipe(**changes), root, root / out, lambda: engine or InlineEngine()).run(last)


def tree(folder: Path) -> dict[str, str]:
    """Digest of every file of a recall, but those of its cost and of what the build of the documents keeps."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    names = {p.relative_to(folder).as_posix(): p for p in files}
    return {
        name: file_sha256(path)[0]
        for name, path in names.items()
        if "/cost/" not in name and not name.startswith("documents/") and not path.name.startswith(".")
    }


def caught_urls(cycle: Path) -> set[str]:
    """Addresses of the pages that a cycle caught."""
    found: set[str] = set()
    for scores in sorted((cycle / "score" / "scores").glob("*.parquet")):
        urls = pq.read_table(scores)["url"].to_pylist()
        marks = pq.read_table(cycle / "choose" / "marks" / scores.name)["caught"].to_pylist()
        found |= {url for url, caught in zip(urls, marks, strict=True) if caught}
    return found


def recall_and_precision(pages: Sequence[Page], caught: set[str]) -> tuple[float, float]:
    """Share of the mathematical pages that were caught, and of the caught that are mathematical."""
    right = sum(page.is_math for page in pages if page.url in caught)
    return right / sum(page.is_math for page in pages), right / len(caught)

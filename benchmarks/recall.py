"""The folded scorer against fastText's own predict, and the recall stage as a build runs it.

    python benchmarks/recall.py DATA

DATA: folder with raw/seeds, raw/books. For each dimension a two-label model of 3-grams is trained on the seeds (one
pass: what it says does not change what it costs). Both score the same texts in memory, fastText text by text, as its
predict takes them. One thread; in turns, the median of all rounds, for each processor second. The largest difference of
two probabilities is printed, too.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import record
from datatrove.data import Document
from recall_data import books, seeds

from filters.classifier import (
    NEGATIVE,
    POSITIVE,
    Mix,
    Recall,
    TrainParams,
    append_mix,
    load_model,
    prepare,
    train_lines,
)
from filters.fold import Fold, load_fold
from filters.text import pack

DIMENSIONS = (100, 256)
BUCKETS = 1_000_000
ROUNDS = 7
PEER_SHARE = 6  # fastText scores every sixth text: it is that much slower
STAGE_BATCH = 64  # documents, as datatrove hands them to a filter


def texts_of(data: Path) -> list[str]:
    """Seeds and book chapters without line breaks, which fastText refuses."""
    return [" ".join(d.text.split()) for d in (*seeds(data)[::3], *books(data)[::3])]


def model_of(data: Path, dim: int, path: Path) -> None:
    """A model of the seeds, in the words of their authors and prepared as recall prepares them."""
    documents = seeds(data)
    lines = [(POSITIVE if d.math else NEGATIVE, " ".join(d.text.split())) for d in documents]
    prepared = prepare([d.text for d in documents])
    lines += [(label, text) for (label, _), text in zip(lines, prepared, strict=True) if text]
    train_lines(lines, TrainParams(dim=dim, epochs=1, word_ngrams=3, min_count=1, buckets=BUCKETS), path)
    append_mix(path, Mix())


def fasttext_predict(model: Any, texts: list[str]) -> list[Any]:
    """What its users call."""
    return [model.predict(text, 2) for text in texts]


def stage(step: Recall, texts: list[str]) -> None:
    """The step of a build, its documents made before."""
    for first in range(0, len(texts), STAGE_BATCH):
        step.filter_batch([Document(text=text, id="") for text in texts[first : first + STAGE_BATCH]])


def measured(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median processor seconds of each work, after one run that does not count; in turns."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS + 1):
        for name, work in works.items():
            started = time.process_time()
            work()
            if number:
                spent[name].append(time.process_time() - started)
    return {name: statistics.median(times) for name, times in spent.items()}


def apart(fold: Fold, model: Any, texts: list[str]) -> float:
    """The largest difference of two probabilities."""
    told = [dict(zip(*model.predict(text, 2), strict=True)) for text in texts]
    expected = np.array([[one.get(label, 0.0) for label in fold.labels] for one in told])
    return float(np.abs(fold.predict(texts) - expected).max())


def main() -> None:
    """Measures each dimension, prints the figures and the ratio, and records them."""
    import fasttext

    data = Path(sys.argv[1])
    texts = texts_of(data)
    few = texts[::PEER_SHARE]
    size, few_size = (sum(len(t.encode()) for t in part) / 1e6 for part in (texts, few))
    batch = pack(texts)
    for dim in DIMENSIONS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.bin"
            model_of(data, dim, path)
            fold, model = load_fold(path), fasttext.load_model(str(path))
            load_model(str(path), str(dim))
            print(f"dim {dim}: {len(texts):,} texts, {size:.1f} MB; largest difference {apart(fold, model, texts):.1e}")
            spent = measured(
                {
                    "folded": partial(fold.predict, batch),
                    "fasttext.predict": partial(fasttext_predict, model, few),
                    "stage": partial(stage, Recall(str(path), str(dim)), texts),
                }
            )
        ours, peer = size / spent["folded"], few_size / spent["fasttext.predict"]
        print(f"  folded {ours:.0f} MB/s, fasttext.predict {peer:.1f} MB/s: {ours / peer:.1f} times")
        print(f"  table {fold.table_bytes / 1e6:.1f} MB; stage {size / spent['stage']:.0f} MB/s", end=", ")
        print(f"{len(texts) / spent['stage']:,.0f} documents/s")
        record(f"recall, dim {dim}, folded", ours, "MB of text per CPU second")
        record(f"recall, dim {dim}, fasttext.predict", peer, "MB of text per CPU second")
        record(f"recall, dim {dim}, folded to fasttext.predict", ours / peer, "times")
        record(f"recall stage, dim {dim}", len(texts) / spent["stage"], "documents per CPU second")
        record(f"recall stage, dim {dim}, text", size / spent["stage"], "MB of text per CPU second")


if __name__ == "__main__":
    main()

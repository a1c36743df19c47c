"""The classifier as the cycles see it: train, score a column, measure. Nothing else knows `filters.classifier`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters import classifier
from filters.text import from_arrow
from pipelines import dataset as ds
from pipelines.decisions import Artefact
from pipelines.recall_recipe import Train

F64 = npt.NDArray[np.float64]

_BATCH = 512


def train_model(positive: Sequence[str], negative: Sequence[str], settings: Train, seed: int, out: Path) -> Artefact:
    """Trains a model on texts and writes it to `out`, whole or not at all; the same texts give the same bytes."""
    params = classifier.TrainParams(**settings.model_dump(exclude={"density"}), seed=seed)
    params.check()
    lines = [(classifier.POSITIVE, t) for t in _prepared(positive)]
    lines += [(classifier.NEGATIVE, t) for t in _prepared(negative)]
    tmp = out.with_name(f".{out.name}.tmp")
    with ds.writing(out.parent):
        classifier.train_lines(lines, params, tmp)
        classifier.append_mix(tmp, classifier.Mix(density=settings.density))
        ds.commit_file(tmp, out)
    return model_at(out)


def _prepared(texts: Sequence[str]) -> list[str]:
    batches = (classifier.prepare(texts[n : n + _BATCH]) for n in range(0, len(texts), _BATCH))
    return [text for batch in batches for text in batch if text]


def model_at(path: Path) -> Artefact:
    """The model in a file, with its digest."""
    return Artefact(str(path), ds.file_sha256(path)[0])


def score_texts(texts: pa.Array, model: Artefact) -> F64:
    """float64[N], 0 to 1: the probability of mathematics of each text of an Arrow column."""
    found: F64 = classifier.load_model(model.path, model.digest).scores(from_arrow(texts))
    return found


def measure(positive: Sequence[str], negative: Sequence[str], model: Artefact, threshold: float) -> dict[str, Any]:
    """Precision, recall, F1 and AUC on labelled texts, and how many there were; None where nothing can be said."""
    scores = [score_texts(pa.array(list(texts), pa.string()), model) for texts in (positive, negative)]
    right, wrong = (int((s >= threshold).sum()) for s in scores)
    precision = right / (right + wrong) if right + wrong else None
    recall = right / len(positive) if positive else None
    f1 = 2 * right / (right + wrong + len(positive)) if positive else None
    told = {"precision": precision, "recall": recall, "f1": f1, "auc": _auc(*scores)}
    rounded = {name: None if value is None else round(value, 4) for name, value in told.items()}
    return {**rounded, "positive": len(positive), "negative": len(negative)}


def _auc(positive: F64, negative: F64) -> float | None:
    """Share of pairs in the right order, ties as half."""
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.sum()) / (2 * len(positive) * len(negative))

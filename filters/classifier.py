"""The recall classifier: fastText, trained on seeds, over the project's own tokens.

Training and scoring share one text preparation (`Tokens.normalised`: Chinese by character, no line breaks), so that a
model never sees text cut in another way than it was taught.

fastText fills its input matrix by blocks of one tenth a thread: with fewer than ten threads most of it is uninitialised
memory. One thread is what makes training repeatable, so it runs in a process of its own (`fasttext_training`), and the
matrix has to be so large that the allocator maps fresh (zeroed) pages for it on every system: `MIN_MATRIX_BYTES`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import fasttext
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.errors import InputError, UsageError
from filters.text import TEXT_VERSION, pack, tokenise

CLASSIFIER_VERSION = f"classifier-1/{TEXT_VERSION}"
MIN_MATRIX_BYTES = 32 << 20  # glibc's largest threshold for mapping fresh pages
_FLOAT_BYTES = 4
_BATCH = 512
_POSITIVE, _NEGATIVE = "__label__math", "__label__other"


@dataclass(frozen=True, slots=True)
class TrainParams:
    """fastText's settings, and the seed of the order of examples."""

    dim: int = 100
    epochs: int = 5
    learning_rate: float = 0.5
    word_ngrams: int = 2
    min_count: int = 1
    buckets: int = 200_000
    seed: int = 1

    def check(self) -> None:
        """Raises UsageError where the matrix would be so small that training reads uninitialised memory."""
        if self.dim * self.buckets * _FLOAT_BYTES < MIN_MATRIX_BYTES:
            least = MIN_MATRIX_BYTES // (_FLOAT_BYTES * self.dim) + 1
            msg = f"recall: {self.buckets} buckets of dim {self.dim} make a matrix below 32 MiB; give buckets: {least}"
            raise UsageError(msg)


def prepare(texts: list[str]) -> list[str]:
    """The texts as the classifier sees them: normalised tokens, one space between them."""
    tokens = tokenise(pack(texts))
    return [tokens.normalised(i) for i in range(len(texts))]


def train(positive: Iterable[str], negative: Iterable[str], params: TrainParams, out: Path) -> dict[str, int]:
    """Trains a model and writes it to `out`; the examples of each label that were used.

    The same texts, in any order, give the same bytes on one machine.
    """
    params.check()
    lines = [(_POSITIVE, t) for t in _prepared(positive)] + [(_NEGATIVE, t) for t in _prepared(negative)]
    counts = {label: sum(1 for found, _ in lines if found == label) for label in (_POSITIVE, _NEGATIVE)}
    if empty := [label for label, n in counts.items() if n == 0]:
        msg = f"recall: no seeds with text for {empty[0].removeprefix('__label__')!r}"
        raise InputError(msg)
    lines.sort(key=lambda line: hashlib.blake2b(f"{params.seed}\0{line[1]}".encode(), digest_size=16).digest())
    with tempfile.TemporaryDirectory() as folder:
        examples = Path(folder) / "seeds.txt"
        examples.write_text("".join(f"{label} {text}\n" for label, text in lines), encoding="utf-8")
        _train_apart(examples, out, params)
    return {label.removeprefix("__label__"): n for label, n in counts.items()}


def _train_apart(examples: Path, out: Path, params: TrainParams) -> None:
    """Trains in a fresh process; see `filters.fasttext_training` for why."""
    settings = {
        "dim": params.dim,
        "epoch": params.epochs,
        "lr": params.learning_rate,
        "wordNgrams": params.word_ngrams,
        "minCount": params.min_count,
        "bucket": params.buckets,
        "seed": params.seed,
        "thread": 1,
        "verbose": 0,
    }
    command = [sys.executable, "-P", "-m", "filters.fasttext_training", str(examples), str(out), json.dumps(settings)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if told.returncode != 0:
        last = (told.stderr.strip().splitlines() or ["killed"])[-1]
        msg = f"recall: fastText could not be trained ({last}); try a smaller learning_rate, or fewer buckets"
        raise InputError(msg)


def _prepared(texts: Iterable[str]) -> list[str]:
    held = list(texts)
    return [p for i in range(0, len(held), _BATCH) for p in prepare(held[i : i + _BATCH]) if p]


@lru_cache(maxsize=4)
def load_model(path: str, sha256: str) -> Any:  # noqa: ARG001 - the digest is the cache's key: a file may be replaced
    """The fastText model in a file, loaded once a process and digest."""
    try:
        model = fasttext.load_model(path)
    except ValueError as error:
        msg = f"{path}: not a fastText model ({error})"
        raise InputError(msg) from error
    if _POSITIVE not in model.get_labels():
        msg = f"{path}: has the labels {', '.join(model.get_labels())}; one must be {_POSITIVE}"
        raise InputError(msg)
    return model


def score(model: Any, prepared: str) -> float:
    """Probability of mathematics, in 0 to 1; 0 for a text without tokens."""
    if not prepared:
        return 0.0
    found = {label: p for p, label in model.f.predict(prepared + "\n", 2, 0.0, "strict")}
    return round(min(1.0, max(0.0, float(found.get(_POSITIVE, 0.0)))), 5)


class Recall(BaseFilter):
    """Writes `math_score`; removes what is below the threshold of its source.

    Removed: `not_math`.
    """

    name = "recall"

    def __init__(
        self,
        model_path: str,
        model_sha256: str,
        threshold: float | dict[str, float] = 0.5,
        exclusion_writer: object = None,
        batch_size: int = 64,
    ) -> None:
        super().__init__(exclusion_writer, batch_size)
        self.model_path, self.model_sha256, self.threshold = model_path, model_sha256, threshold

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """The verdict on one document."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """The verdicts on a batch."""
        model = load_model(self.model_path, self.model_sha256)
        return [self._judge(d, score(model, p)) for d, p in zip(batch, prepare([d.text for d in batch]), strict=True)]

    def _judge(self, doc: Document, probability: float) -> bool | tuple[bool, str]:
        doc.metadata["math_score"] = probability
        limit = self.threshold
        if isinstance(limit, dict):
            limit = limit.get(doc.metadata.get("source", ""), 0.5)
        if probability >= limit:
            return True
        doc.metadata["filter_score"] = probability
        doc.metadata["evidence"] = [{"math_score": probability, "threshold": limit}]
        return False, "not_math"

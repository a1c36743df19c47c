"""The recall classifier: how much of a text is mathematics, from 0 to 1.

Two voices. A fastText model, trained on seeds, knows their words; folded (`filters.fold`) it is read without fastText,
which is only started to train. `filters.density` counts what mathematics looks like on any host. Their log-odds add up,
fastText's calibrated on sources that it was not trained on and with half its weight, since both look at the same words.

Training and scoring share one text preparation: the project's own tokens (Chinese by character, no line breaks), each
number masked as "0", tokens above 40 bytes dropped, nothing truncated. What it takes to score stands at the end of the
model's file, behind what fastText wrote and reads. A .bin without that is scored by fastText's rule alone.

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
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters import density
from filters.errors import InputError, UsageError
from filters.fold import Fold, load_fold
from filters.fold_kernels import prepare as prepare_tokens
from filters.text import TEXT_VERSION, Batch, pack, tokenise
from filters.words import read_only

RECALL_TEXT_VERSION = f"recall-text-1/{TEXT_VERSION}"
CLASSIFIER_VERSION = f"classifier-2/{RECALL_TEXT_VERSION}/{density.DENSITY_VERSION}"
MIN_MATRIX_BYTES = 32 << 20  # glibc's largest threshold for mapping fresh pages
POSITIVE, NEGATIVE = "__label__math", "__label__other"
DIGITS = 5  # of a stored score

_F64 = npt.NDArray[np.float64]
_FLOAT_BYTES = 4
_BATCH = 512
_TAIL = b"\nmathcorpus-recall-1 "  # then the JSON of a `Mix`, its length in 8 digits, and a line end
_LENGTH = 8
_MOST_LOG_ODDS = 6.0  # of fastText: it says 1 and 0 readily, and is wrong more often than one in four hundred
_BESIDE_DENSITY = 0.5  # weight of fastText's log-odds; 0.3 to 0.7 did as well on hosts that were held out


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
    minn: int = 0
    maxn: int = 0

    def check(self) -> None:
        """Raises UsageError where the matrix would be so small that training reads uninitialised memory."""
        for name in ("dim", "epochs", "learning_rate", "word_ngrams", "min_count", "buckets"):
            if getattr(self, name) <= 0:
                msg = f"recall: {name} is {getattr(self, name)}; give more than 0"
                raise UsageError(msg)
        if self.dim * self.buckets * _FLOAT_BYTES < MIN_MATRIX_BYTES:
            least = MIN_MATRIX_BYTES // (_FLOAT_BYTES * self.dim) + 1
            msg = f"recall: {self.buckets} buckets of dim {self.dim} make a matrix below 32 MiB; give buckets: {least}"
            raise UsageError(msg)
        if self.word_ngrams < 2 and self.maxn == 0:
            msg = "recall: without word n-grams or character n-grams fastText makes no buckets; give 2 or more n-grams"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class Mix:
    """How a score is made of fastText's log-odds z: intercept + slope z, and of those of density, if it is asked."""

    positive: str = POSITIVE
    intercept: float = 0.0
    slope: float = 1.0
    density: bool = True
    text: str = RECALL_TEXT_VERSION

    def calibrated(self, log_odds: _F64) -> _F64:
        """fastText's log-odds on sources that it does not know."""
        return self.intercept + self.slope * np.clip(log_odds, -_MOST_LOG_ODDS, _MOST_LOG_ODDS)

    def probabilities(self, log_odds: _F64, densities: _F64) -> _F64:
        """The scores by both voices; `densities` are log-odds too."""
        heard = self.calibrated(log_odds)
        return _sigmoid(densities + _BESIDE_DENSITY * heard if self.density else heard)


@dataclass(frozen=True, slots=True)
class RecallModel:
    """A model as it scores: the folded fastText model, and the mix, if the file says one."""

    fold: Fold
    mix: Mix | None

    def scores(self, texts: Batch | Sequence[str]) -> _F64:
        """float64[N] in 0 to 1, of raw texts: the probability of mathematics; 0 for one without tokens."""
        batch = texts if isinstance(texts, Batch) else pack(texts)
        tokens = tokenise(batch, spans=False)
        if self.mix is None:
            found = self.fold.predict_tokens(tokens)[:, self.fold.labels.index(POSITIVE)]
        else:
            densities = density.logits(batch, tokens) if self.mix.density else np.zeros(len(batch))
            found = self.mix.probabilities(self.fold.logits(tokens, self.mix.positive), densities)
        return np.round(np.clip(np.where(np.diff(tokens.offsets) > 0, found, 0.0), 0.0, 1.0), DIGITS)


def _sigmoid(log_odds: _F64) -> _F64:
    with np.errstate(over="ignore"):
        shares: _F64 = 1 / (1 + np.exp(-log_odds))
    return shares


def prepare(texts: Sequence[str]) -> list[str]:
    """The texts as fastText is trained on them: tokens, one space between them, numbers masked."""
    tokens = tokenise(pack(texts), spans=False)
    folded, ends = read_only(tokens.folded), read_only(tokens.folded_ends)
    spans = pairwise(tokens.offsets.tolist())
    return [prepare_tokens(folded, ends, first, last).tobytes().decode() for first, last in spans]


# --- training ---------------------------------------------------------------------------------------------------------


def train(positive: Iterable[str], negative: Iterable[str], params: TrainParams, out: Path) -> dict[str, int]:
    """Trains a model and writes it to `out`; the examples of each label that were used.

    The same texts, in any order, give the same bytes on one machine. fastText's voice is not calibrated.
    """
    params.check()
    lines = [(POSITIVE, t) for t in _prepared(positive)] + [(NEGATIVE, t) for t in _prepared(negative)]
    counts = {label: sum(1 for found, _ in lines if found == label) for label in (POSITIVE, NEGATIVE)}
    if empty := [label for label, n in counts.items() if n == 0]:
        msg = f"recall: no seeds with text for {empty[0].removeprefix('__label__')!r}"
        raise InputError(msg)
    train_lines(lines, params, out)
    append_mix(out, Mix())
    return {label.removeprefix("__label__"): n for label, n in counts.items()}


def train_lines(lines: Iterable[tuple[str, str]], params: TrainParams, out: Path) -> None:
    """Trains fastText on (label, prepared text) and writes its model; the order of the lines says nothing."""
    copies = Counter[tuple[str, str]]()
    keyed = []
    for line in lines:
        copies[line] += 1
        keyed.append((_order(params.seed, line, copies[line]), line))
    ordered = [line for _, line in sorted(keyed)]
    with tempfile.TemporaryDirectory() as folder:
        examples = Path(folder) / "seeds.txt"
        examples.write_text("".join(f"{label} {text}\n" for label, text in ordered), encoding="utf-8")
        _train_apart(examples, out, params)


def _order(seed: int, line: tuple[str, str], copy: int) -> bytes:
    """Where a line comes; its copies stand apart."""
    label, text = line
    return hashlib.blake2b(f"{seed}\0{copy}\0{text}\0{label}".encode(), digest_size=16).digest()


def append_mix(path: Path, mix: Mix) -> None:
    """Puts the mix behind what fastText wrote."""
    told = json.dumps(asdict(mix), sort_keys=True).encode()
    with path.open("ab") as file:
        file.write(_TAIL + told + f"{len(told):0{_LENGTH}}\n".encode())


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
        "minn": params.minn,
        "maxn": params.maxn,
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


# --- scoring ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def load_model(path: str, sha256: str) -> RecallModel:  # noqa: ARG001 - the digest is the cache's key: a file may change
    """The model in a file, folded, loaded once a process and digest."""
    fold, mix = load_fold(Path(path)), _read_mix(Path(path))
    positive = mix.positive if mix else POSITIVE
    if positive not in fold.labels:
        msg = f"{path}: has the labels {', '.join(fold.labels)}; one must be {positive}"
        raise InputError(msg)
    return RecallModel(fold, mix)


def _read_mix(path: Path) -> Mix | None:
    """The mix at the end of a model's file; InputError where its text was prepared in another way than here."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LENGTH - 1))
        length = file.read().strip()
        if len(length) != _LENGTH or not length.isdigit():
            return None
        begin = size - _LENGTH - 1 - int(length) - len(_TAIL)
        file.seek(max(0, begin))
        if begin < 0 or file.read(len(_TAIL)) != _TAIL:
            return None
        told: Mapping[str, Any] = json.loads(file.read(int(length)))
    if told["text"] != RECALL_TEXT_VERSION:
        msg = f"{path}: its text was prepared by {told['text']}, and here by {RECALL_TEXT_VERSION}; train it again"
        raise InputError(msg)
    return Mix(**told)


def score(model: RecallModel, prepared: str) -> float:
    """fastText's own probability of mathematics for a prepared text, in 0 to 1; 0 for a text without tokens."""
    if not prepared:
        return 0.0
    positive = model.mix.positive if model.mix else POSITIVE
    share = model.fold.predict([prepared])[0, model.fold.labels.index(positive)]
    return round(min(1.0, max(0.0, float(share))), DIGITS)


class Recall(BaseFilter):
    """Writes `math_score`; removes what is below the threshold of its source. What `Code` or `Books` judged passes.

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
        scores = model.scores([doc.text for doc in batch]).tolist()
        return [self._judge(doc, score) for doc, score in zip(batch, scores, strict=True)]

    def _judge(self, doc: Document, probability: float) -> bool | tuple[bool, str]:
        if "code_rule" in doc.metadata or "book_sections" in doc.metadata:
            return True
        doc.metadata["math_score"] = probability
        limit = self.threshold
        if isinstance(limit, dict):
            limit = limit.get(doc.metadata.get("source", ""), 0.5)
        if probability >= limit:
            return True
        doc.metadata["filter_score"] = probability
        doc.metadata["evidence"] = [{"math_score": probability, "threshold": limit}]
        return False, "not_math"

"""Distils the scores of a language model into the classifier of the recall stage, which reads a thousand times as fast.

Rows at or above the cut are the positive examples. A fifth of the rows, drawn by a digest of their text so that copies
stay together, is held out; on it the classifier is compared with the scores: Spearman's rank correlation, and among the
rows that it would keep the share that the language model would.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from filters.classifier import TrainParams, load_model, train
from filters.errors import InputError
from pipelines import dataset as ds
from pipelines.recall_rows import read_rows, text_of
from pipelines.row_fields import Fields
from pipelines.row_find import find_rows

HELD_OUT = 5  # one row of so many
_LEAST = 20  # held out rows, below which no figure says anything


@dataclass(frozen=True)
class DistilOptions:
    """What the caller asks for."""

    inputs: tuple[str, ...]
    out: Path
    score: str = "lm_score"
    cut: float = 0.5
    fields: Fields = field(default_factory=Fields)
    params: TrainParams = field(default_factory=TrainParams)


def distil(options: DistilOptions) -> dict[str, Any]:
    """Trains, compares, and writes the model and its report (OUT.json); the report.

    InputError where too few rows have a text and a score, or all are on one side of the cut.
    """
    rows, left_out = _scored(options)
    apart = np.array([_draw(text) == 0 for text, _ in rows])
    scores = np.array([score for _, score in rows])
    keep = scores >= options.cut
    _check(options, keep, apart)
    texts = [text for text, _ in rows]
    with ds.writing(options.out.parent):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.out.parent) as folder:
            made = Path(folder) / options.out.name
            sides = ([texts[n] for n in np.flatnonzero(~apart & side)] for side in (keep, ~keep))
            examples = train(*sides, options.params, made)
            sha256, size = ds.file_sha256(made)
            given = load_model(str(made), sha256).scores([texts[n] for n in np.flatnonzero(apart)])
            ds.commit_file(made, options.out)
    report = {
        "model": {"file": options.out.name, "sha256": sha256, "bytes": size},
        "score": options.score,
        "cut": options.cut,
        "params": asdict(options.params),
        "examples": examples,
        "left_out": dict(sorted(left_out.items())),
        "held_out": compared(given, scores[apart], options.cut),
    }
    ds.write_json(options.out.with_name(options.out.name + ".json"), report)
    return report


def compared(given: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], cut: float) -> dict[str, Any]:
    """Figures of a classifier's probabilities against scores: float64[N] each."""
    from scipy.stats import spearmanr

    wanted, kept = scores >= cut, given >= 0.5
    both = int((wanted & kept).sum())
    same_share = np.zeros(len(given), np.bool_)  # as many as the language model keeps, the likeliest first
    same_share[np.argsort(-given, kind="stable")[: int(wanted.sum())]] = True
    return {
        "rows": len(given),
        "spearman": round(float(spearmanr(given, scores).statistic), 4),
        "kept": int(kept.sum()),
        "precision_at_cut": round(both / max(int(kept.sum()), 1), 4),
        "recall_at_cut": round(both / max(int(wanted.sum()), 1), 4),
        "precision_at_same_share": round(float((wanted & same_share).sum() / max(int(wanted.sum()), 1)), 4),
    }


def _scored(options: DistilOptions) -> tuple[list[tuple[str, float]], Counter[str]]:
    """(text, score) of each distinct text, sorted by its digest; rows that have no part in it, by reason."""
    found: dict[bytes, tuple[str, float]] = {}
    left_out: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as spool:
        for file in find_rows(options.inputs, Path(spool)):
            for _, row in read_rows(file):
                text, score = text_of(row, options.fields), row.get(options.score)
                if text is None or not isinstance(score, int | float) or isinstance(score, bool) or score != score:  # noqa: PLR0124
                    left_out["no_text" if text is None else "no_score"] += 1
                    continue
                key = _digest(text)
                left_out["repeated"] += key in found
                kept = found.setdefault(key, (text, float(score)))
                found[key] = min(kept, (text, float(score)))  # one text with two scores, whatever the order of rows
    return [found[key] for key in sorted(found)], +left_out


def _check(options: DistilOptions, keep: np.ndarray[Any, Any], apart: np.ndarray[Any, Any]) -> None:
    if int(apart.sum()) < _LEAST:
        msg = (
            f"input: {len(keep):,} distinct rows have a text and {options.score!r}, too few to hold a fifth out; give "
            f"{HELD_OUT * _LEAST} or more, or name the field with --score"
        )
        raise InputError(msg)
    above = int((keep & ~apart).sum())
    if above in {0, int((~apart).sum())}:
        msg = f"--cut {options.cut:g}: {above:,} rows to learn from are at or above it; choose a cut between the scores"
        raise InputError(msg)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _draw(text: str) -> int:
    return _digest(text)[0] % HELD_OUT


def lines(report: dict[str, Any]) -> Sequence[str]:
    """The report in words."""
    found = report["held_out"]
    return (
        f"{sum(report['examples'].values()):,} rows learnt from, {found['rows']:,} held out",
        f"Spearman {found['spearman']:.3f}; at {report['score']} >= {report['cut']:g}: precision "
        f"{found['precision_at_cut']:.3f}, recall {found['recall_at_cut']:.3f}; {found['precision_at_same_share']:.3f} "
        f"with as many kept as the language model keeps",
    )

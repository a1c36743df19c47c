"""Distils the scores of a language model into the classifier of the recall stage, which reads a thousand times as fast.

Rows at or above the cut are the positive examples. By a digest of its text each row is in one of three parts: three
fifths are learnt from, one fifth calibrates, so that a probability of one half stands for the cut, and one fifth is
held out. On the last the classifier is compared with the scores: Spearman's rank correlation, and among the rows that
it would keep the share that the language model would.
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
import numpy.typing as npt

from filters.classifier import NEGATIVE, POSITIVE, Mix, TrainParams, append_mix, load_model, prepare, train_lines
from filters.errors import InputError
from filters.fold import load_fold
from filters.text import pack, tokenise
from pipelines import dataset as ds
from pipelines.recall_metrics import logistic_regression
from pipelines.recall_rows import read_rows, text_of
from pipelines.row_fields import Fields
from pipelines.row_find import find_rows

PARTS = 5  # of equal size; two of them are these
_HELD_OUT, _CALIBRATION = 0, 1
_LEAST = 20  # rows in a part, below which no figure says anything
_RIDGE = 1e-3  # keeps a perfect separation finite


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
    parts = np.array([_digest(text)[0] % PARTS for text, _ in rows], np.int64)
    scores = np.array([score for _, score in rows])
    _check(options, scores >= options.cut, parts)
    with ds.writing(options.out.parent):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.out.parent) as folder:
            made = Path(folder) / options.out.name
            examples = _learn(made, [text for text, _ in rows], scores >= options.cut, parts, options.params)
            sha256, size = ds.file_sha256(made)
            held = np.flatnonzero(parts == _HELD_OUT)
            given = load_model(str(made), sha256).scores([rows[n][0] for n in held.tolist()])
            ds.commit_file(made, options.out)
    report = {
        "model": {"file": options.out.name, "sha256": sha256, "bytes": size},
        "score": options.score,
        "cut": options.cut,
        "params": asdict(options.params),
        "examples": examples,
        "left_out": dict(sorted(left_out.items())),
        "held_out": compared(given, scores[held], options.cut),
    }
    ds.write_json(options.out.with_name(options.out.name + ".json"), report)
    return report


def _learn(
    out: Path, texts: Sequence[str], keep: npt.NDArray[np.bool_], parts: npt.NDArray[np.int64], params: TrainParams
) -> dict[str, int]:
    """Writes the model; the examples that it learnt from, by side of the cut."""
    params.check()
    learnt = np.flatnonzero(parts > _CALIBRATION).tolist()
    labels = [POSITIVE if keep[n] else NEGATIVE for n in learnt]
    train_lines(zip(labels, prepare([texts[n] for n in learnt]), strict=True), params, out)
    rest = np.flatnonzero(parts == _CALIBRATION).tolist()
    tokens = tokenise(pack([texts[n] for n in rest]), spans=False)
    log_odds = Mix().calibrated(load_fold(out).logits(tokens, POSITIVE))
    features = np.column_stack([np.ones(len(rest)), log_odds])
    found = logistic_regression(features, keep[rest], np.ones(len(rest)), _RIDGE).round(4).tolist()
    append_mix(out, Mix(intercept=found[0], slope=max(0.0, found[1]), density=False))
    return {"above": int(keep[learnt].sum()), "below": int((~keep[learnt]).sum())}


def compared(given: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], cut: float) -> dict[str, Any]:
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


def _check(options: DistilOptions, keep: npt.NDArray[np.bool_], parts: npt.NDArray[np.int64]) -> None:
    if len(keep) < PARTS * _LEAST:
        msg = (
            f"input: {len(keep):,} distinct rows have a text and {options.score!r}, too few to learn from; give "
            f"{PARTS * _LEAST} or more, or name the field with --score"
        )
        raise InputError(msg)
    for part in (parts == _HELD_OUT, parts == _CALIBRATION, parts > _CALIBRATION):
        above = int(keep[part].sum())
        if above in {0, int(part.sum())}:
            msg = f"--cut {options.cut:g}: {int(keep.sum()):,} of {len(keep):,} rows are at or above it; choose another"
            raise InputError(msg)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def lines(report: dict[str, Any]) -> Sequence[str]:
    """The report in words."""
    found = report["held_out"]
    return (
        f"{sum(report['examples'].values()):,} rows learnt from, {found['rows']:,} held out",
        f"Spearman {found['spearman']:.3f}; at {report['score']} >= {report['cut']:g}: precision "
        f"{found['precision_at_cut']:.3f}, recall {found['recall_at_cut']:.3f}; {found['precision_at_same_share']:.3f} "
        f"with as many kept as the language model keeps",
    )

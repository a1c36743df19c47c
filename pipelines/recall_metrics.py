"""Figures of a classifier on labelled documents, and the small regressions behind its probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

_F64 = npt.NDArray[np.float64]
_Bool = npt.NDArray[np.bool_]

THRESHOLD = 0.5
BINS = 10
DIGITS = 4  # of a stored figure
_STEPS = 60  # of Newton's method, which needs about ten
_CLOSE = 1e-9
_STEEPEST = 30.0  # log-odds beyond which a probability is 0 or 1 to thirteen digits


def measure(scores: _F64, positive: _Bool, threshold: float = THRESHOLD) -> dict[str, Any]:
    """Figures of scores in 0 to 1 of N documents; those that do not exist are None.

    precision, recall, f1 : at the threshold; auc : area under the receiver's curve, ties count half;
    ece : expected calibration error, the mean distance of score and share by bin, weighed by its documents.
    """
    told = scores >= threshold
    hits = int((told & positive).sum())
    precision = hits / int(told.sum()) if told.any() else None
    recall = hits / int(positive.sum()) if positive.any() else None
    both = 2 * hits / int(told.sum() + positive.sum()) if told.any() or positive.any() else None
    return {
        "documents": len(scores),
        "positive": int(positive.sum()),
        "told_positive": int(told.sum()),
        "precision": precision,
        "recall": recall,
        "f1": both,
        "auc": auc(scores, positive),
        "ece": calibration_error(scores, positive),
    }


def evaluate(scores: _F64, positive: _Bool, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Figures of all documents, of those of each value of each group, and the calibration by bins.

    groups : by name a value for each document, such as its language.
    """
    told = [_rounded(row) for row in bins(scores, positive)]
    found: dict[str, Any] = {"all": _rounded(measure(scores, positive)), "bins": told}
    for name, values in groups.items():
        column = np.array(values)
        rows = {value: column == value for value in sorted(set(values))}
        found[name] = {value: _rounded(measure(scores[at], positive[at])) for value, at in rows.items()}
    return found


def _rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in figures.items()}


def auc(scores: _F64, positive: _Bool) -> float | None:
    """The share of pairs of a positive and a negative document that are in the right order; None without such pairs."""
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return None
    return float((rankdata(scores)[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def bins(scores: _F64, positive: _Bool) -> list[dict[str, float]]:
    """Calibration in bins of equal width: documents, mean score, share that is positive."""
    at = np.minimum((scores * BINS).astype(int), BINS - 1)
    rows = []
    for number in range(BINS):
        here = at == number
        if here.any():
            mean, share = float(scores[here].mean()), float(positive[here].mean())
            rows.append({"from": number / BINS, "documents": int(here.sum()), "score": mean, "share": share})
    return rows


def calibration_error(scores: _F64, positive: _Bool) -> float | None:
    """The expected calibration error; None without documents."""
    if not len(scores):
        return None
    return sum(row["documents"] * abs(row["score"] - row["share"]) for row in bins(scores, positive)) / len(scores)


def logistic_regression(features: _F64, positive: _Bool, weights: _F64, ridge: float) -> _F64:
    """The coefficients, float64[F], of features, float64[N, F], whose first column is 1.

    ridge : penalty on the squares of all coefficients but the first. Newton's method: the same on every run.
    """
    solved = np.zeros(features.shape[1])
    penalty = np.full(len(solved), ridge)
    penalty[0] = _CLOSE
    for _ in range(_STEPS):
        shares = 1 / (1 + np.exp(-np.clip(features @ solved, -_STEEPEST, _STEEPEST)))
        slope = features.T @ (weights * (shares - positive)) + penalty * solved
        curve = (features * (weights * shares * (1 - shares))[:, None]).T @ features + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        solved -= step
        if np.abs(step).max() < _CLOSE:
            break
    return solved

"""Fits the weights of `filters.density`, and says how they do on hosts that they were not fitted on.

    python benchmarks/density.py DATA [--write]

DATA: folder with raw/web, raw/books, raw/seeds. Ten parts of whole hosts, books and projects: each part is scored by
weights that the nine others gave. With --write the weights of all stand in filters/density.py afterwards.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import ROOT
from recall_data import Labelled, books, pages, seeds

from filters import density
from filters.text import pack, tokenise
from pipelines.recall_metrics import logistic_regression, measure

_F64 = npt.NDArray[np.float64]

PARTS = 10
RIDGE = 30.0  # on standardised features, against a thousand documents for each of them
MATH_SHARE = 0.4  # of all weight; of the pages about a third are mathematics
UNSURE, SEED = 0.3, 0.5  # weight of such a document; seeds are short, and none is a page
LOST = 0.5  # weight of a page without delimiters, and of one without formulas
BATCH = 256


class Table:
    """Features of labelled documents, and how much each weighs."""

    def __init__(self, documents: Sequence[Labelled], texts: Sequence[str], weight: float = 1.0) -> None:
        rows = [_features(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        self.features = np.concatenate(rows)
        self.math = np.array([d.math for d in documents])
        self.hosts = np.array([d.host for d in documents])
        self.languages = np.array([d.language for d in documents])
        self.sure = np.array([d.sure for d in documents])
        self.weights = np.where(self.sure, weight, weight * UNSURE)

    @property
    def parts(self) -> npt.NDArray[np.int64]:
        """The part that each document is in, by its host."""
        return np.array([int(hashlib.blake2b(h.encode(), digest_size=4).hexdigest(), 16) % PARTS for h in self.hosts])


def _features(texts: Sequence[str]) -> _F64:
    batch = pack(texts)
    return density.features(batch, tokenise(batch, spans=False))


def fit(tables: Sequence[Table], chosen: Sequence[npt.NDArray[np.bool_]]) -> tuple[float, _F64]:
    """(intercept, weights) of the chosen rows of all tables; a host weighs with the root of its documents."""
    rows = list(zip(tables, chosen, strict=True))
    features = np.concatenate([t.features[c] for t, c in rows])
    math = np.concatenate([t.math[c] for t, c in rows])
    hosts = np.concatenate([t.hosts[c] for t, c in rows])
    counts = Counter(hosts.tolist())
    weights = np.concatenate([t.weights[c] for t, c in rows]) / np.sqrt([counts[h] for h in hosts.tolist()])
    for side, share in ((math, MATH_SHARE), (~math, 1 - MATH_SHARE)):
        weights[side] *= share * len(math) / weights[side].sum()
    mean, spread = features.mean(0), features.std(0) + 1e-9
    standard = np.column_stack([np.ones(len(math)), (features - mean) / spread])
    solved = logistic_regression(standard, math, weights, RIDGE)
    slopes = solved[1:] / spread
    return float(solved[0] - slopes @ mean), slopes


def show(label: str, logits: _F64, math: npt.NDArray[np.bool_]) -> None:
    """Prints a line of figures at the threshold 0.5."""
    found = measure(1 / (1 + np.exp(-logits)), math)
    print(
        f"{label:28} {found['documents']:6,}  AUC {found['auc']:.3f}  precision {found['precision']:.3f}  "
        f"recall {found['recall']:.3f}  F1 {found['f1']:.3f}"
    )


def write(intercept: float, slopes: _F64) -> None:
    """Puts the weights into filters/density.py."""
    path = ROOT / "filters" / "density.py"
    lines = "".join(f'    "{n}": {w:.4g},\n' for n, w in zip(density.names(), slopes.tolist(), strict=True))
    code = re.sub(r"(?m)^INTERCEPT = .*$", f"INTERCEPT = {intercept:.4g}", path.read_text(encoding="utf-8"))
    code = re.sub(r"(?ms)^(WEIGHTS: [^=]*= )\{.*?\}$", lambda m: f"{m[1]}{{\n{lines}}}", code)
    path.write_text(code, encoding="utf-8")


def main() -> None:
    """Measures by parts, then fits on all."""
    data = Path(sys.argv[1])
    web = pages(data)
    bare, lost = [d.without_delimiters() for d in web], [d for d in web if d.sure]
    chapters, short = books(data), seeds(data)
    tables = [
        Table(web, [d.text for d in web]),
        Table(chapters, [d.text for d in chapters]),
        Table(web, bare, LOST),
        Table(lost, [d.without_formulas() for d in lost], LOST),
        Table(short, [d.text for d in short], SEED),
    ]
    logits = [np.zeros(len(t.math)) for t in tables]
    for part in range(PARTS):
        intercept, slopes = fit(tables, [t.parts != part for t in tables])
        for table, scores in zip(tables, logits, strict=True):
            here = table.parts == part
            scores[here] = table.features[here] @ slopes + intercept
    names = ("pages", "book chapters", "pages without delimiters", "pages without formulas", "seeds")
    for name, table, scores in zip(names, tables, logits, strict=True):
        for language in ("all", "en", "zh"):
            chosen = table.sure & ((table.languages == language) | (language == "all"))
            show(f"{name}, {language}", scores[chosen], table.math[chosen])
    show("pages, unsure ones too", logits[0], tables[0].math)
    intercept, slopes = fit(tables, [np.ones(len(t.math), bool) for t in tables])
    if "--write" in sys.argv:
        write(intercept, slopes)


if __name__ == "__main__":
    main()

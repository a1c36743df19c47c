"""Density on web pages where its weights have seen no page at all, and on the seeds' and books' own parts held out.

    python benchmarks/recall_unseen.py DATA [--files N]

DATA: folder with raw/web, raw/books, raw/seeds. The weights are fitted on seeds and book chapters alone, so that every
host of the pages is unknown, and the kind of text, too. For the books the weights come from the nine other parts of
whole projects. Prints JSON; tests/floors.json holds its floors, on the first WARC file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from density import PARTS, SEED, Table, fit
from recall_data import books, pages, seeds

from pipelines.recall_metrics import measure

FIGURES = ("documents", "f1", "precision", "recall", "auc")


def figures(data: Path, files: int | None) -> dict[str, dict[str, float]]:
    """By group of documents the figures at the threshold 0.5."""
    web, chapters, short = pages(data, files), books(data), seeds(data)
    known = [Table(chapters, [d.text for d in chapters]), Table(short, [d.text for d in short], SEED)]
    unseen = Table(web, [d.text for d in web])
    intercept, slopes = fit(known, [np.ones(len(t.math), bool) for t in known])
    logits = unseen.features @ slopes + intercept
    held_out = np.zeros(len(chapters))
    for part in range(PARTS):
        intercept, slopes = fit(known, [t.parts != part for t in known])
        here = known[0].parts == part
        held_out[here] = known[0].features[here] @ slopes + intercept
    found = {"books": measure(_probabilities(held_out), known[0].math)}
    sure = unseen.sure
    for name, chosen in (
        ("all", sure),
        ("en", sure & (unseen.languages == "en")),
        ("zh", sure & (unseen.languages == "zh")),
    ):
        found[f"pages, {name}"] = measure(_probabilities(logits[chosen]), unseen.math[chosen])
    return {name: {f: round(row[f], 4) for f in FIGURES} for name, row in found.items()}


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--files", type=int, help="WARC files to read; all unless given")
    given = parser.parse_args()
    print(json.dumps(figures(given.data, given.files), indent=1))


if __name__ == "__main__":
    main()

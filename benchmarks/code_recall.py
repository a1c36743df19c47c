"""How well source code of packages never seen is told apart: whole packages are held out, the others train.

python benchmarks/code_recall.py LABELLED.jsonl.gz [OTHER.jsonl.gz]

The rows have text, path, package and project_is_math. With OTHER, the model of all of LABELLED is measured on it too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from filters.code import Code
from filters.code_model import CodeModel, Seed, train_code
from filters.code_rules import rule_of
from pipelines.code_seeds import read_seeds
from pipelines.recipe import CodeStage

FOLDS = 5
STAGE = CodeStage(stage="code", seeds="-")


def fates(model: CodeModel, files: Sequence[Seed]) -> list[tuple[bool, bool, bool]]:
    """(truth, verdict of the classifier alone, verdict of both) of each file."""
    step = Code("", "", STAGE.threshold, STAGE.library_threshold)
    scored = [(file, model.score(file.text, file.path)) for file in files]
    return [(f.is_math, s >= STAGE.threshold, step.stays(rule_of(f.text, f.path), s)) for f, s in scored]


def f1(found: Sequence[tuple[bool, bool, bool]], which: int) -> str:
    """F1, precision and recall of one of the two verdicts."""
    hits = sum(one[0] and one[which] for one in found)
    said, true = sum(one[which] for one in found), sum(one[0] for one in found)
    return f"F1 {2 * hits / (said + true):.3f} (precision {hits / max(said, 1):.3f}, recall {hits / max(true, 1):.3f})"


def show(name: str, found: Sequence[tuple[bool, bool, bool]]) -> None:
    print(f"{name}: {len(found)} files; classifier alone {f1(found, 1)}; with rules {f1(found, 2)}")


def main(labelled: str, other: str | None = None) -> None:
    """Prints the figures, and the share kept of each held-out package."""
    files = list(read_seeds(STAGE.model_copy(update={"seeds": labelled}), Path.cwd()))
    by_label = [sorted({f.group for f in files if f.is_math == label}) for label in (True, False)]
    found: list[tuple[bool, bool, bool]] = []
    for fold in range(FOLDS):
        held = {group for groups in by_label for group in groups[fold::FOLDS]}
        model = train_code([f for f in files if f.group not in held])
        for group in sorted(held):
            judged = fates(model, [f for f in files if f.group == group])
            kept = [sum(one[which] for one in judged) / len(judged) for which in (1, 2)]
            print(f"  {group:16} {'math' if judged[0][0] else 'other':6} kept {kept[0]:.3f}, with rules {kept[1]:.3f}")
            found += judged
    show("packages held out", found)
    if other:
        show(
            "other packages",
            fates(train_code(files), list(read_seeds(STAGE.model_copy(update={"seeds": other}), Path.cwd()))),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])

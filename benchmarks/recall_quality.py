"""The recall classifier on pages of hosts and on books that it has never seen, at the threshold 0.5.

    python benchmarks/recall_quality.py DATA [NAME...]

DATA: folder with raw/web, raw/books, raw/seeds. fastText is trained on the seeds, none of which is from these pages;
for the books, without the seeds that are from the same projects. The weights of `filters.density` are those that the
other nine tenths of all hosts give (benchmarks/density.py), not the ones in the package. NAMEs choose among settings.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from common import record
from density import MATH_SHARE, PARTS, Table, fit
from recall_data import Labelled, books, pages, seeds

from filters.classifier import Mix, TrainParams, load_model
from filters.text import pack, tokenise
from pipelines.recall_metrics import measure
from pipelines.recall_train import TrainOptions, train

_F64 = npt.NDArray[np.float64]

SETTINGS = {
    "one-shot": TrainParams(),
    "deepseekmath": TrainParams(dim=256, epochs=3, learning_rate=0.1, word_ngrams=3, min_count=3),
    "default": TrainParams(dim=256, epochs=5, learning_rate=0.5, word_ngrams=3, min_count=3),
    "words": TrainParams(dim=256, epochs=5, learning_rate=0.5, word_ngrams=2, min_count=3),
}
BATCH = 256
SHARED = (
    *("OpenLogic", "stacks", "algebra-lecturenote", "pumpkin"),
    *("progit", "golang", "es6tutorial", "opensource.guide"),
)


def densities(tables: Sequence[Table]) -> tuple[list[_F64], list[_F64]]:
    """Log-odds of the documents of each table, by weights of the other parts; and by weights of all."""
    apart = [np.zeros(len(table.math)) for table in tables]
    for part in range(PARTS):
        intercept, slopes = fit(tables, [table.parts != part for table in tables])
        for table, scores in zip(tables, apart, strict=True):
            here = table.parts == part
            scores[here] = table.features[here] @ slopes + intercept
    intercept, slopes = fit(tables, [np.ones(len(table.math), bool) for table in tables])
    return apart, [table.features @ slopes + intercept for table in tables]


def write_rows(documents: Sequence[Labelled], path: Path) -> str:
    """The documents as rows."""
    rows = [{"text": d.text, "source": d.host, "language": d.language} for d in documents]
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    return str(path)


def trained(documents: Sequence[Labelled], params: TrainParams, folder: Path) -> tuple[Path, Mix, dict[str, Any]]:
    """(model, mix, report) of these seeds."""
    yes = write_rows([d for d in documents if d.math], folder / "positive.jsonl")
    no = write_rows([d for d in documents if not d.math], folder / "negative.jsonl")
    report = train(TrainOptions((yes,), (no,), folder / "model.bin", params=params))
    return folder / "model.bin", Mix(**report["mix"]), report


def log_odds(model: Path, documents: Sequence[Labelled], name: str) -> _F64:
    """fastText's log-odds of each document."""
    fold = load_model(str(model), name).fold
    texts = [d.text for d in documents]
    chunks = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
    return np.concatenate([fold.logits(tokenise(pack(chunk), spans=False), Mix().positive) for chunk in chunks])


def show(label: str, scores: _F64, table: Table) -> None:
    """Prints figures of all, English and Chinese documents, and of those with an unsure label too."""
    for name, chosen in (
        ("all", table.sure),
        ("en", table.sure & (table.languages == "en")),
        ("zh", table.sure & (table.languages == "zh")),
        ("with unsure", np.ones(len(scores), bool)),
    ):
        told = measure(scores[chosen], table.math[chosen])
        print(
            f"{label + ', ' + name:44} {told['documents']:6,}  AUC {told['auc']:.3f}  F1 {told['f1']:.3f}  "
            f"precision {told['precision']:.3f}  recall {told['recall']:.3f}  ECE {told['ece']:.3f}"
        )
        if label.endswith("score"):  # of the whole stage, and not of one of its voices
            for figure in ("f1", "auc"):
                record(f"recall of {label}, {name}, {figure.upper()}", told[figure], "share")


def show_hosts(scores: _F64, table: Table) -> None:
    """Prints the share of right verdicts by host: mean, and the worst."""
    right = (scores >= 0.5) == table.math
    shares = {}
    for host in sorted(set(table.hosts.tolist())):
        here = table.sure & (table.hosts == host)
        if here.sum() >= 10:
            shares[host] = float(right[here].mean())
    worst = sorted(shares, key=shares.__getitem__)[:6]
    print(f"  right by host: mean {np.mean(list(shares.values())):.3f} of {len(shares)}; worst", end=" ")
    print(", ".join(f"{host} {shares[host]:.2f}" for host in worst))


def probability(values: _F64) -> _F64:
    """Of log-odds."""
    return 1 / (1 + np.exp(-values))


def main() -> None:
    """Prints a table for each setting."""
    data = Path(sys.argv[1])
    web, chapters, short = pages(data), books(data), seeds(data)
    documents = (web, chapters, web, [d for d in web if d.sure], short)
    texts = [[d.text for d in web], [d.text for d in chapters], [d.without_delimiters() for d in web]]
    texts += [[d.without_formulas() for d in documents[3]], [d.text for d in short]]
    weights = (1.0, 1.0, 0.5, 0.5, 0.5)
    tables = [Table(d, t, w) for d, t, w in zip(documents, texts, weights, strict=True)]
    apart, together = densities(tables)
    print(f"{MATH_SHARE:.0%} of the weight is mathematics")
    for name, at in (("pages", 0), ("chapters", 1)):
        show(f"{name}, density", probability(apart[at]), tables[at])
        show(f"{name}, density, hosts seen", probability(together[at]), tables[at])
    unknown = [d for d in short if not any(project in d.host for project in SHARED)]
    for name in sys.argv[2:] or SETTINGS:
        for place, at, held in (("pages", 0, short), ("chapters", 1, unknown)):
            with tempfile.TemporaryDirectory() as folder:
                model, mix, _ = trained(held, SETTINGS[name], Path(folder))
                heard = log_odds(model, documents[at], f"{name} {place}")
            print(f"{name}: z -> {mix.intercept} + {mix.slope} z")
            show(f"{place}, {name}, fastText alone", probability(heard), tables[at])
            scores = mix.probabilities(heard, apart[at])
            show(f"{place}, {name}, score", scores, tables[at])
            show_hosts(scores, tables[at])


if __name__ == "__main__":
    main()

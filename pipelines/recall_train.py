"""Trains the recall classifier on labelled rows, and says how it does on hosts that it was not trained on.

Whole hosts are dealt into parts; each part is scored by a model that was trained on the others. From those scores come
the figures, and the calibration of fastText's log-odds. The model itself is trained on all rows. Examples are balanced:
in each language both labels weigh the same, and in a label each source with the root of its examples. Nothing depends
on the order of files or rows.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters import density
from filters.classifier import (
    NEGATIVE,
    POSITIVE,
    RECALL_TEXT_VERSION,
    Mix,
    TrainParams,
    append_mix,
    prepare,
    train_lines,
)
from filters.errors import InputError, OutputError, UsageError
from filters.fold import load_fold
from filters.language import detect
from filters.text import pack, tokenise
from pipelines import dataset as ds
from pipelines.recall_metrics import evaluate, logistic_regression
from pipelines.recall_rows import ROWS, host_of, read_rows, text_of
from pipelines.row_fields import Fields
from pipelines.row_find import RowFile, find_rows

FORMAT = "mathcorpus-recall-1"
MIN_PARTS = 2  # below, no host is held out
MAX_COPIES = 4  # of an example of a small source, that it may weigh what it should

_F64 = npt.NDArray[np.float64]
_NO_RIDGE = 1e-3  # two coefficients of thousands of examples need none; it keeps a perfect separation finite

Progress = Callable[[str], None]  # what is being done now


@dataclass(frozen=True)
class TrainOptions:
    """What the caller asks for."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    out: Path
    fields: Fields = field(default_factory=Fields)
    params: TrainParams = field(default_factory=TrainParams)
    folds: int = 5
    density: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text, prepared, and where it is from."""

    text: str
    positive: bool
    source: str
    host: str
    language: str
    density: float  # log-odds by `filters.density`


def train(options: TrainOptions, progress: Progress = lambda _what: None) -> dict[str, Any]:
    """Writes the model to `out` and the report, which is returned, beside it as `out`.json."""
    _check(options)
    with tempfile.TemporaryDirectory() as folder:
        examples, dropped = read_examples(options, Path(folder), progress)
        parts = deal(examples, options.folds)
        mix, evaluation = Mix(density=options.density), None
        if parts is not None:
            log_odds = held_out(examples, parts, options.params, Path(folder), progress)
            mix = _calibrated(examples, log_odds, options.density)
            evaluation = evaluate_mix(examples, log_odds, mix)
        progress("training on all examples")
        with ds.writing(options.out.parent):
            options.out.parent.mkdir(parents=True, exist_ok=True)
            tmp = options.out.with_name(f".{options.out.name}.tmp")
            train_lines(balanced(examples, options.params.seed), options.params, tmp)
            append_mix(tmp, mix)
            ds.commit_file(tmp, options.out)
    report = _report(options, examples, dropped, mix, evaluation)
    ds.write_json(report_path(options.out), report)
    return report


def report_path(model: Path) -> Path:
    """Where the report of a model stands."""
    return model.with_name(f"{model.name}.json")


def _check(options: TrainOptions) -> None:
    options.params.check()
    if options.folds == 1 or options.folds < 0:
        msg = f"--folds {options.folds}: give 2 or more parts, or 0 to hold nothing out"
        raise UsageError(msg)
    if options.out.is_dir():
        msg = f"--out {options.out}: is a folder; give the name of a file"
        raise OutputError(msg)


# --- examples ---------------------------------------------------------------------------------------------------------


def read_examples(options: TrainOptions, spool: Path, progress: Progress) -> tuple[list[Example], dict[str, int]]:
    """(examples in an order of their own, how many rows were left out by reason).

    A text that stands twice counts once; one that has both labels is left out.
    """
    held: dict[bool, dict[str, Example]] = {}
    dropped = Counter[str]()
    for positive, inputs in ((True, options.positive), (False, options.negative)):
        progress(f"reading {'positive' if positive else 'negative'} rows")
        held[positive] = {}
        folder = spool / ("positive" if positive else "negative")
        folder.mkdir()
        for file in find_rows(inputs, folder):
            for example in _examples(file, positive, options.fields):
                seen = held[positive].get(example.text)
                dropped["repeated"] += seen is not None
                dropped["empty"] += not example.text
                if example.text:
                    held[positive][example.text] = min(seen, example, key=_origin) if seen else example
    both = held[True].keys() & held[False].keys()
    dropped["both_labels"] = 2 * len(both)
    examples = [one for side in held.values() for one in side.values() if one.text not in both]
    for positive, name in ((True, "--positive"), (False, "--negative")):
        if not any(one.positive is positive for one in examples):
            msg = f"{name}: no rows with text; name their field with --field"
            raise InputError(msg)
    return sorted(examples, key=lambda one: (_digest(one.text), one.positive)), dict(dropped)


def _origin(example: Example) -> tuple[str, str, str]:
    return example.host, example.source, example.language


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _examples(file: RowFile, positive: bool, fields: Fields) -> Iterator[Example]:
    rows = read_rows(file)
    while chunk := list(islice(rows, ROWS)):
        found = [(row, text) for _, row in chunk if (text := text_of(row, fields)) is not None]
        batch = pack([text for _, text in found])
        densities = density.logits(batch, tokenise(batch, spans=False)).tolist()
        prepared = prepare([text for _, text in found])
        for (row, text), words, one in zip(found, prepared, densities, strict=True):
            source = _named(row, "source") or file.name
            yield Example(words, positive, source, host_of(row) or source, _named(row, "language") or _tell(text), one)


def _named(row: dict[str, Any], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _tell(text: str) -> str:
    return detect(text)[0]


# --- parts and balance ------------------------------------------------------------------------------------------------


def deal(examples: Sequence[Example], folds: int) -> npt.NDArray[np.int64] | None:
    """int64[N]: the part of each example, whole hosts together, each label spread evenly; None without two hosts each.

    The largest hosts are dealt first, each to the part that has least of what it has most of.
    """
    hosts: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for one in examples:
        hosts[one.host][one.positive] += 1
    most = {host: counts[True] >= counts[False] for host, counts in hosts.items()}
    count = min(folds, *(sum(side is label for side in most.values()) for label in (True, False)))
    if count < MIN_PARTS:
        return None
    held = {label: [(False, 0)] * count for label in (True, False)}  # whether a host is there, and how many examples
    parts: dict[str, int] = {}
    for host in sorted(hosts, key=lambda h: (-sum(hosts[h].values()), _digest(h))):
        least = held[most[host]]
        part = parts[host] = least.index(min(least))
        for label in (True, False):
            there, number = held[label][part]
            held[label][part] = there or label is most[host], number + hosts[host][label]
    return np.array([parts[one.host] for one in examples])


def balanced(examples: Sequence[Example], seed: int) -> list[tuple[str, str]]:
    """(label, text) to train on: some of a source that has more than its share, copies where it has less."""
    groups: defaultdict[tuple[str, bool], defaultdict[str, list[str]]]
    groups = defaultdict(lambda: defaultdict(list))
    totals = Counter(one.language for one in examples)
    for one in examples:
        groups[one.language, one.positive][one.source].append(one.text)
    lines = []
    for (language, positive), sources in sorted(groups.items()):
        labels = sum((language, label) in groups for label in (True, False))
        roots = {source: math.sqrt(len(texts)) for source, texts in sources.items()}
        for source, texts in sorted(sources.items()):
            share = totals[language] / labels * roots[source] / math.fsum(roots.values())
            wanted = max(1, min(round(share), MAX_COPIES * len(texts)))
            ordered = sorted(texts, key=lambda text: _digest(f"{seed}\0{text}"))
            label = POSITIVE if positive else NEGATIVE
            lines += [(label, ordered[number % len(ordered)]) for number in range(wanted)]
    return lines


# --- what a model does on hosts that it does not know -----------------------------------------------------------------


def held_out(
    examples: Sequence[Example], parts: npt.NDArray[np.int64], params: TrainParams, folder: Path, progress: Progress
) -> _F64:
    """float64[N]: fastText's log-odds of each example, by a model that was trained on the other parts."""
    log_odds = np.zeros(len(examples))
    count = int(parts.max()) + 1
    for part in range(count):
        progress(f"training without part {part + 1} of {count}")
        model = folder / "part.bin"
        others = [one for one, at in zip(examples, parts.tolist(), strict=True) if at != part]
        train_lines(balanced(others, params.seed), params, model)
        fold, here = load_fold(model), np.flatnonzero(parts == part)
        for first in range(0, len(here), ROWS):
            chunk = here[first : first + ROWS]
            tokens = tokenise(pack([examples[number].text for number in chunk]), spans=False)
            log_odds[chunk] = fold.logits(tokens, POSITIVE)
        model.unlink()
    return log_odds


def _calibrated(examples: Sequence[Example], log_odds: _F64, with_density: bool) -> Mix:
    """The mix whose fastText is calibrated: both labels weigh the same, a host with the root of its examples."""
    positive = np.array([one.positive for one in examples])
    counts = Counter(one.host for one in examples)
    weights = np.array([1 / math.sqrt(counts[one.host]) for one in examples])
    for side in (positive, ~positive):
        weights[side] *= len(examples) / 2 / weights[side].sum()
    features = np.column_stack([np.ones(len(examples)), Mix().calibrated(log_odds)])
    intercept, slope = logistic_regression(features, positive, weights, _NO_RIDGE).round(4).tolist()
    return Mix(intercept=intercept, slope=max(0.0, slope), density=with_density)


def evaluate_mix(examples: Sequence[Example], log_odds: _F64, mix: Mix) -> dict[str, Any]:
    """Figures of the score, and of calibrated fastText alone."""
    densities = np.array([one.density for one in examples])
    alone = Mix(intercept=mix.intercept, slope=mix.slope, density=False)
    positive = np.array([one.positive for one in examples])
    groups = {
        "languages": [one.language for one in examples],
        "sources": [one.source for one in examples],
        "hosts": [one.host for one in examples],
    }
    return {
        "score": evaluate(mix.probabilities(log_odds, densities), positive, groups),
        "fasttext": evaluate(alone.probabilities(log_odds, densities), positive, groups),
    }


# --- the report -------------------------------------------------------------------------------------------------------


def _report(
    options: TrainOptions,
    examples: Sequence[Example],
    dropped: dict[str, int],
    mix: Mix,
    evaluation: dict[str, Any] | None,
) -> dict[str, Any]:
    sha256, size = ds.file_sha256(options.out)
    return {
        "format": FORMAT,
        "model": {"file": options.out.name, "sha256": sha256, "bytes": size},
        "labels": [POSITIVE, NEGATIVE],
        "text": RECALL_TEXT_VERSION,
        "density": density.DENSITY_VERSION if options.density else None,
        "mix": asdict(mix),
        "params": {**asdict(options.params), "folds": options.folds, "fields": list(options.fields.names)},
        "examples": _counted(examples),
        "left_out": dropped,
        "evaluation": evaluation,
        "versions": {name: version(name) for name in ("mathcorpus", "fasttext-numpy2-wheel")},
    }


def _counted(examples: Iterable[Example]) -> list[dict[str, Any]]:
    counts = Counter((one.positive, one.language, one.source) for one in examples)
    return [
        {"label": POSITIVE if positive else NEGATIVE, "language": language, "source": source, "examples": number}
        for (positive, language, source), number in sorted(counts.items(), reverse=True)
    ]

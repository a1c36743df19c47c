"""The work of `mathcorpus selftest`: benchmark questions planted in documents of the caller's own.

The input is read twice: a sample of its documents is chosen by the digest of their place, which takes every document to
be seen, and then searched. So memory follows the sample. What is flagged without a plant is a false alarm, or
contamination that is real: it is listed with its evidence, and nothing is planted in it.
"""

from __future__ import annotations

import heapq
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from decontam.edits import Choices
from decontam.index import Index
from decontam.match import KINDS, MATCH_VERSION, Match, Scan, scan_batch
from decontam.params import DecontaminationParams
from decontam.plants import HOST_CHARS, PLANTS, Missed, Questions, Recall, plantable, plants, recall, wilson
from decontam.stock import demote, stock_ngrams
from filters.errors import InputError, OutputError, UsageError
from filters.text import TEXT_VERSION
from pipelines import decontaminate
from pipelines.files import encodable, write_bytes, write_json, writing
from pipelines.row_files import parts_of, read_texts
from pipelines.row_find import find_rows
from pipelines.row_scan import Scanned, evidence, located
from pipelines.row_tally import check_read
from pipelines.row_texts import TextBatch

SHOWN = 5  # missed questions, and documents flagged, that the report holds; all are in the files of --out
_JSON_LINE = orjson.OPT_APPEND_NEWLINE

Place = tuple[str, int]  # of a document: its file, and its row there, from 0
Progress = Callable[[str, int], None]  # (what is being done, bytes of text done since the last call)


@dataclass(frozen=True)
class Options:
    """What the caller asks for."""

    search: decontaminate.Options  # the input, the benchmarks and the rule
    kinds: tuple[str, ...] = tuple(PLANTS)
    samples: int = 1_000  # questions planted of each kind, at most
    documents: int = 10_000  # of the input that are searched, at most
    seed: int = 1
    out: Path | None = None

    def told(self) -> dict[str, Any]:
        """The options of the plants."""
        return {n: getattr(self, n) for n in ("kinds", "samples", "documents", "seed")}


@dataclass(slots=True)
class _Own:
    """What was found in the caller's own documents."""

    flagged: list[tuple[list[Match], list[dict[str, Any]]]]  # of a document, its matches and their evidence
    hosts: list[str]  # pieces of the others
    loose: Counter[int]


def run(options: Options, progress: Progress) -> dict[str, Any]:
    """The report; writes it, what was missed and what was flagged, if there is a folder for them."""
    started = time.perf_counter()
    if options.out is not None:
        _make_folder(options.out)
    index, params = decontaminate.open_benchmarks(options.search)
    questions = _questions(index, params)
    with tempfile.TemporaryDirectory(prefix=".selftest-") as spool:
        reader = _Reader(options.search, Path(spool), progress)
        chosen = reader.choose(options.documents, options.seed)
        own = _search(index, params, reader.rows(chosen), options.seed)
    stock = stock_ngrams(own.loose, params)
    flagged = [_judged(matches, lines, stock) for matches, lines in own.flagged]
    recalls = {}
    for name in options.kinds:
        planted = plants(name, questions.of(name), own.hosts, options.seed, options.samples)
        recalls[name] = recall(index, params, name, _told(planted, name, progress), stock)
    report = {
        "documents": {"read": reader.seen, "searched": len(chosen), "flagged": len(flagged)},
        "questions": _covered(questions),
        "kinds": {name: found.figures() for name, found in recalls.items()},
        "missed": _first_of_each(list(recalls.values())),
        "false_alarms": _alarms(flagged, len(chosen)),
        "options": {**options.search.told(params), **options.told()},
        "index": {"digest": index.digest, "items": len(index.items)},
        "versions": {"text": TEXT_VERSION, "match": MATCH_VERSION},
        "cost": {"seconds": round(time.perf_counter() - started, 3)},
    }
    if options.out is not None:
        _write(options.out, report, recalls, flagged)
    return report


def _make_folder(out: Path) -> None:
    """Refused before the work is done, and not behind it."""
    if out.exists() and not out.is_dir():
        msg = f"--out {out}: is a file; give a folder"
        raise OutputError(msg)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)


def _questions(index: Index, params: DecontaminationParams) -> Questions:
    if params.rule != "qwen-math":
        msg = f"--rule {params.rule}: compares whole samples, and a plant is a part of a document; use qwen-math"
        raise UsageError(msg)
    questions = plantable(index, params)
    if not questions.exact and not questions.short:
        held = "are private" if questions.private else f"has {params.ngram} tokens, or is short and found as a whole"
        none = "the questions of the index" if questions.private else "no question of the benchmarks"
        msg = f"{none} {held}, so that there is nothing to plant; see `mathcorpus benchmarks coverage`"
        raise InputError(msg)
    return questions


# --- the caller's documents -------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """A document of the input, and the batch that has its texts."""

    place: Place
    batch: TextBatch
    texts: list[int]  # numbers in the batch, by field


class _Reader:
    """The documents of the input, as often as they are asked for."""

    def __init__(self, search: decontaminate.Options, spool: Path, progress: Progress) -> None:
        self.fields, self.id_field, self.progress = search.fields, search.id_field, progress
        self.parts = [part for file in find_rows(search.inputs, spool) for part in parts_of(file, self.fields)]
        self.seen = 0  # documents

    def _batches(self, what: str) -> Iterator[tuple[str, int, TextBatch, Scanned]]:
        """(file, number of the first row of the part, batch, what was counted in the part so far)."""
        firsts: Counter[str] = Counter()
        broken: set[str] = set()
        for part in self.parts:
            if (name := part.file.name) in broken:
                continue
            found = Scanned()
            for batch in read_texts(part, self.fields, self.id_field):
                before = found.bytes
                found.count(batch)
                self.progress(what, found.bytes - before)
                yield name, firsts[name], batch, found
            firsts[name] += found.numbered
            broken.update([name] if found.is_broken else [])

    def choose(self, count: int, seed: int) -> set[Place]:
        """Up to `count` documents: those with the least digests of place and seed."""
        heap: list[tuple[int, Place]] = []
        parts: list[Scanned] = []
        for name, first, batch, found in self._batches("read"):
            parts += [found] if not parts or parts[-1] is not found else []
            for number in np.unique(batch.numbers).tolist():
                self.seen += 1
                place = name, first + number
                entry = -Choices(seed, *place).below(1 << 63), place
                if len(heap) < count:
                    heapq.heappush(heap, entry)
                else:
                    heapq.heappushpop(heap, entry)
        check_read(parts, self.fields)
        if not heap:
            msg = "the input holds no document with a text; give some of your own, which questions are planted in"
            raise InputError(msg)
        return {place for _, place in heap}

    def rows(self, chosen: Collection[Place]) -> Iterator[list[_Row]]:
        """The chosen documents, those of a batch together."""
        for name, first, batch, _ in self._batches("search"):
            rows: dict[int, list[int]] = {}
            for text, number in enumerate(batch.numbers.tolist()):
                if (name, first + number) in chosen:
                    rows.setdefault(number, []).append(text)
            if rows:
                yield [_Row((name, first + n), batch, sorted(rows[n], key=batch.order)) for n in sorted(rows)]


def _search(index: Index, params: DecontaminationParams, batches: Iterator[list[_Row]], seed: int) -> _Own:
    """What documents hold, and pieces of those that hold nothing."""
    own, searched = _Own([], [], Counter()), 0
    for rows in batches:
        searched += len(rows)
        scans = iter(scan_batch(index, [row.batch.text(text) for row in rows for text in row.texts], params))
        for row in rows:
            found = [next(scans) for _ in row.texts]
            own.loose.update(set().union(*(scan.loose for scan in found)))
            if any(scan.matches for scan in found):
                own.flagged.append(_evidence(index, row, found))
            elif piece := _piece(row, seed):
                own.hosts.append(piece)
    if not own.hosts:
        msg = (
            f"each of the {searched:,} documents that were searched is empty or holds benchmark text, so that there "
            "is none to plant in; `mathcorpus decontaminate` shows what they hold"
        )
        raise InputError(msg)
    return own


def _evidence(index: Index, row: _Row, found: Sequence[Scan]) -> tuple[list[Match], list[dict[str, Any]]]:
    origin = encodable("#".join(map(str, row.place)))
    matches = [match for scan in found for match in scan.matches]
    lines = [
        located(line, origin)
        for text, scan in zip(row.texts, found, strict=True)
        for line in evidence(index, row.batch, text, scan.matches)
    ]
    return matches, lines


def _piece(row: _Row, seed: int) -> str:
    """As much of the longest text of a document as one plant needs."""
    text: str = max(map(row.batch.text, row.texts), key=len)
    start = Choices(seed, *row.place, "piece").below(max(1, len(text) - HOST_CHARS))
    return text[start : start + HOST_CHARS].strip()


def _judged(matches: Sequence[Match], lines: Sequence[dict[str, Any]], stock: frozenset[int]) -> list[dict[str, Any]]:
    """Lines of evidence by their final class, the strongest first."""
    judged = [{**line, "class": match.kind} for line, match in zip(lines, demote(matches, stock), strict=True)]
    return sorted(judged, key=lambda line: (KINDS.index(line["class"]), -line["lcs"]))


# --- the report -------------------------------------------------------------------------------------------------------


def _told(planted: Iterator[Any], name: str, progress: Progress) -> Iterator[Any]:
    for plant in planted:
        progress(name, len(plant.text))
        yield plant


def _covered(questions: Questions) -> dict[str, int]:
    exact, short = len(questions.exact), len(questions.short)
    counts = {"exact": exact, "short": short, "unprotected": questions.unprotected, "private": questions.private}
    return {"all": sum(counts.values()), **counts}


def _alarms(flagged: Sequence[list[dict[str, Any]]], searched: int) -> dict[str, Any]:
    classes = Counter(lines[0]["class"] for lines in flagged)
    low, high = wilson(len(flagged), searched)
    return {
        "documents": len(flagged),
        **{kind: classes[kind] for kind in KINDS},
        "share": round(len(flagged) / searched, 6),
        "low": low,
        "high": high,
        "first": [lines[0] for lines in _strongest_first(flagged)[:SHOWN]],
    }


def _strongest_first(flagged: Sequence[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    return sorted(flagged, key=lambda lines: (KINDS.index(lines[0]["class"]), -lines[0]["lcs"]))


def _first_of_each(recalls: Sequence[Recall]) -> list[dict[str, Any]]:
    """The first question that was missed of each kind, the kinds with the most first."""
    worst = sorted((found for found in recalls if found.missed), key=lambda found: -len(found.missed))
    return [_line(found.missed[0]) for found in worst[:SHOWN]]


def _line(missed: Missed) -> dict[str, Any]:
    item = asdict(missed.item)
    return {
        "kind": missed.kind,
        "benchmark": item["benchmark"],
        "split": item["split"],
        "item": item["row"],
        "planted": encodable(missed.planted),
        "item_text": encodable(item["text"]),
    }


def _write(out: Path, report: dict[str, Any], recalls: dict[str, Recall], flagged: list[list[dict[str, Any]]]) -> None:
    missed = [_line(one) for found in recalls.values() for one in found.missed]
    alarms = [line for lines in _strongest_first(flagged) for line in lines]
    for name, lines in (("missed.jsonl", missed), ("false_alarms.jsonl", alarms)):
        write_bytes(out / name, b"".join(orjson.dumps(line, option=_JSON_LINE) for line in lines))
    write_json(out / "report.json", report)

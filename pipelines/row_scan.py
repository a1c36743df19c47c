"""Benchmark items in the texts of rows: a part of a file at a time, its evidence kept on disk.

The evidence of a text is cut while the text is at hand. Its class may change later, when it is known which n-grams are
stock phrases; so the match is kept beside it. Rows are counted in their part; where that begins in its file is known
when the parts before it are scanned.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from decontam.evidence import evidence_line
from decontam.match import KINDS, Match, Scan, scan_batch
from decontam.stock import match_of
from pipelines.files import encodable
from pipelines.row_fields import Fields
from pipelines.row_files import Part, read_texts
from pipelines.row_texts import TextBatch
from pipelines.streams import CORRUPT, TRUNCATED

if TYPE_CHECKING:
    from decontam.index import Index
    from decontam.params import DecontaminationParams

JUDGED = ".judged"  # suffix of the file of hits that a model called the same
LISTED = 100  # bad rows of a file that the report lists for each reason; all are counted


@dataclass(frozen=True, slots=True)
class Job:
    """A part to scan, and where its hits go."""

    part: Part
    hits: str
    fields: Fields
    id_field: str
    wide: bool = False  # whether a judge is to be asked about what the rules leave


@dataclass(slots=True)
class Scanned:
    """What scanning a part found, but for the hits, which are on disk."""

    rows: int = 0
    numbered: int = 0  # rows of Parquet; lines, blank ones too
    bytes: int = 0  # of text, as UTF-8
    texts: Counter[str] = field(default_factory=Counter)  # by field
    problems: Counter[str] = field(default_factory=Counter)  # rows, by reason
    listed: dict[str, list[int]] = field(default_factory=dict)  # the first of these rows, by reason
    loose: Counter[int] = field(default_factory=Counter)  # documents, by n-gram of the index
    keys: Sequence[str] = ()  # of a row that lacks a field

    @property
    def is_broken(self) -> bool:
        """Whether the file cannot be read on behind this part."""
        return bool(self.problems.keys() & {CORRUPT, TRUNCATED})

    def count(self, batch: TextBatch) -> None:
        """Adds the rows of a batch."""
        self.rows += batch.rows
        self.numbered += batch.numbered
        self.texts.update(batch.texts_by_field())
        self.bytes += int(batch.batch.offsets[-1] - batch.batch.offsets[0])
        for number, problem in batch.problems:
            self.problems[problem] += 1
            listed = self.listed.setdefault(problem, [])
            if len(listed) < LISTED:
                listed.append(number)
        self.keys = self.keys or batch.keys

    def count_loose(self, batch: TextBatch, scans: Sequence[Scan]) -> None:
        """Adds the loose n-grams of the texts of a batch, once for each row."""
        rows: dict[int, set[int]] = {}
        for text, scan in enumerate(scans):
            if scan.loose:
                rows.setdefault(int(batch.numbers[text]), set()).update(scan.loose)
        for grams in rows.values():
            self.loose.update(grams)


class Hit(NamedTuple):
    """A match of a row, and its line of evidence."""

    place: str
    match: Match
    line: dict[str, Any]


def scan_part(index: Index, params: DecontaminationParams, job: Job, progress: Callable[[int], None]) -> Scanned:
    """What a part holds; a line for each of its texts with matches is written to `job.hits`."""
    found = Scanned()
    with Path(job.hits).open("wb") as out:
        for batch in read_texts(job.part, job.fields, job.id_field):
            scans = scan_batch(index, batch.batch, params) if len(batch) else []
            before = found.bytes
            found.count(batch)
            found.count_loose(batch, scans)
            held = [text for text, scan in enumerate(scans) if scan.matches]
            for text in sorted(held, key=batch.order):
                lines = evidence(index, batch, text, scans[text].matches)
                row = {"row": int(batch.numbers[text]), "place": batch.place(text), "matches": scans[text].matches}
                out.write(orjson.dumps({**row, "lines": lines}, option=orjson.OPT_APPEND_NEWLINE))
            if job.wide:
                from pipelines.judging import collect

                collect(index, batch, scans, Path(job.hits))
            progress(found.bytes - before)
    return found


def evidence(index: Index, batch: TextBatch, text: int, matches: Sequence[Match]) -> list[dict[str, Any]]:
    """A line of evidence for each match of a text, in the order of the matches; `located` tells where it is from."""
    identity = batch.identify(text)
    name = None if identity is None else encodable(str(identity))
    content, place = batch.text(text), batch.place(text)
    return [{**evidence_line(index, content, match, name, ""), "text_field": place} for match in matches]


def located(line: dict[str, Any], origin: str) -> dict[str, Any]:
    """The line with its origin, which is also the name of a document without an id."""
    name = origin if line["doc_id"] is None else line["doc_id"]
    return {**line, "doc_id": name, "origin": origin}


def read_hits(path: Path) -> Iterator[tuple[int, list[Hit]]]:
    """(row, its hits) of a part, by row; places in the order of the fields."""
    row, hits = -1, list[Hit]()
    with path.open("rb") as file:
        for line in file:
            held = orjson.loads(line)
            if held["row"] != row:
                if hits:
                    yield row, hits
                row, hits = held["row"], []
            matches = [match_of(match) for match in held["matches"]]
            hits += [Hit(held["place"], m, e) for m, e in zip(matches, held["lines"], strict=True)]
    if hits:
        yield row, hits


def merge_hits(*sources: Iterable[tuple[int, list[Hit]]]) -> Iterator[tuple[int, list[Hit]]]:
    """(row, its hits of all sources) by row, as each source is; those of the first source first."""
    for row, found in groupby(heapq.merge(*sources, key=itemgetter(0)), key=itemgetter(0)):
        yield row, [hit for _, hits in found for hit in hits]


def strongest(kinds: Sequence[str]) -> str:
    """The first in the order of KINDS."""
    return min(kinds, key=KINDS.index)

"""Benchmark items in the texts of rows: a part of a file at a time, its evidence kept on disk.

The evidence of a text is cut while the text is at hand. Its class may change later, when it is known which n-grams are
stock phrases; so the match is kept beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from decontam.match import KINDS, Match, Scan, scan_batch
from pipelines.dataset import encodable
from pipelines.row_fields import Fields, pattern
from pipelines.row_files import Part, TextBatch, read_texts

if TYPE_CHECKING:
    from decontam.index import Index
    from decontam.params import DecontaminationParams

LISTED = 100  # bad rows of a file that the report lists for each reason; all are counted


@dataclass(frozen=True, slots=True)
class Job:
    """A part to scan, and where its hits go."""

    part: Part
    hits: str
    fields: Fields
    id_field: str


@dataclass(slots=True)
class Scanned:
    """What scanning a part found, but for the hits, which are on disk."""

    rows: int = 0
    bytes: int = 0  # of text, as UTF-8
    texts: Counter[str] = field(default_factory=Counter)  # by field
    problems: Counter[str] = field(default_factory=Counter)  # rows, by reason
    listed: dict[str, list[int]] = field(default_factory=dict)  # the first of these rows, by reason
    loose: Counter[int] = field(default_factory=Counter)  # documents, by n-gram of the index
    keys: Sequence[str] = ()  # of a row that lacks a field

    def count(self, batch: TextBatch) -> None:
        """Adds the rows of a batch."""
        self.rows += batch.rows
        self.texts.update(map(pattern, batch.places) if any("[" in p for p in batch.places) else batch.places)
        self.bytes += sum(len(t) if t.isascii() else len(t.encode("utf-8", "replace")) for t in batch.texts)
        for number, problem in batch.problems:
            self.problems[problem] += 1
            listed = self.listed.setdefault(problem, [])
            if len(listed) < LISTED:
                listed.append(number)
        self.keys = self.keys or batch.keys

    def count_loose(self, numbers: Sequence[int], scans: Sequence[Scan]) -> None:
        """Adds the loose n-grams of the texts of a batch, once for each row."""
        row, seen = -1, set[int]()
        for number, scan in zip(numbers, scans, strict=True):
            if not scan.loose:
                continue
            if number != row:
                row, seen = number, set()
            fresh = set(scan.loose) - seen
            self.loose.update(fresh)
            seen |= fresh


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
            scans = scan_batch(index, batch.texts, params) if batch.texts else []
            before = found.bytes
            found.count(batch)
            found.count_loose(batch.numbers, scans)
            for text, scan in enumerate(scans):
                if scan.matches:
                    out.write(_hits(index, job.part.file.name, batch, text, scan.matches))
            progress(found.bytes - before)
    return found


def _hits(index: Index, file: str, batch: TextBatch, text: int, matches: Sequence[Match]) -> bytes:
    lines = evidence(index, file, batch, text, matches)
    row = {"row": batch.numbers[text], "place": batch.places[text], "matches": matches, "lines": lines}
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def evidence(index: Index, file: str, batch: TextBatch, text: int, matches: Sequence[Match]) -> list[dict[str, Any]]:
    """A line of evidence for each match of a text, in the order of the matches."""
    from datatrove.data import Document

    from decontam.step import evidence_lines  # datatrove's filters take as long to import as all else together

    origin = encodable(f"{file}#{batch.numbers[text]}")
    identity = batch.ids[text]
    name = origin if identity is None else encodable(str(identity))
    doc = Document(text=batch.texts[text], id=name, metadata={"origin": origin})
    return [{**line, "text_field": batch.places[text]} for m in matches for line in evidence_lines(index, doc, [m])]


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
            matches = [_match(match) for match in held["matches"]]
            hits += [Hit(held["place"], m, e) for m, e in zip(matches, held["lines"], strict=True)]
    if hits:
        yield row, hits


def _match(stored: dict[str, Any]) -> Match:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return Match(**values)


def strongest(kinds: Sequence[str]) -> str:
    """The first in the order of KINDS."""
    return min(kinds, key=KINDS.index)

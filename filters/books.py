"""Books by section: where a text is cut, what its sections score, and which of them stay.

A book is more than one subject: a preface, a licence, an index stand beside chapters of mathematics, and a chapter has
an anecdote between two proofs. So sections are scored, and a chapter decides: a chapter that is mostly mathematics
stays whole, of another the mathematical sections stay, with what lies between two of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

BOOKS_VERSION = "books-1"
MIN_SECTION_CHARS = 400  # shorter sections are scored with the next: a title and two lines say little
PIECE_CHARS = 6_000  # of a text without headings, cut at empty lines
WHOLE_SHARE = 0.5  # of a chapter's characters in mathematical sections, from which the chapter stays whole
PART_SHARE = 0.25  # below it, what scores as mathematics in the chapter is a listing or a table
CHAPTER_CHARS = 5_000  # so much mathematics is worth keeping from whatever book
_LATEX = re.compile(r"^[ \t]*\\(part|chapter|section|subsection)\*?[ \t]*(?:\[[^\]\n]*\])?\{(.*)", re.MULTILINE)
_LATEX_LEVELS = {"part": 0, "chapter": 1, "section": 2, "subsection": 3}
_MARKDOWN = re.compile(r"^(#{1,6})[ \t]+(\S.*)$|^(\S.{0,200})\n(={3,}|-{3,})[ \t]*$", re.MULTILINE)
_ASCIIDOC = re.compile(r"^(={1,6})[ \t]+(\S.*)$", re.MULTILINE)
_XML = re.compile(
    r"<((?:sub)*section|chapter|part|appendix|document|glossary|exercises)\b[^<>]*>(?:\s*<title>([^<]*))?"
)
_XML_LEVELS = {"part": 0, "document": 1, "chapter": 1, "appendix": 1}
_NUMBERED = re.compile(
    r"^[ \t]*(?:(part|book|chapter|section|appendix)[ \t]+(?:[ivxlc]+|\d+|[a-z])\b[.:]?.{0,80}"
    r"|第[一二三四五六七八九十百零〇两\d]+([篇编部卷章节])[ \t\u3000]*.{0,60}"
    r"|(\d+(?:\.\d+){0,3})\.?[ \t]+(?-i:[A-Z\u4e00-\u9fff])[^\n]{0,80}[^\n.;,。；，]|([IVXLC]+)\.)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_NAMED_LEVELS = {"part": 0, "book": 0, "chapter": 1, "appendix": 1, "section": 2}
_NAMED_LEVELS |= {"篇": 0, "编": 0, "部": 0, "卷": 0, "章": 1, "节": 2}
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_ENDS_EMPTY, _STARTS_EMPTY = re.compile(r"\n[ \t\r]*\n\Z"), re.compile(r"[ \t\r]*\n[ \t\r]*\n")
_EMPTY_LINES = re.compile(r"\r?\n[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Heading:
    """Where a heading starts, its level (0 part, 1 chapter, 2 section, ...) and its words."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Section:
    """text[start:end], from its heading to the next one; `chapter` counts from 0 within the text."""

    start: int
    end: int
    chapter: int
    title: str


def split(text: str) -> list[Section]:
    """The sections of a LaTeX, Markdown, AsciiDoc or XML text, or one with numbered headings; they cover all of it.

    Chapters are the highest level that occurs twice. A text without headings is cut into pieces at empty lines.
    """
    found = headings(text)
    if not found:
        return list(_pieces(text, Section(0, len(text), 0, "")))
    levels = [h.level for h in found]
    top = min((one for one in levels if levels.count(one) > 1), default=min(levels))
    sections: list[Section] = [Section(0, found[0].start, 0, "")] if found[0].start else []
    chapter = 0
    for heading, end in zip(found, [*(h.start for h in found[1:]), len(text)], strict=True):
        chapter += heading.level <= top and bool(sections)
        sections.append(Section(heading.start, end, chapter, heading.title))
    return [piece for section in _joined(sections) for piece in _pieces(text, section)]


def headings(text: str) -> list[Heading]:
    """The headings of a text, in order, by the markup that marks most of them."""
    kinds = (list(find(text)) for find in (_latex, _xml, _markdown, _asciidoc))
    best = max(kinds, key=len)
    return best if best else list(_numbered(text))


def _latex(text: str) -> Iterator[Heading]:
    for found in _LATEX.finditer(text):
        yield Heading(found.start(), _LATEX_LEVELS[found[1]], found[2].partition("}")[0])


def _markdown(text: str) -> Iterator[Heading]:
    fences = [m.span() for m in _FENCE.finditer(text)]
    for found in _MARKDOWN.finditer(text):
        if not any(a <= found.start() < b for a, b in fences):
            level = len(found[1]) if found[1] else 1 + (found[4][0] == "-")
            yield Heading(found.start(), level, (found[2] or found[3]).strip())


def _asciidoc(text: str) -> Iterator[Heading]:
    for found in _ASCIIDOC.finditer(text):
        yield Heading(found.start(), len(found[1]), found[2].strip())


def _xml(text: str) -> Iterator[Heading]:
    if text[:200].lstrip().startswith("<"):
        for found in _XML.finditer(text):
            level = _XML_LEVELS.get(found[1], 2 + found[1].count("sub"))
            yield Heading(found.start(), level, " ".join((found[2] or "").split()))


def _numbered(text: str) -> Iterator[Heading]:
    for found in _NUMBERED.finditer(text):
        before, after = text[max(0, found.start() - 4) : found.start()], text[found.end() : found.end() + 40]
        if (found.start() and not _ENDS_EMPTY.search(before)) or (after and not _STARTS_EMPTY.match(after)):
            continue
        named = (found[1] or found[2] or "").lower()
        level = _NAMED_LEVELS.get(named, 2 + (found[3] or "").count("."))
        yield Heading(found.start(), 1 if found[4] else level, found[0].strip())


def _pieces(text: str, section: Section) -> Iterator[Section]:
    """A section cut at empty lines into pieces of `PIECE_CHARS`, if it is much longer."""
    last = section.start
    for found in _EMPTY_LINES.finditer(text, section.start, section.end):
        if found.end() - last >= PIECE_CHARS and section.end - found.end() >= PIECE_CHARS:
            yield Section(last, found.end(), section.chapter, section.title)
            last = found.end()
    if last < section.end:
        yield Section(last, section.end, section.chapter, section.title)


def _joined(sections: Sequence[Section]) -> Iterator[Section]:
    """The sections of each chapter, short ones joined with the next, and the last with the one before."""
    for chapter, group in groupby(sections, key=lambda s: s.chapter):
        held: list[Section] = []
        for one in group:
            if held and held[-1].end - held[-1].start < MIN_SECTION_CHARS:
                held[-1] = Section(held[-1].start, one.end, chapter, held[-1].title or one.title)
            else:
                held.append(one)
        if len(held) > 1 and held[-1].end - held[-1].start < MIN_SECTION_CHARS:
            last = held.pop()
            held[-1] = Section(held[-1].start, last.end, chapter, held[-1].title)
        yield from held


def keep(sections: Sequence[Section], scores: Sequence[float], threshold: float) -> list[bool]:
    """Which sections stay: of a chapter that is mostly above the threshold, all; of one that is partly, those above it
    and what lies between two of them; of another, none.
    """
    above = [score >= threshold for score in scores]
    kept = [False] * len(sections)
    lengths = [section.end - section.start for section in sections]
    for _, group in groupby(range(len(sections)), key=lambda i: sections[i].chapter):
        inside = list(group)
        good = [i for i in inside if above[i]]
        share = sum(lengths[i] for i in good) / sum(lengths[i] for i in inside)
        for i in inside:
            kept[i] = share >= WHOLE_SHARE or (share >= PART_SHARE and good[0] <= i <= good[-1])
    stays = sum(length for length, one in zip(lengths, kept, strict=True) if one)
    return kept if stays >= min(CHAPTER_CHARS, PART_SHARE * sum(lengths)) else [False] * len(sections)


def book_score(sections: Sequence[Section], scores: Sequence[float]) -> float:
    """The score of a whole text: that of its sections, by their length."""
    lengths = [section.end - section.start for section in sections]
    return round(float(np.average(scores, weights=lengths)), 5)


class Books(BaseFilter):
    """Scores books by section: writes `math_score` and `book_sections`, and leaves out the sections that are not kept.

    A document without a section to keep is removed as `not_math`. Other sources pass. `scorer` gives the probabilities
    of a list of texts.
    """

    name = "books"

    def __init__(self, scorer: Callable[[list[str]], Sequence[float]], threshold: float = 0.5) -> None:
        super().__init__()
        self.scorer, self.threshold = scorer, threshold

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """The verdict on one document."""
        if doc.metadata.get("source") != "book" or not doc.text.strip():
            return True
        sections = split(doc.text)
        scores = [float(s) for s in self.scorer([doc.text[s.start : s.end] for s in sections])]
        kept = keep(sections, scores, self.threshold)
        doc.metadata["math_score"] = book_score(sections, scores)
        doc.metadata["book_sections"] = {"all": len(sections), "kept": sum(kept)}
        left_out = [
            {"section": one.title, "span": [one.start, one.end], "math_score": score, "threshold": self.threshold}
            for one, score, stays in zip(sections, scores, kept, strict=True)
            if not stays
        ]
        if left_out:
            doc.metadata["evidence"] = left_out
        if not any(kept):
            doc.metadata["filter_score"] = doc.metadata["math_score"]
            return False, "not_math"
        doc.text = "".join(doc.text[one.start : one.end] for one, stays in zip(sections, kept, strict=True) if stays)
        return True

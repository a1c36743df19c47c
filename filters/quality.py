"""Rules that tell text from junk without killing mathematics.

Gopher's and C4's rules on symbols, digits, braces and short lines were left out: each of them removes pages of formulas
(C4's rule on `{` cost FineMath its LaTeX). What stays is about emptiness, repetition, tables of numbers and lists of
links. A document's `quality_score` is stored; the rules give the verdict.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.text import Tokens, pack, tokenise

QUALITY_VERSION = "quality-1"
LONG_LINE = 20  # characters; shorter lines (a brace, "Proof.", a row of a matrix) repeat by right
LINK_LINE_WORDS = 5  # a line of at most this many words and no formula reads as an entry of a menu
MIN_LINES = 12  # fewer lines are no list
GOOD_LENGTH = 300  # tokens from which length no longer adds to the score
_MATH = re.compile(r"[=<>+*^\\$_{}|∑∫√≤≥≠≈∈∞±×÷→∀∃]|\d")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；，]\s*$")


@dataclass(frozen=True, slots=True)
class QualityParams:
    """Limits of the rules; shares are in 0 to 1."""

    min_tokens: int = 40
    max_number_share: float = 0.6
    max_repeated_line_share: float = 0.4
    max_link_line_share: float = 0.8


@dataclass(frozen=True, slots=True)
class Signals:
    """What the rules look at."""

    tokens: int
    number_share: float
    repeated_line_share: float
    link_line_share: float

    @property
    def score(self) -> float:
        """Quality in 0 to 1: distinct lines, prose beside numbers, lines that say something, enough of it."""
        length = min(1.0, self.tokens / GOOD_LENGTH)
        prose = min(1.0, 2 * (1 - self.number_share))
        return round(length * prose * (1 - self.repeated_line_share) * (1 - self.link_line_share / 2), 4)

    def verdict(self, params: QualityParams) -> tuple[str, float, float] | None:
        """(reason, value, limit) of the first rule that does not hold, or None."""
        if self.tokens < params.min_tokens:
            return "too_short", self.tokens, params.min_tokens
        for reason, value, limit in (
            ("number_junk", self.number_share, params.max_number_share),
            ("repeated_lines", self.repeated_line_share, params.max_repeated_line_share),
            ("link_list", self.link_line_share, params.max_link_line_share),
        ):
            if value > limit:
                return reason, value, limit
        return None


def signals(texts: list[str]) -> list[Signals]:
    """The signals of each text."""
    tokens = tokenise(pack(texts))
    numbers = _number_counts(tokens)
    counts = np.diff(tokens.offsets)
    return [
        Signals(int(n), round(float(m / max(n, 1)), 4), _repeated_share(text), _link_share(text))
        for text, n, m in zip(texts, counts, numbers, strict=True)
    ]


def _number_counts(tokens: Tokens) -> np.ndarray:
    """Tokens of each document that are numbers (their first folded byte is a digit)."""
    firsts = np.concatenate(([0], tokens.folded_ends[:-1])) if len(tokens.folded_ends) else np.zeros(0, np.int64)
    first = tokens.folded[firsts.astype(np.int64)]
    total = np.concatenate(([0], np.cumsum((first >= ord("0")) & (first <= ord("9")))))
    return np.asarray(total[tokens.offsets[1:]] - total[tokens.offsets[:-1]])


def _repeated_share(text: str) -> float:
    long = [line for line in map(str.strip, text.splitlines()) if len(line) >= LONG_LINE]
    total = sum(map(len, long))
    repeated = sum(len(line) * (n - 1) for line, n in Counter(long).items())
    return round(repeated / total, 4) if total else 0.0


def _link_share(text: str) -> float:
    found = [line for line in map(str.strip, text.splitlines()) if line]
    if len(found) < MIN_LINES:
        return 0.0
    return round(sum(map(_is_link_line, found)) / len(found), 4)


def _is_link_line(line: str) -> bool:
    words = len(line.split()) if line.isascii() else len(line) // 3
    return words <= LINK_LINE_WORDS and not _MATH.search(line) and not _SENTENCE_END.search(line)


class Quality(BaseFilter):
    """Writes `quality_score`; removes what breaks a rule. Source code is only asked for its length.

    Removed: `too_short`, `number_junk`, `repeated_lines`, `link_list`.
    """

    name = "quality"

    def __init__(
        self, params: QualityParams | None = None, exclusion_writer: object = None, batch_size: int = 64
    ) -> None:
        super().__init__(exclusion_writer, batch_size)
        self.params = params or QualityParams()

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """The verdict on one document."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """The verdicts on a batch."""
        return [self._judge(d, s) for d, s in zip(batch, signals([d.text for d in batch]), strict=True)]

    def _judge(self, doc: Document, found: Signals) -> bool | tuple[bool, str]:
        doc.metadata["quality_score"] = found.score
        verdict = found.verdict(self.params)
        if verdict is None or (doc.metadata.get("source") == "code" and verdict[0] != "too_short"):
            return True
        reason, value, limit = verdict
        doc.metadata["filter_score"] = float(value)
        doc.metadata["evidence"] = [{"rule": reason, "value": value, "limit": limit}]
        return False, reason

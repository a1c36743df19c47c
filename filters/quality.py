"""Rules that tell text from junk without killing mathematics.

Gopher's and C4's rules on symbols, digits, braces and short lines were left out: each of them removes pages of formulas
(C4's rule on `{` cost FineMath its LaTeX). What stays is about emptiness, repetition, numbers that compute nothing,
lists of links, boilerplate, spam and adult text. Each rule asks for what mathematics does not have: numbers are junk
only where no formula, no order and no mathematical word is among them; a line is repeated from its third time on, since
extraction shows code and formulas twice. What each rule costs is printed by benchmarks/quality_rules.py. A document's
`quality_score` is stored; the rules give the verdict.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.text import Tokens, pack, tokenise

QUALITY_VERSION = "quality-2"
WORDS = Path(__file__).with_name("quality_words.yaml")
LONG_LINE = 20  # characters; shorter lines (a brace, "Proof.", a row of a matrix) repeat by right
SHOWN_TWICE = 2  # a line counts as repeated from the next time on
LINK_LINE_WORDS = 5  # a line of at most this many words and no formula reads as an entry of a menu
MIN_LINES = 12  # fewer lines are no list
GOOD_LENGTH = 300  # tokens from which length no longer adds to the score
FORMULA_SHARE = 0.1  # of tokens: so many commands and operators between numbers, and the numbers are of formulas
ORDERED_SHARE = 0.8  # of neighbouring numbers that rise: a table of primes, a sequence, a gutter of line numbers
STAMPED_SHARE = 0.05  # of numbers: more dates, times and long numbers than that are no table of mathematics
MIN_DIFFERENT = 3  # different entries of a list of words that a text has to have
MIN_NUMBER_SHARE = 0.3  # of tokens: fewer numbers need no second look
MIN_STAMP_NUMBERS = 0.2  # of tokens: a log is full of numbers, an archive of posts has a date beside each title
BOILERPLATE_LINE = 100  # characters
SCANNED_CHARS = 50_000  # of a text, for numbers, stamps and words
_MATH = re.compile(r"[=<>+*^\\$_{}|∑∫√≤≥≠≈∈∞±×÷→∀∃]|\d")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；，]\s*$")
_LINK = re.compile(r"^\W*(?:\[[^\]\n]*\]\([^)\n]*\)|https?://\S+)\W*$")
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]*\w)")
_FORMULA = re.compile(r"\\[a-zA-Z]+|\d\s*[-+*/^=×÷<>&]|[=+]\s*\d|\$")
_MATH_WORDS = re.compile(
    r"\b(?:primes?|theorem|sequences?|factori\w+|integers?|matri\w+|digits?|divisors?|modulo|binomial|fibonacci|logarithms?|"
    r"squares?|cub(?:e|es|ic)|quotients?|denominators?|numerators?|roots?|polynomials?|probabilit\w+|coefficients?|partitions?)\b|质数|素数|数列|因数|约数|整数|矩阵|对数|平方|概率|系数",
    re.IGNORECASE,
)
_STAMP = re.compile(
    r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}|\b\d{1,2}:\d\d(?::\d\d)?\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[A-Z]{2}\d{8,}|\b\d{10,}\b"
)
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class QualityParams:
    """Limits of the rules; shares are in 0 to 1."""

    min_tokens: int = 20
    max_number_share: float = 0.6
    max_repeated_line_share: float = 0.4
    max_link_line_share: float = 0.8
    max_stamp_line_share: float = 0.6
    max_boilerplate_share: float = 0.5
    max_spam_share: float = 0.03
    max_adult_share: float = 0.02


@dataclass(frozen=True, slots=True)
class Signals:
    """What the rules look at.

    number_share: tokens that are numbers of no formula, sequence or mathematical table; stamp_line_share: lines with a
    date, a time, an address or a long number; boilerplate_share: characters in such lines; spam_share, adult_share:
    occurrences of entries of those lists for each token.
    """

    tokens: int
    number_share: float
    repeated_line_share: float
    link_line_share: float
    stamp_line_share: float = 0.0
    boilerplate_share: float = 0.0
    spam_share: float = 0.0
    adult_share: float = 0.0

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
            ("log_lines", self.stamp_line_share, params.max_stamp_line_share),
            ("boilerplate", self.boilerplate_share, params.max_boilerplate_share),
            ("adult", self.adult_share, params.max_adult_share),
            ("spam", self.spam_share, params.max_spam_share),
        ):
            if value > limit:
                return reason, value, limit
        return None


def signals(texts: list[str]) -> list[Signals]:
    """The signals of each text."""
    tokens = tokenise(pack(texts))
    numbers = _number_counts(tokens)
    counts = np.diff(tokens.offsets)
    return [_signals(text, int(n), int(m)) for text, n, m in zip(texts, counts, numbers, strict=True)]


def _signals(text: str, tokens: int, numbers: int) -> Signals:
    share = numbers / max(tokens, 1)
    scanned = text[:SCANNED_CHARS]
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    return Signals(
        tokens=tokens,
        number_share=round(0.0 if share > MIN_NUMBER_SHARE and _computes(scanned, tokens) else share, 4),
        repeated_line_share=_repeated_share(text),
        link_line_share=_link_share(lines),
        stamp_line_share=_stamp_share(lines) if share > MIN_STAMP_NUMBERS else 0.0,
        boilerplate_share=_boilerplate_share(lines),
        spam_share=listed_share(text, "spam", tokens),
        adult_share=listed_share(text, "adult", tokens),
    )


def _number_counts(tokens: Tokens) -> np.ndarray:
    """Tokens of each document that are numbers (their first folded byte is a digit)."""
    firsts = np.concatenate(([0], tokens.folded_ends[:-1])) if len(tokens.folded_ends) else np.zeros(0, np.int64)
    first = tokens.folded[firsts.astype(np.int64)]
    total = np.concatenate(([0], np.cumsum((first >= ord("0")) & (first <= ord("9")))))
    return np.asarray(total[tokens.offsets[1:]] - total[tokens.offsets[:-1]])


def _computes(text: str, tokens: int) -> bool:
    """Whether the numbers of a text are those of formulas, of a rising sequence, or of a mathematical table."""
    if len(_FORMULA.findall(text)) >= FORMULA_SHARE * min(tokens, SCANNED_CHARS):
        return True
    found = np.array([float(n[:15]) for n in _NUMBER.findall(text)])
    words = {word.lower() for word in _MATH_WORDS.findall(text)}
    if len(_STAMP.findall(text)) > STAMPED_SHARE * len(found):
        return False
    return bool(words) or (len(found) > MIN_LINES and float(np.mean(np.diff(found) > 0)) >= ORDERED_SHARE)


def _repeated_share(text: str) -> float:
    prose = _CODE.sub("", text) if "```" in text else text
    long = [line for line in map(str.strip, prose.splitlines()) if len(line) >= LONG_LINE]
    total = sum(map(len, long))
    repeated = sum(len(line) * (n - SHOWN_TWICE) for line, n in Counter(long).items() if n > SHOWN_TWICE)
    return round(repeated / total, 4) if total else 0.0


def _link_share(lines: list[str]) -> float:
    return round(sum(map(_is_link_line, lines)) / len(lines), 4) if len(lines) >= MIN_LINES else 0.0


def _stamp_share(lines: list[str]) -> float:
    held = lines[:1000]
    return round(sum(1 for line in held if _STAMP.search(line)) / len(held), 4) if len(held) >= MIN_LINES else 0.0


def _boilerplate_share(lines: list[str]) -> float:
    """Characters in lines of boilerplate; a long line is a paragraph that happens to have such a phrase."""
    pattern = word_list("boilerplate")
    short = [line for line in lines[:1000] if len(line) <= BOILERPLATE_LINE and pattern.search(line.lower())]
    if len(short) < MIN_DIFFERENT:
        return 0.0
    return round(sum(map(len, short)) / sum(map(len, lines[:1000])), 4)


def listed_share(text: str, name: str, tokens: int) -> float:
    """How often entries of a list of `quality_words.yaml` stand in a text, for each of its tokens; 0 below three."""
    lowered = text[:SCANNED_CHARS].lower()
    if sum(entry in lowered for entry in entries(name)) < MIN_DIFFERENT:  # a third of the time that the pattern takes
        return 0.0
    found = word_list(name).findall(lowered)
    return round(len(found) / max(tokens, 1), 4) if len(set(found)) >= MIN_DIFFERENT else 0.0


@lru_cache(maxsize=3)
def word_list(name: str) -> re.Pattern[str]:
    """A list of `quality_words.yaml` as a pattern."""
    latin = "|".join(re.escape(e) for e in entries(name) if e.isascii())
    return re.compile(rf"\b(?:{latin})\b|" + "|".join(re.escape(e) for e in entries(name) if not e.isascii()))


@lru_cache(maxsize=3)
def entries(name: str) -> tuple[str, ...]:
    """A list of `quality_words.yaml`."""
    return tuple(yaml.safe_load(WORDS.read_text(encoding="utf-8"))[name])


def _is_link_line(line: str) -> bool:
    if _LINK.search(line):
        return True
    words = len(line.split()) if line.isascii() else len(line) // 3
    return words <= LINK_LINE_WORDS and not _MATH.search(line) and not _SENTENCE_END.search(line)


class Quality(BaseFilter):
    """Writes `quality_score`; removes what breaks a rule. Source code is only asked for its length.

    Removed: `too_short`, `number_junk`, `repeated_lines`, `link_list`, `log_lines`, `boilerplate`, `adult`, `spam`.
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

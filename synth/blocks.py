"""A document as numbered blocks: what a model is shown, so that it can answer with numbers instead of copies.

Numbers cannot be misspelt, cost few tokens, and lead back to the very characters of the document. A block is a
paragraph, an item of a list, a heading, a fenced listing, or what follows a marker such as "Solution:" at the start of
a line; a display formula or a listing is never cut. Each character that is no blank is in exactly one block.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from synth.parse import escape
from synth.prompts import Ready

MAX_KEPT = 6_000  # characters of a display formula or listing; a sign that is closed farther away opened nothing
MAX_BLOCK = 1_500  # characters from which a paragraph is cut at the ends of its lines: a chat log is one paragraph
MAX_INDENT = 3  # blanks before a fence
_SIGN = re.compile(r"\$\$|\\[\[\]]|\\(?:begin|end)\{[a-zA-Z]+\*?\}|```|~~~")
_START = re.compile(
    r" {0,3}(?:#{1,6}\s|[-*+•]\s|\(?\d{1,3}[.)、．]|\([a-z]\)|[一二三四五六七八九十]{1,3}[、．]"
    r"|\**(?:Question|Problem|Exercise|Example|Answer|Solution|Proof|Hint|Theorem|Lemma|Definition|[QA]:)\b"
    r"|[【\[]?(?:问题|题目|习题|练习|例题?\s*\d*|解答|解析|解法|解|答案|答|证明|证|定理|引理|定义|分析)[】\]]?\s*[:：.．、\s\d])"
)


@dataclass(frozen=True, slots=True)
class Block:
    """text[start:end] of a document, in characters; `number` counts from 1."""

    number: int
    start: int
    end: int


def split(text: str) -> list[Block]:
    """The blocks of a document, in order."""
    kept = _kept(text)
    spans: list[tuple[int, int]] = []
    for start, end, inside in _lines(text, kept):
        line = text[start:end]
        if not line.strip() and not inside:
            spans.append((end, end))
        elif spans and spans[-1][1] > spans[-1][0] and (inside or _belongs(line, start - spans[-1][0])):
            spans[-1] = spans[-1][0], end
        else:
            spans.append((start, end))
    trimmed = (_trimmed(text, a, b) for a, b in spans)
    return [Block(number, a, b) for number, (a, b) in enumerate((s for s in trimmed if s[0] < s[1]), 1)]


def show(text: str, blocks: Sequence[Block]) -> Ready:
    """The blocks as a model sees them: each behind a line with its number, the document's own tags escaped."""
    return Ready("\n".join(f"<block {b.number}>\n{escape(text[b.start : b.end])}" for b in blocks))


def groups(blocks: Sequence[Block], max_chars: int) -> list[list[Block]]:
    """Consecutive blocks in groups of up to `max_chars` characters of the document; a longer block is alone."""
    found: list[list[Block]] = []
    for block in blocks:
        if found and block.end - found[-1][0].start <= max_chars:
            found[-1].append(block)
        else:
            found.append([block])
    return found


def spans_of(blocks: Sequence[Block], numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The spans of the blocks with these numbers, ascending; of neighbours, one span."""
    spans: list[tuple[int, int]] = []
    last = -1
    for number in numbers:
        block = blocks[number - 1]
        if number == last + 1:
            spans[-1] = spans[-1][0], block.end
        else:
            spans.append((block.start, block.end))
        last = number
    return tuple(spans)


def text_of(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The characters of the spans, with a blank line between them."""
    return "\n\n".join(text[start:end] for start, end in spans)


def _belongs(line: str, length: int) -> bool:
    """Whether a line continues the block before it, which has `length` characters."""
    return length + len(line) <= MAX_BLOCK and not _START.match(line)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _lines(text: str, kept: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, bool]]:
    """(start, end with its line break, whether it begins inside of what is never cut) of each line."""
    start = at = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        while at < len(kept) and kept[at][1] <= start:
            at += 1
        yield start, end, at < len(kept) and kept[at][0] < start
        start = end


def _kept(text: str) -> list[tuple[int, int]]:
    """The spans of display formulas, environments and listings, apart and in order. O(length) time."""
    signs = [(m[0], m.start(), m.end()) for m in _SIGN.finditer(text) if _stands(text, m[0], m.start())]
    places: dict[str, list[int]] = {}
    for number, (sign, _, _) in enumerate(signs):
        places.setdefault(sign, []).append(number)
    spans, at = [], 0
    while at < len(signs):
        sign, start, _ = signs[at]
        closers = places.get(_closing(sign), [])
        place = bisect_left(closers, at + 1)
        at += 1
        if place < len(closers) and signs[closers[place]][2] - start <= MAX_KEPT:
            spans.append((start, signs[closers[place]][2]))
            at = closers[place] + 1
    return spans


def _stands(text: str, sign: str, at: int) -> bool:
    """Whether a sign is not escaped, and a fence is the first of its line."""
    if sign[0] in "`~":
        indent = text[max(0, at - MAX_INDENT - 1) : at].rpartition("\n")[2]
        return len(indent) <= MAX_INDENT and not indent.strip(" ")
    return text[max(0, at - 1) : at] != "\\"


def _closing(sign: str) -> str:
    """What ends what this sign begins; nothing for a sign that begins nothing."""
    if sign == "\\[":
        return "\\]"
    return sign.replace("begin", "end") if sign.startswith("\\begin") else sign if sign[0] in "$`~" else ""

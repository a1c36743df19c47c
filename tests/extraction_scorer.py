"""How good a page's text is: formulas found whole, formulas invented, formulas in their place, words found and invented.

The truth of a page is a list of formulas (TeX, as its author wrote it, in order) with the words around each, and the
main text. All figures are shares from 0 to 1; a page without formulas has no formula figures.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

CONTEXT_WORDS = 3  # of each side; fewer where the block ends
_FENCE = re.compile(r"^(?:> ?|\s)*(`{3,}).*?^(?:> ?|\s)*\1\s*$", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
_SPAN = re.compile(r"(?<!\\)\$\$((?:[^\\$]|\\.|\$(?!\$))+?)\$\$|(?<![\\$])\$(?!\$)((?:[^$\\]|\\.)+?)\$", re.DOTALL)
_WORD = re.compile(r"[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Expected:
    """A formula of the truth, with the words that stand before and behind it in its paragraph."""

    tex: str
    before: str = ""
    after: str = ""


def spans(text: str) -> list[str]:
    """What stands between `$` and `$`, or `$$` and `$$`, outside code."""
    return [m[1] if m[1] is not None else m[2] for m in _SPAN.finditer(_without_code(text))]


def _without_code(text: str) -> str:
    return _INLINE_CODE.sub(" ", _FENCE.sub(" ", text))


def loosely(tex: str) -> str:
    """TeX without what does not change what is shown: blanks, and the dressing of the delimiters."""
    return re.sub(r"%\n|[\s\u200b]+|\\displaystyle(?![a-zA-Z])|(?<!\\)\\[,;:! ]|~", "", tex)


def words(text: str) -> list[str]:
    """Lower-case words; each Chinese, Japanese or Korean character is one."""
    return _WORD.findall(text.lower())


def token_f1(found: str, truth: str) -> float:
    """F1 of the two bags of words; 1 where both are empty."""
    have, want = Counter(words(found)), Counter(words(truth))
    if not have and not want:
        return 1.0
    common = sum((have & want).values())
    return 2 * common / (sum(have.values()) + sum(want.values()))


@dataclass(frozen=True, slots=True)
class FormulaScores:
    """strict: the TeX stands in the text as it was written; loose: up to blanks; span: it is one whole span;
    precision: of the text's spans, those that the truth has; context: the span stands between its own words."""

    strict: float
    loose: float
    span: float
    precision: float
    context: float


def formula_scores(found: str, truth: Sequence[Expected]) -> FormulaScores:
    """Scores of one page; the truth has at least one formula. Repeated formulas count as often as they stand there."""
    have = Counter(loosely(s) for s in spans(found))
    want = Counter(loosely(e.tex) for e in truth)
    whole = sum((have & want).values())
    plain = loosely(found)
    total = len(truth)
    return FormulaScores(
        strict=sum(e.tex.strip() in found for e in truth) / total,
        loose=sum(loosely(e.tex) in plain for e in truth) / total,
        span=whole / total,
        precision=whole / sum(have.values()) if have else 0.0,
        context=_in_context(found, truth) / total,
    )


def _in_context(found: str, truth: Sequence[Expected]) -> int:
    """How many formulas stand behind the last words before them and before the first words behind them."""
    found = _without_code(found)
    pieces, last = [], 0
    places: dict[str, list[tuple[list[str], list[str]]]] = {}
    matches = list(_SPAN.finditer(found))
    for match in matches:
        pieces.append(found[last : match.start()])
        last = match.end()
    pieces.append(found[last:])
    sides = [words(piece) for piece in pieces]
    for number, match in enumerate(matches):
        tex = loosely(match[1] if match[1] is not None else match[2])
        places.setdefault(tex, []).append((sides[number], sides[number + 1]))
    return sum(any(_fits(e, before, after) for before, after in places.get(loosely(e.tex), ())) for e in truth)


def _fits(expected: Expected, before: list[str], after: list[str]) -> bool:
    left, right = words(expected.before)[-CONTEXT_WORDS:], words(expected.after)[:CONTEXT_WORDS]
    return before[len(before) - len(left) :] == left and after[: len(right)] == right

"""Formulas between delimiters in running text: `$..$`, `\\(..\\)`, `\\begin{align}..`, `[tex]..`, and what a page says.

The text of a block comes as one string, in which inline elements stand as marks, since Markdown turns `_` and `*` of a
formula into emphasis. Each character is looked at a bounded number of times, whatever the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from filters import asciimath
from filters.page_config import Dollar, PageConfig

MAX_INLINE_CHARS = 3_000  # between delimiters; longer ones are two that do not belong together
MAX_DISPLAY_CHARS = 20_000
MAX_NAME_CHARS = 60  # between two `$` on a page that does not say that they are delimiters
MAX_FAILURES = 40  # openings of a block that open nothing; from here on braces are no longer matched
MAX_ATTEMPTS = 400  # and from here on the block is left alone
# marks of inline elements in the text, from what Unicode keeps out of texts; each is followed by its closing one
EM, EM_END, STRONG, STRONG_END, SUB, SUB_END, SUP, SUP_END, DEL, DEL_END = (
    "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4\ufdd5\ufdd6\ufdd7\ufdd8\ufdd9"
)
MARKS = {"em": EM, "i": EM, "strong": STRONG, "b": STRONG, "sub": SUB, "sup": SUP, "del": DEL, "s": DEL}
_ENVIRONMENTS = (
    "equation|align|alignat|aligned|alignedat|gather|gathered|multline|eqnarray|displaymath|math|split|flalign|cases|"
    "dcases|array|matrix|pmatrix|bmatrix|Bmatrix|vmatrix|Vmatrix|smallmatrix|subequations|CD|IEEEeqnarray|darray|rcases"
)
_BEGIN = rf"\\begin\s*\{{(?:{_ENVIRONMENTS})[\ufdd0-\ufdd3*]?\}}"
_BRACKET_TAGS = (
    ("[tex]", "[/tex]", False), ("[latex]", "[/latex]", False), ("[math]", "[/math]", False),
    ("[itex]", "[/itex]", False), ("[imath]", "[/imath]", False), ("[dmath]", "[/dmath]", True),
    ("[TEX]", "[/TEX]", False), ("[LATEX]", "[/LATEX]", False), ("[MATH]", "[/MATH]", False),
    ("[eq]", "[/eq]", True), ("[display]", "[/display]", True),
)  # fmt: skip
_TEX = re.compile(r"\\[a-zA-Z]+|[\^_{}]|[\ufdd0\ufdd2\ufdd4\ufdd6]")
_COMMAND = re.compile(r"\\[a-zA-Z]")
_SIGN = re.compile(r"[=<>^_+*/|≤≥≠∈×·−±√∑∫∞∂→⇒α-ωΑ-Ω()\[\]-]")
_ANY_WORD = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{3,}(?![a-zA-Z}])")
_WORD = re.compile(r"(?<![^\s(,.;:])[a-zA-Z]{3,}(?![^\s),.;:!?])")  # with blanks or stops around it: of prose
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff，。；：、？！（）]")
_HAN_LETTER = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_HAN_STOPS = "，。；：、？！"
_PRICE = re.compile(r"\s*\d[\d,.]*\s*(?:[kKmMbB]\b|[a-z]{2,})?(?!\s*[=^_\\+*/<>])")
_TEXT_COMMAND = re.compile(
    r"\\(?:text|mbox|mathrm|operatorname|textbf|textit|mathbf|hbox|tag|label|rm|mathsf|begin|end)[a-z*]*\s*\{[^{}]*\}"
)
_STAR_BEFORE = re.compile(
    r"(?:\^\{?|\\(?:begin|end)\{[a-z]+|\\(?:operatorname|tag|hspace|vspace|argmin|argmax|DeclareMathOperator))$"
)
_NO_INDEX = frozenset("}),.;=+ \n&") | {""}
_NUMBER_BEFORE = re.compile(r"(?<![\^_{\d])\d+$")
_MARK = re.compile("[\ufdd0-\ufdd9]")


@dataclass(frozen=True, slots=True)
class Found:
    """text[start:end] is a formula with its delimiters; `kind` is "raw" or "asciimath"."""

    start: int
    end: int
    tex: str
    display: bool
    kind: str = "raw"


@dataclass(frozen=True, slots=True)
class _Scanner:
    opening: re.Pattern[str]
    closing: dict[str, tuple[str, bool, str]]  # by opening: its closing, whether it is a display, its kind


@lru_cache(maxsize=64)
def _scanner(pairs: tuple[tuple[str, str, bool, str], ...], environments: bool) -> _Scanner:
    closing = {opening: (end, display, kind) for opening, end, display, kind in pairs}
    alternatives = [re.escape(opening) for opening in sorted(closing, key=len, reverse=True)]
    if environments:
        alternatives.insert(0, _BEGIN)
    return _Scanner(re.compile("(" + "|".join(alternatives) + r")|\\."), closing)


@dataclass(slots=True)
class _Scan:
    """One pass over a text. nearest: where the closing of each opening stands next, the text's length where nowhere;
    failures: openings that opened nothing, or whose braces did not match."""

    text: str
    nearest: dict[str, int] = field(default_factory=dict)
    failures: int = 0

    def next(self, opening: str, closing: str, at: int) -> int:
        """Where a closing stands at or behind `at`. All calls together read the text once for each closing."""
        if self.nearest.get(opening, -1) < at:
            place = self.text.find(closing, at)
            self.nearest[opening] = len(self.text) if place < 0 else place
        return self.nearest[opening]

    def balanced_end(self, start: int, closing: str, limit: int, *, escapes: bool) -> int:
        """Where a formula ends: at its closing outside braces, or at the first one where braces do not match."""
        first = -1
        level, at = 0, start
        closers = _closer(closing)
        while mark := closers.search(self.text, at, limit + len(closing)):
            sign = mark[0]
            at = mark.end()
            if sign == closing:
                if level <= 0:
                    return mark.start()
                first = mark.start() if first < 0 else first
            elif not escapes and sign == "\\$" and closing.startswith("$"):
                return mark.start() + 1
            else:
                level += (sign == "{") - (sign == "}")
        self.failures += 1
        return first


class Delimiters:
    """Finds the formulas of a page's texts, by its configuration."""

    def __init__(self, config: PageConfig) -> None:
        pairs = [(o, c, d, "raw") for o, c, d in _BRACKET_TAGS] if config.bracket_tags else []
        pairs += [(o, c, False, "raw") for o, c in config.inline] + [(o, c, True, "raw") for o, c in config.display]
        if config.dollar is not Dollar.NO:
            pairs.append(("$", "$", False, "raw"))
        pairs += [(o, c, False, "asciimath") for o, c in config.asciimath]
        self.config = config
        self.scanner = _scanner(tuple(pairs), config.environments)
        firsts = {opening[0] for opening, *_ in pairs} - {"$", "\\"}
        self.rarer = re.compile("[" + re.escape("".join(sorted(firsts))) + "]") if firsts else None

    def could_open(self, text: str) -> bool:
        """Whether a text has a character that could open a formula; most have none, and this is asked of all."""
        return "$" in text or "\\" in text or (self.rarer is not None and self.rarer.search(text) is not None)

    def find(self, text: str) -> list[Found]:
        """The formulas of a block's text, in order, none inside another."""
        found: list[Found] = []
        scan = _Scan(text)
        at = 0
        while scan.failures < MAX_ATTEMPTS and (match := self.scanner.opening.search(text, at)):
            opening = match[1]
            if opening is None:
                at = match.end()
            elif formula := self._formula(scan, match):
                found.append(formula)
                at = formula.end
            else:
                scan.failures += scan.nearest.get(opening, 0) < len(text)
                at = match.start() + (len(opening) if opening.startswith("$") else 1)
        return found

    def _formula(self, scan: _Scan, match: re.Match[str]) -> Found | None:
        """The formula that starts at an opening."""
        text, opening, start = scan.text, match[1], match.end()
        if opening not in self.scanner.closing:
            return _environment(scan, match)
        closing, display, kind = self.scanner.closing[opening]
        limit = start + (MAX_DISPLAY_CHARS if display else MAX_INLINE_CHARS)
        end = scan.next(opening, closing, start)
        if end > limit or end == len(text):
            return None
        if scan.failures < MAX_FAILURES:
            end = scan.balanced_end(start, closing, limit, escapes=self.config.escapes)
        if end < 0 or not text[start:end].strip():
            return None
        body = text[start:end]
        end += len(closing)
        if "\ue000" in body or not self._accepted(opening, body, text[end : end + 1], kind):
            return None
        if kind == "asciimath":
            return Found(match.start(), end, asciimath.to_tex(plain(body)), False, kind)
        if opening == "$" and body.startswith("latex "):
            body = body[6:]
        return Found(match.start(), end, plain(body), display)

    def _accepted(self, opening: str, body: str, following: str, kind: str) -> bool:
        if kind == "asciimath":
            return self.config.asciimath_only or _like_asciimath(body)
        if opening == "$":
            sure = self.config.dollar is Dollar.YES
            return like_inline(body, following, sure=sure, renderer=self.config.renderer)
        if opening in ("$$", "\\[", "\\("):
            return self.config.renderer or _like_tex(body)
        return True


@lru_cache(maxsize=64)
def _closer(closing: str) -> re.Pattern[str]:
    return re.compile(re.escape(closing) + r"|\\.|[{}]", re.DOTALL)


def _environment(scan: _Scan, match: re.Match[str]) -> Found | None:
    """A formula from `\\begin{..}` to the `\\end{..}` that closes it."""
    name = match[1][match[1].index("{") :]
    begin, end = "\\begin" + name, "\\end" + name.replace(EM, EM_END).replace(STRONG, STRONG_END)
    level, at = 1, match.end()
    limit = at + MAX_DISPLAY_CHARS
    while level:
        closed = scan.next(match[1], end, at)
        if closed > limit or closed == len(scan.text):
            return None
        level += scan.text.count(begin, at, closed) - 1
        at = closed + len(end)
    tex = plain(scan.text[match.start() : at])
    return None if "\ue000" in tex else Found(match.start(), at, tex, True)


# --- is it mathematics ------------------------------------------------------------------------------------------------


def like_inline(body: str, following: str, *, sure: bool, renderer: bool) -> bool:
    """Whether what stands between two `$` is a formula, and no sum of money or piece of a program.

    `sure`: the page says that `$` is a delimiter; then only prices and prose are refused. `renderer`: it loads one, but
    does not say so; then what has no sign of TeX has to look like a formula, and without one it has to be short.
    """
    if "\n\n" in body or (body[-1:] == "\\" and body[-2:] != "\\\\"):
        return False
    bare = _TEXT_COMMAND.sub("", body)
    words, han = len(_WORD.findall(bare)), len(_HAN.findall(bare))
    padded = body[0].isspace() or body[-1].isspace()
    if not sure and (han or (not _COMMAND.search(body) and (padded or (following.isascii() and following.isalnum())))):
        return False
    if _TEX.search(body) is None:
        return _like_plain(body, words, han, following) and (sure or _like_name(body, words, renderer=renderer))
    if words + han > 12 and padded:
        return False  # from the end of a formula to the beginning of the next
    return sure or words < 4


def _like_plain(body: str, words: int, han: int, following: str) -> bool:
    """Whether a text without a sign of TeX is no price and no prose: not `5 and `, `，所以 `."""
    lopsided = body[0].isspace() != body[-1].isspace()
    if words > 3 or (words and (lopsided or body.lstrip()[:1].isdigit())):
        return False
    if following.isdigit() and (words or _PRICE.match(body)):
        return False
    if any(c in _HAN_STOPS for c in body):
        return body[0].isascii() and body[-1].isascii() and not lopsided and not _HAN_LETTER.search(body)
    return not (han and (lopsided or han > 8))


def _like_name(body: str, words: int, *, renderer: bool) -> bool:
    """Whether a short text is a name or an expression: `x`, `a + b`, `left`, `10`."""
    if len(body) > MAX_NAME_CHARS or '"' in body:
        return False
    if renderer and words == (" " not in body and body.isalpha()):
        return True
    return not _ANY_WORD.search(body) and (len(body) <= 2 or _SIGN.search(body) is not None)


def _like_tex(body: str) -> bool:
    """Whether text between `$$`, `\\(` or `\\[` is a formula on a page that loads no renderer."""
    return _TEX.search(body) is not None or (len(body) < 60 and not _ANY_WORD.search(body) and '"' not in body)


def _like_asciimath(body: str) -> bool:
    """Whether text between backticks is AsciiMath on a page that is written in something else, too."""
    return len(body) <= 200 and not _HAN.search(body) and not _ANY_WORD.search(body) and _SIGN.search(body) is not None


# --- marks ------------------------------------------------------------------------------------------------------------


def plain(body: str) -> str:
    """A formula with the characters that Markdown took for emphasis put back."""
    if not _MARK.search(body):
        return body
    out = list(body)
    opened: list[int] = []
    for place, character in enumerate(body):
        if character in (EM, STRONG):
            opened.append(place)
        elif character in (EM_END, STRONG_END) and opened:
            first = opened.pop()
            sign = "*" if _is_star(body, first, closes=False) or _is_star(body, place, closes=True) else "_"
            out[first], out[place] = _emphasis(body[first], sign), _emphasis(character, sign)
    return "".join(
        _BACK.get(c) or _emphasis(c, "*" if _is_star(body, place, closes=False) else "_") for place, c in enumerate(out)
    )


def _emphasis(mark: str, sign: str) -> str:
    """The signs that a mark of emphasis stands for; other characters as they are."""
    return sign if mark in (EM, EM_END) else sign * 2 if mark in (STRONG, STRONG_END) else mark


def _is_star(body: str, place: int, *, closes: bool) -> bool:
    """Whether a mark was a `*`: behind `^` or a starred command, where no index can follow, between numbers; and where
    the closing one stands before a letter, since Markdown takes no `_` inside a word."""
    before, behind = body[:place][-24:], body[place + 1 : place + 2]
    if _STAR_BEFORE.search(before) or behind in _NO_INDEX:
        return True
    number = _NUMBER_BEFORE.search(before) is not None
    return (number and behind.isdigit()) or (
        closes and behind.isascii() and behind.isalnum() and (number or behind.isalpha())
    )


_BACK = {SUB: "_{", SUB_END: "}", SUP: "^{", SUP_END: "}", DEL: "~~", DEL_END: "~~"}

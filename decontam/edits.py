"""How copies of a question differ from it: line breaks, marks, widths, spellings, numbers, names, words, a clause.

An edit takes a text and choices, and gives the text changed; where it has nothing to change it gives the text as it
is. Each is something that a crawl, a PDF, a forum or a careless rewriter does; none is a paraphrase.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_CJK = "㐀-䶿一-鿿"
_HAN = re.compile(f"[{_CJK}]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(rf"(?<![\\\w])[a-z]{{2,}}\b|[{_CJK}]")
_LETTERS = re.compile(r"(?<![\\A-Za-z])(?<!\\begin\{)(?<!\\end\{)[A-Za-z]+")  # no command, no environment
_SPACE = re.compile(r"\s+")
_PIECE = re.compile(rf"\s+|[{_CJK}，。]|[^\s{_CJK}，。]+")
_OPERATOR = re.compile(r"(?<!\\)([=+<>])")
_FRACTION = re.compile(r"\\[dt]?frac\b")
_SIZED = re.compile(r"\\(?:left|right)(?![A-Za-z])")
_FORMULA = re.compile(r"\$([^$]+)\$")
_NO_NAME = r"(?!(?:How|What|Which|Who|When|Where|If|The|This|That|There|It|He|She|They|Each|Find|Suppose|Let)\b)"
_NAME = re.compile(
    rf"(?<=[a-z,] ){_NO_NAME}[A-Z][a-z]+\b|^{_NO_NAME}[A-Z][a-z]+(?= (?:has|is|had|bought|wants|went|sold)\b)"
)
_CHINESE_NAME = re.compile("小[明红华丽刚军芳强亮林东]")
_CLAUSE = re.compile(r"(?:[^,.;?!，。；？！]|(?<=\d)[.,](?=\d))+[,.;?!，。；？！](?!\d)")
_BESIDE_HAN = re.compile(rf"(?<=[{_CJK}])[ \t]*(?=[{_CJK}A-Za-z0-9$])|(?<=[A-Za-z0-9$])[ \t]*(?=[{_CJK}])")

_MIN_CLAUSE_CHARS = 8  # shorter ones are the parts of a formula or a list
_LINE_CHARS = (30, 75)  # of a broken line: a phone, a printed column
_OTHER_NUMBERS = (2, 97)
_NAMES = ("Zubin", "Oksana", "Tadeusz", "Ngozi", "Ingrid", "Mateo")
_CHINESE_NAMES = ("阿珍", "大壮", "建国", "晓燕")
_WORDS = ("whichever", "perhaps", "yellow", "seldom", "towards", "kindly")
_CHARACTERS = "某另或其再若"
_WIDE = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}
_NARROW = {**{wide: code for code, wide in _WIDE.items()}, **str.maketrans("。、“”‘’【】", ".,\"\"''[]")}


class Choices:
    """A stream of choices that is a digest of what it is for: the same on any machine, in any order of use."""

    def __init__(self, *purpose: str | int) -> None:
        self._key = hashlib.blake2b(json.dumps(purpose).encode(), digest_size=16).digest()
        self._count = 0

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""
        self._count += 1
        drawn = hashlib.blake2b(self._count.to_bytes(8), key=self._key, digest_size=8).digest()
        return int.from_bytes(drawn) % limit

    def between(self, bounds: tuple[int, int]) -> int:
        """A number from the first to the last, both included."""
        return bounds[0] + self.below(bounds[1] - bounds[0] + 1)

    def of(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[self.below(len(values))]


Edit = Callable[[str, Choices], str]


def verbatim(text: str, _: Choices) -> str:
    """The text itself."""
    return text


def wrapped(text: str, choices: Choices) -> str:
    """Lines broken elsewhere: at white space, and between Chinese characters."""
    lines, column, width = [""], 0, choices.between(_LINE_CHARS)
    for piece in _PIECE.findall(text):
        if column >= width and (piece.isspace() or _HAN.match(piece)):
            lines.append("")
            column, width = 0, choices.between(_LINE_CHARS)
        if column or not piece.isspace():
            lines[-1] += " " if piece.isspace() else piece
        column += len(piece)
    return "\n".join(lines)


def quoted(text: str, choices: Choices) -> str:
    """Quoted as in Markdown or a mail."""
    mark = choices.of(["> ", ">", "> > ", "    > "])
    return "\n".join(mark + line for line in wrapped(text, choices).split("\n"))


def respaced(text: str, choices: Choices) -> str:
    """Other white space between words, and around the operators of formulas."""
    text = _OPERATOR.sub(lambda m: choices.of([m[1], f" {m[1]} ", f"{m[1]} "]), text)
    return _SPACE.sub(lambda _: choices.of(["  ", "\t", "\u00a0", "\n", " \u2009", "\r\n"]), text)


def recased(text: str, choices: Choices) -> str:
    """Other case and punctuation."""
    text = text.replace(", ", choices.of([" -- ", "; ", " "])).replace("?", choices.of([" ?!", " ", "…"]))
    text = text.replace("，", choices.of(["、", "；", " "])).replace("？", choices.of(["?", "。", " "]))
    change = choices.of([str.upper, str.capitalize])
    return _LETTERS.sub(lambda m: change(m[0]), text)


def full_width(text: str, _: Choices) -> str:
    """ASCII digits, letters and marks in full width, where no command would break."""
    return text if "\\" in text else text.translate(_WIDE)


def half_width(text: str, _: Choices) -> str:
    """Full-width marks, digits and letters as ASCII."""
    return text.translate(_NARROW)


def chinese_spacing(text: str, choices: Choices) -> str:
    """Spaces set or left out between Chinese characters, and between these and others."""
    return _BESIDE_HAN.sub(lambda _: choices.of(["", " ", "  ", "\u3000"]), text)


def latex(text: str, choices: Choices) -> str:
    """Other spellings of the same LaTeX: spaces, sizes, fractions, delimiters."""
    text = _FRACTION.sub(lambda _: choices.of(["\\frac", "\\dfrac", "\\tfrac"]), text)
    text = _SIZED.sub("", _OPERATOR.sub(r" \1 ", text)).replace("\\le ", "\\leq ")
    return _FORMULA.sub(lambda m: choices.of([f"\\({m[1]}\\)", f"$\\displaystyle {m[1]}\\,$"]), text)


def one_word(text: str, choices: Choices) -> str:
    """One word or Chinese character replaced."""
    return _one(text, _WORD, choices, lambda word: _other_word(word, choices))


def one_number(text: str, choices: Choices) -> str:
    """One number replaced by another."""
    return _one(text, _NUMBER, choices, lambda number: _other_number(number, choices))


def all_numbers(text: str, choices: Choices) -> str:
    """Every number replaced."""
    return _NUMBER.sub(lambda m: _other_number(m[0], choices), text)


def names(text: str, choices: Choices) -> str:
    """Names of people and places, and whatever else is capitalised within sentences, replaced throughout."""
    first = choices.below(len(_NAMES))
    for number, name in enumerate(sorted(set(_NAME.findall(text))), first):
        text = re.sub(rf"\b{name}\b", _NAMES[number % len(_NAMES)], text)
    for number, name in enumerate(sorted(set(_CHINESE_NAME.findall(text))), first):
        text = text.replace(name, _CHINESE_NAMES[number % len(_CHINESE_NAMES)])
    return text


def one_clause(text: str, choices: Choices) -> str:
    """One clause of at most a third of the text replaced by other words."""
    clauses = [c for c in _CLAUSE.finditer(text) if 3 * len(c[0]) <= len(text) and len(c[0]) > _MIN_CLAUSE_CHARS]
    if not clauses:
        return text
    clause = choices.of(clauses)
    chinese = _HAN.search(clause[0])
    other = "同时又发生了另外一些事情，" if chinese else " while something else took place nearby,"
    return text[: clause.start()] + other + text[clause.end() :]


def dense(every: int) -> Edit:
    """One token in `every` replaced, left out, or followed by another word; numbers become other numbers."""

    def edit(text: str, choices: Choices) -> str:
        from filters.text import char_spans, pack, tokenise  # numba: the other edits need none

        tokens = tokenise(pack([text]))
        spans = char_spans(text, list(zip(tokens.starts, tokens.ends, strict=True))).tolist()
        pieces, done = [], 0
        for first in range(0, len(spans), every):
            block = spans[first : first + every]
            words = [(start, end) for start, end in block if text[start - 1 : start] != "\\"]  # no commands
            if choices.below(every) >= len(block) or not words:
                continue  # the last block is shorter, and so is the chance of an edit in it
            start, end = choices.of(words)
            pieces += [text[done:start], _changed(text[start:end], choices)]
            done = end
        return "".join([*pieces, text[done:]])

    edit.__doc__ = f"One token in {every} replaced, left out, or followed by another word."
    return edit


def _changed(token: str, choices: Choices) -> str:
    if _NUMBER.fullmatch(token):
        return _other_number(token, choices)
    space = "" if _HAN.match(token) else " "
    other = _other_word(token, choices)
    return choices.of([other, other, "", f"{token}{space}{other}"])


def _one(text: str, pattern: re.Pattern[str], choices: Choices, other: Callable[[str], str]) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    chosen = choices.of(found)
    return text[: chosen.start()] + other(chosen[0]) + text[chosen.end() :]


def _other_number(number: str, choices: Choices) -> str:
    drawn = choices.between(_OTHER_NUMBERS)
    return str(drawn if str(drawn) != number else drawn + 1)


def _other_word(word: str, choices: Choices) -> str:
    pool: Sequence[str] = _CHARACTERS if _HAN.match(word) else _WORDS
    drawn = choices.below(len(pool))
    return pool[drawn] if pool[drawn] != word else pool[drawn - 1]

"""What kind of thing an answer is: a number with a unit, a choice, a set, a pair, an interval, an expression.

Equality is decided kind by kind, since a comparison of expressions alone holds (1, 2) for {1, 2} and "2 or 3" for 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from synth.answers import MAX_LENGTH, normalise
from synth.numerals import value_of
from synth.units import split_unit

CHOICE = re.compile(r"\(?([A-H])\)?|([A-H]) ?(?:[.:、\)]|\) ?) ?(\S.*)|\(([A-H])\) ?(\S.*)")
CHOICES = re.compile(r"\(?([A-H](?:[ ~]?(?:,|、|和|,? ?and)?[ ~]?[A-H])+)\)?")
CIRCLED = re.compile(r"(?:\(\d+\)[ ,、和]*){2,}")
NAME = r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|theta|lambda|mu|varphi|phi|omega))(?:_\{?\w+\}?|'|\([a-z]\))?"
NAMED = re.compile(rf"({NAME})(?:=|\\in(?![a-z]) ?)(?!.*=)(.+)")
OR_WORDS = re.compile(r"或者?|[ ~]or(?![A-Za-z])")
AND_WORDS = re.compile(r"以及|[和与及且]|[ ~]and(?![A-Za-z])")
SIDES = re.compile(r"(\\le |\\ge |\\ne |<|>)")
VARIABLE = re.compile(r"[a-zA-Z]|\\[a-z]+|[a-z]\([a-z]\)")
YES = {"yes", "true", "是", "对", "正确", "correct", "right", "√"}
NO = {"no", "false", "否", "错", "错误", "不是", "不对", "不正确", "incorrect", "wrong", "×"}
ALL_REALS = {"\\mathbb{R}", "R", "(-\\infty,\\infty)", "(-\\infty,+\\infty)", "all real numbers", "全体实数", "实数集"}
MATRIX = re.compile(
    r"\\begin\{[pbvB]?(?:matrix|array)\}(?:\{[clr|]+\})?(.*)\\end\{[pbvB]?(?:matrix|array)\}", re.DOTALL
)
BETWEEN = re.compile(r"之间|between")


@dataclass(frozen=True, slots=True)
class Shape:
    """One answer, taken apart.

    kind : nothing, choice, circled, word, number, expression, equation, several (unordered), sequence, tuple, interval,
        union, ratio, matrix, ratio.
    text : what is compared where nothing better is: of a choice its letters, of an interval its two brackets.
    value, unit, size : of a number and, but for the value, of an expression.
    name : what it is assigned to (`x=2`) or bounds (`x>3`); empty where it is not said.
    """

    kind: str
    text: str
    parts: tuple[Shape, ...] = ()
    value: Fraction | None = None
    unit: str = ""
    size: Fraction = Fraction(1)
    name: str = ""


def read(answer: str) -> Shape:
    """The answer as a shape."""
    if len(answer) > MAX_LENGTH:
        return Shape("nothing", "")
    return shape_of(normalise(answer))


def shape_of(text: str) -> Shape:
    """The shape of a normalised text."""
    text = text.strip(" ~")
    if not text:
        return Shape("nothing", "")
    if choice := _choice(text):
        return choice
    if CIRCLED.fullmatch(text + ","):
        return Shape("circled", " ".join(sorted(re.findall(r"\d+", text))))
    for attempt in (_matrix, _quantity, _bracketed, _listed, _named, _bounded, _signs, _ratio):
        if shape := attempt(text):
            return shape
    return _word(text) or Shape("equation" if "=" in text else "expression", text)


def split_top(text: str, separators: re.Pattern[str]) -> list[str]:
    """The parts of a text between separators that stand outside all brackets."""
    parts = [""]
    depth = at = 0
    while at < len(text):
        found = separators.match(text, at) if depth == 0 else None
        if found and found.end() > at:
            parts.append("")
            at = found.end()
            continue
        step = 2 if text.startswith(("\\{", "\\}"), at) else 1
        sign = text[at : at + step]
        depth += (sign[-1] in "([{") - (sign[-1] in ")]}")
        parts[-1] += sign
        at += step
    return [part.strip(" ~") for part in parts]


def _choice(text: str) -> Shape | None:
    """C, (C), C. 12, ABD, A、C and D."""
    if found := CHOICES.fullmatch(text):
        letters = re.sub(r"[^A-H]", "", found[1])
        plain = letters == found[1]
        if len(set(letters)) == len(letters) and (not plain or letters == "".join(sorted(letters))):
            return Shape("choice", "".join(sorted(letters)))
    if found := CHOICE.fullmatch(text):
        letters, tail = found[1] or found[2] or found[4], found[3] or found[5]
        return Shape("choice", letters, (shape_of(tail),) if tail else ())
    return None


def _matrix(text: str) -> Shape | None:
    found = MATRIX.fullmatch(text)
    if not found:
        return None
    rows = [row for row in re.split(r"\\\\", found[1]) if row.strip()]
    return Shape("matrix", f"{len(rows)}", tuple(shape_of(cell) for row in rows for cell in row.split("&")))


def _quantity(text: str) -> Shape | None:
    """A number, or an expression before a unit."""
    value = value_of(text)
    if value is not None:
        return Shape("number", text, value=value)
    core, unit, size = split_unit(text)
    if core == text:
        return None
    value = value_of(core)
    if value is not None:
        return Shape("number", core, value=value, unit=unit, size=size)
    inner = shape_of(core)
    if inner.kind not in ("expression", "number") or inner.unit:
        return None
    return replace(inner, unit=unit, size=size)


def _bracketed(text: str) -> Shape | None:  # noqa: PLR0911 - one kind of bracket a line
    """{1, 2}, (1, 2), [1, 2), {x | x > 3}, (5); one pair of brackets around all."""
    if text.startswith("\\{") and text.endswith("\\}"):
        inside = text[2:-2]
        if len(split_top(text[2:-2] + ",", re.compile(r"\\\}"))) > 1:
            return None
        builder = split_top(inside, re.compile(r"\\mid|\||:"))
        if len(builder) == 2:
            shape = shape_of(builder[1])
            return shape if shape.kind in ("interval", "union") else Shape("expression", text)
        parts = [part for part in split_top(inside, re.compile(",")) if part]
        return Shape("several", "{}", tuple(shape_of(part) for part in parts))
    if text in ("\\emptyset", "\\varnothing", "空集"):
        return Shape("several", "{}")
    if text in ALL_REALS:
        return _interval("(", "-\\infty", "\\infty", ")")
    if text[0] in "([" and text[-1] in ")]" and not _closes_early(text):
        parts = [part for part in split_top(text[1:-1], re.compile(",")) if part]
        if len(parts) < 2:
            return shape_of(text[1:-1]) if parts and text[0] == "(" and text[-1] == ")" else None
        if len(parts) == 2 and (text[0] + text[-1] != "()" or any("\\infty" in part for part in parts)):
            return _interval(text[0], parts[0], parts[1], text[-1])
        return Shape("tuple", text[0] + text[-1], tuple(shape_of(part) for part in parts))
    return None


def _closes_early(text: str) -> bool:
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            return at < len(text) - 1
    return True


def _interval(start: str, low: str, high: str, end: str, name: str = "") -> Shape:
    """An interval; an infinite end is open however it is written."""
    start = "(" if "\\infty" in low else start
    end = ")" if "\\infty" in high else end
    low, high = (end_.replace("+\\infty", "\\infty") for end_ in (low, high))
    return Shape("interval", start + end, (shape_of(low), shape_of(high)), name=name)


def _listed(text: str) -> Shape | None:
    """Several answers: a; b in order, a or b, a and b, `a, b`, unions."""
    if BETWEEN.search(text):
        return None
    for separators, kind in (
        (re.compile(r";|\\\\|\n"), "sequence"),
        (re.compile(r"\\cup ?"), "union"),
        (OR_WORDS, "or"),
        (re.compile(rf"(?:,~?)?(?:{AND_WORDS.pattern})"), "several"),
        (re.compile(r",~?|、"), "several"),
    ):
        parts = [part for part in split_top(text, separators) if part]
        if len(parts) > 1:
            return _together(kind, [shape_of(part) for part in parts])
    return None


def _together(kind: str, parts: list[Shape]) -> Shape:
    """A list whose parts may be lists, or share one name: x=2, 3."""
    names = {part.name for part in parts if part.kind not in ("interval", "union")} - {""}
    if len(names) == 1:
        parts = [replace(part, name="") if part.name in names else part for part in parts]
    if kind in ("or", "union") and all(part.kind in ("interval", "union") for part in parts):
        names = {part.name for part in parts} - {""}
        flat = tuple(inner for part in parts for inner in (part.parts if part.kind == "union" else (part,)))
        return Shape("union", "", flat, name=min(names, default=""))
    if kind in ("or", "several"):
        flat = tuple(inner for part in parts for inner in (part.parts if part.kind == "several" else (part,)))
        return Shape("several", "", flat, name=min(names) if len(names) == 1 else "")
    return Shape("sequence" if kind == "sequence" else "several", kind, tuple(parts))


def _named(text: str) -> Shape | None:
    """x=2, x∈(0, 1]: what is assigned, with its name."""
    found = NAMED.fullmatch(text)
    if not found:
        return None
    inner = shape_of(found[2])
    return replace(inner, name=found[1].replace("{", "").replace("}", "")) if not inner.name else None


def _bounded(text: str) -> Shape | None:  # noqa: PLR0911 - one form of inequality a line
    """x>3, 1\\le x<2, 3\\ge x, x\\ne 0 as intervals and unions."""
    sides = [part.strip() for part in SIDES.split(text)]
    if len(sides) == 3:
        left, sign, right = sides
        if VARIABLE.fullmatch(right) and not VARIABLE.fullmatch(left):
            left, right = right, left
            sign = {"\\le": "\\ge", "\\ge": "\\le", "<": ">", ">": "<"}.get(sign, sign)
        if not VARIABLE.fullmatch(left) or not right:
            return None
        if sign == "\\ne":
            below, above = _interval("(", "-\\infty", right, ")"), _interval("(", right, "\\infty", ")")
            return Shape("union", "", (below, above), name=left)
        closed = sign in ("\\le", "\\ge")
        if sign in ("\\ge", ">"):
            return _interval("[" if closed else "(", right, "\\infty", ")", left)
        return _interval("(", "-\\infty", right, "]" if closed else ")", left)
    if len(sides) == 5 and VARIABLE.fullmatch(sides[2]):
        low, first, name, second, high = sides
        if first in (">", "\\ge") and second in (">", "\\ge"):
            low, first, second, high = high, second, first, low
        elif first not in ("<", "\\le") or second not in ("<", "\\le"):
            return None
        return _interval("(" if first in "<>" else "[", low, high, ")" if second in "<>" else "]", name)
    return None


def _signs(text: str) -> Shape | None:
    """1\\pm 2 as two answers."""
    if text.count("\\pm ") != 1 or "\\mp" in text:
        return None
    before, _, after = text.partition("\\pm ")
    return Shape("several", "", (shape_of(f"{before}+{after}".removeprefix("+")), shape_of(f"{before}-{after}")))


def _ratio(text: str) -> Shape | None:
    parts = text.split(":")
    return Shape("ratio", "", tuple(shape_of(p) for p in parts)) if len(parts) > 1 and all(parts) else None


def _word(text: str) -> Shape | None:
    """A text without mathematics."""
    folded = text.replace("~", " ").casefold().strip()
    if folded in YES or folded in NO:
        return Shape("word", "yes" if folded in YES else "no")
    plain = re.fullmatch(r"[^\W\d_]{2,}(?:[ '\-]*[^\W\d_]+)*", folded)
    return Shape("word", folded) if plain else None

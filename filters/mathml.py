"""Presentation MathML to TeX, for formulas whose page states no TeX.

The XSLT stylesheets that other extractors use cost five times as much a formula and know neither fences nor the habits
of MathJax, KaTeX and LaTeXML. Here each element has a function; characters, accents and environments are tables
(mathml_tables.py). What is written is what an author would write: `x^2`, `\\left(`, `\\begin{cases}`, `\\operatorname`.
Colour, exact sizes and links are left out. Content MathML is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from selectolax.lexbor import LexborNode

from filters import mathml_leaves as leaves
from filters import mathml_scripts as scripts
from filters import mathml_tables as tables
from filters.mathml_leaves import spaced
from filters.mathml_tables import CLOSING, FENCES, OPENING
from filters.mathml_tree import ELEMENTS, Element, TooDeepError, convert, read

_TALL = frozenset(["mfrac", "mtable", "munderover", "munder", "mover"])
_FENCE_DEFAULTS = (("open", "("), ("close", ")"), ("separators", ","))
AFTER_COMMAND = re.compile(r"(\\[a-zA-Z]+) +(?![a-zA-Z ])")
_MODULO = re.compile(r"(?:\\[!;]|~|\\q?quad|\\enspace)*\(\\bmod(?:\\[,:;]|~)*([^()]*)\)")


def to_tex(node: LexborNode) -> str | None:
    """The TeX of a `math` element, without delimiters; None where nothing of it can be read."""
    try:
        return tex_of(read(node))
    except TooDeepError:
        return None


def tex_of(element: Element) -> str | None:
    """The TeX of an element that was read, or put together from rendered mathematics."""
    tex = AFTER_COMMAND.sub(r"\1", convert(element)).strip()
    if "(\\bmod" in tex:
        tex = _MODULO.sub(lambda m: f"\\pmod{{{m[1].strip()}}}", tex)
    return tex or None


# --- rows -------------------------------------------------------------------------------------------------------------


def _mrow(element: Element) -> str:
    return _row(element.children)


def _row(children: Sequence[Element], *, middle: bool = False) -> str:
    """Siblings in a row; `middle` inside a stretched pair of fences."""
    count = len(children)
    if count > 1 and (fenced := _fenced(children)) is not None:
        return fenced
    parts: list[str] = []
    at = 0
    while at < count:
        child = children[at]
        tag = child.tag
        if tag == "mo":
            if child.text in OPENING and at + 1 < count and (group := _group(children, at)):
                parts.append(group[0])
                at += group[1]
                continue
            part = _sign(child, parts, middle=middle)
        else:
            part = convert(child)
            if tag == "mi" and part[:1] == "\\":
                part = _word(part, parts, children, at)
        parts.append(part)
        at += 1
    return "".join(parts)


def _word(part: str, parts: list[str], children: Sequence[Element], at: int) -> str:
    """A name of several letters: a function only where an invisible "function application" follows it.

    MathJax and KaTeX make an element of each letter of `\\mathrm{ab}`; neighbours are put together again.
    """
    if part.startswith("\\operatorname{") and not (at + 1 < len(children) and children[at + 1].text == "\u2061"):
        return "\\mathrm" + part[13:]
    if part.startswith("\\mathrm{") and parts and parts[-1].startswith("\\mathrm{") and parts[-1].count("{") == 1:
        return parts.pop()[:-1] + part[8:]
    return part


def _sign(element: Element, parts: list[str], *, middle: bool) -> str:
    text = element.text
    if text in scripts.PRIMES:
        return "'" * scripts.PRIMES[text] if parts else "\\prime " * scripts.PRIMES[text]
    if middle and text in FENCES and element.get("stretchy") == "true" and "fence" in element.attributes:
        return spaced(f"\\middle{FENCES[text]}")
    return leaves.sign(element)


def _fenced(children: Sequence[Element]) -> str | None:
    """A row that a pair of stretched fences encloses: `\\left( .. \\right)`; None where it is none."""
    first, last = children[0], children[-1]
    if first.tag != "mo" or last.tag != "mo" or first.text not in OPENING or last.text not in CLOSING:
        return None
    inner = children[1:-1]
    if len(inner) == 1 and (group := _group(children, 0)) and group[1] == len(children):
        return group[0]
    said = first.get("fence") == "true" or first.get("data-mjx-texclass") == "OPEN"
    if first.get("minsize") or first.get("stretchy") == "false" or not (said or any(c.tag in _TALL for c in inner)):
        return None
    if scripts.crossed(inner, first.text, last.text):
        return None
    return _stretched(first.text, _row(inner, middle=True), last.text)


def _stretched(opening: str, body: str, closing: str) -> str:
    return spaced("\\left" + OPENING[opening]) + body + spaced("\\right" + CLOSING[closing])


def _group(children: Sequence[Element], at: int) -> tuple[str, int] | None:
    """(TeX, children used up) of a table or a fraction without a line between fences: a matrix, cases, a binomial."""
    opening, inner = children[at].text, children[at + 1]
    closing = children[at + 2].text if at + 2 < len(children) and children[at + 2].tag == "mo" else None
    if inner.tag == "mfrac" and (opening, closing) == ("(", ")") and scripts.lineless(inner):
        above, below = (convert(c).strip() for c in inner.children)
        return f"\\binom{{{above}}}{{{below}}}", 3
    if inner.tag != "mtable":
        return None
    if closing is not None and (name := tables.MATRICES.get(opening + closing)) and not _columns(inner).strip("c"):
        return _environment(name, inner), 3
    if opening == "{" and closing in (None, "") and len(_columns(inner)) <= 2:
        return _environment("cases", inner), 2 if closing is None else 3
    if closing is None or closing not in CLOSING:
        return None
    return _stretched(opening, _table(inner), closing), 3


def _fence_element(element: Element) -> str:
    """`mfenced`: fences and separators are attributes, parentheses and commas where none are stated."""
    opening, closing, separators = (element.attributes.get(n, d) or "" for n, d in _FENCE_DEFAULTS)
    signs = [Element("mo", {}, [], c) for c in separators if not c.isspace()]
    inside: list[Element] = []
    for number, child in enumerate(element.children):
        if number and signs:
            inside.append(signs[min(number, len(signs)) - 1])
        inside.append(child)
    return _row([Element("mo", {}, [], opening.strip()), *inside, Element("mo", {}, [], closing.strip())])


# --- tables -----------------------------------------------------------------------------------------------------------


def _columns(table: Element) -> str:
    """The columns' alignment as TeX letters, one for each column: `ccc`, `rl`."""
    count = max((len(line.children) - (line.tag == "mlabeledtr") for line in table.children), default=0)
    stated = table.get("columnalign").split()
    if not stated and table.children:
        stated = [cell.get("columnalign") for cell in table.children[0].children]
    letters = [(word[:1] if word[:1] in "lcr" else "c") or "c" for word in stated] or ["c"]
    return "".join((letters + letters[-1:] * count)[:count])


def _lines(table: Element) -> str:
    lines = []
    full = max(
        (last for line in table.children for last, cell in enumerate(line.children, 1) if _shows(cell)), default=0
    )
    for line in table.children:
        if line.tag not in ("mtr", "mlabeledtr"):
            lines.append(convert(line).strip())
            continue
        cells = [convert(cell).strip() for cell in line.children]
        if cells and cells[0].startswith("["):  # it would be read as an option of the row above
            cells[0] = "{}" + cells[0]
        tag = ""
        if line.tag == "mlabeledtr" and cells:
            label = cells.pop(0).removeprefix("\\text{").removesuffix("}").strip("()")
            tag = f" \\tag{{{label}}}" if label else ""
        lines.append(" & ".join(cells[:full] if not tag else cells) + tag)
    return " \\\\ ".join(lines)


def _shows(cell: Element) -> bool:
    return bool(cell.text or cell.children)


def _environment(name: str, table: Element, columns: str = "") -> str:
    return f"\\begin{{{name}}}{columns} {_lines(table)} \\end{{{name}}}"


def _table(table: Element) -> str:
    """`mtable` without fences: aligned equations, lines below one another, or a matrix."""
    columns = _columns(table)
    if columns == ("rl" * len(columns))[: len(columns)]:
        return _environment("aligned", table)
    if columns.strip("c"):
        return _environment("array", table, "{" + columns + "}")
    if len(columns) == 1 and table.get("displaystyle") == "true":
        return _environment("gathered", table)
    return _environment("matrix", table)


ELEMENTS.update(
    mi=leaves.identifier, mn=leaves.number, mo=leaves.sign, mtext=leaves.words, ms=leaves.words, mglyph=leaves.words,
    mspace=leaves.space, mrow=_mrow, mfrac=scripts.fraction, msqrt=scripts.root, mroot=scripts.indexed_root,
    msub=scripts.sub, msup=scripts.sup, msubsup=scripts.subsup, mmultiscripts=scripts.multiscripts, mover=scripts.over,
    munder=scripts.under, munderover=scripts.underover, menclose=scripts.enclose, mphantom=scripts.phantom,
    mfenced=_fence_element, mtable=_table,
)  # fmt: skip

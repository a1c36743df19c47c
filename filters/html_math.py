"""Mathematics written in HTML: `x<sup>2</sup>`, `<i>a</i><sub>ij</sub>`, and whole formulas of such elements.

An index is mathematics only behind a letter, a digit or a bracket, and when it is no footnote mark, ordinal or
citation. What is written is the base with its indices: nothing says where a longer formula would begin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from selectolax.lexbor import LexborNode

from filters import mathml_tables as tables
from filters.mathml import AFTER_COMMAND
from filters.mathml_leaves import operator, symbols
from filters.mathml_scripts import script
from filters.raw_delimiters import MARKS, SUB_END, SUP, SUP_END, Found

MAX_SCRIPT_CHARS = 24
MAX_DEPTH = 12
_BASE_CHARS = 48  # looked at before an index
_LETTER = "A-Za-zΑ-Ωα-ωϑϕϵℂℕℚℝℤ∂∇"
_LETTERS_BEFORE = re.compile(f"[{_LETTER}]+$")
_NUMBER_BEFORE = re.compile(r"\d[\d.,]{0,20}$|\d$")
_GROUP_BEFORE = re.compile(r"\([^()\n]{1,40}\)$|\|$")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d$")
_ATOM = re.compile(r"[A-Z][a-z]?$")  # of a chemical formula
_SHORT_WORDS = "am an as at be by do go he if in is it me my no of on or so to up us we"
_SHORT = frozenset(_SHORT_WORDS.split())
_ORDINALS = "st nd rd th er re e ème o a º ª tm ® ™ sm"
_ORDINAL = frozenset(_ORDINALS.split())
_INDEX_TEXT = re.compile(r"[\w\s+\-−–*/=<>≤≥≠(),.:;|∞±∓·×′'†‡°∘⊥⊤∗∈→←↔⊕⊗{}\[\]!^…⋯∖∪∩]+$")
_WORD = re.compile(r"[A-Za-z]{4,}")
_INDEX_WORDS = "crit total exp grad rank trace loss data pred true test train obs init model noise signal"
_KNOWN_WORDS = frozenset(_INDEX_WORDS.split()) | tables.FUNCTIONS
_MARK_CLASS = re.compile(r"note|cite|ref(?:erence)?\b|noprint|\bfn", re.IGNORECASE)
_INLINE = frozenset(["i", "em", "var", "b", "strong", "span", "font", "big", "small", "sup", "sub", "nobr", "u"])
_WORDS = re.compile(r"[A-Za-z]{2,}")
_OPENING = frozenset(MARKS.values())


def indexed(text: str, elements: Mapping[int, LexborNode], taken: Sequence[Found]) -> list[Found]:
    """The bases with indices in a block's text. `elements`: the sup and sub by the place of their mark in the text."""
    found: list[Found] = []
    done = 0
    inside = iter([*taken, Found(len(text) + 1, len(text) + 1, "", False)])
    formula = next(inside)
    for place in sorted(elements):
        while formula.end <= place:
            done, formula = max(done, formula.end), next(inside)
        if place < done or formula.start <= place:
            continue
        if match := _base(text, place, done, elements[place].tag == "sup"):
            start, base = match
            end, tex = _indices(text, place, base, elements)
            if end:
                found.append(Found(start, end, tex, False, "sup/sub"))
                done = end
    return found


def _base(text: str, place: int, done: int, above: bool) -> tuple[int, str] | None:
    """(where the base of an index begins, its TeX), or None where what stands there is a word or nothing."""
    end = place
    while end > done and "\ufdd0" <= text[end - 1] <= "\ufdd9":
        end -= 1
    tail = text[max(done, end - _BASE_CHARS) : end]
    base = _base_of(tail, above=above)
    if base is None:
        return None
    start = end - len(base)
    if end < place and text[start - 1 : start] in _OPENING and start - 1 >= done:
        start -= 1
    return start, base if base.isascii() and base not in tables.FUNCTIONS else operator(base)


def _base_of(tail: str, *, above: bool) -> str | None:
    if letters := _LETTERS_BEFORE.search(tail):
        name = letters[0]
        if len(name) <= 2 or name in tables.FUNCTIONS:
            return None if above and name.lower() in _SHORT else name
        atom = None if above or name.islower() else _ATOM.search(name)
        return atom[0] if atom else None
    if number := _NUMBER_BEFORE.search(tail):
        digits = number[0].lstrip(",.")
        return None if above and _YEAR.match(digits) else digits
    group = _GROUP_BEFORE.search(tail)
    return group[0] if group and not _WORD.search(group[0]) else None


def _indices(text: str, place: int, base: str, elements: Mapping[int, LexborNode]) -> tuple[int, str]:
    """(where the indices at a place end, base and indices in TeX); 0 where the first of them is no mathematics."""
    tex, end = base, 0
    seen = set()
    while (node := elements.get(place)) is not None and node.tag not in seen:
        index = _index(node, base)
        if index is None:
            break
        tex = tex.rstrip() + ("^" if node.tag == "sup" else "_") + script(index)
        seen.add(node.tag)
        end = place = _closing(text, place)
    return end, tex


def _closing(text: str, place: int) -> int:
    """Behind the mark that closes the one at a place."""
    opening = text[place]
    closing = SUP_END if opening == SUP else SUB_END
    level, at = 0, place
    while at < len(text):
        level += (text[at] == opening) - (text[at] == closing)
        at += 1
        if not level:
            break
    return at


def _index(node: LexborNode, base: str) -> str | None:
    attributes = node.attributes
    if _MARK_CLASS.search(f"{attributes.get('class') or ''} {attributes.get('id') or ''}"):
        return None
    text = (node.text(deep=True) or "").strip()
    if not text or len(text) > MAX_SCRIPT_CHARS or not _INDEX_TEXT.match(text) or node.css_first("a, img, input"):
        return None
    if node.tag == "sup" and (_is_mark(text, base) or any(w not in _KNOWN_WORDS for w in _WORD.findall(text))):
        return None
    return tex_of(node)


def _is_mark(text: str, base: str) -> bool:
    """Whether a superscript is an ordinal (1st) or a citation ([3], 1,2)."""
    ordinal = text.lower() in _ORDINAL and (base[-1:].isdigit() or len(text) > 1)
    return ordinal or text[:1] == "[" or ("," in text and text.replace(",", "").replace(" ", "").isdigit())


# --- a whole formula in HTML ------------------------------------------------------------------------------------------


def tex_of(node: LexborNode) -> str | None:
    """The TeX of an element's content; None where it holds more than letters, signs, italics and indices."""
    tex = _content(node, 0)
    return AFTER_COMMAND.sub(r"\1", tex).strip() if tex is not None else None


def _content(node: LexborNode, depth: int) -> str | None:
    parts: list[str] = []
    child = node.child
    while child is not None:
        tag = child.tag or ""
        if child.is_text_node:
            parts.append(_text(child.text_content or "", italic=node.tag in ("i", "em", "var")))
        elif tag == "br":
            parts.append(" ")
        elif not child.is_comment_node:
            inner = _content(child, depth + 1) if tag in _INLINE and depth < MAX_DEPTH else None
            if inner is None:
                return None
            parts.append(_styled(tag, inner, parts))
        child = child.next
    return "".join(parts)


def _styled(tag: str, inner: str, parts: list[str]) -> str:
    if tag in ("sup", "sub"):
        base = "" if parts and parts[-1].strip() else "{}"
        if parts:
            parts[-1] = parts[-1].rstrip()
        return base + ("^" if tag == "sup" else "_") + script(inner)
    return f"\\mathbf{{{inner}}}" if tag in ("b", "strong") and inner.isascii() and inner.isalnum() else inner


def _text(text: str, *, italic: bool) -> str:
    """Signs and letters; three or more letters that are not italic are a function or a word."""
    text = text.replace("\xa0", " ")
    out: list[str] = []
    last = 0
    for word in _WORDS.finditer(text):
        out.append("".join(map(_sign, text[last : word.start()])))
        plain = italic or (len(word[0]) == 2 and word[0] not in tables.FUNCTIONS)
        out.append(word[0] if plain else operator(word[0]).replace("\\operatorname", "\\mathrm"))
        last = word.end()
    return "".join(out) + "".join(map(_sign, text[last:]))


def _sign(character: str) -> str:
    return " " if character.isspace() else symbols(character)

"""Leaves of MathML in TeX: letters, names, numbers, operators, words, spaces. A command ends with a blank.

The functions of a string are cached: a page says x a thousand times.
"""

from __future__ import annotations

import re
from functools import lru_cache

from filters import mathml_tables as tables
from filters.mathml_tables import FENCES, SYMBOLS
from filters.mathml_tree import Element

_WIDTH = re.compile(r"\s*([+-]?(?:\d{1,9}\.?\d{0,20}|\.\d{1,20}))\s*(em|ex|px|pt|mu|in|cm|%)?")
_EM = {"em": 1.0, "ex": 0.45, "px": 1 / 16, "pt": 0.1, "mu": 1 / 18, "in": 7.2, "cm": 2.8, "%": 0.01, None: 1.0}
_MAX_EM = 8.9  # wider spaces are written like this one
_NOT_TEXT = {
    "\\": "\\textbackslash ",
    "^": "\\textasciicircum ",
    "~": "\\textasciitilde ",
    **{c: "\\" + c for c in "$%&#_{}"},
}
_NOT_BOLD_BY_NAME = frozenset(["bold", "italic", "normal", "sans-serif", "monospace"])
_GREEK = re.compile("[\u0370-\u03ff]+")
_BARS = {"∣": "|", "∥": "\\|"}
_WORD_SIGNS = str.maketrans("", "", " \u2009\xa0-")


def spaced(command: str) -> str:
    """A command with the blank that parts it from a letter; other TeX as it is."""
    return command + " " if command[-1:].isalpha() and command[:1] == "\\" else command


@lru_cache(maxsize=4096)
def symbols(text: str) -> str:
    """Each character of a leaf; characters that TeX has no name for stay as they are."""
    if (known := SYMBOLS.get(text)) is not None:
        return spaced(known)
    if len(text) == 1:
        plain, variant = tables.unstyled(text)
        return _styled(plain, variant) if variant else plain
    if "\u0338" in text:  # a long solidus over the character before it
        head, _, tail = text.partition("\u0338")
        return symbols(head[:-1]) + "\\not " + symbols(head[-1:]) + symbols(tail)
    return "".join(symbols(c) for c in text)


def _styled(letters: str, variant: str) -> str:
    command = tables.VARIANTS[variant]
    if len(letters) == 1 and variant == "italic":
        return symbols(letters)
    body = symbols(letters).rstrip()
    if body[:1] == "\\" and variant in _NOT_BOLD_BY_NAME:  # \mathbf and its like do nothing to \alpha
        if variant != "bold":
            return symbols(letters)
        command = "boldsymbol"
    return f"\\{command}{{{body}}}" + "}" * command.count("{")


def identifier(element: Element) -> str:
    """`mi`; KaTeX writes the bars of |x| as identifiers, and as operators only those of a | b."""
    if element.text in _BARS:
        return _BARS[element.text]
    if not element.attributes:
        return name(element.text, "")
    return name(element.text, element.get("data-mjx-variant") or element.get("mathvariant"))


@lru_cache(maxsize=4096)
def name(text: str, variant: str) -> str:
    """A letter, a function or a word; `variant` is the mathvariant, "" where none is stated."""
    pairs = [tables.unstyled(c) for c in text.rstrip("\u2061")]
    plain = "".join(c for c, _ in pairs)
    if not variant and len({style for _, style in pairs}) == 1:
        variant = pairs[0][1]
    if variant in tables.VARIANTS and variant != "normal":
        return _styled(plain, variant)
    if len(plain) > 1 and plain.translate(_WORD_SIGNS).isalnum():
        return _named(plain) if all(not style for _, style in pairs) else "".join(symbols(c) for c in text)
    if variant == "normal" and plain.isascii() and plain.isalpha():
        return f"\\mathrm{{{plain}}}"
    return symbols(plain)


def _named(word: str) -> str:
    """A function or word of several letters."""
    squeezed = word.translate(_WORD_SIGNS)
    if squeezed in tables.FUNCTIONS:
        return f"\\{squeezed} "
    if squeezed == "mod":
        return "\\bmod "
    if squeezed.isdigit():
        return word
    if not squeezed.isascii():
        return "".join(map(symbols, word)) if _GREEK.fullmatch(squeezed) else f"\\text{{{word}}}"
    parts = word.replace("\u2009", "\\,").replace("\xa0", "\\,").replace(" ", "\\,").replace("-", "\\text{-}")
    return f"\\operatorname{{{parts}}}"


def sign(element: Element) -> str:
    """`mo`"""
    text = element.text
    if not element.attributes:
        return operator(text)
    if (size := element.get("minsize")) and size == element.get("maxsize") and text in FENCES:
        height = em(size)
        for limit, command in tables.BIG:
            if height < limit:
                return spaced(command + FENCES[text])
    return operator(text)


@lru_cache(maxsize=4096)
def operator(text: str) -> str:
    """A sign, or a word such as lim or mod."""
    text = text.rstrip("\u2061")
    if len(text) > 1 and text[0].isalpha() and text.translate(_WORD_SIGNS).isalnum():
        return name(text, "")
    return symbols(text)


def number(element: Element) -> str:
    """`mn`"""
    text = element.text
    variant = element.get("mathvariant")
    if variant in tables.VARIANTS and variant != "normal":
        return _styled(text, variant)
    return text if text.isalnum() and text.isascii() else symbols(text)


def words(element: Element) -> str:
    """`mtext`, `ms`"""
    text = element.text.replace("\xa0", " ").replace("\u2003", " ").replace("\n", " ")
    if not text.strip():
        return "~" if text else ""
    if element.tag == "ms":
        text = f'"{text}"'
    escaped = "".join(_NOT_TEXT.get(c, c) for c in text)
    return f"\\{tables.TEXT_VARIANTS.get(element.get('mathvariant'), 'text')}{{{escaped}}}"


def em(width: str) -> float:
    """A width in em, at most _MAX_EM; 0 for what is none."""
    match = _WIDTH.match(width)
    return min(float(match[1]) * _EM[match[2]], _MAX_EM) if match else 0.0


def space(element: Element) -> str:
    """`mspace`: the blank that TeX has for its width; a rule drawn with a background is left out."""
    if element.get("linebreak") == "newline":
        return " \\\\ "
    if element.get("mathbackground"):
        return ""
    width = em(element.get("width"))
    blank = next((command for below, command in tables.SPACES if width < below), "")
    return spaced(blank)

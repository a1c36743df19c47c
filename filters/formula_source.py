"""Formulas as a page states them, and the list of those that were found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from filters.tex import Macros, clean, sound, without_dollars

Attributes = Mapping[str, str | None]

OPEN, CLOSE = "\ue000", "\ue001"  # around the number of a formula, in the text that stands for it
MAX_FORMULAS = 100_000  # of a page; those behind them stay as they stand
MAX_ALT_CHARS = 5_000
# attributes that hold the TeX of what an element shows
_TEX_ATTRIBUTES = """
data-latex data-tex data-formula data-expr data-katex data-equation data-equation-content data-math data-value data-eq
data-latex-source data-tex-source data-latex-code data-tex-code
"""
TEX_ATTRIBUTES = frozenset(_TEX_ATTRIBUTES.split())
_COMMAND = re.compile(r"\\[a-zA-Z]+|\\[,;!{}|\\]|[\^_]")
_PROSE = re.compile(r"(?:^|\s)[^\W\d_]{2,}(?:\s+[^\W\d_]{2,}){2}")
_SHORT = re.compile(r"[\w\s=<>+\-*/|()\[\]{},.:;!'≤≥≠±×·∞]*$")
_EMPTY = re.compile(r"(?:\\[,;:! ]|[{}~\s])*$")


@dataclass(frozen=True, slots=True)
class Carrier:
    """A formula as an element states it. `plain`: the text is no TeX, for it could not be converted."""

    tex: str
    display: bool
    kind: str
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula of a page. kind: the convention it was stated in. ok: its braces match, or it could be converted;
    plain: it could not, and `tex` is the text that a reader would see."""

    tex: str
    display: bool
    kind: str
    ok: bool = True
    plain: bool = False


@dataclass(slots=True)
class FormulaList:
    """The formulas of a page in its order, and the macros that those before a formula defined."""

    macros: Macros
    found: list[Formula] = field(default_factory=list)

    def add(self, carrier: Carrier) -> str:
        """The placeholder of a formula that is added; "" for one that only defines macros, or is empty."""
        tex = clean(carrier.tex)
        if not carrier.plain:
            tex = self.macros.apply(tex).strip()
            if "$" in tex:
                tex = without_dollars(tex).strip()
        if _EMPTY.match(tex):
            return ""
        ok = not carrier.plain and sound(tex)
        self.found.append(Formula(tex, carrier.display, carrier.kind, ok, carrier.plain))
        return f"{OPEN}{len(self.found) - 1}{CLOSE}"

    @property
    def full(self) -> bool:
        """Whether no more are taken."""
        return len(self.found) >= MAX_FORMULAS


def looks_like_tex(text: str) -> bool:
    """Whether an attribute or a bare text is a formula, no file name, word or sentence."""
    if not text.strip() or len(text) > MAX_ALT_CHARS:
        return False
    if _COMMAND.search(text):
        return "://" not in text and not text.lower().endswith((".png", ".gif", ".svg", ".jpg", ".jpeg"))
    if len(text) > 60 or _PROSE.search(text):
        return False
    return bool(_SHORT.match(text)) and (len(text) < 4 or not text.replace(" ", "").isalpha())


def attribute_tex(attributes: Attributes) -> str | None:
    """The TeX that one of an element's attributes states; None where none does."""
    for name in attributes:
        if name in TEX_ATTRIBUTES and (value := attributes[name]) and looks_like_tex(value):
            return value
    return None

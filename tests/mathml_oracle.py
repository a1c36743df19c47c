"""How true TeX is to the MathML it was read out of: both as MathML, the TeX turned back by latex2mathml.

Independent of the converter: only latex2mathml decides what the TeX means. Signs that look alike or stand for one
another (a minus and a hyphen, a bar and a divides-sign) count as the same leaf.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass

import latex2mathml.converter
from selectolax.lexbor import LexborHTMLParser, LexborNode

_LEAVES = frozenset(["mi", "mn", "mo", "mtext"])
_STRUCTURE = {
    "msub": ("sub",), "munder": ("sub",), "msup": ("sup",), "mover": ("sup",), "msubsup": ("sub", "sup"),
    "munderover": ("sub", "sup"), "mfrac": ("frac",), "msqrt": ("root",), "mroot": ("root",), "mtr": ("row",),
    "mlabeledtr": ("row",),
}  # fmt: skip
_ALIKE = ["|∣‖∥", "-−–", "⋅·∙•", "'′’", "*∗⋆", "¯―‾ˉ\u0304\u0305_", "φϕ", "εϵ", "\\∖⧵", "ΔΔ△", "⟨〈<", "⟩〉>", "⊥⟂", ".…⋯˙", "→⟶↦⟼⃗", "←⟵", "⇒⟹", "⇔⟺", "^ˆ\u0302", "~˜∼\u0303", "≤⩽", "≥⩾", "Ωω"[:1], "□◻", "⊴⊴"]  # fmt: skip
_SAME = str.maketrans({sign: signs[0] for signs in _ALIKE for sign in signs})
# environments that latex2mathml does not read in the middle of a formula, and marks that it takes for letters
_READABLE = (
    ("aligned}", "matrix}"), ("gathered}", "matrix}"), ("\\operatorname*", "\\operatorname"), ("\\!", ""), ("\\limits", ""),
    ("&  \\end", "& {} \\end"), ("\\\\  \\end", "\\\\ {} \\end"), ("\\mathsf{E}", "E"), ("\\blacksquare", "■"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fidelity:
    """kept: share of the leaves' characters that the TeX has; same: whether scripts, fractions, roots, rows are as many."""

    kept: float
    same: bool


def shape(element: LexborNode) -> tuple[Counter[str], Counter[str]]:
    """(characters of the leaves, what makes the structure) of a `math` element, annotations left out."""
    leaves: Counter[str] = Counter()
    structure: Counter[str] = Counter()
    stack = [element]
    while stack:
        node = stack.pop()
        tag = node.tag or ""
        structure.update(_STRUCTURE.get(tag, ()))
        child = node.child
        if tag == "mmultiscripts":
            structure.update(_multiscripts(node))
        if tag in _LEAVES and (child is None or (child.is_text_node and child.next is None)):
            text = unicodedata.normalize("NFKC", (node.text(deep=True) or "").replace("…", "⋯")).translate(_SAME)
            leaves.update(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))
        while child is not None:
            if not child.is_text_node and child.tag not in ("annotation", "annotation-xml"):
                stack.append(child)
            child = child.next
    return leaves, structure


def _multiscripts(node: LexborNode) -> Counter[str]:
    """The scripts that an element with several has, without those that are empty."""
    marks = [child for child in node.iter() if child.tag != "mprescripts"][1:]
    shown = [bool(mark.child) for mark in marks]
    return Counter({"sub": sum(shown[::2]), "sup": sum(shown[1::2])})


def read_back(tex: str) -> LexborNode:
    """The MathML that latex2mathml makes of TeX; raises what it raises."""
    for word, readable in _READABLE:
        tex = tex.replace(word, readable)
    element = LexborHTMLParser(latex2mathml.converter.convert(tex)).css_first("math")

    assert element is not None
    return element


def fidelity(element: LexborNode, tex: str) -> Fidelity:
    """How true a formula's TeX is to its MathML."""
    leaves, structure = shape(element)
    back, rebuilt = shape(read_back(tex))
    total = sum(leaves.values())
    return Fidelity(sum((leaves & back).values()) / total if total else 1.0, structure == rebuilt)

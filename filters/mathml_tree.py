"""MathML as a small tree of its own, and the table of what turns each element into TeX.

A formula is read from the DOM once; converting asks for siblings, attributes and texts many times, which through the
DOM's objects would be a call into another language each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from selectolax.lexbor import LexborNode

MAX_NESTING = 120  # elements inside one another; Python's recursion ends at some 1,000 frames, MathML of people at 30
TOKENS = frozenset(["mi", "mn", "mo", "mtext", "ms", "mglyph"])
_TEXT, _COMMENT = "-text", "-comment"
# elements without content; written with a prefix (mml:mspace/) an HTML parser puts what follows inside them
_VOID = frozenset(["mspace", "none", "mprescripts", "malignmark", "maligngroup"])
_TRANSPARENT = frozenset(["mrow", "mstyle", "mpadded", "semantics", "math", "merror", "maction"])
_ARITY = {"msub": 2, "msup": 2, "munder": 2, "mover": 2, "mfrac": 2, "mroot": 2, "msubsup": 3, "munderover": 3}
_NAMES = frozenset(["mi", "mo", "mn"])
_INNER = "mi, mo, mn, mrow, mtext"
_IGNORED = frozenset(["annotation", "annotation-xml"])


@dataclass(slots=True)
class Element:
    """An element of MathML: its name without prefix, attributes, children; `text` of a token element, stripped."""

    tag: str
    attributes: dict[str, str | None]
    children: list[Element]
    text: str = ""

    def get(self, name: str) -> str:
        """An attribute, "" where it is missing."""
        return self.attributes.get(name) or ""


class TooDeepError(Exception):
    """Nested deeper than MAX_NESTING."""


# by name of the element; rows, scripts and tables contain one another, so the modules that define them meet here
ELEMENTS: dict[str, Callable[[Element], str]] = {}


def convert(element: Element) -> str:
    """The TeX of an element; a command at its end is followed by a blank."""
    return ELEMENTS.get(element.tag, ELEMENTS["mrow"])(element)


def braced(element: Element) -> str:
    """The TeX of an element as an argument."""
    return "{" + convert(element).strip() + "}"


def read(node: LexborNode, depth: int = 0) -> Element:
    """An element of the DOM and all below it; raises where it is nested too deep."""
    if depth > MAX_NESTING:
        raise TooDeepError
    tag = (node.tag or "").rpartition(":")[2]
    if tag in TOKENS and (text := _text(node, tag)) is not None:
        return Element(tag, node.attributes, [], text)
    if in_token := tag in TOKENS:  # KaTeX: a function with its limits, or beside an invisible "application"
        tag = "mrow"
    children: list[Element] = []
    child = node.child
    while child is not None:
        if child.tag not in (_TEXT, _COMMENT):
            inner = read(child, depth + 1)
            children.append(inner)
            if inner.tag in _VOID and inner.children:
                children += inner.children
                inner.children = []
        elif child.tag == _TEXT and tag not in _IGNORED and (loose := (child.text_content or "").strip()):
            children.append(Element("mtext" if " " in loose else "mo", {}, [], loose))
        child = child.next
    if in_token:
        children = [c for c in children if c.text != "\u2061"]
    if tag in _TRANSPARENT:
        return _unwrapped(tag, node.attributes, children)
    if len(children) > _ARITY.get(tag, len(children)):  # KaTeX puts the "application" of a function before its index
        children = [c for c in children if c.text != "\u2061"]
    return Element(tag, node.attributes, children)


def _text(node: LexborNode, tag: str) -> str | None:
    """The characters of a leaf; None where KaTeX put elements into it (`mi` around `munder`)."""
    child = node.child
    if child is None:
        text = (node.attributes.get("alt") or "") if tag == "mglyph" else ""
    elif child.next is None and child.tag == _TEXT:
        text = child.text_content or ""
    elif tag in _NAMES and node.css_first(_INNER) is not None:
        return None
    else:
        text = node.text(deep=True)
    return text if tag in ("mtext", "ms") else text.strip(" \t\r\n")


def _unwrapped(tag: str, attributes: dict[str, str | None], children: list[Element]) -> Element:
    """The element, or its only child where the element says nothing about it."""
    if tag in ("semantics", "maction"):
        children = [c for c in children if c.tag not in _IGNORED][:1]
    if len(children) == 1:
        only = children[0]
        if tag == "mstyle" and only.tag == "mfrac":
            only.attributes = {**only.attributes, "displaystyle": attributes.get("displaystyle")}
        if not attributes.get("mathvariant"):
            return only
    return Element("mrow", attributes, children)

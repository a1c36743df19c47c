"""The formulas of a page: each is taken out of its tree and a placeholder put in its place.

A placeholder is `\\ue000N\\ue001`, N the formula's index in the list; text extraction keeps it like a word, and
`delimited` gives what to write for it. Two passes: one over the tree as it was parsed, which notes elements that carry
a formula and texts in which one could begin; then these are replaced in the page's order. The first is all that pages
without mathematics cost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from selectolax.lexbor import LexborHTMLParser, LexborNode

from filters import formula_carriers as carriers
from filters.formula_runs import LITERAL, TEXT, Runs, put
from filters.formula_source import CLOSE, OPEN, Attributes, Carrier, Formula, FormulaList
from filters.page_config import Dollar, PageConfig
from filters.raw_delimiters import Delimiters
from filters.tex import clean

__all__ = ["CLOSE", "OPEN", "Formula", "delimited", "replace"]

_SKIPPED_NAMES = "script style template noscript textarea select iframe object embed svg canvas audio video head title"
_SKIPPED = frozenset(_SKIPPED_NAMES.split())
# elements of which only class and attributes are looked at
_PLAIN = frozenset(["span", "div", "p", "section"])
_LOOKED_AT = _PLAIN | LITERAL | _SKIPPED | {"sup", "sub"} | set(carriers.BY_TAG)
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
MIN_TEX_TEXTS = 3  # texts with TeX between two `$`, for all of a page's `$` to be delimiters
_IN_DOLLARS = re.compile(r"(?<![$\\])\$(?! )([^$\n]{1,260})(?<! )\$(?!\d)")
_TEX = re.compile(r"\\[a-zA-Z]{2}|[_^]")
_PLACEHOLDERS = str.maketrans("", "", OPEN + CLOSE)


def replace(tree: LexborHTMLParser, config: PageConfig) -> list[Formula]:
    """The formulas of a page, in its order; the tree then has placeholders where they stood, and no rendered copies."""
    body = tree.body
    if body is None:
        return []
    if config.private:
        _strip(body)
    formulas = FormulaList(config.macros)
    runs = Runs(config, formulas, Delimiters(config))
    survey = _Survey(runs)
    survey.over(body)
    if config.dollar is Dollar.MAYBE and survey.speaks_tex():
        config.dollar = Dollar.YES
    for node in survey.copies:
        node.decompose()
    for place in survey.places:
        if place.carrier is None:
            if place.identity not in runs.done:
                runs.around(place.node)
        elif runs.carried.pop(place.identity, None) is not None and not formulas.full:
            _carry(place.node, place.carrier, formulas)
    return formulas.found


def delimited(formula: Formula) -> str:
    """The formula between `$` or `$$`, in one line if it is inline; as plain text where it is no TeX."""
    if formula.plain or not formula.tex:
        return formula.tex
    if formula.display:
        return f"$${formula.tex}$$"
    return f"${' '.join(formula.tex.split()) if chr(10) in formula.tex else formula.tex}$"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something is to be done: an element that carries a formula, or a text or index whose run is looked at."""

    identity: int
    node: LexborNode
    carrier: Carrier | None = None


class _Survey:
    """The first pass; it changes nothing, so that what it notes stays true. Its nodes are known by their mem_id, which
    is theirs until they are removed."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.config = runs.config
        self.places: list[_Place] = []
        self.copies: list[LexborNode] = []
        self.idle: set[str] = set()  # classes that say nothing

    def over(self, root: LexborNode) -> None:
        """Notes places in an element. Each line here is run for every node of a page."""
        skip_to = literal_to = 0  # mem_ids of the nodes that end a part that is skipped, or in which texts are literal
        could_open, idle = self.runs.delimiters.could_open, self.idle
        for node in root.traverse(include_text=True):
            if skip_to:
                if node.mem_id != skip_to:
                    continue
                skip_to = 0
            if literal_to and node.mem_id == literal_to:
                literal_to = 0
            tag = node.tag
            if tag == TEXT:
                if not literal_to and could_open(node.text_content or ""):
                    self.places.append(_Place(node.mem_id, node))
                continue
            if tag not in _LOOKED_AT:
                continue
            attributes = node.attributes
            if tag in _PLAIN and (not attributes or (len(attributes) == 1 and attributes.get("class") in idle)):
                continue
            if self._element(node, tag or "", attributes):
                skip_to = _behind(node)
                if not skip_to:
                    return
            elif tag in LITERAL and not literal_to:
                literal_to = _behind(node) or -1

    def speaks_tex(self) -> bool:
        """Whether enough of the page's texts hold TeX between two `$`, for all its `$` to be taken for delimiters."""
        texts = (place.node.text_content or "" for place in self.places if place.node.tag == TEXT)
        with_tex = (text for text in texts if any(_TEX.search(m[1]) for m in _IN_DOLLARS.finditer(text)))
        return len(list(islice(with_tex, MIN_TEX_TEXTS))) == MIN_TEX_TEXTS

    def _element(self, node: LexborNode, tag: str, attributes: Attributes) -> bool:
        """Notes what an element is for; whether nothing inside it is looked at."""
        handler = carriers.BY_TAG.get(tag)
        if handler is not None:
            found = handler(node, attributes, self.config)
        elif tag in _SKIPPED:
            return True
        elif tag in ("sup", "sub"):
            self.places.append(_Place(node.mem_id, node))
            return False
        else:
            found = self._classed(node, tag, attributes)
        if found is None:
            return tag in _SKIPPED
        if isinstance(found, Carrier):
            self.places.append(_Place(node.mem_id, node, found))
            self.runs.carried[node.mem_id] = found
        else:
            self.copies.append(node)
        return True

    def _classed(self, node: LexborNode, tag: str, attributes: Attributes) -> carriers.Result:
        found = carriers.of_element(node, tag, attributes, self.config)
        if found is not None:
            return found
        if tag == "code" and self.config.code and (node.parent is None or node.parent.tag != "pre"):
            return _in_code(node, self.runs.delimiters)
        classes = attributes.get("class")
        if classes and tag in _PLAIN and carriers.by_class(classes) is None:
            names = classes.split()
            if self.config.ignored.isdisjoint(names) and self.config.processed.isdisjoint(names):
                self.idle.add(classes)
            else:
                self.runs.switched = True
        return None


def _behind(node: LexborNode) -> int:
    """The mem_id of the node that follows an element and all in it; 0 where nothing does."""
    current: LexborNode | None = node
    while current is not None:
        following = current.next
        if following is not None:
            return following.mem_id
        current = current.parent
    return 0


def _in_code(node: LexborNode, delimiters: Delimiters) -> Carrier | None:
    """A formula that is all of an inline code element, on pages that say their code may be one."""
    text = (node.text(deep=True) or "").strip()
    found = delimiters.find(text) if text[:1] in ("$", "\\") else []
    if len(found) == 1 and (found[0].start, found[0].end) == (0, len(text)):
        return Carrier(found[0].tex, found[0].display, "raw")
    return None


def _carry(node: LexborNode, carrier: Carrier, formulas: FormulaList) -> None:
    """Replaces an element by the placeholder of what it carries; an image right behind the same formula is its copy."""
    parent, before = node.parent, node.prev
    if node.tag == "img" and formulas.found and before is not None and formulas.found[-1].tex == clean(carrier.tex):
        text = (before.text_content if before.is_text_node else before.text(deep=True)) or ""
        if text.rstrip().endswith(f"{OPEN}{len(formulas.found) - 1}{CLOSE}"):
            node.decompose()
            return
    put(node, formulas.add(carrier))
    while parent is not None and parent.tag == "span":  # MathML beside an image, for those who cannot see
        if _HIDDEN.search(parent.attributes.get("style") or ""):
            del parent.attrs["style"]
        parent = parent.parent


def _strip(root: LexborNode) -> None:
    """Takes characters that look like placeholders out of a page that has some of its own."""
    typed = [node for node in root.traverse(include_text=True) if node.tag == TEXT and _has_placeholder(node)]
    for node in typed:
        put(node, (node.text_content or "").translate(_PLACEHOLDERS))


def _has_placeholder(node: LexborNode) -> bool:
    text = node.text_content or ""
    return OPEN in text or CLOSE in text

"""Formulas between delimiters, and bases with indices, in the running text of a page.

A run is what stands between two block boundaries: texts, marks for emphasis and indices, line breaks, and formulas that
elements carry. Only runs are put together in which something could open a formula.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from selectolax.lexbor import LexborNode

from filters import html_math
from filters.formula_source import OPEN, Carrier, FormulaList
from filters.page_config import PageConfig
from filters.raw_delimiters import MARKS, SUB, SUP, Delimiters, Found

TEXT = "-text"
LITERAL = frozenset(["code", "pre", "kbd", "samp"])  # delimiters mean nothing in them
_INLINE_NAMES = """
a abbr acronym b bdi bdo big br cite code del dfn em font i img input ins kbd label mark math math-renderer
mjx-container nobr q s samp script small span strike strong style sub sup svg time tt u var wbr button -text -comment
"""
_OPAQUE_NAMES = """
button canvas code iframe img input kbd math mjx-container noscript object pre samp select svg template textarea video
"""
INLINE, _OPAQUE = frozenset(_INLINE_NAMES.split()), frozenset(_OPAQUE_NAMES.split())
_SILENT = frozenset(["script", "style", "-comment"])
_BARRIER = OPEN  # in a run's text: something that no formula reaches across
_CLOSING = {mark: chr(ord(mark) + 1) for mark in MARKS.values()}


@dataclass(slots=True)
class _Piece:
    """A piece of a run: its characters, and the text, mark's element, break or carrier that they stand for."""

    text: str
    node: LexborNode
    carrier: Carrier | None = None


@dataclass(slots=True)
class Runs:
    """Finds and replaces formulas run by run. carried: elements that carry formulas and still stand in the tree, by
    mem_id; done: mem_ids of nodes in runs that were looked at; switched: whether classes switch delimiters on or off.
    """

    config: PageConfig
    formulas: FormulaList
    delimiters: Delimiters
    carried: dict[int, Carrier] = field(default_factory=dict)
    switched: bool = False
    done: set[int] = field(default_factory=set)
    pieces: list[_Piece] = field(default_factory=list)

    def around(self, node: LexborNode) -> None:
        """Looks at the run that a text or an index stands in."""
        first: LexborNode | None = node
        if self.switched:
            scope = self._scope(node)
            if scope is None:
                return
            first = scope.child if scope is not node else _first(node)
        else:
            first = _first(node)
        while first is not None and first.tag in INLINE:
            following = first.next
            self._collect(first)
            first = following
        self._flush()

    def _scope(self, node: LexborNode) -> LexborNode | None:
        """The nearest element around a node whose class switches delimiters on; the node where nothing switches them;
        None where they are off."""
        element = node.parent
        while element is not None:
            names = (element.attributes.get("class") or "").split()
            if not self.config.processed.isdisjoint(names):
                return element
            if not self.config.ignored.isdisjoint(names):
                return None
            element = element.parent
        return None if "*" in self.config.ignored else node

    def _collect(self, root: LexborNode) -> None:
        """Adds a text or an inline element to the run. A loop: inline elements nest deep, too."""
        stack: list[LexborNode] = []
        node = root
        while True:
            child = self._enter(node)
            if child is not None:
                stack.append(node)
                node = child
                continue
            while node is not root and node.next is None:
                node = stack.pop()
                self._leave(node)
            if node is root or node.next is None:
                return
            node = node.next

    def _enter(self, node: LexborNode) -> LexborNode | None:
        """Adds what a node begins with; its first child where the walk goes on inside."""
        tag, identity = node.tag or "", node.mem_id
        if tag == TEXT:
            self.done.add(identity)
            self.pieces.append(_Piece(node.text_content or "", node))
        elif (carrier := self.carried.get(identity)) is not None:
            self.pieces.append(_Piece(_BARRIER, node, carrier))
        elif tag == "br":
            self.pieces.append(_Piece("\n", node))
        elif tag in _OPAQUE or (self.switched and self._off(node)):
            self._boundary(node, tag)
        elif tag not in _SILENT:
            if (mark := MARKS.get(tag)) is not None:
                self.done.add(identity)
                self.pieces.append(_Piece(mark, node))
            elif tag not in INLINE:
                self._flush()
            if node.child is None:
                self._leave(node)
            return node.child
        return None

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if (mark := MARKS.get(tag)) is not None:
            self.pieces.append(_Piece(_CLOSING[mark], node))
        elif tag not in INLINE:
            self._flush()

    def _off(self, node: LexborNode) -> bool:
        names = (node.attributes.get("class") or "").split()
        return not self.config.ignored.isdisjoint(names)

    def _boundary(self, node: LexborNode, tag: str) -> None:
        if tag in INLINE:
            self.pieces.append(_Piece(_BARRIER, node))
        else:
            self._flush()

    # --- replacing ----------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Ends a run: its formulas are found and replaced."""
        pieces, self.pieces = self.pieces, []
        text = "".join([piece.text for piece in pieces])
        found = self.delimiters.find(text)
        if indices := _indices(pieces):
            found = sorted([*found, *html_math.indexed(text, indices, found)], key=lambda formula: formula.start)
        if found and not self.formulas.full:
            self._apply(pieces, found)

    def _apply(self, pieces: list[_Piece], found: list[Found]) -> None:
        """Puts placeholders in the place of formulas, and takes what they were made of away."""
        number, place, waiting = 0, 0, ""
        marked: list[_Piece] = []
        for piece in pieces:
            start = at = place
            place = end = start + len(piece.text)
            kept = [waiting]
            while number < len(found) and found[number].start < end:
                formula = found[number]
                if formula.start >= start:
                    carrier = Carrier(formula.tex, formula.display, formula.kind)
                    kept += [piece.text[at - start : formula.start - start], self.formulas.add(carrier)]
                at = min(formula.end, end)
                if formula.end > end:
                    break
                number += 1
            if piece.carrier is not None:
                del self.carried[piece.node.mem_id]
                put(piece.node, self.formulas.add(piece.carrier))
            elif piece.node.tag != TEXT:
                waiting = "".join(kept)  # a formula can begin with a mark, which has no text of its own to stand in
                if at > start:
                    marked.append(piece)
            elif at > start or waiting:
                put(piece.node, "".join([*kept, piece.text[at - start :]]))
                waiting = ""
        _unmark(pieces, marked)


def _first(node: LexborNode) -> LexborNode:
    """The node that the run around a node begins with."""
    while (parent := node.parent) is not None and parent.tag in INLINE:
        node = parent
    while (before := node.prev) is not None and before.tag in INLINE:
        node = before
    return node


def _indices(pieces: list[_Piece]) -> dict[int, LexborNode]:
    """The sup and sub elements of a run by the place of their opening mark."""
    places, place = {}, 0
    for piece in pieces:
        if piece.text in (SUB, SUP):
            places[place] = piece.node
        place += len(piece.text)
    return places


def _unmark(pieces: list[_Piece], marked: list[_Piece]) -> None:
    """Takes line breaks and emphasis that were part of a formula away; elements that are still open stay."""
    if not marked:
        return
    closed = {piece.node.mem_id for piece in pieces if piece.text in _CLOSING.values() and piece.node.tag != TEXT}
    for identity, node in {piece.node.mem_id: piece.node for piece in marked}.items():
        if node.tag == "br" or (identity in closed and node.child is None):
            node.decompose()
        elif identity in closed:
            node.unwrap()


def put(node: LexborNode, text: str) -> None:
    """Puts a text in the place of a node; nothing where it is empty."""
    if text:
        node.replace_with(text)
    else:
        node.decompose()

"""Mathematics of which a page holds only what a renderer drew, read back into the tree that MathML is read into.

MathJax 3 and 4 name the elements of MathML in their own (`mjx-msup`, or `data-mml-node` in SVG) and each glyph by its
code point; MathJax 2's CommonHTML does with classes. KaTeX's HTML keeps fractions, roots and scripts as stacks of
boxes; what else it draws comes out as a row of its signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborNode

from filters import mathml
from filters.mathml_tree import MAX_NESTING, Element, TooDeepError

_CODE = re.compile(r"[0-9A-Fa-f]{2,5}")  # up to the mathematical alphabets
_GLYPH = re.compile(r"(?:^|\s)mjx-c([0-9A-F]{2,6})(?:\s|$)")
_SCRIPT_FONT = re.compile(r"TEX-C|MJX-TEX-C|TEX-SC")
_TRANSLATE_Y = re.compile(r"translate\(\s*[-\d.]+[ ,]\s*(-?\d{1,9}(?:\.\d+)?)")
_TOP = re.compile(r"top:\s*(-?\d{1,9}(?:\.\d+)?)em")
_LEAVES = frozenset(["mi", "mn", "mo", "mtext", "ms"])
_NAMES = """
mrow mfrac msqrt mroot msub msup msubsup munder mover munderover mtable mtr mtd mmultiscripts menclose mspace mphantom
"""
_NODES = _LEAVES.union(_NAMES.split())
_DRAWN = frozenset(
    ["mjx-surd", "mjx-line", "mjx-nstrut", "mjx-dstrut", "mjx-tstrut", "mjx-speech", "mjx-assistive-mml"]
)
_SIGNS = {
    "mord": "mi",
    "mbin": "mo",
    "mrel": "mo",
    "mopen": "mo",
    "mclose": "mo",
    "mpunct": "mo",
    "mop": "mo",
    "minner": "mo",
}
_SKIPPED = frozenset(
    ["strut", "pstrut", "frac-line", "vlist-s", "nulldelimiter", "hide-tail", "mspace", "katex-mathml"]
)


def mathjax(node: LexborNode) -> str | None:
    """The TeX of an `mjx-container` or of an element in it; None where nothing can be read."""
    try:
        children = list(_mathjax_children(node, 0))
    except TooDeepError:
        return None
    return mathml.tex_of(Element("mrow", {}, children))


def katex(node: LexborNode) -> str | None:
    """The TeX of a `katex-html` element, as far as its boxes tell; None where nothing can be read."""
    try:
        children = list(_katex_children(node, 0))
    except TooDeepError:
        return None
    return mathml.tex_of(Element("mrow", {}, children))


def _elements(node: LexborNode) -> Iterator[LexborNode]:
    child = node.child
    while child is not None:
        if not child.is_text_node and not child.is_comment_node:
            yield child
        child = child.next


def _row(children: list[Element]) -> Element:
    return children[0] if len(children) == 1 else Element("mrow", {}, children)


# --- MathJax ----------------------------------------------------------------------------------------------------------


def _mathjax_children(node: LexborNode, depth: int) -> Iterator[Element]:
    """The elements of mathematics below a node; the boxes between them are passed through."""
    if depth > MAX_NESTING * 2:
        raise TooDeepError
    for child in _elements(node):
        tag = child.tag or ""
        attributes = child.attributes
        name = attributes.get("data-mml-node") or tag.removeprefix("mjx-")
        if name == "span":
            name = (attributes.get("class") or "").partition(" ")[0].removeprefix("mjx-")
        if tag in _DRAWN or name in ("surd", "line"):
            continue
        if name in _LEAVES:
            yield Element(name, _variant(child), [], _glyphs(child))
        elif name in _NODES:
            yield Element(name, attributes, _operands(child, name, depth + 1))
        else:
            yield from _mathjax_children(child, depth + 1)


def _operands(node: LexborNode, name: str, depth: int) -> list[Element]:
    """The children of an element in the order that MathML has them; MathJax draws what is above first."""
    children = list(_mathjax_children(node, depth))
    boxes = {box.tag for box in _elements(node)}
    if node.tag == "g":
        return _svg_operands(node, name, children)
    if name in ("msubsup", "munderover") and len(children) == 3 and "mjx-script" in boxes:
        return [children[0], children[2], children[1]]
    if name == "munderover" and len(children) == 2 and len(children[1].children) == 2:
        return [*children[1].children, children[0]]
    if (name == "mover" and "mjx-over" in boxes) or (name == "mroot" and "mjx-root" in boxes):
        children.reverse()
    return children


def _svg_operands(node: LexborNode, name: str, children: list[Element]) -> list[Element]:
    if name in ("msqrt", "mroot"):
        return [c for c in children if c.text != "√"]
    if name in ("msubsup", "munderover") and len(children) == 3:
        moves = [_TRANSLATE_Y.search(box.attributes.get("transform") or "") for box in list(_elements(node))[1:3]]
        heights = [float(move[1]) if move else 0.0 for move in moves]
        if len(heights) == 2 and heights[0] > heights[1]:
            return [children[0], children[2], children[1]]
    return children


def _variant(node: LexborNode) -> dict[str, str | None]:
    glyph = node.css_first("mjx-c")
    drawn = glyph is not None and _SCRIPT_FONT.search(glyph.attributes.get("class") or "")
    return {"mathvariant": "script"} if drawn else {}


def _glyphs(node: LexborNode) -> str:
    """The characters of a leaf, which stand in classes (`mjx-c2B`), in `data-c`, or as text."""
    found: list[str] = []
    for child in node.traverse(include_text=True):
        if child.is_text_node:
            found.append(child.text_content or "")
            continue
        attributes = child.attributes
        code = attributes.get("data-c")
        if code is None and (match := _GLYPH.search(attributes.get("class") or "")):
            code = match[1]
        if code and _CODE.fullmatch(code) and (character := chr(int(code, 16))).isprintable():
            found.append(character)
    return "".join(found).strip()


# --- KaTeX ------------------------------------------------------------------------------------------------------------


def _katex_children(node: LexborNode, depth: int) -> Iterator[Element]:
    if depth > MAX_NESTING * 2:
        raise TooDeepError
    pending: list[Element] = []
    for child in _elements(node):
        classes = (child.attributes.get("class") or "").split()
        if _SKIPPED.intersection(classes):
            continue
        if "msupsub" in classes:
            base = pending.pop() if pending else Element("mrow", {}, [])
            pending.append(_scripts(child, base, depth))
            continue
        yield from pending
        pending = list(_katex_element(child, classes, depth + 1))
    yield from pending


def _katex_element(node: LexborNode, classes: list[str], depth: int) -> Iterator[Element]:
    if "mfrac" in classes:
        parts = [_row(part) for _, part in _stack(node, depth) if part]
        yield Element("mfrac", {}, parts[::-1]) if len(parts) == 2 else _row(parts)
    elif "sqrt" in classes:
        yield Element("msqrt", {}, [e for _, part in _stack(node, depth) for e in part])
    elif "op-limits" in classes:
        yield _limits(node, depth)
    elif next(_elements(node), None) is None:
        if text := (node.text(deep=True) or "").strip("\u200b \n"):
            yield Element(_leaf(classes, text), {}, [], text)
    elif "vlist-t" in classes:
        for _, part in _stack(node, depth):
            yield from part
    else:
        yield from _katex_children(node, depth)


def _leaf(classes: list[str], text: str) -> str:
    if "text" in classes:
        return "mtext"
    return "mn" if text.isdigit() else next((_SIGNS[c] for c in classes if c in _SIGNS), "mi")


def _stack(node: LexborNode, depth: int) -> Iterator[tuple[float, list[Element]]]:
    """(height in em, growing downwards; its elements) of each box of the first stack below a node, as they stand."""
    vlist = node.css_first(".vlist")
    for box in _elements(vlist) if vlist is not None else ():
        top = _TOP.search(box.attributes.get("style") or "")
        yield float(top[1]) if top else 0.0, list(_katex_children(box, depth + 1))


def _scripts(node: LexborNode, base: Element, depth: int) -> Element:
    boxes = [_row(part) for _, part in _stack(node, depth) if part]
    if len(boxes) == 2:
        return Element("msubsup", {}, [base, *boxes])
    below = node.css_first(".vlist-t2") is not None
    return Element("msub" if below else "msup", {}, [base, *boxes])


def _limits(node: LexborNode, depth: int) -> Element:
    boxes = sorted((height, number, _row(part)) for number, (height, part) in enumerate(_stack(node, depth)) if part)
    parts = [part for _, _, part in boxes]
    if len(parts) == 3:
        return Element("munderover", {}, [parts[1], parts[2], parts[0]])
    if len(parts) == 2:
        lower = node.css_first(".vlist-t2") is not None
        return Element("munder", {}, parts) if lower else Element("mover", {}, parts[::-1])
    return _row(parts)

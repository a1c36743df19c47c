"""The text of a `pre` element in one piece: a third of a page's nodes are the spans of its highlighted code."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborNode

_TEXT = "-text"
_LINES = frozenset(("tr", "li", "div"))  # elements that hold one line of code
_NO_CODE = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "blockquote", "dl", "form"))
_IGNORED = frozenset(("-comment", "script", "style", "button", "template", "svg", "select", "textarea"))
_NUMBERS = re.compile(
    r"\b(?:gutter|line-?nos?|linenumbers?|line-numbers?|lnt|ln|ln-num|hljs-ln-numbers|blob-num|pre-numbering)\b", re.I
)


def code_text(pre: LexborNode) -> str | None:
    """Lines of code without line numbers, tabs widened; None where the element holds paragraphs, and so no code."""
    parts: list[str] = []
    above: list[LexborNode] = []
    node = pre.child
    while node is not None:
        tag = node.tag or ""
        if tag == _TEXT:
            parts.append(node.text_content or "")
        elif tag == "br":
            parts.append("\n")
        elif tag in _NO_CODE:
            return None
        elif tag not in _IGNORED and (child := node.child) is not None and not _numbers(node, child):
            if tag in _LINES and parts and not parts[-1].endswith("\n"):
                parts.append("\n")
            above.append(node)
            node = child
            continue
        node = node.next
        while node is None and above:
            node = above.pop().next
    text = "".join(parts).replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ").expandtabs(4)
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _numbers(node: LexborNode, child: LexborNode) -> bool:
    """Whether an element is a line number or a column of them."""
    if node.tag == "ul" or (child.tag == _TEXT and child.next is None and (child.text_content or "").strip().isdigit()):
        return _NUMBERS.search(node.attributes.get("class") or "") is not None
    return False

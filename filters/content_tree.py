"""A page's tree as flat lists, written once: what main content and Markdown walk instead of the DOM.

Node i's subtree is i .. ends[i]-1, in document order, so "jump over it" is an assignment and sums over subtrees are one
loop from the last node to the first. Through the DOM's objects each of these would be a call into another language.
"""

from __future__ import annotations

from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser, LexborNode

from filters.content_code import code_text

TEXT = "-text"


def words(text: str) -> frozenset[str]:
    """The words of a string, as a set."""
    return frozenset(text.split())


# never text of the page; formulas that stood in one of them have been replaced before
_SKIPPED = words(
    "-comment script style noscript template head svg iframe object embed applet canvas video audio source track map "
    "area select option datalist input textarea link meta base param frameset dialog progress meter math"
)
# elements inside a line, and text itself
INLINE = words(
    "a abbr acronym b bdi bdo big br cite code data del dfn em font i img ins kbd label mark nobr q rb rp rt ruby s "
    "samp small span strike strong sub sup time tt u var wbr d-math -text d-cite d-footnote summary-text"
)
_NO_BLANKS = words("html body table thead tbody tfoot tr ul ol dl colgroup")  # blanks mean nothing in them
_NONE: dict[str, str | None] = {}


@dataclass(slots=True)
class Outline:
    """Parallel lists over the nodes in document order; node 0 is the root.

    tags: "-text" for text; texts: the characters of a text node, "" for elements; parents: index, -1 for the root;
    ends: index behind the last node of the subtree; attributes: of an element, empty for text.
    """

    tags: list[str]
    texts: list[str]
    parents: list[int]
    ends: list[int]
    attributes: list[dict[str, str | None]]

    def children(self, node: int) -> list[int]:
        """The nodes right below a node."""
        found, at = [], node + 1
        while at < self.ends[node]:
            found.append(at)
            at = self.ends[at]
        return found

    def text(self, node: int) -> str:
        """All characters below a node."""
        return "".join(self.texts[node : self.ends[node]])

    def tokens(self, node: int) -> str:
        """Class and id of an element, in one string."""
        attributes = self.attributes[node]
        return f"{attributes.get('class') or ''} {attributes.get('id') or ''}" if attributes else ""


def flatten(tree: LexborHTMLParser) -> Outline:
    """The tree without scripts, styles, controls and comments, and each `pre` of code with one text in it.

    A loop and no recursion: pages nest deeper than Python.
    """
    out = Outline([], [], [], [], [])
    tags, texts, parents, ends, attributes = out.tags, out.texts, out.parents, out.ends, out.attributes
    node, open_nodes = tree.root, list[tuple[LexborNode, int]]()
    # before: tag of the sibling before; blanks behind what starts a line of its own mean nothing
    parent, size, before = -1, 0, ""
    while node is not None:
        tag = node.tag or ""
        if tag == TEXT:
            text = node.text_content or ""
            if not text.isspace() or (before in INLINE and tags[parent] not in _NO_BLANKS):
                size += 1
                tags.append(TEXT)
                texts.append(text)
                parents.append(parent)
                ends.append(size)
                attributes.append(_NONE)
                before = TEXT
        elif tag not in _SKIPPED:
            index = size
            size += 1
            tags.append(tag)
            texts.append("")
            parents.append(parent)
            ends.append(size)
            attributes.append(node.attributes)
            child = node.child
            if tag == "pre" and (code := code_text(node)) is not None:
                size = _add_code(out, node, code)
            elif child is not None:
                open_nodes.append((node, index))
                parent = index
                node = child
                before = "b" if tag in INLINE else ""
                continue
            before = tag
        node = node.next
        while node is None and open_nodes:
            closed, index = open_nodes.pop()
            ends[index], before, parent, node = size, tags[index], parents[index], closed.next
    return out


def _add_code(out: Outline, pre: LexborNode, code: str) -> int:
    """Puts the text below a `pre`, in a `code` where that stands, since it knows the language; returns the size."""
    index = len(out.tags) - 1
    inner = pre.css_first("code")
    rows = [("code", "", index, inner.attributes)] if inner is not None else []
    rows.append((TEXT, code, index + len(rows), _NONE))
    size = index + 1 + len(rows)
    for tag, text, parent, attributes in rows:
        out.tags.append(tag)
        out.texts.append(text)
        out.parents.append(parent)
        out.ends.append(size)
        out.attributes.append(attributes)
    out.ends[index] = size
    return size

"""The places of a line of JSON that `filters.json_fields` reads, as a tree in arrays: what a kernel can walk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.words import read_only

_U8 = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]
Path = Sequence[str | None]  # keys, and None for every element of a list

# What stands at a place: NOTHING is looked for there, TEXT is taken, FORBIDDEN hands the line back.
NOTHING, OBJECT, LIST, TEXT, FORBIDDEN = range(5)
ROOT = 1
_MAX_NODES = 63  # a bit for each


class Places(NamedTuple):
    """The places to read as a tree of C nodes; node 1 is the line's object, 0 is anywhere else.

    tree : int64[8, C], a row for each name below. keys : uint8[K], where each node has its key.
    """

    tree: _I64
    keys: _U8


# Rows of Places.tree: what stands at a node; its children are the nodes FIRST to LAST - 1; its key is keys[BEGIN:END];
# bits of the children without which the line is handed back; whether it is below a list; the path that ends here.
KIND, FIRST, LAST, BEGIN, END, REQUIRED, LISTED, FIELD = range(8)


def make_places(wanted: Sequence[Path], optional: Sequence[Path] = (), forbidden: Sequence[str] = ()) -> Places | None:
    """The tree of the paths to read; None where it cannot be one (a path goes on where another ends, two lists).

    Handed back are lines without a path of `wanted` (but what is below a list), and those with a key of `forbidden`.
    """
    nodes: list[_Node] = [_Node(NOTHING, b"", False), _Node(OBJECT, b"", False)]
    for number, path in enumerate([*wanted, *optional]):
        if path.count(None) > 1 or not path or path[0] is None:
            return None
        here = nodes[ROOT]
        for depth, step in enumerate(path):
            after = path[depth + 1] if depth + 1 < len(path) else path
            kind = TEXT if after is path else LIST if after is None else OBJECT
            here = here.child(nodes, step, kind, needed=number < len(wanted))
            if here.kind != kind or (kind == TEXT and here.field >= 0):
                return None
        here.field = number
    for key in forbidden:
        if nodes[ROOT].child(nodes, key, FORBIDDEN, needed=False).kind != FORBIDDEN:
            return None
    return _laid_out(nodes) if len(nodes) <= _MAX_NODES else None


class _Node:
    """A place while the tree grows."""

    def __init__(self, kind: int, key: bytes, listed: bool) -> None:
        self.kind, self.key, self.listed = kind, key, listed
        self.field = -1
        self.needed = False
        self.children: list[_Node] = []

    def child(self, nodes: list[_Node], step: str | None, kind: int, *, needed: bool) -> _Node:
        """The child of that key, a new one if there is none."""
        key = b"" if step is None else step.encode("utf-8", "surrogatepass")
        found = next((c for c in self.children if c.key == key), None)
        if found is None:
            found = _Node(kind, key, self.listed or step is None)
            self.children.append(found)
            nodes.append(found)
        found.needed |= needed and not found.listed
        return found


def _laid_out(nodes: list[_Node]) -> Places:
    """The tree as arrays, the children of a node beside each other."""
    ordered = nodes[: ROOT + 1]
    for node in ordered:  # grows: breadth first
        ordered += node.children
    number = {id(node): n for n, node in enumerate(ordered)}
    first = [number[id(n.children[0])] if n.children else 0 for n in ordered]
    ends = np.cumsum([len(n.key) for n in ordered])
    rows = (
        [n.kind for n in ordered],
        first,
        [f + len(n.children) for f, n in zip(first, ordered, strict=True)],
        ends - [len(n.key) for n in ordered],
        ends,
        [sum(1 << number[id(c)] for c in n.children if c.needed) for n in ordered],
        [n.listed for n in ordered],
        [n.field for n in ordered],
    )
    keys = np.frombuffer(
        b"".join(n.key for n in ordered) + b" ", np.uint8
    )  # one spare: an array of none has no address
    return Places(read_only(np.array(rows, np.int64)), read_only(keys))

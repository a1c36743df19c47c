"""Strings at some places of JSON lines, read from bytes to bytes: no object is made for a line, a key or a text.

`read_lines` takes the lines that it is sure of and hands back the others, which a parser then reads: a missing or
doubled field, a text that is none, lone surrogates, bytes that are not UTF-8, a number of hundreds of digits, deep
nesting, whatever is no JSON. A line that it takes is checked whole, since what a parser refuses must not be read here:
every value by the grammar of RFC 8259, every byte of it UTF-8. (A number beyond a double is one by that grammar, and to
Python's parser, though orjson refuses it.) 64 bytes of a string are looked at and copied at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.byte_masks import BLOCK, first_wrong
from filters.json_places import (
    BEGIN,
    END,
    FIELD,
    FIRST,
    FORBIDDEN,
    KIND,
    LAST,
    LIST,
    LISTED,
    NOTHING,
    OBJECT,
    REQUIRED,
    ROOT,
    TEXT,
    Places,
)
from filters.json_values import (
    CLOSE,
    CLOSE_LIST,
    COLON,
    COMMA,
    NEWLINE,
    OPEN,
    OPEN_LIST,
    QUOTE,
    is_space,
    line_end,
    skip_scalar,
    skip_space,
    skip_string,
    take_string,
)
from filters.words import Int, inline, jit

SPARE_BYTES = 2 * BLOCK  # behind a block that is read, and behind the texts that are written
MAX_DEPTH = 63  # of objects and lists in each other; deeper lines are handed back

_U8 = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]

_VALUE, _KEY, _AFTER = range(3)  # what comes next in a line


class Room(NamedTuple):
    """What `read_lines` fills. N texts, D lines handed back.

    texts : uint8[at least as many bytes as are read, and SPARE_BYTES]; offsets : int64[N + 1] where each is in it.
    records : int64[N, 5] of each text its line, where that begins and ends, its path, the element of a list or -1.
    others : int64[D, 3] of each line handed back its number, where it begins and ends.
    """

    texts: _U8
    offsets: _I64
    records: _I64
    others: _I64


class Read(NamedTuple):
    """How far `read_lines` came: the next byte, lines, lines that are not blank, texts, their bytes, others."""

    at: int
    lines: int
    rows: int
    texts: int
    bytes: int
    others: int


def make_room(texts: int, lines: int, size: int) -> Room:
    """Room for so many texts and lines handed back of a block of `size` bytes."""
    return Room(
        np.empty(size + SPARE_BYTES, np.uint8),
        np.zeros(texts + 1, np.int64),
        np.empty((texts, 5), np.int64),
        np.empty((lines, 3), np.int64),
    )


@inline
def _child(data: _U8, begin: Int, end: Int, node: Int, tree: _I64, keys: _U8) -> Int:
    """The child of a node whose key is data[begin:end]; 0 if none is."""
    for child in range(tree[FIRST, node], tree[LAST, node]):
        key = tree[BEGIN, child]
        if tree[END, child] - key == end - begin:
            same = True
            for step in range(end - begin):
                same &= data[begin + step] == keys[key + step]
            if same:
                return child
    return np.int64(NOTHING)


@inline
def _read_key(  # noqa: PLR0913, PLR0917 - numba takes arrays and scalars, by position
    data: _U8, at: Int, tree: _I64, keys: _U8, nodes: _I64, seen: _I64, depth: Int, texts: _U8, put: Int
) -> tuple[Int, Int]:
    """(at, node) of the value whose key is at data[at]; at = -1 where the line is to be handed back."""
    node = np.int64(NOTHING)
    if data[at] != QUOTE:
        return np.int64(-1), node
    end, plain = skip_string(data, at + 1, texts, put)
    if end < 0:
        return end, node
    if nodes[depth] != NOTHING:
        if not plain:
            return np.int64(-1), node
        node = _child(data, at + 1, end - 1, nodes[depth], tree, keys)
        if node != NOTHING:
            if tree[KIND, node] == FORBIDDEN or (seen[depth] >> node) & 1:
                return np.int64(-1), node
            seen[depth] |= np.int64(1) << node
    at = skip_space(data, end)
    return at + 1 if data[at] == COLON else np.int64(-1), node


@inline
def _read_plain(data: _U8, at: Int, node: Int, tree: _I64, texts: _U8, put: Int) -> Int:
    """Where the value at data[at] ends that is no text to take, no object and no list; -1 to hand the line back."""
    byte = data[at]
    kind = tree[KIND, node]
    if kind != NOTHING and (kind != TEXT or byte != 0x6E or tree[LISTED, node] == 0):  # null in a list is no text
        return np.int64(-1)
    if byte == QUOTE:
        return skip_string(data, at + 1, texts, put)[0]
    return skip_scalar(data, at)


@inline
def _read_line(  # noqa: PLR0913, PLR0917 - one loop, or each step would be a call
    data: _U8,
    at: Int,
    tree: _I64,
    keys: _U8,
    texts: _U8,
    offsets: _I64,
    records: _I64,
    stack: _I64,
    count: Int,
    put: Int,
) -> tuple[Int, Int, Int]:
    """(at, count, put) after the object at data[at]; at = -1 where the line is to be handed back."""
    nodes, seen = stack[0], stack[1]
    lists, depth, element = np.uint64(0), np.int64(0), np.int64(0)
    node, state = np.int64(ROOT), _VALUE
    while True:
        at = skip_space(data, at)
        byte = data[at]
        if state == _KEY:
            at, node = _read_key(data, at, tree, keys, nodes, seen, depth, texts, put)
            state = _VALUE
        elif state == _AFTER:
            in_list = (lists >> np.uint64(depth)) & np.uint64(1) != 0
            at += 1
            if byte == COMMA:
                state = _VALUE if in_list else _KEY
                node = tree[FIRST, nodes[depth]]
                element += tree[KIND, nodes[depth]] == LIST
            elif byte != (CLOSE_LIST if in_list else CLOSE) or tree[REQUIRED, nodes[depth]] & ~seen[depth]:
                return np.int64(-1), count, put
            else:
                depth -= 1
                if depth == 0:
                    return at, count, put
        elif byte in (OPEN, OPEN_LIST):
            kind = tree[KIND, node]
            if depth == MAX_DEPTH or kind not in (NOTHING, OBJECT if byte == OPEN else LIST):
                return np.int64(-1), count, put
            depth += 1
            nodes[depth], seen[depth] = node, 0
            lists &= ~(np.uint64(1) << np.uint64(depth))
            lists |= np.uint64(byte == OPEN_LIST) << np.uint64(depth)
            element = np.int64(0) if kind == LIST else element
            at = skip_space(data, at + 1)
            state = _AFTER if data[at] == byte + 2 else _KEY if byte == OPEN else _VALUE
            node = tree[FIRST, node]
        elif byte == QUOTE and tree[KIND, node] == TEXT and count < records.shape[0]:
            at, put = take_string(data, at + 1, texts, put)
            offsets[count + 1] = put
            records[count, 3], records[count, 4] = tree[FIELD, node], element if tree[LISTED, node] else -1
            count += 1
            state = _AFTER
        else:
            at = _read_plain(data, at, node, tree, texts, put)
            state = _AFTER
        if at < 0:
            return at, count, put


@jit
def _read_lines(  # noqa: PLR0913, PLR0917 - a tuple of arrays takes a caller longer than a block of lines
    data: _U8, at: Int, end: Int, tree: _I64, keys: _U8, texts: _U8, offsets: _I64, records: _I64, others: _I64
) -> tuple[Int, Int, Int, Int, Int, Int]:
    """What `read_lines` says."""
    stack = np.zeros((2, MAX_DEPTH + 1), np.int64)
    line, rows, count, put, given = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    wrong = first_wrong(data, at, end)
    while at < end and count < records.shape[0] and given < others.shape[0]:
        begin, found, size = at, count, put
        at = skip_space(data, at)
        blank = at
        while data[blank] in (0x0B, 0x0C) or is_space(data[blank]):  # space to Python, and none to JSON
            blank += 1
        if data[blank] == NEWLINE:
            at, line = blank + 1, line + 1
            continue
        after, found, size = _read_line(data, at, tree, keys, texts, offsets, records, stack, count, put)
        if after >= 0:
            after = skip_space(data, after)
        if after < 0 or data[after] != NEWLINE or wrong <= after:
            if found == records.shape[0] and count > 0:  # it may have more texts than there is room for
                at = begin
                break
            at = line_end(data, at)
            others[given] = line, begin, at
            given += 1
            if wrong < at:
                wrong = first_wrong(data, at, end)
        else:
            at = after + 1
            for text in range(count, found):
                records[text, 0], records[text, 1], records[text, 2] = line, begin, at
            count, put = found, size
        line, rows = line + 1, rows + 1
    return at, line, rows, count, put, given


def read_lines(data: _U8, at: int, end: int, places: Places, room: Room) -> Read:
    """The texts of the lines from data[at] on, up to data[end - 1], the end of a line, or until there is no room.

    data : uint8[at least end + SPARE_BYTES], writable so that one kernel is compiled. O(end - at) time, 3 GB/s where
    the texts are long. The slow twin is tests/naive_json.py.
    """
    return Read(*_read_lines(data, at, end, places.tree, places.keys, *room))

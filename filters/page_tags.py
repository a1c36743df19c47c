"""Tags of a page, walked by a kernel for `filters.page_scan`: names and attributes are looked at where they stand.

What is looked for is held in two tables without collisions: names of elements by their last 8 bytes, and four bytes of
an attribute at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.words import Int, Word, inline, is_ascii_letter, leaf, load64

_U8 = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]

# places in what `filters.page_scan` counts
CARRIERS, DELIMITERS, SYMBOLS = 0, 1, 2
PLACES = 3
_SLOTS = 256  # of each table
_CARRIER, _RAW, _QUIET, _IMAGE = (1 << bit for bit in range(4))
_FORMULAS = "math mml:math m:math d-math dt-math mjx-container math-renderer tex-math"
_PLAIN = "html body form a link meta input option"  # whose attributes speak of the site, not of a formula
_ELEMENTS = {
    **dict.fromkeys(_FORMULAS.split(), _CARRIER),
    **dict.fromkeys(_PLAIN.split(), _QUIET),
    **dict.fromkeys(("script", "style"), _RAW | _QUIET),
    "img": _IMAGE,
}
# four bytes of an attribute, and the byte that has to follow, if any
_NEEDLES = {
    "kate": "x", "math": "", "hmat": "e", "late": "x", "tex=": "", "tex2": "", "t=tx": "", "mjx-": "", "ltx_": "",
    "imet": "e", "altt": "e", "cogs": "", "ormu": "l", "iima": "t", "equa": "t",
}  # fmt: skip


def _pack(name: str) -> int:
    """The last 8 bytes of a lower-case name as one number."""
    return int.from_bytes(name.encode()[-8:], "big")


def _fold(needle: str) -> int:
    """Four bytes as one number, each with the bit set that lower-case letters have."""
    return int.from_bytes(bytes(byte | 0x20 for byte in needle.encode()), "little")


def _places(keys: list[int]) -> tuple[np.uint64, list[int]]:
    """(multiplier, slot of each key) with no slot twice; a slot is the highest byte of the product modulo 2**64."""
    multiplier = 0x9E3779B97F4A7C15
    while True:
        places = [(key * multiplier % 2**64) >> 56 for key in keys]
        if len(set(places)) == len(keys):
            return np.uint64(multiplier), places
        multiplier = (multiplier * 0xD1342543DE82EF95 + 2) % 2**64 | 1


_NAME_FACTOR, _taken = _places([_pack(name) for name in _ELEMENTS])
_NAMES, _KINDS = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.int64)
_NAMES[_taken], _KINDS[_taken] = [_pack(name) for name in _ELEMENTS], list(_ELEMENTS.values())
_NEEDLE_FACTOR, _taken = _places([_fold(needle) for needle in _NEEDLES])
_NEEDLE, _NEXT = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint8)
_NEEDLE[_taken], _NEXT[_taken] = [_fold(needle) for needle in _NEEDLES], [ord(c or "\0") for c in _NEEDLES.values()]
_IN_NAMES = np.zeros(256, np.bool_)
_IN_NAMES[[*range(ord("0"), ord(":") + 1), *range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]] = True
_IN_NAMES[[ord("-"), ord("_")]] = True
_BLANKS = np.zeros(256, np.bool_)
_BLANKS[[*b"\t\n\f\r "]] = True
_SHIFT = np.uint64(56)
_MATH = np.uint64(_fold("math"))
_BYTE, _FOUR, _LOWER_CASE = np.uint64(8), np.uint64(0xFFFFFFFF), np.uint64(0x20202020)

_GREATER, _SLASH, _EXCLAMATION, _QUESTION, _DASH, _EQUALS = (ord(sign) for sign in ">/!?-=")
_BELOW, _BACKSLASH, _DOLLAR, _QUOTE, _APOSTROPHE = (ord(sign) for sign in "<\\$\"'")
_E, _S = ord("e"), ord("s")
_MATH_SLASH = _SLASH | 0x20


@inline
def walk_tag(data: _U8, at: Int, stop: Int, counts: _I64) -> Int:
    """Where to go on behind the tag, comment or declaration at data[at], a "<"; counts what is in it."""
    first = data[at + 1]
    if first in (_EXCLAMATION, _QUESTION):
        return _behind_declaration(data, at, stop)
    closing = first == _SLASH
    begin = at + 1 + closing
    if not is_ascii_letter(data[begin]):
        return at + 1
    name, end = _name(data, begin)
    slot = np.int64((name * _NAME_FACTOR) >> _SHIFT)
    kind = _KINDS[slot] if _NAMES[slot] == name else 0
    attributes = end
    if data[end] == _GREATER:  # most tags
        end += 1
    else:
        end = _tag_end(data, end, stop)
    if closing:
        return end
    looked_at = (kind & _QUIET) == 0 or (kind & _RAW) != 0
    if kind & _CARRIER or (looked_at and _speaks_of_mathematics(data, attributes, end - 1, kind)):
        counts[CARRIERS] += 1
    return _behind_raw(data, end, stop, name) if kind & _RAW else end


@inline
def _name(data: _U8, at: Int) -> tuple[Word, Int]:
    """(last 8 bytes of the name at data[at], where it ends)."""
    name = np.uint64(0)
    while _IN_NAMES[data[at]]:
        name = (name << _BYTE) | np.uint64(data[at] | 0x20)
        at += 1
    return name, at


@inline
def _tag_end(data: _U8, at: Int, stop: Int) -> Int:
    """Where the tag ends whose attributes begin at data[at], read as browsers do."""
    while at < stop and data[at] != _GREATER:
        if _BLANKS[data[at]] or data[at] == _SLASH:
            at += 1
            continue
        at += 1  # a name may begin with "="
        while at < stop and not (_BLANKS[data[at]] or data[at] in (_SLASH, _GREATER, _EQUALS)):
            at += 1
        at = _behind_blanks(data, at, stop)
        if data[at] == _EQUALS:
            at = _value_end(data, _behind_blanks(data, at + 1, stop), stop)
    return min(at, stop) + 1


@inline
def _behind_blanks(data: _U8, at: Int, stop: Int) -> Int:
    while at < stop and _BLANKS[data[at]]:
        at += 1
    return at


@inline
def _value_end(data: _U8, at: Int, stop: Int) -> Int:
    """Where the value of an attribute at data[at] ends, quoted or not."""
    quote = data[at]
    if quote in (_QUOTE, _APOSTROPHE):
        at += 1
        while at < stop and data[at] != quote:
            at += 1
        return at + 1
    while at < stop and not _BLANKS[data[at]] and data[at] != _GREATER:
        at += 1
    return at


@inline
def _speaks_of_mathematics(data: _U8, begin: Int, end: Int, kind: Int) -> bool:
    """Whether the attributes in data[begin:end] do."""
    for at in range(begin, end - 3):
        window = (load64(data, at) & _FOUR) | _LOWER_CASE
        slot = np.int64((window * _NEEDLE_FACTOR) >> _SHIFT)
        if _NEEDLE[slot] == window and _fits(data, at, slot, window, kind):
            return True
        # TeX in the alternative text of an image
        if kind & _IMAGE and data[at] in (_DOLLAR, _BACKSLASH):
            return True
    return False


@inline
def _fits(data: _U8, at: Int, slot: Int, window: Word, kind: Int) -> bool:
    """Whether what stands around the four bytes at data[at] is right, too."""
    before, after = data[at - 1], data[at + 4] | 0x20
    if kind & _RAW:  # the type of a script; addresses of scripts tell what a page could show, not what it does
        return bool(window == _MATH and after == _MATH_SLASH and before in (_QUOTE, _APOSTROPHE, _EQUALS))
    if window == _MATH:
        return not (is_ascii_letter(before) or after in (_E, _S))  # "mathematics", "maths"
    return bool(_NEXT[slot] == 0 or _NEXT[slot] == after)


@inline
def _behind_declaration(data: _U8, at: Int, stop: Int) -> Int:
    """Where a comment, doctype or processing instruction at data[at] ends; --!> ends a comment, too."""
    comment = data[at + 1] == _EXCLAMATION and data[at + 2] == _DASH and data[at + 3] == _DASH
    at += 4 if comment else 2
    while at < stop:
        if data[at] == _GREATER:
            back = at - (data[at - 1] == _EXCLAMATION)
            if not comment or (data[back - 1] == _DASH and data[back - 2] == _DASH):
                return at + 1
        at += 1
    return stop


@leaf
def _behind_raw(data: _U8, at: Int, stop: Int, name: Word) -> Int:
    """Where the end tag of a script or style begins whose content begins at data[at]; `stop` where there is none."""
    while at < stop:
        if data[at] == _BELOW and data[at + 1] == _SLASH and is_ascii_letter(data[at + 2]):
            found, _ = _name(data, at + 2)
            if found == name:
                return at
        at += 1
    return stop

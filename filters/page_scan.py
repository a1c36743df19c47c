"""One pass over the bytes of a page: its text, crudely, and what in it looks like a formula.

Tags are walked, not parsed, and scripts, styles and comments are jumped over, so that it costs a hundredth of what a
parser does. What comes out is a guess, for `filters.first_pass`; the slow twin is tests/naive_page_scan.py.

Trap: numba compiles a cached kernel again when its own file changes, not when `filters.page_tags` does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.page_tags import CARRIERS, DELIMITERS, PLACES, SYMBOLS, walk_tag
from filters.words import Int, inline, is_ascii_letter, jit

_U8 = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]

_SPARE = bytes(16)  # behind a page, so that no look ahead leaves the buffer
_LOOK_AHEAD = 120  # bytes of the longest formula between single dollars that is looked for
_REFERENCE_BYTES = (
    12  # of the longest character reference that is looked for, &CounterClockwiseContourIntegral; is rare
)

_TAG, _REFERENCE, _COMMAND, _PAIR, _WIDE = range(1, 6)  # what a byte of text may begin
_STARTS = np.zeros(256, np.uint8)
_STARTS[[ord("<"), ord("&"), ord("\\"), ord("$"), ord("`")]] = _TAG, _REFERENCE, _COMMAND, _PAIR, _PAIR
_STARTS[[0xC2, 0xC3, 0xE2, 0xF0]] = _WIDE

_BACKSLASH, _DOLLAR, _CARET, _UNDERSCORE, _LINE, _BELOW, _BLANK = (ord(sign) for sign in "\\$^_\n< ")
_ROUND, _SQUARE, _BRACE, _HASH, _X, _SEMICOLON, _ZERO, _NINE = (ord(sign) for sign in "([{#x;09")
_BEGIN = np.frombuffer(b"\\begin{", np.uint8)


class PageScan(NamedTuple):
    """What a page shows without being parsed."""

    text: bytes  # without tags, scripts, styles, comments and character references
    carriers: int  # elements that hold a formula by their name, class, source or other attribute
    delimiters: int  # \\( \\[ $$ \\begin{ in text, $x$, and $...$ or `...` around something that looks like TeX
    symbols: int  # mathematical characters in text, and references to them by number


def scan_page(page: bytes) -> PageScan:
    """The scan of a page, UTF-8 or any bytes."""
    text, counts = _scan(np.frombuffer(page + _SPARE, np.uint8), len(page))
    return PageScan(text.tobytes(), int(counts[CARRIERS]), int(counts[DELIMITERS]), int(counts[SYMBOLS]))


@jit
def _scan(data: _U8, stop: Int) -> tuple[_U8, _I64]:
    """(text, counts) of data[:stop]."""
    counts = np.zeros(PLACES, np.int64)
    text = np.empty(stop + len(_SPARE), np.uint8)
    at = size = 0
    while at < stop:
        start = _STARTS[data[at]]
        end = at + 1
        if start == _TAG:
            end = walk_tag(data, at, stop, counts)
        elif start == _REFERENCE:
            end = _behind_reference(data, at, stop, counts)
        elif start:
            end = _behind_sign(data, at, stop, start, counts)
        if end > at + 1 and start <= _REFERENCE:
            text[size] = _BLANK
            size, at = size + 1, end
        while at < min(end, stop):
            text[size] = data[at]
            size, at = size + 1, at + 1
    return text[:size], counts


@inline
def _behind_reference(data: _U8, at: Int, stop: Int, counts: _I64) -> Int:
    """Where the character reference at data[at], a "&", ends; at + 1 if it is none. Counts one to a symbol."""
    end = at + 1 + (data[at + 1] == _HASH)
    while end < stop and end < at + _REFERENCE_BYTES and (is_ascii_letter(data[end]) or _ZERO <= data[end] <= _NINE):
        end += 1
    if data[end] != _SEMICOLON:
        return at + 1
    if data[at + 1] == _HASH:
        counts[SYMBOLS] += _is_code_of_symbol(data, at + 2, end)
    return end + 1


@inline
def _is_code_of_symbol(data: _U8, at: Int, end: Int) -> bool:
    """Whether the number in data[at:end], after an "x" in base 16, is that of a mathematical character."""
    base = 16 if data[at] | 0x20 == _X else 10
    code = np.int64(0)
    for place in range(at + (base == 16), end):
        byte = data[place] | 0x20
        digit = np.int64(byte) - (0x57 if byte > _NINE else 0x30)
        if digit >= base:
            return False
        code = code * base + digit
    return bool(0x2200 <= code <= 0x22FF or 0x2A00 <= code <= 0x2AFF or 0x1D400 <= code <= 0x1D7FF)


@inline
def _behind_sign(data: _U8, at: Int, stop: Int, start: Int, counts: _I64) -> Int:
    """Counts what a sign may begin; where to go on."""
    if start == _WIDE:
        counts[SYMBOLS] += _is_symbol(data, at)
    elif start == _COMMAND:
        if data[at + 1] in (_ROUND, _SQUARE):
            counts[DELIMITERS] += 1
            return at + 2
        counts[DELIMITERS] += _begins(data, at)
    elif data[at] == _DOLLAR and data[at + 1] == _DOLLAR:
        counts[DELIMITERS] += 1
        return at + 2
    else:
        counts[DELIMITERS] += _is_pair(data, at, stop)
    return at + 1


@inline
def _begins(data: _U8, at: Int) -> bool:
    """Whether \\begin{ stands at data[at]."""
    same = 0
    while same < _BEGIN.size and data[at + same] == _BEGIN[same]:
        same += 1
    return bool(same == _BEGIN.size)


@inline
def _is_pair(data: _U8, at: Int, stop: Int) -> bool:
    """Whether the sign at data[at] stands again soon in its line, with TeX between, or one letter between dollars."""
    tex = data[at] == _DOLLAR and data[at + 2] == _DOLLAR and is_ascii_letter(data[at + 1])
    for place in range(at + 1, min(stop, at + _LOOK_AHEAD)):
        byte = data[place]
        if byte == data[at]:
            return tex
        if byte in (_LINE, _BELOW):
            return False
        tex |= byte in (_BACKSLASH, _CARET, _UNDERSCORE, _BRACE)
    return False


@inline
def _is_symbol(data: _U8, at: Int) -> bool:
    """Whether a mathematical character stands at data[at]: U+22xx, U+2Axx, U+1D400 to U+1D7FF, or one of ± ² ³ × ÷."""
    first, second = data[at], data[at + 1]
    if first == 0xE2:
        return bool(0x88 <= second <= 0x8B or 0xA8 <= second <= 0xAB)
    if first == 0xF0:
        return bool(second == 0x9D and 0x90 <= data[at + 2] <= 0x9F)
    return bool(second in (0xB1, 0xB2, 0xB3) if first == 0xC2 else second in (0x97, 0xB7))

"""One pass over the bytes of a page: what in it looks like mathematics.

Tags are walked, not parsed, scripts, styles and comments are jumped over, and the words between tags are weighed as
they go by, so that no text is written and nothing is read twice. What it finds is a guess, for `filters.first_pass`;
the slow twin is tests/naive_page_scan.py.

Trap: numba compiles a cached kernel again when its own file changes, not when `filters.page_tags` does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.page_tags import COMMANDS, DELIMITERS, PLACES, SYMBOLS, WEIGHT, WORDS, walk_tag
from filters.words import (
    LOWER_CASE,
    Int,
    Word,
    inline,
    is_ascii_letter,
    jit,
    letters,
    load64,
    lowest,
    read_only,
    run_length,
)

_U8 = npt.NDArray[np.uint8]
_I16 = npt.NDArray[np.int16]
_I64 = npt.NDArray[np.int64]

WORD_BITS = 12
WORD_SLOTS = 1 << WORD_BITS  # of the table of weights
_SPARE = bytes(16)  # behind a page, so that no look ahead leaves the buffer
_LOOK_AHEAD = 120  # bytes of the longest formula between single dollars that is looked for

_LETTER, _HAN, _TAG, _NUMBER, _OPERATOR, _COMMAND, _PAIR, _REFERENCE, _WIDE = range(1, 10)  # what a byte may begin
_STARTS = np.zeros(256, np.uint8)
_STARTS[[*b"0123456789"]] = _NUMBER
_STARTS[[*b"=+"]] = _OPERATOR
_STARTS[[*range(65, 91), *range(97, 123)]] = _LETTER
_STARTS[0xE3:0xEA] = _HAN
_STARTS[[ord("<"), ord("\\"), ord("$"), ord("`"), ord("&")]] = _TAG, _COMMAND, _PAIR, _PAIR, _REFERENCE
_STARTS[[0xC2, 0xC3, 0xE2, 0xF0]] = _WIDE

_BACKSLASH, _DOLLAR, _CARET, _UNDERSCORE, _LINE, _BELOW = (ord(sign) for sign in "\\$^_\n<")
_ROUND, _SQUARE, _BRACE, _HASH, _X = (ord(sign) for sign in "([{#x")
_ZERO, _NINE = np.uint64(ord("0")), ord("9")
_BEGIN = np.uint64(int.from_bytes(b"begin", "big"))
_WORD_FACTOR, _LENGTH_FACTOR = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0x9E3779B97F4A7C15)
_WORD_SHIFT, _BYTE = np.uint64(64 - WORD_BITS), np.uint64(8)
_HAN_BYTES = np.uint64(24)


def scan_page(page: bytes, weights: _I16, slots: _I64 | None = None) -> _I64:
    """int64[PLACES], what is counted in a page; the places are named in `filters.page_tags`.

    page : UTF-8, or any bytes; weights : int16[WORD_SLOTS] of words by `word_slot`.
    slots : is filled with the slots of the words, as many as it has room for; they are counted in any case.
    """
    data = np.frombuffer(page + _SPARE, np.uint8)
    return _scan(data, len(page), read_only(weights), np.zeros(0, np.int64) if slots is None else slots)


@jit
def _scan(data: _U8, stop: Int, weights: _I16, slots: _I64) -> _I64:
    counts = np.zeros(PLACES, np.int64)
    at = weight = words = 0
    before, behind = np.uint64(0), -1  # the Chinese character before, and where it ends
    while at < stop:
        start = _STARTS[data[at]]
        slot = -1
        if start == 0:
            at += 1
        elif start == _LETTER:
            slot, at = _word(data, at)
        elif start == _HAN:
            sign = np.uint64(data[at]) << np.uint64(16) | np.uint64(data[at + 1]) << _BYTE | np.uint64(data[at + 2])
            slot = _slot(before << _HAN_BYTES | sign, 6) if behind == at else -1
            at += 3
            before, behind = sign, at
        elif start == _TAG:
            at = walk_tag(data, at, stop, counts)
        elif start == _OPERATOR:
            slot, at = _slot(np.uint64(data[at]), 1), at + 1
        elif start == _NUMBER:  # all are one word
            slot = _slot(_ZERO, 1)
            while _STARTS[data[at]] == _NUMBER:
                at += 1
        else:
            at = _sign(data, at, stop, start, counts)
        if slot >= 0:
            weight += weights[slot]
            if words < slots.size:
                slots[words] = slot
            words += 1
    counts[WORDS], counts[WEIGHT] = words, weight
    return counts


@inline
def _slot(word: Word, length: Int) -> Int:
    return np.int64(((word ^ np.uint64(length) * _LENGTH_FACTOR) * _WORD_FACTOR) >> _WORD_SHIFT)


@inline
def _word(data: _U8, at: Int) -> tuple[Int, Int]:
    """(slot of the word at data[at], where it ends): of its first 8 letters, in lower case, and its length."""
    word = load64(data, at) | LOWER_CASE
    length = run_length(letters(word))
    end = at + length
    if length < 8:
        word = lowest(word, length)
    else:
        while is_ascii_letter(data[end]):
            end += 1
    return _slot(word, end - at), end


@inline
def _sign(data: _U8, at: Int, stop: Int, start: Int, counts: _I64) -> Int:
    """Counts what a sign that is no letter may begin; where to go on."""
    if start == _WIDE:
        counts[SYMBOLS] += _is_symbol(data, at)
    elif start == _REFERENCE:
        counts[SYMBOLS] += _refers_to_symbol(data, at)
    elif start == _COMMAND:
        return _behind_command(data, at, counts)
    elif data[at] == _DOLLAR and data[at + 1] == _DOLLAR:
        counts[DELIMITERS] += 1
        return at + 2
    else:
        counts[DELIMITERS] += _is_pair(data, at, stop)
    return at + 1


@inline
def _behind_command(data: _U8, at: Int, counts: _I64) -> Int:
    """Counts the command or delimiter that the backslash at data[at] begins; where it ends."""
    if data[at + 1] in (_ROUND, _SQUARE):
        counts[DELIMITERS] += 1
        return at + 2
    if not (is_ascii_letter(data[at + 1]) and is_ascii_letter(data[at + 2])):
        return at + 1
    word, end = np.uint64(0), at + 1
    while is_ascii_letter(data[end]):
        word = (word << _BYTE) | np.uint64(data[end])
        end += 1
    counts[COMMANDS] += 1
    counts[DELIMITERS] += word == _BEGIN and data[end] == _BRACE
    return end


@inline
def _is_pair(data: _U8, at: Int, stop: Int) -> bool:
    """Whether the sign at data[at] stands again soon in its line, with something of TeX between."""
    tex = False
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


@inline
def _refers_to_symbol(data: _U8, at: Int) -> bool:
    """Whether a reference by number to a mathematical character stands at data[at]: &#8721; or &#x2211;."""
    if data[at + 1] != _HASH:
        return False
    base = 16 if data[at + 2] | 0x20 == _X else 10
    place, code = at + 2 + (base == 16), np.int64(0)
    while place < at + 10:
        byte = data[place] | 0x20
        digit = np.int64(byte) - (0x57 if byte > _NINE else 0x30)
        if not 0 <= digit < base:
            break
        code, place = code * base + digit, place + 1
    return bool(0x2200 <= code <= 0x22FF or 0x2A00 <= code <= 0x2AFF or 0x1D400 <= code <= 0x1D7FF)

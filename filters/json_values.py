"""Strings, numbers and words of JSON as kernels over bytes: taken or skipped, checked by the grammar of RFC 8259."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.byte_masks import ALL, BLOCK, NONE, copy_block, first_bit, masks_of
from filters.words import Int, inline, leaf, put_utf8

_U8 = npt.NDArray[np.uint8]

# Bytes of a line.
QUOTE, _BACKSLASH, NEWLINE, COMMA, COLON = 0x22, 0x5C, 0x0A, 0x2C, 0x3A
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = 0x7B, 0x7D, 0x5B, 0x5D
_MAX_NUMBER = 64  # bytes; of longer ones, parsers differ in what they refuse

_ends_run = masks_of(((QUOTE, QUOTE), (_BACKSLASH, _BACKSLASH), (0, 0x1F)))
_newlines = masks_of(((NEWLINE, NEWLINE),))
_U = 0x75
_ESCAPES = np.zeros(256, np.uint8)  # what a letter behind a backslash stands for
_ESCAPES[list(b'"\\/bfnrt')] = list(b'"\\/\b\f\n\r\t')
_TRUE, _FALSE, _NULL = (int.from_bytes(word, "little") for word in (b"true", b"false", b"null"))


@inline
def is_space(byte: Int) -> bool:
    return bool(byte in (0x20, 0x09, 0x0D))


@inline
def skip_space(data: _U8, at: Int) -> Int:
    while is_space(data[at]):
        at += 1
    return at


@leaf
def line_end(data: _U8, at: Int) -> Int:
    """Where the next line begins."""
    (found,) = _newlines(data, at)
    while found == NONE:
        at += BLOCK
        (found,) = _newlines(data, at)
    return at + first_bit(found) + 1


@inline
def _hex4(data: _U8, at: Int) -> Int:
    """The value of four hexadecimal digits; -1 where they are none."""
    value = np.int64(0)
    for step in range(4):
        byte = np.int64(data[at + step])
        digit = byte - 0x30
        if digit < 0 or digit > 9:
            digit = (byte | 0x20) - 0x57
            if digit < 10 or digit > 15:
                return np.int64(-1)
        value = value << 4 | digit
    return value


@leaf
def _unicode_escapes(data: _U8, at: Int, texts: _U8, put: Int) -> tuple[Int, Int]:
    """(at, put) after the escapes by code point that begin at data[at]; (-1, put) where one is none, or half a pair."""
    while data[at] == _BACKSLASH and data[at + 1] == _U:
        code = _hex4(data, at + 2)
        if 0xD800 <= code < 0xE000:
            low = _hex4(data, at + 8) if data[at + 6] == _BACKSLASH and data[at + 7] == _U else np.int64(-1)
            if code >= 0xDC00 or low < 0xDC00 or low >= 0xE000:
                return np.int64(-1), put
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            at += 6
        if code < 0:
            return np.int64(-1), put
        at += 6
        put = put_utf8(texts, put, code)
    return at, put


@inline
def take_string(data: _U8, at: Int, texts: _U8, put: Int) -> tuple[Int, Int]:
    """(at, put) after the string whose opening quote is data[at - 1], unescaped; at = -1 where it is none."""
    block = at
    while True:
        (stops,) = _ends_run(data, block)
        while stops != NONE:
            stop = block + first_bit(stops)
            copy_block(texts, put, data, at)
            put += stop - at
            if data[stop] != _BACKSLASH:
                return stop + 1 if data[stop] == QUOTE else np.int64(-1), put
            letter = data[stop + 1]
            at = stop + 2
            texts[put] = _ESCAPES[letter]
            put += 1
            if _ESCAPES[letter] == 0:
                at, put = _unicode_escapes(data, stop, texts, put - 1) if letter == _U else (np.int64(-1), put)
                if at < 0:
                    return at, put
            stops = stops & (ALL << np.uint64(at - block)) if at - block < BLOCK else NONE
        if at - block < BLOCK:
            copy_block(texts, put, data, at)
            put += block + BLOCK - at
            at = block + BLOCK
        block = at


@leaf
def skip_string(data: _U8, at: Int, texts: _U8, put: Int) -> tuple[Int, bool]:
    """(at, whether it has no escape) after the string whose opening quote is data[at - 1]; at = -1 where it is none."""
    plain = True
    while True:
        (stops,) = _ends_run(data, at)
        run = first_bit(stops)
        at += run
        if run == BLOCK:
            continue
        if data[at] == QUOTE:
            return at + 1, plain
        if data[at] != _BACKSLASH:
            return np.int64(-1), plain
        plain = False
        if data[at + 1] == _U:
            at, _ = _unicode_escapes(data, at, texts, put)  # into the room for the next text
        else:
            at = at + 2 if _ESCAPES[data[at + 1]] != 0 else np.int64(-1)
        if at < 0:
            return at, plain


@inline
def _skip_word(data: _U8, at: Int, word: Int) -> Int:
    """Where the word ends that is at data[at], given by its bytes from the lowest; -1 where it is another."""
    while word > 0:
        if data[at] != word & 0xFF:
            return np.int64(-1)
        at, word = at + 1, word >> 8
    return at


@inline
def _skip_digits(data: _U8, at: Int) -> Int:
    """Where the digits at data[at] end; -1 where there are none."""
    begin = at
    while 0x30 <= data[at] <= 0x39:
        at += 1
    return at if at > begin else np.int64(-1)


@leaf
def _skip_number(data: _U8, at: Int) -> Int:
    """Where the number at data[at] ends; -1 where it is none, or a long one."""
    begin = at
    at += data[at] == 0x2D
    leading = at
    at = _skip_digits(data, at)
    if at > leading + 1 and data[leading] == 0x30:
        return np.int64(-1)
    if at >= 0 and data[at] == 0x2E:
        at = _skip_digits(data, at + 1)
    if at >= 0 and data[at] | 0x20 == 0x65:
        at += 1
        at = _skip_digits(data, at + (data[at] in (0x2B, 0x2D)))
    return at if at - begin <= _MAX_NUMBER else np.int64(-1)


@leaf
def skip_scalar(data: _U8, at: Int) -> Int:
    """Where the number, true, false or null at data[at] ends; -1 where it is none, or a long number."""
    if data[at] == 0x74:
        return _skip_word(data, at, _TRUE)
    if data[at] == 0x66:
        return _skip_word(data, at, _FALSE)
    return _skip_word(data, at, _NULL) if data[at] == 0x6E else _skip_number(data, at)

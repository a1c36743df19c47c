"""Where personal data may stand: places that the rules of `filters.personal_rules` look at, as one numba kernel.

Whatever a rule accepts stands at one of these places; most of them are nothing. The slow twin, which tries the rules at
all places, is tests/naive_personal.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.byte_masks import ALL, BLOCK, NONE, ONE, first_bit, masks_of
from filters.words import Int, Word, inline, inner, jit, read_only

_U8 = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]

EMAIL, SPOKEN_EMAIL, TELEPHONE, IP = range(4)
KINDS = 4
AHEAD = 40  # bytes in which the digits of a number are counted
SPOKEN_AHEAD = 64  # bytes in which a " dot " follows an " at "
BACK = 40  # bytes before a number in which a word for it may stand, as in filters.personal_rules
_LEAST_DIGITS = 7

# Three bytes, lower case, of each word that says telephone: tel, pho, fax, mob, hot(line), hel(pline), wha(tsapp), and
# 电 手 热 传 致 固 座 客 联 移.
_HINTS = tuple(
    sorted(
        int.from_bytes(word, "little")
        for word in (
            b"tel",
            b"pho",
            b"fax",
            b"mob",
            b"hot",
            b"hel",
            b"wha",
            *(c.encode() for c in "电手热传致固座客联移"),
        )
    )
)
HINTS = read_only(np.array(_HINTS, np.int64))

_marks = masks_of(
    ((0x30, 0x39),),
    ((0x40, 0x40), (0xEF, 0xEF)),  # @, and the first byte of the full-width one
    ((0x41, 0x41), (0x61, 0x61)),  # A, a
    ((0x54, 0x54), (0x74, 0x74)),  # T, t
    ((0x20, 0x20), (0x28, 0x28), (0x3C, 0x3C), (0x5B, 0x5B), (0x5F, 0x5F), (0x7B, 0x7B)),  # before an `at`
)


_TOP = np.uint64(63)
_LAST = ONE << _TOP


@inline
def _is_digit(byte: Int) -> bool:
    return bool(0x30 <= byte <= 0x39)


@inline
def _is_hex(byte: Int) -> bool:
    return bool(0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x46 or 0x61 <= byte <= 0x66)


@inline
def _joins(byte: Int) -> bool:
    """Whether a byte may stand between two digits of a telephone number; of NBSP and U+2011 each byte does."""
    return bool(
        byte in (0x20, 0x28, 0x29, 0x2D, 0x2E, 0x2F) or byte in (0xC2, 0xA0, 0xE2, 0x80, 0x91)  # ` ()-./`
    )


@inline
def _digits_ahead(data: _U8, at: Int, end: Int) -> Int:
    """Digits from a place on, as far as nothing but what joins them stands between."""
    found = np.int64(0)
    stop = min(end, at + AHEAD)
    while at < stop:
        byte = data[at]
        if _is_digit(byte):
            found += 1
        elif not _joins(byte):
            break
        at += 1
    return found


@inline
def _is_told(data: _U8, begin: Int, at: Int, hints: _I64) -> bool:
    """Whether three bytes of a word for a telephone stand before a place."""
    for place in range(max(begin, at - BACK), at - 2):
        key = np.int64(data[place]) | np.int64(data[place + 1]) << 8 | np.int64(data[place + 2]) << 16
        lower = key | 0x202020
        for hint in hints:
            if hint in (key, lower):
                return True
    return False


@inline
def _may_be_telephone(data: _U8, begin: Int, end: Int, at: Int, hints: _I64) -> bool:
    size = np.int64(1)
    while size < AHEAD and at + size < end and _is_digit(data[at + size]):
        size += 1
    if size > 15 or (size < _LEAST_DIGITS and (at + size >= end or not _joins(data[at + size]))):
        return False
    digits = _digits_ahead(data, at, end)
    if digits < _LEAST_DIGITS:
        return False
    before = np.int64(data[at - 1]) if at > begin else np.int64(0)
    first = data[at]
    if before in (0x28, 0x2B):  # ( +
        return True
    if digits >= 10 and size <= 4:
        if first == 0x30 and (size >= 3 or data[at + 1] == 0x30):
            return True
        if size == 3 or (size == 1 and first == 0x31) or (size == 2 and first == 0x38 and data[at + 1] == 0x36):
            return True
    return _is_told(data, begin, at, hints)


@inline
def _may_be_ip(data: _U8, end: Int, at: Int) -> bool:
    """Four groups of one to three digits with dots between, or four hexadecimal digits, a colon and one more sign."""
    if (
        at + 6 < end
        and data[at + 4] == 0x3A
        and data[at] in (0x32, 0x33)
        and (_is_hex(data[at + 5]) or data[at + 5] == 0x3A)
    ):
        return bool(_is_hex(data[at + 1]) and _is_hex(data[at + 2]) and _is_hex(data[at + 3]))
    for group in range(4):
        size = 0
        while size < 4 and at + size < end and _is_digit(data[at + size]):
            size += 1
        if size in (0, 4):
            return False
        at += size
        if group < 3:
            if at >= end or data[at] != 0x2E:
                return False
            at += 1
    return True


@inline
def _is_spoken(data: _U8, begin: Int, end: Int, at: Int) -> bool:
    """Whether an `at` between brackets, in capitals, or before a ` dot ` stands at a place."""
    if at == begin or at + 2 >= end or data[at + 1] | 0x20 != 0x74:
        return False
    after = data[at + 2]
    if data[at - 1] == 0x20 and after == 0x20 and data[at] == 0x61:
        if at - 2 >= begin and data[at - 2] in (0x28, 0x3C, 0x5B, 0x5F, 0x7B):
            return True
        for place in range(at + 3, min(end - 4, at + SPOKEN_AHEAD)):
            dot = data[place + 1] | 0x20 == 0x64 and data[place + 2] | 0x20 == 0x6F and data[place + 3] | 0x20 == 0x74
            if dot and data[place] == 0x20 and data[place + 4] == 0x20:
                return True
        return False
    return bool(after in (0x20, 0x29, 0x3E, 0x5D, 0x5F, 0x7D))


@inner
def _grown(places: _I64) -> _I64:
    larger = np.empty((2 * places.shape[0], 3), np.int64)
    larger[: places.shape[0]] = places
    return larger


@inline
def _marks_at(data: _U8, at: Int, end: Int, spare: _U8) -> tuple[Word, Word, Word]:
    """(digits, signs of an address, what may be an `at`) in the block at a place; reads nothing behind `end`."""
    if at + BLOCK <= end:
        digit, sign, first, second, opening = _marks(data, at)
    else:
        spare[:] = 0
        for place in range(end - at):
            spare[place] = data[at + place]
        digit, sign, first, second, opening = _marks(spare, 0)
    # an `at` may go on in the next block, and what opens it may be the last sign of the block before
    return digit, sign, first & (second >> ONE | _LAST) & (opening << ONE | ONE)


@inline
def _kinds_at(data: _U8, begin: Int, end: Int, place: Int, hints: _I64) -> Int:
    """A bit for each kind that may stand at a place."""
    byte = np.int64(data[place])
    if _is_digit(byte):
        telephone = _may_be_telephone(data, begin, end, place, hints)
        return np.int64(telephone) << TELEPHONE | np.int64(_may_be_ip(data, end, place)) << IP
    if byte == 0x40:
        return 1 << EMAIL
    if byte == 0xEF:
        return np.int64(place + 2 < end and data[place + 1] == 0xBC and data[place + 2] == 0xA0) << EMAIL
    return np.int64(_is_spoken(data, begin, end, place)) << SPOKEN_EMAIL


@jit
def candidates(data: _U8, offsets: _I64, wanted: Int, hints: _I64) -> _I64:
    """int64[C, 3]: (document, place, kind) where personal data may stand, in the order of documents and places.

    data, offsets : of filters.text.Batch; wanted : a bit for each kind; hints : `HINTS`. Reads no byte of another text.
    """
    found, count = np.empty((1024, 3), np.int64), 0
    spare = np.zeros(BLOCK, np.uint8)
    digits = NONE if wanted >> TELEPHONE == 0 else ALL
    signs = NONE if wanted & (1 << EMAIL | 1 << SPOKEN_EMAIL) == 0 else ALL
    for document in range(offsets.size - 1):
        begin, end = offsets[document], offsets[document + 1]
        carried = NONE
        for at in range(begin, end, BLOCK):
            digit, sign, spoken = _marks_at(data, at, end, spare)
            left = (digit & ~(digit << ONE | carried) & digits) | ((sign | spoken) & signs)
            carried = digit >> _TOP
            while left != NONE:
                place = at + first_bit(left)
                left &= left - ONE
                kinds = _kinds_at(data, begin, end, place, hints) & wanted
                for kind in range(KINDS):
                    if kinds >> kind & 1:
                        if count == found.shape[0]:
                            found = _grown(found)
                        found[count, 0], found[count, 1], found[count, 2] = document, place, kind
                        count += 1
    return found[:count]

"""Where the tokens of plain text are: 64 bytes at a time, as bits of 64-bit words.

`filters.masks` compares a block with a handful of characters; from there on, all is arithmetic on words. A token is
a bit where it begins and a bit behind it, maybe of the next block. Plain are ASCII words, commands and numbers, CJK
characters, and what separates. Plain text ends where it is in doubt (another letter, a mark that may join digits), and
`filters.kernels` takes over, which knows the rule. What is rare stands apart, since a branch that cannot be foreseen
costs as much as a token.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.masks import (
    ALL,
    BLOCK,
    NONE,
    ONE,
    THREE,
    TWO,
    below,
    classify,
    classify_utf8,
    count_bits,
    doubtful,
    lowest_bit,
    write_places,
)
from filters.words import CJK, SEPARATOR, Int, Word, decode, inline, is_operator, leaf

_U8 = npt.NDArray[np.uint8]
_U32 = npt.NDArray[np.uint32]
_Carry = tuple[Word, Word, Word, Word, Word]
_U16 = npt.NDArray[np.uint16]
_Places = tuple[_U16, _U16, _U16]

BLOCK_READS = BLOCK + 8  # bytes from the start of a block that may be read
CHUNK_BYTES = 32 * BLOCK  # taken at a time: what is known of their tokens stays in the first cache
SPARE_PLACES = 64  # that may be written beyond the tokens of a chunk
_LAST = np.uint64(BLOCK - 1)


@leaf
def _other_high(  # noqa: PLR0913, PLR0917 - numba takes arrays and scalars, by position
    data: _U8,
    span: tuple[Int, Int, Int],
    folds: _U32,
    operators: bool,
    firsts: Word,
    ends: Word,
    other: Word,
    limit: Int,
) -> tuple[Word, Word, Int]:
    """(firsts, ends, limit) with the characters that begin at the bits of `other`, up to one that is not plain."""
    base, at, stop = span
    while other != 0:
        place = lowest_bit(other)
        if place >= limit:
            break
        here = at + place
        code, then = decode(data, here, stop)
        entry = np.int64(folds[code])
        if then - at >= BLOCK:
            return firsts, ends, place
        if entry == CJK << 24 | code:
            firsts |= ONE << np.uint64(place)
            ends |= ONE << np.uint64(then - at)
        elif entry != 0:  # a character that is not plain, a separator that is told apart
            sign = operators and is_operator(entry & 0xFFFFFF)
            if entry >> 24 != SEPARATOR or sign or not _parts(data, base, here, then, stop):
                return firsts, ends, place
        other &= ~below(then - at)
    return firsts, ends, limit


@leaf
def _parts(data: _U8, base: Int, here: Int, then: Int, stop: Int) -> bool:
    """Whether the full-width mark data[here:then] surely joins no digits that stand before it, from data[base] on."""
    if here == base or not 0x30 <= data[here - 1] <= 0x39:
        return True
    if then >= stop:
        return False
    after = data[then]  # E4 to E9 lead no digit and no mark
    return bool(0xE4 <= after <= 0xE9 or (after < 0x80 and not 0x30 <= after <= 0x39 and after != 0x2C))


@inline
def _following(mask: Word, carry: Word) -> Word:
    """The bits behind those of the mask and of the block before."""
    return mask << ONE | carry


@inline
def _wide_characters(  # noqa: PLR0913, PLR0917
    data: _U8, at: Int, left: Int, high: Word, after_digit: Word, used: Word, operators: bool
) -> tuple[Word, Word, Word]:
    """(ideographs, other bytes, used): of the bytes that are not ASCII in a block.

    used : those that belong to a character of the block before; the result, those of the next.
    """
    ideographs, marks, wide, wide_signs = classify_utf8(data, at)
    if left < BLOCK + 2:
        whole = below(max(left - 2, 0))
        ideographs, marks, wide = ideographs & whole, marks & whole, wide & whole
    if operators:
        wide &= ~wide_signs
    marks |= wide & ~after_digit
    marks = (marks | ideographs) & ~used
    other = high & ~(used | marks | marks << ONE | marks << TWO)
    return ideographs & marks, other, marks >> _LAST | marks >> (_LAST - ONE) | marks >> _LAST << ONE


@inline
def _find_tokens(  # noqa: PLR0913, PLR0917
    data: _U8, base: Int, at: Int, stop: Int, folds: _U32, operators: bool, carry: _Carry
) -> tuple[Word, Word, Word, Int, _Carry]:
    """(firsts, ends, commands, limit, carry) of a block: its plain tokens, and where it stops being plain.

    commands : those of firsts that follow a backslash. limit : from 0 to 64. carry : what of the block before tells of
    this one: whether it ended in a letter, a digit, a backslash; ends of its characters; bytes that belong to them.
    """
    letters_before, digits_before, backslash_before, ends_before, used = carry
    letter, digit, high, backslash, dot, comma, brace, signs = classify(data, at)
    left = stop - at
    beyond = ALL
    if left < BLOCK:
        valid, beyond = below(left), NONE
        letter, digit, high, signs = letter & valid, digit & valid, high & valid, signs & valid
    after_letter, after_digit = _following(letter, letters_before), _following(digit, digits_before)
    ideographs, other = NONE, NONE
    if high | used != 0:
        ideographs, other, used = _wide_characters(data, at, left, high, after_digit, used, operators)
    number = digit | (dot & after_digit & digit >> ONE)
    after_number = _following(number, digits_before)
    firsts = letter & ~after_letter | number & ~after_number | ideographs
    ends = after_letter & ~letter | after_number & ~number | ideographs << THREE | ends_before
    ends_before = ideographs >> (_LAST - TWO)
    if operators:
        firsts, ends, ends_before = firsts | signs, ends | signs << ONE, ends_before | signs >> _LAST
    limit = lowest_bit(doubtful(digit, after_digit, high, dot, comma, brace | backslash, beyond))
    if other != 0:
        firsts, ends, limit = _other_high(data, (base, at, stop), folds, operators, firsts, ends, other, limit)
    plain = below(limit)
    firsts, ends = firsts & plain, ends & plain
    commands = firsts & letter & _following(backslash, backslash_before)
    carry = letter >> _LAST, digit >> _LAST, backslash >> _LAST, ends_before, used
    return firsts, ends, commands, limit, carry


@leaf
def find_places(  # noqa: PLR0913, PLR0917
    data: _U8, at: Int, last: Int, stop: Int, folds: _U32, operators: bool, places: _Places
) -> tuple[Int, Int, Int]:
    """(resume, count, commands): where the plain text from data[at] on ends, its tokens, and how many are commands.

    No token is open at `at`; blocks that begin before `last`, of one chunk at most. places : where the tokens begin
    and end, counted from `at`, and the numbers of those that are commands: names behind a backslash.
    """
    starts, ends, commands = places
    base = at
    begun, ended, listed, limit = np.int64(0), np.int64(0), np.int64(0), np.int64(BLOCK)
    carry = NONE, NONE, NONE, NONE, NONE
    while at < min(last, base + CHUNK_BYTES) and at + BLOCK_READS <= data.size:
        opened, closed, named, limit, carry = _find_tokens(data, base, at, stop, folds, operators, carry)
        write_places(starts, begun, opened, at - base)
        write_places(ends, ended, closed, at - base)
        while named != 0:
            bit = named & (~named + ONE)
            commands[listed] = begun + count_bits(opened & (bit - ONE))
            listed += 1
            named ^= bit
        begun += count_bits(opened)
        ended += count_bits(closed)
        if limit < BLOCK:
            break
        at += BLOCK
    if limit < BLOCK:
        at += limit
    elif at >= stop:
        at = stop
        if begun > ended:
            ends[ended] = stop - base
            ended += 1
    elif carry[2] != 0:
        at -= 1
    if begun > ended:  # this token may go on
        at = base + starts[ended]
        if listed > 0 and commands[listed - 1] == ended:
            at -= 1
            listed -= 1
    return at, ended, listed

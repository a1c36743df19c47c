"""The tokeniser's shortcut: the tokens of plain text, 64 bytes at a time, as bits of 64-bit words.

`filters.masks` compares a block with a handful of characters; from there on, all is arithmetic on words. A token is
a bit in `firsts` and one in `lasts`. Plain are ASCII words, commands and numbers, CJK characters, and what separates.
The shortcut ends where it is in doubt (another letter, a mark that may join digits), and `filters.kernels` takes
over, which knows the rule. What is rare stands apart, since a branch that cannot be foreseen costs as much as a token.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.masks import (
    ALL,
    BLOCK,
    NONE,
    ONE,
    TWO,
    below,
    classify,
    count_bits,
    doubtful,
    find_han,
    highest_bit,
    lower,
    lowest_bit,
    run_ends,
)
from filters.words import (
    CJK,
    ENVIRONMENT,
    SEPARATOR,
    UNKNOWN,
    Int,
    Word,
    absorb,
    decode,
    finish,
    hash_bytes,
    inline,
    jit,
    letters,
    load64,
    run_length,
    skip_environment,
    store64,
)

_U8 = npt.NDArray[np.uint8]
_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]

BLOCK_READS = BLOCK + 8  # bytes from the start of a block that may be read


@jit
def _other_high(  # noqa: PLR0913, PLR0917 - numba takes arrays and scalars, by position
    data: _U8, at: Int, stop: Int, folds: _U32, operators: bool, firsts: Word, lasts: Word, other: Word, limit: Int
) -> tuple[Word, Word, Int]:
    """(firsts, lasts, limit) with the characters that begin at the bits of `other`, up to one that is not plain."""
    while other != 0:
        place = lowest_bit(other)
        if place >= limit:
            break
        here = at + place
        code, then = decode(data, here, stop)
        entry = np.int64(folds[code])
        if then - at > BLOCK:
            return firsts, lasts, place
        if entry == CJK << 24 | code:
            firsts |= ONE << np.uint64(place)
            lasts |= ONE << np.uint64(then - at - 1)
        elif entry != 0 and (entry >> 24 != SEPARATOR or operators or not _parts(data, at, here, then, stop)):
            return firsts, lasts, place
        other &= ~below(then - at)
    return firsts, lasts, limit


@jit
def _parts(data: _U8, at: Int, here: Int, then: Int, stop: Int) -> bool:
    """Whether the full-width mark data[here:then] surely joins no digits that stand before it, from data[at] on."""
    if here == at or not 0x30 <= data[here - 1] <= 0x39:
        return True
    if then >= stop:
        return False
    after = data[then]  # E4 to E9 lead no digit and no mark
    return bool(0xE4 <= after <= 0xE9 or (after < 0x80 and not 0x30 <= after <= 0x39 and after != 0x2C))


@inline
def _find_tokens(data: _U8, at: Int, stop: Int, folds: _U32, operators: bool) -> tuple[Word, Word, Word, Int]:
    """(firsts, lasts, commands, resume) of the block at data[at]: its plain tokens, and where it stops being plain.

    commands : those of firsts that follow a backslash. resume : from 0 to 64; a token that may go on behind it is
    not among the tokens.
    """
    letter, digit, high, backslash, dot, comma, brace, signs = classify(data, at)
    left = stop - at
    valid, beyond = ALL, ALL
    if left < BLOCK:
        valid, beyond = below(left), NONE
    letter, digit, high, signs = letter & valid, digit & valid, high & valid, signs & valid
    cjk = NONE
    if high != 0:
        cjk = find_han(data, at, valid)
    other = high & ~(cjk | cjk << ONE | cjk << TWO)
    words, numbers = run_ends(letter), run_ends(digit | (dot & digit << ONE & digit >> ONE))
    firsts, lasts = words[0] | numbers[0] | cjk, words[1] | numbers[1] | cjk << TWO
    if operators:
        firsts, lasts = firsts | signs, lasts | signs
    limit = lowest_bit(doubtful(digit, other, dot, comma, brace | backslash, beyond))
    if other != 0:
        firsts, lasts, limit = _other_high(data, at, stop, folds, operators, firsts, lasts, other, limit)
    firsts, lasts = firsts & below(limit), lasts & below(limit)
    commands = letter & (backslash << ONE) & firsts
    if left < limit:
        return firsts, lasts, commands, left
    edge = ONE << np.uint64(limit - 1) if limit > 0 else NONE
    if lasts & edge != 0:  # this token may go on
        begin = highest_bit(firsts)
        limit = begin - np.int64(commands >> np.uint64(begin) & ONE)
        firsts, lasts = firsts ^ ONE << np.uint64(begin), lasts ^ edge
    elif backslash & edge != 0:
        limit -= 1
    return firsts, lasts, commands & firsts, limit


@inline
def find_command(data: _U8, first: Int, end: Int, keys: _U64) -> Int:
    """The slot of the command table for the name data[first:end]: its own, or an empty one."""
    size = end - first
    if size > 8:
        key = hash_bytes(data, first, end)
    else:
        key = finish(absorb(NONE, load64(data, first) & (ALL >> np.uint64(64 - 8 * size))), size)
    slot = np.int64(key) & (keys.size - 1)
    while keys[slot] != key and keys[slot] != 0:
        slot = (slot + 1) & (keys.size - 1)
    return slot


@inline
def _commands(  # noqa: PLR0913, PLR0917
    data: _U8, at: Int, stop: Int, keys: _U64, values: _U64, firsts: Word, lasts: Word, commands: Word, resume: Int
) -> tuple[Word, Word, Word, Int]:
    """(firsts, lasts, aliases, resume) without the commands that are dropped; aliases : firsts of those renamed."""
    aliases = NONE
    while commands != 0:
        bit = commands & (~commands + ONE)
        commands ^= bit
        first, last = lowest_bit(bit), lowest_bit(lasts & ~(bit - ONE))
        value = values[find_command(data, at + first, at + last + 1, keys)]
        dropped = np.uint64(value == 0)  # no branch: it would often be mispredicted
        firsts ^= dropped << np.uint64(first)
        lasts ^= dropped << np.uint64(last)
        if value == ENVIRONMENT:
            end = skip_environment(data, at + last + 1, stop) - at
            kept = ~(below(min(end, BLOCK)) & ~(bit - ONE))
            firsts &= kept
            lasts &= kept
            resume = max(resume, end)
        elif value > UNKNOWN:
            aliases |= bit
    return firsts, lasts, aliases, resume


@inline
def _hash_tokens(data: _U8, at: Int, firsts: Word, lasts: Word, hashes: _U64, count: Int) -> None:
    """Writes the hash of each token to hashes[count:], and up to 3 of nothing after them.

    Four at a time, since the end of a loop is mispredicted once in a block. Right for up to 8 bytes.
    """
    while firsts != 0:
        for _ in range(4):
            first = lowest_bit(firsts)
            size = lowest_bit(lasts) + 1 - first
            firsts &= firsts - ONE
            lasts &= lasts - ONE
            word = lower(load64(data, at + first)) & (ALL >> np.uint64(64 - 8 * size))
            store64(hashes, count, finish(absorb(NONE, word), size))
            count += 1


@inline
def _long(firsts: Word, lasts: Word) -> Word:
    """Those of `firsts` whose tokens have more than 8 bytes: none ends so near."""
    near = lasts | lasts >> ONE
    near |= near >> TWO
    near |= near >> np.uint64(4)
    return firsts & ~near


@jit
def _correct(  # noqa: PLR0913, PLR0917
    data: _U8,
    at: Int,
    keys: _U64,
    values: _U64,
    firsts: Word,
    lasts: Word,
    aliases: Word,
    wrong: Word,
    hashes: _U64,
    count: Int,
) -> None:
    """Writes the hashes again of the tokens that `hash_tokens` got wrong: long ones and renamed commands."""
    while wrong != 0:
        bit = wrong & (~wrong + ONE)
        wrong ^= bit
        here = at + lowest_bit(bit)
        end = at + lowest_bit(lasts & ~(bit - ONE)) + 1
        value = NONE
        size = end - here
        if bit & aliases != 0:
            word = Word(values[find_command(data, here, end, keys)])
            size = run_length(letters(word))
        else:
            while end - here > 8:
                value = absorb(value, lower(load64(data, here)))
                here += 8
            word = lower(load64(data, here)) & (ALL >> np.uint64(64 - 8 * (end - here)))
        store64(hashes, count + count_bits(firsts & (bit - ONE)), finish(absorb(value, word), size))


@inline
def _write_spans(  # noqa: PLR0913, PLR0917
    at: Int, firsts: Word, lasts: Word, commands: Word, starts: _I64, ends: _I64, count: Int
) -> None:
    """Writes the bytes that each token came from: a command with its backslash."""
    while firsts != 0:
        first = lowest_bit(firsts)
        starts[count] = at + first - np.int64(commands >> np.uint64(first) & ONE)
        ends[count] = at + lowest_bit(lasts) + 1
        firsts &= firsts - ONE
        lasts &= lasts - ONE
        count += 1


@inline
def _write_folded(  # noqa: PLR0913, PLR0917
    data: _U8,
    at: Int,
    tables: Any,
    firsts: Word,
    lasts: Word,
    aliases: Word,
    folded: _U8,
    ends: _I64,
    count: Int,
    put: Int,
) -> Int:
    """Writes the bytes of each token in lower case, a renamed command by its new name; where they end."""
    while firsts != 0:
        first = lowest_bit(firsts)
        here, end = at + first, at + lowest_bit(lasts) + 1
        if aliases >> np.uint64(first) & ONE != 0:
            word = tables[3][find_command(data, here, end, tables[2])]
            store64(folded, put, word)
            put += run_length(letters(word))
        else:
            for step in range(0, end - here, 8):
                store64(folded, put + step, lower(load64(data, here + step)))
            put += end - here
        ends[count] = put
        firsts &= firsts - ONE
        lasts &= lasts - ONE
        count += 1
    return put


@jit
def skim(  # noqa: PLR0913, PLR0917
    data: _U8, last: Int, stop: Int, tables: Any, operators: bool, out: Any, at: Int, count: Int, put: Int
) -> tuple[Int, Int, Int]:
    """(at, count, put) after the plain text from data[at] on: blocks that begin before `last`, until one is in doubt.

    No token is open at `at`. tables and out : those of `filters.kernels`; up to 3 hashes behind `count` are spoilt.
    """
    folds, _, keys, values = tables
    hashes, starts, ends, folded, folded_ends = out
    while at < last and at + BLOCK_READS <= data.size:
        firsts, lasts, commands, resume = _find_tokens(data, at, stop, folds, operators)
        aliases = NONE
        if commands != 0:
            firsts, lasts, aliases, resume = _commands(data, at, stop, keys, values, firsts, lasts, commands, resume)
        _hash_tokens(data, at, firsts, lasts, hashes, count)
        wrong = _long(firsts, lasts) | aliases
        if wrong != 0:
            _correct(data, at, keys, values, firsts, lasts, aliases, wrong, hashes, count)
        if starts.size > 0:
            _write_spans(at, firsts, lasts, commands, starts, ends, count)
        if folded_ends.size > 0:
            put = _write_folded(data, at, tables, firsts, lasts, aliases, folded, folded_ends, count, put)
        count += count_bits(firsts)
        at += resume
        if resume == 0:
            break
    return at, count, put

"""The tokeniser's shortcut: the tokens of plain text, at the places that `filters.blocks` finds, a chunk at a time.

Each step goes over the places of the whole chunk by itself: commands by their names, hashes of up to 8 bytes without a
branch, then the few tokens that are longer. One loop for all would mispredict a branch at every other token.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.blocks import BLOCK_READS, CHUNK_BYTES, SPARE_PLACES, find_places
from filters.hash_intrinsics import IN_VECTORS, LANES, hash_eight
from filters.masks import ALL, NONE, lower
from filters.words import (
    ENVIRONMENT,
    UNKNOWN,
    Int,
    Word,
    absorb,
    finish,
    hash_bytes,
    inline,
    inner,
    leaf,
    letters,
    load64,
    run_length,
    skip_environment,
    store16,
    store64,
)

_U8 = npt.NDArray[np.uint8]
_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_U16 = npt.NDArray[np.uint16]
_Flags = npt.NDArray[np.bool_]
_Places = tuple[_U16, _U16, _U16]
_Pairs = tuple[_U16, _U16]

_BACKSLASH = 0x5C


@inner
def new_scratch() -> _U16:
    """Room for what is known of the tokens of a chunk: a row for each."""
    return np.empty((5, CHUNK_BYTES + SPARE_PLACES), np.uint16)


@inline
def find_command(data: _U8, first: Int, end: Int, keys: _U64) -> Int:
    """The slot of the command table for the name data[first:end]: its own, or an empty one."""
    size = end - first
    if size > 8:
        key = hash_bytes(data, first, end)
    else:
        key = finish(absorb(NONE, load64(data, first) & (ALL >> np.uint64(64 - 8 * size))), size)
    slot = np.int64(key) & (keys.size - 1)
    while (keys[slot] != key) & (keys[slot] != 0):  # one branch, hardly ever taken: `and` would make two
        slot = (slot + 1) & (keys.size - 1)
    return slot


@leaf
def _name_commands(  # noqa: PLR0913, PLR0917 - numba takes arrays and scalars, by position
    data: _U8,
    base: Int,
    stop: Int,
    tables: Any,
    places: _Places,
    found: Int,
    listed: Int,
    named: _Pairs,
    spans: bool,
    resume: Int,
) -> tuple[Int, Int, Int]:
    """(dropped tokens, named commands, resume): looks up the commands of `found` tokens; a dropped one gets the end 0.

    named : the number of a command that is renamed, or of each where spans are wanted, among the tokens that are kept;
    and its slot in the table.
    """
    starts, ends, commands = places
    _, _, keys, values = tables
    dropped, put = np.int64(0), np.int64(0)
    for at in range(listed):
        token = np.int64(commands[at])
        end = base + ends[token]
        slot = find_command(data, base + starts[token], end, keys)
        value = values[slot]
        kept = value >= UNKNOWN
        named[0][put], named[1][put] = token - dropped, slot
        put += (value > UNKNOWN) | (spans & kept)
        ends[token] = end - base if kept else 0
        dropped += not kept
        if value == ENVIRONMENT:
            end = skip_environment(data, end, stop)
            resume = max(resume, end)
            inner = token + 1
            while inner < found and base + starts[inner] < end:
                ends[inner] = 0
                dropped += 1
                inner += 1
    return dropped, put, resume


@leaf
def hash_short_at_once(data: _U8, base: Int, starts: _U16, ends: _U16, count: Int, hashes: _U64) -> None:
    """As `hash_short_one_by_one`; overwrites what stands behind the tokens in each array."""
    for token in range(count, count + LANES):
        starts[token], ends[token] = 0, 1
    for token in range(0, count, LANES):
        hash_eight(hashes, token, data, base, starts, ends)


@leaf
def hash_short_one_by_one(data: _U8, base: Int, starts: _U16, ends: _U16, count: Int, hashes: _U64) -> None:
    """Writes the hashes of tokens of up to 8 bytes; for longer ones anything."""
    for token in range(count):
        size = np.int64(ends[token]) - starts[token]
        word = lower(load64(data, base + starts[token])) & (ALL >> np.uint64(64 - 8 * size))
        store64(hashes, token, finish(absorb(NONE, word), size))


_hash_short = hash_short_at_once if IN_VECTORS else hash_short_one_by_one


@leaf
def _hash_tokens(  # noqa: PLR0913, PLR0917
    data: _U8, base: Int, starts: _U16, ends: _U16, count: Int, long: _U16, hashes: _U64, numbers: _Flags
) -> None:
    """Writes the hashes of tokens, and whether they are numbers. long : room for the numbers of the long ones."""
    _hash_short(data, base, starts, ends, count, hashes)
    found = np.int64(0)
    for token in range(count):
        store16(long, found, np.uint64(token))
        found += ends[token] - starts[token] > 8
    for at in range(found):
        token = long[at]
        here, end = base + starts[token], base + ends[token]
        size = end - here
        value = NONE
        while end - here > 8:
            value = absorb(value, lower(load64(data, here)))
            here += 8
        word = lower(load64(data, here)) & (ALL >> np.uint64(64 - 8 * (end - here)))
        hashes[token] = finish(absorb(value, word), size)
    if numbers.size > 0:
        for token in range(count):
            numbers[token] = data[base + starts[token]] - np.uint8(0x30) < 10


@leaf
def _rename(values: _U64, named: _Pairs, count: Int, hashes: _U64) -> None:
    """Writes the hashes of commands whose token is another name."""
    for at in range(count):
        value = values[named[1][at]]
        if value > UNKNOWN:
            hashes[named[0][at]] = finish(absorb(NONE, Word(value)), run_length(letters(value)))


@leaf
def _close_gaps(starts: _U16, ends: _U16, count: Int) -> Int:
    """The number of tokens that are kept, after moving their places down into those of tokens with the end 0."""
    put = np.int64(0)
    for token in range(count):
        end = ends[token]
        store16(starts, put, np.uint64(starts[token]))
        store16(ends, put, np.uint64(end))
        put += end != 0
    return put


@leaf
def _write_folded(  # noqa: PLR0913, PLR0917
    data: _U8,
    base: Int,
    tables: Any,
    starts: _U16,
    ends: _U16,
    count: Int,
    folded: _U8,
    folded_ends: _I64,
    put: Int,
) -> Int:
    """Writes the bytes of each token in lower case, a renamed command by its new name; where they end."""
    for token in range(count):
        here, end = base + starts[token], base + ends[token]
        value = np.uint64(UNKNOWN)
        if data[here] == _BACKSLASH:
            here += 1
            value = tables[3][find_command(data, here, end, tables[2])]
        if value > UNKNOWN:
            store64(folded, put, value)
            put += run_length(letters(value))
        else:
            store64(folded, put, lower(load64(data, here)))
            for step in range(8, end - here, 8):
                store64(folded, put + step, lower(load64(data, here + step)))
            put += end - here
        folded_ends[token] = put
    return put


@leaf
def _locate(base: Int, places: _Places, count: Int, named: Int, starts: _I64, ends: _I64) -> None:
    """Writes the bytes that each token came from; a command begins with its backslash."""
    begins, closes, commands = places
    for at in range(named):
        begins[commands[at]] -= 1
    if starts.size > 0:
        for token in range(count):
            starts[token] = base + begins[token]
            ends[token] = base + closes[token]


@leaf
def skim(  # noqa: PLR0913, PLR0917
    data: _U8, last: Int, stop: Int, tables: Any, operators: bool, out: Any, scratch: Any, at: Int, count: Int, put: Int
) -> tuple[Int, Int, Int]:
    """(at, count, put) after the plain text from data[at] on, until it ends, or a block begins at `last` or later.

    No token is open at `at`. tables and out : those of `filters.kernels`; scratch : from `new_scratch`.
    """
    hashes, starts, ends, folded, folded_ends, numbers = out
    located = (starts.size > 0) | (folded_ends.size > 0)
    begins, closes, commands = scratch[0], scratch[1], scratch[2]
    places, named = (begins, closes, commands), (commands, scratch[3])
    while at < last and at + BLOCK_READS <= data.size:
        base = at
        at, found, listed = find_places(data, base, last, stop, tables[0], operators, places)
        dropped = np.int64(0)
        if listed > 0:
            dropped, listed, at = _name_commands(data, base, stop, tables, places, found, listed, named, located, at)
        kept = _close_gaps(begins, closes, found) if dropped > 0 else found
        _hash_tokens(data, base, begins, closes, kept, scratch[4], hashes[count:], numbers[count:])
        _rename(tables[3], named, listed, hashes[count:])
        if located:
            _locate(base, places, kept, listed, starts[count:], ends[count:])
            if folded_ends.size > 0:
                put = _write_folded(data, base, tables, begins, closes, kept, folded, folded_ends[count:], put)
        count += kept
        if at == base:
            break
    return at, count, put

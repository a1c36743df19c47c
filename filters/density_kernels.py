"""What `filters.density` counts, as numba kernels: terms, kinds of tokens, and signs of the raw text.

Shape legend: B bytes, N documents, T tokens, S states of the tree of terms. The slow twin is tests/naive_density.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.words import Int, Word, decode, inline, is_ascii_letter, jit

_U8 = npt.NDArray[np.uint8]
_I32 = npt.NDArray[np.int32]
_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_F64 = npt.NDArray[np.float64]

# Tree of terms: a bit for each hash that may begin one, the keys and targets of its edges (open addressing), and for
# each state its term or -1, that term's kind, and whether an edge leaves it.
Tree = tuple[_U64, _U64, _I32, _I32, _I32, _U8]

# Columns of the counts, behind one for each kind of term.
DISTINCT, NUMBER, LETTER, GUTTER, CJK, COMMAND, DELIMITER, SYMBOL, SCRIPT, BRACKET, QUOTE, OPERATOR = range(12)
SIGNS = 12

_STATE = np.uint64(0x9E3779B97F4A7C15)
_EDGE = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT = np.uint64(29)
_ONE = np.uint64(1)
_BIT = np.uint64(63)
_TABLES = 4  # of counts of bytes: an addition need not wait for the last one, of the same letter
_GUTTER_DIGITS = 6  # no listing has more lines than that


@inline
def _edge(state: Int, token: Int) -> Word:
    """The key of the edge from a state by a token; never 0."""
    value = (np.uint64(token) ^ (np.uint64(state) * _STATE)) * _EDGE
    return (value ^ (value >> _SHIFT)) | _ONE


@inline
def _target(tree: Tree, state: Int, token: Int) -> Int:
    """The state that the token leads to, or -1."""
    keys, targets = tree[1], tree[2]
    key = _edge(state, token)
    slot = np.int64(key >> _ONE) & (keys.size - 1)
    while keys[slot] != 0:
        if keys[slot] == key:
            return np.int64(targets[slot])
        slot = (slot + 1) & (keys.size - 1)
    return -1


@inline
def _place(begins: _U64, token: Int) -> Int:
    """Where the bit of a token's hash is."""
    return np.int64(token >> np.uint64(6)) & (begins.size - 1)


@jit
def grow(tree: Tree, hashes: _U64, term: Int, kind: Int, states: Int) -> Int:
    """The number of states after a term was entered, a sequence of token hashes; the root is state 0."""
    begins, keys, targets, terms, kinds, leads_on = tree
    begins[_place(begins, hashes[0])] |= _ONE << (hashes[0] & _BIT)
    state: Int = 0
    for number in range(hashes.size):
        token = hashes[number]
        found = _target(tree, state, token)
        if found < 0:
            key = _edge(state, token)
            slot = np.int64(key >> _ONE) & (keys.size - 1)
            while keys[slot] != 0:
                slot = (slot + 1) & (keys.size - 1)
            keys[slot], targets[slot], leads_on[state] = key, states, 1
            found = states
            states += 1
        state = found
    terms[state], kinds[state] = term, kind
    return states


@inline
def _count_terms(  # noqa: PLR0913, PLR0917 - numba takes arrays and scalars, by position
    hashes: _U64, start: Int, stop: Int, tree: Tree, seen: _I64, mark: Int, counted: int, counts: _F64
) -> None:
    """Adds the tokens of all terms, from left to right the longest first; the first `counted` kinds count once each."""
    begins, terms, kinds, leads_on = tree[0], tree[3], tree[4], tree[5]
    columns = counts.size - SIGNS
    at = start
    while at < stop:
        if begins[_place(begins, hashes[at])] >> (hashes[at] & _BIT) & _ONE == 0:
            at += 1
            continue
        state, ahead, best, length = np.int64(0), at, np.int64(-1), np.int64(0)
        while ahead < stop:
            state = _target(tree, state, hashes[ahead])
            if state < 0:
                break
            ahead += 1
            if terms[state] >= 0:
                best, length = state, ahead - at
            if leads_on[state] == 0:
                break
        if best >= 0:
            counts[kinds[best]] += length
            if kinds[best] < counted and seen[terms[best]] != mark:
                seen[terms[best]] = mark
                counts[columns + DISTINCT] += 1
        at += max(1, length)


@inline
def _whole_number(folded: _U8, begin: Int, end: Int) -> Int:
    """The value of a token of a few digits; -2 for any other."""
    if end - begin > _GUTTER_DIGITS:
        return -2
    value = np.int64(0)
    for at in range(begin, end):
        if not 0x30 <= folded[at] <= 0x39:
            return -2
        value = value * 10 + np.int64(folded[at]) - 0x30
    return value


@inline
def _count_tokens(folded: _U8, folded_ends: _I64, start: Int, stop: Int, signs: _F64) -> None:
    """Adds numbers, letters alone and ideographs; a number one larger than that before it numbers a line."""
    begin: Int = folded_ends[start - 1] if start > 0 else 0
    before: Int = -2
    for token in range(start, stop):
        end = folded_ends[token]
        first = np.int64(folded[begin])
        value: Int = -2
        if 0x30 <= first <= 0x39:
            value = _whole_number(folded, begin, end)
            signs[GUTTER if value >= 0 and value == before + 1 else NUMBER] += 1
        elif first >= 0x80:
            code, after = decode(folded, begin, end)
            if after == end:
                ideograph = 0x3005 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or code >= 0x20000
                signs[CJK if ideograph else LETTER] += 1
        elif end - begin == 1:
            signs[LETTER] += 1
        before = value
        begin = end


@inline
def _is_symbol(first: Int, second: Int) -> bool:
    """Whether two bytes begin an arrow, an operator, a Greek or a styled letter, a superscript or a subscript."""
    if first == 0xE2:
        return bool(0x86 <= second <= 0x8B or 0xA6 <= second <= 0xAB or second == 0x9F or 0x81 <= second <= 0x82)
    if first == 0xC2:
        return bool(second in (0xB1, 0xB2, 0xB3, 0xB9))  # ± ² ³ ¹
    if first == 0xC3:
        return bool(second in (0x97, 0xB7))  # × ÷
    return bool(first in (0xCE, 0xCF) or (first == 0xF0 and second == 0x9D))


@inline
def _count_signs(data: _U8, start: Int, stop: Int, classes: _U8, found: _I32, signs: _F64) -> None:
    """Adds commands, delimiters and symbols of formulas, scripts, brackets, quotes and operators.

    classes : uint8[256], 1 + the column of a byte's sign, or 0; found : int32[_TABLES * 256], overwritten.
    """
    for place in range(found.size):
        found[place] = 0
    for at in range(start, stop):
        byte = np.int64(data[at])
        found[(at % _TABLES) * 256 + byte] += 1
        kind = classes[byte]
        if COMMAND + 1 <= kind <= SYMBOL + 1:  # few bytes: the next one decides
            after = np.int64(data[at + 1]) if at + 1 < stop else np.int64(0)
            if byte == 0x5C:
                signs[COMMAND] += is_ascii_letter(after)
                signs[DELIMITER] += after in (0x28, 0x29, 0x5B, 0x5D)
            elif byte == 0x24:
                signs[DELIMITER] += after != 0x24  # of "$$" the second
            else:
                signs[SYMBOL] += _is_symbol(byte, after)
    for sign in range(256):
        if classes[sign] > SYMBOL + 1:
            for table in range(_TABLES):
                signs[np.int64(classes[sign]) - 1] += found[table * 256 + sign]


@jit
def count(
    data: _U8,
    offsets: _I64,
    token_arrays: tuple[_U64, _I64, _U8, _I64],
    tree: Tree,
    shape: tuple[int, int, int],
    classes: _U8,
) -> _F64:
    """float64[N, kinds + SIGNS]: what each document holds.

    data, offsets : of filters.text.Batch; token_arrays : hashes, offsets, folded, folded_ends of its Tokens;
    shape : kinds of terms, how many of them `DISTINCT` counts, terms.
    """
    hashes, token_offsets, folded, folded_ends = token_arrays
    kinds, counted, terms = shape
    counts = np.zeros((offsets.size - 1, kinds + SIGNS), np.float64)
    seen = np.full(terms, -1, np.int64)
    found = np.empty(_TABLES * 256, np.int32)
    for document in range(offsets.size - 1):
        start, stop = token_offsets[document], token_offsets[document + 1]
        _count_terms(hashes, start, stop, tree, seen, document, counted, counts[document])
        _count_tokens(folded, folded_ends, start, stop, counts[document, kinds:])
        _count_signs(data, offsets[document], offsets[document + 1], classes, found, counts[document, kinds:])
    return counts

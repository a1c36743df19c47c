"""Numba kernels of the longest common subsequence: bit-parallel, 64 tokens of the item at a time.

Shape legend: as in `decontam.kernels`; C pairs of an item and a text, W windows, S tokens of all items.
Not a library's: what is compared are token hashes in one array of the batch, thousands of short windows at a time, and
making a string for each of them costs ten times as much as comparing it.
Trap: numba recompiles a cached kernel when its own file changes, not when `kernels.py` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decontam.kernels import I64, U64, TokensOf, place
from filters.words import inner, jit, leaf

Int = Any  # int and np.int64 are one type to numba, and two to a type checker

_WORD = 64  # bits of a word


@leaf
def _slot(keys: U64, token: np.uint64) -> Int:
    """Where an open-addressing table of token hashes (a power of two long) has a token, or has room for it."""
    slot: Int = np.int64(token & np.uint64(keys.shape[0] - 1))
    while keys[slot] != token and keys[slot] != 0:
        slot = (slot + 1) & (keys.shape[0] - 1)
    return slot


@inner
def _masks(pattern: U64) -> tuple[U64, U64]:
    """(open-addressing table of the tokens of a pattern; for each, a row of bits: where in the pattern it stands).

    The rows of empty slots are 0, and so is that of a token whose hash is 0: one in 2**64.
    """
    size = 8
    while size < 2 * pattern.shape[0]:
        size *= 2
    keys = np.zeros(size, np.uint64)
    rows = np.zeros((size, (pattern.shape[0] + _WORD - 1) // _WORD), np.uint64)
    for token in range(pattern.shape[0]):
        if pattern[token] != 0:
            slot = _slot(keys, pattern[token])
            keys[slot] = pattern[token]
            rows[slot, token // _WORD] |= np.uint64(1) << np.uint64(token % _WORD)
    return keys, rows


@leaf
def _advance(state: U64, row: U64) -> Int:
    """1 if the common subsequence grows by a token of the text whose bits are `row`, else 0; moves `state`.

    Source: Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): V' = (V + (V & M)) | (V & ~M).
    The subsequence grows exactly when the addition carries out of the last word, whose spare bits are ones.
    """
    carry = np.uint64(0)
    for word in range(state.shape[0]):
        value = state[word]
        common = value & row[word]
        total = value + common
        carried = total < value
        total += carry
        carry = np.uint64(1) if carried or total < carry else np.uint64(0)
        state[word] = total | (value & ~row[word])
    return np.int64(carry)


@inner
def lcs(keys: U64, rows: U64, text: U64, most: int) -> tuple[int, int]:
    """(length of the longest common subsequence of a pattern and a text, tokens of the text read).

    keys, rows : from `_masks` of the pattern; reading stops once the length is `most`.
    """
    state = np.full(rows.shape[1], ~np.uint64(0), np.uint64)
    length = 0
    for token in range(text.shape[0]):
        slot = _slot(keys, text[token])
        if keys[slot] != 0:
            length += _advance(state, rows[slot])
            if length == most:
                return length, token + 1
    return length, text.shape[0]


@jit
def best_windows(
    hashes: U64, items: TokensOf, pair_items: I64, window_pairs: I64, begins: I64, ends: I64
) -> tuple[I64, I64]:
    """(the window with the highest ratio of each pair, the first among equals; its common subsequence).

    pair_items : int64[C]; window_pairs : int64[W], not falling, with every pair in it;
    begins, ends : int64[W] tokens of the batch. The ratio is over the shorter of window and item.
    """
    chosen = np.zeros(pair_items.shape[0], np.int64)
    lengths = np.zeros(pair_items.shape[0], np.int64)
    last_item, last_pair = np.int64(-1), np.int64(-1)
    keys, rows = _masks(hashes[:0])
    best_shorter = np.int64(1)
    for window in range(window_pairs.shape[0]):
        pair = window_pairs[window]
        item = pair_items[pair]
        item_tokens = items[1][item + 1] - items[1][item]
        if item != last_item:
            keys, rows = _masks(items[0][items[1][item] : items[1][item + 1]])
        shorter = min(item_tokens, ends[window] - begins[window])
        found, _ = lcs(keys, rows, hashes[begins[window] : ends[window]], item_tokens)
        if pair != last_pair or found * best_shorter > lengths[pair] * shorter:
            chosen[pair], lengths[pair], best_shorter = window, found, shorter
        last_item, last_pair = item, pair
    return chosen, lengths


@jit
def tight_spans(hashes: U64, items: TokensOf, pair_items: I64, begins: I64, ends: I64, lengths: I64) -> I64:
    """int64[C, 2]: of each window the tokens that end first with the LCS of the item, and of those start last.

    Both ends are matched tokens. An LCS has many alignments, and a library's choice among them may begin
    at a stray word far before the copy; this one depends on nothing but the texts.
    """
    spans = np.empty((pair_items.shape[0], 2), np.int64)
    for pair in range(pair_items.shape[0]):
        item = items[0][items[1][pair_items[pair]] : items[1][pair_items[pair] + 1]]
        text = hashes[begins[pair] : ends[pair]]
        keys, rows = _masks(item)
        _, last = lcs(keys, rows, text, lengths[pair])
        keys, rows = _masks(item[::-1].copy())
        _, size = lcs(keys, rows, text[:last][::-1].copy(), lengths[pair])
        spans[pair, 0], spans[pair, 1] = begins[pair] + last - size, begins[pair] + last
    return spans


@jit
def similarities(text: U64, words: U64, codes: I64, offsets: I64, least: int) -> I64:
    """Length of the longest common subsequence of a text with each item; 0 for items of fewer than `least` tokens.

    words : uint64[V] distinct tokens of the items, sorted; codes : int64[S] number of each token among them.
    """
    keys, rows = _masks(text)
    row_of = np.full(words.shape[0], -1, np.int64)
    for slot in range(keys.shape[0]):
        word = place(words, keys[slot]) if keys[slot] != 0 else -1
        if word >= 0:
            row_of[word] = slot
    found = np.zeros(offsets.shape[0] - 1, np.int64)
    state = np.empty(rows.shape[1], np.uint64)
    for item in range(found.shape[0]):
        if offsets[item + 1] - offsets[item] < least:
            continue
        state[:] = ~np.uint64(0)
        for token in range(offsets[item], offsets[item + 1]):
            row = row_of[codes[token]]
            if row >= 0:
                found[item] += _advance(state, rows[row])
    return found

"""Numba kernels about n-grams of token hashes: arrays and scalars in and out, no objects.

Shape legend: T tokens of a batch of N texts; G distinct n-grams of a table of the index, P its postings;
I items of the index with S tokens; K alignments, W windows and C pairs of an item and a text.
A kernel compiles on first use and is cached on disk; the arrays of an index are always read-only
and those of a batch always writable, so that no second version of a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.words import bucket_bits, inline, jit, leaf, load64

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Int = Any  # int and np.int64 are one type to numba, and two to a type checker

TokensOf = tuple[U64, I64]  # token hashes and offsets, of a batch or of the items

NO_NGRAM = 0  # the value of a token at which no n-gram starts
NUMBER = 0xD1B54A32D192ED03  # the hash that stands for every number where numbers are masked

# An n-gram's hash is that of its tokens as digits of a number with this base: every token has a weight of its own, so
# that their order counts, and a step costs an addition. Token hashes are well mixed, and so is each bit of their sum.
_BASE = np.uint64(3)


@inline
def ngram_sum(hashes: U64, start: Int, ngram: Int) -> np.uint64:
    """The sum of the tokens of the n-gram at `start`, each with the weight of its place."""
    value = np.uint64(0)
    for token in range(start, start + ngram):
        value = value * _BASE + load64(hashes, token)
    return value


@inline
def rolled_sum(value: np.uint64, hashes: U64, start: Int, ngram: Int, weight: np.uint64) -> np.uint64:
    """The sum of the n-gram behind that at `start`, whose sum is `value`; weight : from `first_weight`."""
    first, entering = np.uint64(load64(hashes, start)), np.uint64(load64(hashes, start + ngram))
    return (value - first * weight) * _BASE + entering


@inline
def first_weight(ngram: Int) -> np.uint64:
    """The weight of the first token of an n-gram."""
    weight = np.uint64(1)
    for _ in range(ngram - 1):
        weight *= _BASE
    return weight


@inline
def as_hash(value: np.uint64) -> np.uint64:
    """The 64-bit hash of an n-gram with this sum, never `NO_NGRAM`."""
    return max(value, np.uint64(NO_NGRAM + 1))


@jit
def roll(hashes: U64, offsets: I64, ngram: int) -> U64:
    """The 64-bit hash of the n-gram that starts at each token; `NO_NGRAM` where the text ends before.

    hashes : uint64[T] token hashes; offsets : int64[N + 1] token range of each text; ngram >= 1.
    """
    rolled = np.zeros(hashes.shape[0], np.uint64)
    for text in range(offsets.shape[0] - 1):
        for start in range(offsets[text], offsets[text + 1] - ngram + 1):
            rolled[start] = as_hash(ngram_sum(hashes, start, ngram))
    return rolled


@jit
def mask(hashes: U64, numbers: Flags) -> U64:
    """The token hashes, with `NUMBER` in the place of each that is flagged as a number."""
    masked = np.empty_like(hashes)
    for token in range(hashes.shape[0]):
        masked[token] = np.uint64(NUMBER) if numbers[token] else hashes[token]
    return masked


@jit
def mask_numbers(hashes: U64, folded: U8, folded_ends: I64) -> U64:
    """The token hashes, with `NUMBER` in the place of each token that is a number; see `filters.text.Tokens`."""
    masked = hashes.copy()
    begin = np.int64(0)
    for token in range(hashes.shape[0]):
        if np.uint8(folded[begin] - np.uint8(48)) < 10:
            masked[token] = np.uint64(NUMBER)
        begin = folded_ends[token]
    return masked


@jit
def has_words(masked: U64, starts: I64, ngram: int, least: int) -> Flags:
    """Whether each n-gram at `starts` has `least` different tokens that are no number; masked : from `mask_numbers`."""
    told = np.zeros(starts.shape[0], np.bool_)
    for at in range(starts.shape[0]):
        count = 0
        for token in range(starts[at], starts[at] + ngram):
            if count >= least:
                break
            new = masked[token] != np.uint64(NUMBER)
            for other in range(starts[at], token):
                new &= masked[other] != masked[token]
            count += new
        told[at] = count >= least
    return told


@inline
def two_bits(value: np.uint64) -> np.uint64:
    """The two bits of a word of a bitmap that stand for a hash: from its high bits, as the word is from its low."""
    return (np.uint64(1) << (value >> np.uint64(58))) | (np.uint64(1) << ((value >> np.uint64(52)) & np.uint64(63)))


@jit
def make_bitmap(ngrams: U64, words: int) -> U64:
    """A Bloom filter of n-gram hashes, two bits of one word each; `words` is a power of two.

    One memory access answers, and two bits let through a tenth of what one bit would.
    """
    bitmap = np.zeros(words, np.uint64)
    for value in ngrams:
        bitmap[value & np.uint64(words - 1)] |= two_bits(value)
    return bitmap


@inline
def may_hold(bitmap: U64, value: np.uint64) -> bool:
    """Whether a Bloom filter holds a hash; if it does not, nothing does."""
    bits = two_bits(value)
    return bool(load64(bitmap, np.int64(value & np.uint64(bitmap.size - 1))) & bits == bits)


@jit
def make_directory(ngrams: U64, buckets: int) -> I32:
    """int32[buckets + 1]: where in sorted hashes those begin whose high bits are a number or more."""
    shift = np.uint64(64 - bucket_bits(buckets))
    directory = np.empty(buckets + 1, np.int32)
    bucket = 0
    for at in range(ngrams.shape[0]):
        while bucket <= np.int64(ngrams[at] >> shift):
            directory[bucket] = at
            bucket += 1
    directory[bucket:] = ngrams.shape[0]
    return directory


@leaf
def place(table: U64, value: np.uint64) -> int:
    """Where a sorted table has `value`; -1 if it has not."""
    left, right = 0, table.shape[0]
    while left < right:
        middle = (left + right) >> 1
        if table[middle] < value:
            left = middle + 1
        else:
            right = middle
    return left if left < table.shape[0] and table[left] == value else -1

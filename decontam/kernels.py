"""Numba kernels of the anchor search: arrays and scalars in and out, no objects.

Shape legend: T tokens of a batch of N texts; G distinct n-grams of the index.
A kernel compiles on first use and is cached on disk; the arrays of an index are always read-only
and those of a batch always writable, so that no second version of a kernel is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

_F = TypeVar("_F", bound=Callable[..., Any])

NO_NGRAM = 0  # the value of a token at which no n-gram starts

# Multiplier of the rolling hash (odd, so that it keeps the information of every token) and the two
# of the finaliser: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014), mix64.
_ROLL = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _njit(function: _F) -> _F:
    return cast(_F, numba.njit(cache=True, nogil=True)(function))


@_njit
def roll(hashes: U64, offsets: I64, ngram: int) -> U64:
    """The 64-bit hash of the n-gram that starts at each token; `NO_NGRAM` where the text ends before.

    hashes : uint64[T] token hashes; offsets : int64[N + 1] token range of each text; ngram >= 1.
    Polynomial hash modulo 2**64, then mixed. O(T) time for every `ngram`.
    """
    rolled = np.zeros(hashes.shape[0], dtype=np.uint64)
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= _ROLL
    for text in range(offsets.shape[0] - 1):
        value = np.uint64(0)
        first = offsets[text]
        for token in range(first, offsets[text + 1]):
            value = value * _ROLL + hashes[token]
            start = token - ngram + 1
            if start > first:
                value -= leaving * hashes[start - 1]
            if start >= first:
                mixed = value
                mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
                mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
                mixed ^= mixed >> np.uint64(31)
                rolled[start] = max(mixed, np.uint64(NO_NGRAM + 1))
    return rolled


@_njit
def make_bitmap(ngrams: U64, bits: int) -> U8:
    """A bitmap of `bits` bits (a power of two, at least 8) with the low bits of each n-gram hash set."""
    bitmap = np.zeros(bits // 8, dtype=np.uint8)
    mask = np.uint64(bits - 1)
    for value in ngrams:
        low = value & mask
        bitmap[low >> np.uint64(3)] |= np.uint8(1) << np.uint8(low & np.uint64(7))
    return bitmap


@_njit
def probe(rolled: U64, bitmap: U8, table: U64, capacity: int) -> tuple[int, I64, I64]:
    """(hits, token of each, n-gram of each): where a batch has an n-gram hash of the index.

    rolled : from `roll`; bitmap : from `make_bitmap` of table : uint64[G], sorted.
    At most `capacity` hits are written, all are counted. The bitmap answers nearly every token
    with one memory access; the rest costs a binary search.
    """
    tokens = np.empty(capacity, dtype=np.int64)
    ngrams = np.empty(capacity, dtype=np.int64)
    mask = np.uint64(bitmap.shape[0] * 8 - 1)
    hits = 0
    for token in range(rolled.shape[0]):
        value = rolled[token]
        low = value & mask
        if value == NO_NGRAM or not (bitmap[low >> np.uint64(3)] >> np.uint8(low & np.uint64(7))) & 1:
            continue
        left, right = 0, table.shape[0]
        while left < right:
            middle = (left + right) >> 1
            if table[middle] < value:
                left = middle + 1
            else:
                right = middle
        if left < table.shape[0] and table[left] == value:
            if hits < capacity:
                tokens[hits] = token
                ngrams[hits] = left
            hits += 1
    return hits, tokens[: min(hits, capacity)], ngrams[: min(hits, capacity)]

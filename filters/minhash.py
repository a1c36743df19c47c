"""MinHash signatures of token n-grams, for near-duplicate search by bands (locality-sensitive hashing).

A signature holds, for each of bands * rows permutations of the 32-bit numbers, the smallest image of a
document's shingles, so that the share of equal slots estimates the Jaccard similarity J of two sets of
shingles, with a standard error of sqrt(J (1 - J) / slots). Two documents are candidates when a whole
band is equal, which happens with probability 1 - (1 - J**rows)**bands: 14 bands of 8 rows, FineWeb's
choice, find 92 % of the pairs of J = 0.8 and 5 % of those of J = 0.5. All permutations are kept: as
compiled loops they cost no more than one-permutation hashing, and the probabilities stay exact. They come
from a generator of ours, so that no library's next version changes a signature.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.errors import RecipeError
from filters.text import Tokens
from filters.words import jit, read_only

__all__ = [
    "EMPTY_SLOT",
    "MINHASH_VERSION",
    "MinHashParams",
    "ShingleSets",
    "band_keys",
    "shingle_sets",
    "signatures",
    "similarity",
]

MINHASH_VERSION = "minhash-1"
EMPTY_SLOT = 0xFFFFFFFF  # every slot of a document without tokens

_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
_I32 = npt.NDArray[np.int32]
_I64 = npt.NDArray[np.int64]

# Golden-ratio increment and finaliser of splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom
# number generators" (2014). The increment, being odd, is also the base of the rolling hash.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)

_BLOCK = 2048  # shingles that pass under all permutations at a time: 8 KiB stay in the first-level cache


@dataclass(frozen=True, slots=True)
class MinHashParams:
    """Shape and seed of the signatures; those of different parameters cannot be compared.

    Raises RecipeError for a number out of range.
    """

    bands: int = 14
    rows: int = 8
    ngram: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("bands", "rows", "ngram"):
            if getattr(self, name) < 1:
                msg = f"minhash {name} must be at least 1, not {getattr(self, name)!r}"
                raise RecipeError(msg)
        if not 0 <= self.seed < 1 << 64:
            msg = f"minhash seed must be from 0 to 2**64 - 1, not {self.seed!r}"
            raise RecipeError(msg)

    @property
    def slots(self) -> int:
        """Number of permutations, and of slots in a signature."""
        return self.bands * self.rows


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """The distinct shingles of N documents: document i has values[offsets[i]:offsets[i + 1]].

    values : uint32[S], ascending within a document; offsets : int64[N + 1].
    """

    values: _U32
    offsets: _I64


def signatures(tokens: Tokens, params: MinHashParams) -> tuple[_U32, _I32]:
    """The signatures, uint32[N, slots], and the number of shingles, int32[N], of N documents.

    A shingle is counted as often as it comes. A document of 1 to ngram - 1 tokens has one shingle of them all;
    one without tokens has 0, and `EMPTY_SLOT` everywhere: leave it out, or all such are each other's duplicates.
    """
    factors, terms = _permutations(params)
    return _signatures(read_only(tokens.hashes), read_only(tokens.offsets), params.ngram, factors, terms)


def shingle_sets(tokens: Tokens, params: MinHashParams) -> ShingleSets:
    """The sets of the shingles that `signatures` permutes, of N documents: what an exact Jaccard is counted from."""
    return ShingleSets(*_shingle_sets(read_only(tokens.hashes), read_only(tokens.offsets), params.ngram))


def band_keys(found: _U32, params: MinHashParams) -> _U64:
    """A key for each band of each signature, uint64[N, bands]: equal keys make a candidate pair.

    found : uint32[N, slots]. The number of the band goes into its key, so keys of all bands can share a table.
    """
    rows = found.reshape(len(found), params.bands, params.rows).astype(np.uint64)
    keys = np.tile(np.arange(1, params.bands + 1, dtype=np.uint64), (len(found), 1))
    for row in range(params.rows):
        keys = _mixed(keys * _GAMMA ^ rows[:, :, row])
    return keys


def similarity(a: _U32, b: _U32) -> npt.NDArray[np.float64]:
    """The share of equal slots, float64[...], of signatures uint32[..., slots]: the estimated Jaccard.

    Doubles, since engines compare them with thresholds that are doubles: 0.7 as a float32 is below 0.7.
    """
    return np.asarray(np.mean(a == b, axis=-1, dtype=np.float64))


def _mixed(state: _U64) -> _U64:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


@functools.cache
def _permutations(params: MinHashParams) -> tuple[_U32, _U32]:
    """Odd factors and terms of x -> factor * x + term modulo 2**32, uint32[slots] each, from splitmix64."""
    steps = np.arange(1, 2 * params.slots + 1, dtype=np.uint64)
    drawn = (_mixed(np.uint64(params.seed) + steps * _GAMMA) >> _HALF).astype(np.uint32)
    return read_only(drawn[0::2] | np.uint32(1)), read_only(drawn[1::2].copy())


@jit
def _signatures(hashes: _U64, offsets: _I64, ngram: int, factors: _U32, terms: _U32) -> tuple[_U32, _I32]:
    """See `signatures`. hashes : uint64[T]; offsets : int64[N + 1]; factors, terms : uint32[slots].

    A shingle is the polynomial in _GAMMA of its token hashes modulo 2**64, rolled, then mixed to 32 bits.
    """
    documents = offsets.size - 1
    found = np.full((documents, factors.size), EMPTY_SLOT, np.uint32)
    counts = np.zeros(documents, np.int32)
    shingles = np.empty(_BLOCK, np.uint32)
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= _GAMMA
    for document in range(documents):
        first, last = offsets[document], offsets[document + 1]
        width = min(ngram, last - first)
        value, held = np.uint64(0), 0
        for token in range(first, last):
            value = value * _GAMMA + hashes[token]
            if token - first >= width:
                value -= leaving * hashes[token - width]
            if token - first >= width - 1:
                shingles[held] = np.uint32(((value ^ (value >> _HALF)) * _MIX_1) >> _HALF)
                held += 1
            if held == _BLOCK or token == last - 1:
                _lower(found[document], shingles[:held], factors, terms)
                counts[document] += held
                held = 0
    return found, counts


@jit
def _lower(slots: _U32, shingles: _U32, factors: _U32, terms: _U32) -> None:
    """Lowers each slot to the smallest image of the shingles under its permutation, in place."""
    for slot in range(slots.size):
        factor, term, least = factors[slot], terms[slot], slots[slot]
        for index in range(shingles.size):  # numba does not vectorise `for shingle in shingles`
            least = min(least, np.uint32(factor * shingles[index] + term))
        slots[slot] = least


@jit
def _shingle_sets(hashes: _U64, offsets: _I64, ngram: int) -> tuple[_U32, _I64]:
    """See `shingle_sets`."""
    values = np.empty(hashes.size, np.uint32)
    borders = np.zeros(offsets.size, np.int64)
    put = 0
    for document in range(offsets.size - 1):
        first, last = offsets[document], offsets[document + 1]
        held = _shingles(hashes, first, last, ngram, values, put)
        found = np.sort(values[put : put + held])
        for index in range(held):
            if index == 0 or found[index] != found[index - 1]:
                values[put] = found[index]
                put += 1
        borders[document + 1] = put
    return values[:put].copy(), borders


@jit
def _shingles(hashes: _U64, first: int, last: int, ngram: int, out: _U32, put: int) -> int:
    """The number of the shingles of hashes[first:last], written to out[put:]."""
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= _GAMMA
    width = min(ngram, last - first)
    value, held = np.uint64(0), 0
    for token in range(first, last):
        value = value * _GAMMA + hashes[token]
        if token - first >= width:
            value -= leaving * hashes[token - width]
        if token - first >= width - 1:
            out[put + held] = np.uint32(((value ^ (value >> _HALF)) * _MIX_1) >> _HALF)
            held += 1
    return held

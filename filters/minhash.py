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
from filters.minhash_intrinsics import LANES, lower_slots
from filters.text import Tokens
from filters.words import inline, jit, leaf, read_only

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
_Signatures = tuple[_U32, _I32]

# Golden-ratio increment and finaliser of splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom
# number generators" (2014). The increment, being odd, is also the base of the rolling hash.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)

_BLOCK = 1024  # shingles that pass under all permutations at a time: with their sums 12 KiB, of the first-level cache


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
    hashes, offsets = read_only(tokens.hashes), read_only(tokens.offsets)
    return _signatures(hashes, offsets, params.ngram, params.slots, _permutations(params))


def shingle_sets(tokens: Tokens, params: MinHashParams) -> ShingleSets:
    """The sets of the shingles that `signatures` permutes, of N documents: what an exact Jaccard is counted from."""
    return ShingleSets(*_shingle_sets(read_only(tokens.hashes), read_only(tokens.offsets), params.ngram))


def band_keys(found: _U32, params: MinHashParams) -> _U64:
    """A key for each band of each signature, uint64[N, bands]: equal keys make a candidate pair.

    found : uint32[N, slots]. The number of the band goes into its key, so keys of all bands can share a table.
    """
    return _band_keys(read_only(np.ascontiguousarray(found, np.uint32)), params.bands, params.rows)


def similarity(a: _U32, b: _U32) -> npt.NDArray[np.float64]:
    """The share of equal slots, float64[...], of signatures uint32[..., slots]: the estimated Jaccard.

    Doubles, since engines compare them with thresholds that are doubles: 0.7 as a float32 is below 0.7.
    """
    return np.asarray(np.mean(a == b, axis=-1, dtype=np.float64))


def _mixed(state: _U64) -> _U64:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


_mix = inline(_mixed)  # of single words, in kernels


@functools.cache
def _permutations(params: MinHashParams) -> tuple[_U32, _U32]:
    """Odd factors and terms of x -> factor * x + term modulo 2**32, from splitmix64; uint32[slots, rounded up] each."""
    steps = np.arange(1, 2 * params.slots + 1, dtype=np.uint64)
    drawn = (_mixed(np.uint64(params.seed) + steps * _GAMMA) >> _HALF).astype(np.uint32)
    drawn = np.append(drawn, np.zeros(2 * (-params.slots % LANES), np.uint32))
    return read_only(drawn[0::2] | np.uint32(1)), read_only(drawn[1::2].copy())


@jit
def _signatures(hashes: _U64, offsets: _I64, ngram: int, slots: int, permutations: tuple[_U32, _U32]) -> _Signatures:
    """See `signatures`. hashes : uint64[T]; offsets : int64[N + 1]; permutations : factors and terms."""
    found = np.empty((offsets.size - 1, slots), np.uint32)
    counts = np.zeros(offsets.size - 1, np.int32)
    shingles, sums = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint64)
    least = np.empty(permutations[0].size, np.uint32)
    for document in range(offsets.size - 1):
        first, last = offsets[document], offsets[document + 1]
        least[:] = EMPTY_SLOT
        for begin in range(first, max(last - ngram, first) + (last > first), _BLOCK):
            count = _shingles(hashes[begin : min(begin + _BLOCK + ngram - 1, last)], ngram, sums, shingles)
            counts[document] += count
            for slot in range(0, least.size, LANES):
                lower_slots(least, slot, shingles, count, permutations)
        for slot in range(slots):  # no slice: see kernels._doubled
            found[document, slot] = least[slot]
    return found, counts


@leaf
def _shingles(tokens: _U64, ngram: int, sums: _U64, out: _U32) -> int:
    """The number of shingles of some tokens, at least one, written to `out`.

    A shingle is the polynomial in _GAMMA of its token hashes modulo 2**64, mixed to 32 bits. Rolled along the text each
    would wait for the one before; here all wait for nothing, and the compiler makes vectors of them.
    sums : uint64[at least as many], overwritten.
    """
    ngram = min(ngram, tokens.size)
    count = tokens.size - ngram + 1
    sums, out = sums[:count], out[:count]
    for i in range(count):
        sums[i] = tokens[i]
    power = 1
    while power + 4 <= ngram:  # four tokens in one pass over the sums
        a, b, c, d = tokens[power:], tokens[power + 1 :], tokens[power + 2 :], tokens[power + 3 :]
        for i in range(count):
            sums[i] = (((sums[i] * _GAMMA + a[i]) * _GAMMA + b[i]) * _GAMMA + c[i]) * _GAMMA + d[i]
        power += 4
    while power < ngram:
        following = tokens[power:]
        for i in range(count):
            sums[i] = sums[i] * _GAMMA + following[i]
        power += 1
    for i in range(count):
        out[i] = np.uint32(((sums[i] ^ (sums[i] >> _HALF)) * _MIX_1) >> _HALF)
    return count


@jit
def _shingle_sets(hashes: _U64, offsets: _I64, ngram: int) -> tuple[_U32, _I64]:
    """See `shingle_sets`."""
    values, borders = np.empty(hashes.size, np.uint32), np.zeros(offsets.size, np.int64)
    longest = np.int64(0)
    for document in range(offsets.size - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    shingles, sums = np.empty(longest, np.uint32), np.empty(_BLOCK, np.uint64)
    spread, ends = np.empty(longest, np.uint32), np.empty(2 * longest + 2, np.int32)
    for document in range(offsets.size - 1):
        first, last = offsets[document], offsets[document + 1]
        count = 0
        for begin in range(first, max(last - ngram, first) + (last > first), _BLOCK):
            count += _shingles(hashes[begin : min(begin + _BLOCK + ngram - 1, last)], ngram, sums, shingles[count:])
        put = borders[document]
        borders[document + 1] = put + _distinct(shingles[:count], spread, ends, values[put:])
    return values[: borders[-1]], borders


@leaf
def _distinct(shingles: _U32, spread: _U32, ends: _I32, out: _U32) -> int:
    """How many shingles are distinct, written to `out` in ascending order. O(n) time, since they are hashes.

    The upper bits say where a shingle goes, to within a few places; insertion does the rest, and drops repeats.
    spread : uint32[n]; ends : int32[2 n + 2], where the buckets end so far; both are overwritten.
    """
    bits = 0
    while 1 << bits < shingles.size:
        bits += 1
    shift = np.uint64(32 - bits)
    for i in range((1 << bits) + 1):
        ends[i] = 0
    for shingle in shingles:
        ends[(np.uint64(shingle) >> shift) + np.uint64(1)] += 1
    for i in range(1 << bits):
        ends[i + 1] += ends[i]
    for shingle in shingles:
        bucket = np.uint64(shingle) >> shift
        spread[ends[bucket]] = shingle
        ends[bucket] += 1
    put = 0
    for index in range(shingles.size):
        shingle, place = spread[index], put
        while place > 0 and out[place - 1] > shingle:
            place -= 1
        if place > 0 and out[place - 1] == shingle:
            continue
        for moved in range(put, place, -1):
            out[moved] = out[moved - 1]
        out[place] = shingle
        put += 1
    return put


@jit
def _band_keys(found: _U32, bands: int, rows: int) -> _U64:
    """See `band_keys`."""
    keys = np.empty((found.shape[0], bands), np.uint64)
    for document in range(found.shape[0]):
        slots, own = found[document], keys[document]
        for band in range(bands):
            own[band] = band + 1
        for row in range(rows):
            for band in range(bands):
                own[band] = _mix(own[band] * _GAMMA ^ np.uint64(slots[band * rows + row]))
    return keys

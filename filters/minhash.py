"""MinHash signatures of batches of tokenised documents, and the bands that near duplicates share.

A shingle is `ngram` consecutive tokens, its hash rolled over their hashes; a slot holds the least of an affine function
of the shingle hashes, modulo 2**32 (Broder 1997). All permutations are kept rather than one-permutation hashing: at
compiled speed they cost no more, and bands then have the textbook probability 1 - (1 - J**rows)**bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.errors import UsageError
from filters.kernels import jit
from filters.text import Tokens

MINHASH_VERSION = "minhash-1"
EMPTY_SLOT = 0xFFFFFFFF  # every slot of a document without tokens

_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_MASK = (1 << 64) - 1
_BASE = np.uint64(0xD6E8FEB86659FD93)  # odd, so that rolling a token out is exact modulo 2**64
_MIX = np.uint64(0x9E3779B97F4A7C15)
_BAND_START = np.uint64(0x2545F4914F6CDD1D)


@dataclass(frozen=True, slots=True)
class MinHashParams:
    """Bands of the signature, slots of a band, tokens of a shingle, seed of the permutations."""

    bands: int = 14
    rows: int = 8
    ngram: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse values that make no signature."""
        for name in ("bands", "rows", "ngram"):
            if getattr(self, name) < 1:
                msg = f"MinHash: {name} must be 1 or more, not {getattr(self, name)}"
                raise UsageError(msg)

    @property
    def slots(self) -> int:
        """Slots of a signature."""
        return self.bands * self.rows


def splitmix64(seed: int, count: int) -> list[int]:
    """The first `count` numbers of SplitMix64 (Steele, Lea and Flood 2014); ours, so that no library moves them."""
    found = []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & _MASK
        word = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
        found.append(word ^ (word >> 31))
    return found


def permutations(params: MinHashParams) -> tuple[_U32, _U32]:
    """(factors, odd; terms): uint32[slots] each."""
    words = np.array(splitmix64(params.seed, 2 * params.slots), np.uint64)
    factors, terms = words[: params.slots], words[params.slots :]
    return (factors >> np.uint64(32)).astype(np.uint32) | np.uint32(1), (terms >> np.uint64(32)).astype(np.uint32)


def signatures(tokens: Tokens, params: MinHashParams) -> tuple[_U32, npt.NDArray[np.int32]]:
    """(uint32[N, slots], int32[N] shingles of each document, repeated ones counted).

    A document of fewer than `ngram` tokens has one shingle of them all; one without tokens has EMPTY_SLOT throughout.
    """
    factors, terms = permutations(params)
    found = np.full((tokens.offsets.size - 1, params.slots), EMPTY_SLOT, np.uint32)
    counts = np.zeros(tokens.offsets.size - 1, np.int32)
    _sign(tokens.hashes, tokens.offsets, params.ngram, factors, terms, found, counts)
    return found, counts


def band_keys(found: _U32, params: MinHashParams) -> _U64:
    """uint64[N, bands]: a hash of the slots of each band; documents that share one are candidates."""
    slots = found.reshape(-1, params.bands, params.rows).astype(np.uint64)
    keys = np.full(slots.shape[:2], _BAND_START, np.uint64)
    for row in range(params.rows):
        keys = (keys ^ slots[:, :, row]) * _MIX
        keys ^= keys >> np.uint64(29)
    return keys


def similarity(first: _U32, second: _U32) -> npt.NDArray[np.float64]:
    """float64[P]: share of equal slots of P pairs of signatures, the estimate of their Jaccard similarity."""
    if not len(first):
        return np.zeros(0)
    return np.asarray((first == second).sum(axis=1) / first.shape[1])


@jit
def _sign(  # noqa: PLR0913, PLR0917 - numba takes arrays, not objects
    hashes: _U64, offsets: _I64, ngram: int, factors: _U32, terms: _U32, found: _U32, counts: Any
) -> None:
    power = np.uint64(1)
    for _ in range(ngram):
        power *= _BASE
    for doc in range(offsets.size - 1):
        begin, end = offsets[doc], offsets[doc + 1]
        least = min(ngram, end - begin)
        rolled = np.uint64(0)
        for at in range(begin, end):
            rolled = rolled * _BASE + hashes[at]
            if at - begin >= ngram:
                rolled -= hashes[at - ngram] * power
            if at - begin >= least - 1:
                shingle = np.uint32(((rolled ^ (rolled >> np.uint64(32))) * _MIX) >> np.uint64(32))
                counts[doc] += 1
                for slot in range(factors.size):
                    value = np.uint32(factors[slot] * shingle + terms[slot])
                    found[doc, slot] = min(value, found[doc, slot])

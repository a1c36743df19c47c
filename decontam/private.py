"""Keyed hashes in the place of token hashes: an index that finds its benchmark without showing it.

The key comes from the items themselves: the same items give the same file, and who has neither file nor benchmark has
no key. It stands in the file, since whoever scans needs it. So the words can be tried one after the other by whoever
holds the file; docs/decisions.md says why nothing that scans as exactly can prevent that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, replace

import numpy as np

from decontam.benchmarks import Item
from decontam.kernels import U64
from filters.text import Tokens
from filters.words import jit

KEY_BYTES = 16
SHOWN_INSTEAD = "the index holds keyed hashes of this item and not its text"  # why evidence has no text

# Odd, with about half of their bits set: multiplication by one is a bijection that carries low bits to high ones.
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFT = 31  # carries high bits to low ones


def derive_key(items: Sequence[Item]) -> bytes:
    """The key of the private index of `items`, KEY_BYTES long; they are given in their order."""
    told = json.dumps([astuple(item) for item in items])  # ASCII: a text may hold a lone surrogate
    return hashlib.blake2b(told.encode("ascii"), digest_size=KEY_BYTES).digest()


def keyed(tokens: Tokens, key: bytes) -> Tokens:
    """The tokens with hashes under `key`; as they are where there is none.

    The mark of masked numbers is put over them as over any others: it would tell no less under the key, since the two
    arrays of a segment differ just where a number stands.
    """
    if not key:
        return tokens
    first, second = np.frombuffer(key, dtype="<u8")
    return replace(tokens, hashes=mix(tokens.hashes, first, second))


@jit
def mix(hashes: U64, first: np.uint64, second: np.uint64) -> U64:
    """Each hash under a key of two words. A bijection: hashes are equal before where they are after.

    So what an index of mixed hashes finds, down to the last ratio, is what one of plain hashes finds.
    """
    mixed = np.empty_like(hashes)
    for token in range(hashes.shape[0]):
        value = hashes[token] ^ first
        for factor in _FACTORS:
            value = (value ^ (value >> np.uint64(_SHIFT))) * np.uint64(factor) + second
        mixed[token] = value ^ (value >> np.uint64(_SHIFT))
    return mixed

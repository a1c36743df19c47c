"""Candidate pairs, proven similarities and digests for deduplication: facts about a set of documents.

Shape legend: N documents, P pairs, E edges, S shingles, T tokens. Documents are numbered by rank, the best has 0, so
that of a pair the smaller number is the better document. Everything here depends only on that order, and what it says
of the first documents stays when others follow. The slow twins are in tests/naive_dedup.py.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import xxhash

from filters.text import Tokens, token_hash
from filters.words import Int, Word, absorb, bucket_bits, finish, inner, jit, leaf, prefetch, read_only

__all__ = ["bucket_pairs", "content_digests", "first_kept", "jaccards", "masked_digests"]

_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_F64 = npt.NDArray[np.float64]
_Links = tuple[_I64, _I64, _I64]  # after, last, count
_Flags = npt.NDArray[np.bool_]

_OPERATORS = "+-*/=<>"  # those of `filters.text`
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: the upper bits of a product depend on all of the key
_NONE = np.uint64(0)
_ONE = np.uint64(1)
_AHEAD = 16  # documents between the fetch of a slot and its use
_LOOK = 64  # elements of a set between two looks at whether a pair can still be near enough


def bucket_pairs(keys: _U64, cap: int, hubs: int, first: int = 0) -> tuple[_I64, int]:
    """The pairs to compare within the buckets of one band, int64[P, 2], and how many others there are.

    keys : uint64[N]; documents with equal keys m_0 < m_1 < ... share a bucket, where m_p is compared with all before it
    if p <= cap, else with the first `hubs` and with m_(p-1). Each pair comes once, as (better, worse), sorted by
    (worse, better).
    first : only pairs whose worse member is not below it are given and counted.
    O(N + P) time; 16 to 32 bytes a document beside the pairs, and 24 for each that shares a bucket.
    """
    size = 1 << max(1, (2 * keys.size - 1).bit_length())  # at most half full
    after, last, count = (np.empty(keys.size, np.int64) for _ in range(3))
    table = np.zeros(size, np.uint64)
    pairs, skipped = _bucket_pairs(read_only(keys), (cap, hubs), first, table, (after, last, count))
    return pairs, int(skipped)


def jaccards(values: _U32, offsets: _I64, pairs: _I64, least: float = 0.0) -> _F64:
    """The Jaccard similarity of the two sets of each pair, float64[P], exact; of two empty sets 0.

    values : uint32[S], offsets : int64[N + 1], the sets as in `filters.minhash.ShingleSets`; pairs : int64[P, 2].
    least : of a pair that is below it the answer may be 0 instead, which takes less time.
    O(sizes of both sets) a pair.
    """
    return _jaccards(read_only(values), read_only(offsets), read_only(pairs), least)


def first_kept(edges: _I64, kept: _Flags, first: int = 0) -> _I64:
    """For each document the best kept one that it is a duplicate of, int64[n]; -1 where there is none.

    A document is removed when a better neighbour of it is kept: the lexicographically first maximal independent set.
    edges : int64[E, 2] as (better, worse), sorted by (worse, better). kept : bool[n], changed in place: False on entry
    means that a document was removed before, so that nothing goes because of it; the fate of those before `first` is
    only read, and their answer is -1. O(E + n) time.
    """
    return _first_kept(read_only(edges), kept, first)


def masked_digests(tokens: Tokens, limit: int) -> _U64:
    """A digest of each document's tokens without numbers and operators, uint64[N], equal for siblings.

    tokens : found with operators and numbers. 0 for a document of more than `limit` tokens, for one without any number
    or operator, and for one with nothing else; never 0 otherwise.
    """
    operators = np.array([token_hash(sign) for sign in _OPERATORS], np.uint64)
    hashes, numbers, offsets = read_only(tokens.hashes), read_only(tokens.numbers), read_only(tokens.offsets)
    return _masked_digests(hashes, numbers, offsets, read_only(operators), limit)


def content_digests(tokens: Tokens) -> _U64:
    """The 128-bit digest of each document's tokens in their order, uint64[N, 2]: (upper, lower) half.

    XXH3 over the token hashes as little-endian bytes, the same on every machine.
    """
    data = np.ascontiguousarray(tokens.hashes, "<u8").view(np.uint8).data
    digests = [xxhash.xxh3_128_digest(data[a:b]) for a, b in itertools.pairwise((8 * tokens.offsets).tolist())]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64).reshape(-1, 2)


@inner
def _doubled(pairs: _I64) -> _I64:
    larger = np.empty((2 * pairs.shape[0], 2), np.int64)
    for at in range(pairs.shape[0]):  # no slice: see kernels._doubled
        larger[at, 0], larger[at, 1] = pairs[at, 0], pairs[at, 1]
    return larger


@jit
def _bucket_pairs(keys: _U64, caps: tuple[Int, Int], first: Int, table: _U64, links: _Links) -> tuple[_I64, Int]:
    """See `bucket_pairs`. Of a bucket, its first member holds the last one and their number; `after` links them.

    table : uint64[power of 2], zeros; a slot holds the first member + 1 of a bucket, below upper bits of the key.
    links : int64[N] each, of which only those of documents that share a bucket are touched.
    """
    after, last, count = links
    cap, hubs = caps
    low = _ONE
    while low <= np.uint64(keys.size):
        low <<= _ONE
    low -= _ONE
    shift = np.uint64(64)
    for _ in range(bucket_bits(table.size)):
        shift -= _ONE
    pairs = np.empty((max(16, keys.size // 8), 2), np.int64)
    put, skipped = 0, 0
    for worse in range(keys.size):
        if worse + _AHEAD < keys.size:
            prefetch(table, np.int64(keys[worse + _AHEAD] * _SPREAD >> shift))
        head = _head(keys, worse, table, shift, low)
        if head == worse:
            last[worse], count[worse] = worse, 1
            continue
        rank, before = int(count[head]), int(last[head])
        after[before] = worse
        last[head], count[head] = worse, rank + 1
        if worse < first:
            continue
        taken = rank if rank <= cap else min(rank, hubs)
        while put + taken + 1 > pairs.shape[0]:
            pairs = _doubled(pairs)
        member = head
        for _ in range(taken):
            pairs[put, 0], pairs[put, 1] = member, worse
            member = after[member]
            put += 1
        if rank > taken:
            pairs[put, 0], pairs[put, 1] = before, worse
            put += 1
            skipped += rank - taken - 1
    return pairs[:put].copy(), skipped


@leaf
def _head(keys: _U64, number: Int, table: _U64, shift: Word, low: Word) -> Int:
    """The first document with the key of this one, which is entered if it is itself."""
    key = keys[number]
    mixed = key * _SPREAD
    slot = np.int64(mixed >> shift)
    while table[slot] != _NONE:
        if (table[slot] ^ key) & ~low == _NONE:
            member = np.int64(table[slot] & low) - 1
            if keys[member] == key:
                return member
        slot = (slot + 1) & (table.size - 1)
    table[slot] = (key & ~low) | np.uint64(number + 1)
    return number


@jit
def _jaccards(values: _U32, offsets: _I64, pairs: _I64, least: float) -> _F64:
    found = np.zeros(pairs.shape[0], np.float64)
    for pair in range(pairs.shape[0]):
        a, a_end = offsets[pairs[pair, 0]], offsets[pairs[pair, 0] + 1]
        b, b_end = offsets[pairs[pair, 1]], offsets[pairs[pair, 1] + 1]
        both, shared = a_end - a + b_end - b, 0
        most = min(a_end - a, b_end - b)  # that may be shared
        while most > shared and most / (both - most) >= least:
            stop = min(a + _LOOK, a_end)
            while a < stop and b < b_end:  # without a branch, which nobody could predict
                left, right = values[a], values[b]
                shared += left == right
                a += left <= right
                b += right <= left
            most = shared + min(a_end - a, b_end - b)
        if most == shared and both > 0:
            found[pair] = shared / (both - shared)
    return found


@jit
def _first_kept(edges: _I64, kept: _Flags, first: Int) -> _I64:
    found = np.full(kept.size, -1, np.int64)
    for edge in range(edges.shape[0]):
        better, worse = edges[edge, 0], edges[edge, 1]
        if worse >= first and found[worse] < 0 and kept[better]:
            found[worse] = better
            kept[worse] = False
    return found


@jit
def _masked_digests(hashes: _U64, numbers: _Flags, offsets: _I64, operators: _U64, limit: Int) -> _U64:
    digests = np.zeros(offsets.size - 1, np.uint64)
    for document in range(digests.size):
        first, end = offsets[document], offsets[document + 1]
        if end - first > limit:
            continue
        value, left = _NONE, 0
        for token in range(first, end):
            masked = numbers[token]
            for operator in operators:
                masked |= hashes[token] == operator
            if not masked:
                value = absorb(value, hashes[token])
                left += 1
        if 0 < left < end - first:
            digests[document] = max(_ONE, finish(value, left))
    return digests

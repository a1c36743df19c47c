"""The slow, obvious twins of filters/near.py: every pair of a bucket, Python sets, documents one after another."""

from __future__ import annotations

import struct
from itertools import combinations

import naive
import xxhash


def bucket_pairs(keys: list[int], cap: int, hubs: int, first: int = 0) -> tuple[list[tuple[int, int]], int]:
    """The pairs to compare within buckets of equal keys, as (better, worse), and how many others there are."""
    pairs, skipped = [], 0
    for better, worse in combinations(range(len(keys)), 2):
        if keys[better] != keys[worse] or worse < first:
            continue
        before = [number for number in range(worse) if keys[number] == keys[worse]]
        if len(before) <= cap or better in before[:hubs] or better == before[-1]:
            pairs.append((better, worse))
        else:
            skipped += 1
    return sorted(pairs, key=lambda pair: pair[::-1]), skipped


def shingle_sets(documents: list[list[int]], ngram: int) -> list[list[int]]:
    """The distinct shingles of each document's token hashes, ascending."""
    return [sorted(set(naive.shingles(hashes, ngram))) for hashes in documents]


def band_keys(signature: list[int], bands: int, rows: int) -> list[int]:
    """The key of each band of a signature."""
    keys = []
    for band in range(bands):
        key = band + 1
        for slot in signature[band * rows : (band + 1) * rows]:
            key = key * 0x9E3779B97F4A7C15 & naive.MASK ^ slot
            key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 & naive.MASK
            key = (key ^ key >> 27) * 0x94D049BB133111EB & naive.MASK
            key ^= key >> 31
        keys.append(key)
    return keys


def jaccard(a: set[int], b: set[int]) -> float:
    """The exact Jaccard similarity; 0 of two empty sets."""
    return len(a & b) / len(a | b) if a | b else 0.0


def first_kept(edges: list[tuple[int, int]], kept: list[bool], first: int = 0) -> list[int]:
    """The best kept neighbour of each document from `first` on that has one, else -1; `kept` follows."""
    found = []
    for document in range(len(kept)):
        keepers = [better for better, worse in edges if worse == document and kept[better]]
        found.append(min(keepers) if keepers and document >= first else -1)
        kept[document] = kept[document] and found[document] < 0
    return found


def masked_digest(tokens: list[str], limit: int) -> int:
    """The digest of a document's tokens without numbers and operators; 0 where there is nothing to compare."""
    left = [token for token in tokens if token not in set("+-*/=<>") and not token[0].isdigit()]
    if len(tokens) > limit or not left or len(left) == len(tokens):
        return 0
    value = 0
    for token in left:
        value = (value ^ naive.token_hash(token)) * 0xFF51AFD7ED558CCD & naive.MASK
        value ^= value >> 32
    value = (value ^ len(left) * 0x9E3779B97F4A7C15 & naive.MASK) * 0xC4CEB9FE1A85EC53 & naive.MASK
    return (value ^ value >> 32) or 1


def content_digest(tokens: list[str]) -> list[int]:
    """The upper and the lower half of the digest of a document's tokens."""
    digest = xxhash.xxh3_128_intdigest(b"".join(struct.pack("<Q", naive.token_hash(token)) for token in tokens))
    return [digest >> 64, digest & naive.MASK]

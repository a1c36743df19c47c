"""Pairs of buckets, exact Jaccard, the kept document, digests: equal to slow twins, and pinned."""

from __future__ import annotations

import naive
import naive_dedup
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.near import bucket_pairs, content_digests, first_kept, jaccards, masked_digests
from filters.text import Tokens, pack, tokenise

KEYS = st.one_of(st.integers(0, 5), st.sampled_from([2**64 - 1, 2**63, 2**63 + 1, 2**40]))


def tokens_of(texts: list[bytes]) -> Tokens:
    return tokenise(pack(texts), operators=True, numbers=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(KEYS, max_size=40), st.integers(0, 6), st.integers(0, 5), st.integers(0, 45))
def test_pairs_of_buckets_are_those_of_the_twin(keys: list[int], cap: int, hubs: int, first: int) -> None:
    """The first members and the neighbour, in order, from any document on, and how many pairs were left out."""
    pairs, skipped = bucket_pairs(np.array(keys, np.uint64), cap, hubs, first)

    assert naive_dedup.bucket_pairs(keys, cap, hubs, first) == (list(map(tuple, pairs.tolist())), skipped)


@settings(deadline=None)
@given(st.lists(KEYS, max_size=30), st.lists(KEYS, max_size=30), st.integers(0, 4))
def test_documents_behind_change_no_pair_of_those_before(before: list[int], behind: list[int], hubs: int) -> None:
    """The pairs of a corpus are the beginning of the pairs of a larger one, and `first` gives the rest."""
    alone, skipped = bucket_pairs(np.array(before, np.uint64), 2 * hubs, hubs)
    together, skipped_of_all = bucket_pairs(np.array(before + behind, np.uint64), 2 * hubs, hubs)
    rest, skipped_of_rest = bucket_pairs(np.array(before + behind, np.uint64), 2 * hubs, hubs, len(before))

    assert alone.tolist() + rest.tolist() == together.tolist()
    assert skipped + skipped_of_rest == skipped_of_all


def test_many_equal_keys_are_capped_and_counted() -> None:
    """300,000 equal documents take a pair for each hub and one more, and say how many were left out."""
    n = 300_000
    pairs, skipped = bucket_pairs(np.full(n, 7, np.uint64), 50, 8)

    assert n * (n - 1) // 2 == len(pairs) + skipped
    assert [[0, n - 1], [1, n - 1], [7, n - 1], [n - 2, n - 1]] == pairs[[-9, -8, -2, -1]].tolist()


def test_keys_that_crowd_one_slot_are_told_apart() -> None:
    """Keys that are equal in their upper bits, or fall on one slot, are compared as a whole."""
    inverse = pow(0x9E3779B97F4A7C15, -1, 1 << 64)
    crowded = [number * inverse % 2**64 for number in range(1000)]  # all products begin with zeros
    alike = [2**63 | number for number in range(100)]
    keys = np.array(crowded + alike + crowded + alike, np.uint64)
    pairs, skipped = bucket_pairs(keys, 3, 3)

    assert [[number, number + 1100] for number in range(1100)] == pairs.tolist()
    assert 0 == skipped


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 12) | st.integers(2**32 - 3, 2**32 - 1)), min_size=1, max_size=6), st.floats(0, 1)
)
def test_jaccards_are_those_of_sets(sets: list[set[int]], least: float) -> None:
    """Each pair's value to the last bit; what is below the least may be 0."""
    values = np.array([value for each in sets for value in sorted(each)], np.uint32)
    offsets = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    pairs = [(a, b) for a in range(len(sets)) for b in range(len(sets))]
    expected = [naive_dedup.jaccard(sets[a], sets[b]) for a, b in pairs]
    found = jaccards(values, offsets, np.array(pairs, np.int64), least).tolist()

    assert expected == jaccards(values, offsets, np.array(pairs, np.int64)).tolist()
    assert all(f == e or (e < least and f == 0) for f, e in zip(found, expected, strict=True))


@settings(deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda e: e[0] < e[1]), max_size=40),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.integers(0, 12),
)
def test_the_kept_document_is_that_of_the_twin(edges: set[tuple[int, int]], kept: list[bool], first: int) -> None:
    """By rank: removed when a better neighbour is kept, and the answer is the best of these."""
    ordered = sorted(edges, key=lambda edge: edge[::-1])
    flags = np.array(kept)
    found = first_kept(np.array(ordered, np.int64).reshape(-1, 2), flags, first)

    assert naive_dedup.first_kept(ordered, kept, first) == found.tolist()
    assert kept == flags.tolist()


def test_a_chain_keeps_every_other_document() -> None:
    """Who is near a removed document only is kept: 0-1-2-3 keeps 0 and 2."""
    kept = np.ones(4, np.bool_)

    assert [-1, 0, -1, 2] == first_kept(np.array([[0, 1], [1, 2], [2, 3]]), kept).tolist()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text("ab+=<1 2.中", max_size=20).map(str.encode) | st.binary(max_size=20), max_size=4),
    st.integers(0, 12),
)
def test_digests_are_those_of_the_twin(texts: list[bytes], limit: int) -> None:
    """Of any bytes, with any limit."""
    tokens = tokens_of(texts)
    strings = [[token.text for token in naive.tokens(text, operators=True)] for text in texts]

    assert [naive_dedup.masked_digest(each, limit) for each in strings] == masked_digests(tokens, limit).tolist()
    assert [naive_dedup.content_digest(each) for each in strings] == content_digests(tokens).tolist()


def test_siblings_share_a_masked_digest_and_no_content() -> None:
    """Exercises that differ in numbers and operators alone; not those that differ in a word, or have no number."""
    texts = [b"solve 3 x + 4 = 7", b"solve 12 x - 1.5 = 0", b"solve 3 y + 4 = 7", b"solve x", b"3 + 4"]
    masked = masked_digests(tokens_of(texts), 200).tolist()

    assert masked[0] == masked[1] != masked[2]
    assert [0, 0] == masked[3:]
    assert [0] * 5 == masked_digests(tokens_of(texts), 1).tolist()
    assert 5 == len(np.unique(content_digests(tokens_of(texts)), axis=0))


def test_digests_are_pinned() -> None:
    """Rows of an earlier build can be compared with today's; the order of tokens matters."""
    tokens = tokens_of([b"let x = 2", b"x let = 2", b""])

    assert [0x60C934A8286522E8, 0xE872C19A8504A0F5, 0] == masked_digests(tokens, 200).tolist()
    assert [
        [0x81ECACDEF1A23F98, 0xC7EB6C9465CC40BA],
        [0xFF16DCA5418E5B1F, 0xACB089155AEEC249],
        [0x99AA06D3014798D8, 0x6001C324468D497F],
    ] == content_digests(tokens).tolist()


def test_the_operators_are_those_of_the_tokeniser() -> None:
    """Each sign that is a token of its own is masked."""
    signs = tokens_of([bytes(range(33, 127)).replace(b"\\", b" ")]).strings(0)

    assert set("+-*/=<>") == {sign for sign in signs if not sign.isalnum()}


def test_nothing_is_fine() -> None:
    """No documents, no pairs, no edges."""
    none = np.zeros((0, 2), np.int64)
    pairs, skipped = bucket_pairs(np.zeros(0, np.uint64), 50, 8)

    assert ((0, 2), 0) == (pairs.shape, skipped)
    assert [] == jaccards(np.zeros(0, np.uint32), np.zeros(1, np.int64), none).tolist()
    assert [] == first_kept(none, np.zeros(0, np.bool_)).tolist()
    assert (0, 2) == content_digests(tokens_of([])).shape

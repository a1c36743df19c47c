"""MinHash: pinned, equal to its slow twin, and as good an estimate of the Jaccard similarity as theory says."""

from __future__ import annotations

import itertools
import random

import naive
import naive_dedup
import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.errors import RecipeError
from filters.minhash import EMPTY_SLOT, MinHashParams, band_keys, shingle_sets, signatures, similarity
from filters.text import pack, token_hash, tokenise

WORDS = """the of and to in we have that let be a theorem proof lemma integral limit function space group field ring
prime number matrix vector kernel image sum product series converges continuous open closed compact bounded then if
such exists every real complex finite sequence map linear degree polynomial root angle triangle circle""".split()


def near_copies(rng: random.Random, changed: float, length: int = 600) -> tuple[str, str]:
    """A random text and a copy of it in which a share of the words is replaced."""
    words = [rng.choice(WORDS) + rng.choice(WORDS) for _ in range(length)]
    copy = [rng.choice(WORDS) if rng.random() < changed else word for word in words]
    return " ".join(words), " ".join(copy)


def jaccard(a: str, b: str, ngram: int = 5) -> float:
    """The exact Jaccard similarity of the sets of word n-grams."""
    first, second = (
        {tuple(words[i : i + ngram]) for i in range(len(words) - ngram + 1)} for words in (a.split(), b.split())
    )
    return len(first & second) / len(first | second)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdefg"), max_size=12), max_size=3),
    st.builds(MinHashParams, st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.integers(0, 2**64 - 1)),
)
def test_signatures_are_those_of_the_twin(documents: list[list[str]], params: MinHashParams) -> None:
    """Slots and number of shingles equal the plain rule's, for texts shorter than a shingle too."""
    found, counts = signatures(tokenise(pack([" ".join(words) for words in documents])), params)
    hashes = [[naive.token_hash(word) for word in words] for words in documents]

    assert [naive.signature(each, params.slots, params.ngram, params.seed) for each in hashes] == found.tolist()
    assert [len(naive.shingles(each, params.ngram)) for each in hashes] == counts.tolist()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text("ab 1+中 \\frac", max_size=60).map(str.encode) | st.binary(max_size=40), max_size=4),
    st.builds(MinHashParams, st.integers(1, 5), st.integers(1, 9), st.integers(1, 6), st.integers(0, 2**64 - 1)),
)
def test_any_bytes_give_what_the_twins_give(texts: list[bytes], params: MinHashParams) -> None:
    """Malformed UTF-8 too: signatures, numbers of shingles, and sets of shingles, whatever the number of slots."""
    tokens = tokenise(pack(texts), operators=True, folded=False, spans=False)
    hashes = [[naive.token_hash(token.text) for token in naive.tokens(text, operators=True)] for text in texts]
    found, counts = signatures(tokens, params)
    sets = shingle_sets(tokens, params)
    split = [sets.values[a:b].tolist() for a, b in itertools.pairwise(sets.offsets)]

    assert [naive.signature(each, params.slots, params.ngram, params.seed) for each in hashes] == found.tolist()
    assert [len(naive.shingles(each, params.ngram)) for each in hashes] == counts.tolist()
    assert naive_dedup.shingle_sets(hashes, params.ngram) == split
    assert [naive_dedup.band_keys(each, params.bands, params.rows) for each in found.tolist()] == band_keys(
        found, params
    ).tolist()


@pytest.mark.parametrize("length", [1, 4, 5, 63, 64, 65, 70, 1000, 5000])
def test_sets_of_shingles_are_sorted_whatever_their_size(length: int) -> None:
    """Short documents and long ones, which are sorted in another way, with repeats."""
    words = [str(number % 900) for number in range(length)]
    sets = shingle_sets(tokenise(pack([" ".join(words)] * 2)), MinHashParams())
    [expected] = naive_dedup.shingle_sets([[token_hash(word) for word in words]], 5)

    assert expected * 2 == sets.values.tolist()
    assert [0, len(expected), 2 * len(expected)] == sets.offsets.tolist()


def test_documents_longer_than_a_block_keep_all_their_shingles() -> None:
    """The border between two blocks of shingles loses none and repeats none."""
    words = [str(number) for number in range(5000)]
    found, counts = signatures(tokenise(pack([" ".join(words)])), MinHashParams(bands=1, rows=2))

    assert [4996] == counts.tolist()
    assert [naive.signature([token_hash(word) for word in words], 2, 5, 1)] == found.tolist()


def test_signatures_and_keys_are_pinned() -> None:
    """Signatures of an earlier build can be compared with today's."""
    params = MinHashParams(bands=2, rows=2, ngram=3, seed=7)
    found, counts = signatures(tokenise(pack(["let x be a prime number", "x"])), params)

    sets = shingle_sets(tokenise(pack(["let x be a prime number", "x"])), params)

    assert [4, 1] == counts.tolist()
    assert [24578639, 270266156, 905606473, 3964818062, 1866784033] == sets.values.tolist()
    assert [0, 4, 5] == sets.offsets.tolist()
    assert [
        [622388189, 766696767, 276503866, 1231277568],
        [795544668, 3486423313, 4172894669, 3083086866],
    ] == found.tolist()
    assert [[0xDFFBA6C44414E06F, 0x94B3A78F1AE9E28B], [0x6650B1D0E7CB84A0, 0xE818FA912A5E9A2F]] == band_keys(
        found, params
    ).tolist()


def test_a_document_without_tokens_has_no_shingle() -> None:
    """Its slots are all empty, and its count of 0 says that it must not be compared."""
    found, counts = signatures(tokenise(pack(["", "..."])), MinHashParams())

    assert [0, 0] == counts.tolist()
    assert (found == EMPTY_SLOT).all()


def test_similarity_estimates_the_jaccard_similarity_as_theory_says() -> None:
    """Over 200 seeded pairs the error has no bias and the standard deviation of 112 independent slots."""
    rng = random.Random(5)
    pairs = [near_copies(rng, rng.choice([0.01, 0.03, 0.06, 0.12])) for _ in range(200)]
    exact = np.array([jaccard(*pair) for pair in pairs])
    found, _ = signatures(tokenise(pack([text for pair in pairs for text in pair])), MinHashParams())
    errors = (similarity(found[0::2], found[1::2]) - exact) / np.sqrt(exact * (1 - exact) / 112)

    assert abs(errors.mean()) < 3 / np.sqrt(200)
    assert 0.85 < errors.std() < 1.15


def test_similarity_agrees_with_datasketch() -> None:
    """The estimate differs from the reference implementation's by no more than two standard errors, on average."""
    rng = random.Random(9)
    pairs = [near_copies(rng, 0.05) for _ in range(20)]
    found, _ = signatures(tokenise(pack([text for pair in pairs for text in pair])), MinHashParams())
    reference = []
    for pair in pairs:
        both = [MinHash(num_perm=112, seed=3), MinHash(num_perm=112, seed=3)]
        for each, text in zip(both, pair, strict=True):
            each.update_batch([" ".join(text.split()[i : i + 5]).encode() for i in range(len(text.split()) - 4)])
        reference.append(both[0].jaccard(both[1]))
    differences = similarity(found[0::2], found[1::2]) - np.array(reference)

    assert abs(differences.mean()) < 2 * np.sqrt(2 * 0.25 / 112 / 20)


def test_band_keys_are_equal_exactly_where_bands_are() -> None:
    """Two signatures that share one band of three share its key and no other; keys of two bands never meet."""
    params = MinHashParams(bands=3, rows=2)
    found = np.array([[1, 2, 3, 4, 5, 6], [1, 2, 4, 3, 9, 9], [3, 4, 1, 2, 5, 6]], np.uint32)
    keys = band_keys(found, params)

    assert [True, False, False] == (keys[0] == keys[1]).tolist()
    assert [False, False, True] == (keys[0] == keys[2]).tolist()
    assert 7 == len(np.unique(keys))


def test_bands_find_near_copies_and_leave_strangers() -> None:
    """Of pairs with a Jaccard similarity above 0.8 nearly all share a band; unrelated texts share none."""
    rng = random.Random(3)
    pairs = [near_copies(rng, 0.01) for _ in range(100)]
    found, _ = signatures(tokenise(pack([text for pair in pairs for text in pair])), MinHashParams())
    keys = band_keys(found, MinHashParams())
    alike = np.array([jaccard(*pair) > 0.8 for pair in pairs])

    assert alike.sum() > 90
    assert (keys[0::2] == keys[1::2]).any(axis=1)[alike].mean() >= 0.9
    assert not (keys[0:-2:2] == keys[2::2]).any()


def test_similarity_takes_no_pairs_and_single_ones() -> None:
    """The share is taken over the last axis, whatever stands before it."""
    slots = np.arange(4, dtype=np.uint32)

    assert 0.5 == similarity(slots, np.array([0, 1, 9, 9], np.uint32))
    assert (0,) == similarity(np.zeros((0, 4), np.uint32), np.zeros((0, 4), np.uint32)).shape
    assert np.float64 == similarity(slots[None], slots[None]).dtype


@pytest.mark.parametrize("wrong", [{"bands": 0}, {"rows": 0}, {"ngram": -1}, {"seed": -1}, {"seed": 2**64}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    """The error names the parameter and its value."""
    with pytest.raises(RecipeError, match=f"{next(iter(wrong))} must be .*{next(iter(wrong.values()))}"):
        MinHashParams(**wrong)

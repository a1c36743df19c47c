"""Packing of documents into sequences: kernels against slow twins, and what each method may cut."""

from __future__ import annotations

import naive_packing as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.packing import Pieces, best_fit, best_fit_bins, gather, greedy

TOKENS = st.lists(st.integers(1, 40), max_size=60)
LENGTHS = st.integers(2, 150)


def sequences(pieces: Pieces) -> list[list[tuple[int, int]]]:
    """Of each sequence, (document, place) of its tokens."""
    found: list[list[tuple[int, int]]] = []
    columns = (c.tolist() for c in (pieces.document, pieces.at, pieces.size, pieces.sequence))
    for document, at, size, sequence in zip(*columns, strict=True):
        assert sequence in (len(found) - 1, len(found))
        if sequence == len(found):
            found.append([])
        found[sequence] += [(document, at + n) for n in range(size)]
    return found


@given(st.lists(st.integers(1, 5000), max_size=200), st.sampled_from([5000, 8192, 300_000]))
def test_best_fit_is_that_of_its_twin(sizes: list[int], length: int) -> None:
    """Bins and free rooms, over one, two and three levels of the tree of bits."""
    bins, free = best_fit_bins(np.array(sizes, np.int64), length)

    assert (bins.tolist(), free.tolist()) == naive.best_fit_bins(sizes, length)


@given(TOKENS, LENGTHS)
def test_packing_is_that_of_its_twin(tokens: list[int], length: int) -> None:
    """Every token of every document, in the same order, for all three methods."""
    lengths = np.array(tokens, np.int64)

    assert sequences(greedy(lengths, length)) == naive.greedy(tokens, length)
    assert sequences(best_fit(lengths, length, pad=True)) == naive.best_fit(tokens, length, pad=True)
    assert sequences(best_fit(lengths, length, pad=False)) == naive.best_fit(tokens, length, pad=False)


@given(TOKENS, LENGTHS)
def test_every_token_is_packed_once_and_sequences_are_full(tokens: list[int], length: int) -> None:
    """All but the last sequence are full without padding; with it no document is cut that would fit."""
    every = sorted((document, at) for document, count in enumerate(tokens) for at in range(count))
    for pieces in (greedy(np.array(tokens, np.int64), length), best_fit(np.array(tokens, np.int64), length, pad=False)):
        found = sequences(pieces)
        assert sorted(token for sequence in found for token in sequence) == every
        assert all(len(sequence) == length for sequence in found[:-1])
    padded = best_fit(np.array(tokens, np.int64), length, pad=True)
    assert sorted(token for sequence in sequences(padded) for token in sequence) == every
    assert np.bincount(padded.document, minlength=len(tokens)).tolist() == [-(-count // length) for count in tokens]


def test_one_more_document_is_cut_where_there_is_room() -> None:
    """Three documents of two thirds: the third fills the first and the second."""
    assert sequences(best_fit(np.array([6, 6, 6]), 9, pad=False)) == [
        [*[(0, n) for n in range(6)], *[(2, n) for n in range(3)]],
        [*[(1, n) for n in range(6)], *[(2, n) for n in range(3, 6)]],
    ]


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
def test_tokens_are_gathered_and_padded(kind: type) -> None:
    """Pieces of two documents, in two sequences of which the second has room."""
    tokens = np.array([10, 11, 12, 20, 21], kind)
    pieces = greedy(np.array([3, 2], np.int64), 4)

    assert gather(tokens, np.array([0, 3]), pieces, 4, 7).tolist() == [[10, 11, 12, 20], [21, 7, 7, 7]]


def test_nothing_is_packed_into_nothing() -> None:
    """No documents, no sequences."""
    nothing = np.zeros(0, np.int64)
    for pieces in (greedy(nothing, 4), best_fit(nothing, 4, pad=True), best_fit(nothing, 4, pad=False)):
        assert len(pieces) == 0
        assert gather(np.zeros(0, np.uint16), nothing, pieces, 4, 0).shape == (0, 4)

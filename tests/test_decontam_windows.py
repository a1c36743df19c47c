"""Which windows of a pair are compared, where there are more than can be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.windows import windows


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=30), min_size=1, max_size=4), st.integers(1, 12))
def test_of_a_pair_those_with_most_anchors_are_taken(anchors: list[list[int]], most: int) -> None:
    """And the first among equals, in the order of the text; counted with a sort, for items of one token."""
    pairs = np.repeat(np.arange(len(anchors)), [len(one) for one in anchors])
    places = np.concatenate([2 * np.arange(len(one)) for one in anchors])
    item, text = np.zeros(len(anchors), np.int64), np.arange(len(anchors))
    found = pairs, places, np.concatenate(anchors), item, text
    texts = 100 * np.arange(len(anchors) + 1)

    told = windows(found, (np.array([0, 1]), texts), (0, 1), most)

    expected = []
    for pair, counts in enumerate(anchors):
        best = sorted(range(len(counts)), key=lambda at: (-counts[at], at))[:most]
        expected += [(pair, 100 * pair + 2 * at, 100 * pair + 2 * at + 1) for at in sorted(best)]
    assert list(zip(*(column.tolist() for column in told), strict=True)) == expected

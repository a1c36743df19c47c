"""Components of duplicate pairs: the smallest member stands for each, whatever the order of the pairs."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.clusters import components
from filters.errors import InputError


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int]:
    """Edges and number of nodes of a small graph, sparse enough for several components."""
    n = draw(st.integers(1, 25))
    node = st.integers(0, n - 1)
    return draw(st.lists(st.tuples(node, node), max_size=30)), n


@settings(deadline=None)  # the first example compiles
@given(graphs(), st.randoms(use_true_random=False))
def test_components_are_those_of_the_twin_in_any_order(graph: tuple[list[tuple[int, int]], int], random) -> None:
    """Shuffled and turned around, the pairs give the labels of the plain rule."""
    edges, n = graph
    expected = naive.components(edges, n)
    turned = [edge if random.random() < 0.5 else edge[::-1] for edge in edges]
    random.shuffle(turned)

    assert expected == components(np.array(edges, np.int64).reshape(-1, 2), n).tolist()
    assert expected == components(np.array(turned, np.int64).reshape(-1, 2), n).tolist()


def test_each_node_is_labelled_with_the_smallest_of_its_component() -> None:
    """Chains meet in one component; a node that no pair names is alone."""
    edges = np.array([[5, 4], [4, 2], [6, 6], [1, 5], [8, 7]])

    assert [0, 1, 1, 3, 1, 1, 6, 7, 7] == components(edges, 9).tolist()


def test_a_long_chain_is_one_component() -> None:
    """A million pairs in the worst order, each next to the last, take no recursion and no quadratic time."""
    nodes = np.arange(1_000_000)
    edges = np.stack([nodes[:-1], nodes[1:]], axis=1)[::-1]

    assert not components(edges, len(nodes)).any()


def test_no_pairs_and_no_nodes_are_fine() -> None:
    """Without pairs every node is its own component."""
    assert [0, 1, 2] == components(np.zeros((0, 2), np.int64), 3).tolist()
    assert [] == components(np.zeros((0, 2), np.int64), 0).tolist()


@pytest.mark.parametrize("edge", [(0, 3), (-1, 0)])
def test_a_pair_outside_the_graph_is_refused(edge: tuple[int, int]) -> None:
    """A node that is no row number is named in the error instead of read out of bounds."""
    with pytest.raises(InputError, match=r"node (3|-1) is not in a graph of 3 nodes"):
        components([edge], 3)

"""Connected components of the graph of duplicate pairs, the same whatever the order of the pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.errors import InputError
from filters.words import jit, read_only

__all__ = ["components"]

_I64 = npt.NDArray[np.int64]


def components(edges: npt.ArrayLike, n: int) -> _I64:
    """The smallest member of each node's component, int64[n]: a node without edges is its own.

    edges : int[E, 2], pairs of nodes in [0, n), in any order and direction, repeats and loops allowed.
    Nearly linear in E + n. Raises InputError for a node outside the graph.
    """
    pairs = np.ascontiguousarray(edges, np.int64).reshape(-1, 2)
    outside = pairs[(pairs < 0) | (pairs >= n)]
    if outside.size:
        msg = f"node {outside[0]} is not in a graph of {n} nodes; edges hold row numbers from 0"
        raise InputError(msg)
    return _smallest_members(read_only(pairs), n)


@jit
def _smallest_members(pairs: _I64, n: int) -> _I64:
    """Union by the smaller root, so that every root is the smallest member, with path halving."""
    parent = np.arange(n)
    for edge in range(pairs.shape[0]):
        first, second = pairs[edge, 0], pairs[edge, 1]
        while parent[first] != first:
            parent[first] = parent[parent[first]]
            first = parent[first]
        while parent[second] != second:
            parent[second] = parent[parent[second]]
            second = parent[second]
        parent[max(first, second)] = min(first, second)
    for node in range(n):  # a parent is never larger than its child, so it is final already
        parent[node] = parent[parent[node]]
    return parent

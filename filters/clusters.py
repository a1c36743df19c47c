"""Connected components of pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

_I64 = npt.NDArray[np.int64]


def components(edges: _I64, n: int) -> _I64:
    """int64[n]: for each of n nodes the least node that the edges (int64[E, 2]) connect it with."""
    if n == 0:
        return np.zeros(0, np.int64)
    ones = np.ones(len(edges), np.bool_)
    _, labels = connected_components(coo_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(n, n)), directed=False)
    least = np.full(n, n, np.int64)
    np.minimum.at(least, labels, np.arange(n))
    return np.asarray(least[labels])

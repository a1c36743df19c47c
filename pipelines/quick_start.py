"""What a command that scans leaves out while it starts: a quarter of the time, and 15 MiB."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_start() -> Iterator[None]:
    """Imports in this block are not looked through for garbage, and numba comes without SciPy's linear algebra.

    Before its first kernel numba looks whether `scipy.linalg` is there, for kernels that multiply matrices; none of
    ours does. What is imported stays, so that later collections need not look at it either.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        _load_numba()
        yield
    finally:
        if collecting:  # not within another such block
            gc.freeze()
            gc.enable()


def _load_numba() -> None:
    hidden = "scipy.linalg" not in sys.modules
    if hidden:
        sys.modules["scipy.linalg"] = None  # type: ignore[assignment]  # the import system takes it for "not there"
    try:
        import numba.np.arraymath  # noqa: F401 - it looks now, and never again
    finally:
        if hidden:
            del sys.modules["scipy.linalg"]

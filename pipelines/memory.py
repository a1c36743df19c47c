"""A limit on the memory of a worker: an error of one line in the process that passes it, before the system kills it.

A thread looks at the resident set and raises in the thread that works. A limit of the system's own (RLIMIT_AS, as
Spark's pyspark.memory sets it) was refused: it counts address space, so that mapped models and the reserves of Arrow
and of threads pass it long before memory is short.
"""

from __future__ import annotations

import ctypes
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filters.errors import MemoryLimitError

MEBIBYTE = 1 << 20
_LOOK_S = 0.02
_AGAIN_S = 1.0  # an exception that arrives in a destructor is lost: it is raised once more
_STATM = Path("/proc/self/statm")


class _Passed(BaseException):
    """Raised in the working thread; no Exception, so that no step counts it as a document that it cannot read."""


def resident_mb() -> int:
    """Resident set of this process in MiB, mapped files included; its peak where the system has no /proc."""
    try:
        return int(_STATM.read_bytes().split()[1]) * resource.getpagesize() // MEBIBYTE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // MEBIBYTE


@contextmanager
def memory_limit(limit_mb: int | None, what: str) -> Iterator[None]:
    """Raises MemoryLimitError, which begins with `what`, as soon as this process holds more than so many MiB."""
    if limit_mb is None:
        yield
        return
    if (held := resident_mb()) > limit_mb:
        raise MemoryLimitError(_told(what, held, limit_mb))
    seen: list[int] = []
    done = threading.Event()
    worker = threading.get_ident()

    def watch() -> None:
        while not done.wait(_AGAIN_S if seen else _LOOK_S):
            if (held := resident_mb()) > limit_mb:
                seen.append(held)
                _raise_in(worker, _Passed)

    watcher = threading.Thread(target=watch, daemon=True)
    try:
        watcher.start()
        yield
    except _Passed:
        raise MemoryLimitError(_told(what, seen[0], limit_mb)) from None
    finally:
        with suppress(_Passed):  # it may arrive behind the last document
            done.set()
            watcher.join()
            _raise_in(worker, None)


def _told(what: str, held: int, limit_mb: int) -> str:
    return f"{what}: holds {held:,} MB, more than --worker-memory {limit_mb}; allow more, or lower max_document_mb"


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raises in another thread at its next step; None takes back what has not arrived."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None)

"""The processor time that a page may take: an exception in the middle of it, raised by a timer of the process.

A thread cannot be interrupted and a process for each page costs more than the page. The signal of a timer comes
through between two steps of Python, or of a regular expression; a parser written in C finishes first, so what it could
take long for has to be refused before (`filters.html`). Only the main thread of a process gets signals, which is where
datatrove, Spark and our own pools run their work; elsewhere, and where there are no such timers, there is no limit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")

_AGAIN_S = 0.1  # where the exception got lost in code that swallows it


class _OutOfTimeError(BaseException):
    """No `except Exception` of a library may stop it."""


def within(cpu_s: float, call: Callable[[], R]) -> R | None:
    """What the call returns; None where it takes more than so many seconds of processor time."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return call()
    before = signal.signal(signal.SIGPROF, _raise)
    try:
        try:
            signal.setitimer(signal.ITIMER_PROF, cpu_s, _AGAIN_S)
            return call()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _OutOfTimeError:  # perhaps between the two lines above, so the timer may still run
        signal.setitimer(signal.ITIMER_PROF, 0)
        return None
    finally:
        signal.signal(signal.SIGPROF, before)


def _raise(_signal: int, _frame: object) -> None:
    raise _OutOfTimeError

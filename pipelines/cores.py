"""How many processes run at a time, where nobody says."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores of this machine that the process may use; at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

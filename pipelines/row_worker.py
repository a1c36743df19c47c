"""The work of one process among several. The server that processes fork from loads this module, so that none waits."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pipelines.quick_start import quick_start

with quick_start():
    from decontam.index import Index, load_index
    from decontam.params import DecontaminationParams
    from pipelines.row_scan import Job, Scanned, scan_part


@lru_cache(maxsize=1)
def _index(path: str, only_new: bool) -> Index:
    index = load_index(Path(path))
    return index.newest if only_new else index


def scan_there(path: str, only_new: bool, params: DecontaminationParams, job: Job) -> Scanned:
    """What `scan_part` finds with the index at a path, or with what was added to it last."""
    return scan_part(_index(path, only_new), params, job, lambda _size: None)

"""Outcomes as JSON Lines in the order of a plan: a pure function of plan and journal, whole or not there.

Nothing that depends on how a run went stands in them: no times, and no number of tries.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from filters.errors import OutputError
from synth.engine import Check, resolve
from synth.journal import Journal
from synth.requests import Outcome, Request


def write_outcomes(
    path: Path, requests: Iterable[Request], journal: Journal, check: Check, resamples: int
) -> Counter[str]:
    """Writes what came of each request; counts by failure, "" for answers. OutputError where it cannot be written."""
    counts: Counter[str] = Counter()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as out:
            for request in requests:
                last, outcome = resolve(request, journal, check, resamples)
                counts[outcome.failure] += 1
                out.write(orjson.dumps(_line(last, outcome), option=orjson.OPT_APPEND_NEWLINE))
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        msg = f"{path}: {error.strerror or error}; make room for it, or name another place"
        raise OutputError(msg) from error
    finally:
        part.unlink(missing_ok=True)
    return counts


def _line(request: Request, outcome: Outcome) -> dict[str, Any]:
    return {
        "request": request.id,
        "task": request.task,
        "prompt": request.prompt,
        "model": request.model,
        "answered_by": outcome.model,
        "sampling": request.sampling,
        "seed": request.seed,
        "sample": request.sample,
        "attempt": request.attempt,
        "text": outcome.text,
        "finish": outcome.finish,
        "tops": outcome.tops,
        "usage": outcome.usage,
        "failure": outcome.failure,
    }


def _sync_folder(folder: Path) -> None:
    """So that the new name is on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

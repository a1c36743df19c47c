"""Outcomes as JSON Lines in the order of a plan: a pure function of plan and journal, whole or not there.

Nothing that depends on how a run went stands in them: no times, and no number of tries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from synth.engine import Check, resolve
from synth.journal import Journal
from synth.requests import Outcome, Request
from synth.whole_file import whole


def write_outcomes(
    path: Path, requests: Iterable[Request], journal: Journal, check: Check, resamples: int
) -> Counter[str]:
    """Writes what came of each request; counts by failure, "" for answers. OutputError where it cannot be written."""
    counts: Counter[str] = Counter()
    with whole(path, level=0) as out:
        for request in requests:
            last, outcome = resolve(request, journal, check, resamples)
            counts[outcome.failure] += 1
            out.write(orjson.dumps(_line(last, outcome), option=orjson.OPT_APPEND_NEWLINE))
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

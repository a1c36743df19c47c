"""The whole command `decontaminate`, for benchmarks/decontamination.py: file to evidence, start-up, peak memory."""

from __future__ import annotations

import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import ROOT

from pipelines.decontaminate import Options, run

STARTS = 7
_COMMAND = """
import sys
from pathlib import Path
from pipelines.cli import main
try:
    main(["decontaminate", *sys.argv[1:], "--workers", "1", "--quiet"])
except SystemExit as end:
    assert not end.code
print(Path("/proc/self/status").read_text())
"""


def file_to_evidence(index: Path, path: Path, **params: Any) -> None:
    """One file through the command, but for its start: nothing is written but the evidence, which is deleted."""
    run(Options((str(path),), index=index, params=params, workers=1), lambda _what, _size: None)


def start_up(index: Path, folder: Path) -> tuple[float, float]:
    """(seconds, processor seconds) from the call to the end, for a file of one line: the medians of several."""
    path = folder / "line.jsonl"
    path.write_bytes(b'{"text": "a line"}\n')
    spent = []
    for number in range(STARTS + 1):
        started, used = time.perf_counter(), _children()
        _run(index, path)
        if number:  # the first may compile
            spent.append((time.perf_counter() - started, _children() - used))
    walls, processor = zip(*spent, strict=True)
    return statistics.median(walls), statistics.median(processor)


def _children() -> float:
    """Processor seconds of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_memory(index: Path, path: Path) -> float:
    """The most memory that the command held at a time, in MiB, mapped pages of the index and of libraries included."""
    told = re.search(r"VmHWM:\s+(\d+) kB", _run(index, path))  # ru_maxrss would be that of this process
    assert told is not None
    return int(told[1]) / 1024


def _run(index: Path, path: Path) -> str:
    command = [sys.executable, "-c", _COMMAND, str(path), "--index", str(index)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout

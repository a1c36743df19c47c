"""The quality floors of deduplication, on a small sample of what benchmarks/dedup_quality.py measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY

FLOORS = json.loads((REPOSITORY / "tests" / "floors.json").read_text())["dedup"]


def test_planted_pairs_stay_beyond_their_floors(shared_data: Path) -> None:
    """Pairs at or above 0.8 are found, nothing goes that is less like what stays than told, and siblings stay."""
    told = subprocess.run(
        [sys.executable, "-P", "benchmarks/dedup_quality.py", shared_data, "--pairs", str(FLOORS["pairs"]), "--json"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    figures = json.loads(told.stdout)

    assert figures["recall_0.8"] >= FLOORS["recall_floor"]
    assert figures["precision"] >= FLOORS["precision_floor"]
    assert figures["siblings_removed"] <= FLOORS["siblings_ceiling"]
    assert figures["largest_error"] <= 0.00005  # the similarity is told with four digits

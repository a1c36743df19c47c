"""The quality floors of decontamination, on a small sample of what benchmarks/decontam_quality.py measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FLOORS = json.loads((REPOSITORY / "tests" / "floors.json").read_text())["decontamination"]


def test_figures_stay_beyond_their_floors(shared_data: Path) -> None:
    """200 plants of each edit are found, clean texts are left alone, and MATH train gives the plain rule's 566."""
    # in a process of its own: it takes hundreds of MiB, and what other tests say of memory is of the whole process
    told = subprocess.run(
        [
            sys.executable,
            "-P",
            REPOSITORY / "benchmarks" / "decontam_quality.py",
            shared_data,
            "--items",
            "200",
            "--every",
            "7",
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(told.stdout)
    found = {name: share["any"] for name, share in figures["recall"].items()}
    clean = figures["clean"]

    assert {} == {name: found[name] for name, floor in FLOORS["recall_floor"].items() if found[name] < floor}
    assert set(found) == set(FLOORS["recall_floor"])
    assert clean["exact"] + clean["short"] <= FLOORS["clean_removed_ceiling"]
    assert clean["near"] <= FLOORS["clean_near_ceiling"]
    assert figures["math_train_in_test"] == 566


def test_every_measured_figure_keeps_its_floor() -> None:
    """A floor above its figure could never hold, and a figure without a floor guards nothing."""
    measured = FLOORS["measured"]

    assert set(FLOORS["recall_floor"]) == {k for k in measured if not k.startswith(("clean", "math"))}
    assert {} == {name: floor for name, floor in FLOORS["recall_floor"].items() if measured[name] < floor}

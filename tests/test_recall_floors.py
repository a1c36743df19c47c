"""The quality floors of recall: density on hosts and books that its weights have not seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FLOORS = json.loads((REPOSITORY / "tests" / "floors.json").read_text(encoding="utf-8"))["recall"]


def test_figures_on_unseen_hosts_stay_beyond_their_floors(shared_data: Path) -> None:
    """Pages of one WARC file by weights of seeds and books alone; books by the weights of other projects."""
    told = subprocess.run(
        [sys.executable, REPOSITORY / "benchmarks" / "recall_unseen.py", shared_data, "--files", "1"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = {name: row["f1"] for name, row in json.loads(told.stdout).items()}

    assert found.keys() == FLOORS["f1_floor"].keys()
    assert {} == {name: found[name] for name, floor in FLOORS["f1_floor"].items() if found[name] < floor}


def test_every_measured_figure_of_recall_keeps_its_floor() -> None:
    """A floor above its figure could never hold."""
    assert {} == {n: f for n, f in FLOORS["f1_floor"].items() if FLOORS["measured"][n] < f}

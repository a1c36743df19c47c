"""What the benchmarks share: a row of results.csv for each figure."""

from __future__ import annotations

import csv
import datetime
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def record(name: str, value: float, unit: str) -> None:
    """Appends a row to results.csv."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    machine = f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
    path = ROOT / "benchmarks" / "results.csv"
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        if fresh:
            rows.writerow(["date", "commit", "machine", "benchmark", "value", "unit"])
        rows.writerow([datetime.date.today().isoformat(), commit.stdout.strip(), machine, name, f"{value:.3g}", unit])

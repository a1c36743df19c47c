"""Memory of a worker that applies a decision: of all ranks, and of its own.

    python -P benchmarks/decision_memory.py [--rows 1000000] [--ranks 100]

Each is loaded in a fresh process; what it adds to the resident set, held and at its peak, is told.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common import record

from pipelines.decisions import decision_rows, load_decision, save_decision


def resident(kind: str) -> int:
    """Bytes of the resident set: `VmRSS` now, `VmHWM` at its peak (that of getrusage is inherited from the parent)."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{kind}:")]
    return int(line.split()[1]) * 1024


def write(folder: Path, rows: int, ranks: int) -> None:
    """A decision with as many rows in each rank."""
    save_decision(
        folder,
        "k",
        decision_rows(
            (n % ranks, key, "near_duplicate", 0.9, {"kept": key.hex(), "similarity": 0.9})
            for n, key in ((n, hashlib.blake2b(str(n).encode(), digest_size=16).digest()) for n in range(rows))
        ),
    )


def load(folder: Path, rank: int | None) -> None:
    """Prints the bytes that loading holds, and takes at its peak."""
    load_decision(str(folder), 0)  # what any reader needs: libraries, threads, their pools
    before = resident("VmRSS")
    decision = load_decision(str(folder), rank)
    print(len(decision.high), resident("VmRSS") - before, resident("VmHWM") - before)


def main() -> None:
    """Prints and records the memory of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--ranks", type=int, default=100)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.load:
        load(asked.load, asked.rank)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), asked.rows, asked.ranks)
        size = sum(path.stat().st_size for path in Path(folder).glob("*.parquet"))
        for name, more in (("whole", []), ("of one rank", ["--rank", "1"])):
            command = [sys.executable, "-P", __file__, "--load", folder, *more]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows, held, peak = map(int, out.split())
            print(f"{name}: {rows:,} rows, {held / 1e6:,.1f} MB held, {peak / 1e6:,.1f} MB at the peak")
            what = f"decision of {asked.rows:,} rows in {asked.ranks} ranks, {name}"
            record(f"{what}, held", held / 1e6, "MB")
            record(f"{what}, peak", peak / 1e6, "MB")
        print(f"{size / asked.rows:.0f} bytes a row on disk")


if __name__ == "__main__":
    main()

"""Builds that are killed: the table of faults.

    python benchmarks/faults.py [local|spark|cluster] [BUILDS]

BUILDS of each kind (default 12); each is killed up to twice at points that a seed decides, resumed, and compared with
the undisturbed build: digests of all datasets, rows of corpus and ledger, files that no manifest names, processes that
outlive their driver. `spark` is local[2,4], `cluster` a master and two workers. Kinds: see tests/faults.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import ROOT, record

sys.path.insert(0, str(ROOT / "tests"))

from faults import KINDS, Ground, Outcome


def main() -> None:
    """Runs all kinds and prints a line for each."""
    engine = sys.argv[1] if len(sys.argv) > 1 else "local"
    builds = int(sys.argv[2]) if len(sys.argv) > 2 else 12
    total = Outcome()
    print(f"| {engine}, what was killed | kills | builds | recovered | lost | doubled | hung | orphans | leftovers |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder) / "ground", engine)
        for kind in KINDS[engine]:
            outcome = Outcome()
            for seed in range(builds):
                ground.strike(kind, seed, outcome)
            total = total + outcome
            print(outcome.line(kind), *outcome.wrong, sep="\n", flush=True)
        ground.close()
    print(total.line("all"))
    record(f"faults, {engine}, kills", total.struck, "kills")
    record(f"faults, {engine}, builds that recovered", 100 * total.recovered / total.builds, "%")


if __name__ == "__main__":
    main()

"""Memory and time of the decision on a mix against the number of documents.

    python -P benchmarks/mix.py [--counts 1000000 10000000]

Two parts of equal weight and a cap on hosts, over rows as `CountTask` writes them: digests are drawn, tokens too, and
hosts are so unequal that some dozens are capped. Each count is a process of its own; its peak holds the libraries.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))
from common import record

from pipelines.mix_decide import Spool, fill
from pipelines.recipe_mix import Mix

HOSTS = 200_000
MAY_PASS = 2_000  # of them, those that a build would have found to be larger than the cap
SHARD = 100_000
GROUP = 1_000  # rows of a table, as a shard's row groups are
TOKENS = 700  # wanted for each document there is


def tables(count: int, hosts: pa.Array) -> Iterator[pa.Table]:
    """The rows of so many documents."""
    rng = np.random.default_rng(1)
    for start in range(0, count, SHARD):
        rows = min(SHARD, count - start)
        host = np.minimum((rng.pareto(0.7, rows) * 3).astype(np.int64), HOSTS - 1)
        columns = {
            "digest": rng.integers(0, 1 << 64, rows, dtype=np.uint64),
            "part": (rng.random(rows) < 0.4).astype(np.int16),
            "tokens": rng.integers(50, 3000, rows),
            "cap0": hosts.take(pa.array(host)),
        }
        table = pa.table(columns)
        for first in range(0, rows, GROUP):
            yield table.slice(first, GROUP)


def decide(count: int) -> None:
    """Prints the processor seconds and the largest resident set in MB."""
    parts = [{"name": "web", "where": {"source": "web"}, "weight": 1}, {"name": "others", "weight": 1}]
    limit = TOKENS * count // 1000
    cap = {"column": "host", "tokens": limit}
    mix = Mix.model_validate({"name": "m", "tokens": TOKENS * count, "parts": parts, "caps": [cap]})
    hosts = pa.array([f"host{number}.org" for number in range(HOSTS)])
    wanted = [TOKENS * count // 2] * 2
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        spool = Spool(Path(folder), [hosts.slice(0, MAY_PASS)], count)
        spool.add_all(tables(count, hosts))
        _, free = fill(mix, spool, wanted, None)
        _, capped = fill(mix, spool, wanted, [np.full(MAY_PASS, limit)])
        spent = time.process_time() - started
    assert free[0].max() > limit >= capped[0].max()
    sys.stdout.write(f"{spent} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


def main() -> None:
    """Measures each count, and records it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--counts", type=int, nargs="+", default=[1_000_000, 10_000_000])
    options.add_argument("--one", type=int)
    given = options.parse_args()
    if given.one:
        decide(given.one)
        return
    for count in given.counts:
        command = [sys.executable, "-P", __file__, "--one", str(count)]
        seconds, peak = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        print(f"{count:,} documents: {seconds:.1f} CPU s, {peak:.0f} MB")
        record(f"mix, {count:,} documents, a cap", seconds, "CPU s")
        record(f"mix, {count:,} documents, a cap, memory", peak, "MB")


if __name__ == "__main__":
    main()

"""Memory and time of `mathcorpus dedup` against the number of documents.

    python -P benchmarks/dedup_memory.py [--counts 10000 100000 1000000]

Documents are made of words drawn with a fixed seed, about 100 tokens each; one in ten is a near copy of an earlier one.
The peak is that of the process with all its children, largest resident set; the commands run one after another.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent))
from common import record

WORDS = 100  # of a document
VOCABULARY = 20_000


def documents(count: int) -> Iterator[dict[str, str]]:
    """Rows with an id and a text."""
    rng = random.Random(7)
    words = [f"w{n}" for n in range(VOCABULARY)]
    earlier: list[list[str]] = []
    for number in range(count):
        if number % 10 == 9:
            text = list(rng.choice(earlier))
            text[rng.randrange(WORDS)] = "changed"
        else:
            text = rng.choices(words, k=WORDS)
            if len(earlier) < 10_000:
                earlier.append(text)
        yield {"id": f"{number:09d}", "text": " ".join(text)}


def measure(count: int) -> tuple[float, float]:
    """(largest resident set in MB, processor seconds) of one run of the command."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.jsonl")
        with source.open("wb") as file:
            file.writelines(orjson.dumps(row) + b"\n" for row in documents(count))
        command = [sys.executable, "-c", "from pipelines.cli import main; main()", "dedup", str(source)]
        started = subprocess.Popen(
            [*command, "--out", f"{folder}/out", "--workers", "1", "--quiet"], env=dict(os.environ)
        )
        _, status, usage = os.wait4(started.pid, 0)
        assert status == 0, status
        return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Prints a row for each number of documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    for count in parser.parse_args().counts:
        begun = time.perf_counter()
        peak, seconds = measure(count)
        print(f"{count:>9,} documents: {peak:,.0f} MB, {seconds:,.1f} CPU s, {time.perf_counter() - begun:,.1f} s")
        record(f"dedup, memory with {count:,} documents", peak, "MB")


if __name__ == "__main__":
    main()

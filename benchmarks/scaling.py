"""Scaling from one worker to two, and what Spark costs against `local` on the same cores.

    python benchmarks/scaling.py DATA [--mb 20] [--rounds 3]

DATA: folder with raw/. The input is real texts over and over, changed so that hardly two are near duplicates, in files
that are a rank each; the build is language, quality, both deduplications and tokens. `local` and `spark` (local[N,4])
with one worker and two, and a standalone cluster with one worker and two of a core each. Each build is a command of its
own, start included; the configurations take turns, and the best of the rounds counts. Processor seconds are those of
the driver, the JVM, the workers and the cluster's daemons. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import yaml
from common import ROOT, record

sys.path.insert(0, str(ROOT / "tests"))

import spark_servers
from faults import session
from memory import MEGABYTE, SEEDS, other_words

from pipelines.sources import read_texts

FILES = 16
STAGES = ["language", "quality", "exact_dedup", "minhash_dedup", "tokens"]
CONFIGURATIONS = [(engine, workers) for engine in ("local", "spark", "cluster") for workers in (1, 2)]
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: a JVM that outlives its driver is our child, so its time is counted
_TICKS = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)  # utime, stime, cutime, cstime, counted behind the name in /proc/PID/stat

Spent = tuple[float, float]  # wall seconds, processor seconds


def write_input(data: Path, folder: Path, megabytes: float) -> None:
    """About so many megabytes of JSON lines, and the recipe."""
    texts = read_texts([data / SEEDS.format("positive")], "text")
    (folder / "in").mkdir()
    number = 0
    for part in range(FILES):
        with (folder / "in" / f"{part:02d}.jsonl").open("wb") as file:
            while file.tell() < megabytes * MEGABYTE / FILES:
                text = other_words(texts[number % len(texts)], number // len(texts))
                file.write(orjson.dumps({"text": text}) + b"\n")
                number += 1
    sources = [{"format": "jsonl", "name": "texts", "path": "in"}]
    recipe = {"name": "scaling", "shard_mb": 0.01, "sources": sources, "stages": [{"stage": s} for s in STAGES]}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def processor(daemons: set[int]) -> float:
    """Processor seconds of all children that have ended, and of living daemons and their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in daemons)
    return used.ru_utime + used.ru_stime + sum(sum(map(int, stat[_TIMES])) for stat in stats) / _TICKS


def build(folder: Path, options: list[str], daemons: set[int]) -> Spent:
    """What one build cost."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        program = Path(sys.executable).with_name("mathcorpus")
        command = [program, "build", folder / "recipe.yaml", "--out", out, "--json", *options]
        before, started = processor(daemons), time.perf_counter()
        running = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        running.communicate()
        wall = time.perf_counter() - started
        if running.returncode:
            sys.exit(f"{options}: exit code {running.returncode}")
        while set(session({running.pid, *daemons})) - daemons:
            time.sleep(0.1)
        with contextlib.suppress(ChildProcessError):  # none is left
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return wall, processor(daemons) - before


@contextlib.contextmanager
def ready(engine: str, workers: int, folder: Path) -> Iterator[tuple[list[str], set[int]]]:
    """Options of the build, and the daemons of a cluster that is there meanwhile."""
    if engine != "cluster":
        yield ["--engine", engine, "--workers", str(workers)], set()
        return
    home = Path(tempfile.mkdtemp(dir=folder))
    with spark_servers.cluster(home, "--workers", str(workers)) as url:
        daemons = set(orjson.loads((home / "pids.json").read_bytes())["pids"].values())
        yield ["--engine", "spark", "--master", url], daemons


def main() -> None:
    """Builds in turns, and prints the best of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mb", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    best: dict[tuple[str, int], Spent] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_input(given.data, folder, given.mb)
        for _ in range(given.rounds):
            for one in CONFIGURATIONS:
                with ready(*one, folder) as (options, daemons):
                    wall, used = build(folder, options, daemons)
                least = best.get(one, (wall, used))
                best[one] = min(least[0], wall), min(least[1], used)
    for (engine, workers), (wall, used) in best.items():
        print(f"{engine:8} {workers}  {wall:7.1f} s  {used:7.1f} CPU s")
    about = f"{given.mb:g} MB"
    for engine in ("local", "spark", "cluster"):
        record(f"scaling, {engine}, {about}, 1 to 2 workers", best[engine, 1][0] / best[engine, 2][0], "times as fast")
    for engine in ("spark", "cluster"):
        cost = best[engine, 2][1] / best["local", 2][1]
        record(f"{engine} against local, {about}, 2 workers", cost, "times the CPU seconds")


if __name__ == "__main__":
    main()

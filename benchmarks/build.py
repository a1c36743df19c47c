"""The whole build by stage, and its first two stages against datatrove's on the same WARC files.

    python benchmarks/build.py DATA CODE

DATA: folder with raw/ and benchmarks/. CODE: folder of source code as JSON lines.
Ours: ingest and extract (resiliparse), shards committed. Peer: datatrove's WarcReader, Trafilatura and JsonlWriter
with their defaults. Both with one worker, in turns, in megabytes of raw input for each processor second. No peer does
the rest of the path, so that is measured alone.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from common import ROOT, record

from pipelines.build import Build
from pipelines.engine import InlineEngine
from pipelines.plan import make_plan
from pipelines.recipe_file import load_recipe

ROUNDS = 3


def raw_megabytes(data: Path, code: Path) -> float:
    """Megabytes of the files that the build reads, as they lie on disk."""
    files = [*(data / "raw" / "web").glob("*.warc.gz"), *(data / "raw" / "books").glob("*"), *code.glob("*.jsonl.gz")]
    return sum(f.stat().st_size for f in files) / 1e6


def our_pages(data: Path, out: Path) -> None:
    """Pages to text on disk, by us."""
    recipe = out / "recipe.yaml"
    web = data.resolve() / "raw" / "web"
    recipe.write_text(
        f"name: pages\nsources: [{{format: warc, name: web, path: {web}}}]\nstages: [{{stage: extract}}]\n"
    )
    Build(make_plan(load_recipe(recipe), out, out / "out"), InlineEngine).run()


def their_pages(data: Path, out: Path) -> None:
    """Pages to text on disk, by datatrove."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import JsonlWriter

    steps = [
        WarcReader(str(data / "raw" / "web"), glob_pattern="*.warc.gz"),
        Trafilatura(),
        JsonlWriter(str(out / "text")),
    ]
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=str(out / "logs")).run()


def seconds(work: Callable[[Path, Path], None], data: Path) -> float:
    """Processor seconds of one run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = (
            f"import sys; from pathlib import Path; sys.path[:0] = ['benchmarks']; import build; build.{work.__name__}"
        )
        subprocess.run(
            [sys.executable, "-c", f"{code}(Path({str(data)!r}), Path({folder!r}))"],
            check=True, cwd=ROOT, capture_output=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def whole(data: Path, code: Path) -> dict[str, Any]:
    """The manifest of a build of examples/real.yaml on `local`, and its wall seconds."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("mathcorpus")
        settings = ["--set", f"data={data}", "--set", f"code={code}", "--out", folder, "--json"]
        started = time.perf_counter()
        told = subprocess.run(
            [program, "build", "examples/real.yaml", *settings], check=True, cwd=ROOT, capture_output=True
        )
        return {**orjson.loads(told.stdout), "wall_s": time.perf_counter() - started}


def main() -> None:
    """Runs both comparisons and prints them."""
    data, code = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    web = sum(f.stat().st_size for f in (data / "raw" / "web").glob("*.warc.gz")) / 1e6
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for work in (our_pages, their_pages):
            best[work.__name__] = min(best.get(work.__name__, float("inf")), seconds(work, data))
    ours, theirs = web / best["our_pages"], web / best["their_pages"]
    print(f"pages to text: {ours:.2f} MB/s, datatrove {theirs:.2f} MB/s, {ours / theirs:.1f} times")
    record("pages to text", ours, "MB of WARC per CPU second")
    record("pages to text, datatrove", theirs, "MB of WARC per CPU second")
    manifest, size = whole(data, code), raw_megabytes(data, code)
    cost: dict[str, float] = {}
    for one in manifest["passes"]:
        for stage, spent in one["cost"]["stages_cpu_s"].items():
            cost[stage] = cost.get(stage, 0) + spent
    for stage, spent in cost.items():
        print(f"  {stage:16} {spent:7.2f} CPU s  {100 * spent / sum(cost.values()):4.0f} %")
    total = sum(one["cost"]["cpu_s"] for one in manifest["passes"])
    peak = max(one["cost"]["peak_rss_mb"] for one in manifest["passes"])
    print(f"real build: {size:.0f} MB, {total:.1f} CPU s in ranks, {manifest['wall_s']:.1f} s in all, peak {peak} MB")
    record("real build", size / total, "MB of raw input per CPU second and core")
    record("real build, memory of a worker", peak, "MB")


if __name__ == "__main__":
    main()

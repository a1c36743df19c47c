"""Peak memory of a rank by size of its shard, pass by pass; and of documents that are far too large.

    python -P benchmarks/memory.py DATA [--mb 50 1000] [--format jsonl] [--without STAGE ...] [--giant-mb 500]

DATA: folder with raw/ and benchmarks/. The input is one file, so one rank: real texts (or pages) over and over, every
fourth word of a text with a number behind it, so that no two are near duplicates. Each pass runs in a fresh process on
one worker; its peak is the largest resident set. `driver` is the process that decides what the Reduces remove, and
grows with the number of documents. The giant documents are one JSON line, WARC record, page, book, file of source code
and Parquet cell of --giant-mb each, beside a small document of the same kind.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from common import record

from pipelines.build import Build
from pipelines.engine import Progress
from pipelines.engine_datatrove import LocalEngine
from pipelines.plan import make_plan
from pipelines.recipe_file import load_recipe
from pipelines.sources import read_texts
from pipelines.stage import Task

EVERY = 4  # words: no shingle of five stays the same
MEGABYTE = 1_000_000
SEEDS = "raw/seeds/{}.jsonl.gz"


class FreshWorkers(LocalEngine):
    """One worker, a new one for each pass: the peak of a process is never forgotten."""

    def __init__(self) -> None:
        super().__init__(1)

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        """Runs the ranks, then ends the worker."""
        super().run(task, ranks, progress)
        self._drop_pool()


def other_words(text: str, number: int) -> str:
    """The text as no other number has it."""
    words = text.split(" ")
    words[::EVERY] = [f"{word}{number}" for word in words[::EVERY]]
    return " ".join(words)


def write_jsonl(data: Path, path: Path, size: int) -> None:
    """About so many bytes of JSON lines."""
    texts = read_texts([data / SEEDS.format("positive")], "text")
    with path.open("wb") as file:
        for number in count():
            if file.tell() >= size:
                return
            text = other_words(texts[number % len(texts)], number // len(texts))
            file.write(orjson.dumps({"id": str(number), "text": text}) + b"\n")


def write_warc(data: Path, path: Path, size: int) -> None:
    """About so many bytes of WARC, as it is compressed: whole files of real pages over and over."""
    files = sorted((data / "raw" / "web").glob("*.warc.gz"))
    with path.open("wb") as file:
        for number in count():
            if file.tell() >= size:
                return
            file.write(files[number % len(files)].read_bytes())


INPUTS: dict[str, tuple[str, Callable[[Path, Path, int], None]]] = {
    "jsonl": ("in.jsonl", write_jsonl),
    "warc": ("in.warc.gz", write_warc),
}


def stages(data: Path) -> list[dict[str, Any]]:
    """Every stage that streams, with a model and an index, and hardly a document removed."""
    seeds = {kind: str(data / SEEDS.format(kind)) for kind in ("positive", "negative")}
    return [
        {"stage": "language", "keep": ["en", "zh", "und"], "checkpoint": True},
        {"stage": "recall", **seeds, "threshold": 0.0, "dim": 10, "buckets": 900_000, "checkpoint": True},
        {"stage": "quality", "min_tokens": 0, "checkpoint": True},
        {"stage": "exact_dedup", "checkpoint": True},
        {"stage": "minhash_dedup"},
        {"stage": "paragraph_dedup", "checkpoint": True},
        {"stage": "decontaminate", "against": str(data / "benchmarks"), "checkpoint": True},
        {"stage": "tokens"},
    ]


def build(folder: Path, sources: list[dict[str, Any]], chain: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest of a build on fresh workers, and the peak of this process."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"name": "memory", "sources": sources, "stages": chain}))
    manifest = Build(make_plan(load_recipe(recipe), folder, folder / "out"), FreshWorkers).run()
    return {**manifest, "driver_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def one_size(data: Path, kind: str, size: int, folder: Path, without: Sequence[str]) -> dict[str, Any]:
    """{pass: peak MB} of one rank of so many bytes, without some of the stages."""
    name, write = INPUTS[kind]
    write(data, folder / name, size)
    first = [{"stage": "extract"}] if kind == "warc" else []
    manifest = build(
        folder,
        [{"format": kind, "name": "all", "path": name}],
        [*first, *(one for one in stages(data) if one["stage"] not in without)],
    )
    peaks = {f"{one['kind']} {' + '.join(one['stages'])}": one["cost"]["peak_rss_mb"] for one in manifest["passes"]}
    return {"documents": manifest["documents"], "peaks": {**peaks, "driver": manifest["driver_mb"]}}


# --- giants -----------------------------------------------------------------------------------------------------------


def _pieces(size: int) -> Iterator[bytes]:
    piece = b"the sum of two even numbers is even. " * 30_000
    for _ in range(-(-size // len(piece))):
        yield piece


def _giant_file(path: Path, size: int, head: bytes = b"", tail: bytes = b"") -> None:
    with path.open("wb") as file:
        file.write(head)
        file.writelines(_pieces(size))
        file.write(tail)


def _giant_warc(path: Path, size: int) -> None:
    body = sum(map(len, _pieces(size)))
    with path.open("wb") as file:
        for length, pieces in ((body, _pieces(size)), (13, iter([b"<p>1 + 1 = 2."]))):
            http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
            fields = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\n"
            total = f"{fields}Content-Type: application/http; msgtype=response\r\nContent-Length: {length + len(http)}"
            file.write(f"{total}\r\n\r\n".encode() + http)
            file.writelines(pieces)
            file.write(b"\r\n\r\n")


def write_giants(folder: Path, size: int) -> dict[str, dict[str, Any]]:
    """A source of each kind, with a document of so many bytes and a small one."""
    for kind, ending in (("html", "html"), ("text", "md"), ("code", "py")):
        (folder / kind).mkdir()
        (folder / kind / f"b.{ending}").write_bytes(b"<html><body><p>1 + 1 = 2")
        _giant_file(folder / kind / f"a.{ending}", size, b"<html>")
    _giant_file(folder / "a.jsonl", size, b'{"text":"', b'"}\n{"text":"1 + 1 = 2"}\n')
    _giant_warc(folder / "a.warc", size)
    rows = pa.table({"text": pa.array([b"".join(_pieces(size)).decode(), "1 + 1 = 2"], pa.large_string())})
    pq.write_table(rows, folder / "a.parquet")
    kinds = {"html": "html", "text": "text", "code": "code", "jsonl": "a.jsonl", "warc": "a.warc"}
    return {kind: {"format": kind, "name": kind, "path": path} for kind, path in kinds.items()} | {
        "parquet": {"format": "parquet", "name": "parquet", "path": "a.parquet"}
    }


def giants(kind: str, size: int, folder: Path) -> dict[str, Any]:
    """What became of a giant of one kind, and the peak of its rank."""
    manifest = build(folder, [write_giants(folder, size)[kind]], [{"stage": "extract"}, {"stage": "tokens"}])
    removed = {s["name"]: s["removed"] for s in manifest["stages"] if s["removed"]}
    peak = max(one["cost"]["peak_rss_mb"] for one in manifest["passes"])
    return {"documents": manifest["documents"], "removed": removed, "peak": peak}


GIANTS = ("html", "text", "code", "jsonl", "warc", "parquet")


def in_a_process(*arguments: str) -> Any:
    """What this script prints for one measurement, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", __file__, *arguments, "--folder", folder]
        return orjson.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def main() -> None:
    """Prints and records the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mb", type=int, nargs="*", default=[50, 1000])
    parser.add_argument("--format", choices=INPUTS, default="jsonl")
    parser.add_argument("--without", nargs="*", default=[], help="stages to leave out, by name: 1 GB takes its time")
    parser.add_argument("--giant-mb", type=int, default=500)
    parser.add_argument("--no-record", action="store_true", help="leave results.csv as it is")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # measure once, there, in this process
    parser.add_argument("--giant", choices=GIANTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    data = str(asked.data.resolve())
    if asked.folder:
        size = MEGABYTE * (asked.giant_mb if asked.giant else asked.mb[0])
        found = (
            giants(asked.giant, size, asked.folder)
            if asked.giant
            else one_size(asked.data.resolve(), asked.format, size, asked.folder, asked.without)
        )
        print(orjson.dumps(found).decode())
        return
    told: list[tuple[str, int]] = []
    for mb in asked.mb:
        found = in_a_process(data, "--mb", str(mb), "--format", asked.format, "--without", *asked.without)
        print(f"{mb} MB of {asked.format}: {found['documents']}")
        for name, peak in found["peaks"].items():
            print(f"  {peak:6,} MB  {name}")
            told.append((f"memory, {mb} MB of {asked.format}, {name}", peak))
    for kind in GIANTS if asked.giant_mb else ():
        found = in_a_process(data, "--giant", kind, "--giant-mb", str(asked.giant_mb))
        print(f"{kind} of {asked.giant_mb} MB: {found['peak']:,} MB, {found['removed']}")
        told.append((f"memory, {kind} of {asked.giant_mb} MB", found["peak"]))
    for name, peak in () if asked.no_record else told:
        record(name, peak, "MB")


if __name__ == "__main__":
    main()

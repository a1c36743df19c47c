"""`mathcorpus trace` on a synthetic build of a million documents: by the index, and by scanning.

    python benchmarks/trace.py [DOCUMENTS]

Three documents in ten are removed, one of them by deduplication. Times of the whole command are wall times, start
included; of index and scan processor seconds. Answers of both must be equal, byte for byte.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from common import record

from pipelines import dataset as ds
from pipelines.trace import Scan, trace
from pipelines.trace_index import FOLDER, Index, write_index

SHARDS = 100
COMMANDS, SCANS = 10, 3
WORDS = [f"word{n}" for n in range(5000)]


def table(schema: pa.Schema, columns: dict[str, list[Any]]) -> pa.Table:
    """A table of a schema; columns that are not given are null."""
    size = len(columns["id"])
    return pa.table([columns.get(f.name, pa.nulls(size, f.type)) for f in schema], schema=schema)


def write_build(root: Path, documents: int) -> list[str]:
    """A folder as a build leaves it; the ids."""
    rng, ids = random.Random(7), [ds.document_id(f"o/{n}") for n in range(documents)]
    shards: dict[str, list[ds.Shard]] = {"corpus": [], "removed": [], "evidence": []}
    schemas = {"corpus": ds.DOCUMENTS, "removed": ds.REMOVED, "evidence": ds.EVIDENCE}
    for shard in range(SHARDS):
        mine = ids[shard::SHARDS]
        kept, gone = mine[: len(mine) * 7 // 10], mine[len(mine) * 7 // 10 :]
        stages = ["exact_dedup" if n % 3 == 0 else "quality" for n in range(len(gone))]
        lines = [
            orjson.dumps([{"kept": rng.choice(kept)}] if s == "exact_dedup" else [{"rule": "too_short", "value": 1}])
            for s in stages
        ]
        text = {name: [" ".join(rng.choices(WORDS, k=60)) for _ in name] for name in (tuple(kept), tuple(gone))}
        tables = {
            "corpus": {"id": kept, "text": text[tuple(kept)], "origin": kept, "source": ["web"] * len(kept)},
            "removed": {"id": gone, "text": text[tuple(gone)], "origin": gone, "stage": stages, "reason": stages},
            "evidence": {"id": gone, "key": gone, "stage": stages, "evidence": [line.decode() for line in lines]},
        }
        for name, columns in tables.items():
            path = root / name / f"{shard:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table(schemas[name], columns), path, compression="zstd", row_group_size=ds.ROWS_PER_GROUP)
            digest, size = ds.file_sha256(path)
            shards[name].append(ds.Shard(path.name, len(columns["id"]), size, digest, "0" * 32))
    for name, found in shards.items():
        ds.Dataset(root / name, tuple(found), "key").save(schemas[name])
    ds.write_json(root / "manifest.json", {"stages": [{"name": n} for n in ("ingest", "quality", "exact_dedup")]})
    return ids


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, and what it returned."""
    started = time.process_time()
    found = call()
    return time.process_time() - started, found


def main() -> None:
    """Makes the build, and prints and records the times."""
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        chosen = random.Random(3).sample(write_build(root, documents), COMMANDS)
        spent, _ = timed(lambda: write_index(root))
        size = sum(p.stat().st_size for p in (root / FOLDER).iterdir())
        record(f"trace, index of {documents} documents", spent, "CPU s")
        record(f"trace, index of {documents} documents, size", size / documents, "bytes for each document")
        answers = [timed(lambda one=one: trace(root, one)) for one in chosen]
        walls, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
        for one in chosen:
            started = time.perf_counter()
            program = Path(sys.executable).with_name("mathcorpus")
            subprocess.run([program, "trace", one, "--build", root], check=True, capture_output=True)
            walls.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / COMMANDS
        assert Index.of(root)
        (root / FOLDER / "manifest.json").unlink()
        scans = [timed(lambda one=one: trace(root, one)) for one in chosen[:SCANS]]
        assert isinstance(Index.of(root) or Scan(root), Scan)
        assert [a for _, a in scans] == [a for _, a in answers[:SCANS]]
    print(f"index: {spent:.1f} CPU s, {size / 1e6:.0f} MB; command: {min(walls):.2f} s, {command:.2f} CPU s")
    print(f"answer: {max(s for s, _ in answers):.3f} CPU s by the index, {min(s for s, _ in scans):.1f} by scanning")
    record(f"trace of {documents} documents, whole command", command, "CPU s")
    record(f"trace of {documents} documents, whole command, wall", min(walls), "s at best")
    record(f"trace of {documents} documents, scanning", min(s for s, _ in scans), "CPU s")


if __name__ == "__main__":
    main()

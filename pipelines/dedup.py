"""The work of `mathcorpus dedup`: keys of every row, one answer over all of them, then the files again without some.

All is staged in the folder that it goes to, and renamed at the end; report.json comes last. What is saved of the rows
(`signatures/`) is enough for a later run to compare with, without their texts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from filters.errors import AccountingError, InputError
from pipelines.dedup_answer import Answer, answer, write_clusters
from pipelines.dedup_rows import Job, Read, RowParams, write_keys
from pipelines.dedup_saved import Saved, load_saved, save
from pipelines.files import encodable, write_json
from pipelines.places import Place
from pipelines.row_files import Part, parts_of
from pipelines.row_find import RowFile, find_rows
from pipelines.row_pool import Pool
from pipelines.row_staging import check_out, publish, staging
from pipelines.row_writers import Decision, Written, copy_rows, rewrite
from pipelines.streams import CORRUPT, TRUNCATED

_STAGE = ".dedup-"
KEPT = "kept"  # folder of the files without duplicates
OUTPUTS = (KEPT, "removed", "signatures", "clusters.parquet", "report.html")

Progress = Callable[[str, int], None]  # (what is being done, bytes done since the last call)


@dataclass(frozen=True)
class Options:
    """What the caller asks for. Inputs are in the order of their priority."""

    inputs: tuple[str, ...]
    out: Place | None = None
    against: tuple[Path, ...] = ()  # folders of earlier runs, the oldest first
    rows: RowParams = field(default_factory=RowParams)
    threshold: float = 0.75
    band_cap: int = 50
    band_hubs: int = 8
    urls: bool = True
    near: bool = True
    workers: int | None = None


def run(options: Options, progress: Progress) -> dict[str, Any]:
    """The report; writes the outputs if there is a folder for them."""
    from pipelines.dedup_report import make_report, write_report

    started = time.perf_counter()
    with staging(options.out, _STAGE) as stage:
        old = [load_saved(folder, options.rows) for folder in options.against]
        files, priority = _find(options.inputs, stage)
        check_out(options.out, stage, files)
        parts = [part for file in files for part in parts_of(file, options.rows.fields)]
        with Pool(options.workers, sum(file.size for file in files), len(parts)) as pool:
            keyed = _read(parts, priority, options, stage, pool, progress)
            found = answer([*old, Saved.of(keyed)], options, stage / "scratch")
            if options.out is not None:
                _write(files, keyed, found, stage, pool, progress)
        report = make_report(options, keyed, found)
        if options.out is not None:
            save(stage / "signatures", keyed, found, options.rows)
            write_clusters(found.clusters, stage / "clusters.parquet")
            write_report(stage / "report.html", report, found, keyed, options.rows)
            publish(options.out, stage, OUTPUTS)
    report["cost"] = {"seconds": round(time.perf_counter() - started, 3), "workers": pool.workers}
    if options.out is not None:
        write_json(options.out / "report.json", report)
    return report


class Keyed(NamedTuple):
    """A part whose keys are on disk."""

    part: Part
    keys: Path
    read: Read
    first: int  # number of its first row in the file


def _find(inputs: Sequence[str], stage: Path) -> tuple[list[RowFile], dict[str, int]]:
    """The files behind all inputs, by name, and for each name the place of its input, which is its priority."""
    found: dict[str, RowFile] = {}
    priority: dict[str, int] = {}
    for place, given in enumerate(inputs):
        spool = stage / f"input-{place}"
        spool.mkdir()
        for file in find_rows([given], spool):
            if found.setdefault(file.name, file).path != file.path:
                msg = f"input: {given}: there are two inputs called {file.name!r}; rename one of them"
                raise InputError(msg)
            priority.setdefault(file.name, place)
    return [found[name] for name in sorted(found)], priority


def _read(
    parts: Sequence[Part], priority: dict[str, int], options: Options, stage: Path, pool: Pool, progress: Progress
) -> list[Keyed]:
    """The keys of all parts, in their order; what stands behind a break in a file is left out."""
    (stage / "keys").mkdir()
    paths = [stage / "keys" / f"{number:06d}.parquet" for number in range(len(parts))]
    jobs = [
        Job(part, str(path), priority[part.file.name], options.rows) for part, path in zip(parts, paths, strict=True)
    ]
    results: list[Keyed] = []
    for part, path, read in zip(parts, paths, pool.map(write_keys, write_keys, jobs), strict=True):
        progress("read", read.chars)
        before = results[-1] if results and results[-1].part.file == part.file else None
        if before and before.read.problems.keys() & {CORRUPT, TRUNCATED}:
            continue
        results.append(Keyed(part, path, read, before.first + before.read.numbered if before else 0))
    fields = next((r.read.fields for r in results if r.read.fields), None)
    if fields is not None and not any(r.read.keys for r in results):
        wanted = options.rows.fields.names[0] if options.rows.fields.names else "text"
        msg = f"no row has a text in {wanted!r}; they have {encodable(', '.join(fields))}; name one with --field"
        raise InputError(msg)
    return results


class _Rewrite(NamedTuple):
    """A file to write, and the rows that go."""

    file: RowFile
    stage: Path
    gone: tuple[int, ...]


def _write_file(job: _Rewrite) -> Written | None:
    """Writes a file; None where it was copied, since nothing of it goes."""
    if not job.gone:
        copy_rows(job.file, job.stage / "clean" / job.file.name)
        return None
    decisions = (Decision(row, True, {}, None) for row in job.gone)
    return rewrite(job.file, decisions, job.stage, tagged=False)


def _write(
    files: Sequence[RowFile], keyed: Sequence[Keyed], found: Answer, stage: Path, pool: Pool, progress: Progress
) -> None:
    """Writes kept/ and removed/, and checks that every row went one way."""
    gone: dict[str, list[int]] = {file.name: [] for file in files}
    for one, rows in zip(keyed, found.removed_rows(), strict=True):
        gone[one.part.file.name] += [one.first + row for row in rows]
    counts = {name: sum(k.read.rows for k in group) for name, group in groupby(keyed, key=lambda k: k.part.file.name)}
    for folder in ("clean", "removed"):
        (stage / folder).mkdir()
    jobs = [_Rewrite(file, stage, tuple(sorted(gone[file.name]))) for file in files]
    for job, written in zip(jobs, pool.map(_write_file, _write_file, jobs), strict=True):
        progress("write", job.file.size)
        expected = counts[job.file.name] - len(job.gone), len(job.gone)
        if written is not None and written != expected:
            msg = f"{job.file.path}: {written} written, but {expected} counted; did it change while it was read?"
            raise AccountingError(msg)
    (stage / "clean").rename(stage / KEPT)

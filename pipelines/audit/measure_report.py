"""An audit from what was given to the report: documents, measures, gates, report.json and report.html.

What is written stands in one folder: that of the build, or one of its own; never among somebody else's documents. Until
the report is there the folder holds `.audit/`, by which a run that was killed goes on.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filters.errors import OutputError, UsageError
from pipelines import dataset as ds
from pipelines.audit import gates as gating
from pipelines.audit.compare import compare
from pipelines.audit.documents import (
    Documents,
    Files,
    Progress,
    Rows,
    as_build,
    as_dataset,
    find_documents,
    read_documents,
)
from pipelines.audit.figures import figures
from pipelines.audit.head import absent
from pipelines.audit.measure import measure
from pipelines.audit.measure_contamination import Benchmarks, benchmarks_of, contamination, given_benchmarks
from pipelines.audit.measure_figures import counted, plain_figures, sought
from pipelines.audit.measure_folder import folder_figures
from pipelines.audit.measure_near import exact_duplicates, near_duplicates
from pipelines.audit.measure_rows import Measures
from pipelines.audit.measure_shown import masked_text, personal_figures, shown_documents
from pipelines.audit.report import page
from pipelines.build import locked
from pipelines.engine import Engine, make_engine
from pipelines.files import write_bytes, write_json, writing
from pipelines.keys import code_versions, digest
from pipelines.places import Place
from pipelines.scan_reduce import rule

SAMPLE = 100_000  # documents that are compared for near duplicates
WORK = ".audit"
_LOCK = ".lock"
_OWN = ("report.json", "report.html", WORK, _LOCK)
AUDIT_VERSION = "audit-1"  # raised by hand when the facts change


@dataclass(frozen=True)
class Options:
    """What the caller asks for."""

    given: tuple[str, ...]
    out: Place | None = None
    against: Place | None = None
    benchmarks: tuple[str, ...] = ()
    gates: tuple[gating.Gate, ...] = ()
    sample: int = SAMPLE
    seed: int = 1
    rows: Rows = field(default_factory=Rows)
    workers: int = 1


@dataclass(frozen=True)
class Result:
    """The report, and the folder that it was written to."""

    report: dict[str, Any]
    out: Place


def audit(options: Options, progress: Progress) -> Result:
    """Measures and writes the report; gates that failed stand in it as `failed`."""
    build = as_build(options.given)
    out = options.out or (build if build is not None else Path("audit"))
    _check_gates(options, benchmarks=bool(options.benchmarks) or build is not None, folder=build is None)
    _check_out(out, build)
    found = _find(options.given, options.rows, out)
    other = None if options.against is None else _find((str(options.against),), options.rows, out)
    with locked(out) as check, _work(out) as work:
        engine = make_engine("local" if options.workers > 1 else "inline", options.workers)
        with closing(engine):
            docs = _read(found, work, "read", engine, progress)
            before = None if other is None else _read(other, work, "against", engine, progress)
            report = _Audit(docs, before, options, work, engine, progress).report()
        html = page(report).encode()
        check()
        write_json(out / "report.json", report)
        write_bytes(out / "report.html", html)
    return Result(report, out)


def _check_out(out: Place, build: Place | None) -> None:
    """OutputError where the report would overwrite something that is not one of an audit, or of this build."""
    if out == build or not isinstance(out, Path):
        return
    if out.exists() and not out.is_dir():
        msg = f"--out {out}: is a file; give a folder"
        raise OutputError(msg)
    others = sorted(p.name for p in out.iterdir() if p.name not in _OWN) if out.exists() else []
    if others:
        msg = f"--out {out}: holds other files ({', '.join(others[:3])}); give an empty folder, or that of an audit"
        raise OutputError(msg)


@contextmanager
def _work(out: Place) -> Iterator[Path]:
    """A folder for what is made on the way: below the output, and gone when the report is written."""
    if not isinstance(out, Path):
        with tempfile.TemporaryDirectory(prefix="mathcorpus-audit-") as folder:
            yield Path(folder)
        return
    with writing(out):
        (out / WORK).mkdir(parents=True, exist_ok=True)
        try:
            yield out / WORK
        except UsageError:  # the same run would end the same
            shutil.rmtree(out / WORK)
            raise
        shutil.rmtree(out / WORK)


def _check_gates(options: Options, *, benchmarks: bool, folder: bool) -> None:
    gating.check_measured(options.gates, benchmarks=benchmarks, folder=folder, against=options.against is not None)


def _find(given: tuple[str, ...], rows: Rows, out: Place) -> Documents | Files:
    """The documents of a build or a dataset of ours, or the files of a folder; InputError where there are none."""
    build = as_build(given)
    if build is not None:
        return Documents(ds.Dataset.load(build / "corpus"), build)
    data = as_dataset(given)
    if data is not None:
        return Documents(data, None, _about_dataset(given, data))
    return find_documents(given, rows, out)


def _read(found: Documents | Files, work: Path, name: str, engine: Engine, progress: Progress) -> Documents:
    """The documents; those of files are copied into a folder of this name."""
    if isinstance(found, Documents):
        return found
    return read_documents(found, _keyed(work, name, found.key), engine, progress)


def _about_dataset(given: tuple[str, ...], data: ds.Dataset) -> dict[str, Any]:
    sizes = sum(s.bytes for s in data.shards)
    about = {"paths": list(given), "files": len(data.shards), "bytes": sizes, "documents": data.rows}
    return {**about, "unreadable": {}, "skipped": {}, "unread_files": {"count": 0, "first": []}}


def _keyed(work: Path, name: str, key: str) -> Path:
    """A folder for a step, empty but for what a run with the same key has left."""
    folder, mark = work / name, work / f"{name}.key"
    if not mark.exists() or mark.read_text(encoding="utf-8") != key:
        shutil.rmtree(folder, ignore_errors=True)
        write_bytes(mark, key.encode())
    return folder


@dataclass(frozen=True)
class _Audit:
    """The measures of some documents, and the report of them."""

    found: Documents
    other: Documents | None
    options: Options
    work: Path
    engine: Engine
    progress: Progress

    def report(self) -> dict[str, Any]:
        base = figures(self.found.build) if self.found.build is not None else {}
        benchmarks = self._benchmarks()
        if benchmarks is None:
            _check_gates(self.options, benchmarks=False, folder=self.found.build is None)
        measures, documents = self._measures(benchmarks)
        comparison, compared = self._comparison()
        report = {
            **absent(self.found.kind),
            **(base or folder_figures(measures, self.found.about or {})),
            "input": self.found.about,
            "measures": measures,
            "comparison": comparison,
            "documents": _joined({**compared, **base.get("documents", {})}, documents),
        }
        values = gating.figures_of(report)
        return {**report, "gates": values, "failed": gating.failed(self.options.gates, values)}

    def _comparison(self) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
        """The figure `comparison`, and the documents that it shows."""
        if self.other is None:
            return None, {}
        now, before = (", ".join(self.options.given), self.found), (str(self.options.against), self.other)
        work = _keyed(self.work, "compare", digest([one.data.digest for _, one in (now, before)]))
        return compare(now, before, work, self.engine, self.progress)

    def _benchmarks(self) -> Benchmarks | None:
        if self.options.benchmarks:
            return given_benchmarks(self.options.benchmarks, self.work / "index")
        if self.found.build is None:
            return None
        return benchmarks_of(self.found.build, ds.read_build(self.found.build), self.work / "index")

    def _measures(self, benchmarks: Benchmarks | None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        data = self.found.data
        how = Measures(
            self.options.seed,
            min(1.0, self.options.sample / max(1, data.rows)),
            self.found.copied,
            None if benchmarks is None else benchmarks.index,
            None if benchmarks is None else rule(benchmarks.config),
        )
        key = digest([AUDIT_VERSION, code_versions(), data.digest, data.key, repr(how.share), how.seed, repr(how.rule)])
        facts_in = _keyed(self.work, "measure", f"{key} {None if how.index is None else how.index.digest}")
        facts = measure(data, how, facts_in / "facts", self.engine, self.progress)
        counts = counted(facts)
        exact, repeats = exact_duplicates(facts)
        scratch = self.work / "scratch"
        scratch.mkdir(exist_ok=True)
        near = near_duplicates(facts, repeats, scratch)
        hits = None
        if benchmarks is not None:
            hits = contamination(data, facts, benchmarks, self.engine, self.progress, self.options.seed)
        groups = [*exact["groups"], *near["groups"]]
        wanted = {name for group in groups for name in group["shown"]} | _hit_ids(hits)
        shown = sought(facts, counts, sorted(wanted))
        measures = {
            **plain_figures(counts, shown),
            "duplicates": {"exact": exact, "near": near},
            "contamination": hits,
            "personal": personal_figures(data, counts, shown),
        }
        return measures, shown_documents(data, facts, shown.rows)


def _joined(told: dict[str, dict[str, Any]], shown: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The documents that a build's report tells of and those that the measures show; no personal data in either."""
    masked = {name: {**one, "text": masked_text(one["text"])} for name, one in told.items()}
    return {name: {**masked.get(name, {}), **shown.get(name, {})} for name in sorted({*masked, *shown})}


def _hit_ids(hits: dict[str, Any] | None) -> set[str]:
    """Ids of the documents that the figures of contamination show."""
    if hits is None:
        return set()
    found = {name for names in hits["strongest_shown"].values() for name in names}
    return (
        found | {pair["doc_id"] for pair in hits["pairs"]} | {i for b in hits["benchmarks"] for i in b.get("shown", ())}
    )

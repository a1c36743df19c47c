"""The work of `mathcorpus decontaminate`: scan, judge, write.

Scanning reads every text once and keeps, on disk, the evidence of the texts with hits, and how many documents hold each
loose n-gram. Only then is known which n-grams are stock phrases; so a judgement follows over what was kept, and the
files are read a second time only where a row of theirs is to change. All is staged in the folder that it goes to, and
renamed at the end; report.json comes last.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from decontam.index import Index, build_index, load_index
from decontam.match import KINDS
from decontam.params import DecontaminationParams
from decontam.stock import demote, stock_ngrams
from filters.errors import AccountingError, UsageError
from pipelines.files import encodable, write_json
from pipelines.places import Place
from pipelines.row_fields import Fields
from pipelines.row_files import Part, parts_of
from pipelines.row_find import RowFile, find_rows
from pipelines.row_pool import Pool
from pipelines.row_scan import JUDGED, Hit, Job, Scanned, located, merge_hits, read_hits, scan_part, strongest
from pipelines.row_staging import check_out, publish, staging
from pipelines.row_tally import PROFILES, Tally, check_read, make_report
from pipelines.row_worker import scan_there
from pipelines.row_writers import Decision, Written, copy_rows, rewrite

if TYPE_CHECKING:
    from pipelines.judging import Judge, Judging

_STAGE = ".decontaminate-"
_OUTPUTS = ("clean", "removed", "evidence.jsonl", "report.html")
_JSON_LINE = orjson.OPT_APPEND_NEWLINE

Progress = Callable[[str, int], None]  # (what is being done, bytes of text done since the last call)


@dataclass(frozen=True)
class Options:
    """What the caller asks for."""

    inputs: tuple[str, ...]
    against: tuple[str, ...] = ()  # names or paths of benchmarks
    index: Path | None = None  # a saved index in their place
    only_new: bool = False  # of the index, what was added last
    out: Place | None = None
    fields: Fields = field(default_factory=Fields)
    id_field: str = "id"
    benchmark_fields: Mapping[str, Sequence[str]] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)  # points of the rule, where not its defaults
    actions: Mapping[str, str] = field(default_factory=lambda: PROFILES["web"])  # by class
    workers: int | None = None
    judge: Judge | None = None

    def told(self, params: DecontaminationParams) -> dict[str, Any]:
        """The options that decide what comes out."""
        return {
            "inputs": [encodable(given) for given in self.inputs],
            "against": list(self.against),
            "index": None if self.index is None else str(self.index),
            "only_new": self.only_new,
            "fields": list(self.fields.names),
            "id_field": self.id_field,
            "benchmark_fields": None if self.benchmark_fields is None else dict(self.benchmark_fields),
            **asdict(params),
        }


class Result(NamedTuple):
    """What a run found."""

    report: dict[str, Any]
    first: list[dict[str, Any]]  # lines of evidence, to show


def run(options: Options, progress: Progress) -> Result:
    """The report and the first evidence; writes the outputs if there is a folder for them."""
    started = time.perf_counter()
    with staging(options.out, _STAGE) as stage, _judging(options) as judging:
        index, params = open_benchmarks(options)
        files = find_rows(options.inputs, stage)
        check_out(options.out, stage, files)
        parts = [part for file in files for part in parts_of(file, options.fields)]
        tally = Tally(index, options.actions)
        with Pool(options.workers, sum(file.size for file in files), len(parts)) as pool:
            work = _Work(options, stage, index, params, tally, pool, progress)
            ready = time.perf_counter()
            scanned = work.scan(parts)
            scan_seconds = time.perf_counter() - ready
            work.judge(scanned, judging)
            if options.out is not None:
                work.write(files)
        report = make_report(tally, options.told(params))
        if judging is not None:
            report["judge"] = judging.report(index)
        if options.out is not None:
            _publish(options.out, stage, report)
    megabytes = sum(s.found.bytes for s in scanned) / 1e6
    report["cost"] = {
        "seconds": round(time.perf_counter() - started, 3),
        "scan_seconds": round(scan_seconds, 3),
        "text_mb": round(megabytes, 3),
        "scan_mb_per_second": round(megabytes / max(scan_seconds, 1e-9), 1),
        "workers": pool.workers,
    }
    if options.out is not None:
        write_json(options.out / "report.json", report)
    return Result(report, tally.first)


@contextmanager
def _judging(options: Options) -> Iterator[Judging | None]:
    """The judge, if one is asked for; its answers are kept beside the outputs, so that a run is not paid for twice."""
    if options.judge is None:
        yield None
        return
    from pipelines.judging import at_work

    kept = options.out / f"{_STAGE}answers.sqlite" if isinstance(options.out, Path) else None
    with at_work(options.judge, kept) as judging:
        yield judging


def open_benchmarks(options: Options) -> tuple[Index, DecontaminationParams]:
    """The index to search with, and the points of the rule."""
    if (options.index is None) == (not options.against):
        msg = "say what to search for, by one of the two: --against NAME_OR_PATH,... or --index FILE"
        raise UsageError(msg)
    if options.only_new and options.index is None:
        msg = "--only-new searches for what was added to an index; name the index with --index FILE"
        raise UsageError(msg)
    if options.index is not None:
        index = load_index(options.index)
        index = index.newest if options.only_new else index
        return index, DecontaminationParams(**{"ngram": index.ngram, "near_ngram": index.near_ngram, **options.params})
    from decontam.benchmarks import load_benchmarks
    from decontam.registry import resolve

    params = DecontaminationParams(**options.params)
    items = load_benchmarks(resolve(options.against), options.benchmark_fields)
    return build_index(items, params.ngram, params.near_ngram), params


class _Part(NamedTuple):
    """A part that was scanned."""

    part: Part
    hits: Path
    found: Scanned
    first: int  # number of its first row in the file

    def read_hits(self) -> Iterator[tuple[int, list[Hit]]]:
        """(row of the file, its hits), by row."""
        paths = [path for path in (self.hits, self.hits.with_suffix(JUDGED)) if path.exists()]
        for row, hits in merge_hits(*map(read_hits, paths)):
            yield self.first + row, [hit._replace(line=located(hit.line, self.origin(row))) for hit in hits]

    def origin(self, row: int) -> str:
        """The name of a row of this part."""
        name: str = encodable(f"{self.part.file.name}#{self.first + row}")
        return name


@dataclass(frozen=True)
class _Work:
    """The three steps of a run, and what they share."""

    options: Options
    stage: Path
    index: Index
    params: DecontaminationParams
    tally: Tally
    pool: Pool
    progress: Progress
    loose: Counter[int] = field(default_factory=Counter)  # documents that hold an n-gram and not its items

    def scan(self, parts: Sequence[Part]) -> list[_Part]:
        """What was found in each part, in their order."""
        hits = [self.stage / f"hits-{number:06d}" for number in range(len(parts))]
        fields, id_field = self.options.fields, self.options.id_field
        wide = self.options.judge is not None
        jobs = [Job(part, str(path), fields, id_field, wide) for part, path in zip(parts, hits, strict=True)]
        index = self.options.index or self.stage / "index"
        if self.pool.parallel and self.options.index is None:
            self.index.save(index)
        there = partial(scan_there, str(index), self.options.only_new, self.params)
        here = partial(scan_part, self.index, self.params, progress=partial(self.progress, "scan"))
        results: list[_Part] = []
        for part, path, found in zip(parts, hits, self.pool.map(there, here, jobs), strict=True):
            before = results[-1] if results and results[-1].part.file == part.file else None
            if before and before.found.is_broken:
                continue  # nothing behind the break can be written again
            if self.pool.parallel:
                self.progress("scan", found.bytes)
            self.loose.update(found.loose)
            found.loose.clear()  # of many parts they would not fit in memory
            results.append(_Part(part, path, found, before.first + before.found.numbered if before else 0))
        check_read([result.found for result in results], fields)
        return results

    def judge(self, scanned: Sequence[_Part], judging: Judging | None) -> None:
        """Counts all hits by their final class; writes the evidence, and for each file the decisions on its rows."""
        for one in scanned:
            self.tally.add_part(one.part.file.name, one.found, one.first)
        stock = stock_ngrams(self.loose, self.params)
        if judging is not None:
            actions = self.tally.actions
            judging.settle(
                [(one.hits, one.origin) for one in scanned],
                lambda hits: _decide(0, _judged(hits, stock, actions), actions).drop,
                lambda: self.progress("judge", 0),
            )
        with (self.stage / "evidence.jsonl").open("wb") as out:
            for name, parts in groupby(scanned, key=lambda s: s.part.file.name):
                with self._decisions(name).open("wb") as decisions:
                    for row, hits in (found for one in parts for found in one.read_hits()):
                        judged = _judged(hits, stock, self.tally.actions)
                        out.writelines(orjson.dumps(hit.line, option=_JSON_LINE) for hit in judged)
                        self.tally.add_row(name, judged)
                        decision = _decide(row, judged, self.tally.actions)
                        if decision.drop or decision.cuts or decision.tag:
                            decisions.write(orjson.dumps(tuple(decision), option=_JSON_LINE))

    def write(self, files: Sequence[RowFile]) -> None:
        """Writes clean/ and removed/, and checks that every row went one way."""
        for folder in ("clean", "removed"):
            (self.stage / folder).mkdir()
        tagged = "tag" in self.options.actions.values()
        jobs = [_Rewrite(file, self.stage, self._decisions(file.name), tagged) for file in files]
        for file, written in zip(files, self.pool.map(_write_file, _write_file, jobs), strict=True):
            self.progress("write", file.size)
            counted = self.tally.files[file.name]
            if written is not None and written != (counted["clean"], counted["removed"]):
                msg = f"{file.path}: {written} written, but {dict(counted)} counted; did it change while it was read?"
                raise AccountingError(msg)
        if self.tally.documents["read"] != self.tally.documents["clean"] + self.tally.documents["removed"]:
            msg = f"rows read differ from clean + removed: {dict(self.tally.documents)}"
            raise AccountingError(msg)

    def _decisions(self, name: str) -> Path:
        return self.stage / f"decisions-{name.replace('%', '%25').replace('/', '%2F')}"


def _judged(hits: Sequence[Hit], stock: frozenset[int], actions: Mapping[str, str]) -> list[Hit]:
    """The hits of a row by their final class: by place, the strongest first."""
    matches = demote([hit.match for hit in hits], stock)
    judged = [
        Hit(hit.place, match, {**hit.line, "class": match.kind, "action": actions[match.kind]})
        for hit, match in zip(hits, matches, strict=True)
    ]
    places = {place: number for number, place in enumerate(dict.fromkeys(hit.place for hit in hits))}
    return sorted(judged, key=lambda h: (places[h.place], KINDS.index(h.match.kind), -h.match.lcs, h.match.item))


def _decide(row: int, hits: Sequence[Hit], actions: Mapping[str, str]) -> Decision:
    """What happens to a row: `drop` if any hit calls for it; `cut` and `tag` go together."""
    cuts: dict[str, list[list[int]]] = {}
    tags = []
    for hit in hits:
        does = actions[hit.match.kind]
        if does == "drop":
            return Decision(row, True, {}, None)
        if does == "cut":
            cuts.setdefault(hit.place, []).append(list(hit.match.span))
        elif does == "tag":
            tags.append(hit.match.kind)
    return Decision(row, False, cuts, strongest(tags) if tags else None)


class _Rewrite(NamedTuple):
    """A file to write."""

    file: RowFile
    stage: Path
    decisions: Path
    tagged: bool


def _write_file(job: _Rewrite) -> Written | None:
    """Writes a file; None where it was copied, since nothing in it changes."""
    file, stage, path, tagged = job
    if path.stat().st_size or (tagged and file.is_parquet):
        with path.open("rb") as lines:
            return rewrite(file, (Decision(*orjson.loads(line)) for line in lines), stage, tagged=tagged)
    copy_rows(file, stage / "clean" / file.name)
    return None


def _publish(out: Place, stage: Path, report: dict[str, Any]) -> None:
    """Moves what was staged to its place, with a report for readers."""
    from decontam.report import write_report

    with (stage / "evidence.jsonl").open("rb") as lines:
        write_report(stage, report, map(orjson.loads, lines))
    publish(out, stage, _OUTPUTS)

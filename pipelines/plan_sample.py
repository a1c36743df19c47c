"""A sample of a recipe's input, and what a build of it costs: what `mathcorpus plan --sample` goes by.

Records are chosen by a digest of the recipe's seed and of where they stand: the same input gives the same sample on
every machine. They are copied into files of the same format, and built as any input is. The sample is built twice in
one worker: what the first build costs more is what each worker pays once (imports, models, compiled kernels), and does
not grow with the input.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from filters.errors import UsageError
from pipelines.artefacts import prepare
from pipelines.build import Build
from pipelines.dataset import Dataset
from pipelines.dedup_decide import Reduced
from pipelines.engine_datatrove import LocalEngine
from pipelines.inputs import InputFile, opened
from pipelines.places import contents, fetched_below, names_in
from pipelines.plan import KEY_CHARS, Pass, Plan, make_plan
from pipelines.progress import Events
from pipelines.recipe import MEGABYTE
from pipelines.stage import StageSpec
from pipelines.streams import lines, open_chunks

WHOLE_FILES = 20  # so many files in a sample are enough to take files instead of records, and leave the others unread
WRITES = "writing"  # what a pass costs beside its stages: reading and writing of shards
_SPACE = 1 << 64
_ROWS = 64


@dataclass(frozen=True)
class Sample:
    """The plan of the sample, and how many times larger each source is (in bytes as they are read)."""

    plan: Plan
    factors: dict[str, float]

    def factor(self, rank: int) -> float:
        """Of the source that a rank reads."""
        return self.factors[self.plan.groups[rank][0].source]


def chosen(seed: int, origin: str, share: float) -> bool:
    """Whether what stands at an origin is in a sample of such a share; a larger share chooses it too."""
    digest = hashlib.blake2b(f"{seed}:{origin}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < share * _SPACE


def take_sample(plan: Plan, share: float, folder: Path) -> Sample:
    """Copies a share of the input of a plan below a folder; UsageError where a source is too small for it."""
    factors, sources = {}, []
    for source in plan.recipe.sources:
        files = [f for f in plan.files if f.source == source.name]
        root = folder / "in" / source.name
        pick = _Pick(plan.recipe.seed, share)
        copy = _RECORDS.get(source.format)
        if copy is None or len(files) * share >= WHOLE_FILES:
            copy = _copy_file
        for file in files:
            with opened(file) as here:
                copy(here, root / file.name, pick)
        if not pick.taken:
            least = min(1.0, 10 / max(1, pick.seen))
            msg = (
                f"--sample {share:g}: takes none of the {pick.seen} records of source {source.name!r}; give {least:.2g}"
            )
            raise UsageError(msg)
        factors[source.name] = pick.units / pick.units_taken
        sources.append(source.model_copy(update={"path": str(root)}))
    recipe = plan.recipe.model_copy(update={"sources": sources, "mixes": []})
    return Sample(make_plan(recipe, plan.base, folder / "out"), factors)


@dataclass
class _Pick:
    """Chooses, and counts what it was asked for and what it took; units are bytes, of Parquet rows."""

    seed: int
    share: float
    seen: int = 0
    taken: int = 0
    units: int = 0
    units_taken: int = 0

    def __call__(self, origin: str, units: int) -> bool:
        self.seen += 1
        self.units += units
        if not chosen(self.seed, origin, self.share):
            return False
        self.taken += 1
        self.units_taken += units
        return True


def _copy_file(file: InputFile, target: Path, pick: _Pick) -> None:
    if pick(file.origin, file.size):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)


@contextmanager
def _writing(target: Path) -> Iterator[BinaryIO]:
    """A file that is compressed as its name says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    opened: Any = {".gz": gzip.open, ".zst": zstandard.open}.get(target.suffix, open)
    with opened(target, "wb") as out:
        yield cast(BinaryIO, out)


def _copy_lines(file: InputFile, target: Path, pick: _Pick) -> None:
    with _writing(target) as out:
        for line in lines(open_chunks(Path(file.path)), 40 * MEGABYTE):
            if pick(f"{file.origin}#{line.offset}", line.length) and line.data is not None:
                out.write(line.data + b"\n")


def _copy_records(file: InputFile, target: Path, pick: _Pick) -> None:
    with _writing(target) as out, Path(file.path).open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.any_type, parse_http=False):
            if pick(f"{file.origin}#{record.stream_pos}", record.content_length):
                record.write(out)


def _copy_rows(file: InputFile, target: Path, pick: _Pick) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetFile(file.path) as parquet, pq.ParquetWriter(target, parquet.schema_arrow) as out:
        number = 0
        for batch in parquet.iter_batches(batch_size=_ROWS):
            mask = [pick(f"{file.origin}#{number + at}", 1) for at in range(batch.num_rows)]
            out.write_batch(batch.filter(pa.array(mask)))
            number += batch.num_rows


_RECORDS: dict[str, Callable[[InputFile, Path, _Pick], None]] = {
    "jsonl": _copy_lines,
    "parquet": _copy_rows,
    "warc": _copy_records,
    "wet": _copy_records,
}


# --- what it costs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PassCost:
    """What a pass of the whole is thought to cost, or did cost.

    stages : processor seconds by stage, that grow with the input. fixed : the same, paid once by each worker.
    decide_s : of the process that answers a Reduce. size : bytes on disk. rows : documents that come in.
    """

    stages: dict[str, float]
    fixed: dict[str, float]
    decide_s: float
    size: float
    rows: float
    peak_mb: int

    @property
    def cpu_s(self) -> float:
        """Of all ranks on one worker."""
        return sum(self.stages.values()) + sum(self.fixed.values())


class _OneWorker(LocalEngine):
    """Keeps its worker from build to build, and counts what Reduces cost this process."""

    def __init__(self) -> None:
        super().__init__(1)
        self.decided: dict[str, float] = {}

    def reduce(self, stage: StageSpec, keys: Dataset) -> Reduced:
        started = time.process_time()
        answer = super().reduce(stage, keys)
        self.decided[stage.name] = time.process_time() - started
        return answer

    def close(self) -> None:
        """Not yet: `end` does."""

    def end(self) -> None:
        """Ends the worker."""
        super().close()


def measure(sample: Sample, whole: Plan, events: Events) -> tuple[list[PassCost], float]:
    """(what each pass of the whole will cost, processor seconds of training and indexing that are left to do)."""
    plan = sample.plan
    _reuse_artefacts(plan, whole)
    started = time.process_time()
    for one in plan.passes:
        for stage in one.stages:
            prepare(plan, stage, events)
    prepared = time.process_time() - started
    engine = _OneWorker()
    try:
        Build(plan, lambda: engine).run()
        cold = [_stage_seconds(plan, one, lambda _: 1.0) for one in plan.passes]
        _forget(plan)
        Build(plan, lambda: engine).run()
    finally:
        engine.end()
    costs = []
    for one, first in zip(plan.passes, cold, strict=True):
        warm = _stage_seconds(plan, one, lambda _: 1.0)
        costs.append(_scaled(sample, one, {s: max(0.0, first[s] - warm[s]) for s in warm}, engine.decided))
    return costs, prepared


def _reuse_artefacts(plan: Plan, whole: Plan) -> None:
    """Models and indexes that the build has made already are not made again, as the build itself would not."""
    plan.work.mkdir(parents=True, exist_ok=True)
    for one in plan.passes:
        for stage in one.stages:
            pattern = f"*-{stage.name}-{(stage.need or '')[:KEY_CHARS]}/manifest.json"
            for found in whole.work.glob(pattern) if stage.need else ():
                target = plan.work / found.parent.name
                assert isinstance(target, Path)  # a sample is built on this machine
                if not target.exists():
                    with fetched_below(found.parent) as folder:
                        shutil.copytree(folder, target)


def _forget(plan: Plan) -> None:
    assert isinstance(plan.work, Path)  # a sample is built on this machine
    (plan.out / "manifest.json").unlink()
    shutil.rmtree(plan.work / "stages")
    for one in plan.passes:
        shutil.rmtree(plan.work / one.folder)


def _ranks(plan: Plan, one: Pass) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """(rank, its report, its cost) of a pass that is done."""
    root = plan.work / one.folder
    names = [name for name in names_in(root / "ranks") if not name.startswith(".")]
    reports, costs = (contents([root / kind / name for name in names]) for kind in ("ranks", "cost"))
    for name, report, cost in zip(names, reports, costs, strict=True):
        yield int(PurePosixPath(name).stem), orjson.loads(report), orjson.loads(cost)


def _stage_seconds(plan: Plan, one: Pass, factor: Callable[[int], float]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for rank, _, cost in _ranks(plan, one):
        spent = cost["stages_cpu_s"]
        for stage, seconds in {**spent, WRITES: cost["cpu_s"] - sum(spent.values())}.items():
            total[stage] += seconds * factor(rank)
    return dict(total)


def _scaled(sample: Sample, one: Pass, fixed: dict[str, float], decided: dict[str, float]) -> PassCost:
    """The whole's cost by that of the sample's second build, each rank by the factor of its source."""
    seconds = _stage_seconds(sample.plan, one, sample.factor)
    found = _found(sample.plan, one, sample.factor)
    grown = found.rows / max(1.0, _found(sample.plan, one, lambda _: 1.0).rows)
    decide_s = decided[one.stages[0].name] * grown if one.kind == "reduce" else 0.0
    return PassCost(seconds, fixed, decide_s, found.size, found.rows, found.peak_mb)


def _found(plan: Plan, one: Pass, factor: Callable[[int], float]) -> PassCost:
    """Cost of a pass that is on disk, each rank times its factor."""
    size = rows = 0.0
    peak = 0
    for rank, report, cost in _ranks(plan, one):
        size += factor(rank) * sum(shard["bytes"] for shard in report["shards"].values())
        rows += factor(rank) * (report["counts"][0]["in"] if "counts" in report else report["shards"]["keys"]["rows"])
        peak = max(peak, cost["peak_rss_mb"])
    return PassCost(_stage_seconds(plan, one, factor), {}, 0.0, size, rows, peak)


def last_costs(plan: Plan) -> Sequence[PassCost | None]:
    """What each pass did cost in the last build; None where it is not on disk."""
    return [_found(plan, one, lambda _: 1.0) if plan.is_done(one) else None for one in plan.passes]

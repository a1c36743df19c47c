"""Units of work: one rank of a Map (a pass of consecutive stages) or of the first half of a Reduce.

Every engine calls `task.run(rank)` and nothing else; so a rank gives the same bytes wherever it runs. A rank's shards
are renamed to their names first and its marker comes last: a rank without marker is done again, whole.
"""

from __future__ import annotations

import importlib
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.batches import batched
from filters.errors import AccountingError, UsageError
from pipelines import dataset as ds
from pipelines.decisions import Artefact
from pipelines.inputs import InputFile, opened
from pipelines.memory import memory_limit
from pipelines.places import Place, names_in
from pipelines.recipe import DatatroveStage, Source, Stage
from pipelines.reduces import REDUCTIONS
from pipelines.sources import Rejected, read_file
from pipelines.tables import write_tables

INGEST = "ingest"
DEFAULT_THRESHOLD = 0.5  # of a kind of source that the recipe does not name
KEY_DOCUMENTS = 64  # of which keys are made together,
KEY_CHARS = 1 << 24  # or so many characters: bounds memory where documents are large
KINDS = {"kept": ds.DOCUMENTS, "removed": ds.REMOVED, "ledger": ds.LEDGER, "evidence": ds.EVIDENCE}


@dataclass(frozen=True)
class StageSpec:
    """A stage of a pass as it travels to a worker."""

    name: str
    config: Stage
    artefact: Artefact | None = None
    reduced: Artefact | None = None  # what its Reduce decided, if it is one


def build_steps(spec: StageSpec) -> list[PipelineStep]:
    """The datatrove steps of a stage, made anew in every task. Heavy objects live in caches of the process."""
    if spec.name in REDUCTIONS:
        return [REDUCTIONS[spec.name].apply(spec.config, spec.artefact, spec.reduced)]
    steps = [_STEPS[spec.config.stage](spec.config, spec.artefact)]
    return [_books(spec.config, spec.artefact), *steps] if getattr(spec.config, "books", None) == "sections" else steps


def _extract(config: Any, _: Artefact | None) -> PipelineStep:
    from filters.extract_step import Extract

    return Extract(main_content=config.main_content, first_pass=config.first_pass)


def _language(config: Any, _: Artefact | None) -> PipelineStep:
    from filters.language import Language

    return Language(config.keep)


def _recall(config: Any, model: Artefact | None) -> PipelineStep:
    from filters.classifier import Recall

    assert model is not None
    return Recall(model.path, model.digest, config.threshold)


def _books(config: Any, model: Artefact | None) -> PipelineStep:
    from filters.books import Books
    from filters.classifier import load_model

    assert model is not None
    path, sha256, limit = model.path, model.digest, config.threshold
    limit = limit.get("book", DEFAULT_THRESHOLD) if isinstance(limit, dict) else limit
    return Books(lambda texts: load_model(path, sha256).scores(texts).tolist(), limit)


def _code(config: Any, model: Artefact | None) -> PipelineStep:
    from filters.code import Code
    from filters.code_rules import CodeLimits

    assert model is not None
    limits = CodeLimits(config.max_bytes, config.max_digit_share)
    return Code(model.path, model.digest, config.threshold, config.library_threshold, limits)


def _quality(config: Any, _: Artefact | None) -> PipelineStep:
    from filters.quality import Quality, QualityParams

    return Quality(QualityParams(**config.model_dump(exclude={"stage", "checkpoint"})))


def _synth(config: Any, answers: Artefact | None) -> PipelineStep:
    from pipelines.synth_step import MakeSamples

    assert answers is not None
    return MakeSamples(config, answers)


def _personal_data(config: Any, _: Artefact | None) -> PipelineStep:
    from filters.personal_step import PersonalData

    return PersonalData(config.kinds, config.action, config.placeholders, config.sources)


def _takedown(_config: Any, listed: Artefact | None) -> PipelineStep:
    from filters.takedown import Takedown

    assert listed is not None
    return Takedown(listed.path, listed.digest)


def _score(config: Any, answers: Artefact | None) -> PipelineStep:
    from pipelines.score_step import ScoreDocuments

    assert answers is not None
    return ScoreDocuments(config, answers)


def _tokens(_config: Any, tokenizer: Artefact | None) -> PipelineStep:
    from filters.tokens import CountSubwords, CountTokens

    return CountTokens() if tokenizer is None else CountSubwords(tokenizer.path, tokenizer.digest)


_STEPS: dict[str, Callable[[Any, Artefact | None], PipelineStep]] = {
    "extract": _extract,
    "language": _language,
    "code": _code,
    "recall": _recall,
    "quality": _quality,
    "score": _score,
    "synth": _synth,
    "personal_data": _personal_data,
    "takedown": _takedown,
    "tokens": _tokens,
    "datatrove": lambda config, _: load_filter(config),
}


def load_filter(config: DatatroveStage) -> BaseFilter:
    """The datatrove filter that a recipe names; UsageError where there is none or it refuses its arguments."""
    module, _, name = config.filter.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        msg = f"stage {config.name!r}: {config.filter}: cannot be imported ({error})"
        raise UsageError(msg) from error
    if not (isinstance(kind, type) and issubclass(kind, BaseFilter)):
        msg = f"stage {config.name!r}: {config.filter} is no datatrove filter"
        raise UsageError(msg)
    try:
        return kind(**config.args)
    except (TypeError, ValueError) as error:
        msg = f"stage {config.name!r}: {config.filter} refuses its args ({error})"
        raise UsageError(msg) from error


class Task(Protocol):
    """What an engine runs: pure in its fields, so that it can be pickled and done again."""

    @property
    def out(self) -> Place: ...

    @property
    def ranks(self) -> int: ...

    def run(self, rank: int) -> None: ...


def marker(out: Place, rank: int) -> Place:
    """The file whose existence means that a rank is done."""
    return out / "ranks" / f"{rank:05d}.json"


def missing_ranks(task: Task) -> list[int]:
    """Ranks without a marker, in order."""
    done = set(names_in(task.out / "ranks"))
    return [r for r in range(task.ranks) if marker(task.out, r).name not in done]


@dataclass
class _Meter:
    """Documents in and out of a stage, and the processor seconds spent in it and in all before it."""

    name: str
    entered: int = 0
    made: int = 0  # synthesised here
    kept: int = 0
    removed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def check(self, rank: int) -> None:
        if self.entered + self.made != self.kept + sum(self.removed.values()):
            msg = (
                f"stage {self.name!r}, rank {rank}: {self.entered} documents in + {self.made} made, but "
                f"{self.kept} kept + {sum(self.removed.values())} removed; a step loses or makes documents without a "
                f"row that says so"
            )
            raise AccountingError(msg)


class _Recorder:
    """Writes what a stage removes (document, ledger, evidence); stands in for a datatrove writer."""

    def __init__(self, meter: _Meter, writers: dict[str, ds.ShardWriter]) -> None:
        self.meter, self.writers = meter, writers

    def __enter__(self) -> _Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, doc: Document, _rank: int = 0) -> None:
        stage = self.meter.name
        reason = doc.metadata.pop("filter_reason", "dropped")
        score = doc.metadata.pop("filter_score", None)
        self.meter.removed[reason] += 1
        key = self.evidence(doc)
        row = ds.document_to_row(doc)
        self.writers["removed"].write({**row, "stage": stage, "reason": reason, "score": score})
        ledger = {"id": doc.id, "stage": stage, "reason": reason, "score": score, "evidence": key}
        self.writers["ledger"].write({**ledger, **{c: row[c] for c in ("source", "url", "origin")}})

    def made(self, doc: Document) -> Document:
        """Counts a document that the stage made, kept or not."""
        self.meter.made += 1
        return doc

    def evidence(self, doc: Document) -> str | None:
        """Stores the evidence that a step left on a document; its key."""
        found = doc.metadata.pop("evidence", None)
        if not found:
            return None
        key = f"{self.meter.name}/{doc.id}"
        lines = ds.to_json(found)
        self.writers["evidence"].write({"key": key, "id": doc.id, "stage": self.meter.name, "evidence": lines})
        return key


@dataclass(frozen=True)
class MapTask:
    """A pass: documents from input files or from an earlier dataset, through consecutive stages, to four datasets."""

    out: Place
    stages: tuple[StageSpec, ...]
    sources: tuple[Source, ...] = ()
    files: tuple[tuple[InputFile, ...], ...] = ()
    source: ds.Dataset | None = None
    memory_mb: int | None = None  # a rank may hold

    @property
    def ranks(self) -> int:
        """One for each group of input files, or each shard."""
        return len(self.source.shards) if self.source else len(self.files)

    def run(self, rank: int) -> None:
        """Does one rank and commits it; AccountingError where documents in are not kept + removed."""
        with memory_limit(self.memory_mb, f"{self.out}: rank {rank}"):
            self._run(rank)

    def _run(self, rank: int) -> None:
        started = time.perf_counter(), time.process_time()
        name = f"{rank:05d}.parquet"
        writers = {kind: ds.ShardWriter(self.out / kind, name, schema) for kind, schema in KINDS.items()}
        skipped: Counter[str] = Counter()
        try:
            meters, stream = self._chain(rank, writers, skipped)
            for doc in stream:
                writers["kept"].write(ds.document_to_row(doc))
            for meter in meters:
                meter.check(rank)
            shards = {kind: asdict(writer.commit()) for kind, writer in writers.items()}
        except BaseException:
            for writer in writers.values():
                writer.abort()
            raise
        counts = [
            {"stage": m.name, "in": m.entered, "made": m.made, "kept": m.kept, "removed": dict(m.removed)}
            for m in meters
        ]
        before = [0.0, *(m.seconds for m in meters)]
        cost = {m.name: round(m.seconds - b, 4) for m, b in zip(meters, before, strict=False)}
        finish(self.out, rank, {"shards": shards, "counts": counts, "skipped": dict(skipped)}, started, cost)

    def _chain(
        self, rank: int, writers: dict[str, ds.ShardWriter], skipped: Counter[str]
    ) -> tuple[list[_Meter], Iterator[Document]]:
        meters: list[_Meter] = []
        if self.source:
            stream = ds.read_documents(self.source.root, self.source.shards[rank])
        else:
            meters.append(_Meter(INGEST))
            stream = self._ingest(rank, _Recorder(meters[0], writers), skipped)
            stream = _leave(stream, meters[0], None)
        for spec in self.stages:
            meter = _Meter(spec.name)
            meters.append(meter)
            recorder = _Recorder(meter, writers)
            stream = _enter(stream, meter)
            for step in build_steps(spec):
                if hasattr(step, "exclusion_writer"):  # datatrove's filters, and ours that ask a model
                    step.exclusion_writer = recorder
                stream = step.run(stream, rank, self.ranks)
            stream = _leave(stream, meter, recorder)
        return meters, stream

    def _ingest(self, rank: int, recorder: _Recorder, skipped: Counter[str]) -> Iterator[Document]:
        by_name = {s.name: s for s in self.sources}
        for file in self.files[rank]:
            with opened(file) as here:
                for record in read_file(by_name[file.source], here, skipped):
                    recorder.meter.entered += 1
                    if isinstance(record, Rejected):
                        record.doc.metadata["filter_reason"] = record.reason
                        recorder.write(record.doc)
                    else:
                        yield record


def _enter(stream: Iterator[Document], meter: _Meter) -> Iterator[Document]:
    for doc in stream:
        meter.entered += 1
        yield doc


def _leave(stream: Iterator[Document], meter: _Meter, recorder: _Recorder | None) -> Iterator[Document]:
    stream = iter(stream)
    while True:
        started = time.process_time()
        doc = next(stream, None)
        meter.seconds += time.process_time() - started
        if doc is None:
            return
        meter.kept += 1
        if recorder:
            recorder.evidence(doc)
        yield doc


@dataclass(frozen=True)
class KeyTask:
    """The first half of a Reduce: keys of the documents that `pending`, earlier Reduces behind the same map, leave."""

    out: Place
    stage: StageSpec
    source: ds.Dataset
    pending: tuple[StageSpec, ...] = ()
    memory_mb: int | None = None  # a rank may hold

    @property
    def ranks(self) -> int:
        """One for each shard."""
        return len(self.source.shards)

    def run(self, rank: int) -> None:
        """Writes the keys of one shard and commits them."""
        with memory_limit(self.memory_mb, f"{self.out}: rank {rank}"):
            self._run(rank)

    def _run(self, rank: int) -> None:
        started = time.perf_counter(), time.process_time()
        stage, reduction = self.stage, REDUCTIONS[self.stage.name]
        docs = ds.read_documents(self.source.root, self.source.shards[rank])
        for spec in self.pending:
            for step in build_steps(spec):
                docs = step.run(docs, rank, self.ranks)
        tables = (
            reduction.keys(batch, stage.config, stage.artefact) for batch in batched(docs, KEY_CHARS, KEY_DOCUMENTS)
        )
        shard = write_tables(self.out / "keys", f"{rank:05d}.parquet", reduction.schema, tables)
        cost = {self.stage.name: round(time.process_time() - started[1], 4)}
        finish(self.out, rank, {"shards": {"keys": asdict(shard)}}, started, cost)


def finish(out: Place, rank: int, report: dict[str, Any], started: tuple[float, float], cost: dict[str, float]) -> None:
    """Writes what the rank cost, then its marker: from now on it is done."""
    spent = {
        "wall_s": round(time.perf_counter() - started[0], 4),
        "cpu_s": round(time.process_time() - started[1], 4),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "stages_cpu_s": cost,
    }
    ds.write_json(out / "cost" / f"{rank:05d}.json", spent)
    ds.write_json(marker(out, rank), {"rank": rank, **report})

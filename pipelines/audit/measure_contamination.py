"""Benchmark text in the documents of an audit: by the rule and the steps of the stage `decontaminate`.

The scan is part of the facts. Here stock phrases are decided on over all documents, and those documents that hold
benchmark text are read again for the evidence; nothing is removed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from decontam.match import KINDS
from filters.errors import InputError
from pipelines import dataset as ds
from pipelines.audit.documents import Progress, run_ranks, shards_of
from pipelines.audit.evidence import DECONTAMINATE, Contamination, parse
from pipelines.audit.measure_figures import PER_FIGURE
from pipelines.audit.measure_rows import draw
from pipelines.decisions import Artefact, save_decision
from pipelines.engine import Engine
from pipelines.places import Place, contents
from pipelines.recipe import DecontaminateStage
from pipelines.scan_reduce import ApplyScans, stock_decision
from pipelines.stage import finish, marker
from pipelines.tables import write_tables

FOUND = pa.schema([*ds.EVIDENCE, ("removed", pa.bool_())], metadata={"mathcorpus": "audit-evidence-1"})
_CLASS = [("class", pa.string())]


@dataclass(frozen=True)
class Benchmarks:
    """What is looked for: the index, its coverage, and the rule."""

    index: Artefact
    coverage: Sequence[dict[str, Any]]
    config: DecontaminateStage


def given_benchmarks(names: Sequence[str], work: Path) -> Benchmarks:
    """The benchmarks of these names or paths, indexed in `work`; InputError where there are none."""
    from decontam.benchmarks import load_benchmarks
    from decontam.index import build_index
    from decontam.registry import resolve

    config = DecontaminateStage(stage="decontaminate", against=list(names))
    return _indexed(build_index(load_benchmarks(resolve(names), None), config.ngram, config.near_ngram), config, work)


def benchmarks_of(build: Place, manifest: dict[str, Any], work: Path) -> Benchmarks | None:
    """The benchmarks that a build was checked against: its index, or the files; None where neither is here."""
    from decontam.index import load_index
    from pipelines.places import fetched

    recipe = build / "recipe.json"
    if not recipe.exists():
        return None
    stages = orjson.loads(recipe.read_bytes())["stages"]
    found = next((s for s in stages if s["stage"] == DECONTAMINATE), None)
    if found is None:
        return None
    config = DecontaminateStage.model_validate(found)
    need = {s["name"]: s.get("need") for s in manifest["stages"]}.get(DECONTAMINATE)
    for path in build.glob(f"work/index-{DECONTAMINATE}-*/manifest.json"):
        if orjson.loads(path.read_bytes())["key"] == need:
            with fetched(path.parent / "index.bin") as here:
                return _indexed(load_index(here), config, work)
    try:
        return given_benchmarks([config.against] if isinstance(config.against, str) else config.against, work)
    except InputError:
        return None


def _indexed(index: Any, config: DecontaminateStage, work: Path) -> Benchmarks:
    path = work / "index.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    index.save(path)
    return Benchmarks(Artefact(str(path), index.digest), [c._asdict() for c in index.coverage()], config)


@dataclass(frozen=True)
class EvidenceTask:
    """The evidence of the documents in which something was found, shard by shard; `scanned` has the facts."""

    out: Place
    source: ds.Dataset
    config: DecontaminateStage
    index: Artefact
    scanned: Artefact

    @property
    def ranks(self) -> int:
        """One for each shard."""
        return len(self.source.shards)

    def run(self, rank: int) -> None:
        """Writes the evidence of one shard and commits it."""
        started = time.perf_counter(), time.process_time()
        shard = write_tables(self.out / "evidence", f"{rank:05d}.parquet", FOUND, self._tables(rank))
        finish(self.out, rank, {"shards": {"evidence": asdict(shard)}}, started, {})

    def _tables(self, rank: int) -> Iterator[pa.Table]:
        step, removed = ApplyScans(self.config, self.index, self.scanned), _Removed()
        step.exclusion_writer = removed
        for doc in step.run(ds.read_documents(self.source.root, self.source.shards[rank]), rank, self.ranks):
            yield from removed.taken()
            if doc.metadata.get("evidence"):
                yield _row(doc, removed=False)
        yield from removed.taken()


class _Removed:
    """Takes the documents that the step would remove; stands in for a datatrove writer."""

    def __init__(self) -> None:
        self._rows: list[pa.Table] = []

    def __enter__(self) -> _Removed:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, doc: Any, _rank: int = 0) -> None:
        self._rows.append(_row(doc, removed=True))

    def taken(self) -> list[pa.Table]:
        rows, self._rows = self._rows, []
        return rows


def _row(doc: Any, *, removed: bool) -> pa.Table:
    lines = ds.to_json(doc.metadata["evidence"])
    key = f"{DECONTAMINATE}/{doc.metadata['origin']}"  # of a mix, copies have one id
    row = {"key": key, "id": doc.id, "stage": DECONTAMINATE, "evidence": lines, "removed": removed}
    return pa.Table.from_pylist([row], schema=FOUND)


def contamination(
    source: ds.Dataset, facts: ds.Dataset, found: Benchmarks, engine: Engine, progress: Progress, seed: int
) -> dict[str, Any]:
    """The figures `contamination`: those of a build's report, and of each class the documents and some to show."""
    out = facts.root.parent
    stock = stock_decision(facts.tables, found.config, Path())
    decision = save_decision(out / "decision", source.key, stock.decision)
    task = EvidenceTask(out.parent / "evidence", source, found.config, found.index, Artefact(str(out), decision.digest))
    run_ranks(engine, task, "evidence", progress)
    reports = [orjson.loads(c) for c in contents([marker(task.out, r) for r in range(task.ranks)])]
    evidence = shards_of(task.out / "evidence", "evidence", reports, source.key)
    removed = [k for t in evidence.tables(["key", "removed"]) for k in t.filter(t["removed"])["key"].to_pylist()]
    figures, strongest = Contamination(removed), _Strongest(seed)
    first = 0
    for table in evidence.tables(ds.EVIDENCE.names):
        figures.add(table, first)
        strongest.add(table)
        first += table.num_rows
    return {**figures.figures(evidence, list(found.coverage)), **strongest.told()}


class _Strongest:
    """Documents by the strongest class of what they hold; evidence has it first."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.counts = dict.fromkeys(KINDS, 0)
        self.ids: dict[str, list[tuple[int, str]]] = {kind: [] for kind in KINDS}

    def add(self, table: pa.Table) -> None:
        lines = parse(table["evidence"], _CLASS)
        classes = pc.struct_field(pc.list_element(lines, 0), "class") if len(lines) else pa.array([], pa.string())
        for name, kind in zip(table["id"].to_pylist(), classes.to_pylist(), strict=True):
            self.counts[kind] += 1
            self.ids[kind] = sorted([*self.ids[kind], (draw(self.seed, name), name)])[:PER_FIGURE]

    def told(self) -> dict[str, Any]:
        shown = {kind: [name for _, name in found] for kind, found in self.ids.items()}
        return {"strongest": self.counts, "strongest_shown": shown}

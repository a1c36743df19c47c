"""Runs a plan: pass by pass, resumed where it stopped, accounted for at every stage, assembled at the end."""

from __future__ import annotations

import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson
import pyarrow as pa

from filters.errors import AccountingError, InputError, OutputError
from pipelines import dataset as ds
from pipelines import dedup_decide, keys
from pipelines.artefacts import prepare
from pipelines.decisions import Artefact, save_decision
from pipelines.engine import Engine, run_missing
from pipelines.files import sweep
from pipelines.leases import held
from pipelines.mix import FOLDER as MIXES
from pipelines.mix import OTHERS, Mixing, are_there, withdraw_others
from pipelines.mix_take import LEFT_OUT, MIX
from pipelines.places import Place, Remote, contents, link_all, names_in, remove_all
from pipelines.plan import KEY_CHARS, Pass, Plan, PlannedStage
from pipelines.progress import Events
from pipelines.reduces import REDUCTIONS
from pipelines.stage import KINDS, KeyTask, MapTask, StageSpec, Task, marker
from pipelines.status import Journal
from pipelines.tables import save_table
from pipelines.trace_index import write_index

PUBLIC = {
    "corpus": ("kept", ds.DOCUMENTS),
    "removed": ("removed", ds.REMOVED),
    "ledger": ("ledger", ds.LEDGER),
}
EVIDENCE = "evidence"
CLUSTERS = "clusters"  # only of a build that looks for near duplicates
SHOWN_UNREAD = 20  # names of files in the manifest that no source takes

Pending = dict[str, tuple[PlannedStage, Artefact]]  # Reduces that the next map applies, in order


@dataclass
class Build:
    """One run of a plan on an engine."""

    plan: Plan
    engine: Callable[[], Engine]
    events: Events = field(default_factory=Events)
    memory_mb: int | None = None  # that a worker may hold
    check: Callable[[], None] = field(default=lambda: None, init=False)  # that the folder is still this run's

    def run(self) -> dict[str, Any]:
        """The build's manifest. Does nothing that is done; `manifest["fresh"]` says whether anything was."""
        self.plan = replace(self.plan, out=self.plan.out.absolute())  # workers have working folders of their own
        with locked(self.plan.out) as self.check:
            if found := finished(self.plan):
                return {**found, "fresh": False}
            sweep(self.plan.out)
            started = time.perf_counter()
            engine = self.engine()
            self.events = Journal(self.plan, self.events, engine.name)
            with self.events, closing(engine):
                results = self._passes(engine)
                mixes = self._mixes(engine)
                made = self._assemble(results, mixes, engine.name, time.perf_counter() - started)
            return {**made, "fresh": True}

    def _passes(self, engine: Engine) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        current: ds.Dataset | None = None
        pending: Pending = {}
        for one in self.plan.passes:
            root = self.plan.work / one.folder
            if not self.plan.is_done(one):
                task = self._task(one, current, pending)
                self._run_pass(engine, one, task, partial(self._close, engine, one, task))
            done = orjson.loads((root / "done.json").read_bytes())
            if one.kind == "reduce":
                [stage] = one.stages
                pending[stage.name] = stage, Artefact(str(root), ds.Dataset.load(root / "decision").digest)
            else:
                current, pending = ds.Dataset.load(root / "kept"), {}
                results.append({"pass": one.folder, **done})
        return results

    def _mixes(self, engine: Engine) -> dict[str, dict[str, Any]]:
        if not self.plan.mixes:
            return {}
        corpus = ds.Dataset.load(self.plan.work / self.plan.passes[-1].folder / "kept")
        return Mixing(self.plan, corpus, engine, partial(self._run_pass, engine), self.memory_mb).make()

    def _task(self, one: Pass, current: ds.Dataset | None, pending: Pending) -> Task:
        out = self.plan.work / one.folder
        if one.kind == "reduce":
            assert current is not None
            [stage] = one.stages
            before = tuple(self._spec(earlier, pending) for earlier, _ in pending.values())
            return KeyTask(out, self._spec(stage, {}), current, before, self.memory_mb)
        specs = tuple(self._spec(s, pending) for s in one.stages if s.config is not None)
        if current is None:
            return MapTask(out, specs, tuple(self.plan.recipe.sources), self.plan.groups, memory_mb=self.memory_mb)
        return MapTask(out, specs, source=current, memory_mb=self.memory_mb)

    def _spec(self, stage: PlannedStage, pending: Pending) -> StageSpec:
        assert stage.config is not None
        artefact = prepare(self.plan, stage, self.events)
        _, reduced = pending.get(stage.name, (stage, None))
        return StageSpec(stage.name, stage.config, artefact, reduced)

    def _run_pass(
        self, engine: Engine, one: Pass, task: Task, close: Callable[[list[dict[str, Any]]], dict[str, Any]]
    ) -> None:
        self.check()
        started = time.perf_counter()
        begin = partial(self.events.started, one, task.ranks)
        run_missing(engine, task, begin, partial(self.events.rank_done, one))
        reports = [orjson.loads(c) for c in contents([marker(task.out, r) for r in range(task.ranks)])]
        extra = close(reports)
        files = [task.out / "cost" / marker(task.out, r).name for r in range(task.ranks)]
        costs = [orjson.loads(c) for c in contents(files)]
        done = {**extra, "cost": merge_costs(costs, time.perf_counter() - started)}
        for stage in one.stages:
            ds.write_bytes(self.plan.work / "stages" / stage.key[:KEY_CHARS], stage.key.encode())
        ds.write_json(task.out / "done.json", done)
        self.events.finished(one, done)

    def _close(self, engine: Engine, one: Pass, task: Task, reports: list[dict[str, Any]]) -> dict[str, Any]:
        close = partial(self._close_reduce, engine) if one.kind == "reduce" else close_map
        return close(one, task, reports)

    def _close_reduce(self, engine: Engine, one: Pass, task: Task, reports: list[dict[str, Any]]) -> dict[str, Any]:
        assert isinstance(task, KeyTask)
        shards = tuple(ds.Shard(**r["shards"]["keys"]) for r in reports)
        found = ds.Dataset(task.out / "keys", shards, one.key)
        found.save(REDUCTIONS[task.stage.name].schema)
        answer = engine.reduce(task.stage, found)
        save_decision(task.out / "decision", one.key, answer.decision)
        if answer.clusters is not None:
            save_table(task.out / CLUSTERS, one.key, answer.clusters)
        return {"keys": found.rows, "decided": answer.decision.num_rows, **answer.counts}

    def _assemble(
        self, results: list[dict[str, Any]], mixes: dict[str, dict[str, Any]], engine: str, seconds: float
    ) -> dict[str, Any]:
        self.check()
        totals, out = check_accounts(results), self.plan.out
        withdraw(out)
        withdraw_others(self.plan)
        datasets = self._publish(results)
        if totals["read"] + totals["made"] != datasets["corpus"].rows + datasets["ledger"].rows:
            msg = (
                f"{totals['read']} documents were read and {totals['made']} made, but {datasets['corpus'].rows} are in "
                f"the corpus and {datasets['ledger'].rows} in the ledger"
            )
            raise AccountingError(msg)
        manifest = {
            "name": self.plan.recipe.name,
            "key": self.plan.key,
            "engine": engine,
            "seconds": round(seconds, 2),
            "documents": {
                "read": totals["read"],
                "made": totals["made"],
                "kept": datasets["corpus"].rows,
                "removed": datasets["ledger"].rows,
            },
            "datasets": {n: {"rows": d.rows, "digest": d.digest, "content": d.content} for n, d in datasets.items()},
            "stages": [
                {"name": s.name, "key": s.key, "need": s.need, **totals["stages"][s.name]}
                for s, _ in self.plan.states()
            ],
            "skipped": totals["skipped"],
            "left_out": list(self.plan.left_out),
            "unread_files": {"count": len(self.plan.unread), "first": list(self.plan.unread[:SHOWN_UNREAD])},
            "passes": [self._pass_entry(p) for p in self.plan.passes],
            "mixes": {name: {**made, "dataset": self._publish_mix(name)} for name, made in mixes.items()},
            "versions": versions(),
        }
        write_index(out)
        sweep(out)
        ds.write_json(out / "recipe.json", self.plan.recipe.model_dump(mode="json"))
        ds.write_json(out / "manifest.json", manifest)
        return manifest

    def _publish(self, results: list[dict[str, Any]]) -> dict[str, ds.Dataset]:
        """The datasets of the build, linked from its passes."""
        datasets = {}
        for name, (kind, schema) in {**PUBLIC, EVIDENCE: (EVIDENCE, ds.EVIDENCE)}.items():
            folders = [results[-1]["pass"]] if kind == "kept" else [r["pass"] for r in results]
            datasets[name] = publish(self.plan, name, kind, folders, schema)
        made = [self.plan.work / p.folder / CLUSTERS / "manifest.json" for p in self.plan.passes]
        if found := [p.parent.parent.name for p in made if p.exists()]:
            datasets[CLUSTERS] = publish(self.plan, CLUSTERS, CLUSTERS, found, dedup_decide.CLUSTERS)
        return datasets

    def _publish_mix(self, name: str) -> dict[str, Any]:
        [planned] = [m for m in self.plan.mixes if m.config.name == name]
        folders = [planned.taking.folder]
        made = publish(self.plan, f"{MIXES}/{name}", "taken", folders, MIX)
        publish(self.plan, f"{OTHERS}/{name}", "left_out", folders, LEFT_OUT)
        return {"rows": made.rows, "digest": made.digest, "content": made.content}

    def _pass_entry(self, one: Pass) -> dict[str, Any]:
        done = orjson.loads((self.plan.work / one.folder / "done.json").read_bytes())
        return {
            "kind": one.kind,
            "stages": [s.name for s in one.stages],
            "folder": one.folder,
            "cost": done["cost"],
        }


def finished(plan: Plan) -> dict[str, Any] | None:
    """The manifest of the build, if it is this one and its datasets are there."""
    try:
        found = ds.read_build(plan.out)
        whole = all(ds.Dataset.load(plan.out / name).is_there() for name in (*PUBLIC, EVIDENCE)) and are_there(plan)
    except InputError:
        return None
    return found if whole and found["key"] == plan.key else None


def withdraw(out: Place) -> None:
    """Takes away what says that a build is whole, and its report, which must not outlive a kill with other datasets."""
    for name in ("manifest.json", "report.html", "report.json"):
        (out / name).unlink(missing_ok=True)


@contextmanager
def locked(out: Place) -> Iterator[Callable[[], None]]:
    """Holds the build folder; OutputError where another run does. The lock dies with its process, or is a lease.

    Gives what is to be asked whether the folder is still held; it raises OutputError.
    """
    if isinstance(out, Remote):
        with held(out) as lease:
            yield lease.check
        return
    with ds.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        msg = f"{out}: another run is using this folder; wait for it, or choose another with --out"
        raise OutputError(msg) from error
    try:
        yield lambda: None
    finally:
        os.close(handle)


def close_map(one: Pass, task: Task, reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Writes the manifests of a pass; its counts, stage by stage."""
    for kind, schema in KINDS.items():
        shards = tuple(ds.Shard(**r["shards"][kind]) for r in reports)
        ds.Dataset(task.out / kind, shards, one.key).save(schema)
    skipped = sum((Counter(r["skipped"]) for r in reports), Counter())
    return {"counts": merge_counts(reports), "skipped": dict(skipped)}


def merge_counts(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sums the ranks' counts, stage by stage, in the order of the stages."""
    total: dict[str, dict[str, Any]] = {}
    for report in reports:
        for counts in report["counts"]:
            into = total.setdefault(
                counts["stage"], {"stage": counts["stage"], "in": 0, "made": 0, "kept": 0, "removed": Counter()}
            )
            for field_name in ("in", "made", "kept"):
                into[field_name] += counts[field_name]
            into["removed"].update(counts["removed"])
    return [{**c, "removed": dict(c["removed"])} for c in total.values()]


def merge_costs(costs: list[dict[str, Any]], wall_s: float) -> dict[str, Any]:
    """What a pass cost: wall seconds here, processor seconds by stage over all ranks, the largest memory of a rank."""
    stages: Counter[str] = Counter()
    for cost in costs:
        stages.update(cost["stages_cpu_s"])
    return {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(sum(c["cpu_s"] for c in costs), 3),
        "peak_rss_mb": max((c["peak_rss_mb"] for c in costs), default=0),
        "stages_cpu_s": {s: round(v, 3) for s, v in stages.items()},
    }


def check_accounts(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Totals of the stages; AccountingError where a stage does not take in what the one before it kept."""
    stages: dict[str, dict[str, Any]] = {}
    flow: int | None = None
    skipped: Counter[str] = Counter()
    for result in results:
        skipped.update(result["skipped"])
        for counts in result["counts"]:
            name = counts["stage"]
            gone = sum(counts["removed"].values())
            if counts["in"] + counts["made"] != counts["kept"] + gone or flow not in (None, counts["in"]):
                msg = (
                    f"stage {name!r}: {counts['in']} documents in + {counts['made']} made, {counts['kept']} kept "
                    f"+ {gone} removed, and the stage before kept {flow}"
                )
                raise AccountingError(msg)
            stages[name], flow = {k: v for k, v in counts.items() if k != "stage"}, counts["kept"]
    read = next(iter(stages.values()))["in"] if stages else 0
    made = sum(stage["made"] for stage in stages.values())
    return {"read": read, "made": made, "stages": stages, "skipped": dict(skipped)}


def publish(plan: Plan, name: str, kind: str, folders: list[str], schema: pa.Schema) -> ds.Dataset:
    """A dataset of the build, its shards linked from the passes (copied where there are no links)."""
    root = plan.out / name
    (root / "manifest.json").unlink(missing_ok=True)
    shards = []
    with ds.writing(root):
        root.mkdir(parents=True, exist_ok=True)
        remove_all([root / stale for stale in names_in(root) if stale.endswith(".parquet")])
        links = []
        for number, folder in enumerate(folders):
            part = ds.Dataset.load(plan.work / folder / kind)
            for shard in part.shards:
                target = shard.path if len(folders) == 1 else f"{number:02d}-{shard.path}"
                links.append((part.root / shard.path, root / target))
                shards.append(ds.Shard(target, shard.rows, shard.bytes, shard.sha256, shard.content))
        link_all(links)
    dataset = ds.Dataset(root, tuple(shards), plan.key)
    dataset.save(schema)
    return dataset


def versions() -> dict[str, Any]:
    """Versions of everything that has a say in the bytes of a corpus."""
    from importlib.metadata import version

    libraries = (
        "mathcorpus",
        "datatrove",
        "fasttext-numpy2-wheel",
        "fastwarc",
        "numpy",
        "pyarrow",
        "py3langid",
        "resiliparse",
    )
    return {
        "code": keys.code_versions(),
        "format": keys.FORMAT,
        "libraries": {n: version(n) for n in libraries},
    }

"""Recall in cycles: train, score, learn which hosts and folders are mathematical, widen the seeds, train again.

A cycle is a value: its key is the digest of the recipe, the documents, the seeds and the outcome of the cycle before.
A cycle that is done is not done again; one that was killed goes on with the ranks that it lacks. What a reviewer said
is read once, when a cycle begins, and kept in its folder: `cycle.json` first, `done.json` last.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from filters.url_prefix import URL_VERSION
from pipelines import dataset as ds
from pipelines import keys
from pipelines.build import Build, locked, versions
from pipelines.engine import Engine
from pipelines.inputs import file_digest, find_files, resolve
from pipelines.places import link_all
from pipelines.plan import make_plan
from pipelines.recall_cycle import Cycle, Given
from pipelines.recall_recipe import Labelled, RecallRecipe
from pipelines.recall_review import FOLDER, HOST, PAGE, read_review
from pipelines.recipe import Recipe, TokensStage
from pipelines.sources import read_seeds

RECALL_VERSION = "cycles-1"
_SAID = (HOST, FOLDER, PAGE)


class Events:
    """What a recall tells while it runs; the command line draws it."""

    def started(self, what: str, ranks: int, missing: int) -> None:
        """Ranks begin to run."""

    def rank_done(self) -> None:
        """One of them is done."""

    def note(self, text: str) -> None:
        """Something that takes a while begins."""

    def cycle_done(self, report: Mapping[str, Any]) -> None:
        """A cycle is on disk, now or from an earlier run."""


@dataclass
class Recall:
    """A recipe on an engine; relative paths of the recipe start at `base`."""

    recipe: RecallRecipe
    base: Path
    out: Path
    engine: Callable[[], Engine]
    events: Events = field(default_factory=Events)

    def run(self, last: int | None = None) -> dict[str, Any]:
        """The report of all cycles; `last` ends before the recipe does. Does nothing that is done."""
        with locked(self.out):
            documents = self._documents()
            given = self._given()
            engine = self.engine()
            try:
                return self._cycles(
                    engine, documents, given, min(last or self.recipe.stop.cycles, self.recipe.stop.cycles)
                )
            finally:
                engine.close()

    def _documents(self) -> ds.Dataset:
        """The recipe's sources as one dataset, their tokens counted: a build of one stage, in `documents/`."""
        recipe = Recipe(
            name=self.recipe.name,
            seed=self.recipe.seed,
            shard_mb=self.recipe.shard_mb,
            sources=list(self.recipe.sources),
            stages=[TokensStage(stage="tokens")],
        )
        self.events.note("reading the documents")
        Build(make_plan(recipe, self.base, self.out / "documents"), self.engine).run()
        return ds.Dataset.load(self.out / "documents" / "corpus")

    def _given(self) -> Given:
        """The first seeds and the labelled texts, and what identifies them."""
        seeds, evaluate = self._labelled(self.recipe.seeds), None
        if self.recipe.evaluate is not None:
            evaluate = self._labelled(self.recipe.evaluate)
        return Given(
            self.recipe, seeds[0], evaluate[0] if evaluate else None, [seeds[1], evaluate[1] if evaluate else None]
        )

    def _labelled(self, labelled: Labelled) -> tuple[dict[str, list[tuple[str, str]]], Any]:
        rows, digests = {}, {}
        for label in ("positive", "negative"):
            paths = resolve(getattr(labelled, label), self.base)
            files = find_files(paths, keys.SEED_FILES, f"{label} seeds")
            rows[label] = read_seeds([path for _, path in files], labelled.text_field)
            digests[label] = [(name, file_digest(path)) for name, path in files]
        return rows, digests

    def _cycles(self, engine: Engine, documents: ds.Dataset, given: Given, last: int) -> dict[str, Any]:
        review = self.out / "review.tsv"
        done: list[Cycle] = []
        stopped = f"{last} cycles"
        for number in range(1, last + 1):
            key = self._key(number, documents, given, done)
            cycle = Cycle(self._begin(number, key, review), number, given, documents, engine, self.events, done)
            report = cycle.run(review)
            self.events.cycle_done(report)
            done.append(cycle)
            if self._is_enough(report) and read_review(review).verdicts(*_SAID) == cycle.said.verdicts(*_SAID):
                stopped = f"{report['known_share']:.1%} of cycle {number} were caught before"
                break
        corpus = publish(done[-1].write_corpus(), self.out / "corpus")
        summary = {
            "name": self.recipe.name,
            "stopped": stopped,
            "cycles": [c.report() for c in done],
            "corpus": {"rows": corpus.rows, "digest": corpus.digest, "content": corpus.content},
        }
        ds.write_json(self.out / "report.json", summary)
        return summary

    def _is_enough(self, report: Mapping[str, Any]) -> bool:
        return bool(report["cycle"] > 1 and report["known_share"] >= self.recipe.stop.known_share)

    def _key(self, number: int, documents: ds.Dataset, given: Given, done: list[Cycle]) -> str:
        rules = self.recipe.model_dump(
            mode="json", exclude={"name", "params", "stop", "sources", "shard_mb", "seeds", "evaluate"}
        )
        parts = {
            "rules": rules,
            "documents": documents.digest,
            "labelled": given.digests,
            "number": number,
            "before": done[-1].outcome() if done else None,
            "versions": {"recall": RECALL_VERSION, "url": URL_VERSION, **versions()},
        }
        return keys.digest(parts)

    def _begin(self, number: int, key: str, review: Path) -> Path:
        """The folder of a cycle, with its key and what the reviewer has said; one of another key is emptied."""
        root = self.out / f"cycle-{number}"
        if not self._is_of(root, key):
            for stale in self._from(number):
                shutil.rmtree(stale)
            said = {f"{kind}\t{name}": row["verdict"] for (kind, name), row in read_review(review).rows.items()}
            ds.write_json(root / "cycle.json", {"key": key, "verdicts": {k: v for k, v in said.items() if v}})
        return root

    @staticmethod
    def _is_of(root: Path, key: str) -> bool:
        try:
            return bool(orjson.loads((root / "cycle.json").read_bytes())["key"] == key)
        except FileNotFoundError:
            return False

    def _from(self, number: int) -> list[Path]:
        """The folders of a cycle and of all that follow, the last first."""
        found = {int(p.name.removeprefix("cycle-")): p for p in self.out.glob("cycle-*") if p.name[6:].isdigit()}
        return [found[n] for n in sorted(found, reverse=True) if n >= number]


def publish(made: ds.Dataset, root: Path) -> ds.Dataset:
    """The dataset in another folder, by links; copied where the file system has none. Its manifest comes last."""
    shutil.rmtree(root, ignore_errors=True)
    with ds.writing(root):
        root.mkdir(parents=True)
        link_all([(made.root / shard.path, root / shard.path) for shard in made.shards])
    shown = ds.Dataset(root, made.shards, made.key)
    shown.save(ds.DOCUMENTS)
    return shown

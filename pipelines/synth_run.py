"""A synthesis by itself: documents in, samples out, resumed where it stopped, made of plan and journal alone.

OUT/recipe.json          the recipe, with whole paths: `resume` and `export` need no more
OUT/answers.sqlite       what the model answered: the only truth
OUT/server.json          what the server can do
OUT/rounds/NAME/         accepted.jsonl.zst, rejected.jsonl.zst, counts.json of each round
OUT/samples.jsonl.zst    what was made, in the order of the plan
OUT/manifest.json        counts, tokens, digests; there when the run is done
OUT/status.json          how far a run is, for another terminal
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from filters.errors import InputError
from pipelines import model_access
from pipelines.build import locked
from pipelines.dataset import file_sha256
from pipelines.files import sweep, write_json
from pipelines.inputs import InputFile, digested, find_places, resolve, suffixes
from pipelines.model_access import Model
from pipelines.recipe_file import load_model_of
from pipelines.score_step import as_text
from pipelines.sources import Rejected, read_file
from pipelines.status import is_locked
from pipelines.synth_recipe import SynthRecipe
from pipelines.synth_rounds import ends, rounds_of, tools_of
from synth import rounds as synth_rounds
from synth.budget import Budget
from synth.engine import Summary
from synth.gate_rules import FAIL, PASS, Finding
from synth.gates import Gate, Seen, given
from synth.near_samples import NearSamples
from synth.requests import Request, Usage
from synth.rounds import Check, Counts, Round
from synth.samples import Document, Sample, to_row
from synth.whole_file import LEVEL, whole

RECIPE, SAMPLES, STATUS, MANIFEST, ROUNDS = (
    "recipe.json", "samples.jsonl.zst", "status.json", "manifest.json", "rounds"
)  # fmt: skip
_TOLD_SECONDS = 1.0  # between two notes of how far it is
_SHOWN = 3  # lines of evidence that a rejected sample keeps

Progress = Callable[[str, Summary], None]


@dataclass
class Synthesis:
    """A recipe, with whole paths, and the folder of its outputs."""

    recipe: SynthRecipe
    out: Path
    progress: Progress = field(default=lambda _name, _summary: None)
    skipped: Counter[str] = field(default_factory=Counter)  # records that are no documents, by reason

    def run(self) -> dict[str, Any]:
        """Asks what is not known yet, and writes everything; the manifest. UsageError where it has to stop."""
        with locked(self.out):
            sweep(self.out)
            (self.out / MANIFEST).unlink(missing_ok=True)
            write_json(self.out / RECIPE, self.recipe.model_dump(mode="json"))
            with self._opened() as (model, chain):
                names = iter(each.name for each in chain)
                model.told = teller = _Teller(self.out, self.progress)

                def ask(requests: Iterable[Request], check: Check) -> None:
                    teller.name = next(names)
                    model.answer(requests, check)

                counts = synth_rounds.run(chain, self.documents, self.out / ROUNDS, ask, model.resolved)
                manifest = self._manifest(chain, counts, model.journal.usage())
            write_json(self.out / MANIFEST, manifest)
            write_json(self.out / STATUS, {"state": "done", "samples": manifest["samples"]})
            return manifest

    def export(self, target: Path) -> Counter[str]:
        """Writes the samples that the journal holds so far, asking nothing; how many of each round."""
        with locked(self.out), self._opened() as (model, chain):
            synth_rounds.materialise(chain, self.documents, self.out / ROUNDS, model.resolved)
            return write_samples(self.out / ROUNDS, ends(chain), target)

    def documents(self) -> Iterator[Document]:
        """The documents, in the order of sources, files and records; the same each time."""
        self.skipped.clear()
        by_name = {source.name: source for source in self.recipe.sources}
        for file in self._files:
            for record in read_file(by_name[file.source], file, self.skipped):
                if isinstance(record, Rejected):
                    self.skipped[record.reason] += 1
                elif record.metadata.get("source") in self.recipe.synth.sources:
                    yield as_text(record)

    @cached_property
    def _files(self) -> list[InputFile]:
        sources = sorted(self.recipe.sources, key=lambda source: source.name)
        found = [
            (source.name, name, path)
            for source in sources
            for name, path in find_places(resolve(source.path, Path("/")), suffixes(source), f"source {source.name!r}")
        ]
        if not found:
            msg = f"{self.recipe.name}: the recipe's sources hold no files"
            raise InputError(msg)
        return digested(found)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Model, tuple[Round, ...]]]:
        config = self.recipe.synth
        with model_access.opened(config, self.out) as model, tools_of(config) as tools:
            yield model, rounds_of(config, model.asking, tools, self._gates())

    def _gates(self) -> list[Gate]:
        """Gates that other rooms give."""
        near = NearSamples()
        gates = [given("duplicate", Seen(near))]
        return [*gates, given("contamination", _contamination(self.recipe))] if self.recipe.against else gates

    def _manifest(self, chain: tuple[Round, ...], counts: dict[str, Counts], usage: Usage) -> dict[str, Any]:
        made = write_samples(self.out / ROUNDS, ends(chain), self.out / SAMPLES)
        server = self.recipe.synth.server
        cost = Budget(None, None, server.prompt_price, server.completion_price).cost(usage)
        return {
            "name": self.recipe.name,
            "model": server.model,
            "documents": counts[chain[0].name].items,
            "skipped": dict(sorted(self.skipped.items())),
            "samples": made.total(),
            "made": dict(made),
            "rounds": {name: one.plain() for name, one in counts.items()},
            "tokens": asdict(usage),
            "cost": round(cost, 6),
            "sha256": file_sha256(self.out / SAMPLES)[0],
        }


class _Teller:
    """Notes how far a run is, once a second."""

    def __init__(self, out: Path, progress: Progress) -> None:
        self.name, self._out, self._progress, self._next = "", out, progress, 0.0

    def __call__(self, summary: Summary) -> None:
        self._progress(self.name, summary)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TOLD_SECONDS
            # not asdict, which makes a Counter of the pairs of a Counter
            told = {one.name: getattr(summary, one.name) for one in fields(summary)}
            write_json(self._out / STATUS, {"state": "running", "round": self.name, **told})


def write_samples(rounds: Path, names: Iterable[str], target: Path) -> Counter[str]:
    """The accepted samples of rounds as one file (.jsonl or .jsonl.zst), whole or not there; how many of each round."""
    made: Counter[str] = Counter()
    with whole(target, LEVEL if target.suffix == ".zst" else 0) as out:
        for name in names:
            for sample in synth_rounds.accepted(rounds, name):
                out.write(to_row(sample) + b"\n")
                made[name] += 1
    return made


def _contamination(recipe: SynthRecipe) -> Callable[[Sample], Finding]:
    """The gate of benchmarks: no sample that is like an item in any class but `review`."""
    from decontam.benchmarks import load_benchmarks
    from decontam.evidence import evidence_lines
    from decontam.index import build_index
    from decontam.match import DecontaminationParams, match_batch
    from decontam.registry import resolve as by_name
    from decontam.step import PROFILES

    assert isinstance(recipe.against, list)
    paths = [path for one in recipe.against for path in ([Path(one)] if Path(one).exists() else by_name([one]))]
    index = build_index(load_benchmarks(paths, None))

    def check(sample: Sample) -> Finding:
        text = sample.training_text
        lines = evidence_lines(index, text, match_batch(index, [text], DecontaminationParams())[0], sample.id, "")
        found = [line for line in lines if PROFILES["posttrain"][line["class"]] == "drop"]
        return (FAIL, found[0]["benchmark"], {"evidence": found[:_SHOWN]}) if found else (PASS, "", {})

    return check


def load(path: Path, settings: Mapping[str, str]) -> SynthRecipe:
    """The recipe in a YAML file, with whole paths; errors as of `pipelines.recipe_file.load_recipe`."""
    base = path.absolute().parent
    recipe = load_model_of(SynthRecipe, path, settings)
    sources = [source.model_copy(update={"path": resolve(source.path, base)}) for source in recipe.sources]
    named = [recipe.against] if isinstance(recipe.against, str) else recipe.against or ()
    against = [str(base / one) if (base / one).exists() else one for one in named] or None
    synth = model_access.located(recipe.synth, base, recipe.seed)
    return recipe.model_copy(update={"sources": sources, "against": against, "synth": synth})


def reopened(out: Path) -> SynthRecipe:
    """The recipe of a folder that `synth run` wrote to; InputError where there is none."""
    try:
        return SynthRecipe.model_validate_json((out / RECIPE).read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{out}: no synthesis here; give the folder that `synth run` wrote ({' '.join(str(error).split())[:120]})"
        raise InputError(msg) from error


def status(out: Path) -> dict[str, Any]:
    """How far the synthesis in a folder is: state (running, stopped, done) and counts."""
    reopened(out)
    try:
        told: dict[str, Any] = orjson.loads((out / STATUS).read_bytes())
    except FileNotFoundError:
        told = {"state": "running"}
    if told["state"] == "running" and not is_locked(out):
        told["state"] = "stopped"
    done = out / MANIFEST
    return {**told, **(orjson.loads(done.read_bytes()) if told["state"] == "done" and done.exists() else {})}

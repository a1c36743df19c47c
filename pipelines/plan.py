"""From a recipe to passes: which stages run together, under which keys, and what is there already.

Consecutive maps run in one pass. A pass ends behind a stage with a checkpoint and before a Reduce, and is known by the
key of its last stage; what it leaves on disk is used again as long as that key is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from filters.errors import InputError
from pipelines import keys
from pipelines.inputs import InputFile, group_files, inventory, unread_files
from pipelines.places import Place, names_in
from pipelines.recipe import (
    CodeStage,
    DecontaminateStage,
    RecallStage,
    Recipe,
    Stage,
    TakedownStage,
    TokensStage,
    stage_name,
)
from pipelines.recipe_mix import MIX_VERSION, Mix
from pipelines.recipe_synth import AsksStage
from pipelines.reduces import REDUCTIONS
from pipelines.stage import INGEST

KEY_CHARS = 16  # of a key in the name of a folder


@dataclass(frozen=True)
class PlannedStage:
    """A stage and its key; `need` is the key of the model or index that it uses."""

    name: str
    key: str
    config: Stage | None = None
    need: str | None = None


@dataclass(frozen=True)
class Pass:
    """Stages that run together (`map`), or the first half and answer of one Reduce (`reduce`)."""

    kind: str
    stages: tuple[PlannedStage, ...]

    @property
    def key(self) -> str:
        """The key of the last stage; a pass that applies a decision differs from the Reduce that made it."""
        return self.stages[-1].key

    @property
    def folder(self) -> str:
        """Name below work/."""
        return f"{self.kind}-{self.stages[-1].name}-{self.key[:KEY_CHARS]}"


@dataclass(frozen=True)
class PlannedMix:
    """A mix, its seed, and its key, which holds those of the stages before it."""

    config: Mix
    seed: int
    key: str

    @property
    def counting(self) -> Pass:
        """The task that counts what is there."""
        return Pass("mix-count", (PlannedStage(self.config.name, self.key),))

    @property
    def taking(self) -> Pass:
        """The task that takes documents."""
        return Pass("mix", (PlannedStage(self.config.name, self.key),))


@dataclass(frozen=True)
class Plan:
    """A recipe, resolved: its input, its passes, and where they are."""

    recipe: Recipe
    base: Place
    out: Place
    files: tuple[InputFile, ...]
    unread: tuple[str, ...]
    passes: tuple[Pass, ...]
    groups: tuple[tuple[InputFile, ...], ...] = field(repr=False)
    left_out: tuple[str, ...] = ()  # optional stages that cannot run here, and why

    @property
    def key(self) -> str:
        """Key of the whole build."""
        return keys.digest([*(p.key for p in self.passes), *(m.key for m in self.mixes)])

    @property
    def mixes(self) -> tuple[PlannedMix, ...]:
        """The mixes that are made of the corpus."""
        planned = []
        for config in self.recipe.mixes:
            seed = self.recipe.seed if config.seed is None else config.seed
            parts = {"corpus": self.passes[-1].key, "mix": config.model_dump(mode="json"), "version": MIX_VERSION}
            planned.append(PlannedMix(config, seed, keys.digest({**parts, "seed": seed})))
        return tuple(planned)

    @property
    def work(self) -> Place:
        """Folder of passes, models and indexes."""
        return self.out / "work"

    def is_done(self, one: Pass) -> bool:
        """Whether a pass is on disk, whole."""
        return (self.work / one.folder / "done.json").exists()

    def states(self) -> list[tuple[PlannedStage, str]]:
        """(stage, `reused` | `run` | `again`) in the order of the recipe.

        `again`: the stage itself has not changed, but nothing was kept on disk between it and one that has.
        """
        state: dict[str, tuple[PlannedStage, str]] = {}
        known = set(names_in(self.work / "stages"))
        for one in self.passes:
            done = self.is_done(one)
            for stage in one.stages:
                if one.kind == "map" and stage.name in REDUCTIONS:
                    continue  # only applies what the Reduce decided
                seen = stage.key[:KEY_CHARS] in known
                state[stage.name] = (stage, "reused" if done else "again" if seen else "run")
        return list(state.values())

    def mix_states(self) -> list[tuple[PlannedMix, str]]:
        """(mix, `reused` | `run`) in the order of the recipe."""
        return [(mix, "reused" if self.is_done(mix.taking) else "run") for mix in self.mixes]


def make_plan(recipe: Recipe, base: Place, out: Place) -> Plan:
    """The plan of a recipe whose relative paths start at `base`. Reads all input once, to digest it."""
    files = inventory(recipe, base, out / "work" / "inputs.json")
    if not files:
        msg = "the recipe's sources hold no files"
        raise InputError(msg)
    return plan_of(recipe, base, out, files, unread_files(recipe, base, files))


def plan_of(recipe: Recipe, base: Place, out: Place, files: Sequence[InputFile], unread: Sequence[str]) -> Plan:
    """The plan of a recipe on files that were found before; `unread` are those that no source takes."""
    stages, left_out = _possible(recipe, base)
    planned = _planned_stages(recipe, stages, base, files)
    groups = tuple(group_files(files, recipe.shard_mb))
    return Plan(recipe, base, out, tuple(files), tuple(unread), tuple(_cut(planned)), groups, left_out)


def _possible(recipe: Recipe, base: Place) -> tuple[list[Stage], tuple[str, ...]]:
    """The stages that can run on this machine, ready to travel; and the optional ones that cannot."""
    stages: list[Stage] = []
    left_out = []
    for given in recipe.stages:
        config, lacks = _located(given, base, recipe.seed)
        if lacks is None:
            stages.append(config)
        else:
            left_out.append(f"stage {stage_name(given)!r} is left out: {lacks}")
    return stages, tuple(left_out)


def _planned_stages(
    recipe: Recipe, stages: Sequence[Stage], base: Place, files: Sequence[InputFile]
) -> list[PlannedStage]:
    planned = [PlannedStage(INGEST, keys.ingest_key(recipe, files))]
    for config in stages:
        need = need_of(config, base, recipe.seed)
        key = keys.stage_key(config, planned[-1].key, {"artefact": need} if need else {})
        planned.append(PlannedStage(stage_name(config), key, config, need))
    return planned


def _located(config: Stage, base: Place, seed: int) -> tuple[Stage, str | None]:
    if not isinstance(config, AsksStage):
        return config, None
    from pipelines.model_access import lacking, located

    config = located(config, base, seed)
    return config, lacking(config) if config.optional else None


def need_of(config: Stage, base: Place, seed: int) -> str | None:
    """Key of the model or index that a stage uses, from the bytes of the files as they are now."""
    if isinstance(config, RecallStage):
        return keys.model_key(config, base, seed)
    if isinstance(config, CodeStage):
        return keys.code_model_key(config, base)
    if isinstance(config, DecontaminateStage):
        return keys.index_key(config, base)
    if isinstance(config, TakedownStage | TokensStage):
        return keys.given_key(config, base)
    if isinstance(config, AsksStage):
        from pipelines.model_access import need

        return need(config)
    return None


def _cut(planned: list[PlannedStage]) -> list[Pass]:
    passes: list[Pass] = []
    group: list[PlannedStage] = []
    for stage in planned:
        if stage.name in REDUCTIONS:
            if any(s.name not in REDUCTIONS for s in group):
                passes.append(Pass("map", tuple(group)))
                group = []
            passes.append(Pass("reduce", (stage,)))
        group.append(stage)
        if stage.config is not None and stage.config.checkpoint:
            passes.append(Pass("map", tuple(group)))
            group = []
    return [*passes, Pass("map", tuple(group))] if group else passes

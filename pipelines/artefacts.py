"""Models and indexes that stages need: made once for each key, kept in work/, and never of other bytes than planned.

A build of days outlives its inputs: somebody replaces a model or a benchmark while it runs. So a given model is copied,
and whatever was made is thrown away if the files that it was made of have changed since the recipe was planned.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from filters.errors import InputError
from filters.takedown import load_takedown
from pipelines import dataset as ds
from pipelines import keys
from pipelines.code_seeds import train_code_model
from pipelines.decisions import Artefact
from pipelines.files import unfinished_file
from pipelines.inputs import file_digest, resolve
from pipelines.places import Place, copy, fetched, place
from pipelines.plan import KEY_CHARS, Plan, PlannedStage, need_of
from pipelines.progress import Events
from pipelines.recipe import CodeStage, DecontaminateStage, RecallStage, TakedownStage, TokensStage
from pipelines.recipe_synth import AsksStage
from pipelines.sources import read_texts
from pipelines.spool import spool_folder

Facts = dict[str, Any]  # what a manifest says of an artefact beside its digest


def prepare(plan: Plan, stage: PlannedStage, events: Events) -> Artefact | None:
    """The model or index of a stage, if it needs one; InputError where its inputs are not those of the plan."""
    config = stage.config
    if isinstance(config, RecallStage):
        return _made(plan, stage, "model", "model.bin", lambda tmp: _recall_model(plan, config, tmp, events))
    if isinstance(config, CodeStage):
        return _made(plan, stage, "model", "model.json", lambda tmp: _code_model(plan, config, tmp, events))
    if isinstance(config, DecontaminateStage):
        return _made(plan, stage, "index", "index.bin", lambda tmp: _index(plan, config, tmp, events))
    if isinstance(config, TakedownStage):
        return _made(plan, stage, "list", "takedown.txt", lambda tmp: _takedown(plan, config, tmp))
    if isinstance(config, TokensStage) and config.tokenizer != "builtin":
        return _made(plan, stage, "tokenizer", "tokenizer.json", lambda tmp: _tokenizer(plan, config, tmp))
    return _answers(plan, stage, config) if isinstance(config, AsksStage) else None


def _answers(plan: Plan, stage: PlannedStage, config: AsksStage) -> Artefact:
    """The folder of a stage's answers, of which every rank has one below it: databases, which need a real disk."""
    assert stage.need is not None
    folder = plan.work / "answers" / stage.name if config.journal is None else Path(config.journal)
    if not isinstance(folder, Path):
        msg = f"stage {stage.name!r}: answers cannot be kept at {folder}; give `journal: FOLDER` on a disk"
        raise InputError(msg)
    return Artefact(str(folder), stage.need)


def _made(plan: Plan, stage: PlannedStage, kind: str, name: str, make: Callable[[Path], Facts]) -> Artefact:
    assert stage.need is not None
    assert stage.config is not None
    root = plan.work / f"{kind}-{stage.name}-{stage.need[:KEY_CHARS]}"
    if not (root / "manifest.json").exists():
        with ds.writing(root):
            tmp = unfinished_file(root, name)
            facts = make(tmp)
            if need_of(stage.config, plan.base, plan.recipe.seed) != stage.need:
                msg = f"stage {stage.name!r}: the files of its {kind} changed while the build ran; run it again"
                raise InputError(msg)
            sha256, size = ds.file_sha256(tmp)
            ds.commit_file(tmp, root / name)
        ds.write_json(root / "manifest.json", {"key": stage.need, "sha256": sha256, "bytes": size, **facts})
    about = orjson.loads((root / "manifest.json").read_bytes())
    path = _at_hand(root / name, about["sha256"])
    if ds.file_sha256(path) != (about["sha256"], about["bytes"]):
        msg = f"{root / name}: not the file that its manifest describes; delete {root} and run again"
        raise InputError(msg)
    return Artefact(str(path), about.get("digest", about["sha256"]))


def _at_hand(file: Place, sha256: str) -> Path:
    """The file itself, or a copy that stays on this machine as long as this process."""
    if isinstance(file, Path):
        return file
    path = spool_folder() / f"{sha256}{PurePosixPath(file.name).suffix}"
    if not path.exists():
        part = unfinished_file(file.parent, file.name)
        file.download(part)
        part.rename(path)
    return path


def _recall_model(plan: Plan, config: RecallStage, tmp: Path, events: Events) -> Facts:
    from filters.classifier import TrainParams, train

    if config.model is not None:
        copy(place(resolve(config.model, plan.base)[0]), tmp)
        return {}
    events.note("training the recall classifier")
    texts = {
        label: read_texts([p for _, p in files], config.text_field)
        for label, files in keys.seed_files(config, plan.base).items()
    }
    params = TrainParams(
        config.dim,
        config.epochs,
        config.learning_rate,
        config.word_ngrams,
        config.min_count,
        config.buckets,
        plan.recipe.seed,
    )
    return {"examples": train(texts["positive"], texts["negative"], params, tmp)}


def _code_model(plan: Plan, config: CodeStage, tmp: Path, events: Events) -> Facts:
    if config.model is not None:
        copy(place(resolve(config.model, plan.base)[0]), tmp)
    else:
        events.note("training the classifier of source code")
        train_code_model(config, plan.base, tmp)
    return {}


def _takedown(plan: Plan, config: TakedownStage, tmp: Path) -> Facts:
    given = keys.takedown_path(config, plan.base)
    copy(given, tmp)
    with fetched(given) as here:  # a line that is no entry stops the build here, not in a worker
        load_takedown(str(here), file_digest(given))
    return {}


def _tokenizer(plan: Plan, config: TokensStage, tmp: Path) -> Facts:
    from filters.subwords import Subwords
    from pipelines.pack_inputs import given_tokenizer

    given = given_tokenizer(config.tokenizer, plan.base)
    Subwords(given.data, given.name)  # one that cannot be read stops the build here, not in a worker
    tmp.write_bytes(given.data)
    return {"name": given.name}


def _index(plan: Plan, config: DecontaminateStage, tmp: Path, events: Events) -> Facts:
    from decontam.benchmarks import load_benchmarks
    from decontam.index import build_index

    events.note("indexing the benchmarks")
    fields = {str(k): v for k, v in config.fields.items()} if config.fields else None
    with keys.benchmark_paths(config, plan.base) as paths:
        items = load_benchmarks(paths, fields)
    index = build_index(items, config.ngram, config.near_ngram)
    index.save(tmp)
    return {"digest": index.digest, "coverage": [c._asdict() for c in index.coverage()]}

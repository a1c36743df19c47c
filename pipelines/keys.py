"""Keys of stages: what makes two runs the same.

A key is the digest of the stage's configuration, the versions of its code and of the libraries whose answers it
holds, the digests of the files it reads, and the key of the stage before it. No path, time or machine goes in, so that
the same recipe on the same bytes has the same keys everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from pipelines.inputs import InputFile, describe, file_digest, find_places, resolve
from pipelines.places import Place, fetched_below, join
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

FORMAT = "mathcorpus-2"  # of datasets and keys; another value makes every key another
_PATHS = {"path", "positive", "negative", "seeds", "model", "against", "prompts", "journal"}
_LIBRARIES = {
    "ingest": ("fastwarc", "resiliparse"),
    "extract": ("resiliparse", "selectolax"),
    "language": ("py3langid",),
    "code": ("numpy", "scipy"),
    "recall": ("fasttext-numpy2-wheel",),
    "datatrove": ("datatrove",),
}
SEED_FILES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")


def digest(value: Any) -> str:
    """Hex SHA-256 of a JSON value with sorted keys."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def code_versions() -> dict[str, str]:
    """Version of the code of each stage; raised by hand when a stage answers otherwise."""
    from decontam.match import MATCH_VERSION
    from filters.books import BOOKS_VERSION
    from filters.classifier import CLASSIFIER_VERSION
    from filters.code import CODE_VERSION
    from filters.first_pass import FIRST_PASS_VERSION
    from filters.html import EXTRACT_VERSION
    from filters.language import LANGUAGE_VERSION
    from filters.minhash import MINHASH_VERSION
    from filters.paragraphs import PARAGRAPHS_VERSION
    from filters.personal import PERSONAL_VERSION
    from filters.quality import QUALITY_VERSION
    from filters.takedown import TAKEDOWN_VERSION
    from filters.text import TEXT_VERSION
    from filters.tokens import TOKENS_VERSION
    from filters.urls import CANONICAL_URL_VERSION
    from synth.gates import GATES_VERSION
    from synth.samples import SAMPLE_VERSION

    return {
        "ingest": "ingest-1",
        "extract": f"{EXTRACT_VERSION}/{FIRST_PASS_VERSION}",
        "language": LANGUAGE_VERSION,
        "code": CODE_VERSION,
        "recall": f"{CLASSIFIER_VERSION}/{BOOKS_VERSION}",
        "quality": f"{QUALITY_VERSION}/{TEXT_VERSION}",
        "exact_dedup": f"exact-3/{CANONICAL_URL_VERSION}/{TEXT_VERSION}",
        "minhash_dedup": f"near-2/{MINHASH_VERSION}/{TEXT_VERSION}",
        "paragraph_dedup": f"{PARAGRAPHS_VERSION}/{TEXT_VERSION}",
        "decontaminate": f"scans-2/{MATCH_VERSION}/{TEXT_VERSION}",
        "score": "score-1",
        "synth": f"synth-1/{GATES_VERSION}/{SAMPLE_VERSION}/{TEXT_VERSION}",
        "personal_data": PERSONAL_VERSION,
        "takedown": TAKEDOWN_VERSION,
        "orphans": "orphans-1",
        "tokens": TOKENS_VERSION,
        "datatrove": "datatrove-1",
    }


def library_versions(stage: str) -> dict[str, str]:
    """Versions of the libraries that a stage's answers depend on."""
    return {name: version(name) for name in _LIBRARIES.get(stage, ())}


def ingest_key(recipe: Recipe, files: Sequence[InputFile]) -> str:
    """Key of the documents as they are read."""
    sources = [s.model_dump(exclude=_PATHS) for s in sorted(recipe.sources, key=lambda s: s.name)]
    parts = {"files": describe(files), "sources": sources, "shard_mb": recipe.shard_mb}
    return _key("ingest", parts)


def stage_key(stage: Stage, before: str, needs: dict[str, str]) -> str:
    """Key of a stage behind another; `needs` holds digests of the models and sets that it reads."""
    config = stage.model_dump(mode="json", exclude=_PATHS | {"checkpoint", "server", "optional"})
    if isinstance(stage, TokensStage) and needs:
        config["tokenizer"] = "given"  # wherever it is: `needs` knows its bytes
    return _key(stage.stage, {"before": before, "config": config, "needs": needs, "name": stage_name(stage)})


def _key(stage: str, parts: dict[str, Any]) -> str:
    versions = {"format": FORMAT, "code": code_versions()[stage], "libraries": library_versions(stage)}
    return digest({"stage": stage, "versions": versions, **parts})


def seed_files(stage: RecallStage, base: Place) -> dict[str, list[tuple[str, Place]]]:
    """The seed files of a recall stage, by label."""
    labels = {"positive": stage.positive, "negative": stage.negative}
    return {label: find_places(resolve(paths, base), SEED_FILES, f"recall.{label}") for label, paths in labels.items()}


def model_key(stage: RecallStage, base: Place, seed: int) -> str:
    """Key of a recall stage's model: the digest of the file that is given, or of what it is trained from."""
    if stage.model is not None:
        [(_, path)] = find_places(resolve(stage.model, base), (".bin",), "recall.model")
        return digest({"given": file_digest(path)})
    found = {label: sorted(file_digest(p) for _, p in files) for label, files in seed_files(stage, base).items()}
    config = stage.model_dump(mode="json", exclude=_PATHS | {"checkpoint", "threshold", "books"})
    return _key("recall", {"seeds": found, "config": config, "seed": seed})


def code_seed_files(stage: CodeStage, base: Place) -> list[Place]:
    """The seed files of a code stage."""
    return [path for _, path in find_places(resolve(stage.seeds, base), SEED_FILES, "code.seeds")]


def code_model_key(stage: CodeStage, base: Place) -> str:
    """Key of a code stage's model: the digest of the file that is given, or of what it is trained from."""
    if stage.model is not None:
        [(_, path)] = find_places(resolve(stage.model, base), (".json",), "code.model")
        return digest({"given": file_digest(path)})
    fields = stage.model_dump(include={"text_field", "path_field", "label_field", "group_field"})
    return _key("code", {"seeds": sorted(file_digest(p) for p in code_seed_files(stage, base)), "fields": fields})


def takedown_path(stage: TakedownStage, base: Place) -> Place:
    """The file of a list of what is to be left out."""
    [(_, path)] = find_places(resolve(stage.path, base), (".txt",), "takedown.path")
    return path


def given_key(stage: TakedownStage | TokensStage, base: Place) -> str | None:
    """Key of a list or tokenizer that a stage is given: its bytes, and what reads them; None for our own tokeniser."""
    if isinstance(stage, TakedownStage):
        return digest({"given": file_digest(takedown_path(stage, base))})
    if stage.tokenizer == "builtin":
        return None
    from filters.subwords import SUBWORDS_VERSION
    from pipelines.pack_inputs import given_tokenizer

    found = given_tokenizer(stage.tokenizer, base)
    return digest({"given": found.sha256, "code": SUBWORDS_VERSION, "tokenizers": version("tokenizers")})


@contextmanager
def benchmark_paths(stage: DecontaminateStage, base: Place) -> Iterator[list[Path]]:
    """What a decontaminate stage is against: paths from the recipe's folder, else names of the registry.

    What is in an object store is copied here for as long.
    """
    from decontam.registry import resolve as by_name

    given = [stage.against] if isinstance(stage.against, str) else stage.against
    with ExitStack() as stack:
        paths: list[Path] = []
        for one in given:
            found = join(base, one)
            paths += [stack.enter_context(fetched_below(found))] if found.exists() else by_name([one])
        yield paths


def index_key(stage: DecontaminateStage, base: Place) -> str:
    """Key of a decontamination index: the benchmark files, the registry that knows their fields, and the options."""
    from decontam.benchmarks import benchmark_files
    from decontam.registry import registry_path

    with benchmark_paths(stage, base) as paths:
        named = sorted((f"{p.parent.name}/{p.name}", file_digest(p)) for p in benchmark_files(paths))
    fields = {k: list(v) for k, v in sorted((stage.fields or {}).items())}
    ngrams = [stage.ngram, stage.near_ngram]
    parts = {"files": named, "fields": fields, "ngrams": ngrams, "registry": file_digest(registry_path())}
    return _key("decontaminate", parts)

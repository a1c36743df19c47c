"""What an audit reads: the corpus of a build, a dataset of ours, or any folder of documents that somebody else made.

Whatever it is, it becomes a dataset of documents: a folder's files are read by the readers of `build`, its pages
extracted, and what is no document counted with its reason. That copy is the audit's own, and goes with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from filters.errors import InputError
from pipelines import dataset as ds
from pipelines.audit.head import BUILD, FOLDER
from pipelines.build import SHOWN_UNREAD, merge_counts
from pipelines.engine import Engine, run_missing
from pipelines.inputs import InputFile, describe, digested, find_places, group_files, suffixes
from pipelines.keys import code_versions, digest
from pipelines.places import Place, contents, place
from pipelines.recipe import ExtractStage, JsonlSource, Source, TokensStage
from pipelines.stage import MapTask, StageSpec, Task, marker

MAX_DOCUMENT_MB = 100.0  # a larger one is counted as too_large
_FORMATS = ("warc", "wet", "html", "jsonl", "parquet", "text", "code")  # the first that takes a file name
_SOURCES = TypeAdapter(list[Source])
SHARD_MB = 8.0  # of files that one rank reads together, as in recipes
Progress = Callable[[str, int, int], None]  # (what is being done, units done, units in all)


@dataclass(frozen=True)
class Documents:
    """The documents of an audit; `about` is the figure `input` of a folder, `build` the folder of a build."""

    data: ds.Dataset
    build: Place | None = None
    about: dict[str, Any] | None = None
    copied: bool = False  # from files, by readers that know no sources

    @property
    def kind(self) -> str:
        """What was given: a build, or a folder of documents."""
        return FOLDER if self.build is None else BUILD


@dataclass(frozen=True)
class Rows:
    """Where rows of JSONL and Parquet keep the text and the id."""

    field: str = "text"
    id_field: str = "id"


def as_build(given: Sequence[str]) -> Place | None:
    """The folder of a finished build, if that is what was given."""
    found = manifest_of(given)
    return place(given[0]) if found and {"stages", "datasets", "documents"} <= found.keys() else None


def as_dataset(given: Sequence[str]) -> ds.Dataset | None:
    """A dataset of documents in our own format (a mix, the corpus of a build), if that is what was given."""
    found = manifest_of(given)
    if not found or not {"schema", "shards", "key"} <= found.keys():
        return None
    data = ds.Dataset.load(place(given[0]))
    names = set(ds.open_shard(data.root, data.shards[0]).schema_arrow.names) if data.shards else set()
    if set(ds.DOCUMENTS.names) <= names:
        return data
    msg = f"{given[0]}: is a dataset of {found['schema']}, not of documents; give a build, its corpus/ or a mix of it"
    raise InputError(msg)


def manifest_of(given: Sequence[str]) -> dict[str, Any] | None:
    """manifest.json of a folder that one of our commands wrote."""
    path = place(given[0]) / "manifest.json"
    if len(given) != 1 or not path.exists():
        return None
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None  # of somebody else
    return found if isinstance(found, dict) else None


# --- files ------------------------------------------------------------------------------------------------------------


def sources_of(given: Sequence[str], rows: Rows) -> tuple[Source, ...]:
    """A source for each format that is read; its name is the format's."""
    fields = {"text_field": rows.field, "id_field": rows.id_field}
    more: dict[str, dict[str, str]] = {"jsonl": fields, "parquet": fields}
    plain = {"path": list(given), "max_document_mb": MAX_DOCUMENT_MB}
    return tuple(_SOURCES.validate_python([{"name": f, "format": f, **plain, **more.get(f, {})} for f in _FORMATS]))


@dataclass(frozen=True)
class Files:
    """The files of a folder: those that are read, by format, and the names of the others."""

    given: tuple[str, ...]
    sources: tuple[Source, ...]
    taken: tuple[InputFile, ...]
    unread: tuple[str, ...]

    @property
    def key(self) -> str:
        """Digest of all that says what the documents are."""
        versions = {name: code_versions()[name] for name in ("ingest", "extract", "tokens")}
        sources = [s.model_dump(mode="json", exclude={"path"}) for s in self.sources]
        return digest({"files": describe(self.taken), "sources": sources, "versions": versions})


def find_documents(given: Sequence[str], rows: Rows, out: Place) -> Files:
    """The files behind the given paths, but for those in the audit's own output; InputError where none can be read."""
    sources = sources_of(given, rows)
    taken: list[tuple[str, str, Place]] = []
    unread = []
    for name, path in find_places(given, ("",), "input"):
        if isinstance(path, Path) and isinstance(out, Path) and out.resolve() in path.resolve().parents:
            continue
        format_ = next((s.name for s in sources if name.lower().endswith(suffixes(s))), None)
        if format_ is None:
            unread.append(name)
        else:
            taken.append((format_, name, path))
    if not taken:
        known = ", ".join(ending for s in sources[:5] for ending in suffixes(s)[:1])
        msg = f"input: {', '.join(given)}: holds no documents; files end in {known}, .txt, .md, .tex, .py, …"
        raise InputError(msg)
    return Files(tuple(given), sources, tuple(digested(sorted(taken))), tuple(unread))


def read_documents(files: Files, work: Path, engine: Engine, progress: Progress) -> Documents:
    """The documents of the files, as a dataset in `work`; what is there from a run that was killed is not done again.

    Raises InputError where no file has a document.
    """
    stages = StageSpec("extract", ExtractStage(stage="extract")), StageSpec("tokens", TokensStage(stage="tokens"))
    groups = tuple(group_files(files.taken, SHARD_MB))
    task = MapTask(work / "documents", stages, files.sources, groups)
    run_ranks(engine, task, "read", progress)
    reports = [orjson.loads(c) for c in contents([marker(task.out, r) for r in range(task.ranks)])]
    data = shards_of(task.out / "kept", "kept", reports, files.key)
    unreadable: Counter[str] = Counter()
    for stage in merge_counts(reports):
        unreadable.update(stage["removed"])
    if not data.rows:
        raise _nothing(files, shards_of(task.out / "removed", "removed", reports, files.key), unreadable)
    about = {
        "paths": [str(p) for p in files.given],
        "files": len(files.taken),
        "bytes": sum(f.size for f in files.taken),
        "documents": data.rows,
        "unreadable": dict(sorted(unreadable.items())),
        "skipped": dict(sorted(sum((Counter(r["skipped"]) for r in reports), Counter()).items())),
        "unread_files": {"count": len(files.unread), "first": list(files.unread[:SHOWN_UNREAD])},
    }
    return Documents(data, None, about, copied=True)


def _nothing(files: Files, removed: ds.Dataset, unreadable: Counter[str]) -> InputError:
    """What to say where no record is a document: most often the text is in another field."""
    why = ", ".join(f"{reason} {n:,}" for reason, n in unreadable.most_common(3)) or "the files are empty"
    msg = f"input: {', '.join(files.given)}: holds no document ({why})"
    rows = next((s for s in files.sources if isinstance(s, JsonlSource)), None)
    if unreadable["no_text"] and rows is not None:
        first = next(table["metadata"].drop_null().to_pylist() for table in removed.tables(["metadata"]))
        names = sorted({name for row in first for name in orjson.loads(row)})
        msg = f"{msg}: no row has a text in {rows.text_field!r}; they have {', '.join(names)}; name one with --field"
    return InputError(msg)


def run_ranks(engine: Engine, task: Task, what: str, progress: Progress) -> None:
    """Runs the ranks of a task that are not done; AccountingError where the engine leaves some."""
    done = 0

    def advance(ranks: int) -> None:
        nonlocal done
        done = min(done + ranks, task.ranks)
        progress(what, done, task.ranks)

    run_missing(engine, task, lambda missing: advance(task.ranks - missing), lambda _: advance(1))


def shards_of(root: Place, kind: str, reports: Sequence[dict[str, Any]], key: str) -> ds.Dataset:
    """What the ranks of a task wrote of a kind, as a dataset."""
    return ds.Dataset(root, tuple(ds.Shard(**r["shards"][kind]) for r in reports), key)

"""Sets of the registry brought here and checked: from the hub by `datasets`, or from a folder of sets.

A set goes into the cache as JSON lines, gzipped, only once it is whole and right; so a fetch that was stopped
goes on where it was, and two fetches of one revision write the same bytes. `datasets` is an extra: it is
imported at the first row that is wanted from the hub, and its errors become one line here.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decontam.benchmarks import Item, published_items, read_rows
from decontam.registry import (
    LAYOUT,
    BenchmarkSet,
    default_cache,
    difference,
    load_registry,
    located,
    registry_path,
    set_digest,
)
from filters.errors import InputError, OutputError, UsageError

Rows = Iterable[Mapping[str, Any]]
Loader = Callable[[BenchmarkSet], Rows]  # the rows of a set, from the hub at its revision
FindRevision = Callable[[BenchmarkSet], str]  # the newest commit of the hub's data set

NO_NETWORK = f"copy a folder laid out as {LAYOUT} here and give it with --from, or as a path"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A set that lies in the cache."""

    name: str
    path: Path
    rows: int
    was_there: bool
    checked: bool  # against rows and digest of the registry; one that is not pinned cannot be


@dataclass(frozen=True, slots=True)
class Pinned:
    """What is known of a set now."""

    name: str
    revision: str | None
    rows: int
    digest: str


def expand(names: Iterable[str]) -> list[str]:
    """The sets that names, aliases and profiles stand for, each once, in the order given."""
    registry = load_registry()
    found: dict[str, None] = {}
    for name in names:
        members = registry.find(name)
        if members is None:
            near = registry.near(name)
            msg = f"{name!r} is no benchmark of the registry{'; near: ' + ', '.join(near) if near else ''}"
            raise UsageError(msg)
        found |= dict.fromkeys(members)
    return list(found)


def fetch(
    names: Iterable[str], cache: Path | None = None, loader: Loader | None = None, source: Path | None = None
) -> Iterator[Fetched]:
    """The sets as they come to lie in the cache; those that are there and right are left alone.

    `source` is a folder of sets that is looked at before the hub. A set that cannot be had does not keep the
    others from coming: one error at the end names all of them. Without network the first one ends it.
    """
    cache = cache or default_cache()
    failed: list[str] = []
    for name in expand(names):
        entry = load_registry().sets[name]
        try:
            yield _there(name, entry, cache) or _brought(name, entry, cache, (loader or hub_rows, source))
        except _NotTheSetError as error:
            failed.append(f"{name} ({error})")
    if failed:
        msg = f"not fetched: {'; '.join(failed)}"
        raise InputError(msg)


def pin(
    names: Iterable[str],
    loader: Loader | None = None,
    find_revision: FindRevision | None = None,
    source: Path | None = None,
) -> tuple[str, list[Pinned]]:
    """(the text of a registry with revision, rows and digest of the sets filled in, what was filled in).

    From the hub's newest commit; sets that `source` has are counted there, and their revision stays.
    """
    text = registry_path().read_text(encoding="utf-8")
    pinned = []
    for name in expand(names):
        entry = load_registry().sets[name]
        with tempfile.TemporaryDirectory() as folder:
            if source and located(entry, source):
                fixed = entry
            elif entry.hub:
                fixed = entry.model_copy(update={"revision": (find_revision or hub_revision)(entry)})
            else:
                msg = f"{name} has no hub id in the registry: give a folder that has it with --from"
                raise InputError(msg)
            items = _items(_staged(fixed, Path(folder), (loader or hub_rows, source)))
        one = Pinned(name, fixed.revision, _count(items), set_digest(items))
        text = _filled(text, one)
        pinned.append(one)
    return text, pinned


def write_registry(path: Path, text: str) -> None:
    """Write the text of a registry; the file appears under its name only when it is whole."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as exc:
        partial.unlink(missing_ok=True)
        msg = f"cannot write the registry {path}: {exc}"
        raise OutputError(msg) from exc


def hub_rows(entry: BenchmarkSet) -> Iterator[Mapping[str, Any]]:
    """The rows of a set on the hub, at its revision (the newest while it has none), configuration by configuration."""
    datasets = _imported("datasets")
    for config in entry.configs:
        try:
            # the split "train+test" is both; an empty revision is the newest
            yield from datasets.load_dataset(entry.hub, config or None, split=entry.split, revision=entry.revision)
        except Exception as exc:
            raise _unreachable(entry, exc) from exc


def hub_revision(entry: BenchmarkSet) -> str:
    """The newest commit of a set's data set on the hub."""
    try:
        return str(_imported("huggingface_hub").HfApi().dataset_info(entry.hub).sha)
    except UsageError:
        raise
    except Exception as exc:
        raise _unreachable(entry, exc) from exc


class _NotTheSetError(Exception):
    """What came is not the set, or there is no place that it could come from."""


def _there(name: str, entry: BenchmarkSet, cache: Path) -> Fetched | None:
    path = located(entry, cache)
    if path is None:
        return None
    try:
        items = _items(path)
    except InputError:
        return None  # damaged: fetched again
    return None if difference(items, entry) else Fetched(name, path, _count(items), True, entry.pinned)


def _brought(name: str, entry: BenchmarkSet, cache: Path, sources: tuple[Loader, Path | None]) -> Fetched:
    path = cache / f"{entry.file}.jsonl.gz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".partial-") as folder:
            staged = _staged(entry, Path(folder), sources)
            items = _items(staged)
            told = difference(items, entry)
            if told:
                raise _NotTheSetError(told)
            old = located(entry, cache)
            staged.replace(path)
            if old is not None and old != path:
                old.unlink()  # a wrong file with another suffix would be found first
    except OSError as exc:
        msg = f"cannot write the benchmark cache {cache}: {exc}"
        raise OutputError(msg) from exc
    return Fetched(name, path, _count(items), False, entry.pinned)


def _staged(entry: BenchmarkSet, folder: Path, sources: tuple[Loader, Path | None]) -> Path:
    """The file of a set, written below `folder` from the first of `sources` that has it."""
    loader, source = sources
    given = located(entry, source)
    if given is not None:
        rows: Rows = (record for _, record in read_rows(given))
    elif entry.hub:
        rows = loader(entry)
    else:
        msg = "no hub id in the registry: give a folder that has it with --from"
        raise _NotTheSetError(msg)
    path = folder / f"{entry.file}.jsonl.gz"
    path.parent.mkdir(parents=True)
    # neither a name nor a time in the header: the same rows are the same bytes
    with path.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as lines:
        for row in rows:
            lines.write(json.dumps(row, default=str).encode("ascii") + b"\n")
        lines.flush()
        os.fsync(file.fileno())
    return path


def _items(path: Path) -> list[Item]:
    return published_items(path)


def _count(items: Sequence[Item]) -> int:
    return sum(item.field == "question" for item in items)


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        msg = f"{name} is not installed: `pip install 'mathcorpus[hub]'`, or {NO_NETWORK}"
        raise UsageError(msg) from exc


def _unreachable(entry: BenchmarkSet, exc: Exception) -> InputError:
    """One line for whatever the hub's libraries raise: they have many errors, of several roots."""
    reason = " ".join(str(exc).split())[:200] or type(exc).__name__
    return InputError(f"cannot load {entry.hub} from the hub ({reason}): {NO_NETWORK}")


def _filled(text: str, one: Pinned) -> str:
    """The registry's text with the three lines of one set replaced; its comments and its order stay."""
    block = re.search(rf"^  {re.escape(one.name)}:(?: *#.*)?\n(?:(?:    .*)?\n)*", text + "\n", re.MULTILINE)
    values = {"revision": one.revision or "", "rows": str(one.rows), "digest": one.digest}
    filled = block[0] if block else ""
    for key, value in values.items():
        shown = f'"{value}"' if key != "rows" and value.isdigit() else value  # YAML would take it for a number
        filled, count = re.subn(rf"(?m)^    {key}:.*$", f"    {key}: {shown}".rstrip(), filled)
        if count != 1:
            msg = f"the registry has no line `{key}:` for {one.name}; add an empty one"
            raise InputError(msg)
    return text.replace(block[0].rstrip("\n"), filled.rstrip("\n")) if block else text

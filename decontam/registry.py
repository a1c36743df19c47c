"""The benchmarks known by name: what each is, where it comes from, and the digest that tells that it is whole.

`benchmarks.yaml` beside this file is the registry; MATHCORPUS_REGISTRY names another one. A set lies in a
folder as NAME/SPLIT.jsonl[.gz], and a file that lies so is checked against its entry wherever it came from: a
benchmark that lost its last rows protects less and looks the same. `decontam.hub` fills the cache.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from decontam import benchmarks
from filters.errors import InputError, UsageError

if TYPE_CHECKING:
    from decontam.benchmarks import Item, Names

PACKAGED = Path(__file__).with_name("benchmarks.yaml")
EVERY_SET = "all"  # the profile that needs no list
LAYOUT = "NAME/SPLIT.jsonl[.gz]"

_DIGEST_BYTES = 16
_NEAR = 3  # names offered for one that is not known, or told of those that are not here


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SetFields(_Strict):
    """Where a row has its texts; field paths as in `decontam.benchmarks`, the first that holds a text counts."""

    question: tuple[str, ...] = Field(min_length=1)
    solution: tuple[str, ...] = ()
    option: tuple[str, ...] = ()


class BenchmarkSet(_Strict):
    """One set, as `benchmarks.yaml` says it; the comment at the top of that file explains each key."""

    title: str
    language: str
    licence: str
    source: str = ""
    hub: str = ""
    config: str | tuple[str, ...] = ""
    split: str = "test"
    revision: str | None = None
    fields: SetFields
    file: str = Field(pattern=r"^[^/]+/[^/]+$")
    rows: int | None = Field(default=None, ge=1)
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    aliases: tuple[str, ...] = ()
    note: str = ""

    @property
    def configs(self) -> tuple[str, ...]:
        """The configurations of the hub's data set that make the set, in order; one empty name for its default."""
        return (self.config,) if isinstance(self.config, str) else self.config

    @property
    def pinned(self) -> bool:
        """Whether rows or digest can be checked."""
        return self.rows is not None or self.digest is not None


class Registry(_Strict):
    """All sets by name, and the lists of them that have a name of their own."""

    version: int = Field(ge=1, le=1)
    profiles: dict[str, tuple[str, ...]]
    sets: dict[str, BenchmarkSet]

    @model_validator(mode="after")
    def _check(self) -> Registry:
        unknown = sorted({n for names in self.profiles.values() for n in names} - set(self.sets))
        if unknown:
            msg = f"a profile names {', '.join(unknown)}, which is no set"
            raise ValueError(msg)
        spellings = [*self.profiles, EVERY_SET, *(s for n, e in self.sets.items() for s in {_plain(n): n, **_also(e)})]
        files = [entry.file for entry in self.sets.values()]
        for what in (spellings, files):
            doubled = sorted({one for one in what if what.count(one) > 1})
            if doubled:
                msg = f"two entries answer to {', '.join(doubled)}"
                raise ValueError(msg)
        return self

    def find(self, name: str) -> tuple[str, ...] | None:
        """The sets that a name, an alias or a profile stands for, in any case and with any hyphens; else None."""
        return self._spellings().get(_plain(name))

    def near(self, name: str) -> list[str]:
        """The known names that look most like `name`, best first."""
        spellings = self._spellings()
        shown = {plain: members[0] if len(members) == 1 else plain for plain, members in spellings.items()}
        found = difflib.get_close_matches(_plain(name), shown, n=2 * _NEAR)
        return list(dict.fromkeys(shown[plain] for plain in found))[:_NEAR]

    def of_file(self, benchmark: str, split: str) -> BenchmarkSet | None:
        """The entry of the file BENCHMARK/SPLIT, if there is one."""
        return self._by_file().get(f"{benchmark}/{split}")

    def _spellings(self) -> dict[str, tuple[str, ...]]:
        found = {_plain(EVERY_SET): tuple(self.sets)}
        found |= {_plain(name): members for name, members in self.profiles.items()}
        for name, entry in self.sets.items():
            found |= dict.fromkeys([_plain(name), *_also(entry)], (name,))
        return found

    def _by_file(self) -> dict[str, BenchmarkSet]:
        return {entry.file: entry for entry in self.sets.values()}


def load_registry(path: Path | None = None) -> Registry:
    """The registry in `path`, else the one in use."""
    return _read_registry(path or registry_path())


def registry_path() -> Path:
    """The registry in use: the file that MATHCORPUS_REGISTRY names, else the one of the package."""
    return Path(os.environ.get("MATHCORPUS_REGISTRY") or PACKAGED)


@lru_cache(maxsize=4)
def _read_registry(path: Path) -> Registry:
    try:
        return Registry.model_validate(yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506 - both are safe
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        msg = f"cannot read the registry {path}: {' '.join(str(exc).split())}"
        raise InputError(msg) from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        msg = f"the registry {path} is not valid: {where}{': ' if where else ''}{first['msg']}"
        raise InputError(msg) from exc


def default_cache() -> Path:
    """Where fetched sets lie: MATHCORPUS_BENCHMARKS, else a folder below the user's caches."""
    return Path(os.environ.get("MATHCORPUS_BENCHMARKS") or Path.home() / ".cache" / "mathcorpus" / "benchmarks")


def known_fields(benchmark: str, split: str) -> Names | None:
    """Where a set of the registry has its texts; None for any other file."""
    entry = load_registry().of_file(benchmark, split)
    return None if entry is None else entry.fields.model_dump()  # type: ignore[return-value]  # its keys are the fields


def resolve(names_or_paths: Iterable[str | Path], cache: Path | None = None, local: Path | None = None) -> list[Path]:
    """The benchmark files that names, profiles, files and folders stand for, each once, sorted.

    A name of the registry is looked for in `local`, then in the cache; a path that is meant wherever a name
    is known too has a slash in it (./math). Files that the registry knows are checked against it.
    """
    registry = load_registry()
    paths: list[Path] = []
    missing: dict[str, str] = {}  # set -> the name that asked for it
    for given in names_or_paths:
        members = registry.find(given) if isinstance(given, str) and "/" not in given else None
        if members is None:
            paths.append(_existing(registry, given))
        for name in members or ():
            path = located(registry.sets[name], local, cache or default_cache())
            if path is None:
                missing[name] = str(given)
            else:
                paths.append(path)
    if missing:
        first, more = list(missing)[:_NEAR], len(missing) - _NEAR
        msg = (
            f"not here: {', '.join(first)}{f' and {more} more' if more > 0 else ''}; run `mathcorpus benchmarks fetch "
            f"{' '.join(dict.fromkeys(missing.values()))}`, or give a folder laid out as {LAYOUT} by its path"
        )
        raise InputError(msg)
    files = benchmarks.benchmark_files(paths)
    for path in files:
        entry = entry_of(path)
        if entry is not None:
            check(path, entry)
    return files


def _existing(registry: Registry, given: str | Path) -> Path:
    path = Path(given).expanduser()
    if path.exists() or len(path.parts) > 1 or path.suffix:
        return path  # benchmark_files says what is wrong with a path
    near = registry.near(str(given))
    hint = f"; near: {', '.join(near)}" if near else ""
    msg = f"{str(given)!r} is no benchmark of the registry and no file or folder{hint}"
    raise UsageError(msg)


def located(entry: BenchmarkSet, *folders: Path | None) -> Path | None:
    """The file of a set in the first of `folders` that has it; None where none has."""
    candidates = (f / f"{entry.file}{suffix}" for f in folders if f for suffix in benchmarks.SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def entry_of(path: Path) -> BenchmarkSet | None:
    """The entry of the registry that a file laid out as NAME/SPLIT is checked against; None if there is none."""
    return load_registry().of_file(path.resolve().parent.name, benchmarks.split_of(path))


def check(path: Path, entry: BenchmarkSet) -> None:
    """Refuse a file whose number of rows or digest is not that of its entry; what is not pinned is not checked."""
    if not entry.pinned:
        return
    items = benchmarks.published_items(path)
    told = difference(items, entry)
    if told:
        msg = (
            f"{path} is not {entry.file} of the registry: {told}; give the published file, "
            f"or another name to a set of your own (a folder's name is its set's)"
        )
        raise InputError(msg)


def difference(items: Sequence[Item], entry: BenchmarkSet) -> str:
    """In what items differ from the set of an entry, in words; empty if in nothing that is pinned."""
    rows = sum(item.field == "question" for item in items)
    if entry.rows is not None and rows != entry.rows:
        return f"it has {rows:,} rows, expected {entry.rows:,}"
    digest = set_digest(items)
    if entry.digest is not None and digest != entry.digest:
        return f"its digest is {digest}, expected {entry.digest}"
    return ""


def set_digest(items: Iterable[Item]) -> str:
    """Digest of a set's texts: in NFKC with single spaces, whatever the order of rows and the format of the file."""
    lines = sorted(json.dumps([i.field, " ".join(unicodedata.normalize("NFKC", i.text).split())]) for i in items)
    return hashlib.blake2b("\n".join(lines).encode("ascii"), digest_size=_DIGEST_BYTES).hexdigest()


def _plain(name: str) -> str:
    """A name as it is compared: GSM-8K and gsm_8k are gsm8k."""
    return "".join(c for c in name.casefold() if c.isalnum())


def _also(entry: BenchmarkSet) -> dict[str, Any]:
    return dict.fromkeys(_plain(alias) for alias in entry.aliases)

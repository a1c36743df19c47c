"""What a build reads: the files behind a recipe's paths, in an order of their own, with digests.

Files are sorted by source and by their name below the path that the recipe gives, so that ids and shards do not depend
on the order of paths, on absolute paths, or on the machine.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import xxhash

from filters.errors import InputError
from pipelines.files import write_json

if TYPE_CHECKING:  # a scan of rows finds its files here, and waits for no recipe
    from pipelines.recipe import Recipe, Source

_READ = 1 << 22
SUFFIXES = {
    "warc": (".warc", ".warc.gz", ".warc.zst"),
    "wet": (".wet", ".wet.gz", ".wet.zst"),  # .warc.wet.gz among them
    "html": tuple(name + packed for name in (".html", ".htm", ".xhtml") for packed in ("", ".gz", ".zst")),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst"),
    "parquet": (".parquet",),
}


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read. `name` is its path below what the recipe gives, with forward slashes."""

    source: str
    name: str
    path: str
    size: int
    digest: str

    @property
    def origin(self) -> str:
        """Where its documents come from, without the record."""
        return f"{self.source}/{self.name}"


def suffixes(source: Source) -> tuple[str, ...]:
    """File names that a source takes."""
    extensions = getattr(source, "extensions", None)
    return tuple(extensions) if extensions is not None else SUFFIXES[source.format]


def resolve(paths: str | Sequence[str], base: Path) -> list[str]:
    """Paths of a recipe, relative ones from the recipe's folder."""
    return [str(base / p) for p in ([paths] if isinstance(paths, str) else paths)]


def find_files(paths: Iterable[str], endings: tuple[str, ...], what: str) -> list[tuple[str, Path]]:
    """(name, path) of every file with one of the endings behind files, folders and globs; sorted by name.

    Raises InputError where a path matches nothing, cannot be read, or two files get the same name.
    """
    found: dict[str, Path] = {}
    for given in paths:
        matches = [given] if os.path.exists(given) else sorted(glob.glob(given, recursive=True))
        if not matches:
            msg = f"{what}: {given}: no such file or folder"
            raise InputError(msg)
        root = Path(_fixed_part(given)) if given not in matches else None
        before = len(found)
        for match in map(Path, matches):
            for path in _walk(match, endings, what):
                base = root or (match if match.is_dir() else match.parent)
                _add(found, path.relative_to(base).as_posix(), path, what)
        if len(found) == before:
            msg = f"{what}: {given}: holds no file that ends in {', '.join(endings)}"
            raise InputError(msg)
    return sorted(found.items())


def _add(found: dict[str, Path], name: str, path: Path, what: str) -> None:
    other = found.setdefault(name, path)
    if other != path:
        msg = f"{what}: {other} and {path} are both called {name!r}; give each a source of its own"
        raise InputError(msg)


def _walk(path: Path, endings: tuple[str, ...], what: str) -> list[Path]:
    if path.is_file():
        return [path]

    def refuse(error: OSError) -> None:
        msg = f"{what}: {error.filename}: cannot be read ({error.strerror}); mend its permissions or leave it out"
        raise InputError(msg) from error

    files: list[Path] = []
    for folder, below, names in os.walk(path, onerror=refuse):
        below[:] = [d for d in below if not d.startswith(".")]
        files += [Path(folder) / n for n in names if not n.startswith(".") and n.lower().endswith(endings)]
    return files


def _fixed_part(pattern: str) -> str:
    parts = Path(pattern).parts
    magic = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return str(Path(*parts[:magic])) if magic else "."


def inventory(recipe: Recipe, base: Path, cache: Path | None = None) -> list[InputFile]:
    """Every input file of a recipe, sorted by source and name, with a digest of its bytes; see `digested`."""
    from pipelines.recipe import ParquetSource

    found = []
    for source in sorted(recipe.sources, key=lambda s: s.name):
        what = f"source {source.name!r}"
        for name, path in find_files(resolve(source.path, base), suffixes(source), what):
            if isinstance(source, ParquetSource):
                check_parquet(path, source.text_field, f"{what}: {path}", "text_field")
            found.append((source.name, name, path))
    return digested(found, cache)


def digested(files: Iterable[tuple[str, str, Path]], cache: Path | None = None) -> list[InputFile]:
    """The files (source, name, path) with digests of their bytes.

    `cache` remembers digests by path, size and times of change, so that a second build does not read all input again.
    """
    known = _load_cache(cache)
    found = [_input_file(source, name, path, known) for source, name, path in files]
    if cache is not None:
        write_json(cache, known)
    return found


def unread_files(recipe: Recipe, base: Path, files: Sequence[InputFile]) -> list[str]:
    """SOURCE/NAME of the files in the recipe's folders that no source takes, sorted: nothing is passed over unsaid."""
    taken = {os.path.realpath(f.path) for f in files}
    found: dict[str, str] = {}
    for source in recipe.sources:
        for folder in map(Path, resolve(source.path, base)):
            for path in _walk(folder, ("",), source.name) if folder.is_dir() else []:
                found.setdefault(os.path.realpath(path), f"{source.name}/{path.relative_to(folder).as_posix()}")
    return sorted(name for path, name in found.items() if path not in taken)


def _input_file(source: str, name: str, path: Path, known: dict[str, str]) -> InputFile:
    try:
        stat = path.stat()
        # the time of the last change of any kind, too: a copy that keeps times can bring other bytes of the same size
        mark = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}"
        if mark not in known:
            known[mark] = file_digest(path)
    except OSError as error:
        msg = f"source {source!r}: {path}: cannot be read ({error.strerror}); mend its permissions or leave it out"
        raise InputError(msg) from error
    return InputFile(source, name, str(path), stat.st_size, known[mark])


def file_digest(path: Path) -> str:
    """XXH3-128 of a file: it finds out changes; nobody forges an input against himself."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_READ):
            digest.update(chunk)
    return digest.hexdigest()


def check_unchanged(file: InputFile) -> None:
    """Raises InputError where a file that was just read is not the one that the recipe was planned on."""
    try:
        same = file_digest(Path(file.path)) == file.digest
    except OSError:
        same = False
    if not same:
        msg = f"source {file.source!r}: {file.path}: changed or went while the build ran; leave it alone, and run again"
        raise InputError(msg)


def _load_cache(cache: Path | None) -> dict[str, str]:
    if cache is None or not cache.exists():
        return {}
    try:
        data = orjson.loads(cache.read_bytes())
    except orjson.JSONDecodeError:
        return {}  # only costs reading the input again
    return dict(data)


def check_parquet(path: Path, column: str, what: str, option: str) -> None:
    """Raises InputError where a Parquet file cannot be read or lacks a column, which `option` names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{what}: not a readable Parquet file ({str(error).splitlines()[0]})"
        raise InputError(msg) from error
    if column not in names:
        msg = f"{what}: has no column {column!r}; it has {', '.join(names)}; name one with {option}"
        raise InputError(msg)


def group_files(files: Sequence[InputFile], shard_mb: float) -> list[tuple[InputFile, ...]]:
    """Files cut into ranks: neighbours of one source together, up to `shard_mb` megabytes; a larger file alone."""
    from pipelines.recipe import MEGABYTE

    groups: list[list[InputFile]] = []
    size = 0
    for file in files:
        if not groups or groups[-1][0].source != file.source or size + file.size > shard_mb * MEGABYTE:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return [tuple(g) for g in groups]


def describe(files: Sequence[InputFile]) -> list[dict[str, object]]:
    """The files without their places: what goes into keys and manifests."""
    return [{k: v for k, v in asdict(f).items() if k != "path"} for f in files]

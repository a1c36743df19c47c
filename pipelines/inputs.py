"""What a build reads: the files behind a recipe's paths, in an order of their own, with digests.

Files are sorted by source and by their name below the path that the recipe gives, so that ids and shards do not depend
on the order of paths, on absolute paths, or on the machine.
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import orjson
import xxhash

from filters.errors import InputError
from pipelines.files import write_json
from pipelines.places import Place, Remote, fetched, is_url, join, place

if TYPE_CHECKING:  # a scan of rows finds its files here, and waits for no recipe
    from pipelines.recipe import Recipe, Source

P = TypeVar("P", bound=Place)

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
    """A file to read. `name` is its path below what the recipe gives, with forward slashes; `path` may be a URL."""

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


def resolve(paths: str | Sequence[str], base: Place) -> list[str]:
    """Paths of a recipe, relative ones from the recipe's folder."""
    return [str(join(base, p)) for p in ([paths] if isinstance(paths, str) else paths)]


def find_places(paths: Iterable[str], endings: tuple[str, ...], what: str) -> list[tuple[str, Place]]:
    """As `find_files`, of paths that may be URLs."""
    found: dict[str, Place] = {}
    for given in paths:
        here = _remote_files(given, endings, what) if is_url(given) else find_files([given], endings, what)
        for name, path in here:
            _add(found, name, path, what)
    return sorted(found.items())


def _remote_files(given: str, endings: tuple[str, ...], what: str) -> list[tuple[str, Place]]:
    root = place(given)
    if not isinstance(root, Remote):
        return list(find_files([str(root)], endings, what))
    fixed = _fixed_url(given) if glob.has_magic(given) else root
    matches = fixed.glob(given[len(fixed.url) + 1 :]) if glob.has_magic(given) else [root]
    found: list[tuple[str, Place]] = []
    for match in matches:
        for below in match.files():
            path = match / below if below else match
            name = path.url[len(fixed.url) + 1 :] or path.name
            hidden = any(part.startswith(".") for part in PurePosixPath(below).parts)
            if not hidden and (not below or name.lower().endswith(endings)):
                found.append((name, path))
    if not found:
        msg = f"{what}: {given}: no such object, or none below it that ends in {', '.join(endings)}"
        raise InputError(msg)
    return found


def _fixed_url(pattern: str) -> Remote:
    """The part of a URL before its first level with a wildcard."""
    parts = pattern.split("/")
    return Remote("/".join(parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))]))


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


def _add(found: dict[str, P], name: str, path: P, what: str) -> None:
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


def inventory(recipe: Recipe, base: Place, cache: Place | None = None) -> list[InputFile]:
    """Every input file of a recipe, sorted by source and name, with a digest of its bytes; see `digested`."""
    from pipelines.recipe import ParquetSource

    found = []
    for source in sorted(recipe.sources, key=lambda s: s.name):
        what = f"source {source.name!r}"
        for name, path in find_places(resolve(source.path, base), suffixes(source), what):
            if isinstance(source, ParquetSource):
                check_parquet(path, source.text_field, f"{what}: {path}", "text_field")
            found.append((source.name, name, path))
    return digested(found, cache)


def digested(files: Iterable[tuple[str, str, Place]], cache: Place | None = None) -> list[InputFile]:
    """The files (source, name, path) with digests of their bytes.

    `cache` remembers digests by path, size and times of change (of an object: its entity tag), so that a second build
    does not read all input again.
    """
    known = _load_cache(cache)
    found = [_input_file(source, name, path, known) for source, name, path in files]
    if cache is not None:
        write_json(cache, known)
    return found


def unread_files(recipe: Recipe, base: Place, files: Sequence[InputFile]) -> list[str]:
    """SOURCE/NAME of the files in the recipe's folders that no source takes, sorted: nothing is passed over unsaid."""
    taken = {_real(f.path) for f in files}
    found: dict[str, str] = {}
    for source in recipe.sources:
        for given in resolve(source.path, base):
            for name, path in _all_files(given, source.name):
                found.setdefault(_real(str(path)), f"{source.name}/{name}")
    return sorted(name for path, name in found.items() if path not in taken)


def _real(path: str) -> str:
    return path if is_url(path) else os.path.realpath(path)


def _all_files(given: str, what: str) -> list[tuple[str, Place]]:
    """Every file below a folder; none where it is none."""
    folder = place(given)
    if isinstance(folder, Path):
        walked = _walk(folder, ("",), what) if folder.is_dir() else []
        return [(path.relative_to(folder).as_posix(), path) for path in walked]
    return [] if glob.has_magic(given) or folder.is_file() else _remote_files(given, ("",), what)


def _input_file(source: str, name: str, path: Place, known: dict[str, str]) -> InputFile:
    try:
        size, mark = _mark(path)
        if mark not in known:
            known[mark] = file_digest(path)
    except OSError as error:
        msg = f"source {source!r}: {path}: cannot be read ({error.strerror}); mend its permissions or leave it out"
        raise InputError(msg) from error
    return InputFile(source, name, str(path), size, known[mark])


def _mark(path: Place) -> tuple[int, str]:
    """(bytes, what changes with them) of a file."""
    if isinstance(path, Path):
        stat = path.stat()
        # the time of the last change of any kind, too: a copy that keeps times can bring other bytes of the same size
        return stat.st_size, f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}"
    about = path.about()
    if about is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if about.get("size") is None:
        msg = f"{path}: the server does not tell its size; copy it to a store that does, or to this machine"
        raise InputError(msg)
    known = [about.get(name) for name in ("ETag", "etag", "LastModified", "mtime", "VersionId")]
    return int(about["size"]), f"{path}|{about['size']}|{'|'.join(map(str, known))}"


def file_digest(path: Place) -> str:
    """XXH3-128 of a file: it finds out changes; nobody forges an input against himself."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_READ):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def opened(file: InputFile) -> Iterator[InputFile]:
    """The file on this machine; InputError where it is not the one that the recipe was planned on.

    A file of this machine is looked at when it has been read, and before anything is committed, since it may change
    meanwhile. An object is copied, and its copy cannot.
    """
    path = place(file.path)
    if isinstance(path, Path):
        yield file
        _check_unchanged(file, path)
        return
    try:
        with fetched(path) as here:
            _check_unchanged(file, here)
            yield replace(file, path=str(here))
    except FileNotFoundError as error:
        raise _changed(file) from error


def _check_unchanged(file: InputFile, here: Path) -> None:
    try:
        same = file_digest(here) == file.digest
    except OSError:
        same = False
    if not same:
        raise _changed(file)


def _changed(file: InputFile) -> InputError:
    return InputError(
        f"source {file.source!r}: {file.path}: changed or went while the build ran; leave it alone, and run again"
    )


def _load_cache(cache: Place | None) -> dict[str, str]:
    if cache is None or not cache.exists():
        return {}
    try:
        data = orjson.loads(cache.read_bytes())
    except orjson.JSONDecodeError:
        return {}  # only costs reading the input again
    return dict(data)


def check_parquet(path: Place, column: str, what: str, option: str) -> None:
    """Raises InputError where a Parquet file cannot be read or lacks a column, which `option` names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            names = pq.read_schema(file).names
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

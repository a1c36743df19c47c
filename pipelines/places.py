"""Where inputs and outputs are: on this machine (`pathlib.Path`), or in an object store (`Remote`, a URL of fsspec).

`Remote` has what is used of a path under the same names, so that most code does not ask which of both it has. An object
store has no folders, no rename and no lock: an object is written once, whole, under its last name, and readers take
names from manifests. Listings are asked anew each time. Errors of a store's library become one line.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import posixpath
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar

from filters.errors import InputError, MathcorpusError, OutputError, UsageError
from pipelines.spool import spool_file

T = TypeVar("T")

_AT_ONCE = 16  # requests
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_BUFFER = 8 << 20  # bytes of one request of a file that is read in order
_PIECE = 8 << 20  # bytes of a file on their way at once, of which there are four; s3fs would hold ten of 50 MB
_OPTIONS = {"s3": {"default_block_size": _PIECE, "max_concurrency": 4}}
_UPLOAD = {"s3": {"chunksize": _PIECE}}


@dataclass(frozen=True, order=True, slots=True)
class Remote:
    """A place in an object store, by its URL without a slash at the end."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its last ending."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> Remote:
        """What stands before the last slash."""
        return Remote(self.url.rpartition("/")[0])

    def absolute(self) -> Remote:
        """Itself."""
        return self

    def mkdir(self, *, parents: bool = True, exist_ok: bool = True) -> None:
        """Nothing: folders are parts of names."""

    def about(self) -> dict[str, Any] | None:
        """What the store says of an object or prefix, None where there is none."""
        system, path = _system(self.url)
        with _reading(self.url):
            try:
                return dict(system.info(path))
            except FileNotFoundError:
                return None

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        return (self.about() or {}).get("type") == "file"

    def is_dir(self) -> bool:
        """Whether there are objects below this name."""
        return (self.about() or {}).get("type") == "directory"

    def exists(self) -> bool:
        """Whether there is an object of this name or below it."""
        return self.about() is not None

    def read_bytes(self) -> bytes:
        """The object; FileNotFoundError where there is none."""
        system, path = _system(self.url)
        with _reading(self.url):
            return bytes(system.cat_file(path))

    def read_text(self, encoding: str) -> str:
        """The object as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes, **conditions: str) -> None:
        """Writes the object in one piece; FileExistsError where a condition of the store did not hold."""
        system, path = _system(self.url)
        with _writing(self.url):
            system.pipe_file(path, data, **conditions)

    def upload(self, source: Path) -> None:
        """Writes the object from a file; it is there when all of it has arrived."""
        system, path = _system(self.url)
        with _writing(self.url):
            system.put_file(str(source), path, **_UPLOAD.get(_protocol(self.url), {}))

    def download(self, target: Path) -> None:
        """Copies the object to a file; FileNotFoundError where there is none."""
        system, path = _system(self.url)
        with _reading(self.url):
            system.get_file(path, str(target))

    def copy_to(self, target: Remote) -> None:
        """Copies the object within the store."""
        system, path = _system(self.url)
        with _writing(target.url):
            system.cp_file(path, _system(target.url)[1])

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Deletes the object."""
        system, path = _system(self.url)
        with _writing(self.url, missing_ok=missing_ok):
            system.rm_file(path)

    def open(self, mode: str = "rb", buffering: int = _BUFFER) -> BinaryIO:
        """The object, to be read in requests of at most `buffering` bytes, or of as many as are asked for at once."""
        assert mode == "rb", mode
        found = self.about()
        if found is None:
            raise FileNotFoundError(self.url)
        return io.BufferedReader(_Ranges(self, int(found["size"])), buffering)

    def files(self) -> dict[str, dict[str, Any]]:
        """What the store says of each object below this name, by the rest of its name, in order; itself as ""."""
        system, path = _system(self.url)
        with _reading(self.url):
            try:
                found = system.find(path, detail=True)
            except FileNotFoundError:
                return {}
        below = {name[len(path) :].lstrip("/"): about for name, about in found.items() if about["type"] == "file"}
        return {name: below[name] for name in sorted(below)}

    def glob(self, pattern: str) -> list[Remote]:
        """The objects below this name that match a pattern with a slash for each level, sorted."""
        system, path = _system(self.url)
        with _reading(self.url):
            found = system.glob(f"{path}/{pattern}")
        return sorted(self / name[len(path) + 1 :] for name in found)


Place = Path | Remote


class _Ranges(io.RawIOBase):
    """An object that is read by ranges of bytes."""

    def __init__(self, place: Remote, size: int) -> None:
        self._place, self._size, self._at = place, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        system, path = _system(self._place.url)
        with _reading(self._place.url):
            data = system.cat_file(path, start=self._at, end=end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


# --- of both kinds ----------------------------------------------------------------------------------------------------


def is_url(given: str) -> bool:
    """Whether a string names a place by its URL."""
    return _URL.match(given) is not None


def place(given: str) -> Place:
    """The place that a string names; UsageError where it is a URL that no library here can read."""
    if not is_url(given):
        return Path(given)
    scheme, _, rest = given.partition("://")
    if scheme.lower() == "file":
        return Path(f"/{rest.lstrip('/')}")
    found = Remote(f"{scheme.lower()}://{rest.rstrip('/')}")
    _system(found.url)
    return found


def join(base: Place, given: str) -> Place:
    """The place that a string names from a folder: itself where it is absolute or a URL."""
    if is_url(given) or given.startswith("/"):
        return place(given)
    if isinstance(base, Path):
        return base / given
    scheme, _, rest = base.url.partition("://")
    return Remote(f"{scheme}://{posixpath.normpath(posixpath.join(rest, given))}")


def names_in(folder: Place) -> list[str]:
    """Names of the files in a folder, sorted; none where there is no folder."""
    if isinstance(folder, Path):  # and no `stat`: files may be renamed meanwhile
        return sorted(os.listdir(folder)) if folder.is_dir() else []
    return sorted(sizes_in(folder))


def sizes_in(folder: Place) -> dict[str, int]:
    """Bytes of each file in a folder that nobody writes to, by its name; of a store in one question."""
    if isinstance(folder, Path):
        return {p.name: p.stat().st_size for p in folder.iterdir() if p.is_file()} if folder.is_dir() else {}
    system, path = _system(folder.url)
    with _reading(folder.url):
        try:
            found = system.ls(path, detail=True)
        except FileNotFoundError:
            return {}
    return {PurePosixPath(one["name"]).name: int(one["size"]) for one in found if one["type"] == "file"}


def contents(files: Sequence[Place]) -> list[bytes]:
    """The bytes of small files, in order; those of a store are asked for together."""
    remote = [file.url for file in files if isinstance(file, Remote)]
    if not remote:
        return [file.read_bytes() for file in files]
    system, _ = _system(remote[0])
    paths = [_system(url)[1] for url in remote]
    with _reading(remote[0]):
        found = system.cat(paths)
    return [found[path] for path in paths]


def copy_all(pairs: Sequence[tuple[Place, Path]]) -> None:
    """Copies files here, the first of each pair to the second."""
    _each(lambda pair: copy(*pair), pairs)


def remove_all(files: Sequence[Place]) -> None:
    """Deletes files."""
    _each(lambda file: file.unlink(missing_ok=True), files)


def link_all(pairs: Sequence[tuple[Place, Place]]) -> None:
    """Gives files, the first of each pair, a second name in the same place: by a link, or by a copy that it makes."""
    _each(lambda pair: _link(*pair), pairs)


def _link(source: Place, target: Place) -> None:
    if isinstance(source, Remote) and isinstance(target, Remote):
        source.copy_to(target)
        return
    assert isinstance(source, Path)
    assert isinstance(target, Path)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _each(do: Callable[[T], None], items: Sequence[T]) -> None:
    """Does something with each; several at a time, since a store takes its time to answer."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(do, items))


def modified(file: Place) -> float:
    """When a file was last written, in seconds since 1970."""
    if isinstance(file, Path):
        return file.stat().st_mtime
    system, path = _system(file.url)
    with _reading(file.url):
        return float(system.modified(path).timestamp())


def copy(source: Place, target: Path) -> None:
    """Copies a file here."""
    if isinstance(source, Path):
        shutil.copyfile(source, target)
    else:
        source.download(target)


@contextmanager
def fetched(source: Place) -> Iterator[Path]:
    """The file itself, or a copy on this machine that is gone in the end; what was opened stays open."""
    if isinstance(source, Path):
        yield source
        return
    here = spool_file(source.name)
    try:
        source.download(here)
        yield here
    finally:
        here.unlink(missing_ok=True)


@contextmanager
def fetched_below(source: Place) -> Iterator[Path]:
    """The file or folder itself, or a copy of the same names on this machine that is gone in the end."""
    if isinstance(source, Path):
        yield source
        return
    folder = spool_file("below")
    try:
        for name in source.files():
            target = folder / source.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (source / name if name else source).download(target)
        yield folder / source.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- stores -----------------------------------------------------------------------------------------------------------


def _protocol(url: str) -> str:
    return url.partition("://")[0]


def _system(url: str) -> tuple[Any, str]:
    """(file system, path in it) of a URL; fsspec keeps one file system for each protocol and process."""
    fsspec: Any = importlib.import_module("fsspec")
    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **_OPTIONS.get(_protocol(url), {}))
    except ImportError as error:
        extra = " (pip install 'mathcorpus[s3]')" if _protocol(url) in {"s3", "s3a"} else ""
        msg = f"{url}: needs a library that is not here{extra}: {_first_line(error)}"
        raise UsageError(msg) from error
    except ValueError as error:
        msg = f"{url}: {_first_line(error)}"
        raise UsageError(msg) from error
    return system, path


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else repr(error)


@contextmanager
def _translated(url: str, kind: type[MathcorpusError], what: str) -> Iterator[None]:
    """Errors of a store as one line; FileNotFoundError and FileExistsError are answers, and ours are ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from error
    except (FileExistsError, MathcorpusError):
        raise
    except Exception as error:  # each library has errors of its own; those of Python but OSError are ours
        if type(error).__module__ == "builtins" and not isinstance(error, OSError):
            raise
        msg = f"{url}: cannot be {what} ({_first_line(error)}); look at its address and your access to it"
        raise kind(msg) from error


def _reading(url: str) -> Any:
    return _translated(url, InputError, "read")


@contextmanager
def _writing(url: str, *, missing_ok: bool = False) -> Iterator[None]:
    with _translated(url, OutputError, "written"):
        try:
            yield
        except FileNotFoundError as error:
            if not missing_ok:
                msg = f"{url}: cannot be written ({_first_line(error)}); make the bucket, or give another with --out"
                raise OutputError(msg) from error

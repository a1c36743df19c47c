"""Where files of rows are: files, folders, globs, URLs of fsspec, standard input, datasets of the hub.

What is no file (standard input, a dataset) is written to one first, since rows are read again where some of them go.
"""

from __future__ import annotations

import glob
import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from filters.errors import InputError
from pipelines.inputs import SUFFIXES, find_files

ENDINGS = (*SUFFIXES["jsonl"], *SUFFIXES["parquet"])
HUB = "hf://datasets/"

_SPOOL_ZSTD_LEVEL = 3
_COPY = 1 << 20


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows. `name` is its path below what the caller gave, with forward slashes; `path` may be a URL."""

    name: str
    path: str

    @property
    def is_parquet(self) -> bool:
        """Whether it is Parquet; else it is JSONL."""
        return self.name.lower().endswith(SUFFIXES["parquet"])

    @property
    def is_remote(self) -> bool:
        """Whether fsspec reads it."""
        return _is_url(self.path)

    @property
    def size(self) -> int:
        """Its bytes; 0 where a server does not tell."""
        if not self.is_remote:
            return os.stat(self.path).st_size
        system, path = _file_system(self.path)
        return int(_told(self.path, lambda: system.size(path)) or 0)


def open_file(path: str) -> BinaryIO:
    """The file at a path or URL, unbuffered."""
    if not _is_url(path):
        return open(path, "rb", buffering=0)
    system, place = _file_system(path)
    return io.BufferedReader(_Remote(path, _told(path, lambda: system.open(place, "rb"))), _COPY)


def find_rows(inputs: Sequence[str], spool: Path) -> list[RowFile]:
    """The files behind files, folders, globs, URLs, `-`, `hf://datasets/NAME` and saved datasets, sorted by name.

    What is no file of rows (standard input, a dataset) is written to one in `spool`.
    """
    plain = [given for given in inputs if not (_is_url(given) or _is_spooled(given))]
    found = {name: str(path) for name, path in find_files(plain, ENDINGS, "input")} if plain else {}
    for given in (given for given in inputs if given not in plain):
        for name, path in _spooled(given, spool) if _is_spooled(given) else _remote(given):
            if found.setdefault(name, path) != path:
                msg = f"input: {given}: there are two inputs called {name!r}; give one of them alone"
                raise InputError(msg)
    for name in found:
        if not name.lower().endswith(ENDINGS):
            msg = f"input: {name}: not a file of rows; expected {', '.join(ENDINGS)}"
            raise InputError(msg)
    return [RowFile(name, path) for name, path in sorted(found.items())]


# --- URLs -------------------------------------------------------------------------------------------------------------


def _is_url(given: str) -> bool:
    return "://" in given and not given.startswith(HUB)


def _told(url: str, ask: Any) -> Any:
    """The answer of a file system, its errors as one line."""
    try:
        return ask()
    except Exception as error:  # each protocol raises errors of its own
        told = str(error).splitlines()[0] if str(error) else repr(error)
        msg = f"input: {url}: cannot be read ({type(error).__name__}: {told}); check the URL and your access to it"
        raise InputError(msg) from error


def _file_system(url: str) -> tuple[Any, str]:
    """(file system, path in it) of a URL; raises InputError where its protocol is not known or not installed."""
    fsspec: Any = importlib.import_module("fsspec")
    system, path = _told(url, lambda: fsspec.core.url_to_fs(url))
    return system, path


def _remote(url: str) -> Iterator[tuple[str, str]]:
    """(name, URL) of the files behind a URL of a file, a folder or a glob."""
    place = urlsplit(url).path  # without a query, which a server may want
    if place.lower().endswith(ENDINGS) and not glob.has_magic(place):
        yield PurePosixPath(place).name, url
        return
    system, path = _file_system(url)
    if glob.has_magic(path):
        parts = PurePosixPath(path).parts
        root = str(PurePosixPath(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))]))
        paths = _told(url, lambda: system.glob(path))
    else:
        root, paths = path, _told(url, lambda: system.find(path))
    paths = [p for p in paths if p.lower().endswith(ENDINGS)]
    if not paths:
        msg = f"input: {url}: holds no file that ends in {', '.join(ENDINGS)}"
        raise InputError(msg)
    for one in paths:
        yield PurePosixPath(one).relative_to(root.rstrip("/") or "/").as_posix(), system.unstrip_protocol(one)


class _Remote(io.RawIOBase):
    """A file of fsspec whose errors while it is read are one line."""

    def __init__(self, url: str, file: Any) -> None:
        self._url, self._file = url, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(_told(self._url, lambda: self._file.seek(offset, whence)))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        data = _told(self._url, lambda: self._file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


# --- standard input, datasets -----------------------------------------------------------------------------------------


def _is_spooled(given: str) -> bool:
    return given == "-" or given.startswith(HUB) or _is_saved_dataset(Path(given))


def _is_saved_dataset(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _spooled(given: str, spool: Path) -> Iterator[tuple[str, str]]:
    if given != "-":
        yield from _dataset_files(given, spool)
        return
    path = spool / "stdin.jsonl"
    with path.open("wb") as file:
        while chunk := sys.stdin.buffer.read(_COPY):
            file.write(chunk)
    yield path.name, str(path)


def _dataset_files(given: str, spool: Path) -> Iterator[tuple[str, str]]:
    """A Parquet file for each split of a dataset of the `datasets` library, with its features."""
    import pyarrow.parquet as pq

    for name, dataset in _load_dataset(given):
        path = spool / name
        path.parent.mkdir(parents=True, exist_ok=True)
        schema = dataset.features.arrow_schema
        with pq.ParquetWriter(path, schema, compression="zstd", compression_level=_SPOOL_ZSTD_LEVEL) as writer:
            for table in dataset.with_format("arrow").iter(batch_size=1000):
                writer.write_table(table.cast(schema))
        yield name, str(path)


def _load_dataset(given: str) -> Iterator[tuple[str, Any]]:
    try:
        datasets: Any = importlib.import_module("datasets")
    except ImportError as error:
        msg = f"input: {given}: needs the library `datasets`; install it, or give files"
        raise InputError(msg) from error
    try:
        if given.startswith(HUB):
            owner, *rest = given.removeprefix(HUB).strip("/").split("/")
            repository, _, revision = "/".join([owner, *rest[:1]]).partition("@")
            loaded = datasets.load_dataset(repository, *rest[1:2], revision=revision or None)
            name = repository
        else:
            loaded, name = datasets.load_from_disk(given), Path(given).resolve().name
    except Exception as error:  # the library raises whatever its many readers raise
        msg = f"input: {given}: the dataset cannot be loaded ({str(error).splitlines()[0] if str(error) else error!r})"
        raise InputError(msg) from error
    if isinstance(loaded, datasets.Dataset):
        yield f"{name}.parquet", loaded
    else:
        yield from ((f"{name}/{split}.parquet", loaded[split]) for split in sorted(loaded))

"""The data of a published tree: shards of the corpus, and of the mixes and packed sequences that were asked for.

Each file is checked against its manifest, and each row's columns against what must not leave. A mix or a packed corpus
that was made of other documents than the corpus is refused: it may hold some that were removed since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from filters.errors import InputError, UsageError
from pipelines import dataset as ds
from pipelines.places import Place, copy
from pipelines.publish_private import Private

MIXES, PACKED = "mixes", "packed"
EXTRAS = (MIXES, PACKED)
_TOKEN_FILES = ("", ".index", ".metadata")  # of a file of tokens, by their endings


@dataclass(frozen=True, slots=True)
class File:
    """A file of the published tree: its path there, and its bytes or where they are."""

    path: str
    content: bytes | Path
    size: int
    sha256: str


def shards(data: ds.Dataset, folder: str, private: Private) -> Iterator[File]:
    """The shards of a dataset on this machine; InputError where one is damaged or names this machine."""
    for shard in data.shards:
        with ds.open_shard(data.root, shard) as file:  # raises where its bytes are not those of the manifest
            for batch in file.iter_batches(columns=[c for c in file.schema_arrow.names if c != "text"]):
                private.check_rows(f"{data.root.name}/{shard.path}", pa.Table.from_batches([batch]))
        path = data.root / shard.path
        assert isinstance(path, Path)
        yield File(f"{folder}/{shard.path}", path, shard.bytes, shard.sha256)


def extra_files(
    build: Place, wanted: Sequence[str], private: Private, scratch: Path
) -> tuple[list[File], list[tuple[str, str]]]:
    """(files, what of them can be loaded: name, pattern) of the parts beside the corpus that were asked for."""
    files: list[File] = []
    configs: list[tuple[str, str]] = []
    for name, data in _mixes(build, scratch) if MIXES in wanted else ():
        files += shards(data, f"{MIXES}/{name}", private)
        configs.append((f"mix-{name}", f"{MIXES}/{name}/*.parquet"))
    if PACKED in wanted:
        files += _packed(build, private, scratch)
        configs.append((PACKED, f"{PACKED}/sequences/*.parquet"))
    return files, configs


def _mixes(build: Place, scratch: Path) -> Iterator[tuple[str, ds.Dataset]]:
    made = ds.read_build(build).get("mixes") or {}
    if not made:
        msg = f"--with {MIXES}: {build} has none; leave it out, or give the recipe some and build again"
        raise UsageError(msg)
    folder = scratch / MIXES
    folder.mkdir()
    for name, about in sorted(made.items()):
        data = ds.Dataset.load(build / MIXES / name)
        if data.digest != about["dataset"]["digest"]:
            msg = f"{data.root}: is not the mix of this build; run `mathcorpus build` again"
            raise InputError(msg)
        yield name, data.at_hand(folder)


def _packed(build: Place, private: Private, scratch: Path) -> Iterator[File]:
    root = build / PACKED
    try:
        about: dict[str, Any] = orjson.loads((root / "manifest.json").read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        msg = f"--with {PACKED}: {build} has none; leave it out, or run `mathcorpus pack` first"
        raise UsageError(msg) from error
    if about["settings"]["corpus"] != ds.Dataset.load(build / "corpus").digest:
        msg = f"{root}: was packed of another corpus; delete it and run `mathcorpus pack` again"
        raise InputError(msg)
    yield from shards(ds.Dataset.load(root / "sequences").at_hand(scratch), f"{PACKED}/sequences", private)
    for shard in about["shards"]["tokens"]:
        for ending in _TOKEN_FILES:
            file = _file(root, f"tokens/{shard['path']}{ending}", scratch)
            if not ending and file.sha256 != shard["sha256"]:
                msg = f"{root / 'tokens' / shard['path']}: is not what the manifest says; run `mathcorpus pack` again"
                raise InputError(msg)
            yield file
    yield _file(root, "manifest.json", scratch)


def _file(root: Place, name: str, scratch: Path) -> File:
    here = root / name
    if not isinstance(here, Path):
        here = scratch / f"{PACKED}-{name.replace('/', '-')}"
        copy(root / name, here)
    digest, size = ds.file_sha256(here)
    return File(f"{PACKED}/{name}", here, size, digest)

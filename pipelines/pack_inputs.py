"""What `mathcorpus pack` is given: a dataset of documents, and a tokenizer by path or by its name on the hub."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from filters.errors import InputError, UsageError
from filters.subwords import Subwords, check_end, find_end, from_hub
from pipelines import dataset as ds
from pipelines.places import Place, join

TOKENIZER = "tokenizer.json"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SAID = ("tokenizer_config.json", "special_tokens_map.json")  # beside a tokenizer, which do say what ends a text


@dataclass(frozen=True, slots=True)
class Given:
    """A tokenizer as it was given: a name without a path, the bytes, the end-of-text tokens that are said."""

    name: str
    data: bytes
    says: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


def corpus_of(folder: Place) -> tuple[dict[str, Any], ds.Dataset]:
    """(what it is, documents) of a build, one of its mixes, or another dataset; InputError without any documents."""
    about = _manifest(folder)
    root, kind, name = folder, "dataset", folder.name
    if "datasets" in about:
        root, kind, name = folder / "corpus", "build", about["name"]
    found = ds.Dataset.load(root)
    if not found.rows:
        msg = f"{root}: holds no documents, so there is nothing to pack"
        raise InputError(msg)
    for shard in found.shards[:1]:
        columns = pq.read_schema(ds.in_parts(root / shard.path)).names
        if lacks := {"id", "text"} - set(columns):
            msg = (
                f"{root}: its rows have no column {min(lacks)!r}; give a build, a mix, or another dataset of documents"
            )
            raise InputError(msg)
    return {"kind": kind, "name": name, "digest": found.digest, "content": found.content}, found


def _manifest(folder: Place) -> dict[str, Any]:
    if not (folder / "manifest.json").exists():
        started = (folder / "work").exists()
        why = "this build is not finished; run `mathcorpus build` again" if started else "there is no manifest.json"
        msg = f"{folder}: {why}; give the folder of a finished build, of a mix, or of another dataset"
        raise InputError(msg)
    try:
        found: dict[str, Any] = orjson.loads((folder / "manifest.json").read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        msg = f"{folder}/manifest.json: cannot be read ({error})"
        raise InputError(msg) from error
    if "datasets" not in found and "shards" not in found:
        msg = f"{folder}: its manifest.json is that of no build and no dataset; give the folder of one"
        raise InputError(msg)
    return found


def given_tokenizer(given: str, base: Place) -> Given:
    """The tokenizer that a string names: a file, a folder, else a name on the hub. UsageError where there is none.

    It bears the name of the file or of the folder that was given, and never of one above, which may be a user's.
    """
    path = join(base, given)
    name = path.absolute().name
    if path.is_dir():
        path = path / TOKENIZER
        if not path.is_file():
            msg = f"{given}: is a folder without {TOKENIZER}; give the file, or a folder that has it"
            raise InputError(msg)
    if path.is_file():
        return Given(name, path.read_bytes(), _said(path.parent))
    if not _HUB_NAME.fullmatch(given) or given.endswith(".json"):
        msg = f"{given}: no such file or folder, and no name of the hub (ORGANISATION/NAME)"
        raise UsageError(msg)
    return Given(given, _hub(given), ())


@lru_cache(maxsize=4)
def _hub(name: str) -> bytes:
    return from_hub(name)


def _said(folder: Place) -> tuple[str, ...]:
    """The end-of-text tokens that files beside a tokenizer.json name."""
    found = []
    for name in _SAID:
        if not (folder / name).is_file():
            continue
        try:
            token = orjson.loads((folder / name).read_bytes()).get("eos_token")
        except (orjson.JSONDecodeError, AttributeError) as error:
            msg = f"{folder / name}: cannot be read ({error}); mend it, or give a {TOKENIZER} that stands alone"
            raise InputError(msg) from error
        token = token.get("content") if isinstance(token, dict) else token
        found += [token] if isinstance(token, str) else []
    return tuple(found)


def ended(given: Given, eos: str | None) -> tuple[Subwords, int]:
    """The tokenizer and the id of its end-of-text token: that which is asked for, said, or known."""
    token = eos if eos is not None else find_end(Subwords(given.data, given.name), given.says)
    subwords = Subwords(given.data, given.name, token)
    return subwords, check_end(subwords)


def local_copy(data: bytes, folder: Place) -> Path:
    """A file of the bytes on this machine: in the folder, or where that is in an object store, beside the spool."""
    from pipelines.spool import spool_folder

    target = folder / TOKENIZER
    ds.write_bytes(target, data)
    if isinstance(target, Path):
        return target
    here = spool_folder() / f"{hashlib.sha256(data).hexdigest()}.json"
    here.write_bytes(data)
    return here

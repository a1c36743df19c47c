"""Publishes a finished build: the corpus, a dataset card, a Croissant description and the report that may be seen.

The tree is put together first, every byte of it searched for what must not leave, and only then written to a folder or
sent to the hub. Of what was removed, the ledger and the evidence nothing is taken but the counts in the report.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import yaml

from filters.errors import InputError, OutputError, UsageError
from pipelines import dataset as ds
from pipelines.card import Card, header, write_card
from pipelines.croissant import Described, croissant
from pipelines.files import writing
from pipelines.places import Place, is_url, modified
from pipelines.publish_files import File, extra_files, shards
from pipelines.publish_private import Private, public_recipe
from pipelines.publish_report import public_figures

FORMAT = "mathcorpus-published-1"
MARKER = "manifest.json"  # of a published tree
DATA = "data"
HUB = "hf://datasets/"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Options:
    """What is published, where to, and how."""

    build: Place
    to: str
    extras: tuple[str, ...] = ()
    licence: tuple[str, ...] = ()
    message: str | None = None
    private: bool = False
    revision: str | None = None
    token: str | None = None
    dry_run: bool = False


def publish(options: Options) -> dict[str, Any]:
    """Publishes a build; what was published.

    to         where; url  its address on the hub or None
    files      path, bytes and sha256 of each; bytes  of all
    uploaded, unchanged, deleted   paths, of the hub (None of a folder or a dry run)
    commit     on the hub, None where nothing had changed

    Raises InputError where the build is not finished, damaged, or names this machine in what would leave; UsageError
    for a place that is none; OutputError where the place cannot be written or holds something else.
    """
    repo, folder = target(options.to)
    with tempfile.TemporaryDirectory(prefix="mathcorpus-publish-") as scratch:
        files = assemble(options, repo, Path(scratch))
        told: dict[str, Any] = {
            "to": options.to,
            "url": None,
            "files": [{"path": f.path, "bytes": f.size, "sha256": f.sha256} for f in files],
            "bytes": sum(f.size for f in files),
            **dict.fromkeys(("uploaded", "unchanged", "deleted", "commit")),
        }
        if folder is not None:
            _refuse_foreign(folder)
        if options.dry_run:
            return told
        if folder is not None:
            write_folder(files, folder)
            return told
        from pipelines.publish_hub import Destination, upload

        assert repo is not None
        message = options.message or f"Build {files_key(files)[:12]}"
        return told | upload(files, Destination(repo, message, options.private, options.revision, options.token))


def target(to: str) -> tuple[str | None, Path | None]:
    """(ORG/NAME, None) of the hub or (None, folder); UsageError where it is neither."""
    if to.startswith(HUB):
        repo = to.removeprefix(HUB).rstrip("/")
        if not _REPO.fullmatch(repo):
            msg = f"--to {to}: not {HUB}ORG/NAME"
            raise UsageError(msg)
        return repo, None
    if is_url(to):
        msg = f"--to {to}: neither {HUB}ORG/NAME nor a folder of this machine"
        raise UsageError(msg)
    return None, Path(to)


def files_key(files: Sequence[File]) -> str:
    """Key of the build that the files are of."""
    [marker] = [f.content for f in files if f.path == MARKER]
    assert isinstance(marker, bytes)
    return str(orjson.loads(marker)["key"])


# --- what is published ------------------------------------------------------------------------------------------------


def assemble(options: Options, repo: str | None, scratch: Path) -> list[File]:
    """The files of the published tree, each searched for what must not leave; `scratch` for those of a store."""
    from pipelines.audit.figures import figures

    build = options.build
    manifest = ds.read_build(build)
    recipe = _json(build, "recipe.json")
    private = Private(build, recipe, options.token)
    corpus = ds.Dataset.load(build / "corpus").at_hand(scratch)
    more, configs = extra_files(build, options.extras, private, scratch)
    files = [*shards(corpus, DATA, private), *more]
    shown = public_figures(figures(build), recipe.get("params") or {}, options.extras)
    card = Card(
        shown,
        public_recipe(recipe),
        ds.DOCUMENTS.names,
        [("default", f"{DATA}/*.parquet"), *configs],
        repo,
        options.licence,
    )
    own = {**shown, "documents": [{**d, "text": None} for d in shown["documents"].values()]}  # a text may name any path
    private.check_text("report.json", _dumped(own))
    for name, text in _texts(card, files, modified(build / MARKER)):
        if not name.startswith("report."):
            private.check_text(name, text)
        files.append(_written(name, text))
    marker = _dumped(_marker(manifest, files))
    private.check_text(MARKER, marker)
    return [*files, _written(MARKER, marker)]


def _texts(card: Card, data: Sequence[File], built: float) -> Iterator[tuple[str, str]]:
    from pipelines.audit.report import page

    head = header(card)
    about = card.figures["build"]
    corpus = [(f.path, f.size, f.sha256) for f in data if f.path.startswith(f"{DATA}/")]
    name = card.repo or about["name"]
    described = Described(
        name=about["name"],
        summary=f"{about['documents']['kept']:,} documents of mathematics for pre-training. {card.figures['verdict']}",
        url=_address(card.repo) if card.repo else ".",
        creator=name.partition("/")[0],
        licences=[head["license"]] if isinstance(head["license"], str) else head["license"],
        languages=[code for code in head.get("language", []) if code != "code"],
        keywords=head["tags"],
        digest=about["datasets"]["corpus"]["digest"],
        date=datetime.fromtimestamp(built, UTC).date().isoformat(),
        files=corpus,
        folder=DATA,
        schema=ds.DOCUMENTS,
    )
    yield "README.md", write_card(card)
    yield "croissant.json", _dumped(croissant(described))
    yield "recipe.yaml", yaml.safe_dump(card.recipe, sort_keys=False, allow_unicode=True)
    yield "report.json", _dumped(card.figures)
    yield "report.html", page(card.figures)


def _address(repo: str) -> str:
    from pipelines.publish_hub import address

    return address(repo)


def _dumped(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"


def _written(path: str, text: str) -> File:
    data = text.encode()
    return File(path, data, len(data), hashlib.sha256(data).hexdigest())


def _marker(manifest: dict[str, Any], files: Sequence[File]) -> dict[str, Any]:
    kept = ("name", "key", "documents", "versions")
    return {
        "format": FORMAT,
        **{k: manifest[k] for k in kept},
        "corpus": manifest["datasets"]["corpus"],
        "stages": [{"name": s["name"], "key": s["key"]} for s in manifest["stages"]],
        "files": [{"path": f.path, "bytes": f.size, "sha256": f.sha256} for f in files],
    }


def _json(build: Place, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads((build / name).read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        msg = f"{build / name}: cannot be read ({error}); run `mathcorpus build` again"
        raise InputError(msg) from error
    return found


# --- a folder ---------------------------------------------------------------------------------------------------------


def _refuse_foreign(folder: Path) -> None:
    """OutputError where a folder holds something that was not published by us."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())) or is_published(folder / MARKER):
        return
    msg = f"{folder}: holds something that `publish` did not write; give a new or empty folder with --to"
    raise OutputError(msg)


def is_published(marker: Path) -> bool:
    """Whether a file is the manifest of a published tree."""
    try:
        found = orjson.loads(marker.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def write_folder(files: Sequence[File], folder: Path) -> None:
    """Writes the tree; it appears under its name when it is whole, in the place of an earlier one."""
    folder = folder.absolute()
    unfinished, old = (folder.with_name(f".{folder.name}.{state}") for state in ("unfinished", "old"))
    with writing(folder):
        for left in (unfinished, old):
            shutil.rmtree(left, ignore_errors=True)
        for file in files:
            path = unfinished / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file.content, bytes):
                path.write_bytes(file.content)
            else:
                shutil.copyfile(file.content, path)
        if folder.exists():
            os.replace(folder, old)
        os.replace(unfinished, folder)
        shutil.rmtree(old, ignore_errors=True)

"""`mathcorpus pack`: the documents of a build, a mix or another dataset as sequences of one length.

Three steps on an engine (ids, buckets, tails), each by ranks with markers, so that a run that was stopped goes on. They
work below OUT/work; what is whole is linked to its place, the manifest comes last, and then the work goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from filters.errors import AccountingError, InputError, OutputError
from filters.subwords import SUBWORDS_VERSION
from pipelines import dataset as ds
from pipelines import keys
from pipelines.build import locked, merge_costs
from pipelines.decisions import Artefact
from pipelines.engine import Engine, run_missing
from pipelines.files import sweep
from pipelines.pack_inputs import TOKENIZER, Given, corpus_of, ended, local_copy
from pipelines.pack_sequences import DOCUMENTS, SEQUENCES, Packing, PackTask, TailTask
from pipelines.pack_tokens import TokenTask
from pipelines.places import Place, contents, link_all, names_in, remove_all
from pipelines.stage import Task, marker

PACK_VERSION = f"pack-1/{SUBWORDS_VERSION}"
FORMAT = "mathcorpus-packed-1"
BUCKET_TOKENS = 1 << 25  # packed together: 67 or 134 MB of a worker's memory
_OWN = {"tokens", "sequences", "documents", "work", "manifest.json", "cost.json", TOKENIZER, ".lock", ".lease"}


@dataclass(frozen=True)
class Options:
    """What the caller asks for. `seed` is None where documents keep the order of the corpus."""

    length: int
    method: str = "best-fit"
    fill: str = "cut"
    seed: int | None = 1
    drop_last: bool = False
    eos: str | None = None


class Steps:
    """What a run tells while it goes on; the command line draws it."""

    def started(self, name: str, ranks: int, missing: int) -> None:
        """A step begins."""

    def done(self, rank: int) -> None:
        """One of its ranks is done."""

    def finished(self) -> None:
        """The step is on disk."""


def pack(
    folder: Place, out: Place, tokenizer: Given, options: Options, engine: Callable[[], Engine], steps: Steps
) -> dict[str, Any]:
    """The manifest of the packed corpus. Does nothing that is done; `manifest["fresh"]` says whether anything was."""
    about, corpus = corpus_of(folder.absolute())
    if out.is_file():
        msg = f"{out}: is a file; give a folder with --out"
        raise OutputError(msg)
    run = _Run(about, corpus, out.absolute(), tokenizer, options, steps)
    with locked(run.out) as check:
        if run.finished():
            _remove(run.out / "work")
            return {**orjson.loads((run.out / "manifest.json").read_bytes()), "fresh": False}
        sweep(run.out)
        with closing(engine()) as here:
            manifest = run.run(here, check)
    return {**manifest, "fresh": True}


class _Run:
    def __init__(
        self, about: dict[str, Any], corpus: ds.Dataset, out: Place, given: Given, options: Options, steps: Steps
    ) -> None:
        self.about, self.corpus, self.out, self.given, self.steps = about, corpus, out, given, steps
        self.subwords, eos = ended(given, options.eos)
        assert self.subwords.eos is not None
        self.eos = self.subwords.eos
        self.packing = Packing(
            options.length,
            options.method,
            options.fill,
            options.seed,
            options.drop_last,
            given.name,
            self.subwords.token_bytes,
            eos,
        )
        settings = {"corpus": corpus.digest, "tokenizer": given.sha256, "name": given.name, "eos": self.eos}
        settings |= {name: getattr(options, name) for name in ("length", "method", "fill", "seed", "drop_last")}
        self.settings: dict[str, Any] = {**settings, "version": PACK_VERSION}
        self.work = out / "work"
        self.costs: list[dict[str, Any]] = []

    def finished(self) -> bool:
        """Whether the folder holds this already, whole; OutputError where it holds something else."""
        names = {p.name for p in self.out.iterdir()} if isinstance(self.out, Path) else set(names_in(self.out))
        if foreign := sorted(n for n in names - _OWN if not n.startswith(".")):
            msg = f"{self.out}: holds other files ({foreign[0]}, …); give an empty folder with --out"
            raise OutputError(msg)
        for file, key in ((self.out / "manifest.json", "settings"), (self.work / "settings.json", None)):
            try:
                found = orjson.loads(file.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, orjson.JSONDecodeError) as error:
                msg = f"{file}: cannot be read ({error}); delete {self.out}, or give another folder with --out"
                raise OutputError(msg) from error
            self._compare(found.get(key, {}) if key else found)
            if key and self._is_there(found):
                return True
        return False

    def _compare(self, found: dict[str, Any]) -> None:
        for name, value in self.settings.items():
            if found.get(name) != value:
                what = "another corpus" if name == "corpus" else f"{name} {_told(found.get(name))}, not {_told(value)}"
                msg = f"{self.out}: was made with {what}; delete it, or give another folder with --out"
                raise OutputError(msg)

    def _is_there(self, manifest: dict[str, Any]) -> bool:
        """Whether every file has the size that the manifest says."""
        whole = [ds.Dataset.load(self.out / kind).is_there() for kind in ("sequences", "documents")]
        sizes = (
            {p.name: p.stat().st_size for p in (self.out / "tokens").iterdir()} if isinstance(self.out, Path) else {}
        )
        tokens = manifest["shards"]["tokens"] if isinstance(self.out, Path) else []
        return all(whole) and all(sizes.get(one["path"]) == one["bytes"] for one in tokens)

    def run(self, engine: Engine, check: Callable[[], None]) -> dict[str, Any]:
        """All steps, and the manifest."""
        (self.out / "manifest.json").unlink(missing_ok=True)
        ds.write_json(self.work / "settings.json", self.settings)
        artefact = Artefact(str(local_copy(self.given.data, self.out)), self.given.sha256)
        tokens = TokenTask(
            self.work / "ids", self.corpus, artefact, self.eos, self.packing.token_bytes, self.packing.seed
        )
        encoded = self._step(engine, "tokens", tokens)
        total = sum(report["tokens"] for report in encoded)
        if not total:
            msg = f"{self.corpus.root}: none of its documents has text, so there is nothing to pack"
            raise InputError(msg)
        runs = _consecutive(encoded) if self.packing.seed is None else None
        buckets = len(runs) if runs is not None else -(-total // BUCKET_TOKENS)
        packed = PackTask(self.work / "packed", tokens.out, tokens.ranks, buckets, self.packing, runs)
        reports = self._step(engine, "sequences", packed)
        tails = TailTask(self.work / "tails", packed.out, buckets, self.packing)
        [last] = self._step(engine, "last sequences", tails)
        check()
        manifest = self._manifest(total, [*reports, last])
        self._publish(manifest, [packed.out] * buckets + [tails.out], [*reports, last])
        ds.write_json(self.out / "cost.json", merge_costs(self.costs, 0.0))
        ds.write_json(self.out / "manifest.json", manifest)
        _remove(self.work)
        return manifest

    def _step(self, engine: Engine, name: str, task: Task) -> list[dict[str, Any]]:
        run_missing(engine, task, partial(self.steps.started, name, task.ranks), self.steps.done)
        self.steps.finished()
        markers = [marker(task.out, rank) for rank in range(task.ranks)]
        self.costs += [orjson.loads(c) for c in contents([task.out / "cost" / m.name for m in markers])]
        return [orjson.loads(c) for c in contents(markers)]

    def _manifest(self, total: int, reports: list[dict[str, Any]]) -> dict[str, Any]:
        """What is told of the whole; AccountingError where documents or tokens were lost or doubled."""
        counts = {name: sum(r[name] for r in reports) for name in ("sequences", "tokens", "padding", "padded")}
        dropped = reports[-1]["dropped"]
        documents = {name: sum(r["documents"][name] for r in reports) for name in reports[0]["documents"]}
        removed = {name: documents.pop(name) for name in ("empty", "dropped")}
        if documents["in"] != self.corpus.rows or documents["in"] != documents["packed"] + sum(removed.values()):
            msg = f"{self.corpus.rows} documents came, {documents['packed']} are packed and {removed} are not"
            raise AccountingError(msg)
        room = counts["sequences"] * self.packing.length
        if total != counts["tokens"] + dropped or room != counts["tokens"] + counts["padding"]:
            msg = f"{total} tokens came, {counts['tokens']} are packed, {dropped} dropped, in room for {room}"
            raise AccountingError(msg)
        return {
            "format": FORMAT,
            "key": keys.digest(self.settings),
            "settings": self.settings,
            "corpus": self.about,
            "tokenizer": {
                "name": self.given.name,
                "sha256": self.given.sha256,
                "vocabulary": self.subwords.size,
                "token_bytes": self.packing.token_bytes,
                "eos": {"token": self.eos, "id": self.packing.eos},
            },
            "documents": {**documents, "removed": removed},
            "tokens": {"in": total, "out": counts["tokens"], "dropped": dropped, "padding": counts["padding"]},
            "sequences": {"count": counts["sequences"], "length": self.packing.length, "padded": counts["padded"]},
            "shares": {
                "padded": _share(counts["padding"], room),
                "documents_cut": _share(documents["cut"], documents["packed"]),
                "documents_cut_needlessly": _share(documents["cut_needlessly"], documents["packed"]),
            },
            "datatrove": {"seq_len": self.packing.length - 1, "token_size": self.packing.token_bytes},
        }

    def _publish(self, manifest: dict[str, Any], roots: Sequence[Place], reports: list[dict[str, Any]]) -> None:
        """Links the shards that have any rows to their names, one after another, and adds them to the manifest."""
        manifest["shards"] = {"tokens": []}
        for kind, schema in (("tokens", None), ("sequences", SEQUENCES), ("documents", DOCUMENTS)):
            found = [
                (r, report["shards"][kind])
                for r, report in zip(roots, reports, strict=True)
                if kind in report["shards"]
            ]
            found = [(r, s) for r, s in found if s.get("sequences", s.get("rows"))]
            links, shards = [], []
            for number, (root, shard) in enumerate(found):
                name = f"{number:05d}.{shard['path'].rpartition('.')[2]}"
                suffixes = ("", ".index", ".metadata") if kind == "tokens" else ("",)
                links += [(root / kind / (shard["path"] + s), self.out / kind / (name + s)) for s in suffixes]
                shards.append({**shard, "path": name})
            _link(self.out / kind, links)
            if schema is None:
                manifest["shards"]["tokens"] = shards
            else:
                self._save(kind, schema, shards)

    def _save(self, kind: str, schema: pa.Schema, shards: list[dict[str, Any]]) -> None:
        rows = [int(s.get("sequences", s.get("rows", 0))) for s in shards]
        made = [ds.Shard(s["path"], n, s["bytes"], s["sha256"], "0" * 32) for s, n in zip(shards, rows, strict=True)]
        ds.Dataset(self.out / kind, tuple(made), self.corpus.key).save(schema)


def _link(root: Place, links: list[tuple[Place, Place]]) -> None:
    with ds.writing(root):
        root.mkdir(parents=True, exist_ok=True)
        remove_all([root / stale for stale in names_in(root)])
        link_all(links)


def _consecutive(encoded: list[dict[str, Any]]) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """Buckets of documents that follow one another, as (rank, first, behind the last), of about BUCKET_TOKENS."""
    buckets: list[tuple[tuple[int, int, int], ...]] = []
    held: list[tuple[int, int, int]] = []
    size = 0
    for rank, report in enumerate(encoded):
        first = 0
        for documents, tokens in report["runs"]:
            if held and size + tokens > BUCKET_TOKENS:
                buckets.append(tuple(held))
                held, size = [], 0
            held.append((rank, first, first + documents))
            first, size = first + documents, size + tokens
    return (*buckets, tuple(held))


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _told(value: Any) -> str:
    return "no shuffle" if value is None else f"{value[:16]}" if isinstance(value, str) else str(value)


def _remove(folder: Place) -> None:
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        remove_all([folder / name for name in folder.files()])

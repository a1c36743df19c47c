"""The work of `mathcorpus extract`: a build of one stage over whatever files of pages there are, and its figures.

The folder that it writes is that of a build, so that `trace` and `audit` read it, and a run that was stopped goes on.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from filters.errors import OutputError
from pipelines.build import Build
from pipelines.dataset import Dataset, commit_file, writing
from pipelines.engine import make_engine
from pipelines.files import encodable, write_json
from pipelines.inputs import digested
from pipelines.page_inputs import ROWS, PageFile, find_pages
from pipelines.plan import Pass, Plan, plan_of
from pipelines.progress import Events
from pipelines.recipe import Recipe
from pipelines.row_pool import Pool

NAME = "extract"  # of the recipe, by which a folder of an earlier run is known
Progress = Callable[[int, int], None]  # (bytes of input that are done, of all)


@dataclass(frozen=True)
class Options:
    """What the caller asks for."""

    inputs: tuple[str, ...]
    out: Path
    field: str = "html"
    url_field: str = "url"
    id_field: str = "id"
    first_pass: bool = False
    main_content: bool = True
    workers: int | None = None
    as_jsonl: bool = False


class _Told(Events):
    """Tells how many bytes of input are done."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self._sizes = [sum(file.size for file in group) for group in plan.groups]
        self._progress = progress

    def started(self, one: Pass, ranks: int, missing: int) -> None:  # noqa: ARG002 - the signature of Events
        self._progress(0, sum(self._sizes))

    def rank_done(self, one: Pass, rank: int) -> None:  # noqa: ARG002 - the signature of Events
        self._progress(self._sizes[rank], sum(self._sizes))


def run(options: Options, progress: Progress = lambda _done, _all: None) -> dict[str, Any]:
    """The report, which is also in report.json; `fresh` says whether anything was done."""
    work = options.out / "work"
    _check_out(options.out)
    spool = work / "input"
    files, unread = find_pages(options.inputs, options.field, spool)
    _check_inputs(options, files)
    recipe = _recipe(options, files)
    found = digested([(file.kind, file.name, file.path) for file in files], work / "inputs.json")
    plan = plan_of(recipe, Path(), options.out, found, unread)
    with Pool(options.workers, sum(file.size for file in found), len(plan.groups)) as pool:
        workers = pool.workers
    engine = "local" if workers > 1 else "inline"
    manifest = Build(plan, lambda: make_engine(engine, workers), _Told(plan, progress)).run()
    if _report_of(options.out).get("key") != manifest["key"]:  # no `fresh`: a run may have been stopped just here
        shutil.rmtree(options.out / "jsonl", ignore_errors=True)
        write_json(options.out / "report.json", make_report(options, manifest) | {"cost": _cost(manifest, workers)})
    for old in (*work.glob("map-*"), spool):
        shutil.rmtree(old, ignore_errors=True)
    if options.as_jsonl:
        _write_jsonl(options.out)
    return _report_of(options.out) | {"fresh": manifest["fresh"]}


def _report_of(out: Path) -> dict[str, Any]:
    """The report that is there, {} where there is none."""
    path = out / "report.json"
    report: dict[str, Any] = orjson.loads(path.read_bytes()) if path.exists() else {}
    return report


def _recipe(options: Options, files: Sequence[PageFile]) -> Recipe:
    """The recipe of the run: a source for each kind of file."""
    paths = [encodable(given) for given in options.inputs]
    rows = {"text_field": options.field, "id_field": options.id_field, "url_field": options.url_field, "html": True}
    sources = [
        {"format": kind, "name": kind, "path": paths, **(rows if kind in ROWS else {})}
        for kind in sorted({file.kind for file in files})
    ]
    stage = {"stage": "extract", "main_content": options.main_content, "first_pass": options.first_pass}
    return Recipe.model_validate({"name": NAME, "sources": sources, "stages": [stage]})


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        msg = f"--out {out}: is a file; give a folder"
        raise OutputError(msg)
    try:
        earlier = orjson.loads((out / "recipe.json").read_bytes())["name"] == NAME
    except (OSError, orjson.JSONDecodeError, KeyError):
        earlier = (out / "work").is_dir() and not (out / "manifest.json").exists()
    if out.exists() and any(out.iterdir()) and not earlier:
        msg = f"--out {out}: holds other files; give an empty folder, or that of an earlier run"
        raise OutputError(msg)


def _check_inputs(options: Options, files: Sequence[PageFile]) -> None:
    """Refuses inputs within the output folder: a second run would read what the first wrote."""
    out = options.out.resolve()
    for file in files:
        if options.out / "work" not in file.path.parents and out in file.path.resolve().parents:
            msg = f"--out {options.out}: holds the input {file.path}; give another folder"
            raise OutputError(msg)


# --- figures ----------------------------------------------------------------------------------------------------------


def make_report(options: Options, manifest: dict[str, Any]) -> dict[str, Any]:
    """What came out, without what it cost: the same for any number of workers."""
    corpus = Dataset.load(options.out / "corpus")
    formulas: dict[str, Counter[str]] = {name: Counter() for name in ("found", "kept", "failed")}
    with_formulas = cut = 0
    for table in corpus.tables(["metadata"]):
        for metadata in table["metadata"].to_pylist():
            known = orjson.loads(metadata) if metadata else {}
            for name, kinds in known.get("formulas", {}).items():
                formulas[name].update(kinds)
            with_formulas += "formulas" in known
            cut += bool(known.get("cut"))
    reasons: Counter[str] = Counter()
    for stage in manifest["stages"]:
        reasons.update(stage["removed"])
    return {
        "inputs": [encodable(given) for given in options.inputs],
        "key": manifest["key"],
        "first_pass": options.first_pass,
        "pages": {**manifest["documents"], "with_formulas": with_formulas, "cut": cut},
        "removed": dict(sorted(reasons.items())),
        "skipped": manifest["skipped"],
        "unread_files": manifest["unread_files"],
        "formulas": {name: {"all": kinds.total(), **dict(sorted(kinds.items()))} for name, kinds in formulas.items()},
        "digest": corpus.digest,
        "versions": manifest["versions"],
    }


def _cost(manifest: dict[str, Any], workers: int) -> dict[str, Any]:
    cpu = sum(one["cost"]["cpu_s"] for one in manifest["passes"])
    pages = manifest["documents"]["read"]
    return {
        "seconds": manifest["seconds"],
        "cpu_seconds": round(cpu, 3),
        "pages_per_cpu_second": round(pages / max(cpu, 1e-9), 1),
        "stages_cpu_seconds": {k: v for one in manifest["passes"] for k, v in one["cost"]["stages_cpu_s"].items()},
        "peak_rss_mb": max(one["cost"]["peak_rss_mb"] for one in manifest["passes"]),
        "workers": workers,
    }


# --- JSON lines -------------------------------------------------------------------------------------------------------


def _write_jsonl(out: Path) -> None:
    """Writes the documents once more, a file of JSON lines for each shard."""
    corpus, folder = Dataset.load(out / "corpus"), out / "jsonl"
    with writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for shard in corpus.shards:
            tmp = folder / f".{shard.path}"
            with tmp.open("wb") as file:
                for table in Dataset(corpus.root, (shard,), corpus.key).tables():
                    file.writelines(map(_json_line, table.to_pylist()))
            commit_file(tmp, folder / shard.path.replace(".parquet", ".jsonl"))


def _json_line(row: dict[str, Any]) -> bytes:
    known = {name: value for name, value in row.items() if value is not None}
    if "metadata" in known:
        known["metadata"] = orjson.loads(known["metadata"])
    return orjson.dumps(known, option=orjson.OPT_APPEND_NEWLINE)

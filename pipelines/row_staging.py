"""Outputs of a command on rows: staged within the folder that they go to, and moved to their places at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filters.errors import OutputError
from pipelines.files import writing
from pipelines.places import Place, Remote, remove_all
from pipelines.row_find import RowFile
from pipelines.spool import spool_folder, sweep_spools

REPORT = "report.json"  # comes last: a folder with one is that of an earlier run


@contextmanager
def staging(out: Place | None, prefix: str) -> Iterator[Path]:
    """A folder that is deleted in the end; within `out`, so that a rename from it is atomic, but for a store."""
    if isinstance(out, Remote):
        _check_store(out, prefix)
        sweep_spools()
        with tempfile.TemporaryDirectory(prefix=prefix, dir=spool_folder()) as stage:
            yield Path(stage)
        return
    if out is not None:
        if out.exists() and not out.is_dir():
            msg = f"--out {out}: is a file; give a folder"
            raise OutputError(msg)
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        if not (out / REPORT).exists() and any(not p.name.startswith(prefix) for p in out.iterdir()):
            msg = f"--out {out}: holds other files; give an empty folder, or that of an earlier run"
            raise OutputError(msg)
    with writing(out or Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix=prefix, dir=out) as stage:
        yield Path(stage)


def _check_store(out: Remote, prefix: str) -> None:
    """Refuses a place that holds other objects, or cannot be written."""
    held = {name.partition("/")[0] for name in out.files()}
    if REPORT not in held and any(not name.startswith(prefix) for name in held):
        msg = f"--out {out}: holds other objects; give an empty place, or that of an earlier run"
        raise OutputError(msg)
    probe = out / f"{prefix}probe"
    probe.write_bytes(b"")
    probe.unlink()


def check_out(out: Place | None, stage: Path, files: Sequence[RowFile]) -> None:
    """Refuses inputs within the output folder: a second run would read what the first wrote."""
    if isinstance(out, Remote):
        for file in files:
            if file.path.startswith(f"{out}/"):
                msg = f"--out {out}: holds the input {file.path}; give another place"
                raise OutputError(msg)
        return
    for path in (Path(f.path) for f in files if not f.is_remote):
        if out is not None and stage not in path.parents and out.resolve() in path.resolve().parents:
            msg = f"--out {out}: holds the input {path}; give another folder"
            raise OutputError(msg)


def publish(out: Place, stage: Path, names: Sequence[str]) -> None:
    """Moves what was staged to its place, in that of an earlier run, whose report goes first."""
    if isinstance(out, Remote):
        (out / REPORT).unlink(missing_ok=True)
        remove_all([out / name for name in out.files() if name.partition("/")[0] in names])
        for path in sorted(p for name in names for p in (stage / name, *(stage / name).rglob("*")) if p.is_file()):
            (out / path.relative_to(stage).as_posix()).upload(path)
        return
    (out / REPORT).unlink(missing_ok=True)
    for name in names:
        old = out / name
        if old.is_dir():
            shutil.rmtree(old)
        (stage / name).replace(old)

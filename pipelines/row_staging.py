"""Outputs of a command on rows: staged within the folder that they go to, and moved to their places at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filters.errors import OutputError
from pipelines.files import writing
from pipelines.row_find import RowFile

REPORT = "report.json"  # comes last: a folder with one is that of an earlier run


@contextmanager
def staging(out: Path | None, prefix: str) -> Iterator[Path]:
    """A folder that is deleted in the end; within `out`, so that a rename from it is atomic."""
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


def check_out(out: Path | None, stage: Path, files: Sequence[RowFile]) -> None:
    """Refuses inputs within the output folder: a second run would read what the first wrote."""
    for path in (Path(f.path) for f in files if not f.is_remote):
        if out is not None and stage not in path.parents and out.resolve() in path.resolve().parents:
            msg = f"--out {out}: holds the input {path}; give another folder"
            raise OutputError(msg)


def publish(out: Path, stage: Path, names: Sequence[str]) -> None:
    """Moves what was staged to its place, in that of an earlier run, whose report goes first."""
    (out / REPORT).unlink(missing_ok=True)
    for name in names:
        old = out / name
        if old.is_dir():
            shutil.rmtree(old)
        (stage / name).replace(old)

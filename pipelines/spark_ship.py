"""What travels to the workers of a cluster: our code as one archive, and models that are on no shared path.

Both go through `addArtifacts`, which classic Spark and Spark Connect have: an executor fetches a file once. An archive
is named by the digest of its sources, a model by the digest of its bytes. Kernels that this machine has compiled travel
with the sources; a worker with another processor compiles its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from filters.errors import InputError, OutputError
from pipelines import spark_worker
from pipelines.dataset import file_sha256
from pipelines.decisions import Artefact
from pipelines.files import write_bytes
from pipelines.stage import Task, marker

_CODE = Path(__file__).resolve().parent.parent
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DIGEST_CHARS = 16
_SOURCES = ("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")  # not in these
_COMPILED = (".nbi", ".nbc")  # of numba


def pack(folder: Path) -> Path:
    """The archive of the four rooms, written to a folder under a name that says their digest."""
    sources = sorted(p for room in spark_worker.ROOMS for p in (_CODE / room).rglob("*") if _is_source(p))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(_CODE)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    compiled = sorted(p for room in spark_worker.ROOMS for p in (_CODE / room).rglob("*") if p.suffix in _COMPILED)
    target = folder / f"mathcorpus-{digest.hexdigest()[:_DIGEST_CHARS]}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in (*sources, *compiled):
            about = zipfile.ZipInfo(path.relative_to(_CODE).as_posix(), _EPOCH)
            archive.writestr(about, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def _is_source(path: Path) -> bool:
    return path.is_file() and not any(part in _SOURCES for part in path.parts)


class Shipping:
    """Wraps functions so that workers run them in the shipped code, and sends models that they cannot see."""

    def __init__(self, spark: Any, by_value: Callable[[Any], bytes]) -> None:
        self._spark, self._dumps = spark, by_value
        self._sent: dict[Path, str] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="mathcorpus-")
        archive = pack(Path(self._folder.name))
        self._archive = archive.name, file_sha256(archive)[0]
        spark.addArtifacts(str(archive), file=True)

    def wrap(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The function, as workers have to be given it."""
        return spark_worker.shipped(*self._archive, self._dumps(function))

    def send(self, path: Path) -> None:
        """Sends a file under the name of its digest, once."""
        sha256, _ = file_sha256(path)
        if self._sent.get(path) == sha256:
            return
        named = Path(self._folder.name) / sha256
        try:
            os.link(path, named)
        except FileExistsError:
            pass
        except OSError:
            shutil.copyfile(path, named)
        self._spark.addArtifacts(str(named), file=True)
        self._sent[path] = sha256

    @property
    def sent(self) -> Mapping[str, str]:
        """The digest of each file that was sent, by its path here."""
        return {str(path): sha256 for path, sha256 in self._sent.items()}

    def close(self) -> None:
        """Removes the archive."""
        self._folder.cleanup()


def leave_sign(out: Path) -> Path:
    """A new file in the folder of a pass: a worker that does not see it does not share the folder."""
    sign = out / "_tmp" / f"seen-{uuid.uuid4().hex}"
    write_bytes(sign, b"")
    return sign


def check_sign(sign: Path) -> None:
    """OutputError where this worker does not see what the driver wrote."""
    if not sign.exists():
        msg = (
            f"{sign.parent.parent}: the Spark worker on {socket.gethostname()} does not see this folder; "
            "give with --out one on a file system that the driver and all workers share"
        )
        raise OutputError(msg)


def unseen(sign: Path, paths: list[str]) -> list[str]:
    """Those of the paths that are not on this machine; OutputError where the build's folder is not."""
    check_sign(sign)
    return [path for path in paths if not Path(path).exists()]


def run_rank(task: Task, rank: int, sign: Path | None, sent: Mapping[str, str]) -> None:
    """Does a rank on a worker, unless an earlier try has done it; models come from where this worker has them."""
    if sign is not None:
        check_sign(sign)
    if not marker(task.out, rank).exists():
        (at_hand(task, sent) if sign is not None else task).run(rank)


def artefacts(task: Any) -> Iterator[Artefact]:
    """All models, indexes and decisions of a task."""
    if isinstance(task, Artefact):
        yield task
    elif isinstance(task, tuple):
        for one in task:
            yield from artefacts(one)
    elif is_dataclass(task) and not isinstance(task, type):
        for field in fields(task):
            yield from artefacts(getattr(task, field.name))


def at_hand(task: Any, sent: Mapping[str, str]) -> Any:
    """The task with the path of each model as it is on this worker: its own, or that of the file that was sent."""
    if isinstance(task, Artefact):
        return replace(task, path=_path_here(task.path, sent))
    if isinstance(task, tuple):
        return tuple(at_hand(one, sent) for one in task)
    if is_dataclass(task) and not isinstance(task, type) and any(artefacts(task)):
        found = {f.name: at_hand(getattr(task, f.name), sent) for f in fields(task)}
        return replace(task, **found)
    return task


def _path_here(path: str, sent: Mapping[str, str]) -> str:
    if Path(path).exists():
        return path
    if path not in sent:
        msg = f"{path}: the Spark worker on {socket.gethostname()} does not see it; put it on a shared file system"
        raise InputError(msg)
    return str(_checked(spark_worker.sent_file(sent[path]), sent[path]))


@lru_cache(maxsize=16)
def _checked(path: Path, sha256: str) -> Path:
    found, _ = file_sha256(path)
    if found != sha256:
        msg = f"{path}: SHA-256 {found}, but the driver sent {sha256}; run the same command again"
        raise InputError(msg)
    return path

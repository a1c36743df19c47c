"""What a Spark worker runs first: it unpacks the code that the driver shipped and goes on inside it.

Travels by value, so a worker needs the libraries and nothing of ours: this file imports none of the rooms. The archive
is unpacked rather than imported from, since data files are opened by path and compiled kernels are kept beside them.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
import sys
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOMS = ("filters", "decontam", "synth", "pipelines")


def sent_file(name: str) -> Path:
    """Where a file that the driver sent is on this executor; Spark fetches each once."""
    from pyspark import SparkFiles

    return Path(SparkFiles.get(name)).absolute()


def enter(archive: str, sha256: str) -> None:
    """Puts the code of an archive before all other on the path, and forgets what was imported from elsewhere."""
    packed = sent_file(archive)
    code = packed.with_suffix("")
    loaded = getattr(sys.modules.get("pipelines"), "__file__", None) or ""
    if Path(loaded).is_relative_to(code):
        return
    if not code.exists():
        unpack(packed, sha256, code)
    for name in [n for n in sys.modules if n.partition(".")[0] in ROOMS]:
        del sys.modules[name]
    sys.path.insert(0, str(code))
    importlib.invalidate_caches()


def unpack(packed: Path, sha256: str, code: Path) -> None:
    """Unpacks an archive into a folder that appears whole; several workers of one executor may do it at once."""
    found = hashlib.sha256(packed.read_bytes()).hexdigest()
    if found != sha256:
        msg = f"{packed}: SHA-256 {found}, but the driver sent {sha256}"
        raise RuntimeError(msg)
    part = code.with_name(f"{code.name}.{uuid.uuid4().hex}")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(part)
    try:
        os.rename(part, code)
    except OSError:
        if not code.exists():
            raise


def shipped(archive: str, sha256: str, pickled: bytes) -> Callable[[Any], Any]:
    """A function for a worker: enters the shipped code, then is the function that was pickled."""

    def run(data: Any) -> Any:
        enter(archive, sha256)
        return pickle.loads(pickled)(data)  # noqa: S301 - it came with the task, as all of Spark's functions do

    return run

"""Files of this process on this machine, for what comes from or goes to an object store.

Each process has a folder of its own below the system's temporary one (`TMPDIR`), with a lock that dies with it: what a
killed process left is found by its lock, and deleted by the next run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from functools import lru_cache
from multiprocessing.util import Finalize
from pathlib import Path

PREFIX = "mathcorpus-spool-"
LOCK = ".lock"


def spool_file(name: str) -> Path:
    """A name for a new file of this process."""
    return spool_folder() / f"{uuid.uuid4().hex}-{name}"


def spool_folder() -> Path:
    """The folder of this process."""
    return _folder_of(os.getpid())  # a forked process does not write into its parent's


@lru_cache(maxsize=1)
def _folder_of(pid: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{pid}-"))
    handle = os.open(folder / f"{LOCK}.new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    (folder / f"{LOCK}.new").rename(folder / LOCK)  # never seen without its lock held
    Finalize(None, _remove, (folder, pid), exitpriority=0)  # atexit would not be asked in workers
    return folder


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def is_alive(lock: Path) -> bool | None:
    """Whether the process lives that holds a lock; None where that cannot be told from here."""
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def sweep_spools() -> None:
    """Deletes the folders of processes that are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if is_alive(folder / LOCK) is False:
            shutil.rmtree(folder, ignore_errors=True)

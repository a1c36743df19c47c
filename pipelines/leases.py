"""A lock in an object store, where nothing dies with a process: an object that its owner writes again and again.

The first to write it has it; stores that can refuse a second writer are asked to (S3: conditional PUT), in others the
last writer has it. Whoever finds a lease that was not renewed for `TTL_S` seconds, or whose owner is a process of this
machine that is gone, takes it. Clocks of machines may differ by less than `TTL_S - 2 * RENEW_S`. A lease keeps runs
from wasting each other's work; that they do not spoil it rests on their writing the same bytes.
"""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from filters.errors import MathcorpusError, OutputError
from pipelines.places import Remote
from pipelines.spool import LOCK, is_alive, spool_folder

NAME = ".lease"
TTL_S = 120.0
RENEW_S = 20.0


def is_held(out: Remote) -> bool:
    """Whether a run holds a folder, as far as can be told from here."""
    found = _read(out / NAME)
    return found is not None and _is_alive(found)


@contextmanager
def held(out: Remote) -> Iterator[Lease]:
    """Holds a folder; OutputError where another run does."""
    lease = Lease(out)
    lease.take()
    try:
        yield lease
    finally:
        lease.release()


class Lease:
    """The lease of one run on a folder, renewed by a thread."""

    def __init__(self, out: Remote) -> None:
        self._out, self._object = out, out / NAME
        about = {"host": socket.gethostname(), "lock": str(spool_folder() / LOCK)}
        self._about: dict[str, Any] = {"owner": uuid.uuid4().hex, **about}
        self._ended, self._lost = threading.Event(), False
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def take(self) -> None:
        """Takes the lease; OutputError where another run has it."""
        there = self._object.about()
        found = _read(self._object) if there else None
        if found is not None and _is_alive(found):
            self._refuse(found)
        try:
            if there is None:
                self._write(mode="create")
            else:
                self._write(**({"IfMatch": there["ETag"]} if "ETag" in there else {}))
        except (FileExistsError, OutputError):
            if not self._is_mine():
                self._refuse(_read(self._object) or self._about)
            raise
        if not self._is_mine():
            self._refuse(_read(self._object) or self._about)
        self._thread.start()

    def check(self) -> None:
        """OutputError where another run has taken the lease, since this one could not renew it in time."""
        if self._lost:
            msg = f"{self._out}: another run took this folder while this one could not reach it; leave it to that run"
            raise OutputError(msg)

    def release(self) -> None:
        """Lets another run take the folder."""
        self._ended.set()
        self._thread.join()
        with suppress(MathcorpusError):  # the store cannot be reached: the lease ends by itself
            if self._is_mine():
                self._object.unlink(missing_ok=True)

    def _refuse(self, found: dict[str, Any]) -> None:
        left = max(0.0, found["renewed"] + TTL_S - time.time())
        msg = (
            f"{self._out}: another run is using this folder (on {found['host']}); wait for it, or choose another with "
            f"--out; if it is dead, its lease ends in {left:.0f} seconds"
        )
        raise OutputError(msg)

    def _write(self, **conditions: str) -> None:
        self._about["renewed"] = time.time()
        self._object.write_bytes(orjson.dumps(self._about), **conditions)

    def _is_mine(self) -> bool:
        found = _read(self._object)
        return found is not None and found["owner"] == self._about["owner"]

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S):
            try:
                self._lost = not self._is_mine()
                if self._lost:
                    return
                self._write()
            except MathcorpusError:  # the store cannot be reached: the run itself will say so, or the next try succeeds
                continue


def _read(file: Remote) -> dict[str, Any] | None:
    """What a lease says; None where there is none, or none that can be read."""
    try:
        found: dict[str, Any] = orjson.loads(file.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return found


def _is_alive(found: dict[str, Any]) -> bool:
    if found["host"] == socket.gethostname():
        known = is_alive(Path(found["lock"]))
        if known is not None:
            return known
    return bool(time.time() < found["renewed"] + TTL_S)

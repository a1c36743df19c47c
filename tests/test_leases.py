"""Leases in an object store, and folders of files on their way: one run at a time, and none that a dead run keeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from filters.errors import InputError, OutputError
from pipelines import leases
from pipelines.build import locked
from pipelines.leases import NAME, TTL_S, held, is_held
from pipelines.places import Remote
from pipelines.spool import LOCK, PREFIX, is_alive, spool_file, spool_folder, sweep_spools

HOLDS = """
import sys, time
from pipelines.spool import spool_folder
print(spool_folder(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def out() -> Iterator[Remote]:
    """A folder in fsspec's store in memory: no conditional writes beyond `create`."""
    found = Remote(f"memory://leases/{time.monotonic_ns()}")
    yield found
    (found / NAME).unlink(missing_ok=True)


def _lease(out: Remote) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((out / NAME).read_bytes())
    return found


def _write(out: Remote, **about: Any) -> None:
    known = {"owner": "other", "host": "other-machine", "lock": "/nowhere", "renewed": time.time()}
    (out / NAME).write_bytes(orjson.dumps({**known, **about}))


def test_a_second_run_is_refused_while_the_first_lives(out: Remote) -> None:
    """With the machine of the first; afterwards the folder is free."""
    with locked(out) as check:
        check()
        assert is_held(out)
        with pytest.raises(OutputError, match=r"another run is using this folder \(on .+\); wait for it"), locked(out):
            pass
        assert is_held(out)
    assert not is_held(out)
    with locked(out):
        assert is_held(out)


def test_a_lease_of_another_machine_ends(out: Remote) -> None:
    """It is not taken before its time, and taken after it."""
    _write(out, renewed=time.time() - TTL_S + 30)
    with pytest.raises(OutputError, match=r"on other-machine.+ends in (29|30) seconds"), held(out):
        pass
    _write(out, renewed=time.time() - TTL_S - 1)
    assert not is_held(out)
    with held(out):
        assert _lease(out)["owner"] != "other"


def test_a_lease_that_cannot_be_read_is_none(out: Remote) -> None:
    """Of a store that shows an object before it is whole."""
    (out / NAME).write_bytes(b'{"owner": ')
    assert not is_held(out)
    with held(out):
        assert is_held(out)


def test_a_lease_is_renewed(out: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as its run lives."""
    monkeypatch.setattr(leases, "RENEW_S", 0.01)
    with held(out):
        first, end = _lease(out)["renewed"], time.monotonic() + 30
        while _lease(out)["renewed"] == first:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_run_that_lost_its_lease_ends(out: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither writes on nor takes the other's lease away."""
    monkeypatch.setattr(leases, "RENEW_S", 0.01)
    with held(out) as lease:
        lease.check()
        _write(out)
        lease._thread.join(timeout=30)
        with pytest.raises(OutputError, match="another run took this folder"):
            lease.check()
    assert _lease(out)["owner"] == "other"


def test_a_store_that_fails_for_a_while(out: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try renews; a lease that cannot be given back ends by itself."""
    monkeypatch.setattr(leases, "RENEW_S", 0.01)
    failures = iter(range(3))

    def fail(file: Remote) -> dict[str, Any]:
        if next(failures, None) is not None:
            raise InputError
        return {"owner": "other"}

    with held(out) as lease:
        monkeypatch.setattr(leases, "_read", fail)
        lease._thread.join(timeout=30)
        with pytest.raises(OutputError):
            lease.check()
        assert next(failures, None) is None
        failures = iter(range(1))
    assert (out / NAME).exists()


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with a spool folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_lease_of_a_killed_process_of_this_machine_ends_with_it(
    out: Remote, other: tuple[subprocess.Popen[str], Path]
) -> None:
    """Nobody waits for its time; the folder of its files is swept afterwards, and those of the living are not."""
    process, folder = other
    with held(out):
        host = _lease(out)["host"]
    _write(out, host=host, lock=str(folder / LOCK), renewed=time.time())
    with pytest.raises(OutputError, match="another run"), held(out):
        pass
    mine = spool_file("kept")
    mine.write_bytes(b"kept")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with held(out):
        assert is_alive(folder / LOCK) is False
        sweep_spools()
        assert not folder.exists()
        assert mine.read_bytes() == b"kept"
        assert is_alive(folder / LOCK) is None
    mine.unlink()


def test_a_process_has_one_spool_folder() -> None:
    """Below the system's temporary one, with its own process in its name."""
    assert spool_folder() is spool_folder()
    assert spool_folder().parent == Path(tempfile.gettempdir())
    assert spool_folder().name.startswith(f"{PREFIX}{os.getpid()}-")
    assert spool_file("a") != spool_file("a")

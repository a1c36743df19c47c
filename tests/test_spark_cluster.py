"""Spark as it is used: a standalone cluster and a Connect server, with workers that do not have the project.

All marked slow: each needs JVMs of its own, and the whole file takes minutes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import spark_servers
from conftest import PROGRAM, QUICKSTART
from small import build, digests, plan, write_input

from pipelines.engine import make_engine

pytest.importorskip("pyspark", reason="the spark extra is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def master(home: Path) -> Iterator[str]:
    """A master and two workers."""
    with spark_servers.cluster(home) as url:
        yield url


def command(out: Path, *options: str) -> dict[str, str]:
    told = subprocess.run(
        [str(PROGRAM), "build", str(QUICKSTART / "recipe.yaml"), "--json", "--out", str(out), *options],
        capture_output=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr.decode()[-2000:]
    return digests(orjson.loads(told.stdout))


def test_a_cluster_gives_the_bytes_of_one_machine(master: str, tmp_path: Path) -> None:
    """The quickstart, on two workers that would fail if they imported the project from their own path."""
    alone = command(tmp_path / "local")

    assert command(tmp_path / "cluster", "--engine", "spark", "--master", master) == alone


def test_a_killed_executor_and_a_lost_worker_are_noticed(
    master: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their ranks are done again; last in this file, since the cluster is one worker smaller afterwards."""
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(spark_servers)
    engine = make_engine("spark", 2, master)
    try:
        for folder in ("executor", "worker"):
            (tmp_path / folder).mkdir()
        engine.run(spark_servers.KillsExecutor(tmp_path / "executor"), range(4), lambda _: None)
        lost = orjson.loads((home / "pids.json").read_bytes())["pids"]["worker-1"]
        done: list[int] = []
        threading.Thread(target=kill_when, args=(done, lost)).start()
        engine.run(spark_servers.Waits(tmp_path / "worker"), range(8), done.append)
    finally:
        engine.close()
        cloudpickle.unregister_pickle_by_value(spark_servers)

    assert (tmp_path / "executor" / "killed").exists()
    assert len(spark_servers.told(tmp_path / "executor")) == 4
    assert sorted(done) == list(range(8))


def kill_when(done: list[Any], pid: int) -> None:
    """Kills a process when something is done."""
    until = time.monotonic() + spark_servers.START_S
    while not done and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def test_spark_connect_gives_the_same_bytes(tmp_path: Path) -> None:
    """A server in a process of its own, known by its URL alone."""
    pytest.importorskip("grpc", reason="pyspark[connect] is not installed")
    write_input(tmp_path)
    expected = digests(build(plan(tmp_path, "inline")))
    with spark_servers.connect_server(tmp_path) as url:
        engine = make_engine("spark", 2, url)
        found = digests(build(plan(tmp_path, "connect"), engine))

    assert found == expected


def test_a_stopped_cluster_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the width of the terminal, at which `ps` cuts its lines."""
    monkeypatch.setenv("COLUMNS", "40")
    with spark_servers.cluster(tmp_path):
        pids = orjson.loads((tmp_path / "pids.json").read_bytes())["pids"].values()

    lines = [Path(f"/proc/{pid}/cmdline") for pid in pids]
    assert len(lines) == 3
    assert not any(line.exists() and line.read_bytes() for line in lines)  # empty: ended, and not yet reaped

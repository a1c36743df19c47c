"""Spark servers for tests: the cluster of examples/, and a Connect server. Their workers find decoys, not this project."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from conftest import REPOSITORY

from pipelines.decisions import Artefact
from pipelines.spark_worker import ROOMS

SCRIPT = REPOSITORY / "examples" / "spark-cluster.py"
START_S = 120


def decoys(folder: Path) -> Path:
    """A folder to stand on PYTHONPATH: packages of the project's names that refuse to be imported."""
    for room in ROOMS:
        (folder / room).mkdir(parents=True)
        (folder / room / "__init__.py").write_text('raise ImportError("the worker has not run the shipped code")\n')
    return folder


@contextmanager
def cluster(folder: Path, *options: str) -> Iterator[str]:
    """A master and two workers; the master's URL."""
    command = [sys.executable, str(SCRIPT)]
    start = [*command, "start", str(folder), "--path", str(decoys(folder / "decoys")), *options]
    told = subprocess.run(start, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    try:
        yield told.stdout.strip()
    finally:
        subprocess.run([*command, "stop", str(folder)], check=True)


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """A Connect server on loopback; its URL."""
    import pyspark

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Path(pyspark.__file__).parent
    env = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    env["PYTHONPATH"] = str(decoys(folder / "decoys"))
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    binding = {"address": "127.0.0.1", "port": port}
    conf = [f"--conf=spark.connect.grpc.binding.{name}={value}" for name, value in binding.items()]
    command = [str(home / "bin" / "spark-submit"), "--class", server, "--master", "local[2,4]", *conf]
    with (folder / "server.log").open("wb") as log:
        running = subprocess.Popen(
            [*command, "--conf=spark.ui.enabled=false", "spark-internal"], env=env, cwd=folder, stdout=log, stderr=log
        )
    try:
        await_port(port, running)
        yield f"sc://127.0.0.1:{port}"
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def await_port(port: int, running: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and running.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.3)
    msg = "the Connect server does not answer"
    raise AssertionError(msg)


@dataclass(frozen=True)
class KillsExecutor:
    """A task whose rank 1 kills the JVM of its executor the first time."""

    out: Path
    ranks: int = 4

    def run(self, rank: int) -> None:
        once = self.out / "killed"
        if rank == 1 and not once.exists():
            once.touch()
            daemon = os.getppid()
            os.kill(int(Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
            time.sleep(START_S)
        write_marker(self.out, rank)


@dataclass(frozen=True)
class Waits:
    """A task whose ranks take a second and say which process did them."""

    out: Path
    ranks: int = 8

    def run(self, rank: int) -> None:
        time.sleep(1)
        write_marker(self.out, rank, cwd=os.getcwd())


@dataclass(frozen=True)
class Reads:
    """A task that tells what is in the file of its artefact, and where that was."""

    out: Path
    model: Artefact
    ranks: int = 4

    def run(self, rank: int) -> None:
        write_marker(self.out, rank, path=self.model.path, bytes=Path(self.model.path).read_text())


def write_marker(out: Path, rank: int, **more: str) -> None:
    (out / "ranks").mkdir(exist_ok=True)
    (out / "ranks" / f"{rank:05d}.json").write_bytes(orjson.dumps(more))


def told(out: Path) -> list[dict[str, str]]:
    """What the ranks of a task wrote, in order."""
    return [orjson.loads(p.read_bytes()) for p in sorted((out / "ranks").iterdir())]

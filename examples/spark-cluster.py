"""A standalone Spark cluster on this machine, from pip's pyspark: a master and its workers on loopback.

    python examples/spark-cluster.py start FOLDER [--workers 2] [--cores 1] [--memory 2g]
    mathcorpus build RECIPE --engine spark --master "$(cat FOLDER/url)"
    python examples/spark-cluster.py stop FOLDER

FOLDER gets the pids, the logs, and the workers' scratch. pip's pyspark has no start-master.sh; the classes are there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pyspark

from pipelines.java import java_home

HOST = "127.0.0.1"
DEPLOY = "org.apache.spark.deploy"
POLL_S = 0.3
DAEMON_MEMORY = "512m"


def main() -> None:
    """Parses the command line and does what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=Path, help="for pids, logs and scratch")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of each worker  [default: 1]")
    parser.add_argument("--memory", default="2g", help="of each worker  [default: 2g]")
    parser.add_argument("--path", default="", help="PYTHONPATH of the workers; the driver sends them the code")
    parser.add_argument("--port", type=int, help="of the master  [default: a free one]")
    parser.add_argument("--wait", type=float, default=120, help="seconds until all must be there  [default: 120]")
    given = parser.parse_args()
    if given.action == "stop":
        stop(given.folder)
    else:
        print(start(given))


def start(given: argparse.Namespace) -> str:
    """Starts master and workers, waits until all are registered; the master's URL."""
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "pids.json").exists():
        sys.exit(f"{folder}: a cluster was started here; stop it first, or give another folder")
    port, page = given.port or free_port(), free_port()
    url = f"spark://{HOST}:{port}"
    master = ["master.Master", "--host", HOST, "--port", str(port), "--webui-port", str(page)]
    worker = ["worker.Worker", "--host", HOST, "--cores", str(given.cores), "--memory", given.memory]
    env = {**os.environ, "PYTHONPATH": given.path}
    pids = {"master": launch(folder, "master", master, env)}
    try:
        wait(page, 0, given.wait)
        for number in range(given.workers):
            name = f"worker-{number}"
            pids[name] = launch(
                folder, name, [*worker, "--webui-port", "0", "--work-dir", str(folder / name), url], env
            )
        wait(page, given.workers, given.wait)
    except BaseException:
        end(pids)
        raise
    (folder / "url").write_text(url + "\n")
    (folder / "pids.json").write_text(json.dumps({"url": url, "page": page, "pids": pids}))
    return url


def launch(folder: Path, name: str, words: list[str], env: Mapping[str, str]) -> int:
    """Starts one daemon with its log in the folder; its pid, since spark-class replaces itself by Java."""
    home = Path(pyspark.__file__).parent
    env = {**env, "SPARK_HOME": str(home), "SPARK_DAEMON_MEMORY": DAEMON_MEMORY, "SPARK_LOCAL_IP": HOST}
    env["JAVA_HOME"] = java_home() or env.get("JAVA_HOME", "")
    with (folder / f"{name}.log").open("ab") as log:
        command = [str(home / "bin" / "spark-class"), f"{DEPLOY}.{words[0]}", *words[1:]]
        daemon = subprocess.Popen(
            command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    return daemon.pid


def wait(page: int, workers: int, seconds: float) -> None:
    """Returns when the master answers and knows so many live workers."""
    until = time.monotonic() + seconds
    told = "no answer"
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{page}/json/", timeout=5) as answer:
                alive = json.load(answer)["aliveworkers"]
        except (OSError, ValueError) as error:
            told = str(error)
        else:
            told = f"{alive} of {workers} workers"
            if alive >= workers:
                return
        time.sleep(POLL_S)
    sys.exit(f"no cluster after {seconds:.0f} s ({told}); see the logs beside pids.json")


def stop(folder: Path) -> None:
    """Ends what `start` started in this folder, executors included."""
    path = folder / "pids.json"
    if not path.exists():
        sys.exit(f"{folder}: no cluster was started here")
    end(json.loads(path.read_text())["pids"])
    path.unlink()


def end(pids: dict[str, int]) -> None:
    """Ends the daemons, workers first: each ends its executors."""
    for pid in reversed(pids.values()):
        if ours(pid):
            os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + 20
    while any(ours(pid) for pid in pids.values()):
        if time.monotonic() > until:
            for pid in filter(ours, pids.values()):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)


def ours(pid: int) -> bool:
    """Whether a pid is still a daemon of Spark: it may belong to another program by now."""
    told = subprocess.run(
        ["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return DEPLOY in told.stdout and not told.stdout.startswith("Z")


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()

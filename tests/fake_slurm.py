"""Stands for sbatch, squeue and scancel: runs the jobs of an array in a process of its own, and logs each call.

Behind each of the three names lies a link to a script that calls this file. FAKE_SLURM is its folder.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = '#!/bin/sh\nexec "{python}" "{file}" "$(basename "$0")" "$@"\n'


def install(folder: Path) -> Path:
    """Writes the three programs into a folder, to be put on PATH."""
    folder.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        (folder / name).write_text(SCRIPT.format(python=sys.executable, file=__file__))
        (folder / name).chmod(0o755)
    return folder


def sbatch(folder: Path, given: list[str]) -> None:
    """Starts the jobs and prints a number."""
    if "--partition=closed" in given:
        sys.exit("sbatch: error: invalid partition specified: closed")
    options = dict(one[2:].split("=", 1) for one in given if "=" in one)
    [first, last] = re.match(r"(\d+)-(\d+)%\d+$", options["array"]).groups()  # type: ignore[union-attr]
    number = str(len(list(folder.glob("*.pid"))) + 1)
    code = "import fake_slurm, sys; fake_slurm.work(*sys.argv[1:])"
    output = options["output"].replace("%A", number)
    child = subprocess.Popen(
        [sys.executable, "-c", code, given[-1], output, first, last],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))},
    )  # fmt: skip
    (folder / f"{number}.pid").write_text(str(child.pid))
    print(number)  # noqa: T201


def work(script: str, output: str, first: str, last: str) -> None:
    """Runs the jobs one after the other."""
    for index in range(int(first), int(last) + 1):
        with open(output.replace("%a", str(index)), "wb") as log:
            env = {**os.environ, "SLURM_ARRAY_TASK_ID": str(index)}
            subprocess.run(["sh", script], env=env, stdout=log, stderr=log, check=False)


def process(folder: Path, number: str) -> int | None:
    """The process of a job, if it still runs."""
    pid = int((folder / f"{number}.pid").read_text())
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None
    return None if state == "Z" else pid


def main() -> None:
    """One call of one of the programs."""
    folder, (name, *given) = Path(os.environ["FAKE_SLURM"]), sys.argv[1:]
    with (folder / "calls").open("a") as log:
        log.write(" ".join([name, *given]) + "\n")
    if name == "sbatch":
        sbatch(folder, given)
    elif name == "squeue":
        number = given[-1].partition("=")[2]
        if process(folder, number):
            print(number)  # noqa: T201
        elif os.environ.get("FAKE_SLURM_FORGETS"):
            sys.exit("slurm_load_jobs error: Invalid job id specified")
    elif pid := process(folder, given[-1]):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()

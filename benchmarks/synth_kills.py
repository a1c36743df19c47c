"""kill -9 at random points of a run, export included: python benchmarks/synth_kills.py --kills 200.

A stub server counts what it is asked. A child asks for all requests of a plan and writes the outcomes; it is killed
after a random time and started again, until it ends by itself; then all begins anew with another journal, until there
were enough kills. Afterwards: every output byte for byte that of a run that nobody disturbed, no answer asked for again
but those under way, and those few that were not on the disk.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from common import record
from synth_client import stub

from synth.client import HttpBackend, Server
from synth.engine import UNWRITTEN, Options, answer_all
from synth.export import write_outcomes
from synth.journal import Journal
from synth.requests import Outcome, Request, Sampling

CONCURRENCY = 32
ASKING, WRITING = 6, 2  # kills of a trial
COMMIT_SECONDS = 0.02  # between two commits
EXPORT_SECONDS = 0.05  # that the writing takes, about


def check(request: Request, _: Outcome) -> str:
    """Refuses a fifth of the first attempts, always the same."""
    return "parse" if request.attempt == 0 and request.id[0] in "abc" else ""


def plan(trial: str, count: int) -> list[Request]:
    """The requests of a trial: each has questions of its own, so that the server tells them apart."""
    sampling = Sampling(temperature=0.7, max_tokens=64)
    return [Request("t", "p@1", "stub", (("user", f"{trial} {n}"),), sampling) for n in range(count)]


def child(url: str, trial: str, count: int, folder: Path) -> None:
    """Asks and writes."""
    with Journal(folder / "journal") as journal:
        backend = HttpBackend(Server(url, "stub"))
        counted = answer_all(plan(trial, count), backend, journal, check, Options(CONCURRENCY))
        assert counted.answered == count, counted
        (folder / "asked").touch()
        write_outcomes(folder / "out", plan(trial, count), journal, check, 2)


def calls(url: str) -> int:
    """Calls that the server has had."""
    return int(json.loads(urllib.request.urlopen(f"{url}/told").read())["calls"])


class Trial:
    """One plan, asked in lives that end early and a last one that does not."""

    def __init__(self, url: str, name: str, count: int, folder: Path) -> None:
        self.url, self.name, self.count, self.folder = url, name, count, folder
        self.kills = self.exports = 0
        folder.mkdir()

    def live(self, ends: Callable[[], bool] | None = None, after: float = 0.0) -> None:
        """One life: to its own end, or killed so many seconds after `ends` says so."""
        (self.folder / "asked").unlink(missing_ok=True)
        command = [sys.executable, __file__, "--child", self.url, self.name, str(self.count), str(self.folder)]
        with subprocess.Popen(command, start_new_session=True) as process:
            while process.poll() is None and not (ends and ends()):
                time.sleep(0.002)
            try:
                process.wait(after if ends else None)
            except subprocess.TimeoutExpired:
                self.exports += (self.folder / "asked").exists()
                self.kills += 1
                os.killpg(process.pid, signal.SIGKILL)
                return
        assert process.returncode == 0, process.returncode

    def kill_while_asking(self, drawn: random.Random) -> None:
        """After a random number of calls more, and as many milliseconds as a commit is away."""
        goal = calls(self.url) + drawn.randrange(self.count // ASKING)
        self.live(lambda: calls(self.url) > goal, drawn.uniform(0, COMMIT_SECONDS))

    def kill_while_writing(self, drawn: random.Random) -> None:
        """After a random time since all was asked."""
        self.live((self.folder / "asked").exists, drawn.uniform(0, EXPORT_SECONDS))

    def repeats(self, before: int) -> int:
        """Calls of this trial beyond those that an undisturbed one makes."""
        time.sleep(0.1)  # for those of the last that was killed to be counted
        needed = sum(2 if check(request, Outcome()) else 1 for request in plan(self.name, self.count))
        return calls(self.url) - before - needed

    def output(self) -> bytes:
        """What was written, once for each planned request, in order."""
        data = (self.folder / "out").read_bytes()
        again = [r.again() if check(r, Outcome()) else r for r in plan(self.name, self.count)]
        assert [json.loads(line)["request"] for line in data.splitlines()] == [r.id for r in again], "lost or doubled"
        return data


def run(kills: int, count: int, seed: int) -> float:
    """Kills until there were enough; repeats per kill. AssertionError where anything is lost, doubled or different."""
    drawn = random.Random(seed)
    done = repeats = exports = 0
    with tempfile.TemporaryDirectory() as place, stub("--wait", "0.02") as url:
        for number in itertools.count():
            if done >= kills:
                break
            calm = Trial(url, f"trial-{number}", count, Path(place, f"{number}-calm"))
            calm.live()
            before = calls(url)
            trial = Trial(url, calm.name, count, Path(place, str(number)))
            for _ in range(min(ASKING, kills - done)):
                trial.kill_while_asking(drawn)
            for _ in range(min(WRITING, kills - done - trial.kills)):
                trial.kill_while_writing(drawn)
            trial.live()
            again = trial.repeats(before)
            assert trial.output() == calm.output(), trial.name
            assert 0 <= again <= trial.kills * (CONCURRENCY + UNWRITTEN), (trial.kills, again)
            done, repeats, exports = done + trial.kills, repeats + again, exports + trial.exports
            print(f"{done} kills, {exports} of them in the export: {repeats} calls made again", flush=True)
    return repeats / done


def main() -> None:
    """Measures, and records where it is told to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--child", nargs=4, metavar=("URL", "TRIAL", "COUNT", "FOLDER"))
    given = parser.parse_args()
    if given.child:
        url, trial, count, folder = given.child
        child(url, trial, int(count), Path(folder))
        return
    repeats = run(given.kills, given.count, given.seed)
    if given.record:
        record(f"synth: calls made again per kill -9, {CONCURRENCY} at a time, {given.kills} kills", repeats, "")


if __name__ == "__main__":
    main()

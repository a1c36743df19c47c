"""Kills builds at seeded points, resumes them, and compares; shared by test_faults.py and benchmarks/faults.py.

What kills itself is in armed.py; all else is killed from here.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson
import small
import spark_servers
from armed import Spec, planned

from pipelines import files
from pipelines.dataset import Dataset
from pipelines.engine import InlineEngine

HERE = Path(__file__).resolve().parent
PATHS = f"{HERE}:{HERE.parent}"
FILES = 6  # of input, a rank each
KILLS = 2  # of a build, one after the other, before it may end
LIMIT_S = {"local": 300.0, "spark": 600.0, "cluster": 600.0}  # after which a run hangs, on a busy machine too
ORPHAN_S = {"local": 5.0, "spark": 5.0, "cluster": 30.0}  # after which a process without a driver is an orphan
COMMITS = {"map": 6, "reduce": 3}  # files that a rank commits: shards, its cost, its marker
AFTER_S = 0.5  # of the point that the seed decides, in which a process is struck
SHUFFLE_S = 3.0  # the same, from the beginning of a Reduce
IN_SHUFFLE = " in a shuffle"
_DRIVEN = ("driver", "Python worker", "JVM", "worker in a shard", "worker at a commit", "driver at a commit")
KINDS = {
    "local": (
        "driver",
        "worker",
        "forkserver",
        "machine",
        "worker in a shard",
        "worker at a commit",
        "driver at a commit",
    ),
    "spark": (*_DRIVEN, f"driver{IN_SHUFFLE}", f"JVM{IN_SHUFFLE}"),  # local[2,4]: the JVM is the executor too
    "cluster": (*_DRIVEN, "executor", f"executor{IN_SHUFFLE}", "Spark worker"),
}
_COMMANDS = {  # of processes of Spark
    "JVM": "SparkSubmit",
    "executor": "CoarseGrainedExecutorBackend",
    "Spark worker": "deploy.worker.Worker",
    "Python worker": "pyspark.daemon",
}


@dataclass
class Outcome:
    """What became of the runs of one kind of fault."""

    struck: int = 0  # faults that happened; in other runs the build was over before
    builds: int = 0
    recovered: int = 0  # builds
    lost: int = 0
    doubled: int = 0
    hung: int = 0
    orphans: int = 0
    leftovers: int = 0
    wrong: list[str] = field(default_factory=list)

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(*(mine + its for mine, its in zip(self._all(), other._all(), strict=True)))

    def _all(self) -> list[Any]:
        return [getattr(self, f.name) for f in fields(self)]

    def line(self, kind: str) -> str:
        """A row of the table."""
        return f"| {kind} | {' | '.join(map(str, self._all()[:-1]))} |"


class Ground:
    """A folder with the input, the undisturbed build, and runs that are killed; perhaps a cluster of Spark."""

    def __init__(self, root: Path, engine: str = "local") -> None:
        self.root, self.engine = root, engine
        small.write_input(root, FILES)
        self.whole = small.build(planned(root, "whole"), InlineEngine())
        self.rows = rows(root / "whole")
        self.folders = [p.folder for p in planned(root, "whole").passes]
        self._cluster, self._clusters, self.master = ExitStack(), 0, None
        self._start_cluster()
        self._said = (root / "said").open("wb")
        self.server = subprocess.Popen(
            [sys.executable, "-c", "import armed; armed.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": PATHS},
        )
        code, told, _ = self.run(self._spec("counted"), None)
        assert code == 0, self._last_words()
        self.commits, self.steps = told["commits"], self._steps("counted")

    def _start_cluster(self) -> None:
        """A new one, where the engine is one: what a Spark worker leaves behind is never whole."""
        if self.engine == "cluster":
            self._cluster.close()
            self._clusters += 1
            folder = self.root / f"cluster-{self._clusters}"
            self.master = self._cluster.enter_context(spark_servers.cluster(folder, "--path", PATHS))
            self._daemons = set(orjson.loads((folder / "pids.json").read_bytes())["pids"].values())

    def close(self) -> None:
        """Ends the process that builds, and the cluster."""
        self.server.communicate()
        self._said.close()
        self._cluster.close()

    def _spec(self, out: str, **more: Any) -> Spec:
        engine = "local" if self.engine == "local" else "spark"
        return Spec(str(self.root), out, engine, self.master, **more)

    def run(self, spec: Spec, kill: Callable[[int], bool] | None) -> tuple[int, dict[str, Any], bool]:
        """(exit code of the build, what it told, whether it was struck); {} where it did not end well."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        told = self.root / f"{spec.out}.told"
        told.unlink(missing_ok=True)
        self.server.stdin.write(orjson.dumps(asdict(spec)) + b"\n")
        self.server.stdin.flush()
        self.session = int(self.server.stdout.readline())
        limit = threading.Timer(LIMIT_S[self.engine], self._hung)
        limit.start()
        struck = kill(self.session) if kill else False
        code = int(self.server.stdout.readline())
        limit.cancel()
        return code, orjson.loads(told.read_bytes()) if code == 0 else {}, struck

    def _hung(self) -> None:
        os.killpg(self.session, signal.SIGTERM)  # which no fault of ours sends

    def strike(self, kind: str, seed: int, outcome: Outcome) -> None:
        """KILLS runs with a fault, another without, and the comparison with the undisturbed build."""
        rng = random.Random(f"{kind}/{seed}")
        name = f"{kind.replace(' ', '-')}-{seed}"
        for number in range(KILLS):
            spec = self._spec(name, once=str(self.root / f"struck-{name}-{number}"))
            kill = None
            if kind == "driver at a commit":
                spec.driver, spec.after = rng.randint(1, self.commits // (number + 1)), rng.random() < 0.5
            elif kind.startswith("worker "):
                spec.folder, spec.rank, spec.after = self._left(name, rng), rng.randrange(FILES), rng.random() < 0.5
                what, _, _ = spec.folder.partition("-")
                spec.what = "row" if kind.endswith("shard") and what == "map" else "commit"
                spec.at = rng.randint(1, 3 if spec.what == "row" else COMMITS[what])
            else:
                kill = lambda pid: self._kill(kind, pid, name, rng)  # noqa: E731
            code, _, struck = self.run(spec, kill)
            outcome.struck += struck or Path(spec.once).exists()
            outcome.hung += code == -signal.SIGTERM
            if self.engine != "cluster":  # whose executors may go on while the next run begins
                outcome.orphans += self._orphans()
            if kind == "Spark worker":
                self._start_cluster()
            if code == 0:  # it got over it
                break
        self._compare(name, outcome)

    def _left(self, name: str, rng: random.Random) -> str:
        left = [f for f in self.folders if not (self.root / name / "work" / f / "done.json").exists()]
        return rng.choice(left)

    def _steps(self, name: str) -> int:
        """How far a build is: ranks and passes that are done."""
        work = self.root / name / "work"
        return sum(1 for pattern in ("*/ranks/*.json", "*/done.json") for _ in work.glob(pattern))

    def _kill(self, kind: str, pid: int, name: str, rng: random.Random) -> bool:
        kind, shuffle, _ = kind.partition(IN_SHUFFLE)
        folder, until = self.root / name, rng.randrange(min(self._steps(name), self.steps - 1), self.steps)
        while pid in session({pid}) and not (
            any(folder.glob("work/*/_tmp/reduce-*")) if shuffle else self._steps(name) >= until
        ):
            time.sleep(0.02)
        at = time.monotonic() + rng.random() * (SHUFFLE_S if shuffle else AFTER_S)
        time.sleep(max(0.0, at - time.monotonic()))
        leaders = {pid, *self._daemons} if self.engine == "cluster" else {pid}
        while time.monotonic() < at + 5 and pid in session({pid}):  # a worker may not be there yet
            if victims := sorted(who(kind, pid, leaders)):
                os.kill(rng.choice(victims), signal.SIGKILL) if kind != "machine" else os.killpg(pid, signal.SIGKILL)
                return True
            time.sleep(0.02)
        return False

    def _orphans(self) -> int:
        """Processes of the run that go on without it; they are ended."""
        until = time.monotonic() + ORPHAN_S[self.engine]
        while left := self._without_driver():
            if time.monotonic() > until:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                return len(left)
            time.sleep(0.05)
        return 0

    def _without_driver(self) -> set[int]:
        left = set(session({self.session}))
        if self.engine == "cluster":
            found = session(self._daemons)
            left |= {p for p, (_, c) in found.items() if _COMMANDS["executor"] in c or _COMMANDS["Python worker"] in c}
        return left

    def _last_words(self) -> str:
        return (self.root / "said").read_text()[-500:]

    def _compare(self, name: str, outcome: Outcome) -> None:
        outcome.builds += 1
        code, told, _ = self.run(self._spec(name), None)
        outcome.orphans += self._orphans()
        if code:
            outcome.hung += code == -signal.SIGTERM
            outcome.wrong.append(f"{name}: not resumed: {self._last_words()}")
            return
        found = rows(self.root / name)
        outcome.lost += (self.rows - found).total()
        outcome.doubled += (found - self.rows).total()
        left = leftovers(self.root / name)
        outcome.leftovers += len(left)
        same = small.digests(told["manifest"]) == small.digests(self.whole)
        outcome.recovered += same
        if not same or left:
            outcome.wrong.append(f"{name}: {'same' if same else 'other'} digests, leftovers {left}")


def rows(out: Path) -> Counter[tuple[str, str]]:
    """(dataset, id) of every row of corpus and ledger."""
    return Counter(
        (name, one)
        for name in ("corpus", "ledger")
        for table in Dataset.load(out / name).tables(["id"])
        for one in table["id"].to_pylist()
    )


def leftovers(out: Path) -> list[str]:
    """Files of a build that no manifest names, or that were being written."""
    found = [str(p.relative_to(out)) for p in out.rglob("*") if files._HALF.fullmatch(p.name) or p.name == "_tmp"]
    for name in ("corpus", "removed", "ledger", "evidence"):
        named = {"manifest.json", *(s.path for s in Dataset.load(out / name).shards)}
        found += [f"{name}/{p.name}" for p in (out / name).iterdir() if p.name not in named]
    return found


def session(leaders: set[int]) -> dict[int, tuple[int, str]]:
    """{pid: (parent, command)} of the living processes of some sessions."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) in leaders and state != "Z":
            found[int(folder.name)] = int(parent), command
    return found


def who(kind: str, leader: int, leaders: set[int]) -> set[int]:
    """The processes that a kind of fault may kill, of a run and of the cluster that it uses."""
    alive = session(leaders)
    if kind in {"driver", "machine"}:
        return {leader} & alive.keys()
    if kind in _COMMANDS:
        found = {pid for pid, (_, command) in alive.items() if _COMMANDS[kind] in command}
        return {pid for pid in found if alive[pid][0] in found} if kind == "Python worker" else found
    servers = {pid for pid, (parent, command) in alive.items() if parent == leader and "forkserver" in command}
    return servers if kind == "forkserver" else {pid for pid, (parent, _) in alive.items() if parent in servers}

"""Kills builds at seeded points, resumes them, and compares; shared by test_faults.py and benchmarks/faults.py.

The builds run in a process of their own that has imported everything and forks for each: a start costs seconds otherwise.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson
import small

from pipelines import dataset, files
from pipelines.build import Build
from pipelines.dataset import Dataset, ShardWriter
from pipelines.engine import Engine, InlineEngine, Progress, make_engine
from pipelines.plan import Plan
from pipelines.stage import Task

HERE = Path(__file__).resolve().parent
FILES = 6  # of input, a rank each
KILLS = 2  # of a build, one after the other, before it may end
LIMIT_S = {"local": 60.0, "spark": 180.0}  # after which a run hangs
ORPHAN_S = 5.0  # after which a worker without a driver is an orphan
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
    "spark": ("driver", "Python worker", "JVM", "driver at a commit"),
}


@dataclass
class Spec:
    """A build and the point where it kills itself; `at` counts calls, and 0 never."""

    root: str
    out: str
    engine: str = "local"
    driver: int = 0  # commits of the driver
    folder: str = ""  # of the pass in which a worker dies,
    rank: int = 0  # in this rank,
    what: str = ""  # in `row` or `commit`
    at: int = 0
    after: bool = False  # behind the rename
    once: str = ""  # the file that says that it has happened


def die(spec: Spec) -> None:
    """Kills this process, once."""
    try:
        Path(spec.once).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def arm_commits(spec: Spec, at: int, count: list[int]) -> None:
    """From now on the commit of that number kills, before the file is renamed or behind."""

    def commit(tmp: Path, target: Path) -> None:
        count[0] += 1
        if count[0] == at and not spec.after:
            die(spec)
        REAL_COMMIT(tmp, target)
        if count[0] == at and spec.after:
            die(spec)

    for module in (files, dataset):
        module.commit_file = commit  # type: ignore[attr-defined]


REAL_COMMIT = files.commit_file
REAL_WRITE = ShardWriter.write


def arm_rows(spec: Spec) -> None:
    """From now on the row of that number kills, when those before it are a whole Parquet file in _tmp."""
    count = [0]

    def write(self: ShardWriter, row: dict[str, Any]) -> None:
        count[0] += 1
        REAL_WRITE(self, row)
        if count[0] == spec.at:
            self._flush()
            self._file.close()
            die(spec)

    ShardWriter.write = write  # type: ignore[method-assign]


@dataclass(frozen=True)
class Deadly:
    """A task of which one rank kills its worker."""

    task: Task
    spec: Spec

    @property
    def out(self) -> Path:
        return self.task.out

    @property
    def ranks(self) -> int:
        return self.task.ranks

    def run(self, rank: int) -> None:
        """Runs the rank, armed if it is the one."""
        if rank == self.spec.rank and self.spec.folder == self.out.name:
            arm_rows(self.spec) if self.spec.what == "row" else arm_commits(self.spec, self.spec.at, [0])
        try:
            self.task.run(rank)
        finally:
            arm_commits(self.spec, 0, [0])
            ShardWriter.write = REAL_WRITE  # type: ignore[method-assign]


class DeadlyEngine:
    """An engine whose ranks may kill their worker."""

    def __init__(self, engine: Engine, spec: Spec) -> None:
        self._engine, self._spec = engine, spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        self._engine.run(Deadly(task, self._spec), ranks, progress)


def run_build(spec: Spec) -> None:
    """The build that is killed; writes how often its driver commits, and the manifest."""
    count = [0]
    plan = planned(Path(spec.root), spec.out)
    engine: Callable[[], Any] = lambda: make_engine(spec.engine, 2)  # noqa: E731
    if spec.folder:
        manifest = Build(plan, lambda: DeadlyEngine(engine(), spec)).run()
    else:
        arm_commits(spec, spec.driver, count)
        manifest = Build(plan, engine).run()
    (Path(spec.root) / f"{spec.out}.told").write_bytes(orjson.dumps({"commits": count[0], "manifest": manifest}))


def serve() -> None:
    """Forks for each line of stdin, a Spec; prints the build's process, and how it ended when it has."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os.setsid()
            sys.stdin.close()
            os.dup2(2, 1)
            try:
                run_build(Spec(**orjson.loads(line)))
            except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)  # noqa: T201 - read by Ground
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


def planned(root: Path, out: str) -> Plan:
    return small.plan(root, out)


# --- the one who kills ------------------------------------------------------------------------------------------------


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
    """A folder with the input, the undisturbed build, and runs that are killed."""

    def __init__(self, root: Path, engine: str = "local") -> None:
        self.root, self.engine = root, engine
        small.write_input(root, FILES)
        self.whole = small.build(planned(root, "whole"), InlineEngine())
        self.rows = rows(root / "whole")
        self.folders = [p.folder for p in planned(root, "whole").passes]
        self._said = (root / "said").open("wb")
        self.server = subprocess.Popen(
            [sys.executable, "-c", "import faults; faults.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"},
        )
        started = time.monotonic()
        _, told, _ = self.run(Spec(str(root), "timed", engine), None)
        self.seconds, self.commits = time.monotonic() - started, told["commits"]

    def close(self) -> None:
        """Ends the process that builds."""
        self.server.communicate()
        self._said.close()

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
            spec = Spec(str(self.root), name, self.engine, once=str(self.root / f"struck-{name}-{number}"))
            kill = None
            if kind == "driver at a commit":
                spec.driver, spec.after = rng.randint(1, self.commits // (number + 1)), rng.random() < 0.5
            elif kind.startswith("worker "):
                spec.folder, spec.rank, spec.after = self._left(name, rng), rng.randrange(FILES), rng.random() < 0.5
                spec.what = "row" if kind.endswith("shard") and spec.folder.startswith("map-") else "commit"
                spec.at = rng.randint(1, 3)
            else:
                kill = lambda pid: self._kill(kind, pid, name, rng)  # noqa: E731
            code, _, struck = self.run(spec, kill)
            outcome.struck += struck or Path(spec.once).exists()
            outcome.hung += code == -signal.SIGTERM
            outcome.orphans += self._orphans()
            if code == 0:  # it got over it
                break
        self._compare(name, outcome)

    def _left(self, name: str, rng: random.Random) -> str:
        left = [f for f in self.folders if not (self.root / name / "work" / f / "done.json").exists()]
        return rng.choice(left)

    def _kill(self, kind: str, pid: int, name: str, rng: random.Random) -> bool:
        lock, begun = self.root / name / ".lock", time.monotonic()
        while not lock.exists() and time.monotonic() - begun < LIMIT_S[self.engine]:
            time.sleep(0.02)
        at = time.monotonic() + rng.random() * max(0.5, self.seconds - (time.monotonic() - begun))
        time.sleep(at - time.monotonic())
        while time.monotonic() < at + 5 and pid in session(pid):  # a worker may not be there yet
            if victims := sorted(who(kind, pid)):
                os.kill(rng.choice(victims), signal.SIGKILL) if kind != "machine" else os.killpg(pid, signal.SIGKILL)
                return True
            time.sleep(0.02)
        return False

    def _orphans(self) -> int:
        """Processes of the run that go on without it; they are ended."""
        until = time.monotonic() + ORPHAN_S
        while left := session(self.session):
            if time.monotonic() > until:
                os.killpg(self.session, signal.SIGKILL)
                return len(left)
            time.sleep(0.05)
        return 0

    def _compare(self, name: str, outcome: Outcome) -> None:
        outcome.builds += 1
        code, told, _ = self.run(Spec(str(self.root), name, self.engine), None)
        if code:
            outcome.hung += code == -signal.SIGTERM
            outcome.wrong.append(f"{name}: not resumed: {(self.root / 'said').read_text()[-500:]}")
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


def session(leader: int) -> dict[int, tuple[int, str]]:
    """{pid: (parent, command)} of the living processes of a session."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == leader and state != "Z":
            found[int(folder.name)] = int(parent), command
    return found


def who(kind: str, leader: int) -> set[int]:
    """The processes that a kind of fault may kill."""
    alive = session(leader)
    if kind in {"driver", "machine"}:
        return {leader} & alive.keys()
    if kind == "JVM":
        return {pid for pid, (_, command) in alive.items() if "SparkSubmit" in command}
    if kind == "Python worker":
        daemons = {pid for pid, (_, command) in alive.items() if "pyspark.daemon" in command}
        return {pid for pid in daemons if alive[pid][0] in daemons}
    servers = {pid for pid, (parent, command) in alive.items() if parent == leader and "forkserver" in command}
    return servers if kind == "forkserver" else {pid for pid, (parent, _) in alive.items() if parent in servers}

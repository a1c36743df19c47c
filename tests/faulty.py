"""Tasks that go wrong, in a module of their own so that workers can import them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.errors import UsageError


def mark_done(out: Path, rank: int) -> None:
    """Leaves the marker of a rank."""
    (out / "ranks").mkdir(exist_ok=True)
    (out / "ranks" / f"{rank:05d}.json").write_text("{}")


@dataclass(frozen=True)
class Kills:
    """A task whose rank 1 kills its worker the first time."""

    out: Path
    ranks: int = 4

    def run(self, rank: int) -> None:
        once = self.out / "killed"
        if rank == 1 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        mark_done(self.out, rank)


@dataclass(frozen=True)
class Fails:
    """A task that fails with an error of ours."""

    out: Path
    ranks: int = 2

    def run(self, rank: int) -> None:
        msg = f"rank {rank} cannot be done; mend it"
        raise UsageError(msg)


@dataclass(frozen=True)
class KillsOnce:
    """A task of which each rank kills its worker the first time."""

    out: Path
    ranks: int

    def run(self, rank: int) -> None:
        once = self.out / f"killed-{rank}"
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        mark_done(self.out, rank)


@dataclass(frozen=True)
class AlwaysKills:
    """A task of which rank 1 always kills its worker."""

    out: Path
    ranks: int = 3

    def run(self, rank: int) -> None:
        if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        mark_done(self.out, rank)


@dataclass(frozen=True)
class WritesOn:
    """A task that writes lines for a minute."""

    out: Path
    ranks: int = 1

    def run(self, rank: int) -> None:
        until = time.monotonic() + 60
        with (self.out / "lines").open("a") as file:
            while time.monotonic() < until:
                file.write("line\n")
                file.flush()
                time.sleep(0.01)


class HasKey(BaseFilter):
    """Keeps documents where the environment has a key."""

    name = "key"

    def filter(self, doc: Document) -> bool:
        """Whether it is there."""
        return bool(os.environ["MATHCORPUS_TEST_KEY"])

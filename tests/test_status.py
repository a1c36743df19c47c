"""The status of a build, told from outside: running, done, failed, or gone without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from small import build, plan, write_input

from filters.errors import InputError
from pipelines.cli import main
from pipelines.engine import InlineEngine, Progress
from pipelines.stage import Task
from pipelines.status import in_words, read_status


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_input(tmp_path)
    return tmp_path


class Looks(InlineEngine):
    """Asks for the status behind the first two ranks."""

    told: dict[str, Any] | None = None

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        super().run(task, ranks[:2], progress)
        self.told = self.told or read_status(task.out.parent.parent)
        super().run(task, ranks[2:], progress)


def test_a_running_build_tells_its_ranks(root: Path) -> None:
    """Two of the first pass are done, and the other passes wait."""
    engine = Looks()
    build(plan(root), engine)
    assert engine.told
    first, *others = engine.told["passes"]

    assert (engine.told["state"], engine.told["pid"], engine.told["failed"]) == ("running", os.getpid(), None)
    assert (first["stages"], first["state"], first["ranks_done"], first["ranks"]) == (
        ["ingest", "quality"],
        "begun",
        2,
        4,
    )
    assert first["per_minute"] > 0
    assert first["left_s"] > 0
    assert [(p["state"], p["ranks"]) for p in others] == [("waiting", None)] * 5
    assert "begun    ingest + quality: 2 of 4 ranks, " in in_words(engine.told)


def test_a_build_that_is_done_says_so(root: Path) -> None:
    """All passes are; those that were reused as well."""
    build(plan(root))
    build(plan(root, stages=[{"stage": "quality", "min_tokens": 5}, {"stage": "exact_dedup"}, {"stage": "tokens"}]))
    told = read_status(root / "out")

    assert told["state"] == "done"
    assert [(p["state"], p["ranks_done"], p["ranks"]) for p in told["passes"]] == [("done", 4, 4)] * 3
    assert told["passes"][0]["per_minute"] is None
    assert in_words(told).count("done     ") == 3


def test_what_failed_is_told(root: Path) -> None:
    """With the error's line."""

    class Fails(InlineEngine):
        def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
            super().run(task, ranks[:1], progress)
            msg = "the disk is on fire"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError):
        build(plan(root), Fails())
    told = read_status(root / "out")

    assert (told["state"], told["failed"]) == ("failed", "RuntimeError: the disk is on fire")
    assert in_words(told).endswith("failed   RuntimeError: the disk is on fire")


def test_a_killed_build_is_stopped(root: Path) -> None:
    """It could tell nothing; its lock is free. The command line says the same."""
    code = (
        "import os, signal, sys; sys.path.insert(0, 'tests'); from pathlib import Path; import small\n"
        "class Dies(small.InlineEngine):\n"
        "    def run(self, task, ranks, progress): os.kill(os.getpid(), signal.SIGKILL)\n"
        "small.build(small.plan(Path(sys.argv[1])), Dies())\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(root)], check=False, cwd=Path(__file__).parent.parent)
    recipe = root / "recipe.yaml"
    recipe.write_text("name: small\nsources: [{format: jsonl, name: s, path: in}]\nstages: [{stage: tokens}]\n")
    command = ["build", str(recipe), "--out", str(root / "out"), "--status"]
    told = orjson.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)

    assert killed.returncode == -signal.SIGKILL
    assert told["state"] == "stopped"
    assert told["passes"][0]["state"] == "begun"
    assert "the process is gone without a word" in CliRunner().invoke(main, command).stdout


def test_a_folder_without_a_build_is_named(tmp_path: Path) -> None:
    """One line."""
    with pytest.raises(InputError, match="no build has begun here; give the folder of one with --out"):
        read_status(tmp_path)

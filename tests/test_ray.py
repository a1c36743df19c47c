"""The Ray engine: the bytes of the others, and no rank lost with its worker. All but one marked slow: Ray starts slowly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from conftest import PROGRAM, QUICKSTART
from faulty import AlwaysKills, Fails, KillsOnce
from small import build, digests, plan, write_input

from filters.errors import MathcorpusError, UsageError
from pipelines.engine import Engine, InlineEngine, make_engine
from pipelines.engine_datatrove import MAX_LOSSES
from pipelines.engine_ray import RayEngine

HERE = Path(__file__).resolve().parent
PATHS = f"{HERE}{os.pathsep}{HERE.parent}"  # workers import faulty.py


@pytest.fixture(scope="module")
def ray() -> Iterator[Engine]:
    """A Ray of two workers, which other engines of this process find."""
    pytest.importorskip("ray", reason="the ray extra is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        patch.delenv("RAY_ADDRESS", raising=False)
        engine = RayEngine(2)
        yield engine
        engine.close()


def test_ray_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra: one line that says what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"^--engine ray needs the extra: pip install 'mathcorpus\[ray\]'$") as caught:
        make_engine("ray", 2)

    assert caught.value.exit_code == 2


@pytest.mark.slow
def test_ray_gives_the_same_bytes(ray: Engine, tmp_path: Path) -> None:
    """All datasets of a small build, with files in another order than that of their names."""
    write_input(tmp_path)
    expected = digests(build(plan(tmp_path, "inline"), InlineEngine()))
    names = [f"in/part-{n}.jsonl" for n in (2, 0, 3, 1)]

    assert digests(build(plan(tmp_path, path=names), RayEngine(2))) == expected


@pytest.mark.slow
@pytest.mark.timeout(580)
@pytest.mark.parametrize("workers", [1, 3])
def test_ray_agrees_on_the_quickstart(workers: int, tmp_path: Path) -> None:
    """By the command line, which starts a Ray of its own and ends it."""
    pytest.importorskip("ray", reason="the ray extra is not installed")
    found = []
    for options in (["--engine", "inline"], ["--engine", "ray", "--workers", str(workers)]):
        out = tmp_path / options[1]
        command = [str(PROGRAM), "build", str(QUICKSTART / "recipe.yaml"), *options, "--out", str(out), "--json"]
        told = subprocess.run(command, capture_output=True, check=False)
        assert told.returncode == 0, told.stderr.decode()[-2000:]
        found += [digests(orjson.loads(told.stdout))]

    assert found[0] == found[1]


@pytest.mark.slow
def test_workers_of_ray_may_be_lost_as_often_as_there_is_progress(ray: Engine, tmp_path: Path) -> None:
    """Each of five ranks loses its worker once; all are done, and none is told twice."""
    done: list[int] = []
    ray.run(KillsOnce(tmp_path, 5), range(5), done.append)

    assert sorted(done) == list(range(5))
    assert len(list((tmp_path / "ranks").iterdir())) == 5


@pytest.mark.slow
def test_a_rank_that_always_kills_its_worker_is_named(ray: Engine, tmp_path: Path) -> None:
    """The build stops with one line; the other ranks are done."""
    with pytest.raises(MathcorpusError, match=rf"rank 1 killed its worker {MAX_LOSSES} times; for want of memory"):
        ray.run(AlwaysKills(tmp_path), [0, 1, 2], lambda _: None)

    assert sorted(p.name for p in (tmp_path / "ranks").iterdir()) == ["00000.json", "00002.json"]


@pytest.mark.slow
def test_an_error_of_ours_comes_through_as_one_line(ray: Engine, tmp_path: Path) -> None:
    """As the error that the rank raised, without Ray's wrapping."""
    with pytest.raises(UsageError, match=r"^rank \d cannot be done; mend it$"):
        ray.run(Fails(tmp_path), [0, 1], lambda _: None)


@pytest.mark.slow
def test_workers_of_ray_end_with_their_driver(tmp_path: Path) -> None:
    """kill -9 of the driver: its Ray ends, and its worker writes no line more."""
    pytest.importorskip("ray", reason="the ray extra is not installed")
    code = (
        "import sys; from pathlib import Path; from faulty import WritesOn\n"
        "from pipelines.engine_ray import RayEngine\n"
        "RayEngine(1).run(WritesOn(Path(sys.argv[1])), [0], print)\n"
    )
    env = {**os.environ, "PYTHONPATH": PATHS}
    driver = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=env)
    lines = tmp_path / "lines"
    until = time.monotonic() + 120
    while not lines.exists() and time.monotonic() < until:
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    time.sleep(10)
    size = lines.stat().st_size
    time.sleep(1)

    assert lines.stat().st_size == size > 0


def test_no_ray_at_an_address_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is told, and what Ray says."""
    pytest.importorskip("ray", reason="the ray extra is not installed")
    with pytest.raises(UsageError, match=r"^--master no-such-host: no Ray \("):
        make_engine("ray", 2, "no-such-host")

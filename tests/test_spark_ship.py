"""What travels to Spark's workers: the code as an archive, models by digest; and what is said where folders differ."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import spark_servers
from conftest import REPOSITORY
from small import build, digests, plan, write_input

from filters.errors import OutputError
from pipelines import spark_ship, spark_worker
from pipelines.decisions import Artefact
from pipelines.engine import Engine

pytest.importorskip("pyspark", reason="the spark extra is not installed")


@contextmanager
def shipping(spark: Any) -> Iterator[Any]:
    """The engine on the local session, shipping as it does to a cluster."""
    from pyspark import cloudpickle

    from pipelines.engine_spark import SparkEngine, _by_value

    cloudpickle.register_pickle_by_value(spark_servers)
    engine = SparkEngine(2, session=spark)
    engine._ship = spark_ship.Shipping(spark, _by_value)
    try:
        yield engine
    finally:
        engine.close()
        cloudpickle.unregister_pickle_by_value(spark_servers)


def test_the_archive_holds_code_and_data_under_one_name(tmp_path: Path) -> None:
    """All sources and data files of the rooms, no bytecode; the same sources, the same name."""
    (tmp_path / "again").mkdir()
    packed = spark_ship.pack(tmp_path)
    names = set(zipfile.ZipFile(packed).namelist())

    assert {"pipelines/stage.py", "filters/density.txt", "decontam/benchmarks.yaml", "synth/__init__.py"} <= names
    assert not any(name.endswith(".pyc") or ".mypy_cache" in name for name in names)
    assert spark_ship.pack(tmp_path / "again").name == packed.name


def test_a_worker_runs_the_shipped_code_and_no_other(tmp_path: Path) -> None:
    """Packages of the same names on its path are not touched, not even when they were imported before."""
    packed = spark_ship.pack(tmp_path)
    sha256 = spark_ship.file_sha256(packed)[0]
    pickled = pickle.dumps(spark_ship.leave_sign)
    decoys = spark_servers.decoys(tmp_path / "decoys")
    (decoys / "filters" / "__init__.py").write_text("")
    code = f"""
import runpy, sys, filters
from pathlib import Path
worker = runpy.run_path({str(REPOSITORY / "pipelines" / "spark_worker.py")!r})
worker["shipped"].__globals__["sent_file"] = lambda name: Path({str(tmp_path)!r}) / name
print(worker["shipped"]({packed.name!r}, {sha256!r}, {pickled!r})(Path({str(tmp_path)!r})))
import pipelines.dataset, filters.density
print(pipelines.dataset.__file__, filters.__file__, len(filters.density._TERMS.read_text()))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(decoys)}, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    sign, about = ran.stdout.splitlines()
    assert Path(sign).exists()
    unpacked = packed.with_suffix("")
    assert about.split()[:2] == [str(unpacked / "pipelines/dataset.py"), str(unpacked / "filters/__init__.py")]


def test_another_archive_is_refused(tmp_path: Path) -> None:
    """Bytes that the driver did not send are not unpacked."""
    packed = spark_ship.pack(tmp_path)
    with pytest.raises(RuntimeError, match="but the driver sent 00"):
        spark_worker.unpack(packed, "00", tmp_path / "code")

    assert not (tmp_path / "code").exists()


def test_a_build_ships_and_is_the_same(spark: Any, tmp_path: Path) -> None:
    """Ranks, both halves of Reduces, and errors, through shipped functions."""
    write_input(tmp_path)
    with shipping(spark) as engine:
        shipped = digests(build(plan(tmp_path, "shipped"), engine))

    assert shipped == digests(build(plan(tmp_path, "inline")))


def test_a_model_that_workers_do_not_see_is_sent_by_digest(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, checked; one that they see is read where it is."""
    out = tmp_path / "out"
    (tmp_path / "model").write_text("weights")
    monkeypatch.chdir(tmp_path)  # workers have another working folder
    with shipping(spark) as engine:
        seen = run(engine, spark_servers.Reads(out / "seen", Artefact(str(tmp_path / "model"), "d")))
        assert engine._ship.sent == {}
        sent = run(engine, spark_servers.Reads(out / "sent", Artefact("model", "d")))
        [sha256] = engine._ship.sent.values()

    assert [s["path"] for s in seen] == [str(tmp_path / "model")] * 4
    assert {Path(s["path"]).name for s in sent} == {sha256}
    assert [s["bytes"] for s in sent] == ["weights"] * 4


def run(engine: Engine, task: Any) -> list[dict[str, str]]:
    engine.run(task, range(task.ranks), lambda _: None)
    return spark_servers.told(task.out)


def test_a_worker_that_does_not_share_the_folder_says_so(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with the folder and the way out, and no rank is run."""
    monkeypatch.setattr(spark_ship, "leave_sign", lambda out: out / "_tmp" / "seen-nowhere")
    task = spark_servers.Waits(tmp_path, ranks=2)
    with shipping(spark) as engine, pytest.raises(OutputError, match=r"does not see this folder; give with --out"):
        engine.run(task, [0, 1], lambda _: None)

    assert not (tmp_path / "ranks").exists()

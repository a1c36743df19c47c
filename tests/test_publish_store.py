"""Publishing a build that lies in an object store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from object_store import environment, serving
from small import plan, write_input

from pipelines.build import Build
from pipelines.cli import main
from pipelines.engine import InlineEngine
from pipelines.places import Remote
from pipelines.plan import make_plan

pytest.importorskip("s3fs", reason="the s3 extra is not installed")
pytest.importorskip("moto", reason="moto is not installed")


def test_a_build_in_a_store_gives_the_same_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files as of the build on disk; what differs is the day and how long it took. The bucket is not named."""
    import s3fs

    systems: Any = s3fs.S3FileSystem
    write_input(tmp_path, 2)
    made = plan(tmp_path)
    Build(made, InlineEngine).run()
    with serving() as endpoint:
        for name, value in environment(endpoint).items():
            monkeypatch.setenv(name, value)
        systems.clear_instance_cache()
        systems().mkdir("corpora")
        Build(make_plan(made.recipe, tmp_path, Remote("s3://corpora/out")), InlineEngine).run()
        trees = {}
        for build, to in ((str(tmp_path / "out"), "disk"), ("s3://corpora/out", "store")):
            result = CliRunner().invoke(main, ["publish", build, "--to", str(tmp_path / to)])
            assert result.exit_code == 0, result.output
            trees[to] = {p.relative_to(tmp_path / to).as_posix(): p.read_bytes() for p in (tmp_path / to).rglob("*.*")}
        systems.clear_instance_cache()

    timed = {"report.json", "report.html", "manifest.json", "croissant.json"}
    assert set(trees["disk"]) == set(trees["store"])
    assert {p: d for p, d in trees["disk"].items() if p not in timed} == {
        p: d for p, d in trees["store"].items() if p not in timed
    }
    assert not any(b"corpora" in data for data in trees["store"].values())

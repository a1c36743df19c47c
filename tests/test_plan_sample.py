"""A sample is the same everywhere, and what it costs tells what the whole will cost."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small import build, text, write_rows
from test_cli import run
from test_sources import PAGE, record

from filters.errors import UsageError
from pipelines.dataset import Dataset
from pipelines.engine_datatrove import LocalEngine
from pipelines.plan import Plan, make_plan
from pipelines.plan_estimate import in_words
from pipelines.plan_sample import Sample, chosen, take_sample
from pipelines.recipe_file import parse_recipe

ROWS = 2_000
STAGES: list[dict[str, Any]] = [
    {"stage": "extract"},
    {"stage": "quality", "min_tokens": 5},
    {"stage": "minhash_dedup"},
    {"stage": "tokens"},
]
TIMES = 4  # a CPU estimate on a busy machine is within


def whole(root: Path, *sources: dict[str, Any]) -> Plan:
    """A plan over sources, each of them in a folder of its name."""
    listed = [{"path": s["name"], **s} for s in sources]
    recipe = yaml.safe_dump({"name": "r", "sources": listed, "stages": STAGES})
    (root / "r.yaml").write_text(recipe)
    return make_plan(parse_recipe(recipe, root / "r.yaml", {}), root, root / "out")


def rows(root: Path, count: int = ROWS) -> Plan:
    """JSON lines, compressed."""
    data = b"".join(orjson.dumps({"id": str(n), "text": text(n)}) + b"\n" for n in range(count))
    (root / "rows").mkdir()
    (root / "rows" / "a.jsonl.gz").write_bytes(gzip.compress(data))
    return whole(root, {"format": "jsonl", "name": "rows"})


def read(sample: Sample) -> list[tuple[str, str]]:
    """(source id or URL, text) of what a build of the sample keeps."""
    build(sample.plan)
    table = pa.concat_tables(Dataset.load(sample.plan.out / "corpus").tables(["source_id", "text"]))
    return sorted(zip(table["source_id"].to_pylist(), table["text"].to_pylist(), strict=True))


@given(st.integers(0, 5), st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_holds_the_smaller(seed: int, origin: str, one: float, other: float) -> None:
    """What a small sample chooses a larger one chooses too; all and nothing are what they say."""
    assert chosen(seed, origin, max(one, other)) >= chosen(seed, origin, min(one, other))
    assert chosen(seed, origin, 1.0)
    assert not chosen(seed, origin, 0.0)


def test_the_share_is_kept_and_the_seed_decides() -> None:
    """Of 20,000 origins a tenth, give or take a twentieth of it; another seed takes others."""
    one, other = ({n for n in range(20_000) if chosen(seed, f"s/a#{n}", 0.1)} for seed in (1, 2))

    assert 1_900 < len(one) < 2_100
    assert len(one & other) < 300


def test_the_sample_is_the_same_wherever_it_is_taken(tmp_path: Path) -> None:
    """Equal files, factors and keys in two folders; its rows are rows of the input, and its factor is that of bytes."""
    plan = rows(tmp_path)
    one, other = (take_sample(plan, 0.1, tmp_path / name) for name in ("one", "other"))

    assert [f.digest for f in one.plan.files] == [f.digest for f in other.plan.files]
    assert (one.factors, one.plan.key) == (other.factors, other.plan.key)
    found = read(one)
    assert 150 < len(found) < 250
    assert set(found) <= {(str(n), text(n)) for n in range(ROWS)}
    assert one.factors["rows"] == pytest.approx(ROWS / len(found), rel=0.05)


def test_every_format_is_sampled_by_record_or_file(tmp_path: Path) -> None:
    """Of WARC and Parquet some records, of single files some files, as many as the factors say."""
    for name in ("web", "table", "books", "code"):
        (tmp_path / name).mkdir()
    pages = [PAGE.replace(b"prime", f"prime {text(n)}".encode()) for n in range(60)]
    (tmp_path / "web" / "a.warc.gz").write_bytes(b"".join(gzip.compress(record(p)) for p in pages))
    pq.write_table(pa.table({"text": [text(100 + n) for n in range(200)]}), tmp_path / "table" / "a.parquet")
    for number in range(60):
        (tmp_path / "books" / f"{number}.md").write_text(text(400 + number))
        (tmp_path / "code" / f"{number}.py").write_text(text(500 + number))
    kinds = {"web": "warc", "table": "parquet", "books": "text", "code": "code"}
    plan = whole(tmp_path, *({"format": kind, "name": name} for name, kind in kinds.items()))

    sample = take_sample(plan, 0.3, tmp_path / "sample")
    manifest = build(sample.plan)

    counts = dict(zip(("web", "table", "books", "code"), (60, 200, 60, 60), strict=True))
    for name, factor in sample.factors.items():
        assert factor == pytest.approx(1 / 0.3, rel=0.6), name
    assert manifest["documents"]["read"] == pytest.approx(
        sum(counts[name] / factor for name, factor in sample.factors.items()), rel=0.1
    )
    assert manifest["stages"][0]["removed"] == {}


def test_of_many_files_some_are_taken_whole(tmp_path: Path) -> None:
    """With enough files for the share the rest is not read."""
    for number in range(60):
        write_rows(tmp_path / "rows" / f"{number:02d}.jsonl", [{"text": text(10 * number + n)} for n in range(3)])
    plan = whole(tmp_path, {"format": "jsonl", "name": "rows"})

    sample = take_sample(plan, 0.5, tmp_path / "sample")

    assert {f.digest for f in sample.plan.files} < {f.digest for f in plan.files}
    assert 15 < len(sample.plan.files) < 45


def test_a_source_that_is_too_small_is_named(tmp_path: Path) -> None:
    """The error says which, how many records it has, and what share would do."""
    plan = rows(tmp_path, 20)

    with pytest.raises(UsageError, match=r"takes none of the 20 records of source 'rows'; give 0\.5$"):
        take_sample(plan, 1e-6, tmp_path / "sample")


@pytest.mark.parametrize("wrong", [("--sample", "0"), ("--sample", "1.5"), ("--cores", "4")])
def test_wrong_options_are_refused(tmp_path: Path, wrong: tuple[str, str]) -> None:
    """A share outside of (0, 1] and cores without a sample end with exit code 2."""
    rows(tmp_path, 20)

    assert run("plan", tmp_path / "r.yaml", "--out", tmp_path / "out", *wrong)[0] == 2


def test_the_estimate_is_near_what_the_build_costs(tmp_path: Path) -> None:
    """Documents within a tenth, bytes within 30 %, processor time within TIMES; the error is told behind a build."""
    plan = rows(tmp_path)
    command = ("plan", tmp_path / "r.yaml", "--out", tmp_path / "out", "--sample", "0.25")
    code, told, _ = run(*command, "--cores", "3", "--json")
    assert code == 0
    found = orjson.loads(told)["estimate"]
    assert found["last_build"] is None
    assert not list((tmp_path / "out").rglob("done.json"))

    build(plan, LocalEngine(1))

    code, told, _ = run(*command, "--json")
    again = orjson.loads(told)["estimate"]
    last = again["last_build"]
    assert found["documents"] == pytest.approx(ROWS, rel=0.1)
    assert found["total"]["disk_bytes"] == pytest.approx(last["disk_bytes"], rel=0.3)
    assert last["cpu_s"] / TIMES < found["total"]["cpu_s"] < last["cpu_s"] * TIMES + 2
    assert found["total"]["cores"] == 3
    assert last["passes"] == len(plan.passes)
    assert last["disk_error"] == pytest.approx(again["total"]["disk_bytes"] / last["disk_bytes"] - 1, abs=0.001)
    assert "against the last build" in in_words(again)

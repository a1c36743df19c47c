"""Stock phrases are counted over a corpus; a match that rests on them alone is a case for review."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import build, digests, plan, write_rows

from decontam.benchmarks import Item
from decontam.index import build_index
from decontam.match import DecontaminationParams, Match, scan_batch
from decontam.stock import demote, match_of, stock_ngrams
from pipelines import decontaminate
from pipelines.dataset import Dataset
from pipelines.engine import decide, make_engine
from pipelines.recipe import DecontaminateStage
from pipelines.scan_reduce import SCANS, rule
from pipelines.stage import StageSpec
from pipelines.tables import save_table

RULE = DecontaminationParams(near=False)
MATCH = Match(item=0, kind="exact", lcs=0.7, ngrams=2, window=(0, 20), span=(0, 90), anchors=(3, 5))

PHRASE = "let n be a positive integer and let p be a prime number such that"
ITEM = f"{PHRASE} p divides n plus one"
OTHER = "a farmer has 17 sheep and buys 25 more at the market before he sells 9 of all his sheep"
STAGE = {"stage": "decontaminate", "against": "bench", "lcs_threshold": 0.8, "stock_documents": 20}


def page(number: int) -> str:
    return f"In chapter {number} we {PHRASE} some condition of number {number} holds for all of them"


CHANCE = f"{PHRASE} n is not one but p divides it"


def test_an_ngram_is_stock_from_the_named_number_of_documents_on() -> None:
    """Forty-nine documents are not fifty; the number is an option."""
    counts = {1: 49, 2: 50, 3: 500}

    assert stock_ngrams(counts, RULE) == {2, 3}
    assert stock_ngrams(counts, replace(RULE, stock_documents=100)) == {3}


def test_a_match_that_rests_on_stock_alone_becomes_review() -> None:
    """One anchor that is no stock phrase keeps the class; order and all else stay."""
    other = replace(MATCH, item=1, anchors=(3, 4))
    bare = replace(MATCH, item=2, anchors=())

    assert [replace(MATCH, kind="review"), other, bare] == demote([MATCH, other, bare], {3, 5})
    assert [MATCH] == demote([MATCH], frozenset())


def test_a_phrase_of_many_documents_does_not_convict_the_one_that_passes_by_chance() -> None:
    """Sixty pages hold a phrase of an item; a page that also happens to share its words is for review."""
    index = build_index([Item("set", "test", 0, "question", ITEM)])

    scans = scan_batch(index, [*map(page, range(60)), CHANCE], replace(RULE, lcs_threshold=0.8))
    stock = stock_ngrams(Counter(gram for scan in scans for gram in scan.loose), RULE)

    assert [] == [scan.matches for scan in scans[:60] if scan.matches]
    assert ["exact"] == [m.kind for m in scans[60].matches]
    assert ["review"] == [m.kind for m in demote(scans[60].matches, stock)]


def test_matches_come_back_from_json_as_they_were() -> None:
    """What a Reduce keeps of a document is judged as if it had just been found."""
    for match in (MATCH, replace(MATCH, anchors=())):
        assert match == match_of(orjson.loads(orjson.dumps(match)))


# --- in a build -------------------------------------------------------------------------------------------------------


def write_corpus(root: Path) -> None:
    """Pages with a stock phrase in several files, one that passes by chance, a copy, and a copy of another item."""
    rows = [{"id": f"page-{n:02d}", "text": page(n)} for n in range(24)]
    rows += [{"id": "chance", "text": CHANCE}, {"id": "copy", "text": f"Homework. {ITEM}. Due on Monday."}]
    rows += [{"id": "sheep", "text": f"{page(50)}. {OTHER}"}, {"id": "clean", "text": "nothing of that kind"}]
    for number in range(3):
        write_rows(root / "in" / f"part-{number}.jsonl", rows[number::3])
    write_rows(root / "bench" / "set" / "test.jsonl", [{"question": ITEM}, {"question": OTHER}])


def by_command(root: Path) -> tuple[set[str], dict[str, list[str]]]:
    """(ids removed, classes of evidence by id) of the command on the same texts."""
    params = {"lcs_threshold": 0.8, "stock_documents": 20}
    given = decontaminate.Options((str(root / "in"),), (str(root / "bench"),), out=root / "checked", params=params)
    decontaminate.run(given, lambda _what, _size: None)
    removed = [line for path in (root / "checked" / "removed").iterdir() for line in path.read_bytes().splitlines()]
    classes: dict[str, list[str]] = {}
    for line in map(orjson.loads, (root / "checked" / "evidence.jsonl").read_bytes().splitlines()):
        classes.setdefault(line["doc_id"], []).append(line["class"])
    return {orjson.loads(line)["id"] for line in removed}, classes


def by_build(root: Path, out: str) -> tuple[set[str], dict[str, list[str]]]:
    """The same of a build."""
    names: dict[str, str] = {}
    removed: set[str] = set()
    for kind in ("corpus", "removed"):
        for table in Dataset.load(root / out / kind).tables(["id", "source_id"]):
            names.update(zip(*(column.to_pylist() for column in table.columns), strict=True))
            removed.update(table["source_id"].to_pylist() if kind == "removed" else ())
    rows = [row for table in Dataset.load(root / out / "evidence").tables() for row in table.to_pylist()]
    return removed, {names[r["id"]]: [line["class"] for line in orjson.loads(r["evidence"])] for r in rows}


def test_a_build_removes_what_the_command_removes(tmp_path: Path) -> None:
    """Stock phrases are counted over all ranks: the page that passes by chance is kept for review by both."""
    write_corpus(tmp_path)
    manifest = build(plan(tmp_path, stages=[STAGE]))
    removed, classes = by_build(tmp_path, "out")

    assert (removed, classes) == by_command(tmp_path)
    assert removed == {"copy", "sheep"}
    assert classes["chance"] == ["review"]
    assert classes["copy"] == ["exact"]
    assert [p["kind"] for p in manifest["passes"]] == ["map", "reduce", "map"]
    assert len(Dataset.load(tmp_path / "out" / "corpus").shards) > 1


@pytest.mark.parametrize("name", ["local", "spark"])
def test_engines_agree_on_stock_phrases(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Evidence and all else are byte for byte those of the inline engine."""
    if name == "spark":
        session = request.getfixturevalue("spark")
        from pipelines.engine_spark import SparkEngine

        engine: Any = SparkEngine(2, session=session)
    else:
        engine = make_engine(name, 2)
    write_corpus(tmp_path)
    expected = digests(build(plan(tmp_path, "inline", stages=[STAGE])))

    with contextlib.closing(engine):
        assert digests(build(plan(tmp_path, name, stages=[STAGE]), engine)) == expected
    assert by_build(tmp_path, name)[1]["chance"] == ["review"]


@given(st.lists(st.frozensets(st.integers(0, 12), max_size=8), max_size=30), st.integers(1, 6), st.randoms())
def test_the_decision_counts_documents_whatever_their_order(
    tmp_path_factory: pytest.TempPathFactory, documents: list[frozenset[int]], least: int, rng: Any
) -> None:
    """An n-gram is in the table when so many rows hold it, with their number; shuffled rows give the same table."""
    config = DecontaminateStage(stage="decontaminate", against="b", stock_documents=least)
    rows = [{"key": n.to_bytes(16), "loose": sorted(loose), "matches": b"[]"} for n, loose in enumerate(documents)]
    rng.shuffle(rows)
    dataset = save_table(tmp_path_factory.mktemp("keys"), "k", table(rows))
    counts = Counter(gram for loose in documents for gram in loose)

    decided = decide(StageSpec("decontaminate", config), dataset).decision

    expected = [{"ngram": gram, "documents": n} for gram, n in sorted(counts.items()) if n >= least]
    assert decided.to_pylist() == expected


def table(rows: list[dict[str, Any]]) -> Any:
    return pa.Table.from_pylist(rows, schema=SCANS)


def test_a_reduce_right_behind_it_sees_only_what_it_keeps(tmp_path: Path) -> None:
    """With no map between the two, the keys of the second leave out what the first removes."""
    write_corpus(tmp_path)
    write_rows(tmp_path / "in" / "again.jsonl", [{"id": "copy-2", "text": f"Homework. {ITEM}. Due on Monday."}])
    manifest = build(plan(tmp_path, stages=[STAGE, {"stage": "exact_dedup"}, {"stage": "tokens"}]))
    removed = {stage["name"]: stage["removed"] for stage in manifest["stages"]}

    assert removed["decontaminate"] == {"contaminated:set": 3}
    assert removed["exact_dedup"] == {}
    assert [p["kind"] for p in manifest["passes"]] == ["map", "reduce", "reduce", "map"]


def test_a_recipe_has_every_point_of_the_rule_with_its_default() -> None:
    """What the command can be told, a recipe can be told, and neither has a default of its own."""
    config = DecontaminateStage(stage="decontaminate", against="b")

    assert rule(config) == DecontaminationParams()
    assert set(asdict(DecontaminationParams())) <= set(type(config).model_fields)

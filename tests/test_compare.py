"""Two builds compared: each document that came or went, once, with its reason."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from small import DEFAULT_STAGES, ITEM, build, plan, text, write_input, write_rows

from pipelines.audit import compare_keys
from pipelines.audit.compare import compare, in_words
from pipelines.audit.compare_keys import ROW, Buckets, paired
from pipelines.audit.documents import Documents
from pipelines.dataset import Dataset
from pipelines.engine import Engine, InlineEngine, make_engine
from pipelines.plan import make_plan
from pipelines.recipe_file import parse_recipe


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small input, and its build."""
    root = tmp_path_factory.mktemp("first")
    write_input(root)
    build(plan(root))
    return root


@pytest.fixture
def root(first: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(first, tmp_path / "root", symlinks=True)


def documents(folder: Path) -> Documents:
    return Documents(Dataset.load(folder / "corpus"), folder)


def compared(
    before: Documents, now: Documents, work: Path, engine: Engine | None = None
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The figure and the documents that it shows; what the sum of the parts has to be is checked."""
    figure, shown = compare(("this", now), ("other", before), work, engine or InlineEngine(), lambda *_: None)
    for side, part in (("a", "gone"), ("b", "came")):
        assert figure[side]["documents"] == figure["in_both"] + figure[part]["documents"]
        assert figure[part]["documents"] == sum(figure[part]["why"].values())
        assert figure[part]["documents"] == sum(n["documents"] for n in figure[part]["by_source"].values())
        assert {i for ids in figure[part]["shown"].values() for i in ids} <= shown.keys()
    return figure, shown


def whys(figure: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    return figure["came"]["why"], figure["gone"]["why"]


def test_another_threshold_lets_documents_come_and_go_by_its_stage(root: Path) -> None:
    """What was contaminated and too short stays now, what is long enough no more goes; both stages are named."""
    changed = [{**s, "lcs_threshold": 1.0} if s["stage"] == "decontaminate" else s for s in DEFAULT_STAGES]
    changed[0] = {"stage": "quality", "min_tokens": 1}
    build(plan(root, out="now", stages=changed))

    figure, shown = compared(documents(root / "out"), documents(root / "now"), root / "work")

    assert whys(figure) == (
        {"removed_before:decontaminate:contaminated:farm": 1, "removed_before:quality:too_short": 1},
        {},
    )
    assert figure["in_both"] == 24
    assert (figure["changed_text"], figure["other_id"]) == (0, 0)
    assert figure["stages"] == [
        {"stage": "quality", "changed": ["min_tokens"], "files": False, "code": False, "moved": False},
        {"stage": "decontaminate", "changed": ["lcs_threshold"], "files": False, "code": False, "moved": False},
    ]
    [dirty] = figure["came"]["shown"]["removed_before:decontaminate:contaminated:farm"]
    assert ITEM.lower() in shown[dirty]["text"]
    assert shown[dirty]["in"] == "now"
    back, _ = compared(documents(root / "now"), documents(root / "out"), root / "back")
    assert whys(back) == ({}, {why.replace("before", "now"): n for why, n in figure["came"]["why"].items()})
    assert (back["gone"]["tokens"], back["b"]) == (figure["came"]["tokens"], figure["a"])


def test_another_source_and_a_takedown_are_told_apart(root: Path) -> None:
    """What the other build did not read, and what this one was asked to leave out."""
    write_rows(root / "more" / "new.jsonl", [{"id": f"n{i}", "text": text(200 + i)} for i in range(5)])
    row = Dataset.load(root / "out" / "corpus")
    gone = next(row.tables(["id"]))["id"][0].as_py()
    (root / "asked.txt").write_text(f"id {gone}\n")
    recipe = {
        "name": "larger",
        "shard_mb": 0.001,
        "sources": [
            {"format": "jsonl", "name": n, "path": p, "source": k}
            for n, p, k in (("notes", "in", "web"), ("more", "more", "book"))
        ],
        "stages": [{"stage": "takedown", "path": "asked.txt"}, *DEFAULT_STAGES],
    }
    build(make_plan(parse_recipe(yaml.safe_dump(recipe), root / "r.yaml", {}), root, root / "now"))

    figure, shown = compared(documents(root / "out"), documents(root / "now"), root / "work")

    assert whys(figure) == ({"not_read_before": 5}, {"removed_now:takedown:taken_down:id": 1})
    assert figure["came"]["by_source"]["book"]["documents"] == 5
    assert figure["sources"] == [{"source": "more", "only": "now"}]
    assert figure["stages"] == [{"stage": "takedown", "only": "now"}]
    assert shown[gone]["in"] == "before"
    words = "\n".join(in_words(figure))
    assert "source more only now, takedown only now" in words
    assert "removed now:takedown:taken_down:id" in words
    assert "not read before" in words


def test_an_input_that_was_cut_anew_is_met_by_its_texts(root: Path) -> None:
    """Other files, so other ids, and the same documents: kept ones meet, and removed ones are known by their texts."""
    rows = [line for p in sorted((root / "in").iterdir()) for line in p.read_bytes().splitlines()]
    again = root / "again"
    (again / "in").mkdir(parents=True)
    (again / "in" / "all.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    (again / "bench").symlink_to(root / "bench")
    build(plan(again, stages=[{**s, "min_tokens": 1} if s["stage"] == "quality" else s for s in DEFAULT_STAGES]))

    figure, _ = compared(documents(root / "out"), documents(again / "out"), root / "work")

    met = figure["other_id"]
    assert met >= 20
    assert figure["in_both"] == met
    assert figure["came"]["why"]["removed_before:quality:too_short"] == 1
    assert not {"not_read_before", "not_read_now"} & (figure["came"]["why"].keys() | figure["gone"]["why"].keys())


def test_texts_that_changed_under_their_ids_are_counted(root: Path) -> None:
    """They are in both, and shown."""
    masks = [{"stage": "personal_data"}, *DEFAULT_STAGES]
    write_rows(root / "in" / "mail.jsonl", [{"id": "m", "text": f"{text(90, 20)} jane@mit.edu"}])
    build(plan(root, out="before"))
    build(plan(root, out="now", stages=masks))

    figure, shown = compared(documents(root / "before"), documents(root / "now"), root / "work")

    assert whys(figure) == ({}, {})
    assert figure["changed_text"] == 1
    assert "[email]" in shown[figure["changed_shown"][0]]["text"]


def test_a_dataset_that_is_no_build_knows_no_reasons(root: Path) -> None:
    """Nor stages; what it has not, it did not read."""
    corpus = Documents(Dataset.load(root / "out" / "corpus"))
    build(plan(root, out="now", stages=DEFAULT_STAGES[:1]))

    figure, _ = compared(corpus, documents(root / "now"), root / "work")

    assert whys(figure) == ({"not_read_before": 3}, {})
    assert (figure["stages"], figure["sources"]) == (None, None)
    assert (figure["a"]["name"], figure["b"]["name"]) == ("other", "small")


def test_neither_workers_nor_buckets_change_the_comparison(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, and buckets of three rows; run again in the same folder, what is there is used."""
    build(plan(root, out="now", stages=DEFAULT_STAGES[:1]))
    sides = documents(root / "out"), documents(root / "now")
    plain = compared(*sides, root / "work")
    monkeypatch.setattr(compare_keys, "BUCKET_ROWS", 3)

    assert compared(*sides, root / "local", make_engine("local", 2)) == plain
    assert compared(*sides, root / "work") == plain


def rows_from(keys: list[tuple[int, int]]) -> Any:
    rows = np.zeros(len(keys), ROW)
    rows["id"]["high"], rows["text"]["high"] = [k for k, _ in keys] or 0, [t for _, t in keys] or 0
    rows["row"] = np.arange(len(keys))
    return rows


KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(KEYS, KEYS)
def test_as_many_rows_are_paired_as_both_sides_have(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    """Of each key; each row once."""
    for by, place in ((("id",), 0), (("text",), 1), (("id", "text"), slice(0, 2))):
        mine, its = paired(rows_from(one), rows_from(other), *by)
        expected = Counter(k[place] for k in one) & Counter(k[place] for k in other)

        assert Counter(one[i][place] for i in mine) == expected
        assert [one[i][place] for i in mine] == [other[i][place] for i in its]
        assert len(set(mine.tolist())) == len(mine)
        assert len(set(its.tolist())) == len(its)


def test_buckets_hold_each_row_once_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a key are in one bucket, in the order in which they came."""
    monkeypatch.setattr(compare_keys, "BUCKET_ROWS", 2)
    rows = rows_from([(n << 60, 0) for n in (3, 9, 15, 3, 0)])
    buckets = Buckets(tmp_path / "b", "id", 9)
    buckets.add(rows[:3])
    buckets.add(rows[3:])

    found = [buckets[n]["row"].tolist() for n in range(len(buckets))]

    assert sorted(row for rows in found for row in rows) == [0, 1, 2, 3, 4]
    assert len(buckets) == 8
    assert [0, 3] in found

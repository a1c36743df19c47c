"""Mixes are those of the slow twin, whatever the documents hold, and however the corpus is cut."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import naive_mix
import orjson
import pyarrow as pa
import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.errors import InputError, RecipeError
from pipelines import dataset as ds
from pipelines import mix_decide
from pipelines.engine import InlineEngine
from pipelines.files import write_json
from pipelines.mix import Mixing, cap_limits, tokens_wanted
from pipelines.mix_rows import draw, values_of, written
from pipelines.plan import PlannedMix
from pipelines.recipe_mix import Mix
from pipelines.stage import marker

Docs = list[dict[str, Any]]


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What a power cut would lose is not looked at here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def corpus_of(docs: Docs, root: Path, shards: int) -> ds.Dataset:
    """The documents as a corpus of so many shards."""
    made = []
    for number in range(shards):
        writer = ds.ShardWriter(root, f"{number:05d}.parquet", ds.DOCUMENTS)
        for doc in docs[number::shards]:
            fields = {k: v for k, v in doc.items() if k not in {"id", "metadata"}}
            writer.write(ds.document_to_row(Document(text="t", id=doc["id"], metadata={**fields, **doc["metadata"]})))
        made.append(writer.commit())
    return ds.Dataset(root, tuple(made), "k")


def make(docs: Docs, mix: Mix, root: Path, shards: int = 3, backwards: bool = False) -> tuple[dict[str, Any], Path]:
    """(figures of a mix of documents, the folder of what was taken)."""
    planned = PlannedMix(mix, 7 if mix.seed is None else mix.seed, "key")
    plan = SimpleNamespace(mixes=[planned], work=root / "work", is_done=lambda one: False)

    def run(one: Any, task: Any, close: Any) -> None:
        for rank in sorted(range(task.ranks), reverse=backwards):
            task.run(rank)
        reports = [orjson.loads(marker(task.out, r).read_bytes()) for r in range(task.ranks)]
        write_json(task.out / "done.json", close(reports))

    corpus = corpus_of(docs, root / "corpus", shards)
    made = Mixing(plan, corpus, InlineEngine(), run).make()  # type: ignore[arg-type]
    return made[mix.name], root / "work" / planned.taking.folder


def rows(root: Path) -> list[dict[str, Any]]:
    """All rows of a dataset."""
    return [row for table in ds.Dataset.load(root).tables() for row in table.to_pylist()]


def mix_of(**given_: Any) -> Mix:
    return Mix.model_validate({"name": "m", **given_})


# --- against the twin -------------------------------------------------------------------------------------------------

scalars = st.sampled_from([None, True, 1, 2, 2.0, 2.5, "a", "2", "一", float("nan"), ["a"], {"b": 1}])
documents = st.lists(
    st.fixed_dictionaries(
        {
            "tokens": st.integers(0, 60),
            "source": st.sampled_from(["web", "book", "code", None]),
            "host": st.sampled_from(["a.org", "b.org", "数学.cn", None]),
            "math_score": st.one_of(st.none(), st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0])),
            "metadata": st.one_of(st.just({}), st.fixed_dictionaries({"year": scalars})),
        }
    ),
    max_size=25,
).map(lambda found: [{"id": f"d{n}", **doc} for n, doc in enumerate(found)])
numbers = st.sampled_from([0.3, 0.5, 0.9])
conditions = st.one_of(
    st.fixed_dictionaries({"source": st.sampled_from(["web", ["book", "code"], None, ["web", None]])}),
    st.fixed_dictionaries({"math_score": st.fixed_dictionaries({"at_least": numbers})}),
    st.fixed_dictionaries({"math_score": st.fixed_dictionaries({"below": numbers})}),
    st.fixed_dictionaries({"metadata.year": st.sampled_from([2, "2", True, None, [1, "a"], "一"])}),
    st.fixed_dictionaries({"metadata.year": st.just({"at_least": 1.5, "below": 2.5}), "host": st.just("a.org")}),
)
amounts = st.one_of(
    st.fixed_dictionaries({"weight": st.sampled_from([0.1, 0.3, 1, 2])}),
    st.fixed_dictionaries({"tokens": st.integers(1, 400), "max_epochs": st.integers(1, 4)}),
    st.fixed_dictionaries({"epochs": st.sampled_from([0.2, 0.5, 1, 1.7, 3])}),
)
caps = st.lists(
    st.tuples(
        st.sampled_from(["host", "source", "metadata.year", "math_score"]),
        st.one_of(
            st.fixed_dictionaries({"tokens": st.integers(1, 150)}),
            st.fixed_dictionaries({"share": st.sampled_from([0.05, 0.2, 0.5]), "tokens": st.just(300)}),
        ),
    ),
    max_size=2,
    unique_by=lambda one: one[0],
).map(lambda found: [{"column": column, **limit} for column, limit in found])


@st.composite
def mixes(draw_: Any) -> Mix:
    """A mix of up to three parts; the last may take all that is left."""
    parts = [{**draw_(amounts), "where": draw_(conditions)} for _ in range(draw_(st.integers(0, 2)))]
    parts.append({**draw_(amounts), "where": draw_(st.one_of(st.just({}), conditions))})
    named = [{"name": f"p{n}", **part} for n, part in enumerate(parts)]
    budget = 1200 + draw_(st.integers(0, 900)) if any("weight" in part for part in parts) else None
    return mix_of(parts=named, caps=draw_(caps), tokens=budget)


@settings(max_examples=100)
@given(documents, mixes(), st.integers(1, 4), st.booleans(), st.sampled_from([3, 1 << 20]))
def test_a_mix_is_that_of_the_twin(docs: Docs, mix: Mix, shards: int, backwards: bool, bucket: int) -> None:
    """Copies, reasons and tokens are equal for hostile values, any cut into shards, any order of ranks and documents."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(mix_decide, "BUCKET_ROWS", bucket)
        try:
            made, out = make(docs[::-1] if backwards else docs, mix, Path(folder), shards, backwards)
        except RecipeError:  # parts by epochs hold more than the budget
            there = sum(d["tokens"] for d in docs)
            assert 3 * there + sum(p.tokens or 0 for p in mix.parts) >= (mix.tokens or 0)
            return
        taken, left = rows(out / "taken"), rows(out / "left_out")
    twin = naive_mix.draw(docs, mix, 7)

    assert Counter(row["id"] for row in taken) == twin.copies
    assert {row["id"]: row["reason"] for row in left} == twin.reasons
    assert [part["tokens"] for part in made["parts"]] == twin.tokens
    assert sorted((row["id"], row["copy"]) for row in taken) == sorted(
        (i, copy) for i, count in twin.copies.items() for copy in range(count)
    )
    assert len(twin.copies) + len(left) == len(docs) == made["documents"] + sum(made["left_out"].values())


@settings(max_examples=40)
@given(documents, mixes())
def test_no_budget_and_no_cap_is_passed(docs: Docs, mix: Mix) -> None:
    """By the rows of the mix alone: parts, hosts and epochs stay within their limits, and a full part lacks little."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            made, out = make(docs, mix, Path(folder))
        except RecipeError:
            return
        taken = rows(out / "taken")
    by_part = Counter[str]()
    for row in taken:
        by_part[row["part"]] += row["tokens"]

    for part, found in zip(mix.parts, made["parts"], strict=True):
        assert by_part[part.name] == found["tokens"]
        if part.epochs is None:
            assert found["tokens"] <= found["wanted"]["tokens"]
            lacks = found["wanted"]["tokens"] - found["tokens"]
            assert found["short"] == lacks or lacks <= max(d["tokens"] for d in docs)
    limits = cap_limits(mix, [p["wanted"]["tokens"] for p in made["parts"]], [p["tokens_there"] for p in made["parts"]])
    for cap, limit in zip(mix.caps, limits, strict=True):
        held = Counter[Any]()
        for row in taken:
            doc = {**row, "metadata": orjson.loads(row["metadata"] or "{}")}
            held[naive_mix.value(doc, cap.column)] += row["tokens"]
        assert all(count <= limit for one, count in held.items() if one is not None)


# --- what the draw rests on -------------------------------------------------------------------------------------------


def some(count: int, tokens: int = 10, **more: Any) -> Docs:
    return [{"id": f"d{n}", "tokens": tokens, "metadata": {}, **more} for n in range(count)]


def test_a_larger_budget_takes_what_a_smaller_one_takes(tmp_path: Path) -> None:
    """With one seed the mixes of a series are nested; with another they are others."""
    taken = {}
    for tokens, seed in ((200, 1), (500, 1), (200, 2)):
        mix = mix_of(seed=seed, parts=[{"name": "all", "tokens": tokens}])
        _, out = make(some(100), mix, tmp_path / f"{tokens}-{seed}")
        taken[tokens, seed] = {row["id"] for row in rows(out / "taken")}

    assert [len(ids) for ids in taken.values()] == [20, 50, 20]
    assert taken[200, 1] < taken[500, 1]
    assert taken[200, 1] != taken[200, 2]


def test_another_document_moves_no_other_of_an_epoch(tmp_path: Path) -> None:
    """By epochs each document is judged by its own digest."""
    mix = mix_of(parts=[{"name": "all", "epochs": 1.25}])
    copies = []
    for count in (60, 80):
        _, out = make(some(count), mix, tmp_path / str(count))
        copies.append(Counter(row["id"] for row in rows(out / "taken") if int(row["id"][1:]) < 60))

    assert copies[0] == copies[1]
    assert set(copies[0].values()) == {1, 2}
    assert sum(c == 2 for c in copies[0].values()) == sum(draw(7, f"d{n}") < 1 << 62 for n in range(60))


def test_what_a_part_lacks_is_told_and_not_refilled(tmp_path: Path) -> None:
    """A part ends at max_epochs, the others do not take its place, and shares say so."""
    docs = [*some(10, source="book"), *({**d, "id": f"w{d['id']}"} for d in some(100, source="web"))]
    books = {"name": "books", "where": {"source": "book"}, "weight": 1, "max_epochs": 2}
    web = {"name": "web", "where": {"source": "web"}, "weight": 1}
    made, _ = make(docs, mix_of(tokens=1000, parts=[books, web]), tmp_path)
    keys = ("documents", "copies", "tokens", "epochs", "share_wanted", "share_got", "short")

    assert [made["parts"][0][k] for k in keys] == [10, 20, 200, 2.0, 0.5, 0.285714, 300]
    assert [made["parts"][1][k] for k in keys] == [50, 50, 500, 0.5, 0.5, 0.714286, 0]
    assert (made["tokens_wanted"], made["tokens_got"], made["left_out"]) == (1000, 700, {"budget": 50})


def test_a_cap_makes_room_for_other_hosts(tmp_path: Path) -> None:
    """The budget is filled all the same, and the report says what the cap cut."""
    docs = [*some(80, host="big.org"), *({**d, "id": f"s{d['id']}", "host": None} for d in some(40))]
    part = [{"name": "all", "tokens": 400, "max_epochs": 1}]
    free, _ = make(docs, mix_of(parts=part), tmp_path / "free")
    made, out = make(docs, mix_of(parts=part, caps=[{"column": "host", "share": 0.25}]), tmp_path / "capped")
    held = Counter(row["host"] for row in rows(out / "taken"))

    assert (free["tokens_got"], made["tokens_got"], held) == (400, 400, {"big.org": 10, None: 30})
    assert made["caps"][0]["before"] > made["caps"][0]["after"] == 100
    left = [draw(7, row["id"]) for row in rows(out / "left_out")]
    end = min(
        draw(7, row["id"]) for row in rows(out / "left_out") if row["id"].startswith("s")
    )  # no cap is asked there
    late = sum(one >= end for one in left)
    assert made["left_out"] == {"budget": late, "cap:host": 80 - late}
    assert 0 < late < 80


def test_the_first_part_has_the_room_of_a_cap(tmp_path: Path) -> None:
    """Parts are filled in their order; a cap holds for all of them together."""
    docs = [{**d, "host": "a.org", "math_score": n / 20} for n, d in enumerate(some(20))]
    parts = [{"name": "best", "where": {"math_score": {"at_least": 0.5}}, "epochs": 1}, {"name": "rest", "epochs": 1}]
    made, _ = make(docs, mix_of(parts=parts, caps=[{"column": "host", "tokens": 130}]), tmp_path)

    assert [part["tokens"] for part in made["parts"]] == [100, 30]
    assert [part["short"] for part in made["parts"]] == [0, 70]


def test_many_capped_values_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    """The report names those that lost most, and how many more there are."""
    docs = [{**d, "host": f"h{n % 30:02d}.org", "tokens": 20 + n % 30} for n, d in enumerate(some(60))]
    mix = mix_of(parts=[{"name": "all", "epochs": 1}], caps=[{"column": "host", "tokens": 55}])
    made, _ = make(docs, mix, tmp_path)

    assert [(c["value"], c["before"], c["after"]) for c in made["caps"][:2]] == [
        ("h29.org", 98, 49),
        ("h28.org", 96, 48),
    ]
    assert (len(made["caps"]), made["more_caps"]) == (20, 2)


def test_an_empty_corpus_and_a_part_of_nobody(tmp_path: Path) -> None:
    """No document at all is no error, and the part is short of everything."""
    made, out = make([], mix_of(tokens=5, parts=[{"name": "all", "weight": 1}]), tmp_path)

    assert rows(out / "taken") == []
    assert made["parts"][0] | {"short": 5, "epochs": None, "tokens": 0, "share_got": 0.0} == made["parts"][0]


def test_a_document_without_tokens_is_named(tmp_path: Path) -> None:
    """Nothing is guessed where a document was not counted."""
    with pytest.raises(InputError, match=r"^document d1: its tokens are not counted; put `- stage: tokens` behind"):
        make([*some(1), {"id": "d1", "metadata": {}}], mix_of(parts=[{"name": "all", "epochs": 1}]), tmp_path)


def test_metadata_that_only_json_reads(tmp_path: Path) -> None:
    """NaN beside a key, and an array in the place of a mapping."""
    texts = ['{"a": NaN, "b": 2}', "[1]", None, '{"b": "x"}']

    assert values_of(pa.table({"metadata": texts}), ["metadata.b"]) == {"metadata.b": [2, None, None, "x"]}


def test_values_of_caps_as_text() -> None:
    """Equal numbers are one value, whatever they look like; a long value is told by its digest."""
    assert [written(v) for v in (2, 2.0, 2.5, True, "2", None, ["a"], float("inf"))] == [
        "2", "2", "2.5", "true", "2", None, None, "Infinity",
    ]  # fmt: skip
    long = [written("x" * 300), written("x" * 301)]
    assert len(set(long)) == 2
    assert all(one is not None and len(one) < 230 for one in long)


def test_weights_share_out_all_tokens() -> None:
    """To the last token, behind what has a budget of its own."""
    parts = [{"name": f"p{n}", "where": {"source": "web"}, "weight": 1} for n in range(3)]
    fixed = {"name": "books", "where": {"source": "book"}, "tokens": 30}
    mix = mix_of(tokens=130, parts=[fixed, *parts])

    assert tokens_wanted(mix, [0] * 4) == [30, 33, 33, 34]
    tenths = [{**part, "weight": weight} for part, weight in zip(parts, (0.3, 0.6, 0.1), strict=True)]
    assert tokens_wanted(mix_of(tokens=10**15, parts=tenths), [0] * 3) == [3 * 10**14, 6 * 10**14, 10**14]
    with pytest.raises(
        RecipeError, match=r"^mix 'm': its parts with epochs or tokens take 200 tokens, which leaves none of 130"
    ):
        tokens_wanted(mix_of(tokens=130, parts=[{**fixed, "tokens": None, "epochs": 2}, *parts]), [100, 1, 1, 1])


def test_values_that_are_spelled_alike_share_a_cap(tmp_path: Path) -> None:
    """2020 and "2020" are the same year for a cap, other than for `where`."""
    docs = [
        {"id": f"d{n}", "tokens": 10, "source": "web", "host": None, "metadata": {"year": 2020 if n % 2 else "2020"}}
        for n in range(12)
    ]
    mix = mix_of(parts=[{"name": "all", "epochs": 1}], caps=[{"column": "metadata.year", "tokens": 50}])
    made, _ = make(docs, mix, tmp_path)

    assert (made["tokens_got"], made["left_out"]) == (50, {"cap:metadata.year": 7})

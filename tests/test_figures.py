"""The figures of a report are counted from the datasets, whatever the build claims and however rows are cut."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from fake_build import DOCUMENTS, QUESTION, SCHEMAS, STAGES, Doc, doc, line, write_build, write_coverage

from filters.errors import InputError
from pipelines import dataset as ds
from pipelines.audit.evidence import side_by_side
from pipelines.audit.figures import figures, percent
from pipelines.audit.head import absent
from pipelines.audit.report import page


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build with every kind of removal."""
    root = write_build(tmp_path_factory.mktemp("build"), DOCUMENTS)
    write_coverage(root, "index-decontaminate-0", "need", {"aime": 0, "gsm8k": 2})
    return root


@pytest.fixture(scope="module")
def found(build: Path) -> dict[str, Any]:
    """Its figures, as JSON holds them."""
    parsed: dict[str, Any] = orjson.loads(orjson.dumps(figures(build)))
    return parsed


def at(bins: dict[int, int]) -> list[int]:
    return [bins.get(n, 0) for n in range(20)]


def test_the_figures_say_what_was_built(found: dict[str, Any], build: Path) -> None:
    """Name, key, engine, versions, digests; and one sentence for all."""
    data = {n: ds.Dataset.load(build / n) for n in SCHEMAS}

    own = [
        "verdict", "build", "funnel", "composition", "removed", "histograms", "duplicates", "contamination", "samples",
        "cost", "documents",
    ]  # fmt: skip
    assert list(found) == [*absent("build"), *own]
    assert found["verdict"] == "9 documents read, 3 kept (33 %), 6 removed; every document is accounted for."
    assert found["build"] == {
        "name": "fake",
        "key": "the-key",
        "engine": "inline",
        "versions": {"code": {"ingest": "ingest-1"}, "format": "f-1", "libraries": {"mathcorpus": "0.1.0"}},
        "documents": {"read": 9, "made": 0, "kept": 3, "removed": 6},
        "datasets": {n: {"rows": d.rows, "digest": d.digest, "content": d.content} for n, d in data.items()},
        "skipped": {"record:warcinfo": 1},
        "unread_files": {"count": 1, "first": ["pages/readme.docx"]},
        "stages": [{"name": s, "key": f"key-{s}"} for s in STAGES],
    }


def test_the_funnel_balances(found: dict[str, Any]) -> None:
    """In = kept + removed at every stage, and the ledger tells the same."""
    stages = {s["stage"]: (s["in"], s["kept"], s["removed"], s["reasons"]) for s in found["funnel"]["stages"]}

    assert stages == {
        "ingest": (9, 9, 0, []),
        "language": (9, 8, 1, [{"reason": "language:fr", "documents": 1}]),
        "quality": (8, 7, 1, [{"reason": "too_short", "documents": 1}]),
        "exact_dedup": (7, 6, 1, [{"reason": "exact_duplicate", "documents": 1}]),
        "minhash_dedup": (6, 4, 2, [{"reason": "near_duplicate", "documents": 2}]),
        "decontaminate": (4, 3, 1, [{"reason": "contaminated:gsm8k", "documents": 1}]),
        "tokens": (3, 3, 0, []),
    }
    assert found["funnel"]["balanced"] is True
    assert found["funnel"]["checks"][-2:] == [
        {"check": "documents read + made = corpus rows + ledger rows", "left": 9, "right": 9, "holds": True},
        {"check": "ledger rows = removed rows", "left": 6, "right": 6, "holds": True},
    ]


def test_a_build_whose_ledger_lacks_a_row_is_told_apart(tmp_path: Path) -> None:
    """The counts come from the rows that are there, not from the manifest alone."""
    write_build(tmp_path, DOCUMENTS)
    claimed = orjson.loads((tmp_path / "manifest.json").read_bytes())
    shutil.rmtree(tmp_path / "ledger")
    writer = ds.ShardWriter(tmp_path / "ledger", "00000.parquet", ds.LEDGER)
    writer.write({"id": "r1", "stage": "language", "reason": "language:fr", "score": 0.8, "origin": "o/r1"})
    ds.Dataset(tmp_path / "ledger", (writer.commit(),), "key").save(ds.LEDGER)
    ds.write_json(tmp_path / "manifest.json", claimed)

    found = figures(tmp_path)

    wrong = [(c["check"], c["left"], c["right"]) for c in found["funnel"]["checks"] if not c["holds"]]
    assert wrong == [
        ("quality: removed = ledger rows of the same reasons", 1, 0),
        ("exact_dedup: removed = ledger rows of the same reasons", 1, 0),
        ("minhash_dedup: removed = ledger rows of the same reasons", 2, 0),
        ("decontaminate: removed = ledger rows of the same reasons", 1, 0),
        ("documents read + made = corpus rows + ledger rows", 9, 4),
        ("ledger rows = removed rows", 1, 6),
    ]
    assert found["verdict"] == "9 documents read, 3 kept (33 %), 6 removed; 6 of 22 checks do not hold."
    assert '<p class="verdict bad">' in page(found)


def test_the_composition_counts_documents_tokens_and_characters(found: dict[str, Any]) -> None:
    """By source, language, both, host and licence, with documents of each; what is not given is null."""
    big = 1 << 21

    assert found["composition"] == {
        "total": {"documents": 3, "tokens": 3 + big, "characters": 9},
        "by_source": [
            {"source": "web", "documents": 2, "tokens": 3, "characters": 8, "shown": ["k1", "k2"]},
            {"source": "book", "documents": 1, "tokens": big, "characters": 1, "shown": ["k3"]},
        ],
        "by_language": [
            {"language": "en", "documents": 2, "tokens": 3, "characters": 8, "shown": ["k1", "k2"]},
            {"language": "zh", "documents": 1, "tokens": big, "characters": 1, "shown": ["k3"]},
        ],
        "by_source_language": [
            {"source": "web", "language": "en", "documents": 2, "tokens": 3, "characters": 8, "shown": ["k1", "k2"]},
            {"source": "book", "language": "zh", "documents": 1, "tokens": big, "characters": 1, "shown": ["k3"]},
        ],
        "by_host": [
            {"host": "a.org", "documents": 1, "tokens": 2, "characters": 5, "shown": ["k1"]},
            {"host": "b.org", "documents": 1, "tokens": 1, "characters": 3, "shown": ["k2"]},
        ],
        "other_hosts": {"hosts": 0, "documents": 0, "tokens": 0, "characters": 0},
        "by_licence": [
            {"licence": None, "documents": 2, "tokens": 3, "characters": 8, "shown": ["k1", "k2"]},
            {"licence": "CC0", "documents": 1, "tokens": big, "characters": 1, "shown": ["k3"]},
        ],
    }


def test_reasons_name_the_documents_that_stand_for_them(found: dict[str, Any]) -> None:
    """Most documents first, then by stage."""
    assert found["removed"] == [
        {"stage": "minhash_dedup", "reason": "near_duplicate", "documents": 2, "shown": ["r4", "r5"]},
        {"stage": "decontaminate", "reason": "contaminated:gsm8k", "documents": 1, "shown": ["r6"]},
        {"stage": "exact_dedup", "reason": "exact_duplicate", "documents": 1, "shown": ["r3"]},
        {"stage": "language", "reason": "language:fr", "documents": 1, "shown": ["r1"]},
        {"stage": "quality", "reason": "too_short", "documents": 1, "shown": ["r2"]},
    ]


def test_documents_behind_the_figures_stand_once_with_their_fate(found: dict[str, Any]) -> None:
    """Whatever names one, its text is in the report once; a removed one has its reason and its evidence."""
    documents = found["documents"]

    assert list(documents) == ["k1", "k2", "k3", "r1", "r2", "r3", "r4", "r5", "r6"]
    assert documents["k3"] == {
        "id": "k3", "url": None, "origin": "o/k3", "source": "book", "language": "zh", "licence": "CC0",
        "math_score": None, "quality_score": None, "language_score": None, "tokens": 1 << 21, "text": "三",
        "kept": True, "removed": [],
    }  # fmt: skip
    assert (documents["r2"]["kept"], documents["r2"]["removed"]) == (
        False,
        [{"stage": "quality", "reason": "too_short", "score": 1.0,
          "evidence": [{"rule": "too_short", "value": 1, "limit": 40}]}],
    )  # fmt: skip
    assert documents["r5"]["removed"][0]["evidence"] == [{"kept": "r6", "similarity": 0.8}]


def test_personal_data_is_masked_wherever_a_text_is_shown(tmp_path: Path) -> None:
    """In documents, addresses, clusters and side by side, also where the cut would go through it."""
    mail, cut = "write to jane.doe@uni-bonn.de now", f"{'x ' * 195}jane.doe@uni-bonn.de"
    rule = [{"rule": "log_lines", "first": mail}]
    found = line("r1", "gsm8k", 0, 1.0, doc_text=mail, item_text="write to whom")
    docs = [
        doc("k1", mail, url="https://x.org/mail jane.doe@uni-bonn.de", tokens=1),
        doc("k2", cut, tokens=1),
        doc("r1", mail, stage="decontaminate", reason="contaminated:gsm8k", evidence=[found]),
        doc("r3", mail, stage="quality", reason="log_lines", evidence=rule),
        doc("r2", mail, stage="exact_dedup", reason="exact_duplicate", evidence=[{"kept": "k1"}]),
    ]
    told = figures(write_build(tmp_path, docs))

    assert "jane" not in orjson.dumps(told).decode()
    assert [told["documents"][i]["text"] for i in ("k1", "r1", "r2")] == ["write to [email] now"] * 3
    assert told["duplicates"]["clusters"][0]["text"] == "write to [email] now"
    assert told["documents"]["k1"]["url"] == "https://x.org/mail [email]"


def test_an_id_that_came_twice_is_kept_and_removed(tmp_path: Path) -> None:
    """Its entry says both, and its text is that of the corpus."""
    again = doc("k1", "again", stage="exact_dedup", reason="duplicate_id", score=1.0)
    one = figures(write_build(tmp_path, [doc("k1", "first"), again]))["documents"]["k1"]

    assert (one["text"], one["kept"], one["removed"]) == (
        "first",
        True,
        [{"stage": "exact_dedup", "reason": "duplicate_id", "score": 1.0, "evidence": []}],
    )


def test_histograms_count_each_score_where_there_is_one(found: dict[str, Any]) -> None:
    """0.35, which float32 stores as less, is in the bin from 0.35; what is beyond the last edge is in the last bin."""
    shares = [n / 20 for n in range(21)]
    found = {name: {part: h[part] for part in ("edges", "kept", "removed")} for name, h in found["histograms"].items()}

    assert found == {
        "math_score": {"edges": shares, "kept": at({7: 1}), "removed": at({})},
        "quality_score": {"edges": shares, "kept": at({10: 1}), "removed": at({})},
        "language_score": {"edges": shares, "kept": at({19: 1}), "removed": at({16: 1})},
        "tokens": {"edges": [2.0**n for n in range(21)], "kept": at({0: 1, 1: 1, 19: 1}), "removed": at({})},
    }


def test_bins_of_histograms_name_their_documents(found: dict[str, Any]) -> None:
    """Of those that were kept and of those that were removed, in the bins where they are counted."""
    shown = {
        (name, part, place): ids
        for name, histogram in found["histograms"].items()
        for part, bins in histogram["shown"].items()
        for place, ids in enumerate(bins)
        if ids
    }

    assert shown == {
        ("math_score", "kept", 7): ["k1"],
        ("quality_score", "kept", 10): ["k1"],
        ("language_score", "kept", 19): ["k1"],
        ("language_score", "removed", 16): ["r1"],
        ("tokens", "kept", 0): ["k2"],
        ("tokens", "kept", 1): ["k1"],
        ("tokens", "kept", 19): ["k3"],
    }


def test_clusters_show_the_kept_document_beside_the_removed(found: dict[str, Any]) -> None:
    """A document that was kept by one stage and removed by a later one is said to be so."""
    expected = {
        "removed": {"near_duplicate": 2, "exact_duplicate": 1},
        "clusters": [
            {"kept": "k1", "documents": 2, "exact": 1, "near": 1, "removed_by": None, "url": None, "origin": "o/k1",
             "text": "one α", "members": [
                {"id": "r3", "stage": "exact_dedup", "similarity": None, "url": None, "origin": "o/r3", "text": "one α", "marked": [["one α", True]]},
                {"id": "r4", "stage": "minhash_dedup", "similarity": 0.9, "url": None, "origin": "o/r4", "text": "one β", "marked": [["one", True], [" β", False]]},
            ]},
            {"kept": "r6", "documents": 1, "exact": 0, "near": 1, "removed_by": "decontaminate: contaminated:gsm8k",
             "url": None, "origin": "o/r6", "text": "Tom had 3 apples", "members": [
                {"id": "r5", "stage": "minhash_dedup", "similarity": 0.8, "url": None, "origin": "o/r5", "text": "Tom", "marked": [["Tom", True]]},
            ]},
        ],
        "clusters_left_out": 0,
    }  # fmt: skip

    assert expected == found["duplicates"]


def test_contamination_stands_beside_what_the_rule_can_protect(found: dict[str, Any]) -> None:
    """Documents, items and lines by benchmark; a document that was kept is only counted."""
    contamination = dict(found["contamination"])
    pairs = contamination.pop("pairs")

    assert contamination == {
        "documents": 1,
        "reported": 1,
        "reported_classes": {"exact": 1},
        "reported_shown": {"exact": ["k2"]},
        "lines": 3,
        "lines_left_out": 9,
        "classes": {"exact": 3},
        "benchmarks": [
            {"benchmark": "aime", "split": "test", "items": 10, "protected": 10, "unprotected": 0, "documents": 0,
             "items_hit": 0, "lcs": at({}), "shown": []},
            {"benchmark": "gsm8k", "split": "test", "items": 10, "protected": 8, "unprotected": 2, "documents": 1,
             "items_hit": 2, "lcs": at({19: 2}), "shown": ["r6"]},
            {"benchmark": "math", "split": "test", "items": None, "protected": None, "unprotected": None, "documents": 1,
             "items_hit": 1, "lcs": at({14: 1}), "shown": ["r6"]},
        ],
        "lcs_edges": [n / 20 for n in range(21)],
        "pairs_left_out": 0,
    }  # fmt: skip
    assert [(p["benchmark"], p["item"], p["lcs"]) for p in pairs] == [
        ("gsm8k", 0, 1.0),
        ("gsm8k", 4, 0.95),
        ("math", 5, 0.7),
    ]
    assert pairs[0] == {
        "doc_id": "r6", "origin": "o/r6", "benchmark": "gsm8k", "split": "test", "item": 0, "field": "question",
        "class": "exact", "lcs": 1.0, "ngrams": 2, "span": [0, 9],
        "doc_text": [["Tom", True], [" had ", False], ["3 apples", True]],
        "item_text": [["Tom", True], [" has ", False], ["3 apples", True], [QUESTION[16:], False]],
    }  # fmt: skip


def test_the_coverage_is_that_of_the_index_which_the_build_used(tmp_path: Path) -> None:
    """work/ may hold indexes of earlier recipes; a manifest that names its need tells which is its own."""
    write_build(tmp_path, [])
    write_coverage(tmp_path, "index-decontaminate-1", "mine", {"gsm8k": 1})
    write_coverage(tmp_path, "index-decontaminate-2", "stale", {"old": 5})
    about = orjson.loads((tmp_path / "manifest.json").read_bytes())
    about["stages"][5]["need"] = "mine"
    ds.write_json(tmp_path / "manifest.json", about)

    assert [b["benchmark"] for b in figures(tmp_path)["contamination"]["benchmarks"]] == ["gsm8k"]


def test_samples_and_cost(found: dict[str, Any]) -> None:
    """Documents of the corpus by source and language; times and memory under one key."""
    assert found["samples"] == [
        {"source": "book", "language": "zh", "documents": 1, "shown": ["k3"]},
        {"source": "web", "language": "en", "documents": 2, "shown": ["k1", "k2"]},
    ]
    assert found["cost"] == {
        "seconds": 3.25,
        "passes": [
            {"kind": "map", "stages": [s], "wall_s": 1.5, "cpu_s": 2.5, "peak_rss_mb": 300}
            for s in ("ingest", "tokens")
        ],
        "stages_cpu_s": [{"stage": "ingest", "cpu_s": 2.0}, {"stage": "tokens", "cpu_s": 0.5}],
        "peak_rss_mb": 300,
    }


def many() -> list[Doc]:
    """2,500 documents of 60 hosts: kept, removed for 120 reasons, and 30 clusters of duplicates."""
    docs = []
    for n in range(2500):
        name = ds.document_id(f"o/{n}")
        if n < 900:
            docs.append(doc(name, f"text {n}", host=f"h{n % 60}.org", language="en", tokens=n, math_score=n / 900))
        elif n < 1500:
            docs.append(doc(name, f"text {n}", stage="ingest", reason=f"not_html:type/{n % 120}"))
        else:
            kept = ds.document_id(f"o/{n % 30}")
            line = {"kept": kept, "similarity": 0.8}
            docs.append(doc(name, f"text {n}", stage="minhash_dedup", reason="near_duplicate", evidence=[line]))
    return docs


def test_figures_do_not_depend_on_how_rows_are_cut_into_shards(tmp_path: Path) -> None:
    """Samples, clusters and counts are the same for one shard of several row groups and for seven small ones."""
    docs = many()
    one, seven = (figures(write_build(tmp_path / str(n), docs, n)) for n in (1, 7))
    for found in (one, seven):
        found["build"].pop("datasets")

    assert one == seven
    kept = sorted(docs[:900], key=lambda d: d["id"])[:10]
    texts = [(i, one["documents"][i]["text"]) for i in one["samples"][0]["shown"]]
    assert texts == [(d["id"], d["text"]) for d in kept]
    first = min((d for d in docs[:900] if d["host"] == "h10.org"), key=lambda d: d["id"])
    assert next(h["shown"][0] for h in one["composition"]["by_host"] if h["host"] == "h10.org") == first["id"]
    assert (len(one["composition"]["by_host"]), one["composition"]["other_hosts"]["documents"]) == (50, 150)
    assert [len(r["shown"]) for r in one["removed"]] == [5] * 100 + [0] * 21
    assert len(one["duplicates"]["clusters"]) == 20
    assert one["duplicates"]["clusters_left_out"] == 10
    cluster = one["duplicates"]["clusters"][0]
    own = docs[int(cluster["text"].removeprefix("text "))]
    assert (own["id"], cluster["documents"]) == (cluster["kept"], 34)
    members = sorted(d["id"] for d in docs[1500:] if d["evidence"][0]["kept"] == own["id"])[:3]
    assert [m["id"] for m in cluster["members"]] == members


def test_a_folder_without_a_build_is_named(tmp_path: Path) -> None:
    """One line that says what is missing."""
    with pytest.raises(InputError, match="no finished build here"):
        figures(tmp_path)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 0, "0 %"), (0, 9, "0 %"), (9, 9, "100 %"), (1, 3, "33 %"), (1, 250, "0.4 %"), (1, 9999, "< 0.1 %"),
     (9998, 9999, "> 99.9 %"), (995, 1000, "99.5 %")],
)  # fmt: skip
def test_only_nothing_is_0_percent_and_only_all_is_100(part: int, whole: int, expected: str) -> None:
    """Rounding hides neither the last document nor the first."""
    assert percent(part, whole) == expected


def test_common_tokens_are_marked_on_both_sides() -> None:
    """The tokens are those of the decontamination: commands, numbers, single Chinese characters, case folded."""
    left, right = side_by_side(r"已知 X = \dfrac{1}{2}，求 y。", r"已知 x=\frac 1 2, 则 y")

    assert left == [("已知 X = \\dfrac{1}{2", True), ("}，求 ", False), ("y", True), ("。", False)]
    assert right == [("已知 x=\\frac 1 2", True), (", 则 ", False), ("y", True)]
    assert side_by_side("", "a") == ([], [("a", False)])

"""`mathcorpus dedup`: what goes, what it goes for, and that adding a crawl answers as one run over both."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_cli import run

WORDS = (
    "let prove that the sum of all divisors is equal to a number when n prime and even for every integer in set".split()
)


def row(number: int, *, rng: random.Random, **more: Any) -> dict[str, Any]:
    """A row of some 300 words that no other row has."""
    words = [f"{rng.choice(WORDS)}{rng.randrange(9)}" for _ in range(300)]
    return {"id": f"d{number:04d}", "text": " ".join(words), **more}


def changed(one: dict[str, Any], words: int, name: str, at: int = 20) -> dict[str, Any]:
    """The row with some words in a run replaced."""
    text = one["text"].split()
    text[at : at + words] = [f"{name}{n}" for n in range(words)]
    return {**one, "id": name, "text": " ".join(text)}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in rows))
    return path


def ids(folder: Path) -> list[str]:
    return [orjson.loads(line)["id"] for path in sorted(folder.rglob("*.jsonl")) for line in path.open("rb")]


def dedup(*args: Any) -> dict[str, Any]:
    code, told, error = run("dedup", *args, "--json")

    assert code == 0, error
    return json.loads(told)


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    rng = random.Random(3)
    made = [row(n, rng=rng, url=f"https://example.org/{n}") for n in range(30)]
    return [
        *made,
        changed(made[0], 3, "near") | {"url": None},
        {**made[1], "id": "equal", "text": made[1]["text"].upper() + " !"},
        {**row(90, rng=rng), "id": "later", "url": "http://www.example.org/2/?utm_source=x#top"},
        {
            "id": "s1",
            "text": "Tom has 3 + 4 apples and gives 2 of them to Ann . How many are left for him at the end ?",
        },
        {
            "id": "s2",
            "text": "Tom has 9 + 4 apples and gives 5 of them to Ann . How many are left for him at the end ?",
        },
        {"id": "empty", "text": ""},
    ]


def test_what_goes_and_what_it_goes_for(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Equal text, equal address and a near duplicate go; siblings, empty rows and what is no JSON stay and are counted."""
    source = write(tmp_path / "in" / "a.jsonl", rows)
    with source.open("ab") as file:
        file.write(b"not json\n")
    report = dedup(source, "--out", tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "clusters.parquet").to_pylist()
    went = {one["id"]: (one["kind"], one["kept"]) for one in table if one["kept"]}

    assert went == {"near": ("near", "d0000"), "equal": ("exact", "d0001"), "later": ("url", "d0002")}
    assert {one["id"] for one in table if one["kind"] == "sibling"} == {"s1", "s2"}
    assert report["documents"] == {"read": 37, "kept": 34, "removed": 3, "compared": 36}
    assert report["bad_rows"] == {"empty": 1, "not_json": 1}
    kept = (tmp_path / "out" / "kept" / "a.jsonl").read_bytes()
    assert kept.endswith(b"not json\n")
    assert sorted(ids(tmp_path / "out" / "removed")) == sorted(went)


def test_siblings_can_be_duplicates(tmp_path: Path) -> None:
    """Texts with other numbers alone stay, unless the caller says otherwise; longer ones are duplicates anyway."""
    text = " ".join(f"{word}{'abcdefgh'[n % 8]} {n}" for n, word in enumerate(WORDS * 4))
    pair = [{"id": "a", "text": f"{text} 5 end"}, {"id": "b", "text": f"{text} 6 end"}]
    source = write(tmp_path / "a.jsonl", pair)

    assert dedup(source)["documents"]["removed"] == 0
    assert dedup(source)["near"]["sibling_pairs"] == 1
    assert dedup(source, "--sibling-tokens", 0)["documents"]["removed"] == 1


def test_the_estimate_can_be_the_proof(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Signatures in the place of shingles: less on disk, the same pair."""
    source = write(tmp_path / "a.jsonl", rows)
    dedup(source, "--proof", "signature", "--out", tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "clusters.parquet").to_pylist()

    assert [one["kept"] for one in table if one["id"] == "near"] == ["d0000"]
    assert {
        len(proof) for proof in pq.read_table(tmp_path / "out" / "signatures" / "000000.parquet")["proof"].to_pylist()
    } == {448}


def test_priority_then_quality_then_id(tmp_path: Path) -> None:
    """Of equal rows that of the first input stays, whatever its name, then the best, then the least id."""
    text = {"text": "the same words in every row of these files"}
    first = write(tmp_path / "z.jsonl", [{**text, "id": "z", "quality_score": 0.1}])
    rest = write(
        tmp_path / "a.jsonl", [{**text, "id": i, "quality_score": q} for i, q in (("a", 0.2), ("c", 0.9), ("b", 0.9))]
    )
    dedup(first, rest, "--out", tmp_path / "one")
    dedup(rest, "--out", tmp_path / "two")

    assert ids(tmp_path / "one" / "kept") == ["z"]
    assert ids(tmp_path / "two" / "kept") == ["b"]


def test_formats_stay(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Parquet, gzip and plain lines give the same rows, in the format that they came in."""
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    (tmp_path / "g.jsonl.gz").write_bytes(gzip.compress(b"".join(orjson.dumps(one) + b"\n" for one in rows)))
    plain = write(tmp_path / "l.jsonl", rows)
    for source in (tmp_path / "p.parquet", tmp_path / "g.jsonl.gz", plain):
        dedup(source, "--out", tmp_path / source.name.replace(".", "-"))
    kept = pq.read_table(tmp_path / "p-parquet" / "kept" / "p.parquet")["id"].to_pylist()

    assert kept == ids(tmp_path / "l-jsonl" / "kept")
    lines = gzip.decompress((tmp_path / "g-jsonl-gz" / "kept" / "g.jsonl.gz").read_bytes()).splitlines()
    assert [orjson.loads(line)["id"] for line in lines] == kept


def crawl(seed: int, count: int) -> list[dict[str, Any]]:
    """Rows with copies, near copies and chains of them, in any order."""
    rng = random.Random(seed)
    made = [row(n, rng=random.Random(n)) for n in range(count)]
    for n in range(count):
        one = rng.choice(made)
        made.append(changed(one, rng.choice([0, 2, 12, 20, 60]), f"c{seed}-{n:04d}", rng.randrange(240)))
    for number, one in enumerate(made):
        one["id"] = f"{rng.randrange(1 << 30):09d}-{seed}-{number}"
    return rng.sample(made, len(made))


@pytest.mark.parametrize("cap", [1, 50])
def test_adding_a_crawl_is_one_run_over_both(tmp_path: Path, cap: int) -> None:
    """The rows that stay of the second crawl are the same, and those of the first are not touched."""
    first, second = write(tmp_path / "1.jsonl", crawl(1, 40)), write(tmp_path / "2.jsonl", crawl(2, 50))
    options = ("--band-cap", cap, "--band-hubs", 1)
    one = dedup(first, *options, "--out", tmp_path / "first")
    two = dedup(second, *options, "--against", tmp_path / "first", "--out", tmp_path / "second")
    both = dedup(first, second, *options, "--out", tmp_path / "both")

    assert two["documents"]["removed"] > 40
    assert ids(tmp_path / "both" / "kept") == ids(tmp_path / "first" / "kept") + ids(tmp_path / "second" / "kept")
    assert Counter(both["reasons"]) == Counter(one["reasons"]) + Counter(two["reasons"])


def test_a_third_crawl_is_compared_with_both(tmp_path: Path) -> None:
    """Folders are given in their order, and what the second left out is known, too."""
    paths = [write(tmp_path / f"{n}.jsonl", crawl(n, 25)) for n in (1, 2, 3)]
    dedup(paths[0], "--out", tmp_path / "o1")
    dedup(paths[1], "--against", tmp_path / "o1", "--out", tmp_path / "o2")
    dedup(paths[2], "--against", tmp_path / "o1", "--against", tmp_path / "o2", "--out", tmp_path / "o3")
    dedup(*paths, "--out", tmp_path / "all")

    assert ids(tmp_path / "all" / "kept") == [i for n in (1, 2, 3) for i in ids(tmp_path / f"o{n}" / "kept")]


def test_workers_and_cuts_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process or two, one part of a file or many: the same bytes."""
    source = write(tmp_path / "a.jsonl", crawl(5, 60))
    dedup(source, "--out", tmp_path / "one", "--workers", 1)
    monkeypatch.setattr("pipelines.row_files.PLAIN_BYTES", 1 << 15)
    dedup(source, "--out", tmp_path / "many", "--workers", 2)

    for name in ("kept/a.jsonl", "removed/a.jsonl", "clusters.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ("--against", "nowhere"),
            "--against nowhere: holds no signatures; give a folder that `mathcorpus dedup` wrote",
        ),
        (("--threshold", "2"), "Invalid value for '--threshold'"),
        (("--field", "body"), "no row has a text in 'body'; they have id, text, url; name one with --field"),
        (("--bands", "0"), "Invalid value for '--bands'"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, rows: list[dict[str, Any]], args: tuple[str, ...], said: str) -> None:
    """What is wrong, where, and how to mend it; exit code 2."""
    code, _, error = run("dedup", write(tmp_path / "a.jsonl", rows), *args)

    assert code == 2
    assert said in error
    assert error.count("\n") == 1


def test_other_parameters_cannot_be_compared(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Signatures of other bands say so, and a file that was changed is found out."""
    source = write(tmp_path / "a.jsonl", rows)
    dedup(source, "--out", tmp_path / "old")
    code, _, error = run("dedup", source, "--against", tmp_path / "old", "--bands", 10)
    assert (code, "made with bands 14, not 10; use the same for both" in error) == (2, True)
    fates = tmp_path / "old" / "signatures" / "fates.parquet"
    fates.write_bytes(fates.read_bytes()[:-1] + b"x")
    code, _, error = run("dedup", source, "--against", tmp_path / "old")

    assert (code, "is not the file that was saved" in error) == (2, True)


def test_the_report_marks_what_is_the_same(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """The page shows the largest clusters, and hostile text is inert."""
    rows[0]["text"] += " <script>alert(1)</script>"
    rows[30]["text"] += " <script>alert(1)</script>"
    dedup(write(tmp_path / "a.jsonl", rows), "--out", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()

    assert "<mark>" in page
    assert page.count("<script") == 1  # ours, which sorts tables
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page

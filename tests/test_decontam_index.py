"""Benchmark files become items, and items an index that is one file, the same for the same items."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decontam.benchmarks import Item, benchmark_files, load_benchmarks
from decontam.index import TABLES, Coverage, Index, build_index, load_index
from decontam.segments import ARRAYS
from decontam.step import open_index
from filters.errors import InputError, OutputError, UsageError

LONG = "Natalia sold clips to forty eight of her friends in April and then half as many in May"
SHORT = "Simplify the fraction"


def write_rows(path: Path, *rows: object) -> Path:
    """The file at `path` with one JSON value a line, gzipped if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    ("row", "question", "solutions"),
    [
        ({"question": "q", "answer": "a"}, "q", ["a"]),
        ({"problem": "q", "solution": "s", "answer": "a"}, "q", ["s"]),
        ({"Body": "b", "Question": "q", "Answer": 145.0}, "b q", []),
        ({"body": "b", "question": "q", "answer": "9 (apples)"}, "b q", ["9 (apples)"]),
        ({"input": "q", "target": 43.0}, "q", []),
        ({"content": "q", "answer": "a", "steps": "s"}, "q", ["s"]),
        ({"question": "q", "options": ["A)1"], "rationale": "r", "correct": "A"}, "q", ["r"]),
        ({"informal_statement": "q", "informal_proof": "s"}, "q", ["s"]),
        ({"messages": [{"role": "user", "content": "q"}], "answer": "18"}, "q", ["18"]),
        ({"question": "q", "solution": ["s1", "s2"], "final_answer": ["2"]}, "q", ["s1", "s2"]),
        ({"question": "q", "choices": ["x", "y"], "answer": 1}, "q", []),
    ],
)
def test_usual_field_names_are_found(
    tmp_path: Path, row: dict[str, object], question: str, solutions: list[str]
) -> None:
    """The names that published benchmarks use need no mapping; a solution counts only where it is a text."""
    path = write_rows(tmp_path / "set" / "test.jsonl", row)

    items = load_benchmarks([path])

    expected = [Item("set", "test", 0, "question", question)]
    expected += [Item("set", "test", 0, "solution", text) for text in solutions]
    assert expected == items


def test_a_field_mapping_replaces_the_names(tmp_path: Path) -> None:
    """The mapping of one field leaves the other one's defaults alone, and can join and reach inside."""
    row = {"question": "not this", "stem": "a", "extra": {"part": ["b"]}, "answer": "c"}
    path = write_rows(tmp_path / "set" / "test.jsonl", row)

    items = load_benchmarks([path], {"question": ["missing", "stem+extra.part[0]"]})

    assert [(i.field, i.text) for i in items] == [("question", "a b"), ("solution", "c")]


def test_a_folder_stands_for_its_sets_but_not_for_train(tmp_path: Path) -> None:
    """A folder gives all splits of all its sets but `train`; a file that is named is always read."""
    write_rows(tmp_path / "b" / "test.jsonl", {"question": "b"})
    write_rows(tmp_path / "a" / "test500.jsonl.gz", {"question": "a"})
    train = write_rows(tmp_path / "a" / "train.jsonl.gz", {"question": "t"})
    write_rows(tmp_path / "a" / "train-00000-of-00002.jsonl", {"question": "t"})
    (tmp_path / "README.md").write_text("not a benchmark")

    assert [(i.benchmark, i.split) for i in load_benchmarks([tmp_path])] == [("a", "test500"), ("b", "test")]
    assert [(i.benchmark, i.split) for i in load_benchmarks([tmp_path / "a"])] == [("a", "test500")]
    assert [(i.benchmark, i.split) for i in load_benchmarks([train])] == [("a", "train")]


def test_a_file_named_twice_is_read_once_and_paths_may_come_in_any_order(tmp_path: Path) -> None:
    """The list of files, and so the index, does not depend on how the paths were given."""
    a = write_rows(tmp_path / "a" / "test.jsonl", {"question": "a"})
    b = write_rows(tmp_path / "b" / "test.jsonl", {"question": "b"})

    assert [a, b] == benchmark_files([b, tmp_path, a]) == benchmark_files([tmp_path])


def test_a_parquet_file_is_read(tmp_path: Path) -> None:
    """A Parquet file gives the same items as JSON lines."""
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table({"problem": ["p", "q"]}), tmp_path / "set" / "test.parquet")

    items = load_benchmarks([tmp_path / "set" / "test.parquet"])

    assert [(i.row, i.text) for i in items] == [(0, "p"), (1, "q")]


def test_rows_are_line_numbers_and_a_row_without_question_is_counted(tmp_path: Path) -> None:
    """Blank lines keep their number; a row whose question is null is an item that nothing protects."""
    path = write_rows(tmp_path / "set" / "test.jsonl", {"question": LONG}, {"question": None})
    path.write_text("\n" + path.read_text())

    items = load_benchmarks([path])

    assert [(i.row, i.text) for i in items] == [(1, LONG), (2, "")]
    assert [Coverage("set", "test", 2, 1, 1, exact=1, short=0, near=1)] == build_index(items).coverage()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ('{"question": "q"}\n{"question": \n', "line 2: not JSON"),
        ('["q"]\n', "line 1: expected a JSON object, found list"),
        ('{"stem": "q", "key": "B"}\n', "it has stem, key: say which one holds the question"),
    ],
)
def test_a_file_that_is_no_benchmark_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    """The error names the file, the line or the fields, in one line."""
    path = tmp_path / "set" / "test.jsonl"
    path.parent.mkdir()
    path.write_text(content)

    with pytest.raises(InputError, match=message) as caught:
        load_benchmarks([path])

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_that_stand_for_nothing_are_errors(tmp_path: Path) -> None:
    """A missing path, an empty folder, a foreign suffix, a damaged archive and a doubled set are refused."""
    with pytest.raises(InputError, match="no such benchmark"):
        load_benchmarks([tmp_path / "missing"])
    with pytest.raises(InputError, match="holds no benchmark file"):
        load_benchmarks([tmp_path])
    write_rows(tmp_path / "only" / "train.jsonl", {"question": "q"})
    with pytest.raises(InputError, match="only train splits"):
        load_benchmarks([tmp_path])
    (tmp_path / "set.csv").write_text("question\nq\n")
    with pytest.raises(InputError, match=r"expected \.jsonl"):
        load_benchmarks([tmp_path / "set.csv"])
    damaged = write_rows(tmp_path / "set" / "test.jsonl.gz", {"question": "q"})
    damaged.write_bytes(damaged.read_bytes()[:-12])
    with pytest.raises(InputError, match="cannot read"):
        load_benchmarks([damaged])
    write_rows(damaged, {"question": "q"})
    write_rows(tmp_path / "set" / "test.jsonl", {"question": "q"})
    with pytest.raises(InputError, match="both set/test"):
        load_benchmarks([tmp_path / "set"])


@pytest.mark.parametrize("fields", [{"questions": ["q"]}, {"question": "q"}, {"question": []}])
def test_a_field_mapping_that_makes_no_sense_is_refused(tmp_path: Path, fields: dict[str, list[str]]) -> None:
    """An unknown field, a bare string and an empty list are wrong use, not an empty index."""
    path = write_rows(tmp_path / "set" / "test.jsonl", {"question": "q"})

    with pytest.raises(UsageError):
        load_benchmarks([path], fields)


def items_of(*texts: str) -> list[Item]:
    """One question for each text."""
    return [Item("set", "test", row, "question", text) for row, text in enumerate(texts)]


def test_every_posting_of_an_ngram_is_kept() -> None:
    """An n-gram of two items, twice in one of them, has three postings."""
    index = build_index(items_of("a b c", "x a b c a b c"), ngram=3)

    table = index.segments[0].tables["exact"]
    gram = int(np.flatnonzero(np.diff(table.posting_offsets) == 3)[0])
    postings = slice(table.posting_offsets[gram], table.posting_offsets[gram + 1])

    assert table.posting_items[postings].tolist() == [0, 1, 1]
    assert table.posting_tokens[postings].tolist() == [0, 1, 4]
    assert len(table.ngrams) == 4


def test_coverage_counts_questions_by_the_rule_that_protects_them() -> None:
    """Thirteen tokens own an anchor, twelve and three match as a whole, numbers and two words do not."""
    words = "one two three four five six seven eight nine ten eleven twelve thirteen".split()
    items = items_of(" ".join(words[:12]), " ".join(words), "1 2 3 4", "two words", "")
    items.append(Item("set", "test", 0, "solution", LONG))
    items.append(Item("other", "dev", 0, "question", SHORT))

    index = build_index(items)

    assert [
        Coverage("other", "dev", 1, 1, 0, exact=0, short=1, near=0),
        Coverage("set", "test", 5, 2, 3, exact=1, short=1, near=2),
    ] == index.coverage()
    assert ["1 2 3 4", "two words", ""] == [item.text for item in index.unprotected()]


def test_a_saved_index_is_the_same_index(tmp_path: Path) -> None:
    """Loading gives back items, arrays and digest; a lone surrogate in a text or a name survives."""
    items = [*items_of(LONG, SHORT, "九章算术", ""), Item("s\udc80", "t", 7, "solution", "a \ud800 b")]
    index = build_index(items)
    index.save(tmp_path / "index")

    loaded = load_index(tmp_path / "index", check=True)

    assert sorted(items) == list(index.items) == list(loaded.items)
    assert index.digest == loaded.digest
    (made,), (read,) = index.segments, loaded.segments
    assert made.head() == read.head()
    for name in ARRAYS:
        assert made.array(name).tolist() == read.array(name).tolist()
        assert not made.array(name).flags.writeable
        assert not read.array(name).flags.writeable
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


def test_items_are_a_sequence() -> None:
    """They have a length, come one by one, and end where they end."""
    items = build_index(items_of("a", "b", "c")).items

    assert [items[number].text for number in (0, 2, -1)] == ["a", "c", "c"]
    assert len(items) == 3
    for number in (3, -4):
        with pytest.raises(IndexError):
            items[number]


def test_opening_an_index_reads_almost_nothing(tmp_path: Path) -> None:
    """Neither items nor arrays become objects: a few kilobytes are allocated, whatever the size of the file."""
    build_index(items_of(*(f"{LONG} {n} {SHORT} {n + 1}" for n in range(2_000)))).save(tmp_path / "index")
    load_index(tmp_path / "index")

    tracemalloc.start()
    index = load_index(tmp_path / "index")
    told = index.digest, len(index.items), index.items[1_999].row
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert told[1:] == (2_000, 1_999)
    assert peak < 50_000 < (tmp_path / "index").stat().st_size / 20


def test_damage_is_told_when_the_index_is_checked(tmp_path: Path) -> None:
    """Any byte that differs, in the arrays or the header, does not pass; opening alone reads only the header."""
    path = tmp_path / "index"
    build_index(items_of(LONG, SHORT)).save(path)
    whole = path.read_bytes()
    digest = load_index(path, check=True).digest

    for place in (whole.index(b"Natalia"), whole.index(b'"set"') + 1, len(whole) - 64):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert load_index(path).digest == digest
        with pytest.raises(InputError, match="damaged"):
            load_index(path, check=True)
        with pytest.raises(InputError, match="damaged"):
            open_index(str(path), digest)


@pytest.mark.parametrize(
    ("table", "array", "place", "value"),
    [
        ("", "offsets", -1, 1 << 40),
        ("", "offsets", 1, -1),
        ("items", "text_offsets", 1, 1 << 40),
        ("items", "sets", 0, 7),
        ("items", "fields", 0, 3),
        ("exact", "posting_offsets", -1, 1 << 30),
        ("short", "posting_items", 0, 99),
        ("near", "posting_items", 0, -1),
        ("masked", "posting_tokens", 0, 1 << 30),
    ],
)
def test_an_index_that_points_out_of_itself_does_not_pass(
    tmp_path: Path, table: str, array: str, place: int, value: int
) -> None:
    """Whoever writes a file writes its digests; a kernel would read where the numbers lead."""
    path = tmp_path / "index"
    (segment,) = build_index(items_of(LONG, SHORT)).segments
    owner = {"": segment, "items": segment.items, **segment.tables}[table]
    bad = getattr(owner, array).copy()
    bad[place] = value
    owner = replace(owner, **{array: bad})
    if table:
        changes = {"items": owner} if table == "items" else {"tables": {**segment.tables, table: owner}}
        owner = replace(segment, **changes)
    Index((owner,)).save(path)

    with pytest.raises(InputError, match="points out of its arrays"):
        load_index(path, check=True)


def test_the_index_does_not_depend_on_the_order_of_items(tmp_path: Path) -> None:
    """Shuffled and repeated items give the same bytes; another text or n-gram gives others."""
    items = items_of(LONG, SHORT, LONG[10:])
    shuffled = random.Random(0).sample(items, 3) + items[:1]
    build_index(items).save(tmp_path / "a")
    build_index(shuffled).save(tmp_path / "b")

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert len({build_index(items, n).digest for n in (12, 13)} | {build_index(items[1:]).digest}) == 3


def test_an_index_without_ngrams_can_be_saved(tmp_path: Path) -> None:
    """Items that are all too short, or no items at all, make an index that protects nothing."""
    for items in (items_of(SHORT), []):
        index = build_index(items)
        index.save(tmp_path / "index")

        assert index.digest == load_index(tmp_path / "index").digest
        assert [0, len(items), 0, 0] == [len(index.segments[0].tables[table].ngrams) for table in TABLES]


def test_a_file_that_is_no_index_is_one_clear_error(tmp_path: Path) -> None:
    """Missing, empty, foreign, truncated and differently tokenised files say what to do."""
    path = tmp_path / "index"
    with pytest.raises(InputError, match="cannot read"):
        load_index(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="cannot read"):
        load_index(path)
    path.write_bytes(b"PK" * 100)
    with pytest.raises(InputError, match="no benchmark index"):
        load_index(path)
    build_index(items_of(LONG)).save(path)
    whole = path.read_bytes()
    for size in (40, 300, len(whole) - 64):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="damaged"):
            load_index(path)
    path.write_bytes(whole.replace(b'"text_version":"', b'"text_version":"?', 1))
    with pytest.raises(InputError, match=r"damaged|text rules"):
        load_index(path)
    with pytest.raises(OutputError, match="cannot write"):
        build_index(items_of(LONG)).save(tmp_path / "missing" / "index")

"""The command `decontaminate`, from files to clean files, evidence and a report."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner
from datatrove.data import Document
from small import ITEM, text, write_rows
from test_row_files import compressed, plain

from decontam.benchmarks import Item
from decontam.index import build_index
from decontam.match import DecontaminationParams, scan_batch
from decontam.step import Decontaminate
from pipelines.cli import main
from pipelines.cli_decontaminate import decontaminate
from pipelines.row_arrow import as_map_in_arrow

CHANGED = ITEM.replace("17", "71").replace("25", "52").replace("market", "fair")  # a look-alike
DIRTY = f"{text(50, 20)}. {ITEM} {text(51, 20)}"
ROWS: list[dict[str, Any]] = [{"text": text(1), "n": 1.0}, {"text": DIRTY, "id": "dirty"}, {"text": text(2), "n": None}]

main.add_command(decontaminate)


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A benchmark of one item."""
    write_rows(tmp_path / "bench" / "farm" / "test.jsonl", [{"question": ITEM, "answer": "33"}])
    return tmp_path / "bench"


def run(*arguments: str | Path, stdin: bytes | None = None) -> tuple[int, str, str]:
    """Exit code, output and messages of the command."""
    told = CliRunner().invoke(main, ["decontaminate", *map(str, arguments)], input=stdin)
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.exit_code, told.stdout, told.stderr


def clean(tmp_path: Path, *arguments: str | Path) -> dict[str, Any]:
    """The report of a run that has to end well, with the evidence; it writes to `tmp_path`/out."""
    code, _, told = run(*arguments, "--against", tmp_path / "bench", "--out", tmp_path / "out", "--quiet")

    assert (code, told) == (0, "")
    report: dict[str, Any] = orjson.loads((tmp_path / "out" / "report.json").read_bytes())
    lines = (tmp_path / "out" / "evidence.jsonl").read_bytes().splitlines()
    return {**report, "evidence": [orjson.loads(line) for line in lines]}


def snapshot(out: Path) -> dict[str, bytes]:
    """The bytes of all outputs, but for the cost in the report."""
    found = {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    report = {k: v for k, v in orjson.loads(found["report.json"]).items() if k != "cost"}
    return {**found, "report.json": orjson.dumps(report)}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_lines_are_split_into_clean_and_removed(tmp_path: Path, bench: Path, name: str) -> None:
    """The contaminated line is removed with its evidence; every other byte stays."""
    lines = [orjson.dumps(row) + b"\n" for row in ROWS]
    (tmp_path / name).write_bytes(compressed(name, b"".join(lines)))

    report = clean(tmp_path, tmp_path / name)

    [evidence] = report["evidence"]
    assert plain(tmp_path / "out/clean" / name) == lines[0] + lines[2]
    assert plain(tmp_path / "out/removed" / name) == lines[1]
    assert (evidence["doc_id"], evidence["origin"], evidence["text_field"]) == ("dirty", f"{name}#1", "text")
    assert (evidence["class"], evidence["action"], evidence["benchmark"]) == ("exact", "drop", "farm")
    assert DIRTY[slice(*evidence["span"])] == evidence["doc_text"] == ITEM.rstrip("?")
    assert report["files"] == [{"name": name, "read": 3, "clean": 2, "removed": 1, "bad": 0}]
    assert report["fields"] == {"text": {"texts": 3, "exact": 1}}
    assert (tmp_path / "out/report.html").stat().st_size > 0


def test_parquet_stays_parquet(tmp_path: Path, bench: Path) -> None:
    """Columns of other types come out as they were."""
    table = pa.table({"n": pa.array([[1], None, [2, 3]], pa.list_(pa.int8())), "text": [row["text"] for row in ROWS]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)

    report = clean(tmp_path, tmp_path / "a.parquet")

    assert report["documents"]["removed"] == 1
    assert pq.read_table(tmp_path / "out/clean/a.parquet").equals(pq.read_table(tmp_path / "a.parquet").take([0, 2]))
    assert pq.read_table(tmp_path / "out/removed/a.parquet")["text"].to_pylist() == [DIRTY]


def test_an_untouched_file_is_copied(tmp_path: Path, bench: Path) -> None:
    """Its bytes are the same, compressed as it came."""
    data = gzip.compress(orjson.dumps(ROWS[0]), compresslevel=1, mtime=5)
    (tmp_path / "a.jsonl.gz").write_bytes(data)

    clean(tmp_path, tmp_path / "a.jsonl.gz")

    assert (tmp_path / "out/clean/a.jsonl.gz").read_bytes() == data


def test_each_message_of_a_chat_is_scanned_by_itself(tmp_path: Path, bench: Path) -> None:
    """The evidence names the message; prompt and response are found, too, in the same file."""
    chat = [{"role": "user", "content": text(3)}, {"role": "assistant", "content": DIRTY}]
    write_rows(tmp_path / "a.jsonl", [{"messages": chat}, {"prompt": DIRTY, "response": text(4)}])

    report = clean(tmp_path, tmp_path / "a.jsonl")

    assert [line["text_field"] for line in report["evidence"]] == ["messages[1].content", "prompt"]
    assert report["fields"] == {
        "messages[].content": {"texts": 2, "exact": 1},
        "prompt": {"texts": 1, "exact": 1},
        "response": {"texts": 1},
    }


def test_standard_input_is_read(bench: Path) -> None:
    """Without a folder nothing is written; the first hits are shown side by side."""
    code, told, _ = run("-", "--against", bench, stdin=b"".join(orjson.dumps(r) + b"\n" for r in ROWS))

    assert code == 0
    assert "exact: stdin.jsonl#1 text = farm/test question 0, 100% common, drop" in told
    assert "A farmer has 17 sheep and buys 25 more at the market | A farmer has 17 sheep" in told
    assert "3 documents: 2 clean, 1 removed" in told


def test_bad_rows_are_counted_listed_and_kept(tmp_path: Path, bench: Path) -> None:
    """Not JSON, no such field, a number, null: none stops the run, and all are in clean/."""
    lines = [b"{broken", b'{"body":"x"}', b'{"text":5}', b'{"text":null}', b"[1]", orjson.dumps(ROWS[0]), b""]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))

    report = clean(tmp_path, tmp_path / "a.jsonl")

    assert report["bad_rows_listed"] == {
        "missing_field:text": ["a.jsonl#1"],
        "not_an_object": ["a.jsonl#4"],
        "not_json": ["a.jsonl#0"],
        "not_text:text": ["a.jsonl#2"],
        "null:text": ["a.jsonl#3"],
    }
    assert (report["documents"]["read"], report["documents"]["clean"]) == (6, 6)
    assert (tmp_path / "out/clean/a.jsonl").read_bytes() == b"\n".join(lines)


def test_strange_characters_hide_nothing(tmp_path: Path, bench: Path) -> None:
    """Lone surrogates, NUL and invalid UTF-8 beside a copy: it is found, and the evidence is UTF-8."""
    rows = [b'{"text":"\\ud800\\u0000 ' + ITEM.encode() + b'"}', b'{"text":"\xff ' + ITEM.encode() + b'","id":"\xfe"}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(rows))

    report = clean(tmp_path, tmp_path / "a.jsonl")

    assert [line["span"][0] for line in report["evidence"]] == [3, 2]
    assert (tmp_path / "out/removed/a.jsonl").read_bytes() == b"\n".join(rows)


def test_cut_and_tag(tmp_path: Path, bench: Path) -> None:
    """An exact copy loses its span, a look-alike gets a field; neither row is removed."""
    lines = [json.dumps({"n": 1.0, "text": f"a. {ITEM} b."}), json.dumps({"text": CHANGED}), '{"text": "c"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))

    report = clean(tmp_path, tmp_path / "a.jsonl", "--action", "exact=cut", "--action", "near=tag")

    assert (tmp_path / "out/clean/a.jsonl").read_text().split("\n") == [
        '{"n": 1.0, "text": "a. ? b."}',
        lines[1][:-1] + ',"contamination":"near"}',
        lines[2],
    ]
    assert [line["action"] for line in report["evidence"]] == ["cut", "tag"]
    assert {k: report["documents"][k] for k in ("removed", "cut", "tagged")} == {"removed": 0, "cut": 1, "tagged": 1}


@pytest.mark.parametrize(("profile", "removed"), [("web", 1), ("posttrain", 2)])
def test_profiles_differ_in_look_alikes(tmp_path: Path, bench: Path, profile: str, removed: int) -> None:
    """A look-alike is reported of the web, and removed from post-training data."""
    write_rows(tmp_path / "a.jsonl", [*ROWS, {"text": CHANGED}])

    report = clean(tmp_path, tmp_path / "a.jsonl", "--profile", profile)

    assert (report["documents"]["removed"], report["classes"]["near"]) == (removed, 1)


@pytest.mark.parametrize(("rows", "expected"), [(ROWS, 3), ([{"text": CHANGED}], 0), (ROWS[:1], 0)])
def test_contamination_can_fail_a_run(tmp_path: Path, bench: Path, rows: list[dict[str, Any]], expected: int) -> None:
    """Exit code 3 where anything is found but what is only reported; the outputs are written."""
    write_rows(tmp_path / "a.jsonl", rows)

    code, _, told = run(
        tmp_path / "a.jsonl", "--against", bench, "--out", tmp_path / "out", "--quiet", "--fail-on-contamination"
    )

    assert (code, told.count("\n")) == (expected, expected // 3)
    assert (tmp_path / "out/report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--agianst", "x"], "No such option '--agianst'"),
        (["--rule", "qwen"], "'qwen' is not one of"),
        (["--action", "exakt=drop"], "--action exakt=drop: expected exact|short"),
        (["--action", "exact=remove"], "expected exact|short"),
        (["--fields", "question"], "--fields question: expected"),
        (["--field", "txt", "--against", "bench/farm"], "no row has a text in 'txt'; they have text, n"),
        (["--field", "a[", "--against", "bench/farm"], "not a field"),
        (["--lcs-threshold", "6", "--against", "bench/farm"], "lcs_threshold must be"),
        ([], "say what to search for"),
        (["--against", "bench/farm", "--index", "x.idx"], "one of the two"),
        (["--index", "none.idx"], "cannot read the benchmark index"),
        (["--against", "bench/farm", "--out", "."], "holds other files"),
        (["--against", "bench/farm", "--out", "a.jsonl"], "is a file"),
        (["gone.jsonl", "--against", "bench/farm"], "no such file"),
        (["broken.parquet", "--against", "bench/farm"], "cannot be read as Parquet"),
        (["other.parquet", "--against", "bench/farm"], "has no column 'text'; it has body"),
        (["tagged.parquet", "--against", "bench/farm", "--action", "near=tag", "--out", "o"], "has a column 'contam"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    tmp_path: Path, bench: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    """Options, values, inputs and outputs that cannot be: each is told in one line."""
    write_rows(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "other.parquet")
    pq.write_table(pa.table({"text": ["x"], "contamination": ["y"]}), tmp_path / "tagged.parquet")
    monkeypatch.chdir(tmp_path)

    code, _, told = run("a.jsonl", *arguments)

    assert code == 2
    assert said in told
    assert told.count("\n") == 1


def test_two_runs_and_two_workers_give_the_same_bytes(tmp_path: Path, bench: Path) -> None:
    """Files of each format, with one process, again over its own output, and with two."""
    for n in range(3):
        write_rows(tmp_path / "in" / f"{n}.jsonl", ROWS[n:] + ROWS[:n])
    (tmp_path / "in/z.jsonl.zst").write_bytes(zstandard.compress(orjson.dumps(ROWS[1]) + b"\n{}\n"))
    pq.write_table(pa.table({"text": [row["text"] for row in ROWS]}), tmp_path / "in/p.parquet", row_group_size=1)

    runs = []
    for workers in ("1", "1", "2"):
        clean(tmp_path, tmp_path / "in", "--workers", workers)
        runs.append(snapshot(tmp_path / "out"))

    assert runs[0] == runs[1] == runs[2]
    assert {"clean/p.parquet", "removed/p.parquet", "clean/z.jsonl.zst", "evidence.jsonl"} < runs[0].keys()


def test_a_second_run_leaves_nothing_of_the_first(tmp_path: Path, bench: Path) -> None:
    """Files of an earlier input are gone, and its own output is no input."""
    write_rows(tmp_path / "a.jsonl", ROWS)
    write_rows(tmp_path / "b.jsonl", ROWS[:1])
    clean(tmp_path, tmp_path / "a.jsonl")
    clean(tmp_path, tmp_path / "b.jsonl")

    code, _, told = run(tmp_path / "out/clean", "--against", bench, "--out", tmp_path / "out")

    assert sorted(p.name for p in (tmp_path / "out").rglob("*")) == [
        "b.jsonl",
        "clean",
        "evidence.jsonl",
        "removed",
        "report.html",
        "report.json",
    ]
    assert (code, "holds the input" in told) == (2, True)


def test_a_phrase_of_many_documents_is_for_review(tmp_path: Path) -> None:
    """The opening of an item convicts by itself, but not where it stands in 60 documents that hold no item."""
    phrase = "the smallest positive integer n such that the sum of the first n odd numbers"
    question = f"{phrase} is 2024 or more in base seven"
    write_rows(tmp_path / "bench/stock/test.jsonl", [{"question": question}])
    rows = [{"text": f"{text(n, 6)} Find {phrase} {text(n + 100, 40)}"} for n in range(60)]
    write_rows(tmp_path / "a.jsonl", rows)

    write_rows(tmp_path / "a.jsonl", [{"text": phrase}])
    alone = clean(tmp_path, tmp_path / "a.jsonl", "--lcs-threshold", "0.9")
    write_rows(tmp_path / "a.jsonl", [*rows, {"text": phrase}])
    among = clean(tmp_path, tmp_path / "a.jsonl", "--lcs-threshold", "0.9")

    assert alone["classes"] == {"exact": 1, "short": 0, "near": 0, "judged": 0, "review": 0}
    assert among["classes"] == {"exact": 0, "short": 0, "near": 0, "judged": 0, "review": 1}
    assert [alone["documents"]["removed"], among["documents"]["removed"]] == [1, 0]
    assert [(line["class"], line["action"]) for line in among["evidence"]] == [("review", "report")]


def test_a_saved_index_and_a_dataset_of_the_library(tmp_path: Path, bench: Path) -> None:
    """A folder of save_to_disk is read offline, each split by itself, and comes out as Parquet with its features."""
    datasets = pytest.importorskip("datasets")
    build_index([Item("farm", "test", 0, "question", ITEM)]).save(tmp_path / "farm.idx")
    split = datasets.Dataset.from_list([{**row, "n": 1.0, "id": str(n)} for n, row in enumerate(ROWS)])
    datasets.DatasetDict({"train": split, "test": split.select([0])}).save_to_disk(tmp_path / "saved")

    code, told, _ = run(tmp_path / "saved", "--index", tmp_path / "farm.idx", "--out", tmp_path / "out", "--json")

    table = pq.read_table(tmp_path / "out/clean/saved/train.parquet")
    assert code == 0
    assert orjson.loads(told)["documents"]["removed"] == 1
    assert table.to_pylist() == [split[0], split[2]]
    assert datasets.Features.from_arrow_schema(table.schema) == split.features
    assert pq.read_table(tmp_path / "out/clean/saved/test.parquet").num_rows == 1


def test_a_dataset_that_cannot_be_loaded_is_one_line(tmp_path: Path, bench: Path) -> None:
    """A folder that looks like a saved dataset and is none."""
    pytest.importorskip("datasets")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/state.json").write_text("{}")

    code, _, told = run(tmp_path / "saved", "--against", bench)

    assert (code, told.count("\n"), "cannot be loaded" in told) == (2, 1, True)


def test_large_documents_and_many_hits_end_soon(tmp_path: Path) -> None:
    """A document of 20 MB, and one that holds 10,000 items; the evidence names them all."""
    items = [f"{text(n, 8)} number {n} of the list" for n in range(10_000)]
    write_rows(tmp_path / "bench/many/test.jsonl", [{"question": item} for item in items])
    words = " ".join(text(n) for n in range(2_000))
    write_rows(tmp_path / "a.jsonl", [{"text": words * (20_000_000 // len(words))}, {"text": "\n".join(items)}])

    started = time.process_time()
    report = clean(tmp_path, tmp_path / "a.jsonl", "--no-near")

    assert time.process_time() - started < 30
    assert {line["item"] for line in report["evidence"]} == set(range(10_000))


def test_the_function_for_map_in_arrow_finds_what_the_command_and_the_step_find(tmp_path: Path, bench: Path) -> None:
    """Columns of any type pass; two columns are added, and the same rows are contaminated by each way."""
    index = build_index([Item("farm", "test", 0, "question", ITEM)])
    index.save(tmp_path / "farm.idx")
    rows = [*ROWS, {"text": CHANGED}]
    write_rows(tmp_path / "a.jsonl", rows)
    batch = pa.RecordBatch.from_pylist([{"text": row["text"], "n": [n]} for n, row in enumerate(rows)])

    added = list(as_map_in_arrow(str(tmp_path / "farm.idx"), index.digest)(iter([batch, batch.slice(0, 0)])))
    step = Decontaminate(str(tmp_path / "farm.idx"))
    kept = step.filter_batch([Document(text=row["text"], id=str(n)) for n, row in enumerate(rows)])
    found = clean(tmp_path, tmp_path / "a.jsonl")["evidence"]

    assert [b.num_rows for b in added] == [4, 0]
    assert added[0].schema.names == ["text", "n", "contamination", "evidence"]
    assert added[0].column("contamination").to_pylist() == [None, "exact", None, "near"]
    assert [line["origin"] for line in found] == ["a.jsonl#1", "a.jsonl#3"]
    assert kept[1] == (False, "contaminated:farm")
    [line] = orjson.loads(added[0].column("evidence")[1].as_py())
    assert (line["benchmark"], line["span"]) == ("farm", found[0]["span"])


def test_stock_phrases_that_a_first_pass_counted_are_for_review(tmp_path: Path, bench: Path) -> None:
    """A match whose n-grams are all among them becomes `review`, in the column and in the evidence."""
    index = build_index([Item("farm", "test", 0, "question", ITEM)])
    index.save(tmp_path / "farm.idx")
    [scan] = scan_batch(index, [DIRTY], DecontaminationParams())
    batch = pa.RecordBatch.from_pylist([{"text": DIRTY, "id": "d"}])

    def kinds(stock: frozenset[int]) -> list[str]:
        [added] = as_map_in_arrow(str(tmp_path / "farm.idx"), stock=stock)(iter([batch]))
        [line] = orjson.loads(added.column("evidence")[0].as_py())
        return [added.column("contamination")[0].as_py(), line["class"], line["doc_id"], line["origin"]]

    assert kinds(frozenset(scan.matches[0].anchors)) == ["review", "review", "d", "#0"]
    assert kinds(frozenset(scan.matches[0].anchors[1:])) == ["exact", "exact", "d", "#0"]


def test_help_shows_examples() -> None:
    """--help ends well and shows commands to copy."""
    code, told, _ = run("--help")

    assert code == 0
    assert told.count("mathcorpus decontaminate ") >= 4

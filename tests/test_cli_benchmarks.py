"""`mathcorpus benchmarks`: what it prints, writes and refuses."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from test_registry import REGISTRY, ROWS, write_rows

from decontam.index import load_index
from pipelines.cli import _Group
from pipelines.cli_benchmarks import benchmarks

LONG = "A farmer has 17 sheep and buys 25 more at the market; how many sheep has she now?"
EXAM = [
    {"stem": LONG},
    {"stem": "Which is prime?", "pick": ["twenty one", "twenty three", "twenty five", "twenty seven", "none"]},
    {"stem": "12 - 5 ="},
    {"stem": "下列命题中正确的是"},
    {"stem": None},
]


@pytest.fixture
def exam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of five rows, one for each thing that a question can be; the registry of two sets in use."""
    (tmp_path / "registry.yaml").write_text(REGISTRY)
    monkeypatch.setenv("MATHCORPUS_REGISTRY", str(tmp_path / "registry.yaml"))
    monkeypatch.setenv("MATHCORPUS_BENCHMARKS", str(tmp_path / "cache"))
    return str(write_rows(tmp_path / "exam" / "test.jsonl", EXAM))


def run(*args: str | Path) -> Result:
    """What the command prints; its errors are one line, as the whole program prints them."""
    program = _Group("mathcorpus")
    program.add_command(benchmarks)
    return CliRunner().invoke(program, ["benchmarks", *map(str, args)])


def test_list_tells_where_each_set_is(exam: str, tmp_path: Path) -> None:
    """Not here, cached, and local where the folder of --from has it; unknown counts are a dash."""
    write_rows(tmp_path / "cache" / "farm" / "test.jsonl", ROWS)
    write_rows(tmp_path / "stick" / "farm" / "yard.jsonl", ROWS)

    assert run("list").output.splitlines() == [
        "name  lang  rows  where     licence",
        "farm  en       1  cached    MIT",
        "yard  en       -  not here  MIT",
        "small: farm",
    ]
    told = json.loads(run("list", "--json", "--from", tmp_path / "stick").output)
    assert {one["name"]: one["where"] for one in told["sets"]} == {"farm": "cached", "yard": "local"}
    assert told["profiles"] == {"small": ["farm"], "all": ["farm", "yard"]}


def test_fetch_brings_sets_from_a_folder(exam: str, tmp_path: Path) -> None:
    """One line for each set; the second time they are there; one that is not pinned is told."""
    write_rows(tmp_path / "stick" / "farm" / "test.jsonl", ROWS)
    write_rows(tmp_path / "stick" / "farm" / "yard.jsonl", ROWS)
    place = tmp_path / "other"

    first = run("fetch", "all", "--from", tmp_path / "stick", "--cache", place)
    again = run("fetch", "FARM", "--cache", place)

    assert first.exit_code == 0
    assert first.output.splitlines() == [
        f"farm                      1 rows  fetched  {place}/farm/test.jsonl.gz",
        f"yard                      1 rows  fetched  {place}/farm/yard.jsonl.gz"
        "  not pinned, so not checked; see `mathcorpus benchmarks pin yard`",
    ]
    assert again.output == f"farm                      1 rows  was there  {place}/farm/test.jsonl.gz\n"


def test_fetch_without_a_network_is_one_line(exam: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to do instead, and the exit code is that of wrong use."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    told = run("fetch", "farm")

    assert told.exit_code == 2
    assert told.output.startswith("mathcorpus: cannot load somebody/farm from the hub")
    assert told.output.endswith("laid out as NAME/SPLIT.jsonl[.gz] here and give it with --from, or as a path\n")
    assert told.output.count("\n") == 1


def test_pin_writes_a_copy_that_can_be_used(exam: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not pinned is checked from then on."""
    stick = write_rows(tmp_path / "stick" / "farm" / "yard.jsonl", ROWS).parent.parent

    told = run("pin", "yard", "--from", stick, "--out", tmp_path / "copy.yaml")

    assert told.exit_code == 0
    assert told.output.splitlines()[1] == str(tmp_path / "copy.yaml")
    monkeypatch.setenv("MATHCORPUS_REGISTRY", str(tmp_path / "copy.yaml"))
    write_rows(stick / "farm" / "yard.jsonl", ROWS * 2)
    assert "it has 2 rows, expected 1" in run("fetch", "yard", "--from", stick).output


def test_coverage_counts_each_question_in_its_strongest_class(exam: str) -> None:
    """A long one, a short one that its options help, and three that nothing protects: numbers, nine characters, no text."""
    told = run("coverage", exam, "--fields", "question=stem,option=pick", "--show", "1")

    assert told.exit_code == 0
    assert told.output.splitlines() == [
        "set        items  exact  short  near  none  options",
        "exam/test      5      1      1     0     3        1",
        "all            5      1      1     0     3        1",
        "  exam/test item 2: 12 - 5 =",
        "  exam/test: 2 more",
    ]


def test_coverage_as_json_lists_every_unprotected_item(exam: str) -> None:
    """Whatever --show says, also a row without a question."""
    told = json.loads(run("coverage", exam, "--fields", "question=stem", "--show", "0", "--json").output)

    assert told["sets"] == [
        {"benchmark": "exam", "split": "test", "items": 5, "exact": 1, "short": 1, "near": 0, "none": 3, "options": 0}
    ]
    assert [(one["item"], one["tokens"], one["text"]) for one in told["unprotected"]] == [
        (2, 2, "12 - 5 ="),
        (3, 9, "下列命题中正确的是"),
        (4, 0, ""),
    ]


def test_coverage_of_everything_takes_seconds(shared_data: Path) -> None:
    """All published files: the questions with an anchor, and the few that nothing protects."""
    begin = time.process_time()
    told = json.loads(run("coverage", shared_data / "benchmarks", "--json").output)

    assert time.process_time() - begin < 60  # 4 s, and as much again to compile kernels for the first time
    assert len(told["sets"]) == 27
    assert {key: sum(one[key] for one in told["sets"]) for key in ("items", "exact")} == {
        "items": 23626,
        "exact": 20852,
    }
    open_items = [(one["benchmark"], one["item"], one["text"]) for one in told["unprotected"]]
    assert len(open_items) == sum(one["none"] for one in told["sets"]) < 20
    assert ("mmlu_stem", 467, "A heterotroph") in open_items


def test_index_saves_what_it_prints(exam: str, tmp_path: Path) -> None:
    """Items, n-grams, bytes and digest are those of the file; the same call writes the same bytes."""
    fields = "question=stem,option=pick"
    told = json.loads(run("index", exam, "--out", tmp_path / "a.idx", "--fields", fields, "--json").output)
    words = run("index", exam, "--out", tmp_path / "b.idx", "--fields", fields)

    saved = load_index(tmp_path / "a.idx")
    assert (told["items"], told["bytes"]) == (6, (tmp_path / "a.idx").stat().st_size)
    assert told["digest"] == saved.digest
    assert told["ngrams"] == len(saved.segments[0].tables["exact"].ngrams)
    assert words.output.startswith(f"{tmp_path}/b.idx: 6 items, ")
    assert (tmp_path / "b.idx").read_bytes() == (tmp_path / "a.idx").read_bytes()


def test_sets_are_added_to_an_index(exam: str, tmp_path: Path) -> None:
    """What was not there makes a part of its own, the rest is counted; nothing new is said so; the old file stays."""
    more = write_rows(tmp_path / "more" / "test.jsonl", [{"stem": f"{LONG} And how many goats?"}])
    fields = ("--fields", "question=stem")
    run("index", exam, "--out", tmp_path / "a.idx", *fields)
    old = (tmp_path / "a.idx").read_bytes()

    told = run(
        "index", "--add", tmp_path / "a.idx", "--against", f"{exam},{more}", "--out", tmp_path / "b.idx", *fields
    )
    same = run("index", "--add", tmp_path / "b.idx", exam, "--out", tmp_path / "c.idx", *fields, "--json")
    words = run("index", "--add", tmp_path / "b.idx", exam, "--out", tmp_path / "d.idx", *fields)
    checked = run("check", tmp_path / "b.idx")

    assert told.output.splitlines()[1] == f"1 items added; 5 were in {tmp_path}/a.idx already"
    assert [json.loads(same.output)[key] for key in ("items", "new", "known")] == [6, 0, 5]
    assert words.output.splitlines()[1].startswith(f"nothing new: all 5 items are in {tmp_path}/b.idx already")
    assert checked.output.splitlines()[:3] == [
        f"{tmp_path}/b.idx: whole, 6 items, 16 n-grams",
        "  part 1, open: 5 items of exam/test",
        "  part 2, open: 1 items of more/test",
    ]
    assert (tmp_path / "a.idx").read_bytes() == old


def test_a_private_index_says_that_it_is(exam: str, tmp_path: Path) -> None:
    """It names sets, and none of their texts; what it prints is what the check prints."""
    told = run("index", "--private", exam, "--out", tmp_path / "a.idx", "--fields", "question=stem", "--json")
    checked = run("check", tmp_path / "a.idx", "--json")

    figures = json.loads(told.output)
    assert figures["parts"] == [{"items": 5, "private": True, "sets": ["exam/test"]}]
    assert {key: figures[key] for key in ("items", "digest", "parts")}.items() <= json.loads(checked.output).items()
    assert b"farmer" not in (tmp_path / "a.idx").read_bytes()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["coverage"], "Missing argument 'NAME_OR_PATH...'"),
        (["coverage", "fram"], "near: farm"),
        (["coverage", "farm"], "run `mathcorpus benchmarks fetch farm`"),
        (["coverage", "EXAM", "--fields", "question"], "'question' is not FIELD=COLUMN"),
        (["coverage", "EXAM", "--fields", "query=stem"], "unknown benchmark field 'query'"),
        (["coverage", "EXAM"], "it has stem, pick: say which one holds the question"),
        (["fetch", "fram"], "near: farm"),
        (["fetch", "yard"], "no hub id in the registry"),
        (["fetch", "yard", "--from", "/no/such/folder"], "does not exist"),
        (["pin", "farm"], "Missing option '--out'"),
        (["index", "EXAM", "--fields", "question=stem", "--out", "/no/such/folder/x.idx"], "cannot write the index"),
        (["index", "--out", "x.idx"], "say which sets to index"),
        (
            ["index", "EXAM", "--fields", "question=stem", "--add", "/no/old.idx", "--out", "x.idx"],
            "cannot read the benchmark index",
        ),
        (["check", "EXAM"], "is no benchmark index of this version; build it again"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(exam: str, args: list[str], told: str) -> None:
    """Each says what is wrong and how to mend it."""
    result = run(*(exam if arg == "EXAM" else arg for arg in args))

    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output


def test_every_command_has_help_with_an_example() -> None:
    """The help is the documentation."""
    context = click.Context(benchmarks)

    assert benchmarks.list_commands(context) == ["check", "coverage", "fetch", "index", "list", "pin"]
    for name in ("", *benchmarks.commands):
        told = run(*([name] if name else []), "--help")
        assert told.exit_code == 0
        assert f"  mathcorpus benchmarks {name}".rstrip() in told.output

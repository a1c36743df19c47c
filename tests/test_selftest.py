"""Selftest: questions planted in somebody's own documents, what the rule finds of them, and what it flags without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from small import text, write_rows

from decontam import edits
from decontam.benchmarks import Item
from decontam.edits import Choices
from decontam.index import build_index
from decontam.match import KINDS, DecontaminationParams
from decontam.plants import DUMP_ITEMS, LONG_CHARS, PLANTS, plantable, plants, recall, wilson
from filters.text import pack, tokenise
from pipelines.cli import main

ENGLISH = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many?"
CHINESE = "小明有48个苹果，给了小红一半；然后又买了17个苹果。现在小明有多少个苹果（不含坏的）？"
LATEX = "Compute $\\left(\\dfrac{3}{4}\\right)^2 + x < 7$, where $x \\rightarrow 5$ and $y \\le 12$ are both known, and simplify."
SHORT = "What is the derivative of a constant?"
RULE = DecontaminationParams()
HOSTS = [f"{text(n, 90)}.\n\n{text(n + 50, 90)}.\n" for n in range(3)]
INDEX = build_index(
    Item("set", "test", n, "question", q) for n, q in enumerate([ENGLISH, CHINESE, LATEX, SHORT, "7", ""])
)
QUESTIONS = plantable(INDEX, RULE)


def normalised(one: str) -> list[str]:
    return tokenise(pack([one])).normalised(0).split()


# --- edits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [edits.wrapped, edits.quoted, edits.respaced, edits.recased, edits.full_width, edits.half_width,
     edits.chinese_spacing, edits.latex],
)  # fmt: skip
@given(seed=st.integers())
def test_edits_of_form_leave_the_tokens(edit: edits.Edit, seed: int) -> None:
    """Line breaks, marks, case, widths, spaces and spellings are not text: every token stays."""
    for question in (ENGLISH, CHINESE, LATEX):
        assert normalised(question) == normalised(edit(question, Choices(seed)))


@pytest.mark.parametrize(
    ("edit", "question", "expected"),
    [
        (edits.full_width, "x = 1?", "ｘ ＝ １？"),
        (edits.full_width, "\\frac12", "\\frac12"),
        (edits.half_width, "（１２，x）。", "(12,x)."),
        (edits.all_numbers, "no number", "no number"),
        (edits.one_clause, "one clause only", "one clause only"),
        (edits.chinese_spacing, "no Chinese 12", "no Chinese 12"),
    ],
)
def test_edits_by_example(edit: edits.Edit, question: str, expected: str) -> None:
    """What has a single answer, and what has nothing to change."""
    assert edit(question, Choices(1)) == expected


def differ(edit: edits.Edit, question: str) -> tuple[list[str], list[str]]:
    """The tokens that the edit takes away, and those that it brings."""
    before, after = Counter(normalised(question)), Counter(normalised(edit(question, Choices(3))))
    return sorted((before - after).elements()), sorted((after - before).elements())


def test_edits_of_words_change_what_they_name() -> None:
    """One word, one number, all numbers, each name throughout, one clause and no more."""
    gone, come = differ(edits.one_word, ENGLISH)
    assert (len(gone), len(come)) == (1, 1)
    gone, come = differ(edits.one_number, CHINESE)
    assert len(gone) == len(come) == 1
    assert gone[0].isdigit()
    assert come[0].isdigit()
    assert differ(edits.all_numbers, CHINESE)[0] == ["17", "48"]
    assert differ(edits.names, ENGLISH)[0] == ["april", "may", "natalia"]
    assert differ(edits.names, CHINESE)[0] == ["小", "小", "小", "明", "明", "红"]
    changed = edits.one_clause(
        "The first of them is long. The second, is not. The third is 2.5 m, and so on.", Choices(3)
    )
    assert ("something else" in changed, "2.5" in changed or "2" not in changed) == (True, True)


@given(every=st.integers(2, 30), seed=st.integers())
def test_dense_edits_are_one_in_so_many_tokens(every: int, seed: int) -> None:
    """Each whole run of `every` tokens has one edit, and a command stays a command."""
    question = " ".join(f"{ENGLISH} {LATEX}" for _ in range(3))
    before, after = Counter(normalised(question)), Counter(normalised(edits.dense(every)(question, Choices(seed))))
    whole, rest = divmod(before.total(), every)

    taken, brought = (before - after).total(), (after - before).total()
    assert max(taken, brought) <= whole + bool(rest)
    assert taken + brought >= 1
    assert before["\\rightarrow"] == after["\\rightarrow"]


def test_choices_are_a_digest_of_their_purpose() -> None:
    """The same on any machine and in any order; another seed, kind or item chooses otherwise."""
    assert [Choices(1, "kind", "set").below(1000) for _ in range(2)] == [565, 565]
    assert {Choices(n, "kind", "set").below(1 << 60) for n in range(20)} != {Choices(1, "kind", "set").below(1 << 60)}
    assert all(Choices(n).between((3, 5)) in {3, 4, 5} for n in range(50))


# --- plants -----------------------------------------------------------------------------------------------------------


def test_questions_are_told_apart_by_what_protects_them() -> None:
    """A number alone, and an empty one, are counted and not planted; without the class short there are more of these."""
    alone = plantable(INDEX, DecontaminationParams(short=False))
    private = plantable(build_index(INDEX.items, private=True), RULE)

    assert [len(QUESTIONS.exact), len(QUESTIONS.short), QUESTIONS.unprotected, QUESTIONS.private] == [3, 1, 2, 0]
    assert [len(alone.exact), len(alone.short), alone.unprotected] == [3, 0, 3]
    assert [len(private.exact), len(private.short), private.private] == [0, 0, 6]


@pytest.mark.parametrize("name", PLANTS)
def test_every_kind_is_planted_and_found(name: str) -> None:
    """The rule finds each of these few questions, however it was changed; the document holds what is said to be in it."""
    planted = list(plants(name, QUESTIONS.of(name), HOSTS, 1, 10))
    found = recall(INDEX, RULE, name, iter(planted))
    classes = {"short"} if name == "short" else {"exact", "near"}

    assert planted
    assert (found.planted, found.missed) == (sum(len(p.questions) for p in planted), [])
    assert set(found.classes) <= classes
    assert all(question in plant.text for plant in planted for _, question in plant.questions if name not in {"json"})


def test_plants_stand_where_their_kind_says() -> None:
    """On lines of their own, within a line of a long text, or twenty in one document."""
    items = {n: Item("set", "test", n, "question", f"{text(n)} and so on") for n in range(2 * DUMP_ITEMS + 1)}

    [short] = plants("short", QUESTIONS.short, HOSTS, 1, 5)
    [long] = plants("embedded", QUESTIONS.exact, HOSTS, 1, 1)
    lists = list(plants("list", items, HOSTS, 1, 100))
    [json] = plants("json", QUESTIONS.exact, HOSTS, 1, 5)

    assert f"\n{SHORT}\n" in short.text
    assert len(long.text) > LONG_CHARS
    assert all(question not in long.text.split("\n") for _, question in long.questions)
    assert [len(plant.questions) for plant in lists] == [DUMP_ITEMS, DUMP_ITEMS, 1]
    assert {"question": ENGLISH} in [orjson.loads(line) for line in json.text.splitlines() if line.startswith("{")]


def test_a_question_is_changed_alike_whatever_else_is_planted() -> None:
    """More questions, fewer samples or another order leave its edit and its document; another seed does not."""
    items = {n: Item("set", "test", n, "question", f"{ENGLISH} {text(n)}") for n in range(40)}
    renamed = {n + 5: item for n, item in reversed(items.items())}

    def planted(questions: dict[int, Item], seed: int, count: int) -> list[str]:
        return [plant.text for plant in plants("one_word", questions, HOSTS, seed, count)]

    all_of_them = planted(items, 1, 40)
    assert planted(items, 1, 7) == all_of_them[:7]
    assert planted(renamed, 1, 40) == all_of_them
    assert set(planted({n: items[n] for n in range(9)}, 1, 9)) < set(all_of_them)
    assert planted(items, 2, 40) != all_of_them


def test_what_is_missed_is_told_with_both_texts() -> None:
    """A rule without look-alikes misses a question with an edit in every ten tokens, and says which."""
    planted = plants("edits_10", {0: QUESTIONS.exact[0]}, HOSTS, 1, 1)
    strict = DecontaminationParams(near=False, short=False, lcs_threshold=1.0)
    found = recall(INDEX, strict, "edits_10", planted)

    [missed] = found.missed
    assert (missed.item.text, found.found) == (ENGLISH, 0)
    assert missed.planted != ENGLISH
    figures = {"planted": 1, "found": 0, "recall": 0.0, "low": 0.0, "high": 0.7935, **dict.fromkeys(KINDS, 0)}
    assert found.figures() == figures


def test_a_plant_that_rests_on_stock_phrases_is_for_review() -> None:
    """The stock of the caller's documents counts against plants as it does against documents."""
    planted = list(plants("verbatim", QUESTIONS.exact, HOSTS, 1, 5))
    everything = range(1 << 12)

    assert recall(INDEX, RULE, "verbatim", iter(planted)).classes == {"exact": 3}
    assert recall(INDEX, RULE, "verbatim", iter(planted), everything).classes == {"review": 3}


@pytest.mark.parametrize(
    ("found", "of", "interval"),
    [(10, 10, (0.7225, 1.0)), (0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (0, 0, (None, None))],
)
def test_intervals_are_wilsons(found: int, of: int, interval: tuple[float | None, float | None]) -> None:
    """Known values of the score interval; nothing has none."""
    assert wilson(found, of) == interval


# --- the command ------------------------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command on 30 clean documents and a contaminated one, against four questions."""
    rows = [{"id": f"doc-{n}", "text": f"{text(n, 40)}\n{text(n + 31, 40)}"} for n in range(30)]
    rows[7]["text"] += f"\n{ENGLISH}\n"
    write_rows(tmp_path / "in" / "a.jsonl", rows[:20])
    write_rows(tmp_path / "in" / "b.jsonl", rows[20:])
    questions = [ENGLISH, CHINESE, LATEX, SHORT, "7"]
    write_rows(tmp_path / "bench" / "set" / "test.jsonl", [{"question": q} for q in questions])

    def one(*options: str, inputs: str = "in", against: str = "bench") -> tuple[int, str, str]:
        given = ["selftest", str(tmp_path / inputs), "--against", str(tmp_path / against), *options]
        result = CliRunner().invoke(main, given)
        return result.exit_code, result.stdout, result.stderr

    return one


def test_the_tables_say_what_was_found(run: Run) -> None:
    """A line for each kind, the documents that were flagged, and the questions that nothing protects."""
    code, told, _ = run()

    assert code == 0
    assert "30 documents of yours searched, 1 flagged without a plant (3.33%, 0.59% to 16.67%): exact 1" in told
    assert "flagged without a plant, exact: a.jsonl#7 text = set/test question 0, 100% common" in told
    assert "5 questions: 3 own an n-gram, 1 are short and found as a whole; not planted: 1 that no rule" in told
    lines = {
        line.split()[0]: line.split() for line in told.splitlines() if line.split()[:1] and line.split()[0] in PLANTS
    }
    assert set(lines) == set(PLANTS)
    assert lines["short"][1:3] == ["1", "1"]
    assert lines["verbatim"][1:3] == ["3", "3"]


def test_the_report_and_the_lines_are_written(run: Run, tmp_path: Path) -> None:
    """report.json is what --json prints, but for the cost; two runs give the same bytes."""
    out = tmp_path / "out"
    code, told, _ = run("--json", "--no-near", "--out", str(out))
    report = orjson.loads(told)
    lines = [orjson.loads(line) for line in (out / "missed.jsonl").read_bytes().splitlines()]
    [alarm] = [orjson.loads(line) for line in (out / "false_alarms.jsonl").read_bytes().splitlines()]
    first = (out / "missed.jsonl").read_bytes()

    assert code == 0
    assert orjson.loads((out / "report.json").read_bytes()) == report
    assert report["documents"] == {"read": 30, "searched": 30, "flagged": 1}
    assert report["questions"] == {"all": 5, "exact": 3, "short": 1, "unprotected": 1, "private": 0}
    assert Counter(line["kind"] for line in lines) == {
        n: k["planted"] - k["found"] for n, k in report["kinds"].items() if k["planted"] > k["found"]
    }
    assert lines
    assert (alarm["doc_id"], alarm["origin"], alarm["class"], alarm["text_field"]) == (
        "doc-7",
        "a.jsonl#7",
        "exact",
        "text",
    )
    run("--json", "--no-near", "--out", str(out))
    assert (out / "missed.jsonl").read_bytes() == first


def test_a_gate_that_does_not_hold_exits_with_3(run: Run) -> None:
    """The kinds below the asked recall are named; those that are not planted, or hold, are not."""
    code, told, error = run("--no-near", "--min-recall", "0.99", "--kinds", "verbatim,edits_10,short")

    assert code == 3
    assert error.startswith("mathcorpus: recall below 0.99: edits_10 0.")
    assert "verbatim " in told
    assert run("--min-recall", "0.99", "--kinds", "verbatim,short")[0] == 0


def test_the_sample_is_chosen_by_the_seed(run: Run) -> None:
    """So many documents are searched, the same each time, others with another seed."""
    reports = [orjson.loads(run("--json", "--documents", "9", "--seed", seed)[1]) for seed in "112"]
    for report in reports:
        del report["cost"]

    assert reports[0] == reports[1] != reports[2]
    assert reports[0]["documents"]["searched"] == 9


def test_messages_of_a_row_are_one_document(run: Run, tmp_path: Path) -> None:
    """Two texts of a row are flagged once, each with its place; blank lines are counted as lines."""
    rows = [orjson.dumps({"messages": [{"content": text(n)}, {"content": text(n + 40)}]}) for n in range(5)]
    rows.append(orjson.dumps({"messages": [{"content": ENGLISH}, {"content": f"{text(90)}\n{LATEX}"}]}))
    (tmp_path / "chat.jsonl").write_bytes(b"\n\n" + b"\n".join(rows))
    out = tmp_path / "out"
    report = orjson.loads(run("--json", "--kinds", "verbatim", "--out", str(out), inputs="chat.jsonl")[1])
    lines = [orjson.loads(line) for line in (out / "false_alarms.jsonl").read_bytes().splitlines()]

    assert report["documents"] == {"read": 6, "searched": 6, "flagged": 1}
    assert [(line["origin"], line["text_field"]) for line in lines] == [
        ("chat.jsonl#7", "messages[0].content"),
        ("chat.jsonl#7", "messages[1].content"),
    ]
    assert report["kinds"]["verbatim"]["found"] == 3


@pytest.mark.parametrize(
    ("options", "inputs", "rows", "message"),
    [
        ((), "empty.jsonl", b"", "the input holds no document with a text"),
        ((), "blank.jsonl", b'{"text": ""}\n', "each of the 1 documents that were searched is empty or holds benchmark"),
        ((), "full.jsonl", orjson.dumps({"text": ENGLISH}), "each of the 1 documents that were searched is empty or holds"),
        ((), "other.jsonl", b'{"body": "x"}\n', "no row has a text in 'text'; they have body; name one with --field"),
        ((), "none", b"", "none: no such file or folder"),
        (("--ngram", "60", "--no-short"), "in", b"", "no question of the benchmarks has 60 tokens, or is short"),
        (("--rule", "qwen2-formula"), "in", b"", "compares whole samples"),
        (("--kinds", "verbatm"), "in", b"", "--kinds verbatm: no such kind of plant; there are verbatim, wrapped"),
        (("--samples", "0"), "in", b"", "(see main selftest --help)"),
        (("--index", "x"), "in", b"", "by one of the two: --against NAME_OR_PATH,... or --index FILE"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    run: Run, tmp_path: Path, options: tuple[str, ...], inputs: str, rows: bytes, message: str
) -> None:
    """What is wrong, where, and what to do; exit code 2."""
    if inputs.endswith(".jsonl"):
        (tmp_path / inputs).write_bytes(rows)
    code, told, error = run(*options, inputs=inputs)

    assert (code, told, error.count("\n")) == (2, "", 1)
    assert message in error


def test_the_output_has_to_be_a_folder(run: Run, tmp_path: Path) -> None:
    """Refused before anything is searched."""
    (tmp_path / "file").touch()

    code, _, error = run("--out", str(tmp_path / "file"))
    assert (code, error) == (2, f"mathcorpus: --out {tmp_path / 'file'}: is a file; give a folder\n")


def test_a_private_index_has_nothing_to_plant(run: Run, tmp_path: Path) -> None:
    """It holds no text, and says so."""
    build_index(INDEX.items, private=True).save(tmp_path / "index")
    result = CliRunner().invoke(main, ["selftest", str(tmp_path / "in"), "--index", str(tmp_path / "index")])

    assert result.exit_code == 2
    assert "the questions of the index are private, so that there is nothing to plant" in result.stderr


def test_help_names_every_kind_of_plant() -> None:
    """And shows commands to copy."""
    told: Any = CliRunner().invoke(main, ["selftest", "--help"]).stdout

    assert [name for name in PLANTS if f" {name} " not in told] == []
    assert "mathcorpus selftest corpus/ --against gsm8k,math" in told

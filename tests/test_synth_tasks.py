"""Tasks plan, check and finish: each answer to its sample, and each bad one to its counted end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from synth.prompts import load
from synth.requests import Outcome, Request, Usage
from synth.samples import Document, Rejection, Sample, from_row, to_row
from synth.tasks.extract import ExtractBlocks, ExtractVerbatim, Refine
from synth.tasks.generate import Generate, Rewrite
from synth.tasks.score import EduScore, LmScore, label_masses
from synth.tasks.solve import Judge, Solve
from synth.tasks.task import Asking
from synth.texts import is_in, loops, refuses
from synth.windows import excerpt, windows

ASKING = Asking(load(), "tiny", seed=7)
PAGE = Document(
    "d1",
    "Welcome.\n\nProblem 1. What is $\\frac{6}{3}$?\n\nSolution: Divide both by $3$.\n\nAnswer: $2$\n",
    "en",
    "http://a",
)
ZH = Document("d2", "例题：求 $1+1$ 的值。\n\n解：$1+1=2$。", "zh")


def pair(question: str = "What is the value of one?", answer: str = "1", solution: str = "It is what it is.") -> str:
    """As a model writes it."""
    return f"<qa><question>{question}</question><answer>{answer}</answer><solution>{solution}</solution></qa>"


def said(task: Any, item: Any, *texts: str, finish: str = "stop") -> list[Any]:
    """What a task makes of these answers to its requests, the failures set as the engine would."""
    requests = task.plan(item)
    outcomes = [Outcome(text, finish, Usage(10, 0, 5), model="tiny-1") for text in texts]
    checked = [replace(o, failure=task.check(r, o)) for r, o in zip(requests, outcomes, strict=True)]
    return list(task.finish(item, list(zip(requests, checked, strict=True))))


def reasons(found: Sequence[Any]) -> list[str]:
    """The ends of what became no sample."""
    return [f"{r.stage}:{r.reason}" for r in found if isinstance(r, Rejection)]


def extracted() -> Sample:
    """The pair of the page, by its blocks."""
    [sample] = said(ExtractBlocks(ASKING), PAGE, pair("2", "4", "3"))
    return sample


def test_blocks_become_the_documents_own_text() -> None:
    """Question, answer and solution with their spans; provenance complete; the row reads back equal."""
    sample = extracted()

    assert (sample.question, sample.answer, sample.solution) == (
        "Problem 1. What is $\\frac{6}{3}$?", "Answer: $2$", "Solution: Divide both by $3$.",
    )  # fmt: skip
    assert all(
        "".join(PAGE.text[a:b] for a, b in sample.spans[p]) == getattr(sample, p)
        for p in ("question", "answer", "solution")
    )
    assert (sample.parents, sample.url, sample.format, sample.language) == (("d1",), "http://a", "extract", "en")
    made = sample.generation
    [request] = ExtractBlocks(ASKING).plan(PAGE)
    assert (made.request, made.model, made.asked, made.finish, made.prompt_tokens) == (
        request.id,
        "tiny-1",
        "tiny",
        "stop",
        10,
    )
    assert made.prompt == ASKING.prompts.get("extract_blocks", "en").name
    assert to_row(from_row(to_row(sample))) == to_row(sample)
    assert from_row(to_row(sample)).lineage == ("d1", sample.id)


@pytest.mark.parametrize(
    ("text", "finish", "wanted"),
    [
        (pair("9", "", "3"), "stop", ["request:parse:unknown_block"]),
        (pair("two", "", "3"), "stop", ["request:parse:not_numbers"]),
        (pair("2", "", ""), "stop", ["request:parse:no_answer"]),
        (pair("2", "4", "3") + pair("9", "", "3"), "stop", ["parse:unknown_block"]),
        ("<none/>", "stop", ["nothing:none"]),
        ("", "stop", ["request:empty"]),
        ("I'm sorry, but I cannot help with that.", "stop", ["request:refusal"]),
        ("抱歉，我无法完成。", "stop", ["request:refusal"]),
        ("<qa><question>2", "length", ["request:truncated"]),
        ("<qa><question>2", "stop", ["request:parse:unclosed"]),
        ("so " * 1000, "length", ["request:loop"]),
        ("", "content_filter", ["request:content_filter"]),
    ],
)
def test_bad_answers_have_their_ends(text: str, finish: str, wanted: list[str]) -> None:
    """Each is a rejection with a reason; good pairs beside a bad one stay."""
    assert reasons(said(ExtractBlocks(ASKING), PAGE, text, finish=finish)) == wanted


def test_long_documents_are_asked_about_in_parts() -> None:
    """Groups of blocks keep the document's numbers, and numbers of another part are refused."""
    task = ExtractBlocks(ASKING, max_chars=60)
    first, second, *_ = task.plan(PAGE)

    assert ("<block 1>" in first.messages[0][1], "<block 3>" in first.messages[0][1]) == (True, False)
    assert "<block 3>" in second.messages[0][1]
    assert task.check(first, Outcome(pair("3", "", "3"), "stop")) == "parse:unknown_block"
    assert ExtractBlocks(ASKING).plan(replace(PAGE, text=" \n")) == []


def test_copies_keep_their_places() -> None:
    """What is copied exactly has a span, what is not has none; a pair with neither answer nor solution is refused."""
    task = ExtractVerbatim(ASKING)
    [sample] = said(task, PAGE, pair("What is $\\frac{6}{3}$?", "two", "Divide both by $3$."))
    begin = PAGE.text.index("What")

    assert sample.spans == {"question": ((begin, begin + 22),), "answer": (), "solution": ((55, 74),)}
    assert PAGE.text[55:74] == "Divide both by $3$."
    assert reasons(said(task, PAGE, pair("What?", "", " "))) == ["parse:no_answer"]


def test_refining_keeps_both_versions() -> None:
    """The new pair, the old one, how far they are apart, and all ancestors; one pair and no more."""
    before = extracted()
    [after] = said(Refine(ASKING), before, pair("What is $\\frac{6}{3}$?", "$2$", "Divide both by $3$ to get $2$."))

    assert after.parents == ("d1", before.id)
    assert after.before == {"question": before.question, "answer": before.answer, "solution": before.solution}
    assert after.signals == {"edit_question": 0.3333, "edit_answer": 0.7273, "edit_solution": 0.7}
    assert after.context == before.context == PAGE.text
    assert reasons(said(Refine(ASKING), before, pair() * 2)) == ["request:parse:pairs"]
    assert reasons(said(Refine(ASKING), before, pair(question="这是一道新的数学题吗"))) == ["request:language"]


def test_generated_questions_say_their_style() -> None:
    """Requests differ in style or level, chosen by the document's id; Chinese prompts want Chinese answers."""
    task = Generate(ASKING, requests=2, languages=("en", "zh"))
    requests = task.plan(PAGE)
    assert len({r.id for r in requests}) == 4
    assert requests == task.plan(PAGE)
    made = said(
        task, PAGE, pair() * 2, pair(), pair("一加一等于多少？请写出计算过程。", "2", "一加一等于二。"), "<none/>"
    )

    samples = [m for m in made if isinstance(m, Sample)]
    assert [(s.language, s.format) for s in samples] == [("en", "generate")] * 3 + [("zh", "generate")]
    assert samples[0].signals == samples[1].signals != samples[2].signals
    assert len({s.id for s in samples}) == 4
    assert reasons(made) == ["nothing:none"]
    assert reasons(said(Generate(ASKING), ZH, pair())) == ["request:language"]
    assert ASKING.prompts.described("styles", samples[0].signals["style"], "en") in requests[0].messages[0][1]


@pytest.mark.parametrize("name", ["textbook", "dialogue"])
def test_texts_are_rewritten(name: str) -> None:
    """One text, or nothing, or a counted end."""
    task = Rewrite(ASKING, name)
    [sample] = said(task, PAGE, "<text>\nTeacher: divide by $3$, and you have it.\n</text>")

    assert (sample.training_text, sample.format, sample.question) == (
        "Teacher: divide by $3$, and you have it.",
        name,
        "",
    )
    assert reasons(said(task, PAGE, "<none/>")) == ["nothing:none"]
    assert reasons(said(task, PAGE, "no tags here")) == ["request:parse:no_tags"]
    assert reasons(said(task, PAGE, "<text>我们把分子和分母同时除以三</text>")) == ["request:language"]


def by_value(left: str, right: str) -> str:
    """A comparison for tests: numbers by value, and nothing is known of words."""
    both = (left.strip("$"), right.strip("$"))
    if not all(text.isdecimal() for text in both):
        return "unknown"
    return "equal" if int(both[0]) == int(both[1]) else "different"


def test_solutions_carry_the_vote_of_all() -> None:
    """Three samples of one question: shares, the reference, ranks by reward; the failed fourth is counted."""
    task = Solve(ASKING, by_value, n=4, reward=lambda q, s: float(len(s)))
    texts = ["So we get \\boxed{2}", "By division it must be \\boxed{02}", "Clearly this is \\boxed{3}"]
    question = replace(extracted(), answer="$2$")
    made = said(task, question, *texts, "So we get \\bo")
    samples = [m for m in made if isinstance(m, Sample)]

    assert {r.messages for r in task.plan(extracted())} == {task.plan(extracted())[0].messages}
    assert [r.sample for r in task.plan(extracted())] == [0, 1, 2, 3]
    assert [s.answer for s in samples] == ["02", "2", "3", ""]
    assert samples[1].votes == {
        "winner": "2", "n": 4, "n_parsed": 3, "share": 0.5, "margin": 1, "classes": (2, 1), "agrees": True, "reference": "equal",
    }  # fmt: skip
    assert [s.votes["agrees"] for s in samples] == [True, True, False, False]
    assert [s.signals["reward_rank"] for s in samples] == [0, 1, 2, 3]
    assert [s.votes["reference"] for s in samples] == ["equal", "equal", "different", "unknown"]
    assert samples[0].parents == ("d1", extracted().id)
    failed = said(task, question, *texts[:2], "", "I'm sorry.")
    assert reasons(failed) == ["request:empty", "request:refusal"]
    assert failed[-1].votes["share"] == 0.5


@pytest.mark.parametrize(
    ("name", "text", "finish", "failure"),
    [
        ("solve_cot", "So we get \\boxed{2}", "stop", ""),
        ("solve_cot", "So we get \\boxed{2}", "length", "truncated"),
        ("solve_cot", "<think>hm", "stop", "parse:unclosed_think"),
        ("solve_cot", "<think>hm</think> ", "stop", "empty"),
        ("solve_cot", "答案显然是二 \\boxed{2}", "stop", "language"),
        ("solve_code", "So we get \\boxed{2}", "stop", "parse:no_code"),
        ("solve_code", "We divide.\n```python\nprint(6//3)\n```\nIt is \\boxed{2}", "stop", ""),
    ],
)
def test_solutions_are_checked(name: str, text: str, finish: str, failure: str) -> None:
    """What a task says of an answer, by which the engine asks again."""
    task = Solve(ASKING, by_value, name)
    assert task.check(task.plan(extracted())[0], Outcome(text, finish)) == failure


def test_thoughts_are_no_part_of_a_solution() -> None:
    """What a reasoning model thinks aloud is left out, and our escapes are undone."""
    [sample] = said(
        Solve(ASKING, by_value, n=1), extracted(), "<think>maybe \\boxed{9}</think>\nIt is &lt;answer> \\boxed{2}"
    )
    assert (sample.solution, sample.answer) == ("It is <answer> \\boxed{2}", "2")


def test_a_verdict_belongs_to_the_same_sample() -> None:
    """The judged sample keeps its id; a text without a verdict is refused."""
    [judged] = said(Judge(ASKING), extracted(), "<reason>fine</reason><verdict>YES</verdict>")
    assert (judged.id, judged.signals["judge"]) == (extracted().id, "yes")
    assert reasons(said(Judge(ASKING), extracted(), "It is fine.")) == ["request:parse:no_verdict"]


def tops(**spellings: float) -> Outcome:
    """An outcome with these probabilities, written with _ for a blank."""
    return Outcome(tops=tuple((name.replace("_", " "), math.log(p)) for name, p in spellings.items()), model="tiny-1")


def scored(task: Any, item: Document, *outcomes: Outcome) -> list[Any]:
    """What a scorer makes of these outcomes."""
    return list(task.finish(item, list(zip(task.plan(item), outcomes, strict=True))))


def test_the_score_is_the_closed_form() -> None:
    """Spellings are added up, exp(yes) / (exp(yes) + exp(no)) for each question, and the product of both."""
    [score] = scored(LmScore(ASKING), PAGE, tops(YES=0.4, _Yes=0.2, NO=0.15, 否=0.05, Well=0.2), tops(是=0.5, no=0.5))

    assert score.questions == {"mathematics": (pytest.approx(0.75),), "learning": (pytest.approx(0.5),)}
    assert (score.mean, score.least, score.marks) == (pytest.approx(0.375), pytest.approx(0.375), {})
    assert score.masses == {"mathematics": (pytest.approx(0.8),), "learning": (pytest.approx(1.0),)}
    assert label_masses((("YES", 0.0), ("YES", -1.0)), {"positive": ["YES"]}) == {"positive": 1 + math.exp(-1)}


def test_off_format_is_a_mark_and_not_a_zero() -> None:
    """Labels with less than half of the mass, and answers that failed, give no score; the other question stays."""
    [score] = scored(LmScore(ASKING), PAGE, tops(YES=0.3, NO=0.1, The=0.6), tops(YES=0.9, NO=0.1))
    assert (score.mean, score.least, score.marks) == (None, None, {"off_format": 1})
    assert score.questions == {"mathematics": (None,), "learning": (pytest.approx(0.9),)}

    failed = Outcome(failure="context_too_long")
    score, rejection = scored(LmScore(ASKING), PAGE, failed, tops(YES=1.0))
    assert (score.mean, score.marks, rejection.reason) == (None, {"context_too_long": 1}, "context_too_long")
    assert LmScore(ASKING).check(LmScore(ASKING).plan(PAGE)[0], Outcome("YES")) == "no_logprobs"


def test_long_documents_are_scored_by_windows() -> None:
    """Head, middle and tail, two questions each, neighbours sharing a text; mean and least over what has a score."""
    doc = replace(PAGE, text="a" * 50 + "b" * 50 + "c" * 50)
    task = LmScore(ASKING, budget=20)
    requests = task.plan(doc)
    sure, unsure, off = tops(YES=1.0), tops(YES=0.5, NO=0.5), tops(Hm=1.0)
    [score] = scored(task, doc, sure, sure, sure, unsure, off, sure)

    assert [next(c for c in "abc" if c * 20 in r.messages[0][1]) for r in requests] == list("aabbcc")
    assert score.windows == ((0, 20), (65, 85), (130, 150))
    assert (score.scores, score.mean, score.least) == ((1.0, 0.5, None), 0.75, 0.5)
    assert score.marks == {"off_format": 1}


def test_nothing_is_asked_about_blanks() -> None:
    """No request, and a score that has no number."""
    blank = replace(PAGE, text=" \n")
    for task in (LmScore(ASKING), EduScore(ASKING)):
        assert task.plan(blank) == []
        [score] = scored(task, blank)
        assert (score.mean, score.scores, score.windows, score.marks) == (None, (), (), {})


def test_grades_are_expected_and_most_probable() -> None:
    """0.1 of 1, 0.6 of 3 and 0.2 of 4, of a mass of 0.9."""
    task = EduScore(ASKING)
    assert set(task.plan(PAGE)[0].labels) == {f"{blank}{k}" for k in range(6) for blank in ("", " ")}
    outcome = Outcome(tops=(("1", math.log(0.1)), (" 3", math.log(0.6)), ("4", math.log(0.2))))
    [score] = scored(task, PAGE, outcome)

    assert (score.mean, score.grades) == (pytest.approx((0.1 + 1.8 + 0.8) / 0.9), (3,))
    [score] = scored(task, PAGE, tops(Hello=1.0))
    assert (score.mean, score.grades, score.marks) == (None, (None,), {"off_format": 1})


def test_windows_fit_whatever_counts() -> None:
    """By characters, and by a counter of tokens."""
    words = "word " * 40
    assert windows("short") == ((0, 5),)
    for a, b in windows(words, 10, lambda t: len(t.split())):
        assert len(words[a:b].split()) <= 10
    assert excerpt("one two. three four", 12) == "one two."
    assert excerpt("a" * 30, 12) == "a" * 12


def test_languages_loops_and_refusals() -> None:
    """Formulas tell no language; a long proof is no loop; only the start of a short text refuses."""
    assert is_in("$x^2 + y^2$", "zh")
    assert is_in("设 $x$ 为正整数, then 求 x 的值，其中 x 满足条件", "zh")
    assert not is_in("We know that 设 x 为正整数", "en")
    assert loops("Therefore x = 2. " * 80)
    assert not loops("".join(f"Step {k}: we add {k * k} and {k + 3} to the sum. " for k in range(60)))
    assert not refuses("We cannot divide by zero, so x is not 0.")


def test_tasks_share_no_requests() -> None:
    """Another task, item, language or seed is another request."""
    other = Asking(ASKING.prompts, "tiny", seed=8)
    asked: list[Request] = []
    for asking in (ASKING, other):
        for item in (PAGE, ZH):
            for task in (
                ExtractBlocks(asking),
                ExtractVerbatim(asking),
                Generate(asking),
                Rewrite(asking),
                Rewrite(asking, "dialogue"),
                LmScore(asking),
                EduScore(asking),
            ):
                asked += task.plan(item)  # type: ignore[attr-defined]
    assert len({r.id for r in asked}) == len(asked) == 32

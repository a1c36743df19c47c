"""Gates: in order, each with a reason and its numbers; what cannot be told is never a pass."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given as supplied
from hypothesis import strategies as st

from filters.errors import UsageError
from synth.gate_rules import FAIL, PASS, UNKNOWN, contained, copied, question_kind, unbalanced
from synth.gates import (
    ORDER,
    Gate,
    Seen,
    agreement,
    arranged,
    faithful,
    given,
    judged,
    new,
    of_type,
    one_answer,
    ran,
    rewarded,
    text_gates,
)
from synth.requests import Outcome, Request
from synth.samples import Document, Sample, generation
from synth.sandbox import Run
from synth.tool_use import ToolVerdict

MADE = generation(Request("refine", "refine/en@1:ab", "tiny", ()), Outcome("x", "stop"))
VOTES = {"n": 8, "n_parsed": 8, "share": 0.75, "margin": 4, "agrees": True}
GOOD = Sample(
    "s1", "refine", "en", ("d1", "s0"), MADE, "What is the value of $\\frac{6}{3}$ as a whole number?",
    "Divide both by $3$ to get \\boxed{2}.", "2", votes=VOTES,
)  # fmt: skip
DOC = Document("d1", "Notes. Problem: what is the value of $\\frac{6}{3}$ as a whole number? It is 2.", "en")


def verdict(gate: Gate, sample: Sample, item: Any = DOC) -> tuple[str, str]:
    """(outcome, reason) of one gate."""
    outcome, reason, evidence = gate.check(sample, item)
    orjson.dumps(evidence)
    return outcome, reason


def text_verdict(name: str, **changes: Any) -> tuple[str, str]:
    """(outcome, reason) of one of the gates that look at the text alone."""
    [gate] = [gate for gate in text_gates() if gate.name == name]
    return verdict(gate, replace(GOOD, **changes))


def test_gates_run_in_order_and_stop_at_the_first_that_is_no_pass() -> None:
    """Given in any order; the verdicts up to the stop are on the sample, with their evidence."""
    gates = arranged([judged(), *reversed(text_gates()), of_type(), one_answer(), agreement()])
    names = [gate.name for gate in gates.gates]
    assert names == sorted(names, key=ORDER.index)

    sample, stopped = gates(GOOD, DOC)
    assert [(v.gate, v.outcome) for v in sample.gates] == [(name, PASS) for name in names[:-1]] + [("judge", UNKNOWN)]
    assert stopped is sample.gates[-1]
    sample, stopped = gates(replace(GOOD, signals={"judge": "yes"}), DOC)
    assert (stopped, sample.gates[3].evidence) == (None, {"question_chars": 53, "solution_tokens": 8})
    sample, stopped = gates(replace(GOOD, question="See the figure below."), DOC)
    assert [v.gate for v in sample.gates] == ["parse", "finish", "language", "length", "self_contained"]


def test_gates_that_make_no_sense_are_refused() -> None:
    """Unknown names, a second of one name, and proofs without a judge."""
    with pytest.raises(UsageError, match="gates: beauty is no gate"):
        arranged([given("beauty", lambda _: (PASS, "", {}))])
    with pytest.raises(UsageError, match="there twice"):
        arranged([faithful(), new()])
    with pytest.raises(UsageError, match="add the judge"):
        of_type(("open", "proof"))


@pytest.mark.parametrize(
    ("name", "changes", "wanted"),
    [
        ("parse", {"question": " "}, (FAIL, "no_question")),
        ("parse", {"solution": "", "answer": ""}, (FAIL, "no_solution")),
        ("parse", {"format": "textbook"}, (FAIL, "no_text")),
        ("finish", {"generation": replace(MADE, finish="length")}, (PASS, "length")),
        ("finish", {"generation": replace(MADE, finish="length"), "format": "cot"}, (FAIL, "length")),
        ("finish", {"generation": replace(MADE, finish="content_filter")}, (FAIL, "content_filter")),
        ("finish", {"generation": replace(MADE, finish="")}, (UNKNOWN, "not_told")),
        ("finish", {"generation": replace(MADE, finish="abort")}, (UNKNOWN, "abort")),
        ("language", {"language": "zh"}, (FAIL, "other")),
        ("language", {"solution": "所以答案是二，因为六除以三等于二。"}, (FAIL, "other")),
        ("language", {"solution": "Here is the refined question you want."}, (FAIL, "prompt_words")),
        ("length", {"question": "What is 1+1?"}, (FAIL, "short_question")),
        ("length", {"question": "求一加一的值等于几", "language": "zh"}, (PASS, "")),
        ("length", {"question": "What is " + "1+" * 3000}, (FAIL, "long_question")),
        ("length", {"solution": "so " * 5000}, (FAIL, "long_solution")),
        ("length", {"text": "A short section."}, (FAIL, "short_text")),
        ("self_contained", {"question": "In the diagram, what is the angle?"}, (FAIL, "figure")),
        ("self_contained", {"question": "如图，求角的大小。"}, (FAIL, "figure")),
        ("self_contained", {"question": "Use the above theorem to find $x$."}, (FAIL, "context")),
        ("self_contained", {"question": "由上述定理求 $x$ 的值。"}, (FAIL, "context")),
        ("self_contained", {"question": "What is the area above the graph of $y=x$ and below $y=2$?"}, (PASS, "")),
        ("latex", {"solution": "It is $2."}, (FAIL, "dollars")),
        ("latex", {"solution": "It is $\\frac{1{2}$."}, (FAIL, "formula")),
    ],
)  # fmt: skip
def test_rules_of_texts(name: str, changes: dict[str, Any], wanted: tuple[str, str]) -> None:
    """Each rule with what it refuses, and near it what it lets pass."""
    assert text_verdict(name) == (PASS, "")
    assert text_verdict(name, **changes) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$a$ and $$b$$, \\(c\\) \\[d\\] \\$5", ""), ("$x,$$y,$ and $z$", ""), ("$$a$ b$$", "dollars"), ("\\(a", "brackets"),
        ("\\(a\\]", "brackets"), ("\\\\[2pt] \\(a\\)", ""), ("\\left( a", "braces"), ("\\begin{a}x\\end{b}", "braces"), ("a } b", "braces"),
        ("```python\nprint('$')\n``` costs", ""),
    ],
)  # fmt: skip
def test_balance(text: str, wanted: str) -> None:
    """Dollars, brackets, braces and environments; code is none of it."""
    assert unbalanced(text) == wanted


@supplied(st.text(alphabet="$\\[](){}a \n"))
def test_any_text_is_balanced_or_not(text: str) -> None:
    """No text breaks the rule, and none is called both: a text beside itself is not worse than alone."""
    assert unbalanced(text) in {"", "dollars", "brackets", "formula", "braces"}
    if not unbalanced(text + "\n"):
        assert unbalanced(f"{text}\n\n{text}\n") == ""


def test_solutions_of_math_are_balanced(shared_data: Path) -> None:
    """Of 5,000 problems and their solutions none is called open."""
    with gzip.open(shared_data / "benchmarks" / "math" / "test.jsonl.gz") as file:
        rows = [orjson.loads(line) for line in file]

    assert len(rows) == 5000
    assert [row["idx"] for row in rows if unbalanced(row["problem"]) or unbalanced(row["solution"])] == []


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Prove that $2$ is prime.", "proof"), ("证明：$2$ 是素数。", "proof"), ("Is $91$ a prime number?", "binary"),
        ("判断正误：$2$ 是奇数", "binary"), ("Which is prime? (A) 4 (B) 5 (C) 6", "choice"), ("Find $x$.", "open"),
        ("Which number is it: A. 4\nB. 5\nC. 6", "choice"), ("Is it larger? By how much? Give the difference.", "open"),
    ],
)  # fmt: skip
def test_kinds_of_questions(question: str, kind: str) -> None:
    """Proof, choice, binary, open."""
    assert question_kind(question)[0] == kind
    assert verdict(of_type(("open",)), replace(GOOD, question=question)) == (PASS if kind == "open" else FAIL, kind)


def test_faithful_questions_stand_in_their_document() -> None:
    """All tokens, at least 95 %; one of 21 may be new, two may not."""
    words = " ".join(f"word{chr(97 + k)}" for k in range(20))
    doc = Document("d", words, "en")
    assert verdict(faithful(), GOOD) == (PASS, "")
    assert verdict(faithful(), replace(GOOD, question=words + " new"), doc) == (PASS, "")
    assert verdict(faithful(), replace(GOOD, question=words + " new also"), doc) == (FAIL, "invented")
    assert verdict(faithful(), replace(GOOD, question="$$")) == (FAIL, "invented")


def test_new_questions_are_no_copies() -> None:
    """A copy of the source is refused, and a question of other words is not."""
    assert verdict(new(), GOOD) == (FAIL, "copied")
    assert verdict(new(), replace(GOOD, question="How many apples are left when Ann eats two of seven?")) == (PASS, "")
    assert verdict(new(), replace(GOOD, question="", text=DOC.text)) == (FAIL, "copied")


@supplied(
    st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 4)
)
def test_shares_are_shares(part: list[str], whole: list[str], n: int) -> None:
    """0 to 1, and 1 for what stands inside."""
    assert 0 <= contained(part, whole) <= 1
    assert 0 <= copied(part, whole, n) <= 1
    if part:
        assert contained(part, [*whole, *part]) == copied(part, [*whole, *part], n) == 1


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, (PASS, "")), ({"answer": ""}, (FAIL, "none")), ({"answer": "so " * 100}, (FAIL, "long")),
        ({"format": "cot", "solution": "It is 2."}, (FAIL, "none")),
        ({"format": "cot", "solution": "\\boxed{2} or \\boxed{3}"}, (FAIL, "several")),
        ({"question": "Prove that it is so.", "answer": ""}, (PASS, "proof")),
    ],
)  # fmt: skip
def test_one_answer(changes: dict[str, Any], wanted: tuple[str, str]) -> None:
    """In tags for a pair, boxed for a solution; none is asked of proofs."""
    assert verdict(one_answer(), replace(GOOD, **changes)) == wanted


@pytest.mark.parametrize(
    ("votes", "wanted"),
    [
        ({}, (PASS, "")), ({"n_parsed": 0}, (UNKNOWN, "no_votes")), ({"share": 0.49}, (FAIL, "share")), ({"margin": 1}, (FAIL, "margin")),
        ({"agrees": False}, (FAIL, "outvoted")), ({"reference": "different"}, (FAIL, "reference")),
        ({"reference": "unknown"}, (UNKNOWN, "reference")), ({"reference": "equal"}, (PASS, "")),
    ],
)  # fmt: skip
def test_agreement(votes: dict[str, Any], wanted: tuple[str, str]) -> None:
    """Half of the votes, two more than the next, this one among them, and the reference not against it."""
    assert verdict(agreement(), replace(GOOD, votes=VOTES | votes)) == wanted
    assert verdict(agreement(), replace(GOOD, votes={})) == (UNKNOWN, "no_votes")


def test_guesses_need_more_votes() -> None:
    """Two thirds are enough for an open question and not for a choice; proofs have no votes."""
    votes = VOTES | {"share": 0.67}
    assert verdict(agreement(), replace(GOOD, votes=votes)) == (PASS, "")
    assert verdict(agreement(), replace(GOOD, votes=votes, question="Which is it? (A) 4 (B) 5 (C) 6")) == (
        FAIL,
        "share",
    )
    assert verdict(agreement(), replace(GOOD, votes={}, question="Prove it: show that it holds.")) == (PASS, "proof")


@pytest.mark.parametrize(
    ("judge", "wanted"), [("yes", (PASS, "")), ("no", (FAIL, "refuted")), ("unknown", (UNKNOWN, "no_verdict"))]
)
def test_judges(judge: str, wanted: tuple[str, str]) -> None:
    """Only yes is a pass."""
    assert verdict(judged(), replace(GOOD, signals={"judge": judge})) == wanted


@pytest.mark.parametrize(
    ("signals", "wanted"),
    [
        ({"reward": 1.0, "reward_rank": 0}, (PASS, "")),
        ({"reward": 0.1, "reward_rank": 0}, (FAIL, "low_reward")), ({"reward": float("nan"), "reward_rank": 0}, (UNKNOWN, "no_reward")),
        ({}, (UNKNOWN, "no_reward")),
    ],
)  # fmt: skip
def test_rewards(signals: dict[str, Any], wanted: tuple[str, str]) -> None:
    """The best of n, if it is good enough; a missing or broken number is unknown."""
    assert verdict(rewarded(1, 0.5), replace(GOOD, signals=signals)) == wanted


def test_the_best_is_the_first_that_comes_as_far() -> None:
    """Solutions of a question come best first, and some were stopped before; another question has a best of its own."""
    gate = rewarded(2)
    came = [replace(GOOD, signals={"reward": -rank, "reward_rank": rank}) for rank in (1, 2, 4)]
    assert [verdict(gate, one)[1] for one in came] == ["", "", "not_best"]
    assert verdict(gate, replace(came[2], parents=("another",))) == (PASS, "")


def test_duplicates_are_those_of_other_parents_and_equal_texts() -> None:
    """Solutions of one question stay together; the same question from elsewhere goes, and so does what a rule finds."""
    gate = given("duplicate", Seen(lambda sample: "d9" if "close" in sample.solution else None))
    assert verdict(gate, GOOD) == (PASS, "")
    assert verdict(gate, replace(GOOD, solution="Another way.")) == (PASS, "")
    assert verdict(gate, GOOD) == (FAIL, "text")
    assert verdict(gate, replace(GOOD, question=GOOD.question.upper(), parents=("d2",))) == (FAIL, "question")
    assert verdict(gate, replace(GOOD, solution="A close one.")) == (FAIL, "near")


def test_what_others_say_is_kept() -> None:
    """A function's verdict and evidence, as of code or decontamination; unknown stops like fail."""
    gates = arranged(
        [
            given("contamination", lambda s: (FAIL, "near", {"item": "gsm8k/7"})),
            given("code", lambda s: (PASS, "", {}), 3),
        ]
    )
    sample, stopped = gates(GOOD, DOC)
    assert stopped is not None
    assert (stopped.gate, stopped.reason, stopped.evidence) == ("contamination", "near", {"item": "gsm8k/7"})
    assert [(v.gate, v.version) for v in sample.gates] == [("code", 3), ("contamination", 1)]


@pytest.mark.parametrize(
    ("failure", "wanted"),
    [
        ("", (PASS, "")),
        ("other_value", (FAIL, "other_value")),
        ("code_error", (FAIL, "code_error")),
        ("code_timeout", (UNKNOWN, "code_timeout")),
    ],
)
def test_code_has_to_run_and_agree(failure: str, wanted: tuple[str, str]) -> None:
    """What was stopped is unknown, and a solution in words has no code."""
    gate = ran(lambda _: ToolVerdict(failure, (Run("ok", "2"),)))
    assert verdict(gate, replace(GOOD, format="code")) == wanted
    assert verdict(gate, GOOD) == (PASS, "no_code")
    assert gate.check(replace(GOOD, format="code"), DOC)[2] == {"runs": [{"status": "ok", "printed": "2"}]}

"""What models write, taken apart: strict tags, nothing lost of LaTeX, and no text that breaks the parser."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.parse import (
    Pair,
    Parsed,
    escape,
    parse_ids,
    parse_pairs,
    parse_text,
    parse_verdict,
    spoken,
    unescape,
)

FAST_SOLUTIONS = 250  # of the 5,000; all of them in the slow test
PAIR = "<qa>\n<question>\nWhat is $1+1$?\n</question>\n<answer>2</answer>\n<solution>$1+1=2$</solution>\n</qa>"
TAGS = st.sampled_from(
    ["<qa>", "</qa>", "<question>", "</question>", "<answer>", "</answer>", "<solution>", "</solution>", "<none/>", "<text>",
     "</text>", "<verdict>", "</verdict>", "<think>", "</think>", "&lt;qa>", "&amp;lt;qa>", "<block 3>", "\n", "x", "YES", "\ud800"]
)  # fmt: skip
MODEL_TEXT = st.one_of(st.text(), st.lists(TAGS, max_size=24).map("".join))


def pair_of(question: str, answer: str, solution: str) -> str:
    """As a model writes it when it copies what it was shown."""
    parts = {"question": question, "answer": answer, "solution": solution}
    return "<qa>" + "".join(f"<{tag}>\n{escape(text)}\n</{tag}>" for tag, text in parts.items()) + "</qa>"


def test_pairs_come_out_in_order_and_what_stands_outside_is_counted() -> None:
    """Two pairs between remarks: both, and the 8 characters of the remarks that are no blanks."""
    found = parse_pairs(f"Sure: {PAIR} and\n{PAIR}")

    assert found == Parsed((Pair("What is $1+1$?", "2", "$1+1=2$"),) * 2, outside=8)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("There are none.", "no_tags"),
        ("", "no_tags"),
        (PAIR + "<none/>", "none_and_pairs"),
        (PAIR.replace("</qa>", ""), "unclosed"),
        ("<qa>" + PAIR, "nested:qa"),
        (PAIR.replace("<answer>2</answer>", ""), "order:solution"),
        (PAIR.replace("<answer>2</answer>", "<answer>2</answer>" * 2), "order:answer"),
        (PAIR.replace("<qa>", "<qa id=1>"), "order:question"),
        ("<qa><question> </question><answer></answer><solution></solution></qa>", "empty_question"),
        ("<think>is it <none/>", "unclosed_think"),
    ],
)
def test_bent_tags_are_refused_with_a_reason(text: str, failure: str) -> None:
    """Nothing is guessed: the text is refused whole."""
    found = parse_pairs(text)

    assert (found.failure, found.pairs) == (failure, ())


def test_a_cut_off_text_keeps_its_complete_pairs() -> None:
    """The last pair, begun and not ended, is dropped and counted; without a complete one the text is refused."""
    begun = PAIR[:40]

    assert parse_pairs(PAIR + begun, cut=True) == Parsed((Pair("What is $1+1$?", "2", "$1+1=2$"),), dropped=1)
    assert parse_pairs(begun, cut=True).failure == "truncated"
    assert parse_pairs(PAIR + begun).failure == "unclosed"


def test_nothing_is_an_answer() -> None:
    """`<none/>`, alone or behind thoughts that speak of pairs, is no failure."""
    assert parse_pairs("<none/>") == parse_text("<none/>") == Parsed()
    assert parse_pairs(f"<think>{PAIR}</think>\n<none/>") == Parsed()


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("plain", "no_tags"), ("<text>a", "unclosed"), ("</text>", "order:text"), ("<text>a</text><text>b</text>", "order:text"),
        ("</text><text>", "order:text"), ("<none/><text>a</text>", "none_and_text"), ("<text>\n\n</text>", "empty_text"),
    ],
)  # fmt: skip
def test_texts_are_refused_like_pairs(text: str, failure: str) -> None:
    """One `<text>` and nothing else."""
    assert parse_text(text).failure == failure


def test_one_text_comes_out() -> None:
    """Without the tags' own lines, with LaTeX untouched."""
    assert parse_text("Here:\n<text>\n$\\frac{1}{2}$\n\n</text>") == Parsed(text="$\\frac{1}{2}$\n", outside=5)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3, 5-7", ((3, 5, 6, 7), "")), ("7；3、3", ((3, 7), "")), ("3 至 5", ((3, 4, 5), "")), ("", ((), "")),
        ("block 3", ((), "not_numbers")), ("3-", ((), "not_numbers")), ("9", ((), "unknown_block")), ("5-3", ((), "bad_range")),
        ("1-999999999", ((), "bad_range")), ("0", ((), "unknown_block")),
    ],
)  # fmt: skip
def test_lists_of_blocks(text: str, wanted: tuple[tuple[int, ...], str]) -> None:
    """Numbers and ranges of blocks that were shown, in both languages' signs."""
    assert parse_ids(text, range(1, 9)) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<reason>ok</reason><verdict>YES</verdict>", ("yes", "")), ("<verdict> 否 </verdict>", ("no", "")),
        ("<verdict>不确定</verdict>", ("unknown", "")), ("YES", ("", "no_verdict")), ("<verdict>maybe</verdict>", ("", "other_verdict")),
        ("<verdict>no</verdict><verdict>yes</verdict>", ("", "verdicts")),
    ],
)  # fmt: skip
def test_verdicts(text: str, wanted: tuple[str, str]) -> None:
    """Yes, no or unknown, once."""
    assert parse_verdict(text) == wanted


@given(MODEL_TEXT, st.booleans())
def test_no_text_breaks_a_parser(text: str, cut: bool) -> None:
    """Any text has a typed outcome: a failure without pairs, or pairs with questions; and rows can hold it."""
    found = parse_pairs(text, cut=cut)
    assert not (found.failure and found.pairs)
    assert all(pair.question.strip() for pair in found.pairs)
    assert 0 <= found.outside <= len(text)
    orjson.dumps([(p.question, p.answer, p.solution) for p in found.pairs] + [parse_text(text).text])
    numbers, failure = parse_ids(text, range(5))
    assert not (numbers and failure)
    verdict, failure = parse_verdict(text)
    assert bool(verdict) != bool(failure)


@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.lists(TAGS, max_size=12).map("".join)))
def test_what_is_escaped_comes_back(text: str) -> None:
    """Our tags, and texts that look like escaped ones, survive; no escaped text holds a tag."""
    kept = text.replace("\ud800", "\ufffd")

    assert unescape(escape(text)) == kept
    assert parse_pairs(pair_of(f"q{text}", text, text)).pairs == (Pair(f"q{kept}", kept, kept),)
    assert spoken(escape(text)) == (escape(text), "")


def solutions(shared_data: Path) -> list[str]:
    """The solutions of MATH's test set."""
    with gzip.open(shared_data / "benchmarks" / "math" / "test.jsonl.gz") as file:
        return [orjson.loads(line)["solution"] for line in file]


def survivors(texts: list[str]) -> int:
    """How many come back byte for byte, on lines of their own and on one line."""
    framed = sum(parse_pairs(pair_of("q", "", text)).pairs == (Pair("q", "", text),) for text in texts)
    inline = "<qa><question>q</question><answer></answer><solution>{}</solution></qa>"
    return min(framed, sum(parse_pairs(inline.format(escape(t))).pairs == (Pair("q", "", t),) for t in texts))


def test_latex_survives_the_parser(shared_data: Path) -> None:
    """A sample of MATH's solutions, byte for byte."""
    texts = solutions(shared_data)[:: 5000 // FAST_SOLUTIONS]

    assert survivors(texts) == len(texts) == FAST_SOLUTIONS


@pytest.mark.slow
def test_all_latex_survives_the_parser(shared_data: Path) -> None:
    """All 5,000 of MATH's solutions, byte for byte."""
    texts = solutions(shared_data)

    assert survivors(texts) == len(texts) == 5000

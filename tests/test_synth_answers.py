"""Final answers: found by their mark alone, written one way; numerals of two languages; units; shapes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_numerals import chinese

from synth.answers import MAX_LENGTH, Extracted, extract_answer, normalise
from synth.numerals import chinese_integer, value_of
from synth.shapes import read
from synth.units import split_unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so <answer>12</answer>", Extracted("12", "tag", differing=False)),
        ("<answer>\n\\boxed{12}\n</answer>", Extracted("12", "tag", differing=False)),
        ("\\boxed{11} <answer>12</answer>", Extracted("12", "tag", differing=False)),
        ("thus \\boxed{\\frac{1}{2}}.", Extracted("\\frac{1}{2}", "boxed", differing=False)),
        ("\\boxed{\\{1, 2\\}}", Extracted("\\{1, 2\\}", "boxed", differing=False)),
        ("\\boxed{\\text{a \\} b}}", Extracted("\\text{a \\} b}", "boxed", differing=False)),
        ("\\boxed {7}", Extracted("7", "boxed", differing=False)),
        ("\\boxed{\\dfrac12}, that is \\boxed{\\frac{1}{2}}", Extracted("\\frac{1}{2}", "boxed", differing=False)),
        ("\\boxed{2} or \\boxed{3}", Extracted("3", "boxed", differing=True)),
        ("\\boxed{2} and then \\boxed{3", Extracted("2", "boxed", differing=False)),
        ("the answer is 12", None),
        ("答案是 12", None),
        ("\\boxed{}", None),
        ("<answer> </answer>", None),
        ("<answer>12", None),
        ("", None),
    ],
)
def test_an_answer_is_found_by_its_mark(text: str, expected: Extracted | None) -> None:
    """Tags before boxes, the last of them; balanced; never the last number."""
    assert extract_answer(text) == expected


def test_an_answer_of_a_page_is_none() -> None:
    """What is longer than any final answer is not one."""
    assert extract_answer("\\boxed{" + "1" * (MAX_LENGTH + 1) + "}") is None


def test_open_braces_cost_no_quadratic_time() -> None:
    """A loop of a model that writes a box without end."""
    assert extract_answer("\\boxed{" * 3000) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("$\\dfrac12$", "\\frac{1}{2}"),
        ("\\left( 3, \\frac { \\pi } { 2 } \\right)", "(3, \\frac{\\pi}{2})"),
        ("３．５", "3.5"),
        ("x²", "x^{2}"),
        ("2½", "2 1/2"),
        ("①③", "(1)(3)"),
        ("30^\\circ", "30°"),
        ("30^{\\circ}", "30°"),
        ("12,\\!345", "12,345"),
        ("12{,}345", "12,345"),
        ("1, 234", "1, 234"),
        ("\\$5", "$5"),
        ("$5$ 元", "5 元"),
        ("50\\%", "50%"),
        ("5\\text{ m}", "5~m"),
        ("5 m", "5~m"),
        ("5m", "5m"),
        ("最终答案：58。", "58"),
        ("The final answer is: 58.", "58"),
        ("故选：C。", "C"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
        ("x \\geqslant 3", "x\\ge 3"),
        ("100000000!", "100000000!"),
    ],
)
def test_answers_are_written_one_way(answer: str, expected: str) -> None:
    """Signs, layout and words around an answer; what changes its value stays."""
    assert normalise(answer) == expected


@given(st.text(max_size=60))
def test_any_text_is_normalised_and_read(text: str) -> None:
    """Whatever a model writes: no exception, and what is normal stays what it is read as."""
    assert read(text).kind
    assert isinstance(normalise(text), str)


@given(st.integers(0, 10**12 - 1))
def test_chinese_numerals_are_read_as_they_are_said(number: int) -> None:
    """Against the twin that writes them."""
    assert chinese_integer(chinese(number)) == number


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_fractions_are_read_in_both_languages(over: int, under: int) -> None:
    """Five writings of one value."""
    value = Fraction(over, under)
    writings = [f"{over}/{under}", f"\\frac{{{over}}}{{{under}}}", f"{chinese(under)}分之{chinese(over)}"]
    writings.append(f"{over // under}\\frac{{{over % under}}}{{{under}}}")

    assert [value_of(text) for text in writings] == [value] * 4
    assert value_of("-" + writings[1]) == value_of("负" + writings[2]) == -value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("两万三千", 23_000), ("三百五", 350), ("三百零五", 305), ("二〇二四", 2024), ("一亿二千万", 120_000_000), ("1.5亿", 150_000_000),
        ("3千", 3000), ("三点一四", Fraction(157, 50)), ("二又二分之一", Fraction(5, 2)), ("一半", Fraction(1, 2)),
        ("0.\\overline{3}", Fraction(1, 3)), ("0.1\\overline{6}", Fraction(1, 6)), ("0.\\dot{1}4285\\dot{7}", Fraction(1, 7)),
        ("1,234,567.5", Fraction("1234567.5")), ("3\\times 10^{4}", 30_000), ("2e-3", Fraction(1, 500)), (".5", Fraction(1, 2)),
    ],
)  # fmt: skip
def test_numbers_are_exact(text: str, value: Fraction | int) -> None:
    """Decimals, repeating ones, powers of ten, colloquial forms."""
    assert value_of(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1/0",
        "\\frac{1}{0}",
        "零分之一",
        "1e999999999",
        "1" * 100,
        "二三",
        "十十",
        "三百百",
        "12,34",
        "--1",
        "1.2.3",
        "又",
        "点",
        "万分",
    ],
)
def test_what_is_no_number_has_no_value(text: str) -> None:
    """None, at once: a power of ten can be a bomb."""
    assert value_of(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5~m", ("5", "length", 1)), ("5m", ("5m", "", 1)), ("12 平方厘米", ("12", "area", Fraction(1, 10_000))),
        ("3个", ("3", "", 1)), ("25%", ("25", "percent", 1)), ("百分之二十", ("二十", "percent", 1)), ("$5", ("5", "dollars", 1)),
        ("7 (people)", ("7", "noun:people", 1)), ("3rd", ("3", "", 1)), ("第三", ("三", "", 1)), ("3~x", ("3~x", "", 1)),
        ("2\\pi ~cm", ("2\\pi", "length", Fraction(1, 100))),
    ],
)  # fmt: skip
def test_units_are_taken_off(text: str, expected: tuple[str, str, Fraction]) -> None:
    """One letter is a unit only where words show it."""
    assert split_unit(text) == expected


@pytest.mark.parametrize(
    ("answer", "kind", "parts"),
    [
        ("C", "choice", 0), ("C. 12", "choice", 1), ("A、C 和 D", "choice", 0), ("2 或 3", "several", 2), ("x=2, 3", "several", 2),
        ("\\{1,2,3\\}", "several", 3), ("(1,2)", "tuple", 2), ("[1,2]", "interval", 2), ("(1,\\infty)", "interval", 2),
        ("x\\ge3 或 x\\le-1", "union", 2), ("1<x\\le2", "interval", 2), ("1;2", "sequence", 2), ("3:4", "ratio", 2),
        ("1,234", "number", 0), ("1\\pm\\sqrt2", "several", 2), ("linear", "word", 0), ("10和11之间", "expression", 0),
        ("2x-y=0", "equation", 0), ("\\sqrt2", "expression", 0), ("①③", "circled", 0), ("", "nothing", 0),
    ],
)  # fmt: skip
def test_kinds_of_answers(answer: str, kind: str, parts: int) -> None:
    """What an answer is, and of how many parts."""
    shape = read(answer)

    assert (shape.kind, len(shape.parts)) == (kind, parts)

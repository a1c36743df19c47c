"""Votes by equality: classes, share, margin, whatever the order."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from synth.numerals import value_of
from synth.votes import Vote, vote


def same_value(left: str, right: str) -> bool:
    """Numbers alone; others are unknown, which is not equal."""
    value = value_of(left)
    return value is not None and value == value_of(right)


def test_one_value_in_several_spellings_is_one_class() -> None:
    """By spelling, 3 would have won; samples without an answer count in the share."""
    told = vote(["1/2", "0.5", "\\frac{1}{2}", "3", "3", None], same_value)

    assert told == Vote("0.5", 0.5, 1, 6, 5, (3, 2))


def test_a_draw_has_no_margin() -> None:
    """The winner is then a matter of spelling, and margin 0 says so."""
    assert vote(["2", "1"], same_value) == Vote("1", 0.5, 0, 2, 2, (1, 1))


def test_no_answers() -> None:
    """None wins."""
    assert vote([], same_value) == Vote("", 0.0, 0, 0, 0, ())
    assert vote([None, None], same_value) == Vote("", 0.0, 0, 2, 0, ())


def test_unknown_is_a_class_of_its_own() -> None:
    """What cannot be compared joins nothing, but the same spelling."""
    assert vote(["x", "y", "$x$"], same_value).classes == (2, 1)


def test_a_chain_of_equal_ones_is_one_class() -> None:
    """Equality is closed, so that no order decides."""
    near = lambda a, b: abs(int(a) - int(b)) <= 1  # noqa: E731 - one line is clearest

    assert vote(["1", "3", "2"], near).classes == (3,)


answers = st.lists(st.none() | st.sampled_from(["1/2", "0.5", "2", "4/2", "x", "3"]), max_size=9)


@given(answers, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(samples: list[str | None], draw: object) -> None:
    """Winner, share, margin and classes are those of the multiset."""
    turned = list(samples)
    draw.shuffle(turned)  # type: ignore[attr-defined]

    assert vote(samples, same_value) == vote(turned, same_value)


@given(st.lists(st.sampled_from(["1/2", "0.5", "2", "4/2", "3"]), min_size=1, max_size=9))
def test_votes_are_those_of_a_plain_count(samples: list[str]) -> None:
    """Against counting exact values."""
    values: dict[Fraction, int] = {}
    for sample in samples:
        value = value_of(sample)
        assert value is not None
        values[value] = values.get(value, 0) + 1

    assert vote(samples, same_value).classes == tuple(sorted(values.values(), reverse=True))

"""A match of formulas alone is for review, and a short item needs its signs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.benchmarks import Item
from decontam.index import build_index
from decontam.match import DecontaminationParams, match_batch
from decontam.wording import Wording, has_signs, has_wording, says_words, sign_digests, signs_of
from filters.text import pack, token_strings, tokenise
from tests.naive_decontam import naive_lcs


def words_of(text: str) -> list[str]:
    """The tokens of a text that are words."""
    batch = pack([text])
    tokens = tokenise(batch)
    flags = says_words(tokens.folded, tokens.folded_ends, batch.data, tokens.starts)
    return [token for token, word in zip(tokens.strings(0), flags.tolist(), strict=True) if word]


def test_words_are_no_numbers_letters_or_commands() -> None:
    """Names of variables, numbers and LaTeX commands are what a formula is made of."""
    text = r"Solve $\frac{ab}{x} + 3\alpha + β = 1{,}234$ 求解 for the Élan of 2nd"

    assert words_of(text) == ["solve", "ab", "求", "解", "for", "the", "elan", "of", "nd"]


@settings(deadline=None)
@given(st.lists(st.text("ab", min_size=2, max_size=3), max_size=9), st.lists(st.text("ab", max_size=3), max_size=9))
def test_wording_agrees_with_its_twin(item: list[str], text: list[str]) -> None:
    """The share of the common words is over the shorter of both, and must be above a third."""
    batches = [pack([" ".join(words)]) for words in (item, text)]
    tokens = [tokenise(batch) for batch in batches]
    wordings = [
        Wording(t.hashes, t.offsets, says_words(t.folded, t.folded_ends, b.data, t.starts))
        for t, b in zip(tokens, batches, strict=True)
    ]
    window = (np.array([0]), np.array([0]), np.array([len(tokens[1].hashes)]))

    got = has_wording(wordings[0], wordings[1], window, (1, 3))

    own, other = words_of(" ".join(item)), words_of(" ".join(text))
    assert got.tolist() == [len(own) < 3 or 3 * naive_lcs(own, other) > min(len(own), len(other))]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Solve  |X−2| < 1", True),  # another minus, another case
        ("solve(x**2 - 1", False),
        ("Solve |x+2|<1", False),
        ("solve |x-2|<1=", True),  # what follows the last token is not the item's
        ("Solve $|x - 2| < 1$.", True),
    ],
)
def test_signs_tell_short_formulas_apart(text: str, same: bool) -> None:
    """Operators between the first and last token count, whatever form they have."""
    one, other = sign_digests([b"Solve |x-2|<1", text.encode()])

    assert bool(one == other) is same


def test_hyphens_of_words_are_no_signs() -> None:
    """A typist's choice of "right-angled" or "right angled" moves no verdict."""
    one, other, third = sign_digests([b"a right-angled box of 2", b"a right angled box of 2", b"2-x"])

    assert one == other != third


def test_signs_are_kept_from_who_has_no_key() -> None:
    """A private index does not show which of two texts it holds."""
    assert sign_digests([b"1+1"], b"key") != sign_digests([b"1+1"])


SERIES = "Solve for $x$: $x-2x+3x-4x+5x-6x+7x=20$"
PROGRAM = "x, 2*x, 3*x, 4*x, 5*x, 6*x, 7*x, 20"


def operators_of(text: str) -> list[tuple[str, str]]:
    """Each operator of a text with the token behind it."""
    tokens = token_strings(text, operators=True)
    return [pair for pair in itertools.pairwise(tokens) if pair[0] in "+-*/=<>"]


@settings(deadline=None)
@given(st.text("ab1+-= ", max_size=20), st.lists(st.text("ab1+-= ", max_size=20), min_size=1, max_size=3))
def test_operators_agree_with_their_twin(item: str, texts: list[str]) -> None:
    """Their share is over the shorter of both, and must be above a third; no operators are not missed."""
    got = has_signs(
        signs_of([b"=5", item.encode()]), signs_of([t.encode() for t in texts]), np.ones(len(texts), int), (1, 3)
    )

    own = operators_of(item)
    others = [operators_of(text) for text in texts]
    common = [sum(pair in other for pair in own) for other in others]
    assert got.tolist() == [
        not own or 3 * n > min(len(own), len(other)) for n, other in zip(common, others, strict=True)
    ]


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SERIES, "exact"),
        ("x - 2x + 3x − 4x + 5x - 6x + 7x = 20", "exact"),  # the formula alone, another minus
        (PROGRAM, "review"),
        ("x, 2 x, 3 x, 4 x, 5 x, 6 x, 7 x, 20", "review"),  # no operator at all
    ],
)
def test_a_formula_without_words_needs_its_operators(text: str, kind: str, private: bool) -> None:
    """A list of a program has the tokens of a series, and none of its signs."""
    index = build_index([Item("set", "test", 0, "question", SERIES)], private=private)

    (matches,) = match_batch(index, [f"As follows. {text}\nThat is all there is."], DecontaminationParams())

    assert [match.kind for match in matches] == [kind]

"""The wide net: the twin, paraphrases in pages, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_wide import naive_wide

from decontam import wide
from decontam.benchmarks import load_benchmarks
from decontam.wide import MAX_PAIRS, PAIRS_TOKENS, make_net, wide_pairs
from filters.text import token_strings

PARAPHRASES = [orjson.loads(line) for line in (Path(__file__).parent / "paraphrases.jsonl").read_bytes().splitlines()]
QUESTION = "A baker fills 14 trays with 36 rolls each and sells 289 of them by noon. How many rolls are left at noon?"
RETOLD = "By noon 289 rolls were sold. Since the baker had filled 14 trays, each with 36 rolls, how many remained?"
WORDS = [*"abcde", "fields", "field", "fieldsman", "1", "22", "3.5", "树", "花", "桃", "naïves", "жук", "\\frac"]


def texts(size: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join), max_size=size)


@settings(max_examples=150, deadline=None)
@given(texts=texts(4), questions=texts(6), least=st.integers(1, 6), window=st.sampled_from([3, 16, 100]))
def test_the_net_is_its_twin(texts: list[str], questions: list[str], least: int, window: int) -> None:
    """Every pair, its region, score and share, in order; small windows make many blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide, "MIN_SCORE", least)
        patch.setattr(wide, "MAX_WINDOW", window)
        patch.setattr(wide, "_MIN_QUESTIONS", 8)
        found = wide_pairs(make_net(questions), texts, [[]] * len(texts))
    tokens = [token_strings(text) for text in texts]
    asked = [token_strings(text) for text in questions]
    margins = [min(window, len(question) * 3 // 2) // 3 for question in asked]

    assert [[(p.question, *p.window, p.score, p.share) for p in catch.pairs] for catch in found] == [
        [
            (q, max(0, begin - margins[q]), min(len(text), end + margins[q]), score, share)
            for q, begin, end, score, share in pairs
        ]
        for text, pairs in zip(tokens, naive_wide(tokens, asked, least, window, 8), strict=True)
    ]


def test_a_paraphrase_is_caught_in_a_page_and_its_region_holds_it() -> None:
    """The region of the pair is the paraphrase and little around it; other questions are not caught."""
    page = f"{'Rien ici n’est à propos. ' * 200}{'Nothing here is about bread. ' * 200}{RETOLD}{' The museum opens at nine on weekdays.' * 200}"
    net = make_net(["Solve x + 3 = 7.", QUESTION, "How many cats sleep on the roof of the inn?"])

    [([pair], left_out)] = wide_pairs(net, [page], [[]])
    region = page[slice(*pair.span)]

    assert (pair.question, left_out) == (1, 0)
    assert RETOLD.rstrip("?") in region
    assert len(region) < 3 * len(RETOLD)
    assert token_strings(region) == token_strings(page)[slice(*pair.window)]
    assert pair.share > 0.6


def test_words_far_apart_or_of_another_subject_are_not_caught() -> None:
    """The same words scattered over a long page make no pair, and neither does a text of other words."""
    scattered = " ".join(f"{word} and then something else {'happened here ' * 20}" for word in RETOLD.split())

    found = wide_pairs(make_net([QUESTION]), [scattered, "a text of other words", ""], [[], [], []])

    assert found == [([], 0)] * 3


def test_what_is_known_is_skipped_and_empty_questions_are_never_caught() -> None:
    """A question that the rules found already is not asked about; a private item has no text."""
    net = make_net(["", QUESTION, QUESTION])

    found = wide_pairs(net, [RETOLD] * 2, [[1], []])

    assert [[p.question for p in catch.pairs] for catch in found] == [[2], [1, 2]]


def test_pairs_of_a_text_are_bounded_and_the_rest_is_counted() -> None:
    """The best are kept, ties by question; a longer text may have more."""
    net = make_net([QUESTION] * (2 * MAX_PAIRS + 5))

    [short, longer] = wide_pairs(net, [RETOLD, f"{RETOLD} {'other words ' * PAIRS_TOKENS}"], [[], []])

    assert [p.question for p in short.pairs] == list(range(MAX_PAIRS))
    assert short.left_out == MAX_PAIRS + 5
    assert (len(longer.pairs), longer.left_out) == (2 * MAX_PAIRS + 5, 0)


def test_the_set_is_whole() -> None:
    """Paraphrases in both languages, each of one row."""
    rows = {(p["benchmark"], p["row"]) for p in PARAPHRASES}

    assert len(rows) == len(PARAPHRASES) == 74
    assert sum(p["held_out"] for p in PARAPHRASES) == 26


def test_paraphrases_of_published_questions_are_caught(shared_data: Path) -> None:
    """Floors of the share of paraphrases caught among all 23,626 questions: those it was chosen by, and the others."""
    questions = [i for i in load_benchmarks([shared_data / "benchmarks"]) if i.field == "question"]
    number = {(q.benchmark, q.row): n for n, q in enumerate(questions) if q.split == "test"}
    found = wide_pairs(make_net([q.text for q in questions]), [p["text"] for p in PARAPHRASES], [[]] * 74)
    caught = [
        number[p["benchmark"], p["row"]] in {pair.question for pair in catch.pairs}
        for p, catch in zip(PARAPHRASES, found, strict=True)
    ]

    assert sum(caught[:48]) / 48 >= 0.88
    assert sum(caught[48:]) / 26 >= 0.84

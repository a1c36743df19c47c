"""Short items match whole and alone; look-alikes are `near`; `qwen2-formula` needs no anchor."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam import formula
from decontam.benchmarks import Item
from decontam.index import Index, build_index
from decontam.match import KINDS, DecontaminationParams, Match, match_batch, scan_batch
from decontam.tables import MIN_MASKED_WORDS, MIN_NEAR_WORDS
from filters.errors import UsageError
from tests.naive_decontam import naive_formula, naive_matches, naive_near

RULE = DecontaminationParams()
SHORT = r"Simplify the fraction $\frac{24}{36}$."
QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)


def index_of(*texts: str) -> Index:
    """The index of one question for each text."""
    return build_index(Item("set", "test", row, "question", text) for row, text in enumerate(texts))


def kinds(index: Index, text: str, params: DecontaminationParams = RULE) -> list[str]:
    """The classes of the matches of one text."""
    return [m.kind for m in match_batch(index, [text], params)[0]]


@pytest.mark.parametrize(
    "text",
    [
        SHORT,
        f"First some words.\n{SHORT}\nThen more words.",
        f"Q: {SHORT} A: 2/3",
        f"(b) {SHORT.rstrip('.')}? It is easy.",
        f'{{"question": "{SHORT.rstrip(".")}", "answer": "2/3"}}',
        f"| 7 | {SHORT.rstrip('.')} | 2/3 |",
        "It was easy. SIMPLIFY the\nfraction $\\dfrac{24}{36}$!",
    ],
    ids=["alone", "a line", "after a colon", "in a list", "in JSON", "in a table", "in other form"],
)
def test_a_short_question_is_found_where_it_stands_alone(text: str) -> None:
    """Six tokens own no 13-gram; as a line, a sentence or a field they are the question all the same."""
    (match,) = match_batch(index_of(SHORT), [text], RULE)[0]

    assert (match.kind, match.lcs, match.ngrams) == ("short", 1.0, 1)
    assert "simplify the" == " ".join(text[slice(*match.span)].lower().split())[:12]
    assert "36" in text[slice(*match.span)]


@pytest.mark.parametrize(
    "text",
    [
        r"We now simplify the fraction $\frac{24}{36}$ by dividing both by 12.",
        r"Simplify the fraction $\frac{24}{36}$ by dividing both by 12.",
        r"Please simplify the fraction $\frac{24}{36}$.",
        r"Simplify the fraction $\frac{24}{37}$.",
        r"Simplify the fraction.",
    ],
    ids=["inside", "goes on", "begins before", "another number", "cut off"],
)
def test_a_short_question_inside_something_longer_is_not_found(text: str) -> None:
    """A textbook says the same words in a sentence; they are counted as loose, not convicted."""
    index = index_of(SHORT)

    assert kinds(index, text, replace(RULE, near=False)) == []


def test_short_questions_can_be_looked_for_anywhere_or_not_at_all() -> None:
    """Both are options: `short_anywhere` also convicts inside a sentence, and without `short` nothing does."""
    index = index_of(SHORT)
    inside = f"We {SHORT.lower().rstrip('.')} now"

    assert kinds(index, inside) == []
    assert kinds(index, inside, replace(RULE, short_anywhere=True)) == ["short"]
    assert kinds(index, SHORT, replace(RULE, short=False)) == []


@pytest.mark.parametrize(
    "text",
    ["12 + 7 + 9", "Add 7", "下列说法中正确的是", "", "下列说法"],
    ids=["numbers", "two tokens", "nine characters", "nothing", "four characters"],
)
def test_questions_that_say_too_little_never_match(text: str) -> None:
    """Numbers alone, two words and a stock phrase of Chinese exams are no items to find."""
    assert kinds(index_of(text), f"Look:\n{text}\nYes.") == []


def test_chinese_characters_count_with_what_stands_between_them() -> None:
    """Ten characters are enough, and so are fewer with numbers or letters."""
    assert kinds(index_of("九只小白兔有多少条腿"), "题目：九只小白兔有多少条腿？答：36") == ["short"]
    assert kinds(index_of("9只兔子有多少条腿？"), "例１：９只兔子有多少条腿？\n") == ["short"]


def test_a_bare_answer_never_matches() -> None:
    """A solution of fewer tokens than an anchor is no evidence, however it stands."""
    index = build_index([Item("set", "test", 0, "solution", "The answer is 42 apples in all boxes")])

    assert kinds(index, "The answer is 42 apples in all boxes") == []


def test_of_several_places_the_first_that_stands_alone_is_shown() -> None:
    """The number of places counts, and one inside a sentence does not."""
    text = f"We {SHORT.lower().rstrip('.')} now.\n{SHORT}\n{SHORT}"

    (match,) = match_batch(index_of(SHORT), [text], RULE)[0]

    assert (match.ngrams, match.span[0]) == (2, text.index("Simplify"))


@pytest.mark.parametrize(
    "text",
    [
        QUESTION.replace("48", "71").replace("half", "twice"),
        " ".join("another" if n % 10 == 9 else word for n, word in enumerate(QUESTION.split())),
        QUESTION.replace("Natalia", "Oksana").replace("clips", "stamps"),
        QUESTION.replace(" and then she sold half as many clips in May", " but only five of them paid her"),
    ],
    ids=["numbers", "one word in ten", "names", "a clause"],
)
def test_look_alikes_are_near(text: str) -> None:
    """What shares most words and no 13-gram, or too few, is a look-alike, and without `near` nothing."""
    found = kinds(index_of(QUESTION), f"Some words before. {text} And after.")

    assert found in (["near"], ["exact"])
    assert kinds(index_of(QUESTION), text, replace(RULE, ngram=13, near=False)) in ([], found)


def test_numbers_alone_changed_need_the_masked_anchor() -> None:
    """Numbers at every fifth word leave no plain anchor; `near_masked` is the option that finds them."""
    item = "Take 3 red pens and 4 blue pens, 5 green cups, 6 black cups and 7 white hats to 8 old friends."
    text = "Take 13 red pens and 14 blue pens, 15 green cups, 16 black cups and 17 white hats to 18 old friends."
    index = index_of(item)

    assert kinds(index, text) == ["near"]
    assert kinds(index, text, replace(RULE, near_masked=False)) == []


def test_an_item_has_one_class_the_strongest() -> None:
    """A verbatim copy is not also a look-alike of itself; another item beside it may be."""
    index = index_of(QUESTION, " ".join("another" if n % 8 == 7 else word for n, word in enumerate(QUESTION.split())))

    assert ["exact", "near"] == kinds(index, QUESTION)
    assert KINDS == ("exact", "short", "near", "judged", "review")


def test_rows_of_numbers_and_powers_are_no_look_alikes() -> None:
    """Anchors of near need different words: every page with line numbers shares 1 2 3 4 5 6 7 8 with some item."""
    index = index_of("What is the sum of $1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11$?")

    assert kinds(index, "\n".join(str(n) for n in range(1, 12))) in ([], ["exact"])
    assert kinds(index, "\n".join(str(n) for n in range(1, 12)), replace(RULE, ngram=13)) == []


def test_loose_ngrams_are_those_that_convict_nothing() -> None:
    """A shared phrase is loose; where an item that holds it is convicted, it is not."""
    phrase = "the smallest positive integer n such that the sum of the first n odd"
    item = f"Find {phrase} primes, divided by the number of students who were absent on the last day of every month"
    index = index_of(item)

    alone, convicted, neither = scan_batch(
        index, [f"{'We ask ' * 20} for {phrase} terms. {'They ask ' * 20}", item, "nothing"], RULE
    )

    assert [0, 1, 0] == [len(scan.matches) for scan in (alone, convicted, neither)]
    assert len(alone.loose) > 2
    assert convicted.loose == neither.loose == ()


def test_a_short_question_inside_a_sentence_is_loose() -> None:
    """It convicts nothing there, and is not loose where it also stands alone."""
    index = index_of(SHORT)
    inside = f"We {SHORT.lower().rstrip('.')} now"

    first, second = scan_batch(index, [inside, f"{inside}.\n{SHORT}"], RULE)

    assert ((index.segments[0].short_id(0),), ()) == (first.loose, second.loose)
    assert (index.segments[0].short_id(0),) == second.matches[0].anchors


words = st.lists(st.sampled_from(["a", "b", "c", "d", "1", "2"]), max_size=30)


@settings(max_examples=200, deadline=None)
@given(documents=st.lists(words, max_size=3), items=st.lists(words.filter(bool), max_size=3, unique_by=tuple))
def test_look_alikes_agree_with_the_twin(documents: list[list[str]], items: list[list[str]]) -> None:
    """Same pairs and ratios as the plain version, over numbers and words; exact ones stay as they are without near."""
    index = build_index([Item("s", "t", r, "question", " ".join(i)) for r, i in enumerate(items)], 5, 3)
    params = DecontaminationParams(ngram=5, near_ngram=3, short=False)

    results = match_batch(index, [" ".join(d) for d in documents], params)

    exact = {key: ratio for key, (ratio, _) in naive_matches(documents, items, 5).items()}
    near = naive_near(documents, items, 5, 3, (MIN_NEAR_WORDS, MIN_MASKED_WORDS))
    expected = {(*key, "near"): ratio for key, ratio in near.items() if key not in exact}
    expected |= {(*key, "exact"): ratio for key, ratio in exact.items()}
    assert expected == {(d, m.item, m.kind): m.lcs for d, matches in enumerate(results) for m in matches}


@settings(max_examples=100, deadline=None)
@given(documents=st.lists(words, max_size=3), items=st.lists(words.filter(bool), max_size=3, unique_by=tuple))
def test_the_formula_agrees_with_its_twin(documents: list[list[str]], items: list[list[str]]) -> None:
    """Every pair whose subsequence has 13 tokens and 0.6 of the shorter, and no other."""
    index = build_index([Item("s", "t", r, "question", " ".join(i)) for r, i in enumerate(items)])

    results = match_batch(index, [" ".join(d) for d in documents], DecontaminationParams(rule="qwen2-formula"))

    expected = {(d, i) for d, a in enumerate(documents) for i, b in enumerate(items) if naive_formula(a, b)}
    assert expected == {(d, m.item) for d, matches in enumerate(results) for m in matches}


def test_the_formula_finds_what_has_no_anchor_and_refuses_documents() -> None:
    """One word in six changed leaves no anchor; a text of more than MAX_TOKENS is wrong use, said in one line."""
    text = " ".join("another" if n % 6 == 5 else word for n, word in enumerate(QUESTION.split()))
    params = DecontaminationParams(rule="qwen2-formula")

    ((match,),) = match_batch(index_of(QUESTION), [text], params)

    assert Match(0, "exact", match.lcs, 0, (0, 31), (0, len(text.rstrip("?"))), ()) == match
    assert kinds(index_of(QUESTION), text) == []
    with pytest.raises(UsageError, match="1024 tokens, not 1025"):
        match_batch(index_of(QUESTION), ["word " * (formula.MAX_TOKENS + 1)], params)


@pytest.mark.parametrize("values", [{"rule": "gpt"}, {"near_ngram": 0}, {"stock_documents": 0}])
def test_options_that_make_no_rule_are_refused(values: dict[str, object]) -> None:
    """The error names the option."""
    with pytest.raises(UsageError, match=next(iter(values))):
        DecontaminationParams(**values)  # type: ignore[arg-type]


def test_an_index_of_other_near_ngrams_is_refused_where_they_matter() -> None:
    """Without look-alikes the index may hold any."""
    index = build_index([], 13, 9)

    with pytest.raises(UsageError, match="near 9-grams"):
        match_batch(index, ["text"], RULE)
    assert [[]] == match_batch(index, ["text"], replace(RULE, near=False))

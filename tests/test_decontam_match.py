"""The rule `qwen-math`: a shared 13-gram, and a common subsequence above 0.6 around it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam import anchors
from decontam.benchmarks import Item, load_benchmarks
from decontam.index import Index, build_index
from decontam.match import DecontaminationParams, Match, match_batch
from filters.errors import UsageError
from filters.text import from_arrow, pack, tokenise
from tests.naive_decontam import naive_lcs, naive_matches

RULE = DecontaminationParams(short=False, near=False)  # the classes of their own have test_decontam_classes.py
BENCHMARKS = Path(__file__).resolve().parents[2] / "shared" / "data" / "benchmarks"

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)
CHINESE = "小明有１２个苹果，小红比小明多３个，他们一共有多少个苹果？"


def filler(tokens: int, word: str = "filler") -> str:
    """A text of `tokens` distinct words that no item of these tests has."""
    return " ".join(f"{word}{chr(97 + i // 676 % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}" for i in range(tokens))


def index_of(*texts: str) -> Index:
    """The index of one question for each text."""
    return build_index(Item("set", "test", row, "question", text) for row, text in enumerate(texts))


def found(index: Index, text: str, params: DecontaminationParams = RULE) -> list[Match]:
    """The matches of one text."""
    return match_batch(index, [text], params)[0]


def test_a_verbatim_copy_inside_a_long_document_is_found() -> None:
    """The match says which item, how much of it, where it was compared and where it stands."""
    text = f"{filler(3000)}. {QUESTION} {filler(3000, 'after')}"

    start = text.index("Natalia")
    # 31 tokens, so 19 13-grams; a quarter of 31 on each side
    index = index_of(QUESTION)
    expected = Match(
        item=0,
        kind="exact",
        lcs=1.0,
        ngrams=19,
        window=(3000 - 7, 3000 + 31 + 7),
        span=(start, start + len(QUESTION) - 1),
        anchors=tuple(range(19)),
    )

    assert [expected] == found(index, text)


@pytest.mark.parametrize(
    "copy",
    [
        QUESTION.replace(" ", "\n"),
        QUESTION.replace("clips to", "clips to\r\n    "),
        QUESTION.upper().replace(",", " --").replace("?", "!!"),
        QUESTION.replace("48", "$48$").replace(".", ". \\quad "),
        QUESTION.replace("48", "４８").replace("N", "Ｎ"),
    ],
    ids=["one word a line", "re-wrapped", "case and punctuation", "mathematics marks", "full width"],
)
def test_a_copy_that_differs_in_form_only_is_found(copy: str) -> None:
    """Line breaks, case, punctuation, layout commands and full-width forms do not hide an item."""
    matches = found(index_of(QUESTION), f"{filler(50)} {copy} {filler(50)}")

    assert [m.lcs for m in matches] == [1.0]


def test_a_chinese_question_is_found_in_another_width() -> None:
    """Characters are tokens, so that a Chinese question has 13-grams; full width is no disguise."""
    copy = "小明有 12 个苹果,小红比小明多 3 个,他们一共有多少个苹果?"

    assert [m.lcs for m in found(index_of(CHINESE), "以下是例题。" + copy + "解答略。")] == [1.0]


def test_one_deleted_word_is_still_caught() -> None:
    """As long as one 13-gram is intact, an edited copy is found, with its ratio."""
    matches = found(index_of(QUESTION), f"{filler(100)} {QUESTION.replace('half ', '')} {filler(100)}")

    assert [round(30 / 31, 4)] == [m.lcs for m in matches]


def test_a_deleted_word_in_each_ngram_is_not_caught() -> None:
    """Without an intact 13-gram there is no anchor: the known limit of the rule."""
    words = QUESTION.split()
    text = " ".join(w for i, w in enumerate(words) if i % 10 != 9)

    assert found(index_of(QUESTION), text) == []


def test_a_shared_ngram_with_a_low_ratio_is_kept() -> None:
    """A stock phrase of 13 tokens does not convict a document that shares nothing else."""
    item = filler(40, "item")
    phrase = " ".join(item.split()[10:23])

    assert found(index_of(item), f"{filler(100)} {phrase} {filler(100)}") == []


@pytest.mark.parametrize(("tokens", "ratios"), [(15, []), (16, [0.64])])
def test_exactly_the_threshold_is_kept(tokens: int, ratios: list[float]) -> None:
    """The ratio must exceed 0.6: 15 tokens of 25 stay, 16 of 25 go."""
    item = filler(25, "item")
    text = f"{filler(100)} {' '.join(item.split()[:tokens])} {filler(100)}"

    assert ratios == [m.lcs for m in found(index_of(item), text)]


def test_an_ngram_across_question_and_solution_does_not_count() -> None:
    """Eight tokens of question and eight of solution in a row hold no n-gram of either."""
    question, solution = filler(8, "question"), filler(8, "solution")
    index = build_index([Item("set", "test", 0, "question", question), Item("set", "test", 0, "solution", solution)])

    assert found(index, f"{question} {solution}") == []


def test_all_items_of_a_document_are_reported() -> None:
    """Question, solution and another set's copy of the question are three matches, in order."""
    solution = filler(30, "solution")
    items = [
        Item("b", "test", 7, "solution", solution),
        Item("b", "test", 7, "question", QUESTION),
        Item("a", "test", 3, "question", QUESTION),
        Item("a", "test", 4, "question", filler(30, "absent")),
    ]
    index = build_index(items)

    matches = found(index, f"{solution} {filler(50)} {QUESTION}")

    assert [items[2], items[1], items[0]] == [index.items[m.item] for m in matches]


def test_the_best_of_several_copies_is_kept() -> None:
    """Of a poor and a good copy the match shows the good one; the n-grams of both are counted."""
    poor = " ".join(QUESTION.split()[:20])
    text = f"{poor} {filler(100)} {QUESTION} {filler(100)} {poor}"

    (hit,) = found(index_of(QUESTION), text)

    assert hit.lcs == 1.0
    assert hit.ngrams == 19 + 8 + 8
    assert QUESTION.rstrip("?") == text[slice(*hit.span)]


def test_the_span_slices_the_original_text() -> None:
    """Characters, not bytes: text of two, three and four bytes a character stands before the copy."""
    text = f"é漢字😀 ｱｲ {CHINESE} 😀終"

    (hit,) = found(index_of(CHINESE), text)

    assert CHINESE.rstrip("？") == text[slice(*hit.span)]


def test_the_span_does_not_reach_back_to_a_stray_word() -> None:
    """A word of the item that stands in the window before the copy is not part of the span."""
    (hit,) = found(index_of(QUESTION), text := f"Natalia sold {filler(4)} {QUESTION}")

    assert text.rindex("Natalia sold clips") == hit.span[0]


def test_a_hash_collision_is_refused_by_the_tokens() -> None:
    """An n-gram hash that is found counts only if all its tokens are the item's."""
    item = filler(20, "item")
    index = index_of(item)
    (segment,) = index.segments
    other = segment.hashes.copy()
    other[10] += 1  # a token of all 8 n-grams: the rest of the item would still pass the ratio

    assert len(found(index, item)) == 1
    assert found(Index((replace(segment, hashes=other),)), item) == []


def test_a_document_shorter_than_the_item_is_its_own_window() -> None:
    """Thirty tokens out of the middle of an item of fifty are a copy; with twenty others they are not."""
    item = filler(50, "item")
    part = " ".join(item.split()[15:45])
    phrase = " ".join(item.split()[15:28])

    assert [(m.lcs, m.window) for m in found(index_of(item), part)] == [(1.0, (0, 30))]
    assert found(index_of(item), f"{phrase} {filler(20)}") == []


def test_empty_documents_and_empty_indexes_match_nothing() -> None:
    """No text, no tokens and no items are no matches, and no error."""
    assert match_batch(index_of(QUESTION), ["", " ", "$", "a b"], RULE) == [[], [], [], []]
    assert match_batch(index_of(QUESTION), [], RULE) == []
    assert match_batch(build_index([]), [QUESTION], RULE) == [[]]
    assert match_batch(index_of("too short"), [QUESTION], RULE) == [[]]


def test_documents_of_a_batch_do_not_touch() -> None:
    """An item cut in two documents is in neither; each document gets its own matches."""
    words = QUESTION.split()
    halves = [" ".join(words[:12]), " ".join(words[12:24])]

    results = match_batch(index_of(QUESTION), [*halves, QUESTION, "", QUESTION], RULE)

    assert [len(r) for r in results] == [0, 0, 1, 0, 1]
    assert results[2] == results[4]


@pytest.mark.timeout(20)
def test_a_batch_of_bytes_is_as_good_as_strings() -> None:
    """A column of Arrow, sliced and with a null, gives the matches of its strings."""
    texts = ["é中", f"né {QUESTION} 中", "", f"{CHINESE} ok"]
    index = index_of(QUESTION, CHINESE)
    column = pa.array([texts[0], texts[1], None, texts[3]])[1:]

    assert match_batch(index, from_arrow(column), RULE) == match_batch(index, texts[1:], RULE)
    assert [len(m) for m in match_batch(index, from_arrow(column), RULE)] == [1, 0, 1]


def test_ten_thousand_hits_in_one_document_stay_cheap() -> None:
    """Half a million anchors of a one-word item, and a boilerplate shared by 50 items, both end soon."""
    monotone = index_of(" ".join(["word"] * 40))
    boilerplate = filler(13, "boilerplate")
    shared = index_of(*(f"{boilerplate} {filler(40, 'item' + chr(97 + n % 26) * (1 + n // 26))}" for n in range(50)))

    (hit,) = found(monotone, " ".join(["word"] * 20_000))

    assert (hit.lcs, hit.ngrams) == (1.0, 20_000 - 12)
    assert found(shared, f"{boilerplate} {filler(40)} " * 2_000) == []


def test_a_copy_among_a_thousand_stock_phrases_is_found() -> None:
    """Of more windows than are compared, those with the most anchors are taken: the copy is one of them."""
    item = filler(40, "item")
    phrase = " ".join(item.split()[:14])
    phrases = f"{phrase} {filler(40)} " * (2 * anchors.MAX_WINDOWS)

    (hit,) = found(index_of(item), f"{phrases} {item} {phrases}")

    assert hit.lcs == 1.0


def test_chunks_of_postings_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on memory does not show in the result."""
    index = index_of("a b a b a b a", "b a b a c", "a b a b")
    params = replace(RULE, ngram=2)
    index = build_index(index.items, ngram=2)
    whole = found(index, "a b a b a b a b c a b", params)

    monkeypatch.setattr(anchors, "_CHUNK_POSTINGS", 3)

    assert whole
    assert whole == found(index, "a b a b a b a b c a b", params)


@pytest.mark.parametrize("values", [{"ngram": 0}, {"window_slack": -0.1}, {"window_slack": 2}, {"lcs_threshold": 60}])
def test_parameters_that_make_no_rule_are_refused(values: dict[str, float]) -> None:
    """The error names the parameter, its range and its value."""
    with pytest.raises(UsageError, match=next(iter(values))):
        DecontaminationParams(**values)


def test_an_index_of_other_ngrams_is_refused() -> None:
    """A rule of 8-grams on an index of 13-grams would silently find nothing."""
    with pytest.raises(UsageError, match="13-grams"):
        match_batch(index_of(QUESTION), [QUESTION], DecontaminationParams(ngram=8))


def test_decimal_parameters_are_taken_as_written() -> None:
    """0.29 of 100 is 29 and 0.55 of 20 is not above 0.55, whatever binary fractions say."""
    params = DecontaminationParams(window_slack=0.29, lcs_threshold=0.55)
    lcs, shorter = np.array([10, 11, 12]), np.array([20, 20, 20])

    assert params.slack == (29, 100)
    assert [False, False, True] == params.is_contaminated(lcs, shorter).tolist()
    assert [False, True, True] == replace(params, inclusive=True).is_contaminated(lcs, shorter).tolist()


few_words = st.lists(st.sampled_from("abcd"), max_size=40)


@settings(max_examples=200, deadline=None)
@given(
    documents=st.lists(few_words, max_size=4),
    items=st.lists(few_words.filter(bool), max_size=4, unique_by=tuple),
    ngram=st.integers(1, 5),
    slack=st.sampled_from([0.0, 0.25, 0.5]),
    threshold=st.sampled_from([0.5, 0.6, 0.9]),
)
def test_the_matcher_agrees_with_its_twin(
    documents: list[list[str]], items: list[list[str]], ngram: int, slack: float, threshold: float
) -> None:
    """Same (document, item) pairs, ratios and n-gram counts as the plain version; spans hold the LCS."""
    index = build_index([Item("s", "t", r, "question", " ".join(i)) for r, i in enumerate(items)], ngram)
    params = DecontaminationParams(ngram, slack, threshold, short=False, near=False)

    results = match_batch(index, [" ".join(d) for d in documents], params)

    expected = naive_matches(documents, items, ngram, Fraction(str(slack)), Fraction(str(threshold)))
    assert expected == {(d, m.item): (m.lcs, m.ngrams) for d, ms in enumerate(results) for m in ms}
    for document, matches in zip(documents, results, strict=True):
        for m in matches:
            window = document[slice(*m.window)]
            span = " ".join(document)[slice(*m.span)].split()
            assert naive_lcs(window, items[m.item]) == naive_lcs(span, items[m.item])
            assert {span[0], span[-1]} <= set(items[m.item])


needs_benchmarks = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the published benchmarks are not here")


@needs_benchmarks
def test_every_published_question_with_an_ngram_is_found_in_a_page() -> None:
    """Planted verbatim, all MATH-500, CMATH and GaoKao questions of 13 tokens or more are found."""
    names = ["math/test500.jsonl", "cmath/test.jsonl", "gaokao_math_cloze/test.jsonl"]
    index = build_index(i for i in load_benchmarks([BENCHMARKS / n for n in names]) if i.field == "question")
    protected = {n for n in range(len(index.items)) if len(index.tokens(n)) >= RULE.ngram}

    texts = [f"{filler(200)}\n{item.text}\n{filler(200)}" for item in index.items]
    results = match_batch(index, texts, RULE)

    assert protected == {n for n, matches in enumerate(results) if n in {m.item for m in matches}}
    assert len(protected) > 1100


@needs_benchmarks
def test_look_alikes_of_math_test_in_math_train_are_in_the_known_band() -> None:
    """Of 7,500 train problems about 570 match a test problem: another copy and tokeniser gave 566."""
    index = build_index(i for i in load_benchmarks([BENCHMARKS / "math" / "test.jsonl.gz"]) if i.field == "question")
    train = [i.text for i in load_benchmarks([BENCHMARKS / "math" / "train.jsonl.gz"]) if i.field == "question"]

    results = match_batch(index, train, RULE)
    flagged = [n for n, matches in enumerate(results) if matches]
    print(f"MATH train problems that match MATH test: {len(flagged)} of {len(train)}")  # noqa: T201

    assert 540 <= len(flagged) <= 590
    documents = tokenise(pack([train[n] for n in flagged[:5]]))
    questions = tokenise(pack([item.text for item in index.items]))
    twin = naive_matches(
        [documents.strings(n) for n in range(5)], [questions.strings(n) for n in range(len(index.items))]
    )
    assert twin == {(n, m.item): (m.lcs, m.ngrams) for n in range(5) for m in results[flagged[n]]}

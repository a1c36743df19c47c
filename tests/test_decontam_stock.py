"""Stock phrases are counted over a corpus; a match that rests on them alone is a case for review."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from decontam.benchmarks import Item
from decontam.index import build_index
from decontam.match import DecontaminationParams, Match, scan_batch
from decontam.stock import demote, stock_ngrams

RULE = DecontaminationParams(near=False)
MATCH = Match(item=0, kind="exact", lcs=0.7, ngrams=2, window=(0, 20), span=(0, 90), anchors=(3, 5))


def test_an_ngram_is_stock_from_the_named_number_of_documents_on() -> None:
    """Forty-nine documents are not fifty; the number is an option."""
    counts = {1: 49, 2: 50, 3: 500}

    assert stock_ngrams(counts, RULE) == {2, 3}
    assert stock_ngrams(counts, replace(RULE, stock_documents=100)) == {3}


def test_a_match_that_rests_on_stock_alone_becomes_review() -> None:
    """One anchor that is no stock phrase keeps the class; order and all else stay."""
    other = replace(MATCH, item=1, anchors=(3, 4))
    bare = replace(MATCH, item=2, anchors=())

    assert [replace(MATCH, kind="review"), other, bare] == demote([MATCH, other, bare], {3, 5})
    assert [MATCH] == demote([MATCH], frozenset())


def test_a_phrase_of_many_documents_does_not_convict_the_one_that_passes_by_chance() -> None:
    """Sixty pages hold a phrase of an item; a page that also happens to share its words is for review."""
    phrase = "let n be a positive integer and let p be a prime number such that"
    item = f"{phrase} p divides n plus one"
    pages = [f"In chapter {n} we {phrase} some condition of number {n} holds for all of them" for n in range(60)]
    chance = f"{phrase} n is not one but p divides it"
    index = build_index([Item("set", "test", 0, "question", item)])

    scans = scan_batch(index, [*pages, chance], replace(RULE, lcs_threshold=0.8))
    stock = stock_ngrams(Counter(gram for scan in scans for gram in scan.loose), RULE)

    assert [] == [scan.matches for scan in scans[:60] if scan.matches]
    assert ["exact"] == [m.kind for m in scans[60].matches]
    assert ["review"] == [m.kind for m in demote(scans[60].matches, stock)]

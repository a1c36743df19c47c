"""Stock phrases: n-grams that so many unrelated documents hold that they do not convict by themselves.

A phrase like "the smallest positive integer n such that the sum of the" stands in hundreds of documents that hold
none of its items. `decontam.match` says for each document which n-grams were `loose`, held by no item that is
convicted there; counted over a corpus, they tell a phrase from an item, which is convicted wherever it stands. No
list of phrases is kept: it would be one language's, one year's and one benchmark's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from decontam.match import Match
from decontam.params import DecontaminationParams


def stock_ngrams(counts: Mapping[int, int], params: DecontaminationParams) -> frozenset[int]:
    """The ids of the n-grams that were loose in at least `stock_documents` documents.

    counts : for each id, in how many documents it was loose; of a whole corpus, whatever the order.
    """
    return frozenset(gram for gram, documents in counts.items() if documents >= params.stock_documents)


def demote(matches: Iterable[Match], stock: Collection[int]) -> list[Match]:
    """The matches in order; one that rests on stock phrases alone becomes a case for `review`."""
    return [
        replace(match, kind="review") if match.anchors and all(a in stock for a in match.anchors) else match
        for match in matches
    ]


def match_of(stored: Mapping[str, Any]) -> Match:
    """A match that was written as JSON, to be judged when the whole corpus is counted."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
    return Match(**values)

"""The slow, obvious twin of the decontamination rule: plain lists of tokens, every pair, textbook LCS."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction


def naive_lcs(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, by the O(n m) table."""
    row = [0] * (len(b) + 1)
    for x in a:
        previous = row
        row = [0]
        for j, y in enumerate(b):
            row.append(previous[j] + 1 if x == y else max(row[j], previous[j + 1]))
    return row[-1]


def naive_anchors(document: list[str], item: list[str], ngram: int) -> list[tuple[int, int]]:
    """Every (token of the document, token of the item) at which both have the same n-gram."""
    return [
        (i, j)
        for i in range(len(document) - ngram + 1)
        for j in range(len(item) - ngram + 1)
        if document[i : i + ngram] == item[j : j + ngram]
    ]


def naive_windows(
    anchors: list[tuple[int, int]], document: list[str], item: list[str], slack: int
) -> list[tuple[int, int]]:
    """The windows to compare: one for each group of alignments within slack // 2 of the group's first.

    (The bound on their number is left out: no document of a twin's test comes near it.)
    """
    if len(document) < len(item):
        return [(0, len(document))]
    votes = Counter(i - j for i, j in anchors)
    windows = []
    left = sorted(votes)
    while left:
        group = [a for a in left if a - left[0] <= slack // 2]
        left = left[len(group) :]
        chosen = max(group, key=lambda a: (votes[a], -a))
        windows.append((max(0, chosen - slack), min(len(document), chosen + len(item) + slack)))
    return windows


def naive_matches(
    documents: list[list[str]],
    items: list[list[str]],
    ngram: int = 13,
    slack: Fraction = Fraction(1, 4),
    threshold: Fraction = Fraction(3, 5),
) -> dict[tuple[int, int], tuple[float, int]]:
    """{(document, item): (ratio of the best window, distinct anchor tokens)} of all that are contaminated."""
    found = {}
    for d, document in enumerate(documents):
        for t, item in enumerate(items):
            anchors = naive_anchors(document, item, ngram)
            ratios = [
                Fraction(naive_lcs(document[begin:end], item), min(end - begin, len(item)))
                for begin, end in naive_windows(anchors, document, item, int(len(item) * slack))
                if anchors
            ]
            if ratios and max(ratios) > threshold:
                found[d, t] = (round(float(max(ratios)), 4), len({i for i, _ in anchors}))
    return found


def naive_near(
    documents: list[list[str]], items: list[list[str]], ngram: int, near_ngram: int, words: tuple[int, int]
) -> dict[tuple[int, int], float]:
    """{(document, item): ratio} of the look-alikes, those that are exact included; every item is a question.

    words : the different words that a plain and a masked anchor must hold.
    """
    found = {}
    for d, document in enumerate(documents):
        for t, item in enumerate(items):
            votes = [
                anchor
                for size, least, mask in ((near_ngram, words[0], list), (ngram, words[1], naive_masked))
                for anchor in naive_anchors(mask(document), mask(item), size)
                if _telling(item, anchor[1], size, min(least, size))
            ]
            ratios = [
                Fraction(naive_lcs(document[begin:end], item), min(end - begin, len(item)))
                for begin, end in naive_windows(votes, document, item, len(item) // 4)
                if votes
            ]
            if ratios and max(ratios) > Fraction(3, 5):
                found[d, t] = round(float(max(ratios)), 4)
    return found


def naive_masked(tokens: list[str]) -> list[str]:
    """The tokens with every number replaced by one mark."""
    return ["#" if token[0].isdigit() else token for token in tokens]


def _telling(item: list[str], start: int, size: int, words: int) -> bool:
    return len(set(naive_masked(item[start : start + size])) - {"#"}) >= words


def naive_formula(document: list[str], item: list[str]) -> bool:
    """Whether the rule `qwen2-formula` calls the two alike."""
    lcs = naive_lcs(document, item)
    return lcs >= 13 and Fraction(lcs) >= Fraction(3, 5) * min(len(document), len(item))


def naive_mix(value: int, first: int, second: int, *, undo: bool = False) -> int:
    """A hash under a private index's key of two words, or with `undo` the hash that gives it."""
    factors = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
    if undo:
        value = _unshifted(value)
        for factor in reversed(factors):
            value = _unshifted((value - second) * pow(factor, -1, 1 << 64) % (1 << 64))
        return value ^ first
    value ^= first
    for factor in factors:
        value = ((value ^ value >> 31) * factor + second) % (1 << 64)
    return value ^ value >> 31


def _unshifted(value: int) -> int:
    """What x is where `value` is x ^ x >> 31."""
    return value ^ value >> 31 ^ value >> 62

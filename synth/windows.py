"""Pieces of documents that are too long for a model, at fixed places, so that a score can say what it rests on."""

from __future__ import annotations

from collections.abc import Callable

WINDOW_CHARS = 6_000  # about 2,000 tokens of English or 4,000 of Chinese


def windows(text: str, budget: int = WINDOW_CHARS, count: Callable[[str], int] = len) -> tuple[tuple[int, int], ...]:
    """The span of a text that fits, or of its head, middle and tail, each of up to `budget`; in characters.

    count : tokens of a text, where the budget is in tokens. Where the three would overlap they do: their size is fixed.
    """
    if count(text) <= budget:
        return ((0, len(text)),)
    head = _largest(len(text), lambda k: count(text[:k]) <= budget)
    half = len(text) // 2
    reach = _largest(half, lambda k: count(text[half - k : half + k]) <= budget)
    tail = _largest(len(text), lambda k: count(text[len(text) - k :]) <= budget)
    return (0, head), (half - reach, half + reach), (len(text) - tail, len(text))


def excerpt(text: str, max_chars: int) -> str:
    """The start of a text, up to the end of a paragraph, line or word where there is one in its second half."""
    if len(text) <= max_chars:
        return text
    cut = text[:max_chars]
    ends = (cut.rfind(sign, max_chars // 2) for sign in ("\n\n", "\n", " "))
    return cut[: next((end for end in ends if end >= 0), max_chars)]


def around(text: str, spans: tuple[tuple[int, int], ...], margin: int, max_chars: int) -> str:
    """What stands around spans of a text: `margin` characters before the first and behind the last of them."""
    if not spans:
        return excerpt(text, max_chars)
    begin = max(0, min(a for a, _ in spans) - margin)
    return text[begin : min(begin + max_chars, max(b for _, b in spans) + margin)]


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `limit` that fits, if all smaller ones do; at least 1."""
    low, high = 1, max(1, limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low

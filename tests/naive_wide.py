"""The slow, obvious twin of the wide net: sets of words, every window, every question."""

from __future__ import annotations

import math
from fractions import Fraction

UNITS = 16  # of a weight, to the bit


def naive_stem(token: str) -> bytes:
    """The first five bytes of a word, without the s of a plural; other tokens as they are."""
    stem = token.encode()
    if not b"a" <= stem[:1] <= b"z":
        return stem
    return stem.removesuffix(b"s")[:5] if len(stem) > 3 else stem


def naive_weights(questions: list[list[bytes]], least_questions: int) -> tuple[dict[bytes, int], int]:
    """(weight of each word of these questions, that of a word which none has)."""
    count = max(least_questions, len(questions))
    weights = {}
    for word in {word for question in questions for word in question}:
        bits = math.log2(count / sum(word in question for question in questions))
        weights[word] = round(UNITS * bits) if bits >= 2 else 0
    return weights, round(UNITS * math.log2(count))


def naive_wide(
    texts: list[list[str]], questions: list[list[str]], least: int, window: int, least_questions: int
) -> list[list[tuple[int, int, int, int, float]]]:
    """For each text (question, begin, end, score, share) of those that score `least` bits, the best first.

    Tokens in, each a string; `begin` and `end` are of the window alone. A question with Chinese characters is weighed
    among such questions, the others among themselves; a number weighs twice.
    """
    stems = [[naive_stem(token) for token in question] for question in questions]
    chinese = [any("一" <= token <= "鿿" for token in question) for question in questions]
    known = {word for question in stems for word in question}
    found = []
    for tokens in texts:
        words = [naive_stem(token) for token in tokens]
        rows = []
        for number, question in enumerate(stems):
            group = [s for s, c in zip(stems, chinese, strict=True) if c == chinese[number]]
            weights, unknown = naive_weights(group, least_questions)
            weigh = {
                w: (weights.get(w, unknown) * (2 if w[:1].isdigit() else 1) if w in known else unknown)
                for w in words + question
            }
            best = _best(words, set(question), weigh, (window, min(window, len(question) * 3 // 2)), known)
            if best is not None and best[2] >= UNITS * least:
                begin, end, score, shared = best
                total = sum(weigh[word] for word in set(question))
                rows.append((number, begin, end, score // UNITS, round(shared / total, 4), -score))
        found.append([row[:5] for row in sorted(rows, key=lambda row: (row[5], row[0]))])
    return found


def _best(
    words: list[bytes], question: set[bytes], weigh: dict[bytes, int], sizes: tuple[int, int], known: set[bytes]
) -> tuple[int, int, int, int] | None:
    """(begin, end, score, shared weight) of the block whose window scores most, the first among equals."""
    window, width = sizes
    blocks = []
    for start in range(0, len(words), window):
        stop = min(start + 2 * window, len(words))
        best = (0, 0, 0)
        for end in range(start + 1, stop + 1):
            own = [at for at in range(max(start, end - width), end) if words[at] in question and weigh[words[at]]]
            shared = sum(weigh[word] for word in {words[at] for at in own})
            if shared > best[2] and own[-1] == end - 1:
                best = (own[0], end, shared)
        begin, end, shared = best
        if shared:
            inside = words[begin:end]
            total = sum(weigh[w] for w in {w for w in inside if w in known})
            total += sum(weigh[w] for w in inside if w not in known)
            bits = sum(weigh[word] for word in question)
            blocks.append((begin, end, int(Fraction(shared**3, bits * total)), shared))
        if stop == len(words):
            break
    return min(blocks, key=lambda b: (-b[2], b[0]), default=None)

"""Slow, obvious twins of filters/packing.py."""

from __future__ import annotations


def greedy(tokens: list[int], length: int) -> list[list[tuple[int, int]]]:
    """Sequences as lists of (document, place of the token in it), one entry for each token."""
    stream = [(document, at) for document, count in enumerate(tokens) for at in range(count)]
    return [stream[begin : begin + length] for begin in range(0, len(stream), length)]


def best_fit_bins(sizes: list[int], length: int) -> tuple[list[int], list[int]]:
    """The bin of each item and the free room of each bin: all bins are looked at for each item."""
    bins, free, changed = [-1] * len(sizes), [], []
    for time, item in enumerate(sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))):
        fits = [b for b in range(len(free)) if free[b] >= sizes[item]]
        if fits:
            best = min(fits, key=lambda b: (free[b], -changed[b]))
        else:
            best = len(free)
            free.append(length)
            changed.append(-1)
        free[best] -= sizes[item]
        changed[best] = time
        bins[item] = best
    return bins, free


def best_fit(tokens: list[int], length: int, *, pad: bool) -> list[list[tuple[int, int]]]:
    """As `greedy`, by best-fit-decreasing of what is left of each document behind its whole sequences."""
    whole = [
        [(document, at) for at in range(begin, begin + length)]
        for document, count in enumerate(tokens)
        for begin in range(0, count - length + 1, length)
    ]
    rests = [
        (document, count - count % length, count % length) for document, count in enumerate(tokens) if count % length
    ]
    bins, free = best_fit_bins([size for _, _, size in rests], length)
    filled: list[list[tuple[int, int]]] = [[] for _ in free]
    for (document, begin, size), where in zip(rests, bins, strict=True):
        filled[where] += [(document, begin + at) for at in range(size)]
    if not pad:
        filled = fill(filled, free, length)
    return whole + [sorted(sequence) for sequence in filled]


def fill(filled: list[list[tuple[int, int]]], free: list[int], length: int) -> list[list[tuple[int, int]]]:
    """The sequences that all tokens fill, the fullest, filled with the tokens of the others; and what is left."""
    order = sorted(range(len(free)), key=lambda b: free[b])
    kept = sum(len(sequence) for sequence in filled) // length
    stream = [token for where in order[kept:] for token in filled[where]]
    sequences = []
    for where in order[:kept]:
        room = length - len(filled[where])
        sequences.append(filled[where] + stream[:room])
        stream = stream[room:]
    return [*sequences, stream] if stream else sequences

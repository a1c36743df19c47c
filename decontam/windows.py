"""Numba kernels from alignments to the windows of texts worth comparing. Shape legend: as in `decontam.kernels`."""

from __future__ import annotations

import numpy as np

from decontam.kernels import I32, I64, U64, Flags, Int, TokensOf
from filters.words import inline, jit, leaf, prefetch

_BUCKETS = 512  # of tokens, by the low bits of their hashes: with 256 6 % more windows pass, with any number 4 % fewer
_AHEAD = 4  # windows
_LINE_TOKENS = 8  # in a line of a cache


@jit
def windows(
    found: tuple[I64, I64, I64, I64, I64], offsets: tuple[I64, I64], slack: tuple[int, int], most: int
) -> tuple[I64, I64, I64]:
    """(pair, begin, end) of the windows of texts to compare with items, in tokens of the batch, ascending.

    found : int64[K] pair of each alignment, not falling; int64[K] token of the text at which the item would start,
    rising within a pair; int64[K] anchors with it; int64[C] item and text of each pair.
    offsets : those of the items and of the texts; slack : share of the item, as a fraction.
    Alignments within half the slack of the first of a group are one group. Its window is that of the
    alignment with most anchors, the lowest among equals: it holds at least half the slack of each.
    Of one pair, the `most` windows with most anchors are taken.
    """
    pairs, alignments, counts, items, texts = found
    out = np.empty((3, alignments.shape[0]), np.int64)
    best = np.empty(alignments.shape[0], np.int64)  # of each group of the pair, the alignment
    done = 0
    begin = 0
    while begin < pairs.shape[0]:
        end = begin
        pair = pairs[begin]
        item_tokens = offsets[0][items[pair] + 1] - offsets[0][items[pair]]
        first_token = offsets[1][texts[pair]]
        text_tokens = offsets[1][texts[pair] + 1] - first_token
        margin = item_tokens * slack[0] // slack[1]
        groups = 0
        first = np.int64(0)
        while end < pairs.shape[0] and pairs[end] == pair:
            if groups == 0 or alignments[end] - first > margin // 2:
                best[groups] = end
                first = alignments[end]
                groups += 1
            elif counts[end] > counts[best[groups - 1]]:
                best[groups - 1] = end
            end += 1
        least, spare = _least_of_most(counts, best, groups, most)
        for at in best[:groups]:
            if counts[at] <= least:
                if counts[at] < least or spare == 0:
                    continue
                spare -= 1
            low = first_token + max(0, alignments[at] - margin)
            high = first_token + min(text_tokens, alignments[at] + item_tokens + margin)
            if text_tokens < item_tokens:
                low, high = first_token, first_token + text_tokens
            if done == 0 or out[0, done - 1] != pair or out[1, done - 1] != low or out[2, done - 1] != high:
                out[0, done], out[1, done], out[2, done] = pair, low, high
                done += 1
        begin = end
    return out[0, :done], out[1, :done], out[2, :done]


@leaf
def _least_of_most(counts: I64, best: I64, groups: Int, most: Int) -> tuple[Int, Int]:
    """(fewest anchors of the `most` groups with most of them, how many of exactly so few are among these).

    By halving, as a sort would cost two seconds of compilation.
    """
    low, high = np.int64(0), np.int64(1)
    for group in range(groups if groups > most else 0):
        high = max(high, counts[best[group]] + 1)
    above = np.int64(0)
    while high - low > 1:
        middle, enough = (low + high) >> 1, np.int64(0)
        for group in range(groups):
            enough += counts[best[group]] >= middle
        if enough >= most:
            low = middle
        else:
            high, above = middle, enough
    return low, most - above


@jit
def promising(
    texts: TokensOf, items: TokensOf, pair_items: I64, windows_of: tuple[I64, I64, I64], floor: tuple[int, int, bool]
) -> Flags:
    """Whether the ratio of each window and its item may be above a share; where not, it is not.

    windows_of : pair, begin and end in tokens of the batch; floor : the share as a fraction, and whether it is enough
    itself. The common subsequence is at most as long as what both have of each token, or here, of each bucket of
    tokens: a count that costs a tenth of it and rules out four windows of five, which share a phrase and no more.
    """
    pairs, begins, ends = windows_of
    found = np.zeros(pairs.shape[0], np.bool_)
    own, other = np.zeros(_BUCKETS, np.int32), np.zeros(_BUCKETS, np.int32)
    last = np.int64(-1)
    for window in range(pairs.shape[0]):
        if window + _AHEAD < pairs.shape[0]:
            _fetch(items, pair_items[pairs[window + _AHEAD]])
        item = pair_items[pairs[window]]
        begin, end = items[1][item], items[1][item + 1]
        if item != last:
            own[:] = 0
            _count(items[0][begin:end], own)
            last = item
        other[:] = 0
        _count(texts[0][begins[window] : ends[window]], other)
        common = np.int64(0)
        for bucket in range(_BUCKETS):
            common += min(own[bucket], other[bucket])
        most, least = common * floor[1], min(end - begin, ends[window] - begins[window]) * floor[0]
        found[window] = most > least or (floor[2] and most == least)
    return found


@inline
def _fetch(items: TokensOf, item: Int) -> None:
    """Has the tokens of an item fetched: items lie far apart, and memory is slower than counting."""
    for token in range(items[1][item], items[1][item + 1], _LINE_TOKENS):
        prefetch(items[0], token)


@leaf
def _count(hashes: U64, counts: I32) -> None:
    """Adds up tokens by bucket."""
    for value in hashes:
        counts[value & np.uint64(_BUCKETS - 1)] += 1

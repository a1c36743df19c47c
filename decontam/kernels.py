"""Numba kernels of the anchor search: arrays and scalars in and out, no objects.

Shape legend: T tokens of a batch of N texts; G distinct n-grams of a table of the index, P its postings;
I items of the index with S tokens; K alignments, W windows and C pairs of an item and a text.
A kernel compiles on first use and is cached on disk; the arrays of an index are always read-only
and those of a batch always writable, so that no second version of a kernel is compiled.

`search` need not look at every token: an n-gram of 13 tokens holds the 6-gram that starts at the next
multiple of 8, so that one 6-gram in 8 tokens, looked up in a bitmap, finds every anchor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

_F = TypeVar("_F", bound=Callable[..., Any])
_Grams = tuple[int, int, U64, U64, U64]  # of a table: ngram, sample, bitmap of samples, bitmap, sorted n-grams
_Postings = tuple[int, I64, I32, I32]  # of a table: ngram, offsets of postings, items, tokens
_Hits = tuple[I64, I64, I64]  # token, n-gram, end of the text
TokensOf = tuple[U64, I64]  # token hashes and offsets, of a batch or of the items

NO_NGRAM = 0  # the value of a token at which no n-gram starts
NUMBER = 0xD1B54A32D192ED03  # the hash that stands for every number where numbers are masked

# The weight of each token of an n-gram: powers of an odd number, so that the order of tokens counts. Token hashes
# are well mixed, and so is each bit of their weighted sum. A sum, not a rolling hash: its products do not wait for
# each other, and the search looks at few n-grams.
_WEIGHTS = np.array([pow(0x9E3779B97F4A7C15, power, 1 << 64) for power in range(1, 65)], dtype=np.uint64)


def njit(function: _F) -> _F:
    """The kernel of a function, compiled at its first call and cached on disk."""
    return cast(_F, numba.njit(cache=True, nogil=True)(function))


@njit
def _ngram_hash(hashes: U64, start: int, ngram: int) -> np.uint64:
    """The 64-bit hash of the n-gram at `start`, never `NO_NGRAM`."""
    value = np.uint64(0)
    for token in range(ngram):
        value += hashes[start + token] * _WEIGHTS[token]
    return max(value, np.uint64(NO_NGRAM + 1))


@njit
def roll(hashes: U64, offsets: I64, ngram: int) -> U64:
    """The 64-bit hash of the n-gram that starts at each token; `NO_NGRAM` where the text ends before.

    hashes : uint64[T] token hashes; offsets : int64[N + 1] token range of each text; ngram >= 1.
    """
    rolled = np.zeros(hashes.shape[0], dtype=np.uint64)
    for text in range(offsets.shape[0] - 1):
        for start in range(offsets[text], offsets[text + 1] - ngram + 1):
            rolled[start] = _ngram_hash(hashes, start, ngram)
    return rolled


@njit
def mask_numbers(hashes: U64, folded: U8, folded_ends: I64) -> U64:
    """The token hashes, with `NUMBER` in the place of each token that is a number; see `filters.text.Tokens`."""
    masked = hashes.copy()
    begin = np.int64(0)
    for token in range(hashes.shape[0]):
        if np.uint8(folded[begin] - np.uint8(48)) < 10:
            masked[token] = np.uint64(NUMBER)
        begin = folded_ends[token]
    return masked


@njit
def distinct_words(masked: U64, starts: I64, ngram: int) -> I64:
    """How many different tokens that are no number each n-gram at `starts` has; masked : from `mask_numbers`."""
    counts = np.zeros(starts.shape[0], dtype=np.int64)
    for at in range(starts.shape[0]):
        for token in range(starts[at], starts[at] + ngram):
            new = masked[token] != np.uint64(NUMBER)
            for other in range(starts[at], token):
                new &= masked[other] != masked[token]
            counts[at] += new
    return counts


@njit
def _two_bits(value: np.uint64) -> np.uint64:
    """The two bits of a word of a bitmap that stand for a hash: from its high bits, as the word is from its low."""
    return (np.uint64(1) << (value >> np.uint64(58))) | (np.uint64(1) << ((value >> np.uint64(52)) & np.uint64(63)))


@njit
def make_bitmap(ngrams: U64, words: int) -> U64:
    """A Bloom filter of n-gram hashes, two bits of one word each; `words` is a power of two.

    One memory access answers, and two bits let through a tenth of what one bit would.
    """
    bitmap = np.zeros(words, dtype=np.uint64)
    for value in ngrams:
        bitmap[value & np.uint64(words - 1)] |= _two_bits(value)
    return bitmap


@njit
def _may_hold(bitmap: U64, value: np.uint64) -> bool:
    bits = _two_bits(value)
    return bool(bitmap[value & np.uint64(bitmap.shape[0] - 1)] & bits == bits)


@njit
def place(table: U64, value: np.uint64) -> int:
    """Where a sorted table has `value`; -1 if it has not."""
    left, right = 0, table.shape[0]
    while left < right:
        middle = (left + right) >> 1
        if table[middle] < value:
            left = middle + 1
        else:
            right = middle
    return left if left < table.shape[0] and table[left] == value else -1


@njit
def _sampled(hashes: U64, offsets: I64, grams: _Grams) -> I64:
    """The tokens of the batch that are looked at and at which a sample of the items may start, ascending."""
    ngram, sample, samples, _, _ = grams
    step = ngram - sample + 1
    found = np.empty(hashes.shape[0] // step + offsets.shape[0], dtype=np.int64)
    weights = _WEIGHTS[:sample].copy()
    count = 0
    for text in range(offsets.shape[0] - 1):
        for at in range(offsets[text], offsets[text + 1] - sample + 1, step):
            value = np.uint64(0)
            for token in range(sample):
                value += hashes[at + token] * weights[token]
            found[count] = at
            count += _may_hold(samples, value)  # no branch: which it is cannot be foreseen
    return found[:count]


@njit
def search(hashes: U64, offsets: I64, grams: _Grams, capacity: int) -> tuple[int, I64, I64]:
    """(hits, token of each, n-gram of each), ascending: where a batch has an n-gram hash of a table.

    grams : ngram, sample (tokens looked at, at each multiple of ngram - sample + 1), Bloom filter of the
    samples of the items, Bloom filter of the n-grams, uint64[G] n-grams sorted.
    At most `capacity` hits are written, all are counted.
    """
    ngram, sample, _, bitmap, table = grams
    tokens = np.empty(capacity, dtype=np.int64)
    places = np.empty(capacity, dtype=np.int64)
    hits = 0
    text = 0
    for at in _sampled(hashes, offsets, grams):
        while offsets[text + 1] <= at:
            text += 1
        first = max(offsets[text], at - ngram + sample)
        for start in range(first, min(at, offsets[text + 1] - ngram) + 1):
            value = _ngram_hash(hashes, start, ngram)
            gram = place(table, value) if _may_hold(bitmap, value) else -1
            if gram >= 0:
                if hits < capacity:
                    tokens[hits] = start
                    places[hits] = gram
                hits += 1
    return hits, tokens[: min(hits, capacity)], places[: min(hits, capacity)]


@njit
def search_at(hashes: U64, tokens: I64, text_ends: I64, grams: _Grams) -> tuple[I64, I64]:
    """As `search`, (token, n-gram) of those n-grams alone that start at `tokens`, whose texts end at `text_ends`."""
    ngram, _, _, bitmap, table = grams
    found = np.empty((2, tokens.shape[0]), dtype=np.int64)
    hits = 0
    for at in range(tokens.shape[0]):
        if tokens[at] + ngram <= text_ends[at]:
            value = _ngram_hash(hashes, tokens[at], ngram)
            gram = place(table, value) if _may_hold(bitmap, value) else -1
            if gram >= 0:
                found[0, hits], found[1, hits] = tokens[at], gram
                hits += 1
    return found[0, :hits], found[1, :hits]


@njit
def confirm(hashes: U64, items: TokensOf, postings: _Postings, hits: _Hits, capacity: int) -> tuple[I64, I64, I64]:
    """(hit, item, token of the item) of every posting of the hits whose tokens, not only their hash, agree.

    hashes : uint64[T] of the batch; items : those of the items, hashed alike; hits : token, n-gram and
    end of the text of each; capacity : at least the number of postings of these hits.
    From the n-gram's first token on, the first of the tuple `postings` says how many must agree; the end
    of the item is enough.
    """
    most, firsts, posting_items, posting_tokens = postings
    tokens, grams, text_ends = hits
    item_hashes, item_offsets = items
    found = np.empty((3, capacity), dtype=np.int64)
    count = 0
    for hit in range(tokens.shape[0]):
        for posting in range(firsts[grams[hit]], firsts[grams[hit] + 1]):
            item = posting_items[posting]
            begin = item_offsets[item] + posting_tokens[posting]
            size = min(most, item_offsets[item + 1] - begin)
            same = 0 if tokens[hit] + size <= text_ends[hit] else size + 1
            while same < size and hashes[tokens[hit] + same] == item_hashes[begin + same]:
                same += 1
            if same == size:
                found[0, count], found[1, count], found[2, count] = hit, item, posting_tokens[posting]
                count += 1
    return found[0, :count], found[1, :count], found[2, :count]


@njit
def rest_on(items: I64, slices: tuple[I64, I64], grams: I64, postings: _Postings, most: int) -> tuple[I64, I64]:
    """(hits of each pair, the first distinct n-grams of each): on which anchors an item rests in a text.

    items : int64[C]; slices : int64[C] first and end hit of each pair's text; grams : n-gram of each hit.
    The second is int64[C, most], with -1 where there are fewer.
    """
    counts = np.zeros(items.shape[0], dtype=np.int64)
    anchors = np.full((items.shape[0], most), -1, dtype=np.int64)
    _, firsts, posting_items, _ = postings
    for pair in range(items.shape[0]):
        distinct = 0
        for hit in range(slices[0][pair], slices[1][pair]):
            gram = grams[hit]
            owners = posting_items[firsts[gram] : firsts[gram + 1]]
            at = np.searchsorted(owners, items[pair])
            if at == owners.shape[0] or owners[at] != items[pair]:
                continue
            counts[pair] += 1
            known = False
            for other in anchors[pair, :distinct]:
                known |= other == gram
            if not known and distinct < most:
                anchors[pair, distinct] = gram
                distinct += 1
    return counts, anchors


@njit
def convicts(texts: I64, grams: I64, postings: _Postings, pairs: I64, stride: int) -> Flags:
    """Whether the n-gram of each hit is held by an item that is convicted in the hit's text.

    texts, grams : int64 of each hit; pairs : text * stride + item of those convicted, sorted.
    """
    held = np.zeros(texts.shape[0], dtype=np.bool_)
    _, firsts, posting_items, _ = postings
    for hit in range(texts.shape[0]):
        for posting in range(firsts[grams[hit]], firsts[grams[hit] + 1]):
            key = texts[hit] * stride + posting_items[posting]
            at = np.searchsorted(pairs, key)
            if at < pairs.shape[0] and pairs[at] == key:
                held[hit] = True
                break
    return held


@njit
def windows(
    pairs: I64, alignments: I64, counts: I64, lengths: tuple[I64, I64], slack: tuple[int, int], most: int
) -> tuple[I64, I64, I64]:
    """(pair, begin, end) of the windows of texts to compare with items, in tokens of the text, ascending.

    pairs : int64[K] pair of each alignment, not falling; alignments : int64[K] token of the text at which
    the item would start, rising within a pair; counts : int64[K] anchors with it;
    lengths : int64[C] tokens of each pair's item, and of its text; slack : share of the item, as a fraction.
    Alignments within half the slack of the first of a group are one group. Its window is that of the
    alignment with most anchors, the lowest among equals: it holds at least half the slack of each.
    Of one pair, the `most` windows with most anchors are taken.
    """
    out = np.empty((3, alignments.shape[0]), dtype=np.int64)
    best = np.empty(alignments.shape[0], dtype=np.int64)  # of each group of the pair, the alignment
    done = 0
    begin = 0
    while begin < pairs.shape[0]:
        end = begin
        pair = pairs[begin]
        item_tokens, text_tokens = lengths[0][pair], lengths[1][pair]
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
        chosen = best[:groups]
        if groups > most:
            chosen = np.sort(chosen[np.argsort(-counts[chosen], kind="mergesort")[:most]])
        for at in chosen:
            low = max(0, alignments[at] - margin)
            high = min(text_tokens, alignments[at] + item_tokens + margin)
            if text_tokens < item_tokens:
                low, high = np.int64(0), text_tokens
            if done == 0 or out[0, done - 1] != pair or out[1, done - 1] != low or out[2, done - 1] != high:
                out[0, done], out[1, done], out[2, done] = pair, low, high
                done += 1
        begin = end
    return out[0, :done], out[1, :done], out[2, :done]

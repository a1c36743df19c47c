"""Numba kernels from n-grams that were found to the items that hold them. Shape legend: as in `decontam.kernels`."""

from __future__ import annotations

import numpy as np

from decontam.kernels import I32, I64, Flags, Int, TokensOf
from filters.words import jit, leaf, prefetch

_Postings = tuple[int, I32, I32, I32]  # of a table: ngram, offsets of postings, items, tokens
_Hits = tuple[I64, I64, I64]  # token, n-gram, text


@leaf
def _agree(texts: TokensOf, token: Int, items: TokensOf, begin: Int, size: Int) -> bool:
    """Whether `size` tokens of the batch from `token` on are those of the items from `begin` on."""
    same = 0
    while same < size and texts[0][token + same] == items[0][begin + same]:
        same += 1
    return bool(same == size)


@jit
def confirmed(texts: TokensOf, items: TokensOf, postings: _Postings, tokens: I64, grams: I64) -> Flags:
    """Whether the tokens of each hit, not only their hash, are those of its n-gram, and an item holds it.

    Those of its first posting: in a table all postings of an n-gram have the same tokens.
    """
    ngram, firsts, posting_items, posting_tokens = postings
    found = np.zeros(tokens.shape[0], np.bool_)
    begins = np.empty(tokens.shape[0], np.int64)
    for gram in grams:
        prefetch(firsts, gram)
    for gram in grams:
        prefetch(posting_items, firsts[gram])
        prefetch(posting_tokens, firsts[gram])
    for hit in range(tokens.shape[0]):
        first = firsts[grams[hit]]
        found[hit] = first < firsts[grams[hit] + 1]
        begins[hit] = items[1][posting_items[first]] + posting_tokens[first] if found[hit] else 0
        prefetch(items[0], begins[hit])
    for hit in range(tokens.shape[0]):
        if begins[hit] + ngram <= items[0].shape[0]:
            found[hit] &= _agree(texts, tokens[hit], items, begins[hit], ngram)
    return found


@jit
def alignments(postings: _Postings, hits: _Hits, longest: int, stride: int, capacity: int) -> I64:
    """item * stride + place, of every posting of the hits: the token of the batch at which the item would begin.

    longest : tokens of the longest item. Every text gets so much room before it that no two share a place:
    its first token is at its number in the batch + longest * (number of the text + 1).
    capacity : the number of postings of these hits.
    """
    _, firsts, posting_items, posting_tokens = postings
    tokens, grams, texts = hits
    keys = np.empty(capacity, np.int64)
    count = 0
    for hit in range(tokens.shape[0]):
        token = tokens[hit] + longest * (texts[hit] + 1)
        for posting in range(firsts[grams[hit]], firsts[grams[hit] + 1]):
            keys[count] = posting_items[posting] * np.int64(stride) + token - posting_tokens[posting]
            count += 1
    return keys


@jit
def whole_items(
    texts: TokensOf, items: TokensOf, postings: _Postings, hits: _Hits, capacity: int
) -> tuple[I64, I64, I64]:
    """(item, text, token of the batch) where a whole item is, one of whose n-grams is a hit."""
    _, firsts, posting_items, posting_tokens = postings
    tokens, grams, owners = hits
    found = np.empty((3, capacity), np.int64)
    count = 0
    for hit in range(tokens.shape[0]):
        first, end = texts[1][owners[hit]], texts[1][owners[hit] + 1]
        for posting in range(firsts[grams[hit]], firsts[grams[hit] + 1]):
            item = posting_items[posting]
            begin, size = tokens[hit] - posting_tokens[posting], items[1][item + 1] - items[1][item]
            if begin >= first and begin + size <= end and _agree(texts, begin, items, items[1][item], size):
                found[0, count], found[1, count], found[2, count] = item, owners[hit], begin
                count += 1
    return found[0, :count], found[1, :count], found[2, :count]


@jit
def distinct(ascending: I64, weights: I64) -> tuple[I64, I64]:
    """(distinct values, sum of the weights of each) of sorted values; without weights each counts 1."""
    values, sums = np.empty_like(ascending), np.empty_like(ascending)
    count = -1
    for at in range(ascending.shape[0]):
        if at == 0 or ascending[at] != ascending[at - 1]:
            count += 1
            values[count], sums[count] = ascending[at], 0
        sums[count] += weights[at] if weights.shape[0] else 1
    return values[: count + 1], sums[: count + 1]


@jit
def grouped(keys: I64, stride: int, longest: int, offsets: I64) -> tuple[I64, I64, I64, I64]:
    """(pair of each key, its start in tokens of the text, item and text of each pair), of sorted keys of `alignments`.

    offsets : int64[N + 1] of the texts.
    """
    pairs, starts = np.empty_like(keys), np.empty_like(keys)
    items, texts = np.empty_like(keys), np.empty_like(keys)
    count, before = -1, np.int64(-1)
    for at in range(keys.shape[0]):
        item, place = keys[at] // stride, keys[at] % stride
        text, end = 0, offsets.shape[0] - 1  # the last text whose room begins there or before
        while end - text > 1:
            middle = (text + end) >> 1
            if offsets[middle] + longest * middle <= place:
                text = middle
            else:
                end = middle
        if item != before or texts[count] != text:
            count += 1
            items[count], texts[count] = item, text
        pairs[at], starts[at] = count, place - offsets[text] - longest * (text + 1)
        before = item
    return pairs, starts, items[: count + 1], texts[: count + 1]


@jit
def held(hits: _Hits, postings: _Postings, pairs: I64, stride: int) -> Flags:
    """Whether the n-gram of each hit is held by an item that is convicted in the hit's text.

    pairs : text * stride + item of those convicted, sorted.
    """
    _, grams, texts = hits
    _, firsts, posting_items, _ = postings
    found = np.zeros(grams.shape[0], np.bool_)
    low = high = 0
    for hit in range(grams.shape[0]):
        base = texts[hit] * stride
        while low < pairs.shape[0] and pairs[low] < base:
            low += 1
        while high < pairs.shape[0] and pairs[high] < base + stride:
            high += 1
        if low < high:
            for posting in range(firsts[grams[hit]], firsts[grams[hit] + 1]):
                found[hit] |= _number(pairs, low, high, base + posting_items[posting]) >= 0
    return found


@leaf
def _number(ascending: I64, low: Int, high: Int, value: Int) -> Int:
    """The place of a value among ascending[low:high], distinct ones; -1 if it is not there."""
    end = high
    while low < high:
        middle = (low + high) >> 1
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < end and ascending[low] == value else -1


@jit
def rest_on(pairs: I64, stride: int, hits: _Hits, postings: _Postings, most: int) -> tuple[I64, I64, I64]:
    """(hits of each pair, the first distinct n-grams of each, how many): on which anchors an item rests in a text.

    pairs : text * stride + item, sorted. The second is int64[C, most].
    """
    _, grams, texts = hits
    _, firsts, posting_items, _ = postings
    counts, filled = np.zeros(pairs.shape[0], np.int64), np.zeros(pairs.shape[0], np.int64)
    anchors = np.empty((pairs.shape[0], most), np.int64)
    low = high = 0
    for hit in range(grams.shape[0]):
        gram, base = grams[hit], texts[hit] * stride
        while low < pairs.shape[0] and pairs[low] < base:
            low += 1
        while high < pairs.shape[0] and pairs[high] < base + stride:
            high += 1
        before = -1
        for posting in range(firsts[gram], firsts[gram + 1] if low < high else firsts[gram]):
            pair = _number(pairs, low, high, base + posting_items[posting])
            if pair < 0 or pair == before:  # an item that holds the n-gram twice is counted once
                continue
            before = pair
            counts[pair] += 1
            known = filled[pair] == most
            for other in anchors[pair, : filled[pair]]:
                known |= other == gram
            if not known:
                anchors[pair, filled[pair]] = gram
                filled[pair] += 1
    return counts, anchors, filled

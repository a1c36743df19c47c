"""Numba kernels that find the n-grams of a table in a batch of texts. Shape legend: as in `decontam.kernels`.

`search` need not look at every token: an n-gram of 13 tokens holds the 6-gram that starts at the next multiple of 8, so
that one 6-gram in 8 tokens, looked up in a Bloom filter, finds every anchor. What costs is memory: a filter of a
million n-grams does not fit into the near caches, and a table of them into none. So each step is a loop of its own
over all that the step before let through, and asks for memory long before it reads it.
"""

from __future__ import annotations

import numpy as np

from decontam.kernels import (
    I32,
    I64,
    U64,
    Int,
    TokensOf,
    as_hash,
    first_weight,
    may_hold,
    ngram_sum,
    rolled_sum,
)
from filters.words import bucket_bits, inline, inner, jit, leaf, prefetch, store64

_Grams = tuple[int, int, U64, U64, U64, I32]  # of a table: ngram, sample, filters of samples and n-grams, n-grams, ...

_WAITING = 64  # samples whose memory is on its way


@leaf
def _sift(waiting: I64, values: U64, count: Int, samples: U64, found: I64, put: Int) -> Int:
    """`put` plus how many of the waiting samples pass; writes their tokens to found[put:]."""
    for at in range(count):
        store64(found, put, np.uint64(waiting[at]))
        put += may_hold(samples, values[at])  # no branch: which it is cannot be foreseen
    return put


@inline
def _look(texts: TokensOf, sample: Int, step: Int, samples: U64, room: tuple[I64, I64, U64]) -> Int:
    """How many samples of the batch the items may have; writes the tokens at which they start, ascending."""
    hashes, offsets = texts
    found, waiting, values = room
    last = np.uint64(samples.size - 1)
    put: Int = np.int64(0)
    count: Int = np.int64(0)
    for text in range(offsets.shape[0] - 1):
        for at in range(offsets[text], offsets[text + 1] - sample + 1, step):
            value = as_hash(ngram_sum(hashes, at, sample))
            prefetch(samples, np.int64(value & last))
            store64(waiting, count, np.uint64(at))
            store64(values, count, value)
            count += 1
            if count == _WAITING:
                put = _sift(waiting, values, count, samples, found, put)
                count = 0
    return _sift(waiting, values, count, samples, found, put)


@inner
def _sampled(texts: TokensOf, sample: Int, step: Int, samples: U64) -> I64:
    """The tokens of the batch that are looked at and at which a sample of the items may start, ascending."""
    found = np.empty(texts[0].shape[0] // step + texts[1].shape[0] + 1, np.int64)
    room = found, np.empty(_WAITING, np.int64), np.empty(_WAITING, np.uint64)
    if sample == 2 and step == 2:  # the samples of the default n-grams, which the compiler then knows
        return found[: _look(texts, 2, 2, samples, room)]
    if sample == 4 and step == 4:
        return found[: _look(texts, 4, 4, samples, room)]
    if sample == 6 and step == 8:
        return found[: _look(texts, 6, 8, samples, room)]
    return found[: _look(texts, sample, step, samples, room)]


@inner
def _candidates(texts: TokensOf, tokens: I64, reach: Int, grams: _Grams) -> tuple[I64, U64]:
    """(token, hash) of the n-grams that the Bloom filter lets through, of those that start at `tokens` or before.

    tokens : ascending; reach : at each, and at so many tokens before it, but not before the last of `tokens`.
    """
    hashes, offsets = texts
    ngram, _, _, bitmap, _, _ = grams
    starts = np.empty(tokens.shape[0] * (reach + 1), np.int64)
    values = np.empty(starts.shape[0], np.uint64)
    weight, last = first_weight(ngram), np.uint64(bitmap.shape[0] - 1)
    count, put, text = 0, 0, 0
    for at in tokens:
        while offsets[text + 1] <= at:
            text += 1
        first, end = max(offsets[text], at - reach), min(at, offsets[text + 1] - ngram) + 1
        value = ngram_sum(hashes, first, ngram if first < end else 0)
        for start in range(first, end):
            store64(starts, count, np.uint64(start))
            store64(values, count, as_hash(value))
            prefetch(bitmap, np.int64(value & last))
            count += 1
            if start + 1 < end:
                value = rolled_sum(value, hashes, start, ngram, weight)
    for at in range(count):
        passes = may_hold(bitmap, values[at])
        starts[put], values[put] = starts[at], values[at]
        put += passes
    return starts[:put], values[:put]


@inner
def _look_up(starts: I64, values: U64, ngrams: U64, directory: I32) -> tuple[I64, I64]:
    """(token, n-gram) of those candidates that the table has."""
    shift = np.uint64(64 - bucket_bits(directory.shape[0] - 1))
    for value in values:
        prefetch(directory, np.int64(value >> shift))
    grams = np.empty(values.shape[0], np.int64)
    for at in range(values.shape[0]):
        grams[at] = directory[np.int64(values[at] >> shift)]
        prefetch(ngrams, grams[at])
    found = 0
    for at in range(values.shape[0]):
        gram, value = grams[at], values[at]
        while gram < ngrams.shape[0] and ngrams[gram] < value:
            gram += 1
        starts[found], grams[found] = starts[at], gram
        found += gram < ngrams.shape[0] and ngrams[gram] == value
    return starts[:found], grams[:found]


@jit
def search(texts: TokensOf, grams: _Grams) -> tuple[I64, I64]:
    """(token, n-gram) of each n-gram hash of a table that a batch has; ascending.

    grams : ngram, sample (tokens looked at, at each multiple of ngram - sample + 1), Bloom filters of the samples of
    the items and of the n-grams, uint64[G] n-grams sorted, and their directory.
    """
    ngram, sample, samples, _, ngrams, directory = grams
    step = ngram - sample + 1
    starts, values = _candidates(texts, _sampled(texts, sample, step, samples), step - 1, grams)
    return _look_up(starts, values, ngrams, directory)


@jit
def search_at(texts: TokensOf, tokens: I64, grams: _Grams) -> tuple[I64, I64]:
    """As `search`, of those n-grams alone that start at `tokens`, ascending."""
    starts, values = _candidates(texts, tokens, 0, grams)
    return _look_up(starts, values, grams[4], grams[5])

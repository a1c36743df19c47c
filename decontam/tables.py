"""The n-grams of benchmark items by kind: `exact` anchors, starts of `short` items, two anchors of look-alikes.

Every posting of an exact n-gram is kept: an index that remembers one item for an n-gram cannot say
whose text was found, nor let another item convict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from decontam.kernels import (
    I32,
    I64,
    U64,
    Flags,
    has_words,
    make_bitmap,
    make_directory,
    roll,
)
from filters.text import CJK_RANGES, Tokens
from filters.words import jit

NGRAM_TOKENS = 13  # anchor length; Qwen2.5-Math report (arXiv 2409.12122), section 4
# Anchor of look-alikes. Of planted items with one word changed, 8 tokens find 0.987, 7 find 0.999, 6 all; but a change
# from 7 to 6 makes twice as many clean texts near.
NEAR_NGRAM_TOKENS = 7

# A question of fewer tokens than an anchor matches as a whole, from these sizes on. Two tokens ("Compute 7!") are a
# copy of nothing. A Chinese character is less than a word: nine of them ask "which of these statements is right".
MIN_SHORT_TOKENS = 3
MIN_SHORT_CJK_TOKENS = 10  # of a question that is nothing but Chinese characters

# Different words (tokens that are no number) in an anchor of look-alikes. With fewer it is a row of numbers, as in the
# margin of every program, or the terms x_1, x_2, x_3 that half of all textbooks share with some item. On planted edits
# and 10,381 clean texts: with 1 word 0.999 of the items with one word changed are found and 1.2 % of clean texts
# are near; with 2, 0.997 and 0.7 %; with 3, 0.993 and 0.5 %.
MIN_NEAR_WORDS = 2
MIN_MASKED_WORDS = 4

# Postings of an anchor of look-alikes; one with more is a phrase of the trade ("how many does he have left"), whose
# items have other anchors, and would cost most of the time. Exact anchors are all kept.
MAX_NEAR_POSTINGS = 50

TABLES = ("exact", "short", "near", "masked")  # an id numbers the n-grams of all, in this order

_BITS_PER_NGRAM = 8  # of a Bloom filter, at least: 1 in 20 of what is in no item goes on to the table, 1 in 60 of most
_SAMPLE_STEP = 8  # tokens between those that the search looks at, at most
_MIN_SAMPLE_TOKENS = 4  # shorter samples stand in too many texts, and are taken of the shortest n-grams alone

_NEAR_WORDS = 1 << 12  # of a Bloom filter that the near cache holds; small ones get so many, up to 64 bits an n-gram
_COUNT_BITS = 16

_Grams = tuple[int, int, U64, U64, U64, I32]
_Postings = tuple[int, I32, I32, I32]


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """The n-grams of one kind and their postings. G n-grams, P postings; all arrays are read-only."""

    ngram: int  # tokens in an n-gram
    ngrams: U64  # (G,) distinct n-gram hashes, sorted
    directory: I32  # (2**b + 1,) where the n-grams begin whose b high bits are a number or more
    posting_offsets: I32  # (G + 1,) range of postings of each n-gram
    posting_items: I32  # (P,) item, ascending within an n-gram
    posting_tokens: I32  # (P,) token of the item at which the n-gram starts
    bitmap: U64  # Bloom filter of `ngrams`, for a fast no
    samples: U64  # Bloom filter of the n-grams of `sample_tokens` that the n-grams hold

    @property
    def grams(self) -> _Grams:
        """What `probes.search` takes."""
        return self.ngram, sample_tokens(self.ngram), self.samples, self.bitmap, self.ngrams, self.directory

    @property
    def postings(self) -> _Postings:
        """What the kernels that confirm take."""
        return self.ngram, self.posting_offsets, self.posting_items, self.posting_tokens


def sample_tokens(ngram: int) -> int:
    """Tokens of the n-gram that the search looks up at every (ngram - tokens + 1)-th token."""
    return max(1, min(ngram - 1, _MIN_SAMPLE_TOKENS), ngram - _SAMPLE_STEP + 1)


def make_tables(tokens: Tokens, masked: U64, questions: Flags, ngram: int, near_ngram: int) -> dict[str, Table]:
    """The tables of the items whose tokens are given, by the names in TABLES.

    masked : uint64[T] token hashes with numbers masked; questions : bool[I], whether an item is a question.
    A solution shorter than an anchor is a bare answer, which says nothing of its question: it is in no table, and
    neither is a question that is too short.
    """
    lengths = np.diff(tokens.offsets)
    short = questions & (lengths < ngram)
    for item in np.flatnonzero(short).tolist():
        short[item] = says_enough(tokens.strings(item))
    speaking = short | (lengths >= ngram)
    hashes, offsets = tokens.hashes, tokens.offsets
    exact, near = (_starts(offsets, size) for size in (ngram, near_ngram))
    near = near[speaking[_owners(offsets, near)]]
    telling = has_words(masked, near, near_ngram, min(MIN_NEAR_WORDS, near_ngram))
    telling_masked = has_words(masked, exact, ngram, min(MIN_MASKED_WORDS, ngram))
    return {
        "exact": _table(hashes, offsets, exact, ngram),
        "short": _table(hashes, offsets, rarest(hashes, offsets, np.flatnonzero(short)), MIN_SHORT_TOKENS),
        "near": _table(hashes, offsets, near, near_ngram, telling, MAX_NEAR_POSTINGS),
        "masked": _table(masked, offsets, exact[telling_masked], ngram, most=MAX_NEAR_POSTINGS),
    }


def says_enough(tokens: Sequence[str]) -> bool:
    """Whether a question below the length of an anchor may match as a whole: not only numbers, not too little."""
    if all(_is_cjk(token) for token in tokens):
        return len(tokens) >= MIN_SHORT_CJK_TOKENS
    return len(tokens) >= MIN_SHORT_TOKENS and not all(token[0].isdigit() for token in tokens)


def _is_cjk(token: str) -> bool:
    return any(first <= ord(token[0]) <= last for first, last in CJK_RANGES)


def _owners(offsets: I64, tokens: I64) -> I64:
    return np.searchsorted(offsets, tokens, side="right") - 1


def _starts(offsets: I64, size: int) -> I64:
    """The tokens at which an n-gram of `size` fits into its item."""
    starts = np.arange(offsets[-1])
    return starts[starts + size <= offsets[_owners(offsets, starts) + 1]]


def _table(
    hashes: U64, offsets: I64, starts: I64, ngram: int, telling: Flags | None = None, most: int | None = None
) -> Table:
    """The table of the n-grams at `starts`, ascending.

    Those that do not tell, or have over `most` postings, stay in it without any: every exact anchor is to begin with
    an n-gram of the table `near`.
    """
    rolled = roll(hashes, offsets, ngram)[starts]
    order = np.argsort(rolled, kind="stable")  # the postings of an n-gram ascend
    ascending = rolled[order]
    firsts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1])[: len(order)])
    ngrams, counts = ascending[firsts], np.diff(firsts, append=len(order))
    # two n-grams of one hash are as likely as an error of the memory; the second would never be confirmed
    kept = same_ngrams(hashes, starts[order], firsts, ngram)
    if telling is not None:
        kept &= telling[order]
    if most is not None:
        kept &= np.repeat(counts <= most, counts)
    numbers = np.repeat(np.arange(len(ngrams)), counts)[kept]
    postings = starts[order[kept]]
    owners = _owners(offsets, postings)
    size = sample_tokens(ngram)
    sampled = np.zeros(len(hashes), dtype=bool)
    for step in range(ngram - size + 1):
        sampled[starts + step] = True
    arrays: dict[str, npt.NDArray[Any]] = {
        "ngrams": ngrams,
        "directory": make_directory(ngrams, _power_of_two(len(ngrams) // 2)),
        "posting_offsets": np.append(0, np.cumsum(np.bincount(numbers, minlength=len(ngrams)))).astype(np.int32),
        "posting_items": owners.astype(np.int32),
        "posting_tokens": (postings - offsets[owners]).astype(np.int32),
        "bitmap": make_bitmap(ngrams, _words(len(ngrams))),
        "samples": make_bitmap(roll(hashes, offsets, size)[sampled], _words(len(ngrams))),
    }
    for array in arrays.values():
        array.flags.writeable = False
    return Table(ngram=ngram, **arrays)


@jit
def rarest(hashes: U64, offsets: I64, items: I64) -> I64:
    """For each item the first of its MIN_SHORT_TOKENS tokens in a row of which the items have fewest.

    "Find the derivative of x^2" is looked for where a text says "derivative of x", not at every "find the".
    """
    counts = np.zeros(1 << _COUNT_BITS, np.int64)  # by the low bits of the hash: few tokens share a count
    low = np.uint64((1 << _COUNT_BITS) - 1)
    for value in hashes:
        counts[value & low] += 1
    starts = np.empty(items.shape[0], np.int64)
    for at in range(items.shape[0]):
        least = np.int64(-1)
        for start in range(offsets[items[at]], offsets[items[at] + 1] - MIN_SHORT_TOKENS + 1):
            common = np.int64(0)  # how often its pairs of neighbours would meet by chance
            for token in range(start, start + MIN_SHORT_TOKENS - 1):
                common += counts[hashes[token] & low] * counts[hashes[token + 1] & low]
            if least < 0 or common < least:
                least, starts[at] = common, start
    return starts


@jit
def same_ngrams(hashes: U64, starts: I64, firsts: I64, ngram: int) -> Flags:
    """Whether each n-gram has the tokens of the first of its run."""
    same = np.ones(starts.shape[0], dtype=np.bool_)
    for run in range(firsts.shape[0]):
        first = starts[firsts[run]]
        end = firsts[run + 1] if run + 1 < firsts.shape[0] else starts.shape[0]
        for at in range(firsts[run] + 1, end):
            for token in range(ngram):
                same[at] &= hashes[starts[at] + token] == hashes[first + token]
    return same


def _words(values: int) -> int:
    """Words of a Bloom filter of so many values."""
    return _power_of_two(max(values * _BITS_PER_NGRAM // 64, min(values, _NEAR_WORDS) - 1))


def _power_of_two(least: int) -> int:
    """The lowest power of two above a number, from 2 on."""
    return 2 << max(0, least.bit_length() - 1)

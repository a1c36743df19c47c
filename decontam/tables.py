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

from decontam.kernels import I32, I64, U64, Flags, distinct_words, make_bitmap, roll
from filters.text import CJK_RANGES, Tokens

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

_BITS_PER_NGRAM = 16  # of a Bloom filter, at least: 1 in 100 of what is in no item goes on to the table
_SAMPLE_STEP = 8  # tokens between those that the search looks at, where the n-gram is long enough
_MIN_SAMPLE_TOKENS = 5  # shorter samples stand in too many texts


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """The n-grams of one kind and their postings. G n-grams, P postings; all arrays are read-only."""

    ngram: int  # tokens in an n-gram
    ngrams: U64  # (G,) distinct n-gram hashes, sorted
    posting_offsets: I64  # (G + 1,) range of postings of each n-gram
    posting_items: I32  # (P,) item, ascending within an n-gram
    posting_tokens: I32  # (P,) token of the item at which the n-gram starts
    bitmap: U64  # Bloom filter of `ngrams`, for a fast no
    samples: U64  # Bloom filter of the n-grams of `sample_tokens` that the n-grams hold

    @property
    def grams(self) -> tuple[int, int, U64, U64, U64]:
        """What `kernels.search` takes."""
        return self.ngram, sample_tokens(self.ngram), self.samples, self.bitmap, self.ngrams

    @property
    def postings(self) -> tuple[int, I64, I32, I32]:
        """What `kernels.confirm` takes."""
        return self.ngram, self.posting_offsets, self.posting_items, self.posting_tokens


def sample_tokens(ngram: int) -> int:
    """Tokens of the n-gram that the search looks up at every (ngram - tokens + 1)-th token."""
    return min(ngram, max(_MIN_SAMPLE_TOKENS, ngram - _SAMPLE_STEP + 1))


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
    exact, near, first = (_starts(offsets, size) for size in (ngram, near_ngram, MIN_SHORT_TOKENS))
    first = first[np.isin(first, offsets[:-1][short])]
    near = near[speaking[_owners(offsets, near)]]
    telling = distinct_words(masked, near, near_ngram) >= min(MIN_NEAR_WORDS, near_ngram)
    telling_masked = distinct_words(masked, exact, ngram) >= min(MIN_MASKED_WORDS, ngram)
    return {
        "exact": _table(hashes, offsets, exact, ngram),
        "short": _table(hashes, offsets, first, MIN_SHORT_TOKENS),
        "near": _near_table(hashes, offsets, near, near_ngram, telling),
        "masked": _near_table(masked, offsets, exact[telling_masked], ngram),
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


def _near_table(hashes: U64, offsets: I64, starts: I64, ngram: int, telling: Flags | None = None) -> Table:
    """As `_table`; n-grams that do not tell, or have over MAX_NEAR_POSTINGS postings, stay in it without any.

    They stay because every exact anchor is to begin with an n-gram of the table `near`.
    """
    _, numbers, counts = np.unique(roll(hashes, offsets, ngram)[starts], return_inverse=True, return_counts=True)
    kept = counts[numbers] <= MAX_NEAR_POSTINGS
    return _table(hashes, offsets, starts, ngram, kept if telling is None else kept & telling)


def _table(hashes: U64, offsets: I64, starts: I64, ngram: int, kept: Flags | None = None) -> Table:
    """The table of the n-grams at `starts` (ascending), with postings for those that are `kept`."""
    rolled = roll(hashes, offsets, ngram)
    # a stable sort leaves the postings of an n-gram in order of item and token
    order = np.argsort(rolled[starts], kind="stable")
    ngrams, numbers = np.unique(rolled[starts], return_inverse=True)
    size = sample_tokens(ngram)
    sampled = np.zeros(len(hashes), dtype=bool)
    for step in range(ngram - size + 1):
        sampled[starts + step] = True
    samples = np.unique(roll(hashes, offsets, size)[sampled])
    if kept is not None:
        order = order[kept[order]]
    owners = _owners(offsets, starts[order])
    counts = np.bincount(numbers[order], minlength=len(ngrams))
    arrays: dict[str, npt.NDArray[Any]] = {
        "ngrams": ngrams,
        "posting_offsets": np.append(0, np.cumsum(counts)).astype(np.int64),
        "posting_items": owners.astype(np.int32),
        "posting_tokens": (starts[order] - offsets[owners]).astype(np.int32),
        "bitmap": make_bitmap(ngrams, _words(ngrams)),
        "samples": make_bitmap(samples, _words(samples)),
    }
    for array in arrays.values():
        array.flags.writeable = False
    return Table(ngram=ngram, **arrays)


def _words(values: U64) -> int:
    return 1 << max(0, (len(values) * _BITS_PER_NGRAM // 64).bit_length())

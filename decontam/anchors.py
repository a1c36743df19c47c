"""From a batch of texts to pairs of an item and a text, each with its best window; few calls, whatever is found.

Everything here is arrays over the whole batch: most texts have no anchor, and those of a textbook have a
few, so that the cost of a Python call for each text would be more than that of tokenising it.
Work is bounded: however often an item is hit, hits are first reduced to distinct alignments (the token
of the text where the item would start); alignments no further apart than half the slack share one
window; and an item is compared with at most `MAX_WINDOWS` of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from decontam import kernels
from decontam.kernels import I64, U64, Flags, search_at, windows
from decontam.lcs import best_windows
from decontam.segments import Segment
from decontam.tables import Table

# Windows of one document that are compared with one item, those with most anchors first: a copy has more
# anchors than a stock phrase, so that only a page with hundreds of copies leaves windows out.
MAX_WINDOWS = 256

_CHUNK_POSTINGS = 1 << 20  # postings looked at together: bounds memory (about 100 MB), changes no result
_WHOLE = 1 << 40  # tokens that must agree: all to the end of the item


class Texts(NamedTuple):
    """The tokens of a batch of N texts; T tokens."""

    hashes: U64  # (T,)
    masked: U64  # (T,) with numbers masked, or the same where nobody asks
    offsets: I64  # (N + 1,)

    def owners(self, tokens: I64) -> I64:
        """The text that each token is in."""
        return np.searchsorted(self.offsets, tokens, side="right") - 1


class Candidates(NamedTuple):
    """Where a batch has an n-gram hash of a table; ascending. H of them."""

    name: str  # of the table
    tokens: I64  # (H,) token of the batch
    grams: I64  # (H,) n-gram of the table


class Hits(NamedTuple):
    """Where a batch has an n-gram of a table, confirmed; ascending. H hits."""

    name: str  # of the table
    table: Table
    tokens: I64  # (H,) token of the batch
    grams: I64  # (H,) n-gram of the table
    texts: I64  # (H,)


class Alignments(NamedTuple):
    """Distinct (item, text, alignment), sorted; K of them."""

    items: I64  # (K,)
    texts: I64  # (K,)
    starts: I64  # (K,) token of the text at which the item would start; may be negative
    counts: I64  # (K,) anchors with this alignment

    def only(self, keep: Flags) -> Alignments:
        """Those whose flag is set."""
        return Alignments(*(column[keep] for column in self))


class Pairs(NamedTuple):
    """Items beside the best window that a text has for them; C pairs, sorted by item and text."""

    items: I64  # (C,)
    texts: I64  # (C,)
    begins: I64  # (C,) tokens of the batch
    ends: I64  # (C,)
    lcs: I64  # (C,) tokens of the common subsequence
    shorter: I64  # (C,) tokens of the shorter of window and item

    def only(self, keep: Flags) -> Pairs:
        """Those whose flag is set."""
        return Pairs(*(column[keep] for column in self))

    @staticmethod
    def none() -> Pairs:
        """No pairs."""
        return Pairs(*(np.empty(0, dtype=np.int64) for _ in range(6)))


def search(index: Segment, name: str, texts: Texts, shorter: Candidates | None = None) -> Candidates:
    """Where the texts have n-grams of the index's table `name`, by their hashes.

    shorter : those of another table with which every n-gram of this one begins, if they are known.
    """
    table = index.tables[name]
    hashes = texts.masked if name == "masked" else texts.hashes
    if shorter is not None and index.tables[shorter.name].ngram <= table.ngram:
        ends = texts.offsets[texts.owners(shorter.tokens) + 1]
        return Candidates(name, *search_at(hashes, shorter.tokens, ends, table.grams))
    capacity = 1024 + len(hashes) // 64  # clean text has fewer hits; a batch of copies is searched twice
    count, tokens, grams = kernels.search(hashes, texts.offsets, table.grams, capacity)
    if count > capacity:
        _, tokens, grams = kernels.search(hashes, texts.offsets, table.grams, count)
    return Candidates(name, tokens, grams)


def confirm(index: Segment, texts: Texts, found: Candidates) -> tuple[Hits, Alignments]:
    """The candidates whose tokens agree, and the alignments that these propose.

    A `short` item must agree from its first token to its last.
    """
    name, tokens, grams = found
    table = index.tables[name]
    if not len(tokens):
        return Hits(name, table, tokens, grams, tokens), Alignments(tokens, tokens, tokens, tokens)
    hashes, item_hashes = (texts.masked, index.masked) if name == "masked" else (texts.hashes, index.hashes)
    owners = texts.owners(tokens)
    ends = texts.offsets[owners + 1]
    postings = (_WHOLE if name == "short" else table.ngram, *table.postings[1:])
    # every text gets room for the longest item before it, so that no two texts share an alignment
    room = (np.arange(len(texts.offsets)) + 1) * index.longest
    confirmed = np.zeros(len(tokens), dtype=bool)
    stride = int(texts.offsets[-1] + room[-1]) + 1
    keys, counts = _no_keys()
    for first, last, capacity in _chunks(table, grams):
        part = slice(first, last)
        hits, items, starts = kernels.confirm(
            hashes, (item_hashes, index.offsets), postings, (tokens[part], grams[part], ends[part]), capacity
        )
        confirmed[first + hits] = True
        virtual = tokens[first + hits] + room[owners[first + hits]] - starts
        keys, counts = _merged(keys, counts, np.sort(items * stride + virtual))
    items, virtual = keys // stride, keys % stride
    docs = np.searchsorted(texts.offsets + room - index.longest, virtual, side="right") - 1
    starts = virtual - room[docs] - texts.offsets[docs]
    return (
        Hits(name, table, tokens[confirmed], grams[confirmed], owners[confirmed]),
        Alignments(items, docs, starts, counts),
    )


def join(a: Alignments, b: Alignments) -> Alignments:
    """The alignments of both, each once, with the anchors of both."""
    if not len(a.items) or not len(b.items):
        return a if len(a.items) else b
    items, texts, starts, counts = (np.concatenate(columns) for columns in zip(a, b, strict=True))
    order = np.lexsort((starts, texts, items))
    items, texts, starts = items[order], texts[order], starts[order]
    new = np.ones(len(items), dtype=bool)
    new[1:] = (np.diff(items) != 0) | (np.diff(texts) != 0) | (np.diff(starts) != 0)
    firsts = np.flatnonzero(new)
    counts = np.add.reduceat(counts[order], firsts) if len(firsts) else counts
    return Alignments(items[new], texts[new], starts[new], counts)


def compare(index: Segment, texts: Texts, found: Alignments, slack: tuple[int, int]) -> Pairs:
    """Each item and text that have an alignment, with the window of the highest ratio; the first among equals.

    slack : share of the item's tokens on each side of its window, as a fraction.
    """
    if not len(found.items):
        return Pairs.none()
    new = np.ones(len(found.items), dtype=bool)
    new[1:] = (np.diff(found.items) != 0) | (np.diff(found.texts) != 0)
    items, docs = found.items[new], found.texts[new]
    item_tokens = index.offsets[items + 1] - index.offsets[items]
    text_tokens = texts.offsets[docs + 1] - texts.offsets[docs]
    numbers = np.cumsum(new) - 1
    owners, begins, ends = windows(numbers, found.starts, found.counts, (item_tokens, text_tokens), slack, MAX_WINDOWS)
    begins, ends = begins + texts.offsets[docs[owners]], ends + texts.offsets[docs[owners]]
    best, lcs = best_windows(texts.hashes, (index.hashes, index.offsets), items, owners, begins, ends)
    begins, ends = begins[best], ends[best]
    return Pairs(items, docs, begins, ends, lcs, np.minimum(ends - begins, item_tokens))


def _no_keys() -> tuple[I64, I64]:
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)


def _chunks(table: Table, grams: I64) -> Iterator[tuple[int, int, int]]:
    """(first hit, last hit, postings) of runs of hits, each of bounded size or one hit."""
    ends = np.cumsum(table.posting_offsets[grams + 1] - table.posting_offsets[grams])
    begin = done = 0
    while begin < len(grams):
        end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK_POSTINGS, side="right")))
        yield begin, end, int(ends[end - 1]) - done
        begin, done = end, int(ends[end - 1])


def _merged(keys: I64, counts: I64, ascending: I64) -> tuple[I64, I64]:
    """(distinct keys, sum of counts of each) of sorted keys with counts and more sorted keys that count 1."""
    # not np.unique, whose hash table is several times slower than a sort on millions of keys
    firsts = np.flatnonzero(np.diff(ascending, prepend=-1))  # no key is negative
    distinct, numbers = ascending[firsts], np.diff(firsts, append=len(ascending))
    if not len(keys):
        return distinct, numbers
    both, all_counts = np.concatenate([keys, distinct]), np.concatenate([counts, numbers])
    order = np.argsort(both, kind="stable")
    firsts = np.flatnonzero(np.diff(both[order], prepend=-1))
    return both[order][firsts], np.add.reduceat(all_counts[order], firsts)

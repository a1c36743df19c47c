"""From a batch of texts to pairs of an item and a text, each with its best window; few calls, whatever is found.

Everything here is arrays over the whole batch: most texts have no anchor, and those of a textbook have a
few, so that the cost of a Python call for each text would be more than that of tokenising it.
Work is bounded: however often an item is hit, hits are first reduced to distinct alignments (the token
of the text where the item would start); alignments no further apart than half the slack share one
window; and an item is compared with at most `MAX_WINDOWS` of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from decontam import postings, probes
from decontam.kernels import I64, U64, Flags, TokensOf
from decontam.lcs import best_windows
from decontam.params import DecontaminationParams
from decontam.segments import Segment
from decontam.tables import Table
from decontam.windows import promising, windows

# Windows of one document that are compared with one item, those with most anchors first: a copy has more
# anchors than a stock phrase, so that only a page with hundreds of copies leaves windows out.
MAX_WINDOWS = 256

_CHUNK_POSTINGS = 1 << 20  # postings looked at together: bounds memory (about 50 MB), changes no result
_NONE = np.empty(0, dtype=np.int64)


class Texts(NamedTuple):
    """The tokens of a batch of N texts; T tokens."""

    hashes: U64  # (T,)
    masked: U64  # (T,) with numbers masked, or the same where nobody asks
    offsets: I64  # (N + 1,)

    def tokens(self, table: str) -> TokensOf:
        """The tokens and offsets that are looked up in a table."""
        return (self.masked if table == "masked" else self.hashes), self.offsets

    def owners(self, tokens: I64) -> I64:
        """The text that each token is in."""
        return np.searchsorted(self.offsets, tokens, side="right") - 1


class Hits(NamedTuple):
    """Where a batch has an n-gram of a table, ascending; H hits. By their hashes, until `confirm` has seen them."""

    name: str  # of the table
    tokens: I64  # (H,) token of the batch
    grams: I64  # (H,) n-gram of the table
    texts: I64  # (H,)

    @property
    def columns(self) -> tuple[I64, I64, I64]:
        """What the kernels take."""
        return self.tokens, self.grams, self.texts


class Alignments(NamedTuple):
    """Distinct (item, text, alignment), sorted; K of them, of C pairs of an item and a text."""

    pairs: I64  # (K,)
    starts: I64  # (K,) token of the text at which the item would start; may be negative
    counts: I64  # (K,) anchors with this alignment
    items: I64  # (C,)
    texts: I64  # (C,)

    def only(self, keep: Flags) -> Alignments:
        """Those of the pairs whose flag is set."""
        of_pair = keep[self.pairs]
        pairs = (np.cumsum(keep) - 1)[self.pairs[of_pair]]
        return Alignments(pairs, self.starts[of_pair], self.counts[of_pair], self.items[keep], self.texts[keep])


class Places(NamedTuple):
    """Where texts have whole items, sorted; P of them."""

    items: I64  # (P,)
    texts: I64  # (P,)
    begins: I64  # (P,) token of the batch


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
        return Pairs(*(_NONE for _ in range(6)))


def search(index: Segment, name: str, texts: Texts, shorter: Hits | None = None) -> Hits:
    """Where the texts have n-grams of the index's table `name`, by their hashes.

    shorter : those of another table with which every n-gram of this one begins, if they are known.
    """
    table = index.tables[name]
    if shorter is not None and index.tables[shorter.name].ngram <= table.ngram:
        tokens, grams = probes.search_at(texts.tokens(name), shorter.tokens, table.grams)
    else:
        tokens, grams = probes.search(texts.tokens(name), table.grams)
    return Hits(name, tokens, grams, texts.owners(tokens) if len(tokens) else _NONE)


def confirm(index: Segment, texts: Texts, found: Hits) -> Hits:
    """Those that items hold and whose tokens agree."""
    if not len(found.tokens):
        return found
    name, tokens, grams, owners = found
    postings_of = index.tables[name].postings
    kept = postings.confirmed(texts.tokens(name), _items(index, name), postings_of, tokens, grams)
    return Hits(name, tokens[kept], grams[kept], owners[kept])


def align(index: Segment, texts: Texts, hits: Sequence[Hits]) -> Alignments:
    """The alignments that confirmed hits propose, each once, with its anchors of all tables."""
    longest = index.longest
    stride = int(texts.offsets[-1]) + longest * (len(texts.offsets) + 1) + 1
    keys = counts = _NONE
    for part in hits:
        table = index.tables[part.name]
        for columns, capacity in _chunks(table, part):
            more = np.sort(postings.alignments(table.postings, columns, longest, stride, capacity))
            keys, counts = _merged(keys, counts, *postings.distinct(more, _NONE))
    pairs, starts, items, docs = postings.grouped(keys, stride, longest, texts.offsets)
    return Alignments(pairs, starts, counts, items, docs)


def find_whole(index: Segment, texts: Texts, found: Hits) -> Places:
    """Where the texts have a whole item, from its first token to its last, of those with an n-gram that is a hit."""
    table = index.tables[found.name]
    parts = [
        postings.whole_items(texts.tokens(found.name), _items(index, found.name), table.postings, columns, capacity)
        for columns, capacity in _chunks(table, found)
    ]
    if not any(len(items) for items, _, _ in parts):
        return Places(_NONE, _NONE, _NONE)
    items, docs, begins = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((begins, docs, items))
    return Places(items[order], docs[order], begins[order])


def compare(index: Segment, texts: Texts, found: Alignments, params: DecontaminationParams) -> Pairs:
    """Each item and text whose best window is contaminated; of several windows with one ratio the first."""
    tokens, own = texts.tokens("exact"), _items(index, "exact")
    owners, begins, ends = windows(found, (index.offsets, texts.offsets), params.slack, MAX_WINDOWS)
    kept = promising(tokens, own, found.items, (owners, begins, ends), params.floor)
    if not kept.any():
        return Pairs.none()
    numbers, owners = np.unique(owners[kept], return_inverse=True)
    begins, ends, items, docs = begins[kept], ends[kept], found.items[numbers], found.texts[numbers]
    best, lcs = best_windows(texts.hashes, own, items, owners, begins, ends)
    begins, ends = begins[best], ends[best]
    shorter = np.minimum(ends - begins, index.offsets[items + 1] - index.offsets[items])
    return Pairs(items, docs, begins, ends, lcs, shorter).only(params.is_contaminated(lcs, shorter))


def _items(index: Segment, table: str) -> TokensOf:
    return (index.masked if table == "masked" else index.hashes), index.offsets


def _chunks(table: Table, hits: Hits) -> Iterator[tuple[tuple[I64, I64, I64], int]]:
    """(columns, postings) of runs of hits, each of bounded size or one hit."""
    if not len(hits.grams):
        return
    ends = np.cumsum(table.posting_offsets[hits.grams + 1] - table.posting_offsets[hits.grams])
    begin = done = 0
    while begin < len(ends):
        end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK_POSTINGS, side="right")))
        part = slice(begin, end)
        yield (hits.tokens[part], hits.grams[part], hits.texts[part]), int(ends[end - 1]) - done
        begin, done = end, int(ends[end - 1])


def _merged(keys: I64, counts: I64, more: I64, more_counts: I64) -> tuple[I64, I64]:
    """(distinct keys, sum of counts of each) of twice sorted keys with counts."""
    if not len(keys) or not len(more):
        return (keys, counts) if len(keys) else (more, more_counts)
    keys, counts = np.concatenate([keys, more]), np.concatenate([counts, more_counts])
    order = np.argsort(keys, kind="stable")
    return postings.distinct(keys[order], counts[order])

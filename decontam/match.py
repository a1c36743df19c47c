"""Benchmark items in a batch of texts: anchors by n-gram, convicted by the common subsequence around them.

A kernel finds the tokens whose n-gram hash is in the index; Python then sees only documents with such
a hit, which are rare. Work on one document is bounded: however often an item is hit, hits are first
reduced, with numpy, to distinct alignments (the token of the document where the item would start);
alignments no further apart than half the slack share one window; and an item is compared with at most
`MAX_WINDOWS` of them. The subsequence of a whole document is never taken: unrelated pages of 4,096
tokens pass the threshold by chance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import LCSseq

from decontam.index import NGRAM_TOKENS, Index
from decontam.kernels import I64, U64, probe, roll
from filters.errors import UsageError
from filters.text import char_spans, pack, tokenise

MATCH_VERSION = "qwen-math-1"  # raised by hand when the same texts, items and parameters match otherwise

# "the ratio of the longest common subsequence must exceed 0.6" (Qwen2.5-Math report, arXiv 2409.12122,
# section 4); of the shorter of the two (Qwen2 report, arXiv 2407.10671, section 5.2.6). Strictly above.
LCS_THRESHOLD = 0.6

# Share of the item's length added on each side of its window. The reports are silent; with none, a copy
# with words inserted leaves its window, and with whole pages the ratio says nothing.
WINDOW_SLACK = 0.25

# Windows of one document that are compared with one item, those with most anchors first: a copy has more
# anchors than a stock phrase, so that only a page with hundreds of copies leaves windows out.
MAX_WINDOWS = 256

_CHUNK_POSTINGS = 1 << 20  # postings looked at together: bounds memory (about 100 MB), changes no result
_FIRST_SURROGATE, _SURROGATES = 0xD800, 0x800  # code points that a str should not hold


@dataclass(frozen=True, slots=True)
class DecontaminationParams:
    """The points of the rule that move a verdict; the defaults are rule `qwen-math`."""

    ngram: int = NGRAM_TOKENS  # tokens in an anchor
    window_slack: float = WINDOW_SLACK  # share of the item's tokens, on each side
    lcs_threshold: float = LCS_THRESHOLD  # contaminated strictly above

    def __post_init__(self) -> None:
        """Refuse values that make no rule."""
        for name, value, low, high in (
            ("ngram", self.ngram, 1, 64),
            ("window_slack", self.window_slack, 0, 1),
            ("lcs_threshold", self.lcs_threshold, 0, 1),
        ):
            if not low <= value <= high:
                msg = f"{name} must be from {low} to {high}, not {value!r}"
                raise UsageError(msg)

    def slack(self, item_tokens: int) -> int:
        """Tokens added on each side of the window of an item, rounded down."""
        share = _as_written(self.window_slack)
        return item_tokens * share.numerator // share.denominator

    def is_contaminated(self, lcs: int, shorter: int) -> bool:
        """Whether lcs / shorter is strictly above the threshold; exact, in integers."""
        threshold = _as_written(self.lcs_threshold)
        return lcs * threshold.denominator > shorter * threshold.numerator


@cache
def _as_written(decimal: float) -> Fraction:
    """The number as it was written: 3/5 for 0.6, which binary fractions only come near."""
    return Fraction(str(decimal))


@dataclass(frozen=True, slots=True)
class Match:
    """One benchmark item found in one document."""

    item: int  # number of the item in `Index.items`
    kind: str  # class of the evidence: "exact"
    lcs: float  # common subsequence / shorter of window and item, 4 decimals
    ngrams: int  # tokens of the document at which an n-gram of the item starts
    window: tuple[int, int]  # tokens of the document that were compared with the item
    span: tuple[int, int]  # characters of the text: the tightest that hold the common subsequence


class _Anchors(NamedTuple):
    """Confirmed anchors of one document: a row for each distinct (item, alignment), sorted."""

    items: I64
    alignments: I64  # token at which the item would start; may be negative
    counts: I64  # anchors with this alignment
    shared: Mapping[int, int]  # of each item, the distinct tokens at which an anchor starts


class _Window(NamedTuple):
    """Tokens of a document, from `begin` on, beside an item; both as strings with a character a token."""

    begin: int
    item: str
    text: str
    lcs: int

    @property
    def shorter(self) -> int:
        """Tokens of the shorter of window and item."""
        return min(len(self.text), len(self.item))

    def tight_span(self) -> tuple[int, int]:
        """The tokens of the document that end first with this LCS, and of those start last.

        Both ends are matched tokens. An LCS has many alignments, and a library's choice among them may
        begin at a stray word far before the copy; this one depends on nothing but the texts.
        """
        item, text = self.item, self.text
        last = bisect_left(range(len(text) + 1), self.lcs, key=lambda n: LCSseq.similarity(item, text[:n]))
        size = bisect_left(range(last + 1), self.lcs, key=lambda n: LCSseq.similarity(item, text[last - n : last]))
        return self.begin + last - size, self.begin + last


class _Hit(NamedTuple):
    """An item above the threshold."""

    item: int
    ngrams: int
    window: _Window
    span: tuple[int, int]  # tokens of the document

    def as_match(self, chars: tuple[int, int]) -> Match:
        """The hit, its span in characters."""
        begin, end = self.window.begin, self.window.begin + len(self.window.text)
        ratio = round(self.window.lcs / self.window.shorter, 4)
        return Match(self.item, "exact", ratio, self.ngrams, (begin, end), chars)


def match_batch(index: Index, texts: Sequence[str], params: DecontaminationParams) -> list[list[Match]]:
    """For each text its matches, in the order of `Index.items`; every item that matches, not the first."""
    if params.ngram != index.ngram:
        msg = f"the index holds {index.ngram}-grams but the rule asks for {params.ngram}; build the index again"
        raise UsageError(msg)
    batch = pack(texts)
    tokens = tokenise(batch)
    positions, ngrams = _candidates(index, tokens.hashes, tokens.offsets)
    owners = np.searchsorted(tokens.offsets, positions, side="right") - 1
    results: list[list[Match]] = [[] for _ in texts]
    for doc in np.unique(owners).tolist():
        begin, end = tokens.offsets[doc], tokens.offsets[doc + 1]
        hits = slice(*np.searchsorted(owners, [doc, doc + 1]))
        hashes = tokens.hashes[begin:end]
        anchors = _confirmed(index, hashes, positions[hits] - begin, ngrams[hits])
        found = _convicted(index, hashes, anchors, params)
        if found:
            first, last = np.array([hit.span for hit in found]).T + begin
            byte_spans = np.stack([tokens.starts[first], tokens.ends[last - 1]], axis=1) - batch.offsets[doc]
            spans = np.asarray(char_spans(texts[doc], byte_spans)).tolist()
            results[doc] = [hit.as_match((a, b)) for hit, (a, b) in zip(found, spans, strict=True)]
    return results


def _candidates(index: Index, hashes: U64, offsets: I64) -> tuple[I64, I64]:
    """(token, n-gram of the index) of every token of a batch whose n-gram hash is in the index, ascending."""
    rolled = roll(hashes, offsets, index.ngram)
    capacity = 1024 + len(rolled) // 64  # clean text has fewer hits; a batch of copies is probed twice
    hits, positions, ngrams = probe(rolled, index.bitmap, index.ngrams, capacity)
    if hits > capacity:
        _, positions, ngrams = probe(rolled, index.bitmap, index.ngrams, hits)
    return positions, ngrams


def _confirmed(index: Index, hashes: U64, positions: I64, ngrams: I64) -> _Anchors:
    """The candidates of a document whose tokens, not only their hash, are an item's."""
    # one integer holds an item and a token or an alignment, so that a sort groups them by item
    longest = int(np.diff(index.offsets).max())
    stride = len(hashes) + longest
    shared: Counter[int] = Counter()
    parts = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))]
    for tokens, postings in _postings(index, positions, ngrams):
        items = index.posting_items[postings].astype(np.int64)
        starts = index.posting_tokens[postings]
        same = np.ones(len(items), dtype=bool)
        for step in range(index.ngram):
            same &= hashes[tokens + step] == index.hashes[index.offsets[items] + starts + step]
        owned = (items * stride + tokens)[same]
        # a token of the document is in one chunk only, so that the chunks' distinct tokens add up
        distinct, _ = _runs(np.sort(owned))
        shared.update((distinct // stride).tolist())
        distinct, firsts = _runs(np.sort(owned - starts[same] + longest))
        parts.append((distinct, np.diff(firsts, append=len(owned))))
    all_keys, all_counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(all_keys, kind="stable")
    keys, firsts = _runs(all_keys[order])
    counts = np.add.reduceat(all_counts[order], firsts) if len(keys) else all_counts
    return _Anchors(keys // stride, keys % stride - longest, counts, shared)


def _postings(index: Index, positions: I64, ngrams: I64) -> Iterator[tuple[I64, I64]]:
    """(token, posting) of every candidate with every posting of its n-gram, in chunks of bounded size."""
    firsts = index.posting_offsets[ngrams]
    counts = index.posting_offsets[ngrams + 1] - firsts
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(ngrams):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK_POSTINGS, side="right")))
        repeats = counts[begin:end]
        within = np.arange(int(ends[end - 1]) - done) - np.repeat(ends[begin:end] - repeats - done, repeats)
        yield np.repeat(positions[begin:end], repeats), np.repeat(firsts[begin:end], repeats) + within
        begin = end


def _runs(ascending: I64) -> tuple[I64, I64]:
    """(distinct keys, where each first stands) of sorted keys."""
    # not np.unique, whose hash table is several times slower than a sort on millions of keys
    firsts = np.flatnonzero(np.diff(ascending, prepend=-1))  # no key is negative
    return ascending[firsts], firsts


def _convicted(index: Index, hashes: U64, anchors: _Anchors, params: DecontaminationParams) -> list[_Hit]:
    """For each item that has an anchor its best window, if that is above the threshold; in order of item."""
    hits = []
    items, firsts = np.unique(anchors.items, return_index=True)
    lasts = np.append(firsts, len(anchors.items))[1:]
    for item, first, last in zip(items.tolist(), firsts, lasts, strict=True):
        item_tokens = index.tokens(item)
        windows = _windows(
            anchors.alignments[first:last].tolist(),
            anchors.counts[first:last].tolist(),
            item_tokens=len(item_tokens),
            doc_tokens=len(hashes),
            slack=params.slack(len(item_tokens)),
        )
        best = _best_window(item_tokens, hashes, windows)
        if params.is_contaminated(best.lcs, best.shorter):
            hits.append(_Hit(item, anchors.shared[item], best, best.tight_span()))
    return hits


def _windows(
    alignments: list[int], counts: list[int], *, item_tokens: int, doc_tokens: int, slack: int
) -> list[tuple[int, int]]:
    """The distinct windows of a document to compare with an item, ascending.

    Alignments (ascending) within slack // 2 of the first of a group are one group. Its window is that of
    the alignment with the most anchors, the lowest among equals: it holds at least half the slack of each.
    """
    if doc_tokens < item_tokens:
        return [(0, doc_tokens)]
    groups: list[tuple[int, int]] = []  # (-anchors, alignment): the best of each group
    first = alignments[0] - slack - 1
    for alignment, count in zip(alignments, counts, strict=True):
        if alignment - first > slack // 2:
            groups.append((-count, alignment))
            first = alignment
        elif -count < groups[-1][0]:
            groups[-1] = (-count, alignment)
    chosen = sorted(alignment for _, alignment in sorted(groups)[:MAX_WINDOWS])
    return list(dict.fromkeys((max(0, a - slack), min(doc_tokens, a + item_tokens + slack)) for a in chosen))


def _best_window(item_tokens: U64, hashes: U64, windows: list[tuple[int, int]]) -> _Window:
    """The window with the highest ratio, the first among equals."""
    alphabet = np.unique(item_tokens)
    item = _encode(alphabet, item_tokens)
    best = _Window(0, item, "", 0)
    for begin, end in windows:
        text = _encode(alphabet, hashes[begin:end])
        window = _Window(begin, item, text, LCSseq.similarity(item, text))
        if not best.text or window.lcs * best.shorter > best.lcs * window.shorter:
            best = window
        if window.lcs == window.shorter:
            break
    return best


def _encode(alphabet: U64, hashes: U64) -> str:
    """Tokens as a string, one code point each: 1 + its place in the alphabet (sorted), 0 if not in it."""
    places = np.searchsorted(alphabet, hashes)
    places[places == len(alphabet)] = 0
    codes = np.where(alphabet[places] == hashes, places + 1, 0)
    codes[codes >= _FIRST_SURROGATE] += _SURROGATES
    return codes.astype("<u4").tobytes().decode("utf-32-le")

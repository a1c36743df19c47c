"""Benchmark items in a batch of texts: the rule `qwen-math` and its classes.

`exact`: a shared n-gram of 13 tokens, and around it a common subsequence above 0.6 of the shorter of item
and window. The subsequence of a whole document is never taken: unrelated pages of 4,096 tokens pass the
threshold by chance. `short`: a question of 3 to 12 tokens, whole and set off from the text around it.
`near`: look-alikes, found by shared 7-grams, or 13-grams with numbers masked, and convicted by the same ratio.
`judged` is what a model calls the same (see `decontam.judge`); no rule finds it.
`review` is a match of formulas without the words or operators (see `decontam.wording`), and what `decontam.stock` makes
of one that rests on stock phrases alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from decontam.anchors import Alignments, Hits, Pairs, Places, Texts, align, compare, confirm, find_whole, search
from decontam.borders import stand_alone
from decontam.formula import similar
from decontam.index import Index
from decontam.kernels import I64, Flags, mask
from decontam.lcs import tight_spans
from decontam.params import LCS_THRESHOLD, STOCK_DOCUMENTS, WINDOW_SLACK, DecontaminationParams
from decontam.postings import distinct, held, rest_on
from decontam.private import keyed
from decontam.segments import Segment
from decontam.wording import has_signs, has_wording, sign_digests, signs_of, texts_wording
from filters.text import Batch, Tokens, char_places, pack, token_spans, tokenise

__all__ = [
    "KINDS",
    "LCS_THRESHOLD",
    "MATCH_VERSION",
    "STOCK_DOCUMENTS",
    "WINDOW_SLACK",
    "DecontaminationParams",
    "Match",
    "Scan",
    "match_batch",
    "scan_batch",
]

MATCH_VERSION = "qwen-math-4"  # raised by hand when the same texts, items and parameters match otherwise

KINDS = ("exact", "short", "near", "judged", "review")  # classes of the evidence, strongest first
MAX_ANCHORS = 32  # kept of a match: enough to tell a copy from a stock phrase


@dataclass(frozen=True, slots=True)
class Match:
    """One benchmark item found in one document."""

    item: int  # number of the item in `Index.items`
    kind: str  # class of the evidence, one of KINDS
    lcs: float  # common subsequence / shorter of window and item, 4 decimals
    ngrams: int  # tokens of the document at which an anchor of the item starts
    window: tuple[int, int]  # tokens of the document that were compared with the item
    span: tuple[int, int]  # characters of the text: the tightest that hold the common subsequence
    anchors: tuple[int, ...] = ()  # ids of the distinct n-grams that it rests on, the first MAX_ANCHORS


class Scan(NamedTuple):
    """What was found in one text."""

    matches: list[Match]  # in the order of `Index.items`
    loose: tuple[int, ...] = ()  # ids of the n-grams that the text shares with items, none of which it holds


NOTHING = Scan([])  # one for all texts in which nothing was found: not to be changed
_NO_ROWS = np.empty((0, 2), dtype=np.int64)


class _Found(NamedTuple):
    """The pairs of one class that are convicted, the tokens of the batch that show it, and their anchors."""

    kind: str
    pairs: Pairs
    spans: I64  # (C, 2)
    counts: I64  # (C,)
    anchors: list[list[int]]

    def only(self, keep: Flags, kind: str) -> _Found:
        """The pairs whose flag is set, as another class."""
        anchors = [line for line, kept in zip(self.anchors, keep.tolist(), strict=True) if kept]
        return _Found(kind, self.pairs.only(keep), self.spans[keep], self.counts[keep], anchors)

    def match(self, row: int, first_token: int, span: Sequence[int]) -> Match:
        """Pair number `row`, its window counted from `first_token` of the batch, its span in characters."""
        pairs = self.pairs
        return Match(
            item=int(pairs.items[row]),
            kind=self.kind,
            lcs=round(int(pairs.lcs[row]) / int(pairs.shorter[row]), 4),
            ngrams=int(self.counts[row]),
            window=(int(pairs.begins[row]) - first_token, int(pairs.ends[row]) - first_token),
            span=(span[0], span[1]),
            anchors=tuple(sorted(self.anchors[row])),
        )


def match_batch(index: Index, texts: Sequence[str] | Batch, params: DecontaminationParams) -> list[list[Match]]:
    """For each text its matches, in the order of `Index.items`; every item that matches, not the first."""
    return [scan.matches for scan in scan_batch(index, texts, params)]


def scan_batch(index: Index, texts: Sequence[str] | Batch, params: DecontaminationParams) -> list[Scan]:
    """For each text its matches, and the anchors in it that convict nothing.

    A batch, as `filters.text.from_arrow` makes of a column, is taken as it is, without an object for each text.
    With rule `qwen2-formula`, UsageError for a text longer than `decontam.formula.MAX_TOKENS`.
    """
    params.check(index)
    batch = texts if isinstance(texts, Batch) else pack(texts)
    tokens = tokenise(batch, folded=False, spans=False, numbers=params.near and params.near_masked)
    parts = [_scan(segment, batch, keyed(tokens, segment.key), params) for segment in index.segments]
    return parts[0] if len(parts) == 1 else [_joined(index, scans) for scans in zip(*parts, strict=True)]


def _joined(index: Index, scans: Sequence[Scan]) -> Scan:
    """What the segments of an index found in one text, its items and n-grams counted through all segments."""
    matches: list[Match] = []
    loose: list[int] = []
    for scan, first_item, first_id in zip(scans, index.items.firsts[:-1], index.first_ids, strict=True):
        matches += [
            replace(match, item=match.item + first_item, anchors=tuple(first_id + a for a in match.anchors))
            for match in scan.matches
        ]
        loose += [first_id + gram for gram in scan.loose]
    return Scan(matches, tuple(loose))


def _scan(index: Segment, batch: Batch, tokens: Tokens, params: DecontaminationParams) -> list[Scan]:
    """For each text what one segment finds in it; the tokens are hashed as those of the segment are."""
    if params.rule == "qwen2-formula":
        pairs = similar(index, tokens, params)
        view = Texts(tokens.hashes, tokens.hashes, tokens.offsets)
        return [Scan(found) for found in _matches(batch, tokens, [_shown(index, view, "exact", pairs, [])])]
    masked = mask(tokens.hashes, tokens.numbers) if params.near and params.near_masked else tokens.hashes
    view = Texts(tokens.hashes, masked, tokens.offsets)
    look_alike = [search(index, name, view) for name in params.near_tables]
    # an exact anchor begins with one of look-alikes, so that where those are known the others need no search
    exact = search(index, "exact", view, look_alike[0] if look_alike else None)
    short = [search(index, "short", view)] if params.short else []
    if not any(len(hits.tokens) for hits in (exact, *short, *look_alike)):
        return [NOTHING] * len(batch)
    exact, *look_alike = (confirm(index, view, hits) for hits in (exact, *look_alike))
    convicted = _convicted(index, view, [exact], align(index, view, [exact]), "exact", params)
    found = _by_wording(index, batch, tokens, convicted, params)
    loose = []
    for places in (find_whole(index, view, hits) for hits in short):
        whole, undelimited = _whole(index, batch, tokens, places, params)
        found += whole
        loose.append(undelimited)
    if look_alike:
        alignments = align(index, view, look_alike)
        known = np.concatenate([_keys(index, f.pairs) for f in found])
        if len(known):
            alignments = alignments.only(~np.isin(_keys(index, alignments), known))
        found.append(_convicted(index, view, look_alike, alignments, "near", params))
    loose += _unheld(index, [exact, *look_alike], found)
    return _scans(_matches(batch, tokens, found), np.concatenate(loose))


def _keys(index: Segment, pairs: Pairs | Alignments | Places) -> I64:
    """A number for each pair of a text and an item."""
    return pairs.texts * len(index.items) + pairs.items


def _convicted(
    index: Segment, texts: Texts, hits: list[Hits], alignments: Alignments, kind: str, params: DecontaminationParams
) -> _Found:
    """The pairs whose best window is above the threshold."""
    pairs = compare(index, texts, alignments, params) if len(alignments.items) else Pairs.none()
    return _shown(index, texts, kind, pairs, hits)


def _shown(index: Segment, texts: Texts, kind: str, pairs: Pairs, hits: list[Hits]) -> _Found:
    """Convicted pairs with the tokens that show it and the anchors among `hits`."""
    if not len(pairs.items):
        return _Found(kind, pairs, _NO_ROWS, pairs.items, [])
    items = index.hashes, index.offsets
    spans = tight_spans(texts.hashes, items, pairs.items, pairs.begins, pairs.ends, pairs.lcs)
    counts = np.zeros(len(pairs.items), dtype=np.int64)
    anchors: list[list[int]] = [[] for _ in range(len(counts))]
    keys = _keys(index, pairs)
    order = np.argsort(keys)
    for part in hits:
        postings = index.tables[part.name].postings
        more, grams, filled = rest_on(keys[order], len(index.items), part.columns, postings, MAX_ANCHORS)
        counts[order] += more
        ids = (grams + index.first_ids[part.name]).tolist()
        for row, line, count in zip(order.tolist(), ids, filled.tolist(), strict=True):
            anchors[row] += line[:count]
    return _Found(kind, pairs, spans, counts, [row[:MAX_ANCHORS] for row in anchors])


def _by_wording(
    index: Segment, batch: Batch, tokens: Tokens, exact: _Found, params: DecontaminationParams
) -> list[_Found]:
    """Of the convicted, those that have the words of their items, and the others, which are for `review`."""
    pairs = exact.pairs
    if not len(pairs.items) or params.word_threshold < 0:
        return [exact]
    texts, places = np.unique(pairs.texts, return_inverse=True)
    words, shifts = texts_wording(batch, tokens, texts, index.key)
    shift = shifts[places]
    kept = has_wording(index.wording, words, (pairs.items, pairs.begins + shift, pairs.ends + shift), params.word_share)
    wordless = np.flatnonzero(np.diff(index.sign_offsets)[pairs.items])
    if len(wordless):
        signs = signs_of(_slices(batch, tokens, *exact.spans[wordless].T), index.key)
        kept[wordless] &= has_signs(index.operators, signs, pairs.items[wordless], params.word_share)
    return [exact] if kept.all() else [exact.only(kept, "exact"), exact.only(~kept, "review")]


def _whole(
    index: Segment, batch: Batch, tokens: Tokens, places: Places, params: DecontaminationParams
) -> tuple[list[_Found], I64]:
    """(short items that stand whole and alone, (text, id) of those that stand in the middle of something).

    Those with other operators than their item are `near`.
    """
    if not len(places.items):
        return [], _NO_ROWS
    begins = places.begins
    ends = begins + index.offsets[places.items + 1] - index.offsets[places.items]
    alone = np.ones(len(begins), dtype=bool)
    if not params.short_anywhere:
        alone = stand_alone(batch, tokens, places.texts, begins, ends)
    same = alone.copy()
    if params.short_signs and alone.any():
        texts = _slices(batch, tokens, begins[alone], ends[alone])
        same[alone] = sign_digests(texts, index.key) == index.signs[places.items[alone]]
    keys = _keys(index, places)
    other = alone & ~np.isin(keys, keys[same]) & params.near
    found = [
        _standing(index, kind, places, ends, kept) for kind, kept in (("short", same), ("near", other)) if kept.any()
    ]
    inside = np.unique(keys[~np.isin(keys, keys[same | other])])
    return found, np.stack([inside // len(index.items), index.short_id(0) + inside % len(index.items)], axis=1)


def _slices(batch: Batch, tokens: Tokens, begins: I64, ends: I64) -> list[bytes]:
    """What the tokens begins[i] to ends[i] of the batch came from, with all between them."""
    spans = token_spans(batch, tokens, np.concatenate([begins, ends - 1])).reshape(2, -1, 2)
    return [batch.data[a:b].tobytes() for a, b in zip(spans[0, :, 0].tolist(), spans[1, :, 1].tolist(), strict=True)]


def _standing(index: Segment, kind: str, places: Places, ends: I64, kept: Flags) -> _Found:
    """The items at the places that are kept, each once in a text, at the first of them."""
    _, firsts, counts = np.unique(_keys(index, places)[kept], return_index=True, return_counts=True)
    first = np.flatnonzero(kept)[firsts]
    begins, ends = places.begins[first], ends[first]
    pairs = Pairs(places.items[first], places.texts[first], begins, ends, ends - begins, ends - begins)
    anchors = [[index.short_id(item)] for item in pairs.items.tolist()]
    return _Found(kind, pairs, np.stack([begins, ends], axis=1), counts, anchors)


def _unheld(index: Segment, anchors: list[Hits], found: list[_Found]) -> list[I64]:
    """(text, id) of the n-grams that no item holds which is convicted in the text."""
    pairs = np.sort(np.concatenate([_keys(index, f.pairs) for f in found]))
    parts = []
    for hits in anchors:
        rows = np.stack([hits.texts, hits.grams + index.first_ids[hits.name]], axis=1)
        if len(pairs) and len(rows):
            rows = rows[~held(hits.columns, index.tables[hits.name].postings, pairs, len(index.items))]
        parts.append(rows)
    return parts


def _scans(matches: list[list[Match]], loose: I64) -> list[Scan]:
    """The matches of each text with its loose ids, ascending, of rows (text, id)."""
    scans = [Scan(found) if found else NOTHING for found in matches]
    if not len(loose):
        return scans
    ids = 1 + int(loose[:, 1].max())
    keys, _ = distinct(np.sort(loose[:, 0] * ids + loose[:, 1]), _NO_ROWS[:, 0])
    texts, grams = keys // ids, (keys % ids).tolist()
    firsts = np.flatnonzero(np.diff(texts, prepend=-1))
    borders = [*firsts.tolist(), len(grams)]
    for number, text in enumerate(texts[firsts].tolist()):
        scans[text] = Scan(matches[text], tuple(grams[borders[number] : borders[number + 1]]))
    return scans


def _matches(batch: Batch, tokens: Tokens, found: list[_Found]) -> list[list[Match]]:
    """For each text what was found in it, in order of item."""
    rows = [
        (text, item, part, row)
        for part in found
        for row, (item, text) in enumerate(zip(part.pairs.items.tolist(), part.pairs.texts.tolist(), strict=True))
    ]
    results: list[list[Match]] = [[] for _ in range(len(batch))]
    if not rows:
        return results
    rows.sort(key=lambda row: row[:2])
    places = np.array([part.spans[row] for _, _, part, row in rows])
    ends = token_spans(batch, tokens, np.concatenate([places[:, 0], places[:, 1] - 1])).reshape(2, -1, 2)
    texts = np.array([text for text, _, _, _ in rows])
    spans = char_places(batch, texts, np.stack([ends[0, :, 0], ends[1, :, 1]], axis=1)).tolist()
    for (text, _, part, row), span in zip(rows, spans, strict=True):
        results[text].append(part.match(row, int(tokens.offsets[text]), span))
    return results

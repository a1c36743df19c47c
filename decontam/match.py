"""Benchmark items in a batch of texts: the rule `qwen-math` and its classes.

`exact`: a shared n-gram of 13 tokens, and around it a common subsequence above 0.6 of the shorter of item
and window. The subsequence of a whole document is never taken: unrelated pages of 4,096 tokens pass the
threshold by chance. `short`: a question of 3 to 12 tokens, whole and set off from the text around it.
`near`: look-alikes, found by shared 7-grams, or 13-grams with numbers masked, and convicted by the same ratio.
`judged` is what a model calls the same (see `decontam.judge`); no rule finds it.
`review` is what `decontam.stock` makes of a match that rests on stock phrases alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from decontam.anchors import Alignments, Hits, Pairs, Texts, compare, confirm, join, search
from decontam.borders import stands_alone
from decontam.formula import similar
from decontam.index import Index
from decontam.kernels import I64, convicts, mask_numbers, rest_on
from decontam.lcs import tight_spans
from decontam.params import LCS_THRESHOLD, STOCK_DOCUMENTS, WINDOW_SLACK, DecontaminationParams
from decontam.private import keyed
from decontam.segments import Segment
from filters.text import Batch, Tokens, char_spans, pack, tokenise

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

MATCH_VERSION = "qwen-math-2"  # raised by hand when the same texts, items and parameters match otherwise

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


class _Found(NamedTuple):
    """The pairs of one class that are convicted, the tokens of the batch that show it, and their anchors."""

    kind: str
    pairs: Pairs
    spans: I64  # (C, 2)
    counts: I64  # (C,)
    anchors: list[list[int]]

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
    tokens = tokenise(batch)
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
        return [Scan(found) for found in _matches(batch, tokens, [_shown(index, tokens, "exact", pairs, [])])]
    masking = params.near and params.near_masked
    masked = mask_numbers(tokens.hashes, tokens.folded, tokens.folded_ends) if masking else tokens.hashes
    view = Texts(tokens.hashes, masked, tokens.offsets)
    near = search(index, "near", view) if params.near else None
    # an exact anchor begins with one of look-alikes, so that where those are known the others need no search
    hits, alignments = confirm(index, view, search(index, "exact", view, near))
    found = [_convicted(index, tokens, [hits], alignments, "exact", params)]
    anchors = [hits]
    loose = [np.empty((0, 2), dtype=np.int64)]
    if params.short:
        whole, undelimited = _whole(index, batch, tokens, confirm(index, view, search(index, "short", view))[1], params)
        found.append(whole)
        loose.append(undelimited)
    if near is not None:
        parts = [confirm(index, view, c) for c in ([near, search(index, "masked", view)] if masking else [near])]
        alignments = functools.reduce(join, (a for _, a in parts))
        known = np.concatenate([_keys(index, f.pairs) for f in found])
        fresh = alignments.only(~np.isin(_keys(index, alignments), known))
        found.append(_convicted(index, tokens, [h for h, _ in parts], fresh, "near", params))
        anchors += [h for h, _ in parts]
    loose += _unheld(index, anchors, found)
    return [
        Scan(*scan)
        for scan in zip(_matches(batch, tokens, found), _split(np.concatenate(loose), len(batch)), strict=True)
    ]


def _keys(index: Segment, pairs: Pairs | Alignments) -> I64:
    """A number for each pair of a text and an item."""
    return pairs.texts * len(index.items) + pairs.items


def _convicted(
    index: Segment, tokens: Tokens, hits: list[Hits], alignments: Alignments, kind: str, params: DecontaminationParams
) -> _Found:
    """The pairs whose best window is above the threshold."""
    view = Texts(tokens.hashes, tokens.hashes, tokens.offsets)
    pairs = compare(index, view, alignments, params.slack)
    return _shown(index, tokens, kind, pairs.only(params.is_contaminated(pairs.lcs, pairs.shorter)), hits)


def _shown(index: Segment, tokens: Tokens, kind: str, pairs: Pairs, hits: list[Hits]) -> _Found:
    """Convicted pairs with the tokens that show it and the anchors among `hits`."""
    items = index.hashes, index.offsets
    spans = tight_spans(tokens.hashes, items, pairs.items, pairs.begins, pairs.ends, pairs.lcs)
    counts = np.zeros(len(pairs.items), dtype=np.int64)
    anchors: list[list[int]] = [[] for _ in range(len(counts))]
    for part in hits if len(counts) else []:
        slices = np.searchsorted(part.texts, pairs.texts), np.searchsorted(part.texts, pairs.texts, side="right")
        more, grams = rest_on(pairs.items, slices, part.grams, part.table.postings, MAX_ANCHORS)
        counts += more
        first_id = index.first_ids[part.name]
        for row, line in zip(anchors, grams.tolist(), strict=True):
            row.extend(first_id + gram for gram in line if gram >= 0)
    return _Found(kind, pairs, spans, counts, [row[:MAX_ANCHORS] for row in anchors])


def _whole(
    index: Segment, batch: Batch, tokens: Tokens, places: Alignments, params: DecontaminationParams
) -> tuple[_Found, I64]:
    """(short items that stand whole and alone, (text, id) of those that stand in the middle of something)."""
    begins = places.starts + tokens.offsets[places.texts]
    ends = begins + index.offsets[places.items + 1] - index.offsets[places.items]
    alone = np.array(
        [
            params.short_anywhere or stands_alone(batch, tokens, text, begin, end)
            for text, begin, end in zip(places.texts.tolist(), begins.tolist(), ends.tolist(), strict=True)
        ],
        dtype=bool,
    )
    keys = _keys(index, places)
    held, firsts, counts = np.unique(keys[alone], return_index=True, return_counts=True)
    first = np.flatnonzero(alone)[firsts]
    begins, ends = begins[first], ends[first]
    pairs = Pairs(places.items[first], places.texts[first], begins, ends, ends - begins, ends - begins)
    anchors = [[index.short_id(item)] for item in pairs.items.tolist()]
    inside = np.unique(keys[~np.isin(keys, held)])
    loose = np.stack([inside // len(index.items), index.short_id(0) + inside % len(index.items)], axis=1)
    return _Found("short", pairs, np.stack([begins, ends], axis=1), counts, anchors), loose


def _unheld(index: Segment, anchors: list[Hits], found: list[_Found]) -> list[I64]:
    """(text, id) of the n-grams that no item holds which is convicted in the text."""
    pairs = np.sort(np.concatenate([_keys(index, f.pairs) for f in found]))
    parts = []
    for hits in anchors:
        free = ~convicts(hits.texts, hits.grams, hits.table.postings, pairs, len(index.items))
        parts.append(np.stack([hits.texts[free], hits.grams[free] + index.first_ids[hits.name]], axis=1))
    return parts


def _split(rows: I64, texts: int) -> list[tuple[int, ...]]:
    """For each text its ids, ascending, of rows (text, id)."""
    lines: list[tuple[int, ...]] = [()] * texts
    ids = 1 + int(rows[:, 1].max(initial=0))
    keys = np.unique(rows[:, 0] * ids + rows[:, 1])
    firsts = np.flatnonzero(np.diff(keys // ids, prepend=-1)).tolist()
    for first, last in zip(firsts, [*firsts[1:], len(keys)], strict=False):
        lines[keys[first] // ids] = tuple((keys[first:last] % ids).tolist())
    return lines


def _matches(batch: Batch, tokens: Tokens, found: list[_Found]) -> list[list[Match]]:
    """For each text what was found in it, in order of item."""
    rows: dict[int, list[tuple[int, _Found, int]]] = {}
    for part in found:
        for row, (item, text) in enumerate(zip(part.pairs.items.tolist(), part.pairs.texts.tolist(), strict=True)):
            rows.setdefault(text, []).append((item, part, row))
    results: list[list[Match]] = [[] for _ in range(len(batch))]
    for text, lines in rows.items():
        lines.sort(key=lambda line: line[0])
        first, last = np.array([part.spans[row] for _, part, row in lines]).T
        start, end = int(batch.offsets[text]), int(batch.offsets[text + 1])
        byte_spans = np.stack([tokens.starts[first], tokens.ends[last - 1]], axis=1) - start
        spans = char_spans(batch.data[start:end], byte_spans).tolist()
        begin = int(tokens.offsets[text])
        results[text] = [part.match(row, begin, span) for (_, part, row), span in zip(lines, spans, strict=True)]
    return results

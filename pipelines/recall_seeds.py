"""Which pages become seeds behind a cycle: candidates, the limits on them, and what stays of earlier ones.

Every choice takes the least orders, which are digests of (seed, purpose, id): the least of all are among the least of
each rank, so that ranks keep no more than they may need and the answer is the same for any cutting into ranks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa

from filters.url_prefix import url_prefixes
from pipelines.decisions import KEY_BYTES
from pipelines.recall_recipe import Widen
from pipelines.recall_stats import ACCEPTED, MATH, OPEN, OTHER, REJECTED, Sides

POSITIVE, LOW, HARD, BORDER = "uncollected", "low", "hard", "border"  # why a page is a candidate
ACCEPT, REJECT = "accept", "reject"  # or the verdict on it
LABELS = {POSITIVE: "positive", ACCEPT: "positive", LOW: "negative", HARD: "negative", REJECT: "negative"}
CANDIDATES = pa.schema(
    [("order", pa.binary(KEY_BYTES))]
    + [(c, pa.string()) for c in ("why", "id", "url", "prefix")]
    + [("key", pa.binary(KEY_BYTES)), ("score", pa.int64()), ("rank", pa.int64()), ("row", pa.int64())],
    metadata={"mathcorpus": "recall-candidates-1"},
)
_ORDERS = 1 << 64
_SIDES = {POSITIVE: {MATH, ACCEPTED}, LOW: {OTHER, OPEN, REJECTED}, HARD: {OTHER, REJECTED}}


class Candidate(NamedTuple):
    """A page that may become a seed, and where it stands: the shard of the documents, and the row in it."""

    order: bytes
    why: str
    id: str
    url: str | None
    prefix: str
    key: bytes
    score: int
    rank: int
    row: int


def order_of(seed: int, what: str, identity: str) -> bytes:
    """The place of a page among others in a choice: a digest, and so the same whatever the order of arrival."""
    return hashlib.blake2b(f"{seed}\0{what}\0{identity}".encode(), digest_size=KEY_BYTES).digest()


def below(order: bytes, share: float) -> bool:
    """Whether an order falls into the first `share` of all orders."""
    return int.from_bytes(order[:8]) < share * _ORDERS


def capped(rows: Iterable[Candidate], widen: Widen) -> list[Candidate]:
    """The candidates within the limits, in order: hard ones by score, others by digest; once more changes nothing."""
    taken: Counter[tuple[str, str]] = Counter()
    kept = []
    for row in sorted(rows, key=lambda r: (r.why, -r.score if r.why == HARD else 0, r.order, r.key)):
        limit, group = _limit(row, widen)
        if limit is None or taken[row.why, group] < limit:
            taken[row.why, group] += 1
            kept.append(row)
    return kept


def _limit(row: Candidate, widen: Widen) -> tuple[int | None, str]:
    """How many candidates of a kind there may be, and within what."""
    if row.why == POSITIVE:
        return widen.per_prefix, row.prefix
    if row.why == HARD:
        return widen.hard_per_host, row.prefix.partition("/")[0]
    return {LOW: widen.low_pages, BORDER: widen.review_pages}.get(row.why), ""


def candidate_table(rows: Iterable[Candidate]) -> pa.Table:
    """The candidates as a table; `CANDIDATES`."""
    return pa.Table.from_pylist([row._asdict() for row in rows], schema=CANDIDATES)


def candidates_of(table: pa.Table) -> list[Candidate]:
    """The candidates of a table."""
    return [Candidate(**row) for row in table.to_pylist()]


def still_holds(why: str, identity: str, url: str | None, depth: int, sides: Sides) -> bool:
    """Whether the verdict on an earlier seed, or else its place, still says what it was taken for."""
    if why in {ACCEPT, REJECT} or identity in sides.pages:
        return sides.pages.get(identity) == why
    return sides.side(url_prefixes(url or "", depth))[0] in _SIDES[why]

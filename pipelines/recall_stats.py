"""Statistics of recall by host and folder, and what they say of a page: mathematical, mixed, other, or open.

Ranks count their own pages; the counts are summed by the engine (`Engine.totals`), so that they are the same numbers
on every engine. A prefix speaks for the pages that no longer prefix with enough pages speaks for: `h/math/` takes its
pages out of those of `h`, so that a mixed host is not mathematical by its one folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.decisions import KEY_BYTES
from pipelines.recall_recipe import Hosts, Keep

SCORE_UNITS = 1_000_000  # scores are integers: floats are not compared, and sums do not depend on their order

SCORES = pa.schema(
    [
        ("key", pa.binary(KEY_BYTES)),
        ("id", pa.string()),
        ("url", pa.string()),
        ("prefixes", pa.list_(pa.string())),
        ("score", pa.int64()),
        ("tokens", pa.int64()),
    ],
    metadata={"mathcorpus": "recall-scores-1"},
)
HISTOGRAM = pa.schema([("score", pa.int64()), ("pages", pa.int64()), ("tokens", pa.int64())])
COUNTS = pa.schema([("prefix", pa.string()), ("pages", pa.int64()), ("recalled", pa.int64())])

MATH, MIXED, OTHER, OPEN = "math", "mixed", "other", "open"  # what the statistics say of a place
UNSURE, ACCEPTED, REJECTED = "unsure", "accepted", "rejected"  # what a reviewer says
_VERDICTS = {"accept": ACCEPTED, "reject": REJECTED, "unsure": UNSURE}


@dataclass(frozen=True, slots=True)
class Cut:
    """Pages with a better score are caught, and those of the score itself whose key is not above `key`."""

    score: int
    key: bytes = b"\xff" * KEY_BYTES

    def mask(self, scores: pa.Table) -> npt.NDArray[np.bool_]:
        """bool[N]: whether each row of a table of scores is caught."""
        found = scores["score"].to_numpy()
        tied = pc.less_equal(scores["key"].cast(pa.binary()), pa.scalar(self.key, pa.binary()))
        return np.asarray((found > self.score) | ((found == self.score) & tied.to_numpy()))


def histogram(scores: pa.Table) -> pa.Table:
    """Pages and tokens of each score: what a rank knows of the cut."""
    grouped = scores.group_by("score").aggregate([("score", "count"), ("tokens", "sum")]).sort_by("score")
    return pa.table([grouped["score"], grouped["score_count"], grouped["tokens_sum"]], schema=HISTOGRAM)


@dataclass(frozen=True, slots=True)
class Budget:
    """Where the limits of a recipe fall in the histogram of all ranks.

    Of the pages with the score `tied`, by their keys, only as many fit as `pages` and `tokens` leave room for.
    """

    least: int
    tied: int | None = None
    pages: int | None = None
    tokens: int | None = None


def find_budget(total: pa.Table, keep: Keep) -> Budget:
    """The score from which everything is caught, and what fits of the pages of the score below it."""
    least = round(keep.threshold * SCORE_UNITS)
    pages_left, tokens_left = keep.pages, keep.tokens
    for score, pages, tokens in reversed(list(zip(*(c.to_pylist() for c in total.columns), strict=True))):
        if score < least:
            break
        if (pages_left is not None and pages > pages_left) or (tokens_left is not None and tokens > tokens_left):
            return Budget(score + 1, score, pages_left, tokens_left)
        pages_left = None if pages_left is None else pages_left - pages
        tokens_left = None if tokens_left is None else tokens_left - tokens
    return Budget(least)


def cut_at(budget: Budget, tied: Sequence[tuple[bytes, int]]) -> Cut:
    """The cut of a budget; `tied` are key and tokens of all pages with its tied score."""
    if budget.tied is None:
        return Cut(budget.least)
    pages, tokens, last = budget.pages, budget.tokens, None
    for key, size in sorted(tied):
        if (pages is not None and pages < 1) or (tokens is not None and size > tokens):
            break
        pages = None if pages is None else pages - 1
        tokens = None if tokens is None else tokens - size
        last = key
    return Cut(budget.least) if last is None else Cut(budget.tied, last)


def count_prefixes(scores: pa.Table, caught: npt.NDArray[np.bool_]) -> pa.Table:
    """Pages and caught pages of every prefix of a table of scores; `COUNTS`."""
    whole = scores["prefixes"].combine_chunks()
    rows = pc.list_parent_indices(whole).to_numpy()
    flat = pa.table({"prefix": pc.list_flatten(whole), "recalled": caught[rows].astype(np.int64)})
    summed = flat.group_by("prefix").aggregate([("recalled", "count"), ("recalled", "sum")]).sort_by("prefix")
    return pa.table([summed["prefix"], summed["recalled_count"], summed["recalled_sum"]], schema=COUNTS)


def wilson_lower(found: int, number: int, z: float) -> float:
    """Lower end of Wilson's interval of the share found / number; with z = 0 the share itself. `number` is not 0."""
    share, spread = found / number, z * z / number
    half = z * math.sqrt(share * (1 - share) / number + spread / (4 * number))
    return max(0.0, (share + spread / 2 - half) / (1 + spread))


@dataclass(frozen=True, slots=True)
class Prefix:
    """A host or folder with enough pages; `pages` and `recalled` without those of the prefixes inside that speak."""

    name: str
    all_pages: int
    all_recalled: int
    pages: int
    recalled: int
    lower: float
    side: str

    @property
    def share(self) -> float:
        """Recalled of the pages that it speaks for."""
        return self.recalled / self.pages if self.pages else 0.0


def judge_prefixes(totals: pa.Table, hosts: Hosts) -> dict[str, Prefix]:
    """What each prefix says of the pages that it speaks for, by name in order.

    totals : `COUNTS` of the prefixes with `hosts.min_pages` pages or more, sorted by prefix.
    """
    columns = (totals[name].to_pylist() for name in COUNTS.names)
    rows = {name: (pages, recalled) for name, pages, recalled in zip(*columns, strict=True)}
    own = {name: list(counts) for name, counts in rows.items()}
    for name, (pages, recalled) in rows.items():
        parent = next((p for p in parents(name) if p in rows), None)
        if parent is not None:
            own[parent][0] -= pages
            own[parent][1] -= recalled
    return {name: _judged(name, rows[name], own[name], hosts) for name in rows}


def _judged(name: str, whole: Sequence[int], own: Sequence[int], hosts: Hosts) -> Prefix:
    pages, recalled = own
    lower = wilson_lower(recalled, pages, hosts.z) if pages else 0.0
    side = OPEN
    if pages >= hosts.min_pages and lower > hosts.min_share:
        side = MATH if lower > hosts.seed_share else MIXED
    elif pages >= hosts.min_pages and recalled < hosts.min_share * pages:
        side = OTHER
    return Prefix(name, whole[0], whole[1], pages, recalled, lower, side)


def parents(prefix: str) -> list[str]:
    """The prefixes of a prefix, the longest first."""
    host, slash, path = prefix.partition("/")
    folders = [f for f in path.split("/") if f]
    found = [f"{host}/{'/'.join(folders[:n])}/" for n in range(len(folders) - 1, 0, -1)]
    return [*found, host] if slash else []


@dataclass(frozen=True, slots=True)
class Sides:
    """What statistics and a reviewer say.

    judged : side by prefix, as the statistics have it; verdicts, pages : accept, reject or unsure by prefix and by id.
    """

    judged: Mapping[str, str]
    verdicts: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)

    def side(self, prefixes: Sequence[str]) -> tuple[str, str]:
        """(side, prefix that says so) of a page: its longest prefix with a verdict, else its longest that speaks."""
        for name in reversed(prefixes):
            if name in self.verdicts:
                return _VERDICTS[self.verdicts[name]], name
        for name in reversed(prefixes):
            if name in self.judged:
                return self.judged[name], name
        return OPEN, prefixes[0] if prefixes else ""

"""The benchmark items that texts are searched for: an ordered list of segments, most often one.

Adding items appends a segment, and what the earlier ones find stays as it was: a run with the whole index is the union
of runs with each segment. So an existing corpus is checked against an addition with the last segment alone
(`Index.newest`), and what that finds is what the whole index would find of these items. An index that is built again
instead would count its bounds on postings anew, and could find otherwise what nobody touched.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from decontam.benchmarks import Item
from decontam.index_file import check_index, read_index, write_index
from decontam.kernels import I64, U64, Flags
from decontam.segments import DIGEST_BYTES, Segment, make_segment
from decontam.tables import NEAR_NGRAM_TOKENS, NGRAM_TOKENS, TABLES
from filters.errors import UsageError

__all__ = [
    "NEAR_NGRAM_TOKENS",
    "NGRAM_TOKENS",
    "TABLES",
    "Coverage",
    "Index",
    "add_items",
    "build_index",
    "load_index",
]


class Coverage(NamedTuple):
    """How many questions of a benchmark a rule protects: `exact` by an n-gram, `short` as a whole.

    `protected` is both; `near` of all have an anchor by which a look-alike is found.
    """

    benchmark: str
    split: str
    items: int
    protected: int
    unprotected: int
    exact: int
    short: int
    near: int


class AllItems:
    """The items of all segments in order, each read when it is asked for."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._parts = [segment.items for segment in segments]
        self.firsts = list(accumulate(map(len, self._parts), initial=0))  # number of the first item of each segment

    def __len__(self) -> int:
        """Number of items."""
        return self.firsts[-1]

    def __getitem__(self, number: int) -> Item:
        """Item number `number`; from the end if it is negative."""
        part, place = self.locate(number)
        return self._parts[part][place]

    def __iter__(self) -> Iterator[Item]:
        """All items in order."""
        return chain.from_iterable(self._parts)

    def locate(self, number: int) -> tuple[int, int]:
        """(segment, number in it) of item number `number`."""
        number = range(len(self))[number]
        part = bisect_right(self.firsts, number) - 1
        return part, number - self.firsts[part]


@dataclass(frozen=True, eq=False, repr=False)
class Index:
    """Segments in the order in which they were added, at least one; I items in all.

    Numbers of items, and ids of n-grams, count through the segments.
    """

    segments: tuple[Segment, ...]

    @cached_property
    def items(self) -> AllItems:
        """(I,) the items of all segments, those of each sorted."""
        return AllItems(self.segments)

    @cached_property
    def first_ids(self) -> list[int]:
        """For each segment the id of its first n-gram."""
        return list(accumulate((segment.ids for segment in self.segments[:-1]), initial=0))

    @property
    def newest(self) -> Index:
        """The last segment as an index of its own; UsageError where nothing was added to the first."""
        if len(self.segments) == 1:
            msg = "nothing was added to this index, so nothing of it is new; `mathcorpus benchmarks index --add` adds"
            raise UsageError(msg)
        return Index(self.segments[-1:])

    @property
    def ngram(self) -> int:
        """Tokens in an anchor of class exact."""
        return self.segments[0].tables["exact"].ngram

    @property
    def near_ngram(self) -> int:
        """Tokens in an anchor of look-alikes."""
        return self.segments[0].tables["near"].ngram

    def tokens(self, item: int) -> U64:
        """The token hashes of item number `item`; keyed ones where it is private."""
        part, place = self.items.locate(item)
        return self.segments[part].tokens(place)

    def is_private(self, item: int) -> bool:
        """Whether the index has no text of item number `item`."""
        return bool(self.segments[self.items.locate(item)[0]].key)

    @property
    def lengths(self) -> I64:
        """int64[I], the tokens of each item."""
        return np.concatenate([np.diff(segment.offsets) for segment in self.segments])

    def protected(self) -> dict[str, Flags]:
        """For each table, which items have an n-gram in it."""
        held = [segment.protected() for segment in self.segments]
        return {table: np.concatenate([one[table] for one in held]) for table in TABLES}

    def coverage(self) -> list[Coverage]:
        """One line for each (benchmark, split), sorted; counted over its questions."""
        counts: dict[tuple[str, str], I64] = {}
        for segment in self.segments:
            held = segment.protected()
            asked = segment.items.questions
            flags = np.stack([asked, held["exact"], held["short"], held["near"] | held["masked"]]) & asked
            for number, name in enumerate(segment.items.names):
                found = flags[:, segment.items.sets == number].sum(axis=1)
                counts[name] = counts.get(name, 0) + found
        return [
            Coverage(*name, items, exact + short, items - exact - short, exact, short, near)
            for name, (items, exact, short, near) in sorted((n, c.tolist()) for n, c in counts.items())
            if items
        ]

    def unprotected(self) -> list[Item]:
        """The questions that no rule convicts a copy of: too short, only numbers, or empty."""
        held = self.protected()
        asked = np.concatenate([segment.items.questions for segment in self.segments])
        return [self.items[n] for n in np.flatnonzero(asked & ~(held["exact"] | held["short"])).tolist()]

    @cached_property
    def digest(self) -> str:
        """Digest of the segments: the same items, tokeniser, n-grams and keys, added in the same order, give the same.

        Of an index that was loaded, what its file says, which `load_index` compares on demand.
        """
        told = "".join(segment.digest for segment in self.segments)
        return blake2b(told.encode("ascii"), digest_size=DIGEST_BYTES).hexdigest()

    def save(self, path: Path) -> None:
        """Write the index; the file appears under its name only when it is whole."""
        write_index(path, self.segments)


def build_index(
    items: Iterable[Item], ngram: int = NGRAM_TOKENS, near_ngram: int = NEAR_NGRAM_TOKENS, *, private: bool = False
) -> Index:
    """The index of `items`, whatever their order; an item given twice stands in it once.

    private : with keyed hashes in the place of tokens, and no text; see `decontam.private`.
    """
    return Index((make_segment(items, ngram, near_ngram, private=private),))


def add_items(index: Index, items: Iterable[Item], *, private: bool = False) -> Index:
    """The index with one more segment, of those `items` that no segment of it holds; it may be empty.

    The segments that are there are not touched, but for one that is empty, which is left out.
    """
    new = sorted(set(items))
    for segment in index.segments:
        new = [item for item, held in zip(new, segment.holds(new), strict=True) if not held]
    kept = tuple(segment for segment in index.segments[1:] if len(segment.items))
    return Index((index.segments[0], *kept, make_segment(new, index.ngram, index.near_ngram, private=private)))


def load_index(path: Path, *, check: bool = False) -> Index:
    """The index that `save` wrote to `path`, its arrays mapped from the file.

    check : whether all of the file is read and compared with its digests; else damage shows only where the header
    cannot be read or the file is too short. InputError for a file that is no index, or damaged.
    """
    return Index(check_index(path) if check else read_index(path))

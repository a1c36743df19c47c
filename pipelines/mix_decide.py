"""Which documents a mix takes, and how often: thresholds in the draw, found over the rows of all documents.

A document may be taken several times. Its copies stand in rounds: the first copies of all documents in the order of the
draw, then the second ones, and so on. A threshold is a place in that order, (whole rounds, digest in the next one), and
what stands before it is taken. Parts are filled in their order. In each, every cap comes first: a value gets copies in
that order until the next one would bring it above what earlier parts have left of its cap. Then the budget of the part,
in the same way. So budgets and caps are never exceeded, and what is missing is less than the next document.

Rows are spooled into buckets by the top bits of the digest. Memory is that of a bucket, and some numbers for each value
that may pass its cap; sums are integers, so no order of arrival shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.mix_rows import most_copies
from pipelines.recipe_mix import Mix, Part

BUDGET = -1  # in the place of the number of a cap
UNCAPPED = -1  # code of a value that cannot pass its cap, or of none
DIGEST_BITS = 64
BUCKET_ROWS = 1 << 20  # about
DECISION = pa.schema(
    [
        ("part", pa.int16()),
        ("cap", pa.int16()),
        ("value", pa.string()),
        ("rounds", pa.int64()),
        ("bound", pa.uint64()),
    ],
    metadata={"mathcorpus": "mix-decision-1"},
)

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Bucket = npt.NDArray[np.void]  # rows of digest, tokens, codes


class Cut(NamedTuple):
    """Thresholds, one for each group: whole rounds, int64[G], and the digest in the next one, uint64[G]."""

    rounds: I64
    bounds: U64

    def copies(self, digests: U64, codes: I64) -> I64:
        """Copies before the threshold of their group, int64[N]; without limit where the code is UNCAPPED."""
        held = codes >= 0
        found = np.full(len(codes), np.iinfo(np.int64).max)
        found[held] = self.rounds[codes[held]] + (digests[held] < self.bounds[codes[held]])
        return found


class Spool:
    """Rows of the parts in files by bucket of their digest."""

    def __init__(self, folder: Path, caps: Sequence[pa.Array], rows: int) -> None:
        """`caps`: for each cap the values that may pass it; `rows`: how many there will be, at most."""
        self.folder, self.caps = folder, caps
        self.bits = (rows // BUCKET_ROWS).bit_length()
        self.kind = np.dtype([("digest", np.uint64), ("tokens", np.int64), ("codes", np.int32, (len(caps),))])

    def add_all(self, tables: Iterable[pa.Table]) -> None:
        """Appends rows, as `CountTask` writes them; of the small tables of its shards many at once."""
        held: list[pa.Table] = []
        for table in tables:
            held.append(table)
            if sum(t.num_rows for t in held) >= BUCKET_ROWS:
                self._add(pa.concat_tables(held))
                held.clear()
        if held:
            self._add(pa.concat_tables(held))

    def _add(self, table: pa.Table) -> None:
        table = table.filter(pc.greater_equal(table["part"], 0))
        rows = np.empty(table.num_rows, self.kind)
        rows["digest"], rows["tokens"] = table["digest"].to_numpy(), table["tokens"].to_numpy()
        for number, values in enumerate(self.caps):
            found = pc.fill_null(pc.index_in(table[f"cap{number}"], value_set=values), UNCAPPED)
            rows["codes"][:, number] = found.to_numpy()
        place = table["part"].to_numpy().astype(np.int64) << self.bits | self._bucket(rows["digest"])
        order = np.argsort(place, kind="stable")
        for chunk in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
            if len(chunk):
                with self._path(int(place[chunk[0]])).open("ab") as file:
                    rows[chunk].tofile(file)

    def buckets(self, part: int) -> Iterator[Bucket]:
        """The rows of a part in the order of their digests, a bucket at a time."""
        for number in range(1 << self.bits):
            path = self._path(part << self.bits | number)
            if path.exists():
                rows = np.fromfile(path, self.kind)
                yield rows[np.argsort(rows["digest"], kind="stable")]

    def _bucket(self, digests: U64) -> I64:
        return (digests >> np.uint64(DIGEST_BITS - self.bits)).astype(np.int64) if self.bits else np.zeros(1, np.int64)

    def _path(self, place: int) -> Path:
        return self.folder / f"{place:08d}.bin"


@dataclass
class Filling:
    """A part while it is filled: layers of thresholds, of which the least counts, in the order of their finding."""

    part: Part
    spool: Spool
    number: int
    layers: list[tuple[int, Cut]] = field(default_factory=list)  # (cap or BUDGET, thresholds)

    def close(self, cap: int, room: I64) -> None:
        """Adds the thresholds behind which a group of a cap, or the whole part, would pass its room, int64[G]."""
        most = most_copies(self.part)
        sums = np.zeros((len(room), most + 1), np.int64)
        for rows, codes, copies in self._rows(cap):
            np.add.at(sums, (codes, copies), rows["tokens"])
        rounds = np.cumsum(sums[:, :0:-1], axis=1)[:, ::-1]  # tokens of each round: of those with more copies than it
        until = np.cumsum(rounds, axis=1)
        whole = np.count_nonzero(until <= room[:, None], axis=1)
        used = np.where(whole > 0, np.take_along_axis(until, np.maximum(whole - 1, 0)[:, None], axis=1)[:, 0], 0)
        bounds, open_ = np.zeros(len(room), np.uint64), whole < most
        for rows, codes, copies in self._rows(cap):
            mine = open_[codes] & (copies > whole[codes])
            _walk(rows[mine], codes[mine], (used, room, bounds, open_))
        self.layers.append((cap, Cut(whole.astype(np.int64), bounds)))

    def used(self, cap: int, groups: int) -> I64:
        """Tokens, copies counted, of each group as it is filled, int64[G]."""
        sums = np.zeros(groups, np.int64)
        for rows, codes, copies in self._rows(cap):
            np.add.at(sums, codes, rows["tokens"] * copies)
        return sums

    def _rows(self, cap: int) -> Iterator[tuple[Bucket, I64, I64]]:
        """(rows, their groups, their copies as far as it is filled) of the rows that are in a group."""
        for rows in self.spool.buckets(self.number):
            kept = rows if cap == BUDGET else rows[rows["codes"][:, cap] >= 0]
            copies = np.full(len(kept), most_copies(self.part), np.int64)
            for other, cut in self.layers:
                copies = np.minimum(copies, cut.copies(kept["digest"], _codes(kept, other)))
            yield kept, _codes(kept, cap), copies


def _codes(rows: Bucket, cap: int) -> I64:
    return np.zeros(len(rows), np.int64) if cap == BUDGET else rows["codes"][:, cap].astype(np.int64)


def _walk(rows: Bucket, codes: I64, state: tuple[I64, I64, U64, npt.NDArray[np.bool_]]) -> None:
    """Adds rows in their order to what their groups have used; a group closes at the first that passes its room."""
    if not len(rows):
        return
    used, room, bounds, open_ = state
    order = np.argsort(codes, kind="stable")
    codes, tokens = codes[order], rows["tokens"][order]
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    ends = np.append(begins[1:], len(codes))
    total = np.cumsum(tokens)
    before = np.where(begins > 0, total[begins - 1], 0)
    within = total - np.repeat(before, ends - begins) + used[codes]
    over = np.flatnonzero(within > room[codes])
    closed, first = np.unique(codes[over], return_index=True)
    bounds[closed] = rows["digest"][order[over[first]]]
    open_[closed] = False
    used[codes[begins]] = within[ends - 1]


def fixed_epochs(epochs: float) -> Cut:
    """The threshold of a number of epochs: whole copies, and one more below its fraction of all digests."""
    whole, rest = divmod(Fraction(str(epochs)), 1)
    return Cut(np.array([int(whole)]), np.array([int(rest * 2**DIGEST_BITS)], np.uint64))


def fill(mix: Mix, spool: Spool, wanted: Sequence[int], rooms: Sequence[I64] | None) -> tuple[list[Filling], list[I64]]:
    """(the parts, filled, tokens of each value of each cap); `rooms`: of the same values, or without caps."""
    used = [np.zeros(len(values), np.int64) for values in spool.caps]
    fillings = []
    for number, part in enumerate(mix.parts):
        filling = Filling(part, spool, number)
        if part.epochs is not None:
            filling.layers.append((BUDGET, fixed_epochs(part.epochs)))
        for cap, room in enumerate(rooms or []):
            filling.close(cap, room - used[cap])
        if part.epochs is None:
            filling.close(BUDGET, np.array([wanted[number]]))
        used = [sums + filling.used(cap, len(sums)) for cap, sums in enumerate(used)]
        fillings.append(filling)
    return fillings, used


def decision_table(fillings: Iterable[Filling], caps: Sequence[pa.Array]) -> pa.Table:
    """The thresholds that hold something back, as a table that travels to the workers."""
    rows: list[tuple[int, int, str | None, int, int]] = []
    for filling in fillings:
        most = most_copies(filling.part)
        for cap, cut in filling.layers:
            for group in np.flatnonzero(cut.rounds < most).tolist():
                value = None if cap == BUDGET else caps[cap][group].as_py()
                rows.append((filling.number, cap, value, int(cut.rounds[group]), int(cut.bounds[group])))
    return pa.table(list(zip(*rows, strict=True)) or [()] * len(DECISION), schema=DECISION)

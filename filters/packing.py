"""Documents into sequences of one length: which piece of which document stands where. Facts about lengths alone.

Shape legend: N documents, P pieces, S slots or sequences, L tokens of a sequence. Documents longer than L are cut into
whole sequences and a rest; best-fit-decreasing puts the rests into sequences. What it leaves free is filled by cutting
the rests of the emptiest sequences into the free places of the fullest, or by padding. Greedy packing lays the
documents end to end and cuts at every L-th token. The slow twins are in tests/naive_packing.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filters.words import Int, inner, jit, leaf, read_only

_I64 = npt.NDArray[np.int64]
_I32 = npt.NDArray[np.int32]
_U64 = npt.NDArray[np.uint64]

_WORD = 64  # bits


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces in the order in which they are written, as columns int64[P].

    document : whose, by number; at, size : its tokens [at, at + size); sequence : in which it stands.
    """

    document: _I64
    at: _I64
    size: _I64
    sequence: _I64

    def __len__(self) -> int:
        return len(self.document)

    def take(self, which: npt.NDArray[np.generic]) -> Pieces:
        """Some of them, or all in another order."""
        return Pieces(self.document[which], self.at[which], self.size[which], self.sequence[which])


def greedy(tokens: _I64, length: int) -> Pieces:
    """Documents of so many tokens laid end to end; the last sequence may be shorter. O(P) memory and time."""
    slots = np.full(-(-int(tokens.sum()) // length), length, np.int64)
    return lay(tokens, slots)


def lay(sizes: _I64, slots: _I64) -> Pieces:
    """Strips of so many tokens laid end to end over slots of so many, and cut where a slot ends; `sequence`: its slot.

    The slots hold all strips. A strip or slot of no tokens gets no piece.
    """
    ends, borders = np.cumsum(sizes), np.cumsum(slots)
    total = int(ends[-1]) if len(ends) else 0
    begins = np.unique(np.concatenate([np.zeros(1, np.int64), ends, borders]))
    begins = begins[begins < total]
    document = np.searchsorted(ends, begins, side="right")
    at = begins - (ends - sizes)[document]
    return Pieces(document, at, np.diff(begins, append=total), np.searchsorted(borders, begins, side="right"))


def best_fit(tokens: _I64, length: int, *, pad: bool) -> Pieces:
    """Documents of so many tokens, none of them 0, cut only where they have to be.

    pad : what best-fit leaves free stays free. Otherwise it is filled by cutting rests, so that at most one sequence,
    the last, is shorter than `length`.
    Sequences come as they are made: whole ones by document, then those of rests. Pieces of one sequence come in the
    order of their documents. O(P log P) time.
    """
    full, rests = tokens // length, tokens % length
    document = np.repeat(np.arange(len(tokens)), full)
    number = np.arange(len(document)) - np.repeat(np.cumsum(full) - full, full)
    whole = Pieces(document, number * length, np.full(len(document), length, np.int64), np.arange(len(document)))
    with_rest = np.flatnonzero(rests)
    bins, free = best_fit_bins(rests[with_rest], length)
    rest = Pieces(with_rest, full[with_rest] * length, rests[with_rest], bins)
    packed = rest if pad else _filled(rest, free, length)
    return _joined(whole, packed)


def _filled(rests: Pieces, free: _I64, length: int) -> Pieces:
    """The rests with those of the emptiest sequences cut into the free places of the fullest."""
    order = np.argsort(free, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    kept = (len(free) * length - int(free.sum())) // length  # sequences that all rests fill
    stay = rests.take(np.flatnonzero(rank[rests.sequence] < kept))
    goes = rests.take(np.flatnonzero(rank[rests.sequence] >= kept))
    goes = goes.take(np.argsort(rank[goes.sequence], kind="stable"))
    slots = np.append(free[order[:kept]], length)  # and the last sequence, for what is left
    cut = lay(goes.size, slots)
    moved = Pieces(goes.document[cut.document], goes.at[cut.document] + cut.at, cut.size, cut.sequence)
    stay = Pieces(stay.document, stay.at, stay.size, rank[stay.sequence])
    return _joined(stay, moved, after=0)


def _joined(one: Pieces, two: Pieces, after: int | None = None) -> Pieces:
    """Pieces of both by sequence, document and place; sequences of the second are numbered from `after` on."""
    after = len(one) if after is None else after
    columns = [
        np.concatenate([getattr(one, name), getattr(two, name) + (after if name == "sequence" else 0)])
        for name in ("document", "at", "size", "sequence")
    ]
    order = np.lexsort((columns[1], columns[0], columns[3]))
    return Pieces(*columns).take(order)


def best_fit_bins(sizes: _I64, length: int) -> tuple[_I64, _I64]:
    """(bin of each item int64[P], free room of each bin int64[S]) by best-fit-decreasing.

    sizes : int64[P], each in [1, length]. The longest come first, of equal ones the earlier. An item goes where the
    least room is that holds it, of equal rooms to that which was last changed, else into a new bin.
    O(P log L / log 64) time behind a counting sort; 24 bytes an item.
    """
    order = np.argsort(-sizes, kind="stable")
    bins, free, below = (np.empty(len(sizes), np.int64) for _ in range(3))
    head, levels = np.full(length + 1, -1, np.int64), _levels(length + 1)
    offsets = np.concatenate([[0], np.cumsum(levels)])
    bits = np.zeros(int(offsets[-1]), np.uint64)
    count = _best_fit(read_only(sizes), read_only(order), bins, (free, head, below), (bits, offsets), length)
    return bins, free[:count]


def _levels(size: int) -> list[int]:
    """Words of each level of a tree of bits over `size` places: a bit says whether the word below it is not 0."""
    levels = [-(-size // _WORD)]
    while levels[-1] > 1:
        levels.append(-(-levels[-1] // _WORD))
    return levels


@jit
def _best_fit(
    sizes: _I64, order: _I64, bins: _I64, rooms: tuple[_I64, _I64, _I64], tree: tuple[_U64, _I64], length: Int
) -> Int:
    """Fills `bins` and `free`; the number of bins. Bins of equal room are a stack: `head` of each, `below` of each."""
    free, head, below = rooms
    count: Int = 0
    for item in order:
        size = sizes[item]
        room = _next_set(tree, size)
        if room < 0:
            here: Int = count
            room = length
            count += 1
        else:
            here = head[room]
            head[room] = below[here]
            if head[room] < 0:
                _clear(tree, room)
        bins[item] = here
        left = room - size
        free[here] = left
        if left > 0:
            below[here] = head[left]
            if head[left] < 0:
                _set(tree, left)
            head[left] = here
    return count


@leaf
def _set(tree: tuple[_U64, _I64], place: Int) -> None:
    bits, offsets = tree
    for level in range(len(offsets) - 1):
        word = offsets[level] + (place >> 6)
        bits[word] |= np.uint64(1) << np.uint64(place & 63)
        place >>= 6


@leaf
def _clear(tree: tuple[_U64, _I64], place: Int) -> None:
    bits, offsets = tree
    for level in range(len(offsets) - 1):
        word = offsets[level] + (place >> 6)
        bits[word] &= ~(np.uint64(1) << np.uint64(place & 63))
        if bits[word] != np.uint64(0):
            return
        place >>= 6


@leaf
def _lowest_bit(word: np.uint64) -> Int:
    place = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word & ((np.uint64(1) << np.uint64(step)) - np.uint64(1)) == np.uint64(0):
            word >>= np.uint64(step)
            place += step
    return place


@inner
def _next_set(tree: tuple[_U64, _I64], place: Int) -> Int:
    """The first place from `place` on whose bit is set, -1 without one: up until a word has one, and down to it."""
    bits, offsets = tree
    levels, level = len(offsets) - 1, 0
    while level < levels:
        word = offsets[level] + (place >> 6)
        if word >= offsets[level + 1]:
            return -1
        ahead = bits[word] >> np.uint64(place & 63)
        if ahead != np.uint64(0):
            place += _lowest_bit(ahead)
            while level > 0:
                level -= 1
                place = (place << 6) + _lowest_bit(bits[offsets[level] + place])
            return place
        place = (place >> 6) + 1
        level += 1
    return -1


def gather(tokens: npt.NDArray[np.generic], begins: _I64, pieces: Pieces, length: int, padding: int) -> _I32:
    """Sequences of `length` tokens, int32[S, L], of pieces that are sorted by sequence, whose first is number 0.

    tokens : uint16[T] or uint32[T], all documents; begins : int64[N], where each begins. What is free becomes padding.
    """
    count = int(pieces.sequence[-1]) + 1 if len(pieces) else 0
    out = np.full((count, length), padding, np.int32)
    begin = begins[pieces.document] + pieces.at
    _gather(read_only(tokens), begin, pieces.size, pieces.sequence, out)
    return out


@jit
def _gather(tokens: npt.NDArray[np.generic], begin: _I64, size: _I64, sequence: _I64, out: _I32) -> None:
    last, put = np.int64(-1), np.int64(0)
    for piece in range(len(begin)):
        if sequence[piece] != last:
            last, put = sequence[piece], np.int64(0)
        for at in range(begin[piece], begin[piece] + size[piece]):
            out[last, put] = tokens[at]
            put += 1

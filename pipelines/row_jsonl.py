"""JSON lines as texts: a kernel reads the lines that it is sure of, a parser the others; see `filters.json_fields`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from filters.json_fields import Read, Room, make_room, read_lines
from filters.json_places import Places, make_places
from filters.text import Batch
from pipelines.row_blocks import BLOCK_BYTES, Block, blocks
from pipelines.row_fields import DEFAULT_FIELDS, Fields, parse_row, steps, top
from pipelines.row_find import RowFile
from pipelines.row_texts import Singles, TextBatch, batch_of

_MAX_TEXTS = 1 << 13  # of a batch: those of short rows are cheap, but not free
_NEWLINE = 10


@dataclass(frozen=True)
class _Plan:
    """What a kernel looks for in lines whose keys choose these fields; nothing where no kernel can."""

    names: Sequence[str]
    places: Places | None


@lru_cache(maxsize=64)
def _plan(fields: Fields, names: tuple[str, ...]) -> _Plan:
    """The plan for rows that have the fields `names`, of those that the caller names or of the usual ones."""
    optional: tuple[str, ...] = ()
    forbidden: list[str] = []
    if not fields.names:  # a row with a field of an earlier group belongs there; a row may lack those behind the first
        group = next(n for n, group in enumerate(DEFAULT_FIELDS) if group[0] == names[0])
        forbidden = [top(earlier[0]) for earlier in DEFAULT_FIELDS[:group]]
        names, optional = (names[0],), tuple(DEFAULT_FIELDS[group][1:])
    paths = [steps(name) for name in (*names, *optional)]
    forbidden += [name for name, path in zip((*names, *optional), paths, strict=True) if len(path) > 1]
    if any(isinstance(step, int) for path in paths for step in path):
        return _Plan((), None)
    plain: Any = paths
    return _Plan((*names, *optional), make_places(plain[: len(names)], plain[len(names) :], forbidden))


class _Reader:
    """Reads the blocks of a file, with room that is used again."""

    def __init__(self, fields: Fields, id_field: str) -> None:
        self.fields, self.id_field = fields, id_field
        self.plan = _plan(fields, tuple(fields.of({})))
        self.number = 0  # of the next line
        self._room = make_room(_MAX_TEXTS, _MAX_TEXTS, BLOCK_BYTES)

    def read(self, block: Block) -> Iterator[TextBatch]:
        """The texts of a block."""
        if block.problem:
            yield self._refused(block)
            return
        if self.number == 0:
            self._choose(block.data.split(b"\n", 1)[0])
        at, end = 0, block.size
        if block.buffer[end - 1] != _NEWLINE:  # the last line of a file
            block.buffer[end] = _NEWLINE
            end += 1
        while at < end:
            if self.plan.places is None:
                yield self._parsed(block)
                return
            read = read_lines(block.buffer, at, end, self.plan.places, self._room_for(block))
            yield self._batch(block, read)
            at = read.at
            self.number += read.lines

    def _choose(self, line: bytes) -> None:
        """Plans for lines with the fields of this one."""
        row, _ = parse_row(line)
        if row is not None and not self.fields.names:
            self.plan = _plan(self.fields, tuple(self.fields.of(row)[:1]))

    def _room_for(self, block: Block) -> Room:
        if self._room.texts.size != block.buffer.size:
            self._room = self._room._replace(texts=np.empty(block.buffer.size, np.uint8))
        return self._room

    def _refused(self, block: Block) -> TextBatch:
        singles = Singles()
        if not block.continues:
            singles.refuse(self.number, block.problem)
        lines = block.data.count(b"\n")
        self.number += lines
        return batch_of(singles, lines)

    def _parsed(self, block: Block) -> TextBatch:
        singles = Singles()
        lines = block.data.split(b"\n")
        for number, line in enumerate(lines, self.number):
            if line and not line.isspace():
                self._add(singles, number, line)
        self.number += len(lines) - 1
        return replace(batch_of(singles, len(lines) - 1), identify=singles.ids.__getitem__)

    def _add(self, singles: Singles, number: int, line: bytes) -> None:
        row, problem = parse_row(line)
        if row is None:
            singles.refuse(number, problem)
        else:
            singles.add(number, row, self.fields, row.get(self.id_field))

    def _batch(self, block: Block, read: Read) -> TextBatch:
        singles, names, line = Singles(), self.plan.names, b""
        for number, begin, end in self._room.others[: read.others].tolist():
            line = block.buffer[begin : min(end, block.size)].tobytes().removesuffix(b"\n")
            self._add(singles, self.number + number, line)
        if 2 * read.others > read.rows:
            self._choose(line)
        records = self._room.records[: read.texts]

        def identify(text: int) -> Any:
            if text >= read.texts:
                return singles.ids[text - read.texts]
            begin, end = records[text, 1:3].tolist()
            row, _ = parse_row(block.buffer[begin : min(end, block.size)].tobytes())
            return row and row.get(self.id_field)

        plain = TextBatch(
            rows=read.rows - read.others,
            numbered=read.lines,
            batch=Batch(self._room.texts, self._room.offsets[: read.texts + 1]),
            numbers=records[:, 0] + self.number,
            paths=records[:, 3],
            elements=records[:, 4],
            fields=names,
            identify=identify,
        )
        return batch_of(singles, read.lines, plain) if read.others else plain


def read_jsonl(file: RowFile, begin: int, end: int, fields: Fields, id_field: str) -> Iterator[TextBatch]:
    """The texts of a file, or of a range of it (see `row_blocks.blocks`); rows are lines, counted from its first."""
    reader = _Reader(fields, id_field)
    for block in blocks(file, begin, end):
        yield from reader.read(block)

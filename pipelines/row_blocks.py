"""The bytes of a file of lines in blocks of whole lines, about two megabytes each, in a buffer that is used again.

The lines of `streams.lines` were refused: blank lines, line ends and lines too long to hold have to come out again when
the file is written without some rows. A new buffer for each block was, too: its fresh pages cost more than reading it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import zstandard

from filters.json_fields import SPARE_BYTES
from pipelines.row_find import RowFile, open_file
from pipelines.streams import MAX_WINDOW, BrokenStreamError, chunks_of

BLOCK_BYTES = 1 << 21  # read at a time; with fewer, what Python does for each block costs a tenth of the time
MAX_LINE_BYTES = 1 << 28  # a line as long as a hundred books is no sample; it goes through unread
TOO_LARGE = "too_large"

_SEARCHED = 1 << 16  # bytes looked through at a time for the last line end


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file, or one that cannot be read. Its buffer is written again when the next is asked for.

    buffer : uint8[at least size + SPARE_BYTES], writable; the first `size` are lines with their ends, the last of a
    file perhaps without.
    """

    buffer: npt.NDArray[np.uint8]
    size: int
    problem: str = ""
    continues: bool = False  # the line began in the block before

    @property
    def data(self) -> bytes:
        """A copy of the bytes."""
        return self.buffer[: self.size].tobytes()


class _Source(Protocol):
    def readinto(self, buffer: memoryview, /) -> int:
        """How many bytes of the buffer were filled; 0 at the end. May raise BrokenStreamError."""
        ...


def blocks(file: RowFile, begin: int = 0, end: int = 0) -> Iterator[Block]:
    """All bytes of a JSONL file in blocks; where a compressed stream breaks, what came before it, and the problem.

    With an `end`, only the lines that begin at the first line end from byte `begin` on, up to the first from `end` on:
    ranges that touch have every line once. Both are borders of frames where the file is .zst.
    """
    with open_file(file.path) as opened:
        source = _Range(file, opened, begin, end) if end else _whole(file, opened)
        yield from _blocks(source)


def _blocks(source: _Source) -> Iterator[Block]:
    held, skipping, more = _Held(), False, True
    while more:
        try:
            more = held.fill(source)
        except BrokenStreamError as error:
            yield from held.give(held.complete)
            yield Block(held.buffer, held.size, error.reason, continues=skipping)
            return
        if skipping and held.size:
            end = held.first_line_end()
            yield from held.give(end or held.size, TOO_LARGE, continues=True)
            skipping = not end
        yield from held.give(held.complete)
        if held.size >= MAX_LINE_BYTES:
            yield from held.give(held.size, TOO_LARGE)
            skipping = True
    yield from held.give(held.size)


class _Held:
    """Bytes that were read and not yet given on, from the start of a buffer. A line is held from its beginning."""

    def __init__(self) -> None:
        self.buffer = np.empty(BLOCK_BYTES + SPARE_BYTES, np.uint8)
        self.size = self.complete = 0  # bytes; of whole lines

    def fill(self, source: _Source) -> bool:
        """Reads on until there is a block, a larger one where a line is longer; whether there may be more."""
        room = self.buffer.size - SPARE_BYTES
        if self.size == room:
            room = min(2 * room, MAX_LINE_BYTES)
            self._resize(room)
        elif room > BLOCK_BYTES and self.size < BLOCK_BYTES:
            room = BLOCK_BYTES
            self._resize(room)
        view = memoryview(self.buffer)[:room]  # type: ignore[arg-type]  # an array is a buffer
        while self.size < room:
            count = source.readinto(view[self.size :])
            if not count:
                return False
            newline = _last_newline(view[self.size : self.size + count])
            self.complete = self.complete if newline < 0 else self.size + newline + 1
            self.size += count
        return True

    def give(self, size: int, problem: str = "", *, continues: bool = False) -> Iterator[Block]:
        """The first bytes as a block, if there are any; when it is done with, the rest moves to their place."""
        if size:
            yield Block(self.buffer, size, problem, continues)
            self.buffer[: self.size - size] = self.buffer[size : self.size].copy()
            self.size, self.complete = self.size - size, max(0, self.complete - size)

    def first_line_end(self) -> int:
        """The bytes of the first line with its end; 0 where it goes on."""
        return self.buffer[: self.size].tobytes().find(b"\n") + 1

    def _resize(self, room: int) -> None:
        larger = np.empty(room + SPARE_BYTES, np.uint8)
        larger[: self.size] = self.buffer[: self.size]
        self.buffer = larger


def _last_newline(view: memoryview) -> int:
    """Where the last line end is; -1 if there is none. Line ends are near the end, most often."""
    end = len(view)
    while end > 0:
        begin = max(0, end - _SEARCHED)
        found = bytes(view[begin:end]).rfind(b"\n")
        if found >= 0:
            return begin + found
        end = begin
    return -1


# --- sources ----------------------------------------------------------------------------------------------------------


def _whole(file: RowFile, opened: BinaryIO) -> _Source:
    if file.name.endswith((".gz", ".zst")):
        return _Chunks(chunks_of(opened, file.name))
    return opened  # type: ignore[return-value]  # BinaryIO has no readinto, but every file has


class _Chunks:
    """Chunks of any size."""

    def __init__(self, chunks: Iterator[bytes], skipped: int = 0) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._skipped = skipped  # bytes that were read before

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)[self._skipped :]
            self._skipped -= min(self._skipped, len(chunk))
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


class _Slice(io.RawIOBase):
    """The bytes of a file from one place to another."""

    def __init__(self, file: BinaryIO, begin: int, end: int) -> None:
        self._file, self._at, self._end = file, begin, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._at)
        view = memoryview(buffer)[: self._end - self._at]
        count: int = self._file.readinto(view)  # type: ignore[attr-defined]  # see _whole
        self._at += count
        return count


class _Frames:
    """Frames of a .zst file that are known to be whole; where their content is broken, all before that is read."""

    def __init__(self, file: BinaryIO, begin: int, end: int) -> None:
        self._parts = (file, begin, end)
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        frames: Any = _Slice(file, begin, end)
        self._frames: _Source = decompressor.stream_reader(frames, read_across_frames=True)
        self._done = 0

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            count = self._frames.readinto(buffer)
        except zstandard.ZstdError:  # it tells not how far it came: again, in small steps
            self._frames = _Chunks(chunks_of(_Slice(*self._parts), ".zst"), self._done)  # type: ignore[arg-type]
            count = self._frames.readinto(buffer)
        self._done += count
        return count


class _Range:
    """The lines of a range of a file, see `blocks`."""

    def __init__(self, file: RowFile, opened: BinaryIO, begin: int, end: int) -> None:
        part = _Frames if file.name.endswith(".zst") else _Slice
        self._own: _Source = part(opened, begin, end)
        self._next: _Source = part(opened, end, max(end, file.size))
        self._before = begin > 0  # in the line that began before the range
        self._behind = self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._ended:
            count = (self._next if self._behind else self._own).readinto(buffer)
            line = bytes(buffer[:count]).find(b"\n") + 1 if self._before or self._behind else 0
            if self._behind:
                self._ended = not count or line > 0
                return line or count
            if not count:
                self._ended, self._behind = self._before, True
            elif not self._before:
                return count
            elif line:
                self._before = False
                buffer[: count - line] = bytes(buffer[line:count])
                if count > line:
                    return count - line
        return 0

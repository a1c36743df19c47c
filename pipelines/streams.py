"""Compressed and plain byte streams, read strictly: a file that ends too early says so.

Python's gzip raises in mid-file and loses where it was; zstandard's reader takes a truncated frame for a whole one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import zstandard

from pipelines.places import Place

_CHUNK = 1 << 20
_COMPRESSED_CHUNK = 1 << 14  # zlib makes at most 1,032 bytes of one: a bomb stays below 17 MB at a time
CORRUPT, TRUNCATED = "corrupt_compression", "truncated_compression"
MAX_WINDOW = 1 << 31  # zstd --long writes windows that the default refuses


class BrokenStreamError(Exception):
    """The stream cannot be read on; what came before it was sound. `reason` is one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def open_chunks(path: Place) -> Iterator[bytes]:
    """Decompressed chunks of a .gz, .zst or plain file; raises BrokenStreamError at the point where it is broken."""
    with path.open("rb") as file:
        yield from chunks_of(file, path.name)


def chunks_of(file: BinaryIO, name: str) -> Iterator[bytes]:
    """What `open_chunks` yields, of an open file that is compressed as its name says."""
    if name.endswith(".gz"):
        yield from _inflate(file, lambda: zlib.decompressobj(wbits=31))
    elif name.endswith(".zst"):
        yield from _inflate(file, lambda: zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj())
    else:
        while chunk := file.read(_CHUNK):
            yield chunk


def _inflate(file: BinaryIO, new: Callable[[], _Inflater]) -> Iterator[bytes]:
    inflater: _Inflater | None = None
    while chunk := file.read(_COMPRESSED_CHUNK):
        while chunk:
            if inflater is None or inflater.eof:
                inflater = new()
            try:
                out = inflater.decompress(chunk)
            except (zlib.error, zstandard.ZstdError) as error:
                raise BrokenStreamError(CORRUPT) from error
            if out:
                yield out
            chunk = inflater.unused_data if inflater.eof else b""
    if inflater is not None and not inflater.eof:
        raise BrokenStreamError(TRUNCATED)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file: its bytes, or the problem that there is with it."""

    offset: int
    length: int
    data: bytes | None
    problem: str | None = None


def lines(chunks: Iterator[bytes], max_bytes: int) -> Iterator[Line]:
    """Lines that are not blank; one longer than `max_bytes` is skipped without being held in memory.

    A stream that breaks ends in a line whose problem says how.
    """
    offset, held, length = 0, bytearray(), 0
    try:
        for chunk in chunks:
            start = 0
            while True:
                end = chunk.find(b"\n", start)
                part = chunk[start : end if end >= 0 else len(chunk)]
                length += len(part)
                if length <= max_bytes:
                    held += part
                if end < 0:
                    break
                yield from _line(offset, length, held, max_bytes)
                offset += length + 1
                held, length, start = bytearray(), 0, end + 1
        yield from _line(offset, length, held, max_bytes)
    except BrokenStreamError as error:
        yield Line(offset, length, None, error.reason)


def _line(offset: int, length: int, held: bytearray, max_bytes: int) -> Iterator[Line]:
    if length > max_bytes:
        yield Line(offset, length, None, "too_large")
    elif held.strip():
        yield Line(offset, length, bytes(held))

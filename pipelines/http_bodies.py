"""The body of an HTTP response as the page it is: chunks joined, compression undone, both only where they are there.

Crawlers store a body as it came over the wire, or decoded and with the old headers, so that a header alone is no proof.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

from fastwarc.stream_io import BrotliReader, ChunkedReader

from pipelines.streams import CORRUPT, BrokenStreamError, chunks_of

TOO_LARGE = "too_large"
_CHUNK_HEAD = re.compile(rb"[0-9a-fA-F]{1,8}[ \t]*(?:;[^\r\n]*)?\r\n")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_READ = 1 << 18


def decoded(body: bytes, transfer: str, encodings: str, limit: int) -> bytes:
    """The body without its transfer and content encodings, as its headers name them.

    Raises BrokenStreamError where it cannot be decoded, or is longer than `limit` bytes then (`too_large`).
    """
    if "chunked" in transfer.lower() and _CHUNK_HEAD.match(body):
        body = limited(_read(ChunkedReader(BytesIO(body))), limit)
    for name in reversed([part.strip().lower() for part in encodings.split(",")]):
        read = _DECODERS.get(name)
        if read is not None and body.lstrip()[:1] != b"<":
            body = limited(read(body), limit)
    return body


def limited(chunks: Iterator[bytes], limit: int) -> bytes:
    """The chunks joined; raises BrokenStreamError(`too_large`) where there are more than `limit` bytes."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) > limit:
            raise BrokenStreamError(TOO_LARGE)
    return bytes(held)


def _read(reader: BrotliReader | ChunkedReader) -> Iterator[bytes]:
    try:
        while chunk := reader.read(_READ):
            yield chunk
    except OSError as error:
        raise BrokenStreamError(CORRUPT) from error


def _gzip(body: bytes) -> Iterator[bytes]:
    return chunks_of(BytesIO(body), ".gz") if body.startswith(_GZIP) else iter([body])


def _zstd(body: bytes) -> Iterator[bytes]:
    return chunks_of(BytesIO(body), ".zst") if body.startswith(_ZSTD) else iter([body])


def _deflate(body: bytes) -> Iterator[bytes]:
    """With the frame of zlib, as the standard says, or without, as some servers do."""
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        inflater = zlib.decompressobj(window)
        try:
            yield inflater.decompress(body, _READ)
        except zlib.error:
            continue
        while inflater.unconsumed_tail:
            yield inflater.decompress(inflater.unconsumed_tail, _READ)
        return
    raise BrokenStreamError(CORRUPT)


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": lambda body: _read(BrotliReader(BytesIO(body))),
    "zstd": _zstd,
}

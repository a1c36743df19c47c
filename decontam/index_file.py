"""The file of a benchmark index: a JSON header and the arrays of its segments, mapped into every process that reads it.

Worker processes share its pages, nothing in it is code (as a pickle would be), and the same segments give the same
bytes. The header says a digest of each segment, so that opening the file reads none of the arrays; `check_index` reads
them all. A digest tells of damage and of mistakes, not of malice: whoever writes a file writes its digests. So the
check also looks whether any number points out of its array, where a kernel would follow it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from decontam.kernels import I32, I64, U8
from decontam.segments import ALIGNMENT, ARRAYS, FIELDS, Segment, segment_of
from decontam.tables import Table
from filters.errors import InputError, OutputError
from filters.text import TEXT_VERSION

_MAGIC = b"mathcorpus benchmark index 4\n"
_LENGTH_BYTES = 8  # of the length of the header, which stands between the two


def write_index(path: Path, segments: Sequence[Segment]) -> None:
    """Write the file; it appears under its name only when it is whole. OutputError where it cannot be written."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for chunk in _chunks(segments):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as exc:
        partial.unlink(missing_ok=True)
        msg = f"cannot write the index {path}: {exc}"
        raise OutputError(msg) from exc


def read_index(path: Path) -> tuple[Segment, ...]:
    """The segments of the file, their arrays mapped and not yet read. InputError for a file of another kind."""
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as exc:  # ValueError: an empty file
        msg = f"cannot read the benchmark index {path}: {exc}"
        raise InputError(msg) from exc
    begin = len(_MAGIC) + _LENGTH_BYTES
    if data[: len(_MAGIC)].tobytes() != _MAGIC:
        msg = f"{path} is no benchmark index of this version; build it again"
        raise InputError(msg)
    end = begin + int.from_bytes(data[len(_MAGIC) : begin].tobytes(), "little")
    try:
        heads = json.loads(data[begin:end].tobytes())
        for version in (head["text_version"] for head, _ in heads if head["text_version"] != TEXT_VERSION):
            msg = (
                f"the benchmark index {path} was built with text rules {version!r}, "
                f"these are {TEXT_VERSION!r}; build it again"
            )
            raise InputError(msg)
        return tuple(_segments(data, end, heads))
    except (KeyError, TypeError, ValueError) as exc:
        raise _damaged(path, str(exc)) from exc


def check_index(path: Path) -> tuple[Segment, ...]:
    """The segments of the file once all of it was read and fits the digests; InputError where it does not."""
    segments = read_index(path)
    for number, segment in enumerate(segments, 1):
        if segment.computed_digest() != segment.stored_digest:
            raise _damaged(path, f"segment {number} does not have the digest {segment.stored_digest}")
        if not _is_sound(segment):
            raise _damaged(path, f"segment {number} points out of its arrays")
    return segments


def _damaged(path: Path, how: str) -> InputError:
    return InputError(f"the benchmark index {path} is damaged ({how}); build it again")


def _chunks(segments: Sequence[Segment]) -> Iterator[bytes | memoryview]:
    heads = [(segment.head(), segment.digest) for segment in segments]
    # ASCII, since a name may hold a lone surrogate, which no UTF-8 file can
    encoded = json.dumps(heads, sort_keys=True, separators=(",", ":")).encode("ascii")
    prefix = _MAGIC + len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded
    yield prefix + bytes(-len(prefix) % ALIGNMENT)
    for segment in segments:
        yield from segment.chunks()


def _segments(data: U8, position: int, heads: list[tuple[dict[str, Any], str]]) -> Iterator[Segment]:
    for head, digest in heads:
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, dtype in ARRAYS.items():
            position += -position % ALIGNMENT
            # frombuffer, since a memmap would pass its own class on to every slice
            arrays[name] = np.frombuffer(data, dtype=dtype, count=head["lengths"][name], offset=position)
            position += arrays[name].nbytes
        yield segment_of(head, arrays, digest)


def _is_sound(segment: Segment) -> bool:
    """Whether every number that points into an array points to something there."""
    items, lengths = segment.items, np.diff(segment.offsets)
    return (
        _cut(segment.offsets, len(items), len(segment.hashes))
        and len(segment.masked) == len(segment.words) == len(segment.hashes)
        and len(segment.signs) == len(items)
        and _cut(segment.sign_offsets, len(items), len(segment.sign_pairs))
        and _cut(items.text_offsets, len(items), len(items.texts))
        and _below(items.sets, len(items), len(items.names))
        and _below(items.fields, len(items), len(FIELDS))
        and all(_is_sound_table(table, lengths) for table in segment.tables.values())
    )


def _is_sound_table(table: Table, lengths: I64) -> bool:
    postings = len(table.posting_items)
    return (
        _cut(table.posting_offsets, len(table.ngrams), postings)
        and _below(table.posting_items, postings, len(lengths))
        and _below(table.posting_tokens, postings, lengths[table.posting_items])
        and all(len(bits).bit_count() == 1 for bits in (table.bitmap, table.samples))  # kernels mask by the length
    )


def _cut(offsets: I32 | I64, parts: int, end: int) -> bool:
    """Whether offsets cut what is `end` long into so many parts."""
    ascending = len(offsets) == parts + 1 and bool((np.diff(offsets) >= 0).all())
    return ascending and (int(offsets[0]), int(offsets[-1])) == (0, end)


def _below(values: npt.NDArray[Any], count: int, end: int | I64) -> bool:
    return len(values) == count and bool(((values >= 0) & (values < end)).all())

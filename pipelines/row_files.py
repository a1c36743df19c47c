"""Files of rows in units of work, and the texts of each: row groups of Parquet, ranges of JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipelines.row_fields import Fields
from pipelines.row_find import RowFile, open_file
from pipelines.row_jsonl import read_jsonl
from pipelines.row_texts import TextBatch
from pipelines.zstd_frames import frame_borders

PLAIN_BYTES = 1 << 26  # of JSON lines in one unit of work
FRAME_BYTES = 1 << 24  # the same, where they are compressed


@dataclass(frozen=True, slots=True)
class Part:
    """A unit of reading: row groups of a Parquet file; of JSON lines those of a range of bytes, or all."""

    file: RowFile
    groups: tuple[int, ...] = ()
    begin: int = 0
    end: int = 0


def parts_of(file: RowFile, fields: Fields) -> list[Part]:
    """The units of a file; InputError where it is a Parquet file that cannot be read or lacks every field."""
    if file.is_parquet:
        from pipelines.row_parquet import row_groups  # Arrow takes a while to import

        return [Part(file, groups) for groups in row_groups(file, fields)]
    return [Part(file, (), begin, end) for begin, end in pairwise(_borders(file))] or [Part(file)]


def _borders(file: RowFile) -> Sequence[int]:
    """Where to cut a file of lines: anywhere if it is plain, between frames if it is .zst; else nowhere."""
    if file.is_remote or file.name.endswith(".gz"):
        return ()
    if not file.name.endswith(".zst"):
        return (*range(0, file.size, PLAIN_BYTES), file.size) if file.size else ()
    with open_file(file.path) as opened:
        frames = frame_borders(opened.fileno(), file.size)
    chosen = frames[:1]
    for border in frames[1:]:
        if border - chosen[-1] >= FRAME_BYTES:
            chosen.append(border)
    return chosen if not frames or chosen[-1] == frames[-1] else [*chosen, frames[-1]]


def read_texts(part: Part, fields: Fields, id_field: str) -> Iterator[TextBatch]:
    """The texts of a part, about half a megabyte at a time; rows are counted from the first of the part."""
    if part.file.is_parquet:
        from pipelines.row_parquet import read_parquet

        return read_parquet(part.file, part.groups, fields, id_field)
    return read_jsonl(part.file, part.begin, part.end, fields, id_field)

"""Rows for recall: texts with the host, source and language that their rows name; lines that a score is added to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from filters.errors import InputError
from pipelines.row_blocks import blocks
from pipelines.row_fields import Fields, parse_row
from pipelines.row_find import RowFile
from pipelines.row_parquet import open_parquet, unreadable

ROWS = 512  # at a time

_BOM = b"\xef\xbb\xbf"


def text_of(row: Mapping[str, Any], fields: Fields) -> str | None:
    """The texts of a row, a line between them; None where it has none."""
    found = fields.find(row).texts
    return "\n".join(text for _, text in found) if found else None


def line_batches(file: RowFile) -> Iterator[list[bytes]]:
    """The lines of a JSONL file with their ends, blank ones too; InputError where the file is broken off."""
    for block in blocks(file):
        if block.problem:
            msg = f"{file.path}: cannot be read on ({block.problem}); is the file whole?"
            raise InputError(msg)
        *lines, last = block.data.split(b"\n")
        lines = [line + b"\n" for line in lines] + ([last] if last else [])
        for first in range(0, len(lines), ROWS):
            yield lines[first : first + ROWS]


def read_rows(file: RowFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, row) of a file, counted from 0; InputError at a line that is no object."""
    if file.is_parquet:
        yield from enumerate(_parquet_rows(file))
        return
    lines = (line for batch in line_batches(file) for line in batch)
    for number, line in enumerate(lines):
        if not line.isspace():
            row, problem = parse_row(line)
            if row is None:
                msg = f"{file.path}: line {number + 1}: {problem.replace('_', ' ')}"
                raise InputError(msg)
            yield number, row


def _parquet_rows(file: RowFile) -> Iterator[dict[str, Any]]:
    with open_parquet(file) as parquet:
        try:
            for batch in parquet.iter_batches(ROWS, use_threads=False):
                yield from batch.to_pylist()
        except OSError as error:
            raise unreadable(file, error) from error


def host_of(row: Mapping[str, Any]) -> str | None:
    """Where a row is from: its host, that of its url, its repository, or its source."""
    for name in ("host", "url", "repo", "source"):
        value = row.get(name)
        if isinstance(value, str) and value:
            if name != "url":
                return value
            if host := _host(value):
                return host
    return None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def with_number(line: bytes, row: Mapping[str, Any], name: str, value: float) -> bytes:
    """The line of JSON with one more field before its closing brace; a field of that name is overwritten."""
    body = line.rstrip()
    end = line[len(body) :]
    field = f'"{name}":{value!r}'
    if name in row:
        return json.dumps({**row, name: value}).encode() + end
    inside = body.removeprefix(_BOM).strip()[1:-1].strip()
    return body[:-1].rstrip() + (("," if inside else "") + field + "}").encode() + end


def as_line(row: Mapping[str, Any]) -> bytes:
    """A row of Parquet as a line of JSON; what JSON cannot hold is told as text."""
    return orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE)

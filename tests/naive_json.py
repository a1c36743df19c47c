"""The slow twin of `filters.json_fields`: the texts at some paths of a line of JSON, by a parser and in plain Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

Found = tuple[int, int, str]  # number of the path, element of the list or -1, text


def texts_of(
    line: bytes, wanted: Sequence[Sequence[str | None]], optional: Sequence[Sequence[str | None]], forbidden: set[str]
) -> list[Found] | None:
    """The texts of a line, by path and element; None where the kernel has to hand it back."""
    row = _parsed(line)
    if not isinstance(row, dict) or forbidden & row.keys():
        return None
    found: list[Found] = []
    for number, path in enumerate([*wanted, *optional]):
        if number < len(wanted) or path[0] in row:
            texts = _at(row, path)
            if texts is None:
                return None
            found += [(number, element, text) for element, text in texts]
    return found


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        # 1e999 is a number by the grammar, and to Python's parser
        return json.loads(line) if "infinity" in str(error) else None


def _at(value: Any, path: Sequence[str | None], element: int = -1) -> list[tuple[int, str]] | None:
    """(element, text) of what stands at the end of a path; None where anything is not as the path says."""
    if not path:
        if value is None and element >= 0:
            return []
        return [(element, value)] if isinstance(value, str) else None
    step, rest = path[0], path[1:]
    if step is None:
        parts = [_at(one, rest, n) for n, one in enumerate(value)] if isinstance(value, list) else [None]
        return None if None in parts else [text for part in parts for text in part or []]
    if not isinstance(value, dict) or (step not in value and element < 0):
        return None
    return _at(value[step], rest, element) if step in value else []

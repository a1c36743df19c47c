"""Texts inside rows: which fields hold them, where they stand, and how one is changed without touching the rest.

A path is `text`, `meta.body`, `messages[0].content` or, for every element of a list, `messages[].content`. A text is
named by its own place (`messages[2].content`), so that evidence can be looked up. A line of JSON is edited as text at
the place of the string: numbers, spacing, the order of keys and keys that stand twice stay as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from json.decoder import JSONArray, JSONObject, scanstring  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

import orjson

from filters.errors import UsageError

Step = str | int | None  # a key, an element, every element

# Looked for in this order when the caller names no field: the first group whose first field a row has.
# Fields of the group that a row does not have are no fault of it.
DEFAULT_FIELDS: Sequence[Sequence[str]] = (
    ("text",),
    ("messages[].content",),
    ("conversations[].value",),
    ("prompt", "response", "completion", "chosen", "rejected"),
    ("instruction", "input", "output", "response"),
    ("question", "solution", "answer"),
    ("problem", "solution", "answer"),
)
CONTAMINATION = "contamination"  # the field or column that the action `tag` adds

_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[\d*\])*")
_STEP = re.compile(r"\[(\d*)\]|([^.\[\]]+)")
_PLACE = re.compile(r"\[\d+\]")
_INNER = ("content", "text", "value")  # where a message or a part of one keeps its text
_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Found:
    """The texts of a row and what was wrong with it."""

    texts: list[tuple[str, str]] = field(default_factory=list)  # (place, text)
    problems: list[str] = field(default_factory=list)  # a word, or word:field


@dataclass(frozen=True)
class Fields:
    """Fields that hold texts: those that the caller names, or the usual ones."""

    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no path."""
        for name in self.names:
            if not _PATH.fullmatch(name):
                msg = f"--field {name!r}: not a field; write text, meta.body or messages[].content"
                raise UsageError(msg)

    def of(self, keys: Mapping[str, Any]) -> Sequence[str]:
        """The fields to read in a row, or file, with these keys."""
        if self.names:
            return self.names
        for group in DEFAULT_FIELDS:
            if top(group[0]) in keys:
                return [name for name in group if top(name) in keys]
        return DEFAULT_FIELDS[0]

    def find(self, row: Mapping[str, Any]) -> Found:
        """The texts of a row, in the order of the fields."""
        found = Found()
        for name in self.of(row):
            value = row.get(name)
            if type(value) is str:
                found.texts.append((name, value))
            elif name in row:
                _take(found, name, name, value)
            else:
                _walk(found, name, steps(name), row, "")
        return found


def top(name: str) -> str:
    """The column that a path begins in."""
    return str(steps(name)[0])


@lru_cache(maxsize=4096)
def steps(name: str) -> tuple[Step, ...]:
    """The steps of a path."""
    return tuple(key or (int(index) if index else None) for index, key in _STEP.findall(name))


@lru_cache(maxsize=4096)
def pattern(place: str) -> str:
    """The field that a place belongs to: `messages[].content` for `messages[2].content`."""
    return _PLACE.sub("[]", place)


def _walk(found: Found, name: str, path: Sequence[Step], value: Any, place: str) -> None:
    """Adds the texts at the end of a path; elements of a list may lack it (a message that only calls a tool)."""
    if not path:
        _take(found, name, place, value)
        return
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        if isinstance(value, dict) and step in value:
            _walk(found, name, rest, value[step], f"{place}.{step}" if place else step)
        elif "[" not in place:
            found.problems.append(f"missing_field:{name}")
    elif not isinstance(value, list):
        found.problems.append(f"not_a_list:{name}")
    else:
        chosen = range(len(value)) if step is None else range(step, min(step + 1, len(value)))
        if step is not None and not chosen:
            found.problems.append(f"missing_field:{name}")
        for index in chosen:
            _walk(found, name, rest, value[index], f"{place}[{index}]")


def _take(found: Found, name: str, place: str, value: Any) -> None:
    """Adds a text, or those of a list of texts, messages or parts of a message."""
    if isinstance(value, str):
        found.texts.append((place, value))
    elif isinstance(value, bytes):
        found.texts.append((place, value.decode("utf-8", "surrogateescape")))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            inner = next((k for k in _INNER if k in element), "") if isinstance(element, dict) else ""
            _take(found, name, f"{place}[{index}]{'.' if inner else ''}{inner}", element[inner] if inner else element)
    elif value is not None:
        found.problems.append(f"not_text:{name}")
    elif "[" not in place:
        found.problems.append(f"null:{name}")


def parse_row(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """(row, "") of a line of JSON, else (None, problem).

    What orjson refuses and others write is read all the same: lone surrogates, NaN, a byte order mark, bytes that are
    not UTF-8 (they become lone surrogates). Else a copy of a benchmark could hide behind one bad byte.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            row = json.loads(line.removeprefix(_BOM).decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            return None, "not_json"
    return (row, "") if isinstance(row, dict) else (None, "not_an_object")


def without(text: str, spans: Sequence[Sequence[int]]) -> str:
    """The text without the characters of the spans, which may overlap."""
    kept, position = [], 0
    for begin, end in sorted((s[0], s[1]) for s in spans):
        if begin > position:
            kept.append(text[position:begin])
        position = max(position, end)
    return "".join([*kept, text[position:]])


def value_at(row: Any, place: str) -> Any:
    """What stands at a place of a row."""
    if place in row:
        return row[place]
    for step in steps(place):
        row = row[step]
    return row


def put_at(row: Any, place: str, value: Any) -> None:
    """Changes what stands at a place of a row."""
    if place in row:
        row[place] = value
        return
    *way, last = steps(place)
    for step in way:
        row = row[step]
    row[last] = value


def cut_line(line: bytes, cuts: Mapping[str, Sequence[Sequence[int]]]) -> bytes:
    """The line of JSON with spans removed from the strings at some places; every other byte stays."""
    mark = _BOM if line.startswith(_BOM) else b""
    text = line.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    row = _located(text)
    edits = []
    for place, spans in cuts.items():
        value = value_at(row, place)
        edits.append((value.begin, value.end, _literal(without(value, spans))))
    for begin, end, literal in sorted(edits, reverse=True):
        text = text[:begin] + literal + text[end:]
    return mark + text.encode("utf-8", "surrogateescape")


def _literal(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates have no bytes: as escapes
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)


class _Located(str):
    """A string of a JSON text and where its literal stands."""

    begin: int
    end: int


def _located(text: str) -> Any:
    """The value of a JSON text, each string with its place; the C scanner of `json` does not tell places."""

    def parse_string(source: str, begin: int, strict: bool) -> tuple[_Located, int]:
        value, end = scanstring(source, begin, strict)
        located = _Located(value)
        located.begin, located.end = begin - 1, end
        return located, end

    decoder: Any = json.JSONDecoder()
    decoder.parse_string, decoder.parse_object, decoder.parse_array = parse_string, JSONObject, JSONArray
    decoder.scan_once = py_make_scanner(decoder)
    return decoder.decode(text)


def tag_line(line: bytes, kind: str) -> bytes:
    """The line of JSON with one more field, `contamination`, before its closing brace."""
    body = line.rstrip()
    end = line[len(body) :]
    if f'"{CONTAMINATION}"'.encode() in body:  # perhaps tagged before: two fields of a name would leave it open
        row = json.loads(body.removeprefix(_BOM).decode("utf-8", "surrogateescape"))
        return json.dumps({**row, CONTAMINATION: kind}).encode() + end
    return body[:-1].rstrip() + f',"{CONTAMINATION}":"{kind}"}}'.encode() + end

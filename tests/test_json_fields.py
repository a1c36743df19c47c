"""Texts of JSON lines by a kernel over bytes: what it takes is what a parser reads, and what no parser reads it leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import naive_json
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.json_fields import SPARE_BYTES, make_room, read_lines
from filters.json_places import make_places

Paths = Sequence[tuple[str | None, ...]]
TEXT: Paths = [("text",)]
CHAT: Paths = [("messages", None, "content")]


def read(
    data: bytes, wanted: Paths = TEXT, optional: Paths = (), forbidden: Sequence[str] = (), room: int = 100
) -> tuple[dict[int, list[naive_json.Found]], dict[int, bytes], int]:
    """(texts by line, lines handed back by number, lines that are not blank); read on where there is no more room."""
    places = make_places(wanted, optional, forbidden)
    assert places is not None
    data += b"" if data.endswith(b"\n") else b"\n"
    buffer = np.frombuffer(bytearray(data + b"\xff" * SPARE_BYTES), np.uint8)
    taken: dict[int, list[naive_json.Found]] = {}
    others: dict[int, bytes] = {}
    at = line = rows = 0
    held = make_room(room, room, buffer.size)
    while at < len(data):
        found = read_lines(buffer, at, len(data), places, held)
        begin = 0
        for end, record in zip(held.offsets[1 : found.texts + 1].tolist(), held.records.tolist(), strict=False):
            text = held.texts[begin:end].tobytes().decode()
            assert data[record[1] : record[2]].strip().startswith(b"{")
            taken.setdefault(line + record[0], []).append((record[3], record[4], text))
            begin = end
        others |= {line + n: data[a:b].rstrip(b"\n") for n, a, b in held.others[: found.others].tolist()}
        assert found.at > at
        at, line, rows = found.at, line + found.lines, rows + found.rows
    return taken, others, rows


def test_a_text_is_read_with_its_escapes() -> None:
    """Every escape of JSON, a pair of surrogates, and raw UTF-8, in a line with other values."""
    line = rb'{"n": [1.5e-3, null, {"text": "no"}], "text" :"a\"\\\/\b\f\n\r\t\u00e9\u4e2d\ud83d\ude00' + "中".encode()

    taken, others, rows = read(line + b'z","t":true}')

    assert taken == {0: [(0, -1, 'a"\\/\b\f\n\r\té中😀中z')]}
    assert (others, rows) == ({}, 1)


@pytest.mark.parametrize(
    "line",
    [
        b'{"text":"a"',
        b'{"text":"a"}}',
        b'{"text":"a",}',
        b'{"text":"a"} x',
        b'["text","a"]',
        b'{"text":"a\\x"}',
        b'{"text":"a\\u12g4"}',
        b'{"text":"\\ud800"}',
        b'{"text":"\\udc00\\ud800"}',
        b'{"text":"a\tb"}',
        b'{"text":"a\xffb"}',
        b'{"text":"a","n":01}',
        b'{"text":"a","n":1.}',
        b'{"text":"a","n":-}',
        b'{"text":"a","n":NaN}',
        b'{"text":"a","n":tru}',
        b'{"text":"a","n":"\xed\xa0\x80"}',
        b'{"text":"a","\\ud800":1}',
        b'{"text":"a",1:2}',
        b'{"text":"a" "n":2}',
        b'{"text":"a","n":[1 2]}',
        b'{"text":"a","n":[1,]}',
        b'\xef\xbb\xbf{"text":"a"}',
        b'\x0b{"text":"a"}',
        b'{"text":null}',
        b'{"text":["a"]}',
        b'{"body":"a"}',
        b'{"text":"a","text":"b"}',
        b'{"te\\u0078t":"b","text":"a"}',
        b'{"text":"a","n":' + b"1" * 80 + b"}",
        b'{"text":"a","n":' + b"[" * 70 + b"]" * 70 + b"}",
        b"{}",
        b"null",
    ],
)
def test_a_line_in_doubt_is_handed_back_whole(line: bytes) -> None:
    """What is no JSON, no text, doubled or strange; the lines around it are read, and none of its bytes is taken."""
    taken, others, rows = read(b'{"text":"before"}\n' + line + b'\n\n \t\r\n{"text":"behind"}')

    assert taken == {0: [(0, -1, "before")], 4: [(0, -1, "behind")]}
    assert (others, rows) == ({1: line}, 3)


def test_texts_below_lists_and_objects() -> None:
    """Each message is a text with its number; one without content, or with null, has none."""
    line = orjson.dumps({"messages": [{"content": "a"}, {"role": "b"}, {"content": None}, {"content": "c"}], "m": {}})

    assert read(line, CHAT)[0] == {0: [(0, 0, "a"), (0, 3, "c")]}
    assert read(b'{"a":{"b":"x","c":{"b":"y"}}}', [("a", "b")])[0] == {0: [(0, -1, "x")]}
    assert read(b'{"messages":[{"content":["part"]}]}', CHAT)[1].keys() == {0}
    assert read(b'{"messages":"a"}', CHAT)[1].keys() == {0}


def test_fields_may_be_optional_or_forbidden() -> None:
    """A row may lack what is optional; one with a forbidden field is left to the parser."""
    lines = b'{"a":"1"}\n{"b":"2","a":"3"}\n{"b":"4"}\n{"a":"5","no":0}'

    taken, others, _ = read(lines, [("a",)], [("b",)], ["no"])

    assert taken == {0: [(0, -1, "1")], 1: [(1, -1, "2"), (0, -1, "3")]}
    assert others.keys() == {2, 3}


@pytest.mark.parametrize(
    ("wanted", "forbidden"),
    [([("a",), ("a", "b")], []), ([("a",), ("a",)], []), ([("a", None, None)], []), ([()], []), ([("a",)], ["a"])],
)
def test_paths_that_no_tree_holds_are_told(wanted: Paths, forbidden: list[str]) -> None:
    """A path that goes on where another ends, one given twice, lists in lists."""
    assert make_places(wanted, (), forbidden) is None


def test_reading_goes_on_where_there_was_no_room() -> None:
    """Fewer places than texts or lines: the rest is read by the next call; one line with too many is handed back."""
    lines = b"\n".join(b'{"text":"%d"}' % n if n % 3 else b"{" for n in range(50))
    many = orjson.dumps({"messages": [{"content": str(n)} for n in range(9)]})

    taken, others, rows = read(lines, room=3)

    assert taken == {n: [(0, -1, str(n))] for n in range(50) if n % 3}
    assert (others.keys(), rows) == ({n for n in range(50) if n % 3 == 0}, 50)
    assert read(many, CHAT, room=9)[0][0][-1] == (0, 8, "8")
    assert read(many, CHAT, room=8)[1] == {0: many}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abtc\\é") | st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)
ROWS = st.dictionaries(st.sampled_from(["text", "a", "messages", "no", "n"]) | st.text(max_size=2), VALUES, max_size=5)
MESSAGES = st.lists(st.dictionaries(st.sampled_from(["content", "role"]), st.text() | VALUES, max_size=2), max_size=3)


def written(row: dict[str, Any], style: int) -> bytes:
    """A row as one of several writers writes it."""
    if style < 2:
        return json.dumps(row, ensure_ascii=style == 0, separators=(" ,\t", " : ")).encode("utf-8", "surrogatepass")
    return orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_what_is_taken_is_what_a_parser_reads(data: st.DataObject) -> None:
    """Rows of any values, by several writers, some with doubled keys or bytes changed: equal to the twin, or handed back."""
    lines = []
    for _ in range(data.draw(st.integers(1, 4))):
        row = data.draw(ROWS) | data.draw(
            st.fixed_dictionaries({}, optional={"text": st.text(), "messages": MESSAGES, "a": st.just({"b": "x"})})
        )
        try:
            line = written(row, data.draw(st.integers(0, 2)))
        except (orjson.JSONEncodeError, UnicodeEncodeError):
            continue
        for _ in range(data.draw(st.integers(0, 2))):
            begin = data.draw(st.integers(0, len(line)))
            end = min(len(line), begin + data.draw(st.integers(0, 2)))
            line = line[:begin] + data.draw(st.binary(max_size=2) | st.sampled_from(list(PIECES))) + line[end:]
        lines.append(line.replace(b"\n", b" "))
    wanted, optional, forbidden = data.draw(st.sampled_from(PLANS))

    taken, others, _ = read(b"\n".join(lines), wanted, optional, sorted(forbidden))

    for number, line in enumerate(lines):
        if number not in others and line.strip():
            expected = naive_json.texts_of(line, wanted, optional, forbidden)
            assert sorted(taken.get(number, [])) == expected


PIECES = [
    b'"',
    b"\\",
    b"\\ud800",
    b"\\u0041",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"text":"',
    b"\xc3",
    b"\xa9",
    b"1e9",
]
PLANS: list[tuple[Paths, Paths, set[str]]] = [
    (TEXT, [], set()),
    (CHAT, [], {"text"}),
    ([("a", "b"), ("text",)], [("no",)], {"a.b"}),
    ([("messages", None)], [], set()),
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.fixed_dictionaries({"text": st.text(), "n": st.floats(-1e9, 1e9) | st.booleans()}), min_size=1))
def test_plain_rows_are_all_taken(rows: list[dict[str, Any]]) -> None:
    """Nothing that an ordinary writer writes is left to the parser, which is ten times as slow."""
    taken, others, _ = read(b"\n".join(map(orjson.dumps, rows)))

    assert others == {}
    assert taken == {n: [(0, -1, row["text"])] for n, row in enumerate(rows)}

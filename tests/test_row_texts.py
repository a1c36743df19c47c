"""Texts of rows read as bytes: the same texts, places, ids and problems as of rows read as Python values."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.row_fields import Fields, parse_row
from pipelines.row_files import parts_of, read_texts
from pipelines.row_find import RowFile
from pipelines.row_parquet import arrow_texts
from pipelines.row_texts import TextBatch

Text = tuple[int, str, str, Any]  # row, place, text, id
Problem = tuple[int, str]


def told(batches: Iterator[TextBatch]) -> tuple[list[Text], list[Problem], int]:
    """(texts, problems, rows) of a part, in order."""
    texts: list[Text] = []
    problems: list[Problem] = []
    rows = 0
    for batch in batches:
        order = sorted(range(len(batch)), key=batch.order)
        found = [(int(batch.numbers[n]), batch.place(n), batch.text(n), batch.identify(n)) for n in order]
        counts = batch.texts_by_field()
        assert sum(counts.values()) == len(found)
        texts += found
        problems += batch.problems
        rows += batch.rows
    return texts, problems, rows


def plainly(
    rows: list[tuple[int, dict[str, Any] | None, str]], fields: Fields
) -> tuple[list[Text], list[Problem], int]:
    """What `told` should say of (number, row, problem) rows."""
    texts: list[Text] = []
    problems: list[Problem] = []
    for number, row, problem in rows:
        if row is None:
            problems.append((number, problem))
            continue
        found = fields.find(row)
        texts += [(number, place, text, row.get("id")) for place, text in found.texts]
        problems += [(number, one) for one in found.problems]
    return texts, problems, len(rows)


def read(data: bytes, fields: Fields) -> tuple[list[Text], list[Problem], int]:
    """What a file of lines holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(data)
        [part] = parts_of(RowFile("a.jsonl", str(path)), fields)
        return told(read_texts(part, fields, "id"))


CONTENT = (
    st.text(max_size=5)
    | st.none()
    | st.integers(-9, 9)
    | st.lists(st.fixed_dictionaries({"text": st.text(max_size=3)}))
)
MESSAGES = st.lists(st.dictionaries(st.sampled_from(["content", "role", "value"]), CONTENT, max_size=2), max_size=3)
ROW = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=3) | st.integers(-9, 9),
        "text": CONTENT,
        "messages": MESSAGES | CONTENT,
        "conversations": MESSAGES,
        "prompt": CONTENT | MESSAGES,
        "response": CONTENT,
        "messages[].content": st.text(max_size=3),
        "meta": st.dictionaries(st.sampled_from(["body", "n"]), CONTENT, max_size=2) | CONTENT,
    },
)
LINE = ROW.map(orjson.dumps) | st.sampled_from(
    [
        b"",
        b" \t",
        b"{",
        b"[1]",
        b'{"text":"a\xff"}',
        b'{"text":"\\ud800"}',
        b'\xef\xbb\xbf{"text":"a"}',
        b"\x0c\r",
        b"7",
    ]
)
NAMES = st.sampled_from(
    [
        (),
        (),
        ("text",),
        ("prompt", "text"),
        ("messages[].content",),
        ("messages[0].content",),
        ("meta.body", "id"),
        ("meta",),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINE, max_size=8), NAMES, st.booleans())
def test_lines_are_read_as_a_parser_reads_them(lines: list[bytes], names: tuple[str, ...], ended: bool) -> None:
    """Chats, pairs, nulls, numbers, what is no JSON: whatever the kernel takes, and whatever it leaves."""
    fields = Fields(names)
    rows = [(n, *parse_row(line)) for n, line in enumerate(lines) if line and not line.isspace()]

    assert read(b"\n".join(lines) + b"\n" * ended, fields) == plainly(rows, fields)


KINDS = [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_columns_are_read_as_their_values_are(data: st.DataObject) -> None:
    """Strings of every width, structs, lists of messages, nulls anywhere, slices of a batch."""
    texts = data.draw(st.lists(st.none() | st.text(max_size=4), min_size=1, max_size=6))
    rows = len(texts)
    message = st.none() | st.fixed_dictionaries(
        {"role": st.text(max_size=2), "content": st.none() | st.text(max_size=4)}
    )
    lists = st.lists(message, max_size=3) | (st.none() if data.draw(st.booleans()) else st.just([]))
    kind = data.draw(st.sampled_from(KINDS))
    values: list[Any] = [t and t.encode() for t in texts] if kind == pa.binary() else texts
    meta = pa.struct([("body", pa.string()), ("parts", pa.list_(pa.string()))])
    columns = {
        "text": pa.array(values, pa.string() if pa.types.is_dictionary(kind) else kind),
        "messages": pa.array(
            data.draw(st.lists(lists, min_size=rows, max_size=rows)),
            pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
        ),
        "meta": pa.array([None if t == "" else {"body": t, "parts": [t, None]} for t in texts], meta),
        "id": list(range(rows)),
    }
    if pa.types.is_dictionary(kind):
        columns["text"] = columns["text"].dictionary_encode()
    batch = pa.RecordBatch.from_pydict(columns).slice(data.draw(st.integers(0, rows - 1)))
    names = st.sampled_from(["text", "messages[].content", "messages", "meta.body", "meta.parts[]", "messages[1].role"])
    fields = Fields(tuple(dict.fromkeys(data.draw(st.lists(names, min_size=1, max_size=3)))))

    found = told(iter([arrow_texts(batch, 5, fields, lambda row: batch["id"][row - 5].as_py())]))

    expected = plainly([(n, row, "") for n, row in enumerate(batch.to_pylist(), 5)], fields)
    assert (sorted(found[0], key=str), sorted(found[1]), found[2]) == (
        sorted(expected[0], key=str),
        sorted(expected[1]),
        expected[2],
    )


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_character_cut_between_two_strings_is_no_utf8(cut: int) -> None:
    """All bytes of the column together are UTF-8, each string alone is not: each is read as it is."""
    whole = "x中y".encode()
    halves = [whole[: 1 + cut], whole[1 + cut :]]
    column = pa.Array.from_buffers(pa.string(), 2, [None, *pa.array(halves).buffers()[1:]])

    batch = arrow_texts(pa.record_batch({"text": column}), 0, Fields(), lambda _: None)

    assert [batch.text(n) for n in range(2)] == [half.decode("utf-8", "surrogateescape") for half in halves]


def test_ids_are_read_up_to_the_last_row_that_is_asked_for(tmp_path: Path) -> None:
    """Through row groups of several batches; None where the file has no such column."""
    rows = [{"text": f"text {n}", "id": f"name {n}"} for n in range(20_000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=9_000)
    [part] = parts_of(RowFile("a.parquet", str(tmp_path / "a.parquet")), Fields())

    found = {row: name for row, _, _, name in told(read_texts(part, Fields(), "id"))[0]}
    nameless = told(read_texts(part, Fields(), "name"))[0]

    assert [found[n] for n in (0, 8_999, 9_000, 19_999)] == ["name 0", "name 8999", "name 9000", "name 19999"]
    assert {name for *_, name in nameless} == {None}


def test_usual_fields_are_chosen_row_by_row() -> None:
    """A file whose rows are of different kinds: each has the fields that it would have alone."""
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "response": "b"},
        {"messages": [{"content": "c"}]},
        {"prompt": "d", "text": "e"},
        {"response": "f", "prompt": "g", "chosen": [{"content": "h"}]},
    ]
    data = b"\n".join(map(orjson.dumps, rows * 2))

    texts, problems, _ = read(data, Fields())

    places = [(row, place) for row, place, _, _ in texts if row < 4]
    assert problems == []
    assert places == [
        (0, "prompt"),
        (0, "response"),
        (1, "messages[0].content"),
        (2, "text"),
        (3, "prompt"),
        (3, "response"),
        (3, "chosen[0].content"),
    ]
    assert [text for _, _, text, _ in texts] == ["a", "b", "c", "e", "g", "f", "h"] * 2

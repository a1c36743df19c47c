"""Files of rows: their texts are found, and they come out again as they were, less what was decided."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from filters.errors import InputError, UsageError
from pipelines import row_blocks, row_parquet
from pipelines.row_blocks import blocks
from pipelines.row_fields import Fields, cut_line, parse_row, pattern, put_at, tag_line, value_at, without
from pipelines.row_files import parts_of, read_texts
from pipelines.row_find import RowFile, find_rows
from pipelines.row_writers import Decision, rewrite

LINES = [b'{"text": "a", "n": 1.0}\n', b"\n", b'{"text":"b"}\r\n', b"{broken\n", b'{"text": "c"}']


def compressed(name: str, data: bytes) -> bytes:
    """The bytes as a file of this name holds them."""
    if name.endswith(".gz"):
        return gzip.compress(data)
    return zstandard.ZstdCompressor().compress(data) if name.endswith(".zst") else data


def plain(path: Path) -> bytes:
    """What a file holds, decompressed."""
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if path.name.endswith(".zst") else data


def drop(row: int) -> Decision:
    return Decision(row, True, {}, None)


def texts(file: RowFile, *names: str) -> list[tuple[int, str, str]]:
    """(row, place, text) of all texts of a file."""
    fields, found, first = Fields(names), [], 0
    for part in parts_of(file, fields):
        begin = first
        for batch in read_texts(part, fields, "id"):
            order = sorted(range(len(batch)), key=batch.order)
            found += [(begin + int(batch.numbers[n]), batch.place(n), batch.text(n)) for n in order]
            first += batch.numbered
    return found


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_lines_come_out_byte_for_byte(tmp_path: Path, name: str) -> None:
    """Blank lines, carriage returns, broken JSON and a missing last line end stay; a removed line goes elsewhere."""
    (tmp_path / name).write_bytes(compressed(name, b"".join(LINES)))
    file = RowFile(name, str(tmp_path / name))

    written = rewrite(file, [drop(2)], tmp_path / "out", tagged=False)

    assert written == (3, 1)
    assert plain(tmp_path / "out" / "clean" / name) == b"".join(LINES[:2] + LINES[3:])
    assert plain(tmp_path / "out" / "removed" / name) == LINES[2]
    assert texts(file) == [(0, "text", "a"), (2, "text", "b"), (4, "text", "c")]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_compressed_file_is_written_with_the_same_bytes_twice(tmp_path: Path, name: str) -> None:
    """No time and no file name of a run gets into the output."""
    (tmp_path / name).write_bytes(compressed(name, b"".join(LINES)))
    file = RowFile(name, str(tmp_path / name))
    for out in ("one", "two"):
        rewrite(file, [drop(0)], tmp_path / out, tagged=False)

    assert (tmp_path / "one/clean" / name).read_bytes() == (tmp_path / "two/clean" / name).read_bytes()


def test_a_decision_on_the_first_line_of_a_block_is_kept_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines as long as a block: each block has the decisions of its own lines."""
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 8)
    (tmp_path / "a.jsonl").write_bytes(b"".join(LINES))

    written = rewrite(RowFile("a.jsonl", str(tmp_path / "a.jsonl")), [drop(2), drop(4)], tmp_path, tagged=False)

    assert written == (2, 2)
    assert (tmp_path / "removed/a.jsonl").read_bytes() == LINES[2] + LINES[4]


def test_a_removed_file_appears_only_where_a_row_goes(tmp_path: Path) -> None:
    """A file of which nothing is removed has no counterpart in removed/."""
    (tmp_path / "a.jsonl").write_bytes(LINES[0])

    rewrite(RowFile("a.jsonl", str(tmp_path / "a.jsonl")), [], tmp_path, tagged=False)

    assert not (tmp_path / "removed").exists()


def test_a_row_that_is_gone_is_noticed(tmp_path: Path) -> None:
    """A decision on a row that the file does not have means that the file changed in between."""
    (tmp_path / "a.jsonl").write_bytes(LINES[0])

    with pytest.raises(InputError, match="row 7 is gone"):
        rewrite(RowFile("a.jsonl", str(tmp_path / "a.jsonl")), [drop(7)], tmp_path, tagged=False)


def rich_table() -> pa.Table:
    """Columns of types that a careless writer changes."""
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 123, tzinfo=datetime.UTC)
    rows: list[dict[str, Any]] = [
        {
            "text": f"row {n}",
            "tags": [f"t{n}", None],
            "meta": {"score": n / 3, "seen": moment, "raw": b"\xff\x00"},
            "day": datetime.date(2024, 1, 1 + n),
            "small": n,
            "kind": ("web", "book")[n % 2],
        }
        for n in range(10)
    ]
    meta = pa.struct([("score", pa.float32()), ("seen", pa.timestamp("us", tz="UTC")), ("raw", pa.binary())])
    schema = pa.schema(
        [
            ("text", pa.large_string()),
            pa.field("tags", pa.list_(pa.string()), metadata={b"note": b"kept"}),
            ("meta", meta),
            ("day", pa.date32()),
            pa.field("small", pa.uint8(), nullable=False),
            ("kind", pa.dictionary(pa.int8(), pa.string())),
        ],
        metadata={b"origin": b"somewhere"},
    )
    return pa.Table.from_pylist(rows, schema)


@pytest.mark.parametrize("inner", ["element", "item"])
def test_parquet_keeps_types_row_groups_codecs_and_metadata(tmp_path: Path, inner: str) -> None:
    """Lists, structs, time zones, dictionaries, nullability: the clean file has the schema of the input."""
    path = tmp_path / "a.parquet"
    codecs = {"text": "gzip", "day": "zstd"}
    pq.write_table(
        rich_table(), path, row_group_size=4, compression=codecs, use_compliant_nested_type=inner == "element"
    )
    table = pq.read_table(path)

    written = rewrite(RowFile("a.parquet", str(path)), [drop(1), drop(9)], tmp_path, tagged=False)

    clean = pq.ParquetFile(tmp_path / "clean" / "a.parquet")
    groups = [clean.metadata.row_group(i) for i in range(3)]
    assert written == (8, 2)
    assert clean.schema_arrow.equals(pq.read_schema(path), check_metadata=True)
    assert [groups[0].column(i).compression for i in (0, 1, 5)] == ["GZIP", "UNCOMPRESSED", "ZSTD"]
    assert clean.schema_arrow.field("tags").type.value_field.name == inner
    assert clean.read().equals(table.take([0, 2, 3, 4, 5, 6, 7, 8]))
    assert [g.num_rows for g in groups] == [3, 4, 1]
    assert pq.read_table(tmp_path / "removed" / "a.parquet").equals(table.take([1, 9]))


def test_a_span_is_cut_out_of_a_nested_column(tmp_path: Path) -> None:
    """The third content of a list of messages loses three characters; all else is as it was."""
    messages = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "abcdef"}]
    table = pa.table({"messages": [messages, messages], "n": pa.array([1, 2], pa.int16())})
    pq.write_table(table, tmp_path / "a.parquet")
    decision = Decision(1, False, {"messages[1].content": [[1, 3], [2, 4]]}, "near")

    rewrite(RowFile("a.parquet", str(tmp_path / "a.parquet")), [decision], tmp_path, tagged=True)

    clean = pq.read_table(tmp_path / "clean" / "a.parquet")
    assert clean.schema == table.schema.append(pa.field("contamination", pa.string()))
    assert clean["messages"].to_pylist() == [messages, [messages[0], {"role": "assistant", "content": "aef"}]]
    assert clean["contamination"].to_pylist() == [None, "near"]


def test_a_row_group_of_which_nothing_stays_is_left_out(tmp_path: Path) -> None:
    """A file of which all rows go is a file without rows, and with its schema."""
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "a.parquet")

    rewrite(RowFile("a.parquet", str(tmp_path / "a.parquet")), [drop(0), drop(1)], tmp_path, tagged=False)

    assert pq.read_table(tmp_path / "clean" / "a.parquet").equals(pa.table({"text": pa.array([], pa.string())}))


def test_parquet_parts_number_their_rows_through_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups read apart have the numbers that they have in the whole file."""
    monkeypatch.setattr(row_parquet, "PART_BYTES", 1)
    pq.write_table(pa.table({"text": [str(n) for n in range(5)]}), tmp_path / "a.parquet", row_group_size=2)
    file = RowFile("a.parquet", str(tmp_path / "a.parquet"))

    assert [p.groups for p in parts_of(file, Fields())] == [(0,), (1,), (2,)]
    assert texts(file) == [(n, "text", str(n)) for n in range(5)]


def test_a_parquet_file_without_rows_has_none(tmp_path: Path) -> None:
    """With a row group of none, and without one."""
    for size in (0, 1):
        schema = pa.schema([("text", pa.string())])
        with pq.ParquetWriter(tmp_path / f"{size}.parquet", schema) as writer:
            for _ in range(size):
                writer.write_table(schema.empty_table(), row_group_size=1)

    assert [texts(RowFile(f"{n}.parquet", str(tmp_path / f"{n}.parquet"))) for n in (0, 1)] == [[], []]


def test_a_batch_of_long_rows_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are counted by the average, so that a few long ones together would be many times a batch."""
    monkeypatch.setattr(row_parquet, "BATCH_BYTES", 4_000)
    rows = ["x"] * 1000 + ["y" * 3000] * 4
    pq.write_table(pa.table({"text": rows}), tmp_path / "a.parquet", use_dictionary=False)
    [part] = parts_of(RowFile("a.parquet", str(tmp_path / "a.parquet")), Fields())

    batches = list(read_texts(part, Fields(), "id"))

    assert [b.text(n) for b in batches for n in range(len(b))] == rows
    assert [n for b in batches for n in b.numbers.tolist()] == list(range(1004))
    assert max(sum(len(b.text(n)) for n in range(len(b))) for b in batches) < 8_000


def test_a_string_of_parquet_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    """Some writers put any bytes into a string column; the row is read with a sign in their place."""
    column = pa.Array.from_buffers(pa.string(), 2, [None, *pa.array([b"ok", b"a\xffb"]).buffers()[1:]])
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")

    assert texts(RowFile("a.parquet", str(tmp_path / "a.parquet"))) == [(0, "text", "ok"), (1, "text", "a\udcffb")]


@pytest.mark.parametrize("size", [8, 20, 1000])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_blocks_hold_all_bytes_whatever_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    """Blocks put together are the file, each begins a line, and a line too long to hold goes through marked."""
    data = b"".join(b"%d\n" % n for n in range(50)) + b"x" * 300 + b"\nlast"
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", size)
    monkeypatch.setattr(row_blocks, "MAX_LINE_BYTES", 100)
    (tmp_path / name).write_bytes(compressed(name, data))

    found = [(b.data, b.problem, b.continues) for b in blocks(RowFile(name, str(tmp_path / name)))]

    lines = b"".join(d for d, problem, _ in found if not problem).split(b"\n")
    assert b"".join(d for d, _, _ in found) == data
    assert lines == [*(b"%d" % n for n in range(50)), *([b"x" * 300] if size > 300 else []), b"last"]
    assert sum(not more for _, problem, more in found if problem) == (size < 300)


@pytest.mark.parametrize(
    ("name", "reason"), [("a.jsonl.gz", "truncated_compression"), ("a.jsonl.zst", "truncated_compression")]
)
def test_a_truncated_file_is_read_up_to_where_it_breaks(tmp_path: Path, name: str, reason: str) -> None:
    """What came before the break is sound; the break is one bad row."""
    data = b"".join(b'{"text": "row %d"}\n' % n for n in range(20_000))
    (tmp_path / name).write_bytes(compressed(name, data)[:-20])
    file = RowFile(name, str(tmp_path / name))

    problems = [p for b in read_texts(parts_of(file, Fields())[0], Fields(), "id") for p in b.problems]

    assert [p[1] for p in problems] == [reason]
    assert len(texts(file)) == problems[0][0]


ROW = {
    "meta": {"body": "x"},
    "messages": [{"role": "user", "content": "hi"}, {"content": None}, {"content": [{"type": "text", "text": "part"}]}],
    "n": 5,
    "none": None,
}


@pytest.mark.parametrize(
    ("names", "found", "problems"),
    [
        (["meta.body"], [("meta.body", "x")], []),
        (["messages[].content"], [("messages[0].content", "hi"), ("messages[2].content[0].text", "part")], []),
        (["messages"], [("messages[0].content", "hi"), ("messages[2].content[0].text", "part")], []),
        (["messages[0].role"], [("messages[0].role", "user")], []),
        (["messages[7].role"], [], ["missing_field:messages[7].role"]),
        (["n"], [], ["not_text:n"]),
        (["none"], [], ["null:none"]),
        (["gone", "meta.gone"], [], ["missing_field:gone", "missing_field:meta.gone"]),
        (["n[]"], [], ["not_a_list:n[]"]),
        ([], [("messages[0].content", "hi"), ("messages[2].content[0].text", "part")], []),
    ],
)
def test_texts_are_found_where_a_path_says(names: list[str], found: list[tuple[str, str]], problems: list[str]) -> None:
    """Each text has the name of its place; what is not there is a problem, not an error."""
    result = Fields(tuple(names)).find(ROW)

    assert (result.texts, result.problems) == (found, problems)


@pytest.mark.parametrize(
    ("row", "places"),
    [
        ({"text": "a", "prompt": "b"}, ["text"]),
        ({"response": "b", "prompt": "a"}, ["prompt", "response"]),
        ({"prompt": "a", "chosen": [{"content": "b"}]}, ["prompt", "chosen[0].content"]),
        ({"conversations": [{"from": "human", "value": "a"}]}, ["conversations[0].value"]),
        ({"problem": "a", "answer": "b"}, ["problem", "answer"]),
    ],
)
def test_the_usual_fields_are_found_by_themselves(row: dict[str, Any], places: list[str]) -> None:
    """Text first, else chats, pairs and exercises."""
    assert [place for place, _ in Fields().find(row).texts] == places


def test_a_path_that_is_none_is_refused() -> None:
    """A mistake in --field is told at once."""
    with pytest.raises(UsageError, match="not a field"):
        Fields(("messages[x].content",))


def test_the_field_of_a_place() -> None:
    """Places of a list are counted together."""
    assert pattern("messages[12].content[0].text") == "messages[].content[].text"


@pytest.mark.parametrize(
    ("line", "row", "problem"),
    [
        (b'{"text": "\\ud800\\u0000"}', {"text": "\ud800\0"}, ""),
        (b'\xef\xbb\xbf{"text": "a"}', {"text": "a"}, ""),
        (b'{"text": "a\xffb"}', {"text": "a\udcffb"}, ""),
        (b"[1]", None, "not_an_object"),
        (b"{", None, "not_json"),
        (b"[" * 100_000, None, "not_json"),
    ],
)
def test_lines_of_json_from_careless_writers(line: bytes, row: dict[str, Any] | None, problem: str) -> None:
    """Lone surrogates, a byte order mark and bytes that are not UTF-8 are read; what is no object is counted."""
    assert parse_row(line) == (row, problem)


def test_a_cut_changes_nothing_but_the_string() -> None:
    """Spacing, numbers, escapes, doubled keys and the line end stay as they were written."""
    line = b'{ "n":1.50e3,"text" : "a\\u00e9\xe4\xb8\xadxyz" ,"n":10000000000000000000000, "t": ["b\\ud800c"]}\r\n'

    cut = cut_line(line, {"text": [[1, 2], [4, 5]], "t[0]": [[0, 1]]})

    assert cut == b'{ "n":1.50e3,"text" : "a\xe4\xb8\xadxz" ,"n":10000000000000000000000, "t": ["\\ud800c"]}\r\n'


@pytest.mark.parametrize(
    ("line", "tagged"),
    [
        (b'{"a": 1 }\r\n', b'{"a": 1,"contamination":"near"}\r\n'),
        (b'{"contamination": "old", "a": 1}', b'{"contamination": "near", "a": 1}'),
    ],
)
def test_a_tag_is_one_more_field(line: bytes, tagged: bytes) -> None:
    """It stands at the end, or in the place of an earlier tag."""
    assert tag_line(line, "near") == tagged


def test_spans_that_overlap_are_cut_once() -> None:
    """Overlapping, nested and touching spans remove each character once."""
    assert without("0123456789", [[5, 7], [1, 4], [2, 3], [6, 8], [8, 9]]) == "049"


def test_values_at_places() -> None:
    """A key that holds dots or brackets is meant before the path that it looks like."""
    row = {"a.b": "x", "a": [{"b": "y"}]}
    put_at(row, "a[0].b", "z")

    assert [value_at(row, "a.b"), value_at(row, "a[0].b")] == ["x", "z"]


def test_inputs_are_found_in_folders_and_globs(tmp_path: Path) -> None:
    """Sorted by name; a file that is none of rows is refused."""
    for name in ("b/x.jsonl", "a/y.jsonl.gz", "a/z.parquet", "a/no.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")

    names = [f.name for f in find_rows([str(tmp_path / "in")], tmp_path)]
    globbed = [f.name for f in find_rows([str(tmp_path / "in/*/*.jsonl*")], tmp_path)]

    assert names == ["a/y.jsonl.gz", "a/z.parquet", "b/x.jsonl"]
    assert globbed == ["a/y.jsonl.gz", "b/x.jsonl"]
    with pytest.raises(InputError, match="not a file of rows"):
        find_rows([str(tmp_path / "in/a/no.txt")], tmp_path)


def test_a_row_without_its_field_is_told_with_its_keys(tmp_path: Path) -> None:
    """A row that lacks its field is in the batch's problems, and its keys are told."""
    (tmp_path / "a.jsonl").write_bytes(b'\n{"body":"x"}\n')
    [part] = parts_of(RowFile("a.jsonl", str(tmp_path / "a.jsonl")), Fields())

    [batch] = read_texts(part, Fields(), "id")

    assert (batch.rows, batch.numbered, len(batch)) == (1, 2, 0)
    assert (batch.problems, batch.keys) == ([(1, "missing_field:text")], ["body"])

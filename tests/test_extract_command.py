"""`mathcorpus extract`: every kind of input, bad input, a run that is killed, and the same bytes as step and Spark."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from conftest import PROGRAM, REPOSITORY
from test_cli import run

from pipelines.dataset import Dataset

PAGES = {p.name: p.read_bytes() for p in sorted((REPOSITORY / "tests" / "pages_content").glob("*.html"))}
ODD = b"<title>Odd</title><p>The square of an odd number is odd, for \\((2k+1)^2 = 2m+1\\)."
ODD_TEXT = "The square of an odd number is odd, for $(2k+1)^2 = 2m+1$."
CHINESE = "<p>设 \\(p\\) 为素数，则 \\(p>1\\)，并且它没有别的因数。</p>"
ROW = {"id": "7", "url": "https://a.example/odd", "html": ODD.decode()}


def response(url: str, body: bytes, mime: str = "text/html", kind: str = "response") -> bytes:
    """A record of a WARC file, with the header of HTTP where it is a response."""
    http = b"" if kind == "conversion" else f"HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\n\r\n".encode()
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Record-ID: <urn:uuid:{url[-8:]}>\r\n"
    head += "" if kind == "conversion" else "Content-Type: application/http; msgtype=response\r\n"
    return f"{head}Content-Length: {len(http) + len(body)}\r\n\r\n".encode() + http + body + b"\r\n\r\n"


def crawl(host: str = "a.example") -> bytes:
    """The test pages, one whose charset only the header tells, and what is no page."""
    records = [response(f"https://{host}/{name}", body) for name, body in PAGES.items()]
    records.append(response(f"https://{host}/zh", CHINESE.encode("gb18030"), "text/html; charset=gb2312"))
    records.append(response(f"https://{host}/logo", b"\x89PNG", "image/png"))
    records.append(response(f"https://{host}/none", b"<html><script>x</script></html>"))
    return b"".join(map(gzip.compress, records))


def parquet(value: object, kind: pa.DataType) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": ["7"], "url": [ROW["url"]], "html": pa.array([value], kind)}), sink)
    return sink.getvalue()


def extracted(out: Path, *arguments: object) -> dict[str, Any]:
    """The report of a run that ends well; its counts add up."""
    code, told, errors = run("extract", *map(str, arguments), "--out", out, "--json")
    assert code == 0, errors
    report: dict[str, Any] = orjson.loads(told)
    pages = report["pages"]
    assert pages["read"] == pages["kept"] + pages["removed"]
    assert pages["removed"] == sum(report["removed"].values())
    return report


def texts(out: Path) -> list[str]:
    return [text for table in Dataset.load(out / "corpus").tables() for text in table["text"].to_pylist()]


def shards(out: Path) -> list[tuple[str, str]]:
    """Name and SHA-256 of every shard that a run leaves."""
    return [(s.path, s.sha256) for name in ("corpus", "removed", "ledger") for s in Dataset.load(out / name).shards]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.html", ODD),
        ("a.HTM", ODD),
        ("a.xhtml.gz", gzip.compress(ODD, mtime=0)),
        ("a.html.zst", zstandard.compress(ODD)),
        ("a.warc", response("https://a.example/1", ODD)),
        ("a.warc.gz", gzip.compress(response("https://a.example/1", ODD), mtime=0)),
        ("a.warc.zst", zstandard.compress(response("https://a.example/1", ODD))),
        (
            "a.warc.wet.gz",
            gzip.compress(response("https://a.example/1", ODD_TEXT.encode(), kind="conversion"), mtime=0),
        ),
        ("a.jsonl", orjson.dumps(ROW)),
        ("a.jsonl.gz", gzip.compress(orjson.dumps(ROW), mtime=0)),
        ("a.jsonl.zst", zstandard.compress(orjson.dumps(ROW))),
        ("a.parquet", parquet(ODD.decode(), pa.string())),
        ("bytes.parquet", parquet(ODD, pa.binary())),
        ("a page without an ending", ODD),
        ("rows", gzip.compress(orjson.dumps(ROW), mtime=0)),
    ],
)
def test_every_kind_of_input_gives_the_text(name: str, data: bytes, tmp_path: Path) -> None:
    """Told by its name, or by its first bytes where that says nothing."""
    (tmp_path / name).write_bytes(data)
    report = extracted(tmp_path / "out", tmp_path / name)

    assert texts(tmp_path / "out") == [ODD_TEXT]
    assert report["pages"]["kept"] == 1


def test_a_folder_holds_files_of_all_kinds(tmp_path: Path) -> None:
    """Each is read as what it is; what is nothing is named in the report."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, data in (("a.html", ODD), ("deep/b.warc.gz", crawl()), ("c.jsonl", orjson.dumps(ROW)), ("d.txt", b"x")):
        (tmp_path / "in" / name).write_bytes(data)
    report = extracted(tmp_path / "out", tmp_path / "in")

    assert report["pages"]["kept"] == len(PAGES) + 3
    assert report["removed"] == {"no_content": 1, "not_html:image/png": 1}
    assert report["unread_files"] == {"count": 1, "first": ["d.txt"]}
    assert report["formulas"]["kept"]["all"] == 4


@pytest.mark.parametrize(("data", "kept"), [(ODD, 1), (crawl(), len(PAGES) + 1), (orjson.dumps(ROW), 1)])
def test_standard_input_is_read(data: bytes, kept: int, tmp_path: Path) -> None:
    """Its kind is told by its bytes."""
    command = [str(PROGRAM), "extract", "-", "--out", str(tmp_path), "--json"]
    told = subprocess.run(command, input=data, capture_output=True, check=True)

    assert orjson.loads(told.stdout)["pages"]["kept"] == kept


@pytest.mark.parametrize(
    ("name", "data", "removed"),
    [
        ("a.html", b"", {"empty_file": 1}),
        ("a.html", b"%PDF-1.4 <</A>>", {"not_html": 1}),
        ("a.html", b"no tag in it", {"not_html": 1}),
        ("a.html.gz", gzip.compress(ODD, mtime=0)[:-20], {"truncated_compression": 1}),
        ("a.warc.gz", crawl()[:-400], {"truncated_record": 1}),
        ("a.jsonl", b"{}\n[1]\n{broken\n" + orjson.dumps({"html": 5}), {"not_an_object": 1, "not_json": 1}),
    ],
)  # fmt: skip
def test_bad_input_is_removed_with_a_reason(name: str, data: bytes, removed: dict[str, int], tmp_path: Path) -> None:
    """And stops nothing: the other records of the file, and the other files, are read."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(data if name != "a.jsonl" else orjson.dumps(ROW) + b"\n" + data)
    (tmp_path / "in" / "good.html").write_bytes(ODD)
    report = extracted(tmp_path / "out", tmp_path / "in")

    assert ODD_TEXT in texts(tmp_path / "out")
    assert {reason: report["removed"].get(reason, 0) for reason in removed} == removed


@pytest.mark.parametrize(
    ("name", "data", "options", "message"),
    [
        ("a.jsonl", orjson.dumps(ROW), ["--field", "page"], "a.jsonl: has no field 'page'; it has id, url, html; "),
        ("a.parquet", parquet("x", pa.string()), ["--field", "page"], "a.parquet: has no column 'page'; it has "),
        ("a.parquet", parquet("x", pa.string())[:90], [], "a.parquet: not a readable Parquet file"),
        ("a.txt", b"plain words", [], "a.txt: neither WARC, WET, HTML, JSON lines nor Parquet; give it a name"),
        ("nothing", b"", [], "nothing: is empty"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    name: str, data: bytes, options: list[str], message: str, tmp_path: Path
) -> None:
    """It says what, where, and what to do; nothing is written."""
    (tmp_path / name).write_bytes(data)
    code, _, told = run("extract", tmp_path / name, *options, "--out", tmp_path / "out")

    assert code == 2
    assert told.startswith(f"mathcorpus: input: {message}")
    assert told.count("\n") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_folders_that_are_wrong_are_told(tmp_path: Path) -> None:
    """An input that is not there or empty, an output that is a file, is not ours, or holds the input."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "site").mkdir()
    page = tmp_path / "site" / "a.html"
    page.write_bytes(ODD)
    extracted(tmp_path / "own", page)
    (tmp_path / "own" / "b.html").write_bytes(ODD)
    told = [
        run("extract", given, "--out", out)
        for given, out in (
            (tmp_path / "none", tmp_path / "out"),
            (tmp_path / "empty", tmp_path / "out"),
            (page, page),
            (page, page.parent),
            (tmp_path / "own" / "b.html", tmp_path / "own"),
        )
    ]

    assert [code for code, _, _ in told] == [2] * 5
    assert [line.split(": ", 2)[2].strip() for _, _, line in told[:2]] == [
        f"{tmp_path / 'none'}: no such file or folder",
        f"{tmp_path / 'empty'}: holds no pages; expected files that end in .wet, .warc, .html, .htm, .xhtml, .jsonl, "
        ".parquet",
    ]
    ends = ["give a folder", "give an empty folder, or that of an earlier run", "give another folder"]
    assert [line.rsplit("; ", 1)[1].strip() for _, _, line in told[2:]] == ends


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    """One line with the way out."""
    (tmp_path / "a.html").write_bytes(ODD)
    (tmp_path / "a.html").chmod(0)
    code, _, told = run("extract", tmp_path / "a.html", "--out", tmp_path / "out")

    assert (code, "mend its permissions" in told) == (2, True)


def test_a_second_run_does_nothing_and_another_question_everything(tmp_path: Path) -> None:
    """JSON lines come when they are asked for, and go when they are of other pages."""
    (tmp_path / "a.html").write_bytes(PAGES["news.html"])
    out, page = tmp_path / "out", tmp_path / "a.html"
    first = extracted(out, page)
    again = extracted(out, page, "--format", "jsonl")
    [line] = (out / "jsonl" / "00000.jsonl").read_bytes().splitlines()
    kept = texts(out)
    whole = extracted(out, page, "--whole-page")

    assert (first["fresh"], again["fresh"], whole["fresh"]) == (True, False, True)
    assert first["digest"] == again["digest"] != whole["digest"]
    assert [orjson.loads(line)["text"]] == kept
    assert not (out / "jsonl").exists()


def test_the_first_pass_has_a_switch(tmp_path: Path) -> None:
    """It is off unless it is asked for; what it removes has a reason and a score."""
    cake = b"<p>Bake the cake until it is golden, then serve it with tea and jam.</p>" * 9
    (tmp_path / "cake.html").write_bytes(cake)
    (tmp_path / "odd.html").write_bytes(ODD)
    inputs = [tmp_path / "cake.html", tmp_path / "odd.html"]

    assert extracted(tmp_path / "all", *inputs)["removed"] == {}
    assert extracted(tmp_path / "some", *inputs, "--first-pass")["removed"] == {"no_math_signs": 1}
    assert texts(tmp_path / "some") == [ODD_TEXT]


def test_the_summary_says_what_came_out(tmp_path: Path) -> None:
    """Pages, reasons, formulas by kind, speed, and where the report is; --quiet says nothing."""
    (tmp_path / "a.warc.gz").write_bytes(crawl())
    code, told, _ = run("extract", tmp_path / "a.warc.gz", "--out", tmp_path / "out")
    silent = run("extract", tmp_path / "a.warc.gz", "--out", tmp_path / "out", "--quiet")

    assert code == 0
    assert told.splitlines()[0] == f"{len(PAGES) + 3} pages: {len(PAGES) + 1} kept, 2 removed"
    assert "no_content" in told
    assert told.splitlines()[-1] == str(tmp_path / "out" / "report.json")
    assert silent == (0, "", "")


def test_help_shows_examples() -> None:
    """The forms of input, the folders of the output, and commands to copy."""
    code, told, _ = run("extract", "--help")

    assert code == 0
    assert told.count("mathcorpus extract") >= 4
    assert all(word in told for word in (".warc", ".parquet", "corpus/", "report.json", "--first-pass", "--field"))


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    """After SIGKILL in the middle the same command ends with the bytes of a run that nobody stopped."""
    for number in range(4):
        path = tmp_path / "in" / f"{number}.jsonl"
        path.parent.mkdir(exist_ok=True)
        rows = [{"html": f"<h1>{number} {n}</h1>{ODD.decode()}" * 9} for n in range(200 * number)] or [ROW]
        path.write_bytes(b"\n".join(map(orjson.dumps, rows)) + b" " * 9_000_000)  # so large that it is a rank
    command = [str(PROGRAM), "extract", str(tmp_path / "in"), "--workers", "1", "--quiet", "--out"]
    killed = subprocess.Popen([*command, str(tmp_path / "killed")], start_new_session=True)
    _wait_for(lambda: any((tmp_path / "killed").glob("work/map-*/ranks/*.json")), killed)
    os.killpg(killed.pid, signal.SIGKILL)

    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "manifest.json").exists()
    for folder in ("killed", "whole"):
        subprocess.run([*command, str(tmp_path / folder)], check=True)
    assert shards(tmp_path / "killed") == shards(tmp_path / "whole")
    assert len(texts(tmp_path / "killed")) == 1 + 200 * 6


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)

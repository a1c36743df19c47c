"""The command line: exit codes, one line for each mistake, and bad input from end to end."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from conftest import PROGRAM, QUICKSTART
from small import text, write_rows
from test_sources import PAGE, record

from pipelines.cli import main
from pipelines.dataset import Dataset

RECIPE = """\
name: bad
shard_mb: 1
sources:
  - {{format: {format}, name: s, path: in{more}}}
stages:
  - stage: extract
  - {{stage: quality, min_tokens: 3}}
  - stage: exact_dedup
"""


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, output and messages of the program."""
    told = CliRunner().invoke(main, [str(a) for a in arguments])
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.exit_code, told.stdout, told.stderr


def recipe(root: Path, fmt: str, more: str = "") -> Path:
    path = root / "recipe.yaml"
    path.write_text(RECIPE.format(format=fmt, more=more))
    return path


def build(root: Path, fmt: str, more: str = "") -> list[str]:
    """Reasons in the ledger of a build of root/in, sorted; the build has to end well."""
    code, _, told = run("build", recipe(root, fmt, more), "--engine", "inline", "--out", root / "out")

    assert code == 0, told
    manifest = orjson.loads((root / "out" / "manifest.json").read_bytes())
    counts = manifest["documents"]
    assert counts["read"] == counts["kept"] + counts["removed"]
    table = pa.concat_tables(Dataset.load(root / "out" / "ledger").tables())
    return sorted(table["reason"].to_pylist())


@pytest.mark.parametrize("command", [(), *((name,) for name in sorted(main.commands))])
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    """--help ends well and shows a command to copy."""
    code, told, _ = run(*command, "--help")

    assert code == 0
    assert "mathcorpus " in told
    assert "Example" in told


def test_bad_web_input_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    """A truncated record, one that is no HTML, invalid bytes, an empty file: each is a row of the ledger."""
    folder = tmp_path / "in"
    folder.mkdir()
    page = PAGE.replace(b"prime", b"prime " * 20)
    good = [gzip.compress(record(page)), gzip.compress(record(b"\x89PNG\r\n", mime="image/png"))]
    noise = b"<html>" + bytes(range(128, 256)) * 40
    (folder / "a.warc.gz").write_bytes(
        b"".join([*good, gzip.compress(record(noise)), gzip.compress(record(page * 300))[:-30]])
    )
    (folder / "b.warc.gz").write_bytes(b"")

    assert build(tmp_path, "warc") == ["empty_file", "not_html:image/png", "truncated_record", "undecodable"]


def test_a_line_of_200_megabytes_is_counted_and_does_not_fill_the_memory(tmp_path: Path) -> None:
    """The line is skipped as it streams by: the process stays far below twice its size."""
    folder = tmp_path / "in"
    folder.mkdir()
    with (folder / "a.jsonl").open("wb") as file:
        file.write(b'{"text": "')
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n')
        file.write(orjson.dumps({"text": text(1)}) + b"\n")
    code = (
        "import sys; from click.testing import CliRunner; from pipelines.cli import main\n"
        "told = CliRunner().invoke(main, sys.argv[1:]); print(told.exit_code)\n"
        # not ru_maxrss, which a child inherits from the process that it was forked from
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    arguments = ["build", str(recipe(tmp_path, "jsonl")), "--engine", "inline", "--out", str(tmp_path / "out")]
    told = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    exit_code, kilobytes = map(int, told.stdout.split()[-2:])
    table = pa.concat_tables(Dataset.load(tmp_path / "out" / "ledger").tables())

    assert exit_code == 0
    assert table["reason"].to_pylist() == ["too_large"]
    assert kilobytes < 700_000


def test_bad_rows_are_counted(tmp_path: Path) -> None:
    """Not JSON, not UTF-8, no text, a repeated id."""
    rows = [{"id": "1", "text": text(1)}, {"id": "1", "text": text(2)}, {"id": "2"}]
    write_rows(tmp_path / "in" / "a.jsonl", rows)
    with (tmp_path / "in" / "a.jsonl").open("ab") as file:
        file.write(b'{"id": "3", "text": "\xff"}\n{"id"\n')

    assert build(tmp_path, "jsonl", ", ids: record") == ["duplicate_id", "no_text", "not_json", "not_utf8"]


def refused(root: Path, fmt: str, *more: str | Path) -> str:
    """The one line that a build which stops at once prints."""
    code, out, told = run("build", recipe(root, fmt), "--engine", "inline", "--out", root / "out", *more)

    assert code == 2
    assert out == ""
    assert told.startswith("mathcorpus: ")
    assert told.count("\n") == 1
    return told


def test_a_parquet_file_without_the_text_column_stops_at_once(tmp_path: Path) -> None:
    """The line names the file, the columns, and the key to set."""
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"content": ["x"], "n": [1]}), tmp_path / "in" / "a.parquet")
    told = refused(tmp_path, "parquet")

    assert "a.parquet: has no column 'text'; it has content, n; name one with text_field" in told


def test_a_broken_parquet_file_stops_at_once(tmp_path: Path) -> None:
    """A file without a footer is named."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").write_bytes(b"PAR1 no footer")

    assert "a.parquet: not a readable Parquet file" in refused(tmp_path, "parquet")


def test_a_missing_folder_stops_at_once(tmp_path: Path) -> None:
    """The line names source and path."""
    assert "source 's': " in refused(tmp_path, "warc")


def test_a_misspelt_key_stops_at_once(tmp_path: Path) -> None:
    """File, line, key, what is near."""
    path = recipe(tmp_path, "warc")
    path.write_text(path.read_text().replace("min_tokens", "min_tokenz"))
    code, _, told = run("build", path)

    assert code == 2
    assert told.startswith(
        f"mathcorpus: {path}:7: stages.1.min_tokenz: unknown key; did you mean 'min_tokens'? allowed: "
    )
    assert told.count("\n") == 1


def test_wrong_options_stop_with_code_2(tmp_path: Path) -> None:
    """Unknown options, engines, settings and folders."""
    path = recipe(tmp_path, "warc")

    assert run("build", path, "--nope")[0] == 2
    assert run("build", path, "--engine", "nope")[0] == 2
    assert run("build", path, "--workers", "0")[0] == 2
    assert run("build", path, "--set", "x")[2] == "mathcorpus: --set x: not NAME=VALUE\n"
    assert run("build", tmp_path / "none.yaml")[0] == 2
    assert run("trace", "x", "--build", tmp_path)[0] == 2


def without_rights(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The program, bound by the modes of files also where it is root that runs the tests."""
    bound = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv: the modes of files bind nobody here")
        bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"]
    return subprocess.run([*bound, str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_where_a_folder_is_needed_stops_at_once(tmp_path: Path, out: str) -> None:
    """One line and exit code 2."""
    (tmp_path / "file").touch()
    write_rows(tmp_path / "in" / "a.jsonl", [{"text": text(1)}])
    told = CliRunner().invoke(main, ["build", str(recipe(tmp_path, "jsonl")), "--out", str(tmp_path / out)])

    assert (told.exit_code, told.stderr.count("\n")) == (2, 1), told.stderr
    assert "a file stands where a folder is needed; choose another with --out" in told.stderr


def test_an_unreadable_folder_and_a_read_only_place_stop_at_once(tmp_path: Path) -> None:
    """Both are one line and exit code 2."""
    write_rows(tmp_path / "in" / "a.jsonl", [{"text": text(1)}])
    path = recipe(tmp_path, "jsonl")
    (tmp_path / "sealed").mkdir(mode=0o555)
    told = without_rights("build", path, "--engine", "inline", "--out", tmp_path / "sealed" / "out")

    assert (told.returncode, told.stderr.count("\n")) == (2, 1), told.stderr
    assert "cannot write: permission denied; choose a folder that you may write with --out" in told.stderr
    (tmp_path / "in").chmod(0)
    told = without_rights("build", path, "--engine", "inline", "--out", tmp_path / "out")
    (tmp_path / "in").chmod(0o755)

    assert (told.returncode, told.stderr.count("\n")) == (2, 1), told.stderr
    assert "cannot be read (Permission denied); mend its permissions or leave it out" in told.stderr


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_a_full_disk_is_one_line_and_the_build_goes_on_afterwards(engine: str, tmp_path: Path) -> None:
    """A tmpfs of 2 MB fills in mid-build; with room made, the same command ends well."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    try:
        rng = random.Random(5)
        rows = [{"text": " ".join(str(rng.random()) for _ in range(500))} for _ in range(600)]
        write_rows(tmp_path / "in" / "a.jsonl", rows)
        path = tmp_path / "recipe.yaml"
        path.write_text("name: full\nsources: [{format: jsonl, name: s, path: in}]\nstages: [{stage: tokens}]\n")
        code, _, told = run("build", path, "--engine", engine, "--workers", "1", "--out", disk / "out")

        assert code == 2
        assert told.count("\n") == 1
        assert "cannot write: no space left on the disk; make room and run it again" in told
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)

        assert run("build", path, "--engine", engine, "--workers", "1", "--out", disk / "out")[0] == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_plan_build_and_trace_say_what_they_did(tmp_path: Path) -> None:
    """The quickstart from the command line: plan, build, plan again, trace."""
    out = tmp_path / "out"
    before = orjson.loads(run("plan", QUICKSTART / "recipe.yaml", "--out", out, "--json")[1])
    code, told, progress = run("build", QUICKSTART / "recipe.yaml", "--out", out, "--engine", "inline")
    after = orjson.loads(run("plan", QUICKSTART / "recipe.yaml", "--out", out, "--json")[1])
    expected = orjson.loads((QUICKSTART / "expected.json").read_bytes())
    removed = pa.concat_tables(Dataset.load(out / "removed").tables()).to_pylist()
    dirty = [r for r in removed if r["stage"] == "decontaminate"]

    assert code == 0
    assert "read 79  kept 40  removed 39" in told
    assert "contaminated:arith 3, contaminated:xiaoxue 1" in progress
    assert {s["state"] for s in before["stages"]} == {"run"}
    assert {s["state"] for s in after["stages"]} == {"reused"}
    assert len(dirty) == len(expected["contaminated"]) == 4
    assert "REMOVED      by decontaminate: contaminated:" in run("trace", dirty[0]["id"], "--build", out)[1]
    assert (out / "report.html").stat().st_size < 5_000_000


def test_the_quickstart_removes_what_was_planted_and_keeps_the_rest(tmp_path: Path) -> None:
    """Every plant of expected.json has the fate that it names, and every other math document is in the corpus."""
    run("build", QUICKSTART / "recipe.yaml", "--out", tmp_path, "--engine", "inline")
    removed = pa.concat_tables(Dataset.load(tmp_path / "removed").tables()).to_pylist()
    kept = {place(r) for r in pa.concat_tables(Dataset.load(tmp_path / "corpus").tables()).to_pylist()}
    gone: dict[str, set[str]] = {}
    for row in removed:
        gone.setdefault(row["stage"], set()).add(place(row))
    expected = orjson.loads((QUICKSTART / "expected.json").read_bytes())

    assert gone["decontaminate"] == {places(c) for c in expected["contaminated"]}
    assert gone["recall"] == set(map(places, expected["not_math"]))
    assert gone["language"] == set(map(places, expected["other_language"]))
    assert gone["quality"] == set(map(places, expected["low_quality"]))
    assert set(map(places, expected["hostile_kept"])) <= kept
    for stage, pairs in (("exact_dedup", "exact_duplicates"), ("minhash_dedup", "near_duplicates")):
        for pair in expected[pairs]:
            names = set(map(places, pair))

            assert (len(names & gone[stage]), len(names & kept)) == (1, 1), (stage, pair)


def place(row: dict[str, object]) -> str:
    """How expected.json names a document: its address, or its file below input/."""
    if row["url"]:
        return str(row["url"])
    source, _, name = str(row["origin"]).partition("#")[0].partition("/")
    return f"{source}/{name}"


def places(entry: object) -> str:
    found = entry.get("page") or entry.get("document") if isinstance(entry, dict) else entry
    return str(found)


def test_the_shipped_input_is_what_its_script_makes(tmp_path: Path) -> None:
    """make_input.py gives the committed bytes."""
    script = [sys.executable, str(QUICKSTART / "make_input.py"), "--out", str(tmp_path / "input")]
    subprocess.run(script, check=True, capture_output=True)
    made = {p.relative_to(tmp_path / "input"): p.read_bytes() for p in (tmp_path / "input").rglob("*") if p.is_file()}
    shipped = {
        p.relative_to(QUICKSTART / "input"): p.read_bytes() for p in (QUICKSTART / "input").rglob("*") if p.is_file()
    }

    assert made == shipped

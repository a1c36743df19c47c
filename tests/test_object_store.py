"""Builds in an object store: as on disk, resumed after kills, refused in one line; against a server that speaks S3."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner
from conftest import PROGRAM
from object_store import environment, free_port, serving
from small import DEFAULT_STAGES, build, digests, plan, write_input

from filters.errors import InputError, UsageError
from pipelines.cli import main
from pipelines.dataset import Dataset
from pipelines.engine import InlineEngine, Progress, shared_out
from pipelines.engine_datatrove import LocalEngine
from pipelines.inputs import find_places
from pipelines.places import Remote, contents, join, names_in, place
from pipelines.plan import Plan, make_plan
from pipelines.recipe_file import load_recipe
from pipelines.stage import Task, marker, missing_ranks

pytest.importorskip("s3fs", reason="the s3 extra is not installed")
pytest.importorskip("moto", reason="moto is not installed")

FILES = 2
SHORT: list[dict[str, Any]] = [{"stage": "quality", "min_tokens": 5}, {"stage": "exact_dedup"}]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """A bucket with the small recipe, its input and its benchmark below data/."""
    root = tmp_path_factory.mktemp("data")
    write_input(root, FILES)
    with serving() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(endpoint).items():
            patch.setenv(name, value)
        _systems().clear_instance_cache()
        _systems()().mkdir("corpora")
        found = Remote("s3://corpora")
        for path in (p for p in root.rglob("*") if p.is_file()):
            join(found / "data", path.relative_to(root).as_posix()).write_bytes(path.read_bytes())  # type: ignore[union-attr]
        (found / "data" / "r.yaml").write_bytes(yaml.safe_dump(_recipe()).encode())
        (found / "data" / "short.yaml").write_bytes(yaml.safe_dump(_recipe(stages=SHORT)).encode())
        yield found
        _systems().clear_instance_cache()


def _systems() -> Any:
    import s3fs

    return s3fs.S3FileSystem


def _recipe(**more: Any) -> dict[str, Any]:
    source = {"format": "jsonl", "name": "notes", "path": "in"}
    return {"name": "small", "shard_mb": 0.001, "sources": [source], "stages": DEFAULT_STAGES, **more}


def _plan(bucket: Remote, out: str, name: str = "short.yaml") -> Plan:
    recipe = bucket / "data" / name
    return make_plan(load_recipe(recipe), recipe.parent, bucket / out)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same input on disk."""
    root = tmp_path_factory.mktemp("disk")
    write_input(root, FILES)
    return root


@pytest.fixture(scope="module")
def on_disk(disk: Path) -> dict[str, str]:
    """Digests of the short build on disk."""
    return digests(build(plan(disk, "short", SHORT)))


@pytest.fixture(scope="module")
def built(bucket: Remote) -> Remote:
    """A build in the bucket."""
    assert build(_plan(bucket, "built", "r.yaml"))["fresh"]
    return bucket / "built"


def _run(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def _manifest(out: Remote) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((out / "manifest.json").read_bytes())
    return found


# --- a build ----------------------------------------------------------------------------------------------------------


def test_a_build_in_a_store_is_that_on_disk(built: Remote, disk: Path) -> None:
    """Input, benchmark, models, passes and datasets are in the bucket; every digest is that of the build on disk."""
    found = digests(_manifest(built))
    assert found == digests(build(plan(disk)))
    assert {"corpus", "removed", "ledger", "evidence", "clusters"} == set(found)
    for name in found:
        dataset = Dataset.load(built / name)
        assert dataset.is_there()
        assert sum(table.num_rows for table in dataset.tables()) == dataset.rows


def test_nothing_is_left_over(built: Remote) -> None:
    """Every object is named by a manifest or a marker, and the lease is given back."""
    files = set(built.files())
    assert not {name for name in files if "_tmp" in name or ".lease" in name}
    for folder in {name.rpartition("/")[0] for name in files if name.endswith(".parquet")}:
        shards = {s.path for s in Dataset.load(join(built, folder)).shards}
        assert shards == {n for n in names_in(join(built, folder)) if n.endswith(".parquet")}


def test_a_second_run_does_nothing(bucket: Remote, built: Remote) -> None:
    """The command at the URL of the recipe says so, writes the report that was missing, and tells plan and status."""
    told = _run("build", bucket / "data" / "r.yaml", "--out", built, "--engine", "inline")
    assert told.exit_code == 0, told.output
    assert f"nothing to do: {built} holds this build already" in told.output
    assert (built / "report.html").is_file()
    planned = _run("plan", bucket / "data" / "r.yaml", "--out", built)
    assert planned.exit_code == 0, planned.output
    states = {line.split()[0] for line in planned.output.splitlines()[1:] if line.startswith("  ")}
    assert states == {"reused"}
    status = _run("build", bucket / "data" / "r.yaml", "--out", built, "--status")
    assert status.output.startswith("small: done; inline")


def test_trace_at_a_url(built: Remote) -> None:
    """A document that went is told with its evidence, from the index and from a scan alike."""
    [row, *_] = [r for t in Dataset.load(built / "ledger").tables() for r in t.to_pylist() if r["evidence"]]
    told = _run("trace", row["id"], "--build", built)
    assert told.exit_code == 0, told.output
    assert f"REMOVED      by {row['stage']}: {row['reason']}" in told.output
    index = built / "index" / "manifest.json"
    held = index.read_bytes()
    index.unlink()
    assert _run("trace", row["id"], "--build", built).output == told.output
    index.write_bytes(held)
    assert _run("trace", "0" * 32, "--build", built).exit_code == 2


def test_workers_write_to_the_store(bucket: Remote, on_disk: dict[str, str]) -> None:
    """Processes of the local engine rebuild places from their strings."""
    assert digests(build(_plan(bucket, "workers"), LocalEngine(2))) == on_disk


@pytest.mark.slow
def test_spark_writes_to_the_store(bucket: Remote, built: Remote) -> None:
    """Python workers of Spark too; Reduces shuffle copies of the keys on this machine."""
    pytest.importorskip("pyspark", reason="the spark extra is not installed")
    from pipelines.engine_spark import SparkEngine

    assert digests(build(_plan(bucket, "spark", "r.yaml"), SparkEngine(2))) == digests(_manifest(built))


def test_engines_whose_machines_share_a_folder_refuse_a_store(bucket: Remote) -> None:
    """One line, before any work."""

    class AnyTask:
        out = bucket / "shared"

    with pytest.raises(UsageError, match="--engine slurm: needs a folder that all its machines share, not s3://"):
        shared_out(AnyTask(), "slurm")  # type: ignore[arg-type]


# --- kills and changes ------------------------------------------------------------------------------------------------


def test_a_killed_build_goes_on(bucket: Remote, on_disk: dict[str, str]) -> None:
    """kill -9 of the driver in mid-build; its lease ends with it on this machine, and the next run ends the same."""
    recipe, out = bucket / "data" / "short.yaml", bucket / "killed"
    command = [PROGRAM, "build", str(recipe), "--out", str(out), "--engine", "inline"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not any("/ranks/" in name for name in out.files()):
        assert driver.poll() is None, "the build ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not (out / "manifest.json").exists()
    assert (out / ".lease").exists()
    assert _run("build", recipe, "--out", out, "--status").output.startswith("small: stopped; inline")
    assert digests(build(_plan(bucket, "killed"))) == on_disk


class _Stops(InlineEngine):
    """Ends behind the first rank."""

    task: Task

    def run(self, task: Task, ranks: Sequence[int], progress: Progress) -> None:
        self.task = task
        super().run(task, ranks[:1], progress)
        raise KeyboardInterrupt


def _stopped(bucket: Remote, out: str) -> tuple[Plan, Task]:
    made, engine = _plan(bucket, out), _Stops()
    with pytest.raises(KeyboardInterrupt):
        build(made, engine)
    return made, engine.task


def test_half_an_object_is_not_data(bucket: Remote, on_disk: dict[str, str]) -> None:
    """Objects of names that a pass uses, or could use, without a marker: done again, or never looked at."""
    made, task = _stopped(bucket, "half")
    assert missing_ranks(task) == list(range(1, task.ranks))
    assert isinstance(task.out, Remote)
    whole = (task.out / "kept" / "00000.parquet").read_bytes()
    for name in ("00001.parquet", "00099.parquet"):
        (task.out / "kept" / name).write_bytes(whole[: len(whole) // 2])
    assert digests(build(made)) == on_disk


def test_a_damaged_shard_is_named(bucket: Remote) -> None:
    """An object of the right size and other bytes is refused by its SHA-256, with its URL."""
    made, task = _stopped(bucket, "damaged")
    assert isinstance(task.out, Remote)
    shard = task.out / "kept" / "00000.parquet"
    data = shard.read_bytes()
    shard.write_bytes(data[:-8] + bytes(8))
    with pytest.raises(InputError, match=f"{shard}: {len(data)} bytes, not what the manifest says"):
        build(made)


def test_an_input_that_changes_is_named(bucket: Remote) -> None:
    """The rank that read it is not committed; planned again, the build is another one."""
    old = (bucket / "data" / "in" / "part-1.jsonl").read_bytes()
    made = _plan(bucket, "changed")
    try:
        (bucket / "data" / "in" / "part-1.jsonl").write_bytes(old + b"\n")
        with pytest.raises(InputError, match=r"s3://corpora/data/in/part-1\.jsonl: changed or went while the build"):
            build(made)
        assert not marker(made.work / made.passes[0].folder, 1).exists()
        assert _plan(bucket, "changed").key != made.key
        (bucket / "data" / "in" / "part-1.jsonl").unlink()
        with pytest.raises(InputError, match="changed or went"):
            build(made)
    finally:
        (bucket / "data" / "in" / "part-1.jsonl").write_bytes(old)
    assert _plan(bucket, "changed").key == made.key


# --- what cannot be reached -------------------------------------------------------------------------------------------


def _refused(arguments: Sequence[object], **changed: str | None) -> str:
    """The one line of a command that ends with exit code 2, in an environment of its own."""
    env = {k: v for k, v in {**os.environ, **changed}.items() if v is not None}
    told = subprocess.run([PROGRAM, *map(str, arguments)], env=env, capture_output=True, text=True, check=False)
    assert told.returncode == 2, told.stderr
    [line] = told.stderr.strip().splitlines()
    return line


def test_a_bucket_that_is_not_there(bucket: Remote, tmp_path: Path) -> None:
    """As output and as input: one line that names it."""
    write_input(tmp_path, 1)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(_recipe()))
    told = _run("build", tmp_path / "r.yaml", "--out", "s3://no-such-bucket/out")
    assert told.exit_code == 2
    assert told.output.splitlines() == [
        "mathcorpus: s3://no-such-bucket/out/work/inputs.json: cannot be written (The specified bucket does not exist); "
        "make the bucket, or give another with --out"
    ]
    source = {"format": "jsonl", "name": "n", "path": "s3://no-such-bucket/in"}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(_recipe(sources=[source])))
    told = _run("plan", tmp_path / "r.yaml", "--out", tmp_path / "out")
    assert told.exit_code == 2
    assert "s3://no-such-bucket/in: no such object" in told.output
    assert _run("trace", "0" * 32, "--build", "s3://no-such-bucket/out").exit_code == 2


def test_no_credentials(built: Remote) -> None:
    """One line, with what the library says."""
    line = _refused(["trace", "0" * 32, "--build", built], AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert f"{built}/manifest.json: cannot be read (" in line
    assert "credentials" in line


def test_no_server(built: Remote) -> None:
    """One line that names the endpoint."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    line = _refused(["trace", "0" * 32, "--build", built], AWS_ENDPOINT_URL=nowhere, AWS_MAX_ATTEMPTS="1")
    assert nowhere in line


def test_an_unknown_protocol() -> None:
    """The line says which there are."""
    told = _run("plan", "nothing://bucket/r.yaml")
    assert told.exit_code == 2
    assert told.output.startswith("mathcorpus: nothing://bucket/r.yaml: Protocol not known: nothing")


# --- other commands ---------------------------------------------------------------------------------------------------


def _texts(where: Remote, kind: str) -> dict[str, bytes]:
    return {n: (where / n).read_bytes() for n in where.files() if n.partition("/")[0] == kind}


def test_decontaminate_and_dedup_write_to_the_store(bucket: Remote, disk: Path, tmp_path: Path) -> None:
    """The same rows as on disk, in the place of those of an earlier run; other objects are not written over."""
    for kind, command in (
        ("clean", ("decontaminate", "--against", disk / "bench", "--fields", "question=question")),
        ("kept", ("dedup",)),
    ):
        out = bucket / kind
        on_disk = _run(*command, disk / "in", "--out", tmp_path / kind)
        assert on_disk.exit_code == 0, on_disk.output
        for _ in range(2):
            told = _run(*command, bucket / "data" / "in", "--out", out)
            assert told.exit_code == 0, told.output
        written = {
            str(p.relative_to(tmp_path / kind)): p.read_bytes() for p in (tmp_path / kind / kind).rglob("*.jsonl")
        }
        assert _texts(out, kind) == written
        assert written
        assert {"report.json", "report.html"} <= set(out.files())
        (out / "report.json").unlink()
        assert "holds other objects" in _run(*command, bucket / "data" / "in", "--out", out).output


def test_commands_that_write_on_this_machine_say_so(disk: Path) -> None:
    """A URL is not taken for a folder called `s3:`."""
    told = _run("extract", disk / "in", "--out", "s3://corpora/pages")
    assert told.exit_code == 2
    assert told.output == "mathcorpus: --out s3://corpora/pages: is a URL; give a path of this machine\n"


# --- places -----------------------------------------------------------------------------------------------------------


def test_places_are_joined() -> None:
    """Relative paths from a folder or URL; absolute ones and URLs are themselves; file:// is a path."""
    base = Remote("s3://corpora/recipes")
    assert [str(join(base, p)) for p in ("in", "../data/", "/in", "s3://other/in/")] == [
        "s3://corpora/recipes/in", "s3://corpora/data", "/in", "s3://other/in",
    ]  # fmt: skip
    assert join(Path("/recipes"), "in") == Path("/recipes/in")
    assert join(Path("/recipes"), "s3://other/in") == Remote("s3://other/in")
    assert place("file:///data/in") == Path("/data/in")


def test_files_are_found_by_folder_glob_and_name(bucket: Remote) -> None:
    """With the names that they have on disk; hidden ones and those of other kinds are left out."""
    for name in (".hidden/a.jsonl", "sub/.b.jsonl", "sub/c.jsonl", "d.txt"):
        join(bucket / "found", name).write_bytes(b"{}\n")  # type: ignore[union-attr]
    (bucket / "found2").write_bytes(b"not below found/")

    def names(given: str) -> list[str]:
        return [name for name, _ in find_places([f"{bucket}/{given}"], (".jsonl",), "input")]

    assert names("found") == names("found/") == ["sub/c.jsonl"]
    assert names("data/in/part-*.jsonl") == [f"part-{n}.jsonl" for n in range(FILES)]
    assert names("data/*/part-1.jsonl") == ["in/part-1.jsonl"]
    assert names("data/in/part-1.jsonl") == ["part-1.jsonl"]
    with pytest.raises(InputError, match=r"s3://corpora/fou: no such object"):
        names("fou")


def test_a_large_file_goes_in_pieces(bucket: Remote, tmp_path: Path) -> None:
    """So that memory does not grow with the shard; it comes back whole, and by ranges."""
    source, large = tmp_path / "large", bucket / "large"
    data = bytes(range(256)) * (20 << 12)
    source.write_bytes(data)
    large.upload(source)
    about = large.about()
    assert about is not None
    assert about["ETag"].endswith('-3"')  # pieces of 8 MiB
    large.download(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    with large.open("rb") as file:
        file.seek(-5, 2)
        assert (file.read(), file.read(), file.seek(7), file.read(3)) == (data[-5:], b"", 7, data[7:10])


def test_small_files_are_read_together(bucket: Remote) -> None:
    """In the order in which they were asked for; one that is missing is an error."""
    files = [bucket / "data" / "in" / f"part-{n}.jsonl" for n in (1, 0)]
    assert contents(files) == [f.read_bytes() for f in files]
    with pytest.raises(FileNotFoundError):
        contents([*files, bucket / "nothing"])
    assert names_in(bucket / "nothing") == []

"""Publishing a build: what is in the tree, what is not, and where it may be written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import REPOSITORY
from jsonschema import Draft202012Validator
from publishing import BENCHMARK, REMOVED, SECRET, USER, all_text, found_in, make_build, run, told

from pipelines import dataset as ds
from pipelines.publish_private import public_recipe

FILES = {"README.md", "croissant.json", "manifest.json", "recipe.yaml", "report.html", "report.json"}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build."""
    return make_build(tmp_path_factory.mktemp("build"))


def error(*words: object) -> str:
    """The one line of a run that does not."""
    result = run(*words)

    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("mathcorpus: ").rstrip()


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_tree_is_the_corpus_and_what_is_said_of_it(build: Path, tmp_path: Path) -> None:
    """The shards of the corpus as they are, and six files; the manifest has the digest of each."""
    found = told(build, "--to", tmp_path / "out")
    files = tree(tmp_path / "out")
    shards = {f"data/{p.name}": p.read_bytes() for p in (build / "corpus").glob("*.parquet")}
    marker = orjson.loads(files["manifest.json"])

    assert set(files) == FILES | set(shards)
    assert {k: v for k, v in files.items() if k in shards} == shards
    assert {f["path"] for f in found["files"]} == set(files)
    assert {f["path"]: f["sha256"] for f in marker["files"]} == {
        name: ds.file_sha256(tmp_path / "out" / name)[0] for name in files if name != "manifest.json"
    }
    assert found["bytes"] == sum(map(len, files.values()))


def test_the_same_build_gives_the_same_bytes(build: Path, tmp_path: Path) -> None:
    """Twice, and over an earlier one with files of its own."""
    told(build, "--to", tmp_path / "one")
    told(build, "--to", tmp_path / "two")
    (tmp_path / "two" / "data" / "99999.parquet").write_bytes(b"of an earlier build")
    told(build, "--to", tmp_path / "two")

    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert {p.name for p in tmp_path.iterdir()} == {"one", "two"}


def test_nothing_of_what_was_removed_leaves(build: Path, tmp_path: Path) -> None:
    """No byte holds a text of a removed document or of a benchmark; the build itself holds all of them."""
    told(build, "--to", tmp_path / "out")
    removed = pa.concat_tables(list(ds.Dataset.load(build / "removed").tables())).to_pylist()
    evidence = pa.concat_tables(list(ds.Dataset.load(build / "evidence").tables())).to_pylist()
    secret = (*REMOVED, *BENCHMARK)
    at_home = {word for word in secret if word.lower() in f"{removed}{evidence}".lower().replace("\\n", " ")}

    assert {r["reason"] for r in removed} == {"too_short", "near_duplicate", "contaminated:farm"}
    assert at_home >= {*REMOVED, BENCHMARK[0], BENCHMARK[1]}
    ids = tuple(r["id"] for r in removed)
    assert [name for name, data in tree(tmp_path / "out").items() if found_in(data, ids)] == []
    assert any(found_in(data, ("31 loaves",)) for data in tree(tmp_path / "out").values())  # kept, like an item
    assert {
        name: found_in(data, secret) for name, data in tree(tmp_path / "out").items() if found_in(data, secret)
    } == {}


def test_the_report_keeps_its_numbers(build: Path, tmp_path: Path) -> None:
    """Counts of what was removed, documents of the corpus with their texts and of no others; valid as any report."""
    schema = orjson.loads((REPOSITORY / "docs" / "report.schema.json").read_bytes())
    told(build, "--to", tmp_path / "out")
    report = orjson.loads((tmp_path / "out" / "report.json").read_bytes())
    ids = set(pq.read_table(tmp_path / "out" / "data").column("id").to_pylist())

    assert {r["reason"]: r["documents"] for r in report["removed"]} == {
        "contaminated:farm": 1, "near_duplicate": 1, "too_short": 1,
    }  # fmt: skip
    assert list(Draft202012Validator(schema).iter_errors(report)) == []
    assert report["contamination"]["documents"] == 1
    assert report["contamination"]["reported"] == 1
    assert report["contamination"]["pairs"] == []
    assert set(report["documents"]) <= ids
    assert report["documents"]
    assert "Published form" in (tmp_path / "out" / "report.html").read_text()


def test_no_path_of_this_machine_leaves(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the home, nor the user, nor the folder of the build or of its data; params have names only."""
    monkeypatch.setenv("HOME", str(build.parent / "home" / USER))
    told(build, "--to", tmp_path / "out")
    private = (USER, str(build.parent), str(tmp_path))

    assert USER in (build / "recipe.json").read_text()
    assert [name for name, data in tree(tmp_path / "out").items() if found_in(data, private)] == []
    recipe = yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())
    assert recipe["params"] == {"data": None}
    assert [s["path"] for s in recipe["sources"]] == ["${data}/notes", "${data}/books"]
    assert recipe["stages"][3]["against"] == "${data}/bench"


def test_a_recipe_is_shown_without_addresses_and_keys() -> None:
    """Paths by their last name, stores and servers without place, keys not at all; the hub's names stay."""
    recipe = {
        "name": "x",
        "seed": 1,
        "sources": [
            {"path": ["/home/me/a.jsonl", "~/b", "in/c", "../up/d", "s3://bucket/deep/e.parquet?key=1", "hf://datasets/a/b"]}
        ],
        "stages": [{"server": {"url": "http://10.0.0.7:8000", "model": "Qwen/Qwen2.5", "key_env": "MY_KEY", "local": None}},
                   {"args": {"api_key": "abc", "note": "hf_" + "x" * 24, "tokens": 5, "tokenizer": "builtin"}}],
    }  # fmt: skip

    assert public_recipe(recipe) == {
        "name": "x",
        "seed": 1,
        "sources": [{"path": ["a.jsonl", "b", "in/c", "d", "e.parquet", "hf://datasets/a/b"]}],
        "stages": [{"server": {"url": None, "model": "Qwen/Qwen2.5", "key_env": None, "local": None}},
                   {"args": {"api_key": None, "note": "…", "tokens": 5, "tokenizer": "builtin"}}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("url", "file://{home}/page.html", "url holds the path {home} of this machine"),
        ("metadata", '{{"from":"{home}/a.tex"}}', "metadata holds the path {home} of this machine"),
        ("source_id", SECRET, "source_id holds a secret of the environment"),
    ],
)
def test_a_corpus_that_names_this_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, value: str, words: str
) -> None:
    """The document and the column are named, the secret is not; a path in a text is the text's own."""
    home = tmp_path / "home" / USER
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    folder = make_build(tmp_path)
    replace_first(folder, {column: value.format(home=home), "text": f"cd {home} and see"})

    said = error(folder, "--to", tmp_path / "published")
    assert f"document d1: {words.format(home=home)}" in said
    assert SECRET not in said
    assert not (tmp_path / "published").exists()
    replace_first(folder, {"text": f"cd {home} and see"})
    assert run(folder, "--to", tmp_path / "published").exit_code == 0


def replace_first(folder: Path, row: dict[str, Any]) -> None:
    """A corpus of one document."""
    writer = ds.ShardWriter(folder / "corpus", "00000.parquet", ds.DOCUMENTS)
    writer.write({"id": "d1", "origin": "notes/a.jsonl#0", "source": "web", **row})
    ds.Dataset(folder / "corpus", (writer.commit(),), "key").save(ds.DOCUMENTS)


def test_a_dry_run_lists_and_writes_nothing(build: Path, tmp_path: Path) -> None:
    """Each file with its bytes, also for the hub, which is not asked."""
    result = run(build, "--to", "hf://datasets/org/corpus", "--dry-run")

    assert result.exit_code == 0, result.output
    assert "README.md" in result.stdout
    assert "nothing was written" in result.stdout
    told(build, "--to", tmp_path / "out", "--dry-run")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_published_is_refused_in_a_line(build: Path, tmp_path: Path) -> None:
    """No build, half a build, damaged shards, no such target, somebody else's folder, options that do not fit."""
    half, broken, foreign = tmp_path / "half", tmp_path / "broken", tmp_path / "foreign"
    shutil.copytree(build, half)
    (half / "manifest.json").unlink()
    shutil.copytree(build, broken)
    next((broken / "corpus").glob("*.parquet")).write_bytes(b"PAR1")
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    out = tmp_path / "out"

    assert "no finished build here" in error(tmp_path / "nothing", "--to", out)
    assert "no finished build here" in error(half, "--to", out)
    assert "not what the manifest says" in error(broken, "--to", out)
    assert "holds something that `publish` did not write" in error(build, "--to", foreign)
    assert "holds something that `publish` did not write" in error(build, "--to", build / "corpus")
    for place in ("hf://org/name", "hf://datasets/name", "hf://datasets/a/b/c", "s3://bucket/x"):
        assert f"--to {place}" in error(build, "--to", place)
    assert "--private: only with --to hf://" in error(build, "--to", out, "--private")
    assert "--with removed: there are mixes and packed" in error(build, "--to", out, "--with", "removed")
    assert "has none" in error(build, "--to", out, "--with", "mixes")
    assert "--licence GPL: not an identifier" in error(build, "--to", out, "--licence", "GPL")
    assert "cannot be read" in error(build, "--to", "hf://datasets/a/b", "--token-file", tmp_path / "none")
    assert {p.name for p in tmp_path.iterdir()} == {"half", "broken", "foreign"}
    assert [p.name for p in foreign.iterdir()] == ["thesis.tex"]


def test_help_shows_examples() -> None:
    """Of a folder, a dry run and the hub."""
    shown = run("--help").stdout

    assert shown.count("mathcorpus publish out/") == 4
    assert all_text(b"PAR") == "PAR"

"""Publishing to the hub: the library's own client against a stand-in over HTTP, with faults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Response
from hub_server import TOKEN, Fault, Hub, cut, refused, serving
from publishing import BENCHMARK, REMOVED, USER, found_in, make_build, run, told

from pipelines.dataset import Dataset

huggingface_hub = pytest.importorskip("huggingface_hub", reason="the hub extra is not installed")
REPO = "org/corpus"
PLACE = f"hf://datasets/{REPO}"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build."""
    return make_build(tmp_path_factory.mktemp("build"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that the library finds, with a token, without waiting between tries, by plain HTTP."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _seconds: None)
    with serving() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def error(*words: object) -> str:
    """The one line of a run that does not; no secret is in it."""
    result = run(*words)

    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    assert not any(secret in result.output for secret in (TOKEN, "verysecret"))
    return result.stderr.removeprefix("mathcorpus: ").rstrip()


def test_one_commit_holds_the_tree(build: Path, tmp_path: Path, hub: Hub) -> None:
    """The same files as in a folder, but for what names the place; made public, in a single commit."""
    found = told(build, "--to", PLACE)
    told(build, "--to", tmp_path / "out")
    there = hub.files(REPO)

    assert set(there) == {f["path"] for f in found["files"]} | {".gitattributes"}
    assert found["uploaded"] == sorted(f["path"] for f in found["files"])
    assert hub.count("POST", "/commit/") == 1
    assert found["url"] == f"{hub.url}/datasets/{REPO}"
    assert hub.repos[REPO]["private"] is False
    differ = {p for p in there if p != ".gitattributes" and there[p] != (tmp_path / "out" / p).read_bytes()}
    assert differ == {"README.md", "croissant.json", "manifest.json"}


def test_nothing_of_what_was_removed_is_sent(build: Path, hub: Hub) -> None:
    """Every byte of every request is searched, the token and the user's name with it."""
    told(build, "--to", PLACE)

    assert sum(len(found_in(body, ("三角形的内角和",))) for body in hub.sent) >= 2  # shard and report: bodies are read
    assert [found_in(body, (*REMOVED, *BENCHMARK, USER, TOKEN)) for body in hub.sent] == [[]] * len(hub.sent)


def test_what_is_there_is_not_sent_again(build: Path, hub: Hub) -> None:
    """A second run commits nothing; another licence changes the card and what lists it, and no shard."""
    told(build, "--to", PLACE)
    sent = len(hub.blobs)
    again = told(build, "--to", PLACE)

    assert (again["commit"], again["uploaded"], len(hub.blobs)) == (None, [], sent)
    assert hub.count("POST", "/preupload/") == 1
    other = told(build, "--to", PLACE, "--licence", "odc-by")
    assert other["uploaded"] == ["README.md", "croissant.json", "manifest.json"]
    assert b"license: odc-by" in hub.files(REPO)["README.md"]


def test_what_an_earlier_build_left_is_deleted(build: Path, tmp_path: Path, hub: Hub) -> None:
    """Shards of documents that are gone go with the same commit; what others put beside them stays."""
    told(build, "--to", PLACE)
    hub.commit(REPO, "main", {"LICENSE": b"mine"}, hub.commits[hub.repos[REPO]["branches"]["main"]])
    smaller = tmp_path / "smaller"
    shutil.copytree(build, smaller)
    manifest = orjson.loads((smaller / "corpus" / "manifest.json").read_bytes())
    gone = manifest["shards"].pop()
    (smaller / "corpus" / "manifest.json").write_bytes(orjson.dumps(manifest))

    found = told(smaller, "--to", PLACE)
    assert found["deleted"] == [f"data/{gone['path']}"]
    assert f"data/{gone['path']}" not in hub.files(REPO)
    assert hub.files(REPO)["LICENSE"] == b"mine"


def test_options_of_the_hub(build: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Private, on a branch, with a token of a file and not of the environment."""
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    told(build, "--to", PLACE, "--private", "--revision", "v2", "--token-file", tmp_path / "token")

    assert hub.repos[REPO]["private"] is True
    assert set(hub.files(REPO)) == {".gitattributes"}
    assert "README.md" in hub.files(REPO, "v2")


def test_a_public_data_set_is_not_taken_for_a_private_one(build: Path, hub: Hub) -> None:
    """--private on one that is there and public stops before a byte leaves."""
    hub.make(REPO)

    assert "is there already, and public" in error(build, "--to", PLACE, "--private")
    assert set(hub.files(REPO)) == {".gitattributes"}


def test_somebody_elses_files_are_not_overwritten(build: Path, hub: Hub) -> None:
    """A data set with files that were not published by us is refused; one with a hand-made card is taken."""
    hub.make("org/theirs", files={"data/train.parquet": b"PAR1", "manifest.json": b"{}"})
    hub.make("org/begun", files={"README.md": b"# soon"})

    assert "holds files that `publish` did not write" in error(build, "--to", "hf://datasets/org/theirs")
    told(build, "--to", "hf://datasets/org/begun")
    assert b"pretty_name" in hub.files("org/begun")["README.md"]


def on(method: str, part: str, answer: Any) -> Fault:
    """A fault of all requests of a kind."""
    return lambda m, path: answer() if m == method and part in path else None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (on("POST", "create", lambda: refused(401, "Invalid credentials in Authorization header")), "accept the token"),
        (on("POST", "create", lambda: refused(403, "no rights")), "the token may not write there"),
        (on("POST", "preupload", lambda: refused(403, "read only")), "the token may not write there"),
        (on("GET", "/api/datasets", lambda: refused(404, "none", "RepoNotFound")), "knows no such dataset"),
        (on("POST", "/commit/", lambda: refused(409, "conflict")), "the dataset changed meanwhile"),
        (on("POST", "/commit/", lambda: refused(413, "large")), "too large"),
        (on("POST", "batch", lambda: refused(429, "slow down")), "too many requests"),
        (on("POST", "preupload", lambda: refused(503, "down")), "the hub failed (503); run it again"),
        (on("PUT", "/lfs/", lambda: refused(500, "down")), "the hub failed (500); run it again"),
        (on("PUT", "/lfs/", cut), "cannot be reached"),
        (on("POST", "/commit/", cut), "cannot be reached"),
        (on("PUT", "/lfs/", lambda: Response(status=418)), "the hub refused it (418"),
        (on("POST", "preupload", lambda: refused(422, "odd")), "the hub refused it (422: odd"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(build: Path, hub: Hub, fault: Fault, words: str) -> None:
    """What is wrong, where and how to mend it; the data set stays as it was."""
    hub.fault = fault
    said = error(build, "--to", PLACE)

    assert said.startswith(PLACE)
    assert words in said
    assert all(set(hub.files(repo)) == {".gitattributes"} for repo in hub.repos)


def test_no_hub_and_no_token_are_one_line(build: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens; nobody has logged in."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "the hub cannot be reached" in error(build, "--to", PLACE)
    monkeypatch.delenv("HF_TOKEN")
    assert "no token of the hub; set HF_TOKEN" in error(build, "--to", PLACE)


def test_an_upload_that_was_cut_is_gone_on_with(build: Path, hub: Hub) -> None:
    """What has arrived before the connection broke is not sent again."""
    lost: set[str] = set()

    def fault(method: str, path: str) -> Any:
        if method == "PUT" and (not lost or path in lost):
            lost.add(path)
            return cut()
        return None

    hub.fault = fault
    error(build, "--to", PLACE)
    arrived = {path for method, path in hub.asked if method == "PUT"} - lost
    hub.asked.clear()
    hub.fault = lambda _method, _path: None
    told(build, "--to", PLACE)

    assert arrived
    assert not arrived & {path for method, path in hub.asked if method == "PUT"}
    assert lost <= {path for method, path in hub.asked if method == "PUT"}


def test_a_change_by_somebody_else_is_noticed(build: Path, hub: Hub) -> None:
    """A commit between our look and our commit: nothing of ours is there, and the next run succeeds."""
    hub.make(REPO)

    def meanwhile(method: str, path: str) -> None:
        if "preupload" in path:
            hub.commit(REPO, "main", {"README.md": b"# theirs"}, hub.commits[hub.repos[REPO]["branches"]["main"]])

    hub.fault = meanwhile
    assert "the dataset changed meanwhile" in error(build, "--to", PLACE)
    assert set(hub.files(REPO)) == {".gitattributes", "README.md"}
    hub.fault = lambda _method, _path: None
    assert told(build, "--to", PLACE)["commit"]


LOAD = """
import sys, datasets
found = datasets.load_dataset(sys.argv[1])
print(sorted(found), found["train"].num_rows, *sorted(found["train"]["id"]))
"""


def test_load_dataset_reads_it_back(build: Path, tmp_path: Path, hub: Hub) -> None:
    """By its name alone, in a fresh process: one split with every document of the corpus."""
    told(build, "--to", PLACE)
    env = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    shown = subprocess.run([sys.executable, "-c", LOAD, REPO], env=env, capture_output=True, text=True, check=True)
    ids = sorted(i for table in Dataset.load(build / "corpus").tables(["id"]) for i in table["id"].to_pylist())

    assert shown.stdout.split() == ["['train']", str(len(ids)), *ids]

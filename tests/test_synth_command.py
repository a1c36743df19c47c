"""The commands `mathcorpus synth`: run, killed, resumed, status, export; the same bytes each time."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
import zstandard
from click.testing import CliRunner
from model_server import MODEL, ModelServer, Reply, model_server
from small import write_rows

from pipelines.cli import main

pytest.importorskip("aiohttp", reason="the llm extra is not installed")

DOCUMENTS = 12


def document(number: int) -> str:
    """A question and its solution, another for each number."""
    left, right = 11 + 3 * number, 70 - 2 * number
    return (
        f"Question: A shelf holds {left} books about {'geometry' if number % 2 else 'algebra'} and {right} on numbers; "
        f"how many books of both kinds does the shelf number {number} hold?\n\n"
        f"Solution: We add both kinds: ${left} + {right} = {left + right}$. Hence there are $\\boxed{{{left + right}}}$."
    )


def answers(asked: str, _times: int) -> Reply | str:
    """The pair of each document, by blocks; a word to the probe."""
    if "<document>" not in asked:
        return "one two three four five six seven eight nine"
    return Reply("<qa><question>1</question><answer></answer><solution>2</solution></qa>", wait=0.02)


@pytest.fixture
def served() -> Iterator[ModelServer]:
    """A server of pairs."""
    with model_server(answers) as server:
        yield server


def recipe(root: Path, served: ModelServer, **more: Any) -> Path:
    """A recipe over the documents, with the server's address."""
    write_rows(root / "in.jsonl", [{"id": str(n), "text": document(n)} for n in range(DOCUMENTS)])
    synth = {"server": {"url": served.url, "model": MODEL, "concurrency": 2}, "refine": False, **more.pop("synth", {})}
    sources = [{"format": "jsonl", "name": "notes", "path": "in.jsonl"}]
    path = root / "pairs.yaml"
    path.write_text(yaml.safe_dump({"name": "pairs", "sources": sources, "synth": synth, **more}))
    return path


def call(*args: object) -> str:
    """What a command prints; it has to end well."""
    result = CliRunner().invoke(main, ["synth", *map(str, args)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_run_status_export_and_resume(tmp_path: Path, served: ModelServer) -> None:
    """All pairs become samples with their parents; a second run asks nothing and gives the same bytes."""
    out = tmp_path / "out"
    manifest = orjson.loads(call("run", recipe(tmp_path, served), "--out", out, "--json"))
    assert (manifest["documents"], manifest["samples"]) == (DOCUMENTS, DOCUMENTS)
    assert manifest["rounds"]["extract"]["requests"] == manifest["rounds"]["extract"]["answered"] == DOCUMENTS
    first, asked = digest(out / "samples.jsonl.zst"), len(served.requests)
    lines = zstandard.decompress((out / "samples.jsonl.zst").read_bytes(), 1 << 24).splitlines()
    assert sorted(orjson.loads(line)["text"] for line in lines) == sorted(map(document, range(DOCUMENTS)))

    assert f"{DOCUMENTS} accepted" in call("status", out)
    assert orjson.loads(call("resume", out, "--json"))["sha256"] == first
    call("export", out, "--to", tmp_path / "pairs.jsonl.zst")
    assert digest(tmp_path / "pairs.jsonl.zst") == first
    assert not any("<document>" in str(body) for body in served.requests[asked:])


def test_killed_and_resumed(tmp_path: Path, served: ModelServer) -> None:
    """kill -9 while it asks; status says so; the end has the bytes of an undisturbed run, and few questions twice."""
    path = recipe(tmp_path, served)
    call("run", path, "--out", tmp_path / "whole")
    asked = len([body for body in served.requests if "<document>" in str(body)])
    assert asked == DOCUMENTS
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "synth", "run", str(path)]
    run = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while len([b for b in served.requests if "<document>" in str(b)]) < asked + 5 and time.monotonic() < end:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert orjson.loads(call("status", tmp_path / "out", "--json"))["state"] == "stopped"
    call("resume", tmp_path / "out")
    assert digest(tmp_path / "out" / "samples.jsonl.zst") == digest(tmp_path / "whole" / "samples.jsonl.zst")
    again = len([body for body in served.requests if "<document>" in str(body)]) - 2 * asked
    assert 0 <= again <= 2 + 32


def test_another_prompt_is_another_question(tmp_path: Path, served: ModelServer) -> None:
    """A folder of the user's prompts replaces ours: everything is asked again, and the old answers stay."""
    from synth.prompts import OWN_FOLDER

    call("run", recipe(tmp_path, served), "--out", tmp_path / "out")
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    ours = (OWN_FOLDER / "extract_blocks.en.md").read_text()
    (prompts / "extract_blocks.en.md").write_text(ours.replace("version: 1", "version: 2"))
    asked = len(served.requests)
    call("run", recipe(tmp_path, served, synth={"prompts": "prompts"}), "--out", tmp_path / "out")
    assert len([body for body in served.requests[asked:] if "<document>" in str(body)]) == DOCUMENTS


def test_samples_like_a_benchmark_go(tmp_path: Path, served: ModelServer) -> None:
    """An item with other numbers is near, and removed with its evidence."""
    question = document(3).partition("\n")[0].removeprefix("Question: ").replace("20", "21")
    write_rows(tmp_path / "bench" / "books" / "test.jsonl", [{"question": question, "answer": "84"}])
    out = tmp_path / "out"
    manifest = orjson.loads(call("run", recipe(tmp_path, served, against="bench"), "--out", out, "--json"))
    rejected = manifest["rounds"]["extract"]["rejected"]
    assert rejected["contamination:fail:books"] >= 1
    assert manifest["samples"] == DOCUMENTS - sum(rejected.values())


@pytest.mark.parametrize(
    ("synth", "said"),
    [
        ({"server": {"model": "m", "url": "http://127.0.0.1:9"}}, "does not answer"),
        ({"server": {"model": "other", "url": "URL"}}, "other"),
        ({"extract": None}, "synth makes nothing"),
        ({"prompts": "nowhere"}, "no folder of prompts"),
    ],
)
def test_what_cannot_work_is_one_line(tmp_path: Path, served: ModelServer, synth: dict[str, Any], said: str) -> None:
    """No server, no such model, nothing to make, no prompts: exit code 2."""
    if synth.get("server", {}).get("url") == "URL":
        synth = {"server": {**synth["server"], "url": served.url}}
        served.complete = lambda body, _chat: Reply(status=404 if body["model"] == "other" else 200)
    result = CliRunner().invoke(main, ["synth", "run", str(recipe(tmp_path, served, synth=synth)), "--out", "out"])
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_the_recipe_of_the_docs_is_one(tmp_path: Path) -> None:
    """The YAML of docs/synthesis.md, as it stands there."""
    from pipelines.recipe_file import parse_model_of
    from pipelines.synth_recipe import SynthRecipe

    page = (Path(__file__).parents[1] / "docs" / "synthesis.md").read_text(encoding="utf-8")
    shown = page.partition("```yaml\n")[2].partition("```")[0]
    found = parse_model_of(SynthRecipe, shown, tmp_path / "pairs.yaml", {})
    assert found.synth.solve is not None
    assert (found.name, found.synth.solve.n, found.against) == ("pairs", 8, ["gsm8k", "math"])


def test_status_tells_failures_while_a_run_goes_on(tmp_path: Path, served: ModelServer) -> None:
    """A server whose every answer is no use: the counts are on disk, and the run ends well."""
    served.reply = lambda asked, _times: "nothing of the kind" if "<document>" in asked else "one two three"
    manifest = orjson.loads(call("run", recipe(tmp_path, served), "--out", tmp_path / "out", "--json"))

    assert manifest["samples"] == 0
    assert sum(manifest["rounds"]["extract"]["failures"].values()) > 0

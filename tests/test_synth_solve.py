"""Solutions in a whole run: code that is run, answers that are compared, votes, and the best of those that agree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from click.testing import CliRunner
from model_server import MODEL, Reply, model_server
from small import write_rows
from test_synth_command import document

from pipelines.cli import main

pytest.importorskip("aiohttp", reason="the llm extra is not installed")
pytest.importorskip("math_verify", reason="the verify extra is not installed")

_SUM = re.compile(r"holds (\d+) books about \w+ and (\d+) on numbers")
N = 6


def solve(body: dict[str, Any], _as_chat: bool) -> Reply:
    """Pairs by blocks; a solution with code; of the six that run 1 draws, two are wrong and one does not run."""
    asked = str(body["messages"][-1]["content"])
    if "<document>" in asked:
        return _text("<qa><question>1</question><answer></answer><solution>2</solution></qa>")
    found = _SUM.search(asked)
    if found is None:
        return _text("one two three four five six seven eight nine")
    left, right = int(found[1]), int(found[2])
    total = left + right + (body["seed"] % 7 == 0)
    code = "import nothing_of_this_name" if body["seed"] % 5 == 2 else f"total = {left} + {right}\nprint(total)"
    return _text(
        f"We add both kinds of books on the shelf.\n```python\n{code}\n```\nSo there are $\\boxed{{{total}}}$."
    )


def _text(text: str) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 5}
    return Reply(body=orjson.dumps({"model": MODEL, "choices": [choice], "usage": usage}))


def shortest(_question: str, solution: str) -> float:
    """A reward model for tests."""
    return -len(solution)


def test_only_what_agrees_and_runs_is_kept(tmp_path: Path) -> None:
    """Each accepted solution states the sum, its code printed it, and of each question there is one, the best."""
    write_rows(tmp_path / "in.jsonl", [{"id": str(n), "text": document(n)} for n in range(4)])
    solving = {"n": N, "kind": "code", "reward": "test_synth_solve.shortest", "min_margin": 1, "min_share": 0.3}
    synth: dict[str, Any] = {"refine": False, "resamples": 0, "solve": solving}
    recipe = {"name": "sums", "sources": [{"format": "jsonl", "name": "notes", "path": str(tmp_path / "in.jsonl")}]}
    with model_server(lambda *_: "") as served:
        served.complete = solve
        synth["server"] = {"url": served.url, "model": MODEL, "prompt_price": 2.0, "completion_price": 4.0}
        (tmp_path / "r.yaml").write_bytes(orjson.dumps({**recipe, "synth": synth}))
        command = ["synth", "run", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "out"), "--json"]
        result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = orjson.loads(result.output)
    counts = report["rounds"]["solve"]
    assert counts["requests"] == 4 * N
    assert counts["accepted"] + sum(counts["rejected"].values()) == counts["results"]
    lines = zstandard.decompress((tmp_path / "out" / "samples.jsonl.zst").read_bytes(), 1 << 24).splitlines()
    kept = [orjson.loads(line) for line in lines]
    assert 2 <= len(kept) <= 4
    for row in kept:
        left, right = map(int, _SUM.search(row["question"]).groups())  # type: ignore[union-attr]
        assert int(row["answer"]) == left + right
        assert {gate["gate"]: gate["outcome"] for gate in row["gates"]}["code"] == "pass"
        assert row["votes"]["agrees"]
        assert row["signals"]["reward_rank"] <= 1  # the first of them, sample 2, does not run
    assert len({row["question"] for row in kept}) == len(kept)
    stages = {reason.partition(":")[0] for reason in counts["rejected"]}
    assert {"agreement", "code"} <= stages
    tokens = report["tokens"]
    assert report["cost"] == pytest.approx((2 * tokens["prompt"] + 4 * tokens["completion"]) / 1e6, abs=1e-6)


def test_a_reward_that_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    """Before anything is asked about a document."""
    write_rows(tmp_path / "in.jsonl", [{"text": document(1)}])
    synth = {"server": {"url": "URL", "model": MODEL}, "solve": {"reward": "nowhere.at_all"}}
    sources = [{"format": "jsonl", "name": "notes", "path": str(tmp_path / "in.jsonl")}]
    with model_server(lambda *_: "") as served:
        served.complete = solve
        synth["server"]["url"] = served.url  # type: ignore[index]
        (tmp_path / "r.yaml").write_bytes(orjson.dumps({"name": "sums", "sources": sources, "synth": synth}))
        result = CliRunner().invoke(main, ["synth", "run", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "out")])
        assert not any("<document>" in str(body) for body in served.requests)
    assert result.exit_code == 2
    assert "solve.reward: nowhere.at_all: cannot be imported" in result.output

"""The stage `score`: a model's probability as a column, its evidence, and a verdict only where one is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from model_server import MODEL, Reply, model_server
from scoring import become_scorer, scores
from small import build, digests, plan, write_rows

from filters.errors import InputError, RecipeError, UsageError
from pipelines import dataset as ds
from pipelines.cli import main

pytest.importorskip("aiohttp", reason="the llm extra is not installed")


def write_notes(root: Path, texts: list[str]) -> None:
    """One file of the texts."""
    write_rows(root / "in" / "notes.jsonl", [{"text": text} for text in texts])


TEXTS = ["good p=0.9", "fair p=0.6", "bad p=0.1", "silent p=0.5 other=0.8"]


def stages(url: str, **more: Any) -> list[dict[str, Any]]:
    """A build of the one stage."""
    return [{"stage": "score", "server": {"url": url, "model": MODEL}, **more}]


def columns(root: Path, name: str = "corpus") -> dict[str, Any]:
    """lm_score by text."""
    tables = ds.Dataset.load(root / name).tables(["text", "lm_score"])
    return {row["text"]: row["lm_score"] for table in tables for row in table.to_pylist()}


def test_a_score_is_a_column_and_says_what_it_rests_on(tmp_path: Path) -> None:
    """The product of two equal questions, to 1e-6; a text on which the model says something else has none."""
    write_notes(tmp_path, TEXTS)
    with model_server(lambda *_: "") as served:
        become_scorer(served)
        manifest = build(plan(tmp_path, stages=stages(served.url)))
    assert columns(tmp_path / "out") == {
        TEXTS[0]: pytest.approx(0.81, abs=1e-6), TEXTS[1]: pytest.approx(0.36, abs=1e-6),
        TEXTS[2]: pytest.approx(0.01, abs=1e-6), TEXTS[3]: None,
    }  # fmt: skip
    [table] = ds.Dataset.load(tmp_path / "out" / "evidence").tables(["evidence"])
    silent = next(e for row in table.to_pylist() if (e := orjson.loads(row["evidence"])[0])["marks"])
    assert silent["marks"] == {"off_format": 2}
    assert silent["label_mass"] == {"learning": [pytest.approx(0.2)], "mathematics": [pytest.approx(0.2)]}
    assert manifest["documents"] == {"read": 4, "made": 0, "kept": 4, "removed": 0}


def test_a_threshold_is_moved_without_a_question(tmp_path: Path) -> None:
    """Only scores, then two thresholds: other keys, other corpora, the server is asked once."""
    write_notes(tmp_path, TEXTS)
    with model_server(lambda *_: "") as served:
        become_scorer(served)
        build(plan(tmp_path, stages=stages(served.url)))
        asked = len(served.requests)
        low = build(plan(tmp_path, stages=stages(served.url, threshold=0.3)))
        kept = columns(tmp_path / "out")
        strict = build(plan(tmp_path, stages=stages(served.url, threshold=0.3, unscored="remove")))
        assert [body for body in served.requests[asked:] if "<document>" in str(body)] == []
    assert set(kept) == {TEXTS[0], TEXTS[1], TEXTS[3]}
    assert low["stages"][1]["removed"] == {"low_lm_score": 1}
    assert strict["stages"][1]["removed"] == {"low_lm_score": 1, "unscored:off_format": 1}


def test_a_server_that_stops_is_one_line_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """A key that is taken back in mid-run; then the same bytes as undisturbed, and nothing asked twice."""
    write_notes(tmp_path, [f"text {n} p=0.{n}" for n in range(1, 9)])
    with model_server(lambda *_: "") as served:
        become_scorer(served)
        whole = digests(build(plan(tmp_path, "whole", stages(served.url))))

        def failing(body: dict[str, Any], as_chat: bool) -> Reply:
            return Reply(status=401) if "text 5" in str(body) else scores(body, as_chat)

        served.complete = failing
        with pytest.raises(UsageError, match="http_401|refused the"):
            build(plan(tmp_path, stages=stages(served.url)))
        served.complete = scores
        before = len(served.requests)
        assert digests(build(plan(tmp_path, stages=stages(served.url)))) == whole
        asked = [str(body) for body in served.requests[before:] if "<document>" in str(body)]
        assert asked
        assert not any("text 1 " in body for body in asked)


def test_a_server_without_probabilities_is_told(tmp_path: Path) -> None:
    """As `transformers serve`, which takes the field and ignores it."""
    import server_kinds

    write_notes(tmp_path, TEXTS)
    with model_server(lambda *_: "") as served:
        server_kinds.become(served, server_kinds.transformers)
        with pytest.raises(UsageError, match="no_logprobs.*use one that does"):
            build(plan(tmp_path, stages=stages(served.url)))


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"model": "m"}, "either url"),
        ({"model": "m", "url": "http://localhost:1", "local": "x"}, "either url"),
        ({"url": "http://localhost:1"}, "model is missing"),
    ],
)
def test_a_server_that_is_nowhere_is_a_broken_recipe(tmp_path: Path, server: dict[str, str], said: str) -> None:
    """Neither or both places, and no name of a model."""
    write_notes(tmp_path, TEXTS)
    with pytest.raises(RecipeError, match=said):
        plan(tmp_path, stages=[{"stage": "score", "server": server}])


def test_with_a_template_documents_are_scored_in_lists(tmp_path: Path) -> None:
    """The same scores from a tenth of the calls; the template stands in every prompt."""
    write_notes(tmp_path, [f"text {n} p=0.{n}" for n in range(1, 9)] * 2)
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}<<{{ m.content }}>>{% endfor %}")
    with model_server(lambda *_: "") as served:
        become_scorer(served)
        build(plan(tmp_path, stages=stages(served.url)))
        one_by_one, asked = columns(tmp_path / "out"), len(served.requests)
        server = {"url": served.url, "model": MODEL, "template": "chat_template.jinja"}
        build(plan(tmp_path, "lists", [{"stage": "score", "server": server}]))
        lists = [b["prompt"] for b in served.requests[asked:] if isinstance(b.get("prompt"), list) and "p=0." in str(b)]
    assert columns(tmp_path / "lists") == one_by_one
    assert sum(map(len, lists)) == 16
    assert len(lists) <= 4
    assert all(prompt.startswith("<<") and prompt.endswith(">>") for prompts in lists for prompt in prompts)


def test_an_optional_stage_is_left_out_with_a_line(tmp_path: Path) -> None:
    """A local model that is not here: the build goes on without the stage, and says so; without `optional` it stops."""
    write_notes(tmp_path, TEXTS)
    server = {"model": "tiny", "local": "model"}
    made = plan(tmp_path, stages=[{"stage": "score", "server": server, "optional": True}, {"stage": "tokens"}])
    assert len(made.left_out) == 1
    assert made.left_out[0].startswith("stage 'score' is left out: ")
    manifest = build(made)
    assert manifest["left_out"] == list(made.left_out)
    assert [stage["name"] for stage in manifest["stages"]] == ["ingest", "tokens"]
    with pytest.raises(InputError, match="no model here"):
        plan(tmp_path, stages=[{"stage": "score", "server": server}])


def test_rows_are_scored_by_the_command(tmp_path: Path) -> None:
    """The rows in their order and format with one more field; a second run asks nothing."""
    rows = [{"id": n, "text": each} for n, each in enumerate([*TEXTS, " "])] + [{"id": 9}]
    write_rows(tmp_path / "in.jsonl", rows)
    with model_server(lambda *_: "") as served:
        become_scorer(served)
        command = ["score", str(tmp_path / "in.jsonl"), "--url", served.url, "--model", MODEL, "--json"]
        first = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "out")], catch_exceptions=False)
        asked = len([body for body in served.requests if "<document>" in str(body)])
        again = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "out")], catch_exceptions=False)
        assert len([body for body in served.requests if "<document>" in str(body)]) == asked
    report = orjson.loads(first.output)
    assert {**orjson.loads(again.output), "seconds": 0} == {**report, "seconds": 0}
    assert (report["rows"], report["scored"], report["not_scored"]) == (6, 3, {"no_score": 2, "no_text": 1})
    written = [orjson.loads(line) for line in (tmp_path / "out" / "in.jsonl").read_bytes().splitlines()]
    assert [{k: v for k, v in row.items() if k != "lm_score"} for row in written] == rows
    assert [row.get("lm_score") for row in written[:3]] == [pytest.approx(p, abs=1e-6) for p in (0.81, 0.36, 0.01)]


def test_a_model_without_a_place_is_one_line(tmp_path: Path) -> None:
    """Neither --url nor --local."""
    write_rows(tmp_path / "in.jsonl", [{"text": "a"}])
    result = CliRunner().invoke(main, ["score", str(tmp_path / "in.jsonl"), "--model", "m", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "give either --url" in result.output

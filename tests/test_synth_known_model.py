"""The local backend on a real model whose probabilities are known."""

from __future__ import annotations

import asyncio
import hashlib
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from tiny_model import DRAWN, SCORES, TEXTS, TOPICS, examples, request, score_messages, text_messages

pytest.importorskip("torch", reason="a local model needs torch and transformers: pip install 'mathcorpus[local]'")
pytest.importorskip(
    "transformers", reason="a local model needs torch and transformers: pip install 'mathcorpus[local]'"
)

from examples.quickstart.make_model import build, read_examples
from synth.local_model import LocalBackend
from synth.requests import Outcome, Request

pytestmark = pytest.mark.slow
DRAWS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model is."""
    place = tmp_path_factory.mktemp("model") / "known"
    fit = build(examples(), place)

    assert fit.worst < 1e-3
    return place


@pytest.fixture(scope="module")
def backend(folder: Path) -> LocalBackend:
    """The model, loaded by the project."""
    return LocalBackend(folder, "cpu")


def ask(backend: LocalBackend, *requests: Request) -> list[Outcome]:
    return asyncio.run(backend.ask(requests))


def test_scores_are_those_of_the_closed_form(backend: LocalBackend) -> None:
    """P(YES) is what the model was told, to 1e-3, alone as in a batch."""
    requests = [request(score_messages(topic), labels=("YES", "NO")) for topic in TOPICS]
    batched = ask(backend, *requests)
    alone = [ask(backend, each)[0] for each in requests]

    for outcomes in (batched, alone):
        found = [math.exp(dict(outcome.tops)["YES"]) for outcome in outcomes]
        assert found == pytest.approx(SCORES, abs=1e-3)
        assert [sum(math.exp(p) for _, p in outcome.tops) for outcome in outcomes] == pytest.approx([1] * 6, abs=1e-3)


def test_texts_come_to_the_letter(backend: LocalBackend) -> None:
    """Greedy answers in English, Chinese, LaTeX and Python, in one batch of prompts of several lengths."""
    outcomes = ask(backend, *(request(text_messages(question), max_tokens=200) for question in TEXTS))

    assert [outcome.text for outcome in outcomes] == list(TEXTS.values())
    assert {outcome.finish for outcome in outcomes} == {"stop"}


def test_answers_are_drawn_as_often_as_told(backend: LocalBackend) -> None:
    """Each of three answers comes as often as its weight says, within three standard deviations."""
    question, weights = DRAWN
    first = request(text_messages(question), temperature=1.0, max_tokens=50)
    requests = [Request(**{**fields(first), "sample": k}) for k in range(DRAWS)]
    texts = [outcome.text for at in range(0, DRAWS, 100) for outcome in ask(backend, *requests[at : at + 100])]

    assert set(texts) == set(weights)
    for text, weight in weights.items():
        assert abs(texts.count(text) - DRAWS * weight) <= 3 * math.sqrt(DRAWS * weight * (1 - weight))


def fields(of: Request) -> dict[str, Any]:
    return {name: getattr(of, name) for name in Request.__slots__}


def test_an_answer_without_room_is_cut(backend: LocalBackend) -> None:
    """With room for three tokens the answer is a beginning, and says so."""
    for question, answer in TEXTS.items():
        if answer == "<none/>":
            continue  # two tokens
        [outcome] = ask(backend, request(text_messages(question), max_tokens=3))

        assert answer.startswith(outcome.text or "?")
        assert (outcome.finish, outcome.usage.completion) == ("length", 3)


def test_the_same_examples_make_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Another process that is given the same examples, as a file, writes the same weights and tokenizer."""
    import orjson
    import torch

    rows = [
        {
            "messages": [{"role": role, "content": content} for role, content in messages],
            "answers": [{"text": text, "weight": weight} for text, weight in answers],
        }
        for messages, answers in examples()
    ]
    (tmp_path / "examples.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    program = REPOSITORY / "examples" / "quickstart" / "make_model.py"
    told = subprocess.run(
        [sys.executable, program, tmp_path / "examples.jsonl", "--out", tmp_path / "again"],
        check=True, capture_output=True, text=True, env={"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )  # fmt: skip

    assert "21 answers" in told.stdout
    assert read_examples(tmp_path / "examples.jsonl")[0][1] == examples()[0][1]
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        both = [hashlib.sha256((place / name).read_bytes()).hexdigest() for place in (folder, tmp_path / "again")]
        assert both[0] == both[1], name


def test_what_cannot_be_built_is_refused(tmp_path: Path) -> None:
    """No examples, a question that is asked twice, an answer without weight."""
    question = text_messages("?")
    for told, problem in (
        ([], "no examples"),
        ([(question, [("a", 1.0)]), (question, [("b", 1.0)])], "asked twice"),
        ([(question, [("a", 0.0)])], "without weight"),
    ):
        with pytest.raises(ValueError, match=problem):
            build(told, tmp_path)

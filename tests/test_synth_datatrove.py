"""A task as a rollout of datatrove's runner; the engine takes its answers and asks only for the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from datatrove.data import Document as Trove
from datatrove.pipeline.inference.types import InferenceResult
from model_server import MODEL, model_server

from filters.errors import UsageError
from synth.client import HttpBackend, Server
from synth.datatrove_rollout import as_datatrove_rollout, import_rollouts
from synth.engine import Options, answer_all
from synth.journal import Journal
from synth.requests import Outcome, Request, Sampling, Usage
from synth.samples import Document, Rejection, Sample


@dataclass
class Ask:
    """A task of two questions for each document."""

    labels: tuple[str, ...] = ()
    name: str = "ask"

    def plan(self, item: Document) -> list[Request]:
        said = f"{item.language} {item.id} {item.text}"
        sampling = Sampling(temperature=0.5, max_tokens=9)
        return [Request("ask", "p", MODEL, (("user", said),), sampling, sample=k, labels=self.labels) for k in range(2)]

    def check(self, request: Request, outcome: Outcome) -> str:
        return ""

    def finish(self, item: Document, answers: Any) -> list[Sample | Rejection]:
        return []


def test_what_the_runner_wrote_is_not_asked_again(tmp_path: Path) -> None:
    """datatrove's documents and results, through JSON as its writer has them; then the engine asks for what is left."""
    payloads: list[dict[str, Any]] = []

    async def generate(payload: dict[str, Any]) -> InferenceResult:
        payloads.append(payload)
        return InferenceResult(f"answer {len(payloads)}", "stop", {"prompt_tokens": 7, "completion_tokens": 3})

    documents = [Document(str(n), "text", "zh") for n in range(4)]
    rollout = as_datatrove_rollout(Ask())
    written = [
        [asyncio.run(rollout(Trove(d.text, d.id, metadata={"language": "zh"}), generate))] for d in documents[:3]
    ]
    plan = [request for document in documents for request in Ask().plan(document)]
    with model_server(lambda asked, _: "yes") as served, Journal(tmp_path / "j") as journal:
        imported = import_rollouts(orjson.loads(orjson.dumps(written)), journal, MODEL)
        counted = answer_all(plan, HttpBackend(Server(served.url)), journal, lambda *_: "", Options())
        first = journal.get(plan[0].id)

    assert (len(payloads), imported, len(served.requests)) == (6, 6, 2)
    assert (counted.answered, counted.known) == (8, 6)
    assert first == Outcome("answer 1", "stop", Usage(7, 0, 3), model=MODEL)
    assert payloads[0] == {
        "messages": [{"role": "user", "content": "zh 0 text"}], "temperature": 0.5, "top_p": 1.0, "max_tokens": 9, "stop": [],
        "seed": plan[0].draw,
    }  # fmt: skip


def test_probabilities_are_refused() -> None:
    """The runner drops them."""

    class Doc:
        id, text, metadata = "1", "x", {}

    async def generate(_: dict[str, Any]) -> None: ...

    with pytest.raises(UsageError, match="asks for probabilities"):
        asyncio.run(as_datatrove_rollout(Ask(labels=("YES",)))(Doc(), generate))

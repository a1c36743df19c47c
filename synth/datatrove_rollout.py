"""A task for datatrove's InferenceRunner, for those who have Slurm and that runner already. Best effort.

The runner asks; what it wrote is put into our journal by request id, and our engine then asks for what is missing:

    InferenceRunner(as_datatrove_rollout(task), InferenceConfig(..., rollouts_per_document=1), writer)
    import_rollouts((doc["metadata"]["rollout_results"] for doc in written), journal)

What the runner cannot do stays undone: no probabilities, no Retry-After, and with some of its versions one failure of
the server ends its rank. `model_name_or_path` has to be the model that the task names, since the runner sends its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from filters.errors import UsageError
from synth.backend import EMPTY
from synth.journal import Journal
from synth.requests import Outcome, Request, Usage
from synth.samples import Document

if TYPE_CHECKING:
    from synth.tasks.task import Task

Generate = Callable[[dict[str, Any]], Awaitable[Any]]
Rollout = Callable[..., Awaitable[list[dict[str, Any]]]]


def as_datatrove_rollout(task: Task[Document]) -> Rollout:
    """A rollout function that asks all that a task plans for a document; UsageError where it wants probabilities.

    A document is of the language that its metadata name, else English.
    """

    async def rollout(document: Any, generate: Generate, **_: object) -> list[dict[str, Any]]:
        named = document.metadata
        item = Document(document.id, document.text, named.get("language", "en"), named.get("url", ""))
        return [await _ask(request, generate) for request in task.plan(item)]

    return rollout


async def _ask(request: Request, generate: Generate) -> dict[str, Any]:
    if request.labels:
        msg = f"{request.task} asks for probabilities, which datatrove's runner does not return; use a server of ours"
        raise UsageError(msg)
    sampling = request.sampling
    payload = {
        "messages": [{"role": role, "content": text} for role, text in request.messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop),
        "seed": request.draw,
    }
    found = await generate(payload)
    return {
        "request": request.id,
        "text": found.text,
        "finish": found.finish_reason,
        "prompt": found.usage.get("prompt_tokens", 0),
        "completion": found.usage.get("completion_tokens", 0),
    }


def import_rollouts(results: Iterable[Sequence[Sequence[dict[str, Any]]]], journal: Journal, model: str = "") -> int:
    """Puts what the runner wrote into the journal: for each document its rollouts, each the answers of one; how many.

    model : as the server names it; the runner does not say.
    """
    count = 0
    for rollouts in results:
        for answer in (answer for rollout in rollouts for answer in rollout):
            usage = Usage(answer["prompt"], 0, answer["completion"])
            failure = "" if answer["text"].strip() else EMPTY
            journal.add(
                answer["request"], Outcome(answer["text"], answer["finish"], usage, failure=failure, model=model)
            )
            count += 1
    journal.flush()
    return count

"""A server that grades texts: P(YES) is what the text says of itself, `p=0.8`, and another word takes the rest."""

from __future__ import annotations

import math
import re
from typing import Any

import orjson
import server_kinds
from model_server import MODEL, ModelServer, Reply

_SAID = re.compile(r"p=([\d.]+)(?: other=([\d.]+))?")


def grade(text: str) -> dict[str, float]:
    """Log-probabilities of the next token: YES in two spellings, NO, and something else."""
    found = _SAID.search(text)
    yes, other = (float(found[1]), float(found[2] or 0)) if found else (0.5, 0.0)
    shares = {"YES": 0.75 * yes, " yes": 0.25 * yes, "No": 1 - yes}
    masses = {token: share * (1 - other) for token, share in shares.items()} | {"Well": other}
    return {token: math.log(mass) for token, mass in masses.items() if mass > 0}


def scores(body: dict[str, Any], as_chat: bool) -> Reply:
    """Answers as vLLM does; the probabilities are those of the text."""
    if not (body.get("top_logprobs") if as_chat else body.get("logprobs")) or "structured_outputs" in body:
        return server_kinds.vllm(body, as_chat)
    if (body.get("top_logprobs", 0) if as_chat else body["logprobs"]) > 20:
        return server_kinds.vllm(body, as_chat)
    prompts = [body["messages"][-1]["content"]] if as_chat else body["prompt"]
    choices: list[dict[str, Any]] = []
    for index, prompt in enumerate(prompts if isinstance(prompts, list) else [prompts]):
        named = grade(prompt)
        tops = [{"token": token, "logprob": value} for token, value in named.items()]
        if as_chat:
            first = {"token": "YES", "logprob": -1.0, "top_logprobs": tops}
            held = {"message": {"role": "assistant", "content": "YES"}, "logprobs": {"content": [first]}}
        else:
            held = {"text": "YES", "logprobs": {"tokens": ["YES"], "top_logprobs": [named]}}
        choices.append({"index": index, "finish_reason": "length", **held})
    usage = {"prompt_tokens": 10 * len(choices), "completion_tokens": len(choices)}
    return Reply(body=orjson.dumps({"model": MODEL, "choices": choices, "usage": usage}))


def become_scorer(served: ModelServer) -> None:
    """Makes a server one that grades."""
    server_kinds.become(served, scores)

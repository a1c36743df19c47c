"""Servers of several kinds, as far as their fields go: what each takes, what it ignores, and what it refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from model_server import MODEL, ModelServer, Reply

BOTH = {"/v1/chat/completions", "/v1/completions"}
_WORDS = "one two three four five six seven eight nine ten eleven twelve".split()
_COUNT = [0]  # of answers drawn without a seed


def _text(body: dict[str, Any], place: int, *, seeded: bool) -> str:
    """Words that depend on the temperature and, where seeds are taken, on the seed."""
    if body["temperature"] == 0:
        return " ".join(_WORDS[: body["max_tokens"]])
    _COUNT[0] += 1
    drawn = hashlib.blake2b(f"{body['seed'] if seeded else _COUNT[0]} {place}".encode()).digest()
    return " ".join(_WORDS[byte % len(_WORDS)] for byte in drawn[: body["max_tokens"]])


def _answer(texts: list[str], as_chat: bool, tops: int) -> Reply:
    named = {f"t{k}": -float(k) for k in range(tops)}
    chat_tops = [{"token": token, "logprob": value} for token, value in named.items()]
    choices: list[dict[str, Any]] = []
    for index, text in enumerate(texts):
        if as_chat:
            held: dict[str, Any] = {"message": {"role": "assistant", "content": text}}
            logprobs: dict[str, Any] = {"content": [{"token": "t0", "logprob": 0.0, "top_logprobs": chat_tops}]}
        else:
            held, logprobs = {"text": text}, {"tokens": ["t0"], "top_logprobs": [named]}
        choices.append({"index": index, **held, "finish_reason": "stop", "logprobs": logprobs if tops else None})
    return Reply(body=orjson.dumps({"model": MODEL, "choices": choices}))


def _stopped(text: str, body: dict[str, Any]) -> str:
    return min((text.partition(stop)[0] for stop in body.get("stop") or [""] if stop), key=len, default=text)


def vllm(body: dict[str, Any], as_chat: bool) -> Reply:
    """Everything; at most 20 log-probabilities, and 400 for more."""
    tops = body.get("top_logprobs", 0) if as_chat else body.get("logprobs") or 0
    if tops > 20:
        return Reply(status=400, body=b'{"error": {"message": "Requested sample logprobs of 50, max allowed: 20"}}')
    if choice := body.get("structured_outputs", {}).get("choice"):
        return _answer([choice[0]], as_chat, tops)
    prompts = body["prompt"] if isinstance(body.get("prompt"), list) else [""]
    texts = [_stopped(_text(body, k, seeded=True), body) for _ in prompts for k in range(body["n"])]
    return _answer(texts, as_chat, tops)


def transformers(body: dict[str, Any], as_chat: bool) -> Reply:
    """Takes every field, and ignores n, log-probabilities, choices, stops and seeds; chat only."""
    return _answer([_text(body, 0, seeded=False)], as_chat, 0)


def llama_cpp(body: dict[str, Any], as_chat: bool) -> Reply:
    """Log-probabilities, seeds and stops; several answers are refused, lists of prompts answered by one."""
    if body["n"] > 1:
        return Reply(status=400, body=b'{"error": {"message": "Only one completion choice is allowed"}}')
    tops = body.get("top_logprobs", 0) if as_chat else body.get("logprobs") or 0
    return _answer([_stopped(_text(body, 0, seeded=True), body)], as_chat, tops)


def base_model(body: dict[str, Any], as_chat: bool) -> Reply:
    """No chat template."""
    if as_chat:
        return Reply(status=400, body=b'{"error": {"message": "default chat template is no longer allowed"}}')
    return vllm(body, as_chat)


def become(served: ModelServer, kind: Callable[[dict[str, Any], bool], Reply], **model: Any) -> None:
    """Makes a server one of this kind; `model` : what its list says of the model beside the name."""
    served.complete = kind
    served.paths = {"/v1/chat/completions"} if kind is transformers else BOTH
    served.models = [{"id": MODEL, "created": 17, **model}]

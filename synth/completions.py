"""Reads what an OpenAI-compatible server sends: completions with their texts or probabilities, and refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from synth.backend import EMPTY, FILTERED, GARBAGE, MISSING, NO_LOGPROBS, NO_MODEL, TOO_LONG, CallFailedError
from synth.requests import Outcome, Request, Usage

_DETAIL_CHARS = 200  # of what a server says of a refusal

# vLLM, SGLang, llama.cpp, text-generation-inference and hosted ones each say it in other words.
_SAYS_TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum model length|max_model_len|(input|prompt)[^.]{0,40} too (long|large)"
    r"|must be <= \d+|longer than the|exceeds? .{0,60}(tokens|context)",
    re.IGNORECASE,
)
_SAYS_FILTERED = re.compile(r"content.?(filter|management|policy)|ResponsibleAI", re.IGNORECASE)
_SAYS_NO_MODEL = re.compile(
    r"model_not_found|model\b[^.]{0,200}\b(not exist|not found|unknown|not a valid)", re.IGNORECASE
)


def outcomes_of_chat(data: bytes, group: Sequence[Request]) -> list[Outcome]:
    """The outcomes that a chat completion holds: of samples of one question, in order; CallFailedError for garbage."""
    return _outcomes(data, group, _of_message)


def outcomes_of_completion(data: bytes, group: Sequence[Request]) -> list[Outcome]:
    """The outcomes that a completion holds: of samples of one prompt or of a list of prompts; CallFailedError."""
    return _outcomes(data, group, _of_text)


def refusal_of(status: int, data: bytes) -> tuple[str, str]:
    """The kind of failure that a status and its body mean, and in one line what the server said."""
    text = data.decode(errors="replace")
    detail = " ".join(_message(text).split())[:_DETAIL_CHARS]
    if status in {400, 413, 422}:
        for says, kind in ((_SAYS_TOO_LONG, TOO_LONG), (_SAYS_FILTERED, FILTERED), (_SAYS_NO_MODEL, NO_MODEL)):
            if says.search(text):
                return kind, detail
    return f"http_{status}", detail


def _message(text: str) -> str:
    """What an error says, wherever the server puts it."""
    try:
        error: Any = orjson.loads(text)
    except ValueError:
        return "" if "<" in text else text  # a page for people says nothing in a line
    for _ in range(2):
        if isinstance(error, dict):
            error = error.get("error") or error.get("message") or error.get("detail") or ""
    return str(error)


def _outcomes(data: bytes, group: Sequence[Request], read: Callable[[Any, Request], Outcome]) -> list[Outcome]:
    try:
        whole = orjson.loads(data)
        choices = {int(choice.get("index", place)): choice for place, choice in enumerate(whole["choices"])}
        found = [read(choices[place], request) if place in choices else None for place, request in enumerate(group)]
        shares = _shares(whole.get("usage") or {}, len(group) - found.count(None))
        model = str(whole.get("model") or "")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise CallFailedError(GARBAGE) from error
    if not any(found):
        raise CallFailedError(GARBAGE)
    return [Outcome(failure=MISSING) if one is None else replace(one, usage=next(shares), model=model) for one in found]


def _shares(usage: dict[str, Any], parts: int) -> Iterator[Usage]:
    """The tokens of a call, shared out among its answers so that their sum is what the server counted."""
    details = usage.get("prompt_tokens_details") or {}
    counts = [
        int(count or 0)
        for count in (usage.get("prompt_tokens"), details.get("cached_tokens"), usage.get("completion_tokens"))
    ]
    for part in range(parts):
        yield Usage(*(count // parts + (part < count % parts) for count in counts))


def _of_message(choice: dict[str, Any], request: Request) -> Outcome:
    message = choice["message"]
    text = message.get("content")
    if text is None and message.get("refusal"):
        return Outcome(str(message["refusal"]), "refusal", failure=FILTERED)
    logprobs = (choice.get("logprobs") or {}).get("content") or [{}]
    tops = [(top["token"], top["logprob"]) for top in logprobs[0].get("top_logprobs") or ()]
    return _outcome(text, choice, request, tops)


def _of_text(choice: dict[str, Any], request: Request) -> Outcome:
    text = choice["text"]
    tops = ((choice.get("logprobs") or {}).get("top_logprobs") or [{}])[0] or {}
    return _outcome(text, choice, request, list(tops.items()))


def _outcome(text: Any, choice: dict[str, Any], request: Request, tops: list[tuple[Any, Any]]) -> Outcome:
    finish = str(choice.get("finish_reason") or "")
    if text is not None and not isinstance(text, str):
        raise CallFailedError(GARBAGE)
    if finish == "content_filter":
        failure = FILTERED
    elif request.labels:
        failure = "" if tops else NO_LOGPROBS
    else:
        failure = "" if text and not text.isspace() else EMPTY
    pairs = tuple((str(token), float(value)) for token, value in tops) if request.labels else ()
    return Outcome(text, finish, tops=pairs, failure=failure)

"""What a server can do, found by its effect: servers accept fields that they ignore, so that a 200 shows nothing.

A dozen short calls. What was found is kept as JSON beside the journal, with what the server says of its model; where
that has changed, it is found out anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from filters.errors import OutputError, UsageError
from synth.backend import REFUSED, TIMEOUT, CallFailedError, Capabilities, is_overload
from synth.client import HttpBackend, Server

_QUESTION = "Count in words from one to nine, and then tell what you think of the number seven."
_OTHER = "Name three rivers."
_TOKENS = 24  # of an answer that is to differ from others
_MANY = (16, 2)  # answers in one call that are tried
_TOPS = (50, 20, 5)  # log-probabilities; vLLM refuses more than 20, others more than 5
_TRIES, _WAIT, _LONGEST_WAIT = 5, 1.0, 60.0  # of a call that a busy server refuses; seconds
_CHOICES = ("zebra-17", "quartz-93")  # that no model would say by itself
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length")  # vLLM and SGLang; hosted ones
_PASSING = ("created", "permission")  # of a model in a list: another with each start of a server


def probe(server: Server, kept: Path | None = None) -> Capabilities:
    """What a server can do; read from `kept` while the server's model is the same, and written there.

    UsageError where it cannot be asked at all: not there, a wrong key, a wrong model.
    """
    backend = HttpBackend(server)
    return asyncio.run(_probe(backend, kept))


async def _probe(backend: HttpBackend, kept: Path | None) -> Capabilities:
    await backend.open()
    try:
        identity = await _identity(backend)
        known = _read(kept, identity)
        if known is None:
            known = await _Probe(backend).find(identity)
            _write(kept, identity, known)
        return known
    finally:
        await backend.close()


async def _identity(backend: HttpBackend) -> dict[str, Any]:
    """What the server says of its model; its name alone, where it does not list it."""
    listed: Sequence[dict[str, Any]] = ()
    try:
        listed = await backend.models()
    except CallFailedError as error:
        if error.kind in {REFUSED, TIMEOUT}:
            msg = f"{backend.base} does not answer ({error.kind}); is the server running, and is this its address?"
            raise UsageError(msg) from error
        if error.kind in {"http_401", "http_403"}:
            raise UsageError(backend.remedy(error)) from error
    own = next((model for model in listed if model.get("id") == backend.model), {"id": backend.model})
    return {key: value for key, value in sorted(own.items()) if key not in _PASSING}


class _Probe:
    """One server under trial."""

    def __init__(self, backend: HttpBackend) -> None:
        self._backend = backend
        self._refused: CallFailedError | None = None
        self._as_chat = True

    async def find(self, identity: dict[str, Any]) -> Capabilities:
        """All that can be found; UsageError where neither a chat nor a completion comes."""
        self._as_chat = False
        completions = bool(_texts(await self._ask()))
        self._as_chat = True
        chat = bool(_texts(await self._ask()))
        if not chat and not completions:
            assert self._refused is not None
            raise UsageError(self._backend.remedy(self._refused)) from self._refused
        self._as_chat = chat
        return Capabilities(
            model=str(identity["id"]),
            chat=chat,
            completions=completions,
            prompt_lists=completions and await self._takes_lists(),
            n=await self._most_answers(),
            seed=await self._has_seeds(),
            stop=await self._stops(),
            logprobs=bool(tops := await self._most_tops(as_list=False)),
            top_logprobs=tops,
            list_logprobs=await self._most_tops(as_list=True) if completions else 0,
            choices=_texts(await self._ask(structured_outputs={"choice": _CHOICES}))[:1] in [[c] for c in _CHOICES],
            context=_window(identity),
        )

    async def _ask(self, **more: Any) -> dict[str, Any]:
        """What comes of a short call with more fields; nothing, if it is refused. UsageError if the server is lost."""
        sampling = {"temperature": 0, "top_p": 1, "n": 1, "seed": 1, "stream": False, "max_tokens": _TOKENS}
        asked: dict[str, Any] = {"messages": [{"role": "user", "content": _QUESTION}]}
        path = "/chat/completions"
        if not self._as_chat:
            asked, path = {"prompt": _QUESTION}, "/completions"
        body = orjson.dumps({"model": self._backend.model, **asked, **sampling, **more})
        try:
            found = orjson.loads(await self._fetch(path, body))
        except ValueError:
            return {}
        except CallFailedError as error:
            if error.kind in {REFUSED, TIMEOUT, "http_401", "http_403"}:
                raise UsageError(self._backend.remedy(error)) from error
            self._refused = error
            return {}
        return found if isinstance(found, dict) else {}

    async def _fetch(self, path: str, body: bytes) -> bytes:
        """The answer of a server that may be busy: a refusal for load says nothing of what it can do."""
        for _ in range(_TRIES - 1):
            try:
                return await self._backend.fetch("POST", path, body)
            except CallFailedError as error:
                if error.kind == TIMEOUT or not is_overload(error.kind):
                    raise
                await asyncio.sleep(min(error.wait or _WAIT, _LONGEST_WAIT))
        return await self._backend.fetch("POST", path, body)

    async def _takes_lists(self) -> bool:
        before, self._as_chat = self._as_chat, False
        found = await self._ask(prompt=[_QUESTION, _OTHER])
        self._as_chat = before
        return len(_texts(found)) == 2

    async def _most_answers(self) -> int:
        for many in _MANY:
            if len(_texts(await self._ask(n=many, temperature=1, max_tokens=2))) == many:
                return many
        return 1

    async def _has_seeds(self) -> bool:
        """Whether the same seed draws the same, where another draws something else."""
        drawn = [_texts(await self._ask(temperature=1, seed=seed)) for seed in (1, 1, 2, 3)]
        return bool(drawn[0]) and drawn[0] == drawn[1] and drawn[0] not in drawn[2:]

    async def _stops(self) -> bool:
        """Whether an answer ends before a text that it would hold."""
        [text] = _texts(await self._ask())[:1] or [""]
        middle = text[len(text) // 2 :][:3]
        [short] = _texts(await self._ask(stop=[middle]))[:1] or [text]
        return bool(middle.strip()) and middle not in short and len(short) < len(text)

    async def _most_tops(self, *, as_list: bool) -> int:
        """Log-probabilities of the first token that come at most; as a list: with completions."""
        before, self._as_chat = self._as_chat, self._as_chat and not as_list
        most = 0
        for tops in _TOPS:
            wanted = {"logprobs": True, "top_logprobs": tops} if self._as_chat else {"logprobs": tops}
            found = _first(await self._ask(max_tokens=1, **wanted))
            most = max(most, min(tops, found))
            if found >= tops:
                break
        self._as_chat = before
        return most


def _texts(found: dict[str, Any]) -> list[str]:
    """The texts of a completion of either kind; none, if it has not the shape of one."""
    try:
        texts = [c["message"]["content"] if "message" in c else c["text"] for c in found.get("choices") or ()]
    except (TypeError, KeyError):
        return []
    return [text or "" for text in texts]


def _first(found: dict[str, Any]) -> int:
    """How many log-probabilities the first token has."""
    try:
        logprobs = found["choices"][0]["logprobs"]
        tops = logprobs["content"][0]["top_logprobs"] if "content" in logprobs else logprobs["top_logprobs"][0]
        return len(tops)
    except (TypeError, KeyError, IndexError):
        return 0


def _window(identity: dict[str, Any]) -> int:
    """Tokens of prompt and answer, as the list of models has it: by its own name on each kind of server."""
    meta = identity.get("meta")
    places = [identity.get(name) for name in _WINDOWS] + ([meta.get("n_ctx")] if isinstance(meta, dict) else [])
    return next((int(size) for size in places if isinstance(size, int) and size > 0), 0)


def _read(kept: Path | None, identity: dict[str, Any]) -> Capabilities | None:
    """What was found of this model before; nothing of another, and nothing that cannot be read."""
    if kept is None or not kept.exists():
        return None
    try:
        before = orjson.loads(kept.read_bytes())
        return Capabilities(**before["capabilities"]) if before["identity"] == identity else None
    except (ValueError, TypeError, KeyError):
        return None


def _write(kept: Path | None, identity: dict[str, Any], found: Capabilities) -> None:
    if kept is None:
        return
    part = kept.with_name(f".{kept.name}.part")
    try:
        part.write_bytes(
            orjson.dumps({"identity": identity, "capabilities": asdict(found)}, option=orjson.OPT_INDENT_2)
        )
        part.replace(kept)
    except OSError as error:
        msg = f"{kept}: {error.strerror or error}; what the server can do is kept there, so make it writable"
        raise OutputError(msg) from error

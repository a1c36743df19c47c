"""Any OpenAI-compatible server as a backend: chat completions, and completions of lists of prompts.

The only file that imports an HTTP client. A request is sent with every sampling parameter, since servers fill in what
is left out from files of the model. What a server says is read with suspicion: an answer is one only if it has the
shape of one, and what it does not say is not made up.

The key comes from a variable of the environment and goes into one header: it is in no URL, message or file.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from filters.errors import UsageError
from synth.backend import GARBAGE, REFUSED, TIMEOUT, CallFailedError, Capabilities, is_sampled_alike
from synth.completions import outcomes_of_chat, outcomes_of_completion, refusal_of

if TYPE_CHECKING:
    import aiohttp

    from synth.requests import Outcome, Request

_CONNECT_SECONDS = 30.0
_MAX_BODY_BYTES = 1 << 22  # of an answer: more is no completion of the kind that is asked for here
_MAX_ERROR_BYTES = 1 << 16
_PROMPTS = 32  # in one call for probabilities
_VERSION = re.compile(r"/v\d+\w*(/|$)")
_METHOD = re.compile(r"/(chat/completions|completions|models)/*$")

Render = Callable[[tuple[tuple[str, str], ...]], str]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is served. `url` as the user has it: with or without /v1."""

    url: str
    model: str | None = None  # None: the one that the server has
    key_variable: str | None = None  # of the environment
    timeout: float = 600.0  # seconds for an answer, connecting included


class HttpBackend:
    """Asks one model of one server."""

    def __init__(self, server: Server, capabilities: Capabilities | None = None, render: Render | None = None) -> None:
        """UsageError for a URL that is none, a key that is not there, or a server that does not say its one model.

        capabilities : as `probe` found them; without, chat completions one by one.
        render : the chat template of the model, to ask as a completion; otherwise contents are joined by empty lines.
        """
        if find_spec("aiohttp") is None:
            msg = "asking a model needs aiohttp; install it with: pip install 'mathcorpus[llm]'"
            raise UsageError(msg)
        self.server = server
        self.base = base_url(server.url)
        self._key = "" if server.key_variable is None else _key(server.key_variable)
        self._session: aiohttp.ClientSession | None = None
        self._render = render or _joined
        self._rendered = render is not None
        self.model = server.model or asyncio.run(self._only_model())
        self.capabilities = capabilities or Capabilities(model=self.model, logprobs=True, top_logprobs=20)

    async def open(self) -> None:
        """A session of the running event loop."""
        import aiohttp

        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        timeout = aiohttp.ClientTimeout(self.server.timeout, sock_connect=min(_CONNECT_SECONDS, self.server.timeout))
        connector = aiohttp.TCPConnector(limit=0)  # the engine says how many
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def joins(self, group: Sequence[Request], request: Request) -> bool:
        """Samples of one question by `n`, and prompts whose next token is wanted as a list."""
        first = group[0]
        if request.labels and self._lists(first):
            return self._lists(request) and len(group) < _PROMPTS and request.sampling == first.sampling
        return len(group) < self.capabilities.n and not request.labels and is_sampled_alike(group, request)

    async def ask(self, group: Sequence[Request]) -> list[Outcome]:
        """One call; CallFailedError where it brought nothing."""
        first = group[0]
        as_chat = self.capabilities.chat and not (self._lists(first) and (self._rendered or len(group) > 1))
        if as_chat:
            path, body = "/chat/completions", self._chat(group)
        else:
            path, body = "/completions", self._completion(group)
        data = await self.fetch("POST", path, orjson.dumps(body), _MAX_BODY_BYTES * len(group))
        if self._key:
            data = data.replace(self._key.encode(), b"***")
        return (outcomes_of_chat if as_chat else outcomes_of_completion)(data, group)

    def remedy(self, failed: CallFailedError) -> str:
        """What to tell of a failure that stops the run."""
        said = f" ({failed.detail})" if failed.detail else ""
        variable = self.server.key_variable
        key = f"the key in {variable}" if variable else "whether it wants a key"
        remedies = {
            "http_401": f"check {key}",
            "http_403": f"check {key}, and what it may use",
            "http_404": f"check the address, and the model {self.model!r}",
            "no_model": f"check the model {self.model!r}",
        }
        mend = remedies.get(failed.kind, "check the address")
        return f"{self.base} refuses every request: {failed.kind}{said}; {mend}"

    def _lists(self, request: Request) -> bool:
        """Whether a request goes as a prompt of a list."""
        able = self.capabilities.prompt_lists and self.capabilities.list_logprobs > 0
        return able and bool(request.labels) and (self._rendered or not self.capabilities.chat)

    def _chat(self, group: Sequence[Request]) -> dict[str, Any]:
        messages = [{"role": role, "content": text} for role, text in group[0].messages]
        body = {"messages": messages, **self._sampling(group[0]), "n": len(group)}
        if group[0].labels:
            body |= {"logprobs": True, "top_logprobs": self.capabilities.top_logprobs or 20}
        return body

    def _completion(self, group: Sequence[Request]) -> dict[str, Any]:
        body = {**self._sampling(group[0]), "n": 1}
        if not group[0].labels:
            return body | {"prompt": self._render(group[0].messages), "n": len(group)}
        prompts = [self._render(request.messages) for request in group]
        return body | {"prompt": prompts, "logprobs": self.capabilities.list_logprobs or 5}

    def _sampling(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        body = {
            "model": self.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.draw,
            "stream": False,
            "max_tokens": 1 if request.labels else sampling.max_tokens,
        }
        return body | {"stop": list(sampling.stop)} if sampling.stop else body

    async def fetch(self, method: str, path: str, body: bytes | None, most: int = _MAX_BODY_BYTES) -> bytes:
        """The body of a response of status 200; CallFailedError."""
        import aiohttp

        assert self._session is not None
        try:
            # a redirect would take the key to another place
            async with self._session.request(method, self.base + path, data=body, allow_redirects=False) as response:
                if response.status != 200:
                    said = await _read(response, _MAX_ERROR_BYTES)
                    kind, detail = refusal_of(response.status, said)
                    detail = detail.replace(self._key, "***") if self._key else detail
                    raise CallFailedError(kind, retry_after(response.headers.get("Retry-After", "")), detail)
                data = await _read(response, most + 1)
                if len(data) > most:
                    raise CallFailedError(GARBAGE)
                return data
        except TimeoutError as error:
            raise CallFailedError(TIMEOUT) from error
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError) as error:  # no HTTP, or cut off
            raise CallFailedError(GARBAGE) from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailedError(REFUSED) from error

    async def models(self) -> list[dict[str, Any]]:
        """What the server lists; CallFailedError."""
        try:
            listed = orjson.loads(await self.fetch("GET", "/models", None))["data"]
            return [{**model, "id": model["id"]} for model in listed]
        except (ValueError, TypeError, KeyError) as error:
            raise CallFailedError(GARBAGE) from error

    def check_key(self) -> None:
        """UsageError where the server refuses the key at its list of models, before any work is done for nothing."""
        asyncio.run(self._check_key())

    async def _check_key(self) -> None:
        await self.open()
        try:
            await self.models()
        except CallFailedError as error:
            if error.kind in {"http_401", "http_403"}:
                raise UsageError(self.remedy(error)) from error
        finally:
            await self.close()

    async def _only_model(self) -> str:
        """The name of the one model that the server has."""
        await self.open()
        try:
            names = [str(model["id"]) for model in await self.models()]
        except CallFailedError as error:
            why = f"{error.kind}: {error.detail}" if error.detail else error.kind
            msg = f"{self.base}/models does not say which model is served ({why}); is it running? or name the model"
            raise UsageError(msg) from error
        finally:
            await self.close()
        if len(names) != 1:
            msg = f"{self.base} serves {', '.join(names[:10]) or 'no model'}; name the model"
            raise UsageError(msg)
        return names[0]


def base_url(url: str) -> str:
    """The URL that a path like /chat/completions is put behind: `host`, `host/v1` and `host/v1/models` are one.

    UsageError for what is no HTTP URL, and for one with a password or a query, which would stand in reports.
    """
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        msg = f"{url!r} is no address of a server; expected one like http://localhost:8000/v1"
        raise UsageError(msg)
    if parts.username or parts.password or parts.query or parts.fragment:
        msg = f"the address of {parts.hostname} holds a password or a query; put the key into a variable and name that"
        raise UsageError(msg)
    path = _METHOD.sub("", parts.path.rstrip("/")).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}" + ("" if _VERSION.search(path) else "/v1")


def retry_after(header: str) -> float:
    """The seconds that a Retry-After header asks to wait, given as such or as a date; 0 for anything else."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return 0.0


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, or its first `most` bytes and what came with them."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) >= most:
            break
    return bytes(data)


def _joined(messages: tuple[tuple[str, str], ...]) -> str:
    return "\n\n".join(text for _, text in messages)


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key or not key.isprintable() or not key.isascii():
        msg = f"the variable {variable} of the environment holds no key; export it first"
        raise UsageError(msg)
    return key

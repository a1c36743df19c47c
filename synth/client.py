"""Chat completions of any OpenAI-compatible server: bounded concurrency, retries, failures by kind, answers on disk.

The only file that imports an HTTP client. A request is sent with every sampling parameter, since servers fill in what
is left out from files of the model; its id is the digest of its body, so that a run that is repeated asks nothing
twice. A failure is an answer of another kind: whoever asks gets one for each request, in order, and counts both.

    failure      what happened                                     tried again
    refused      no connection, or it broke                        yes
    timeout      no whole answer in time                           yes
    http_<code>  another status than 200                           408, 425, 429 and from 500 on
    garbage      200, but no chat completion                       yes
    empty        a chat completion without text                    no

When many requests in a row fail as any other would, the rest is not sent and fails likewise: run it again later.

The key comes from a variable of the environment and goes into one header: it is in no URL, message or file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import orjson

from filters.errors import UsageError

if TYPE_CHECKING:
    import aiohttp

    from synth.journal import Journal

REFUSED, TIMEOUT, GARBAGE, EMPTY = "refused", "timeout", "garbage", "empty"

CONCURRENCY = 16  # enough to keep one model busy, and what a hosted one lets through

_SEED = 0
_MAX_BODY_BYTES = 1 << 22  # of an answer: more is no chat completion of the kind that is asked for here
_AGAIN = {REFUSED, TIMEOUT, GARBAGE, "http_408", "http_425", "http_429"}  # and every http_5..
_OWN = {EMPTY, "http_400", "http_413", "http_422"}  # of one request, and not of all
_VERSION = re.compile(r"/v\d+\w*(/|$)")
_METHOD = re.compile(r"/(chat/completions|completions|models)/*$")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client goes on."""

    timeout: float = 60.0  # seconds for an answer, connecting included
    tries: int = 6  # of a request
    first_wait: float = 0.5  # seconds before the second try, doubled for each further one
    longest_wait: float = 60.0  # seconds, whatever a server asks for
    give_up: int = 32  # requests in a row that failed as any would


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is served. `url` as the user has it: with or without /v1."""

    url: str
    model: str | None = None  # None: the one that the server has
    key_variable: str | None = None  # of the environment
    concurrency: int = CONCURRENCY  # requests at a time
    patience: Patience = field(default_factory=Patience)


class Answer(NamedTuple):
    """What came of a request: a text, or a failure."""

    text: str | None
    failure: str = ""


class _FailedError(Exception):
    """A try that failed; `wait` is how many seconds the server asks to wait."""

    def __init__(self, kind: str, wait: float = 0.0) -> None:
        super().__init__(kind)
        self.kind, self.wait = kind, wait


class Client:
    """Asks one model of one server."""

    def __init__(self, server: Server, journal: Journal) -> None:
        """UsageError for a URL that is none, a key that is not there, or a server that does not say its one model."""
        _check_installed()
        self.server = server
        self.base = base_url(server.url)
        self._journal = journal
        self._key = "" if server.key_variable is None else _key(server.key_variable)
        self._not_before = 0.0  # by time.monotonic: a server that asks one request to wait asks all
        self._lost = ("", 0)  # kind of the last failure that any request would have met, and how many in a row
        self.model = server.model or asyncio.run(self._only_model())

    def ask(
        self, conversations: Sequence[Sequence[dict[str, str]]], max_tokens: int, progress: Callable[[], None]
    ) -> list[Answer]:
        """The answers, in order. What the journal has is not asked; what was answered is in it, failures are not."""
        bodies = [self._body(messages, max_tokens) for messages in conversations]
        ids = [request_id(body) for body in bodies]
        answers = {key: Answer(text) for key, text in self._journal.known(dict.fromkeys(ids)).items()}
        fresh = {key: body for key, body in zip(ids, bodies, strict=True) if key not in answers}
        if fresh:
            asyncio.run(self._ask_all(fresh, answers, progress))
        return [answers[key] for key in ids]

    def _body(self, messages: Sequence[dict[str, str]], max_tokens: int) -> bytes:
        sampling = {"temperature": 0, "top_p": 1, "n": 1, "seed": _SEED, "stream": False, "max_tokens": max_tokens}
        body = {"model": self.model, "messages": list(messages), **sampling}
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)

    async def _ask_all(self, fresh: dict[str, bytes], answers: dict[str, Answer], progress: Callable[[], None]) -> None:
        waiting = iter(fresh.items())

        async def work(session: aiohttp.ClientSession) -> None:
            for key, body in waiting:
                answers[key] = answer = await self._ask(session, key, body)
                if answer.text is not None:
                    self._journal.add(key, answer.text)
                progress()

        async with self._session() as session:
            await asyncio.gather(*(work(session) for _ in range(min(self.server.concurrency, len(fresh)))))

    async def _ask(self, session: aiohttp.ClientSession, key: str, body: bytes) -> Answer:
        """The answer to a request, after as many tries as it takes."""
        patience = self.server.patience
        failure = ""
        for number in range(patience.tries):
            lost, in_a_row = self._lost
            if in_a_row >= patience.give_up:
                return Answer(None, failure or lost)
            await self._pause(key, number)
            try:
                text = _content(await self._fetch(session, "POST", "/chat/completions", body))
            except _FailedError as failed:
                failure = failed.kind
                if failure not in _AGAIN and not failure.startswith("http_5"):
                    break
                self._not_before = max(self._not_before, time.monotonic() + min(failed.wait, patience.longest_wait))
            else:
                self._lost = ("", 0)
                return Answer(text.replace(self._key, "***") if self._key else text)
        if failure not in _OWN:
            self._lost = (failure, self._lost[1] + 1)
        return Answer(None, failure)

    async def _pause(self, key: str, number: int) -> None:
        """Waits before try `number`: longer each time, otherwise for each request, and as long as the server asks."""
        if number:
            patience = self.server.patience
            share = 0.5 + int(key[:8], 16) / (1 << 32)
            await asyncio.sleep(share * min(patience.longest_wait, patience.first_wait * 2 ** (number - 1)))
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _fetch(self, session: aiohttp.ClientSession, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of a response of status 200; raises _FailedError."""
        import aiohttp

        try:
            # a redirect would take the key to another place
            async with session.request(method, self.base + path, data=body, allow_redirects=False) as response:
                if response.status != 200:
                    kind = f"http_{response.status}"
                    raise _FailedError(kind, retry_after(response.headers.get("Retry-After", "")))
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) > _MAX_BODY_BYTES:
                        raise _FailedError(GARBAGE)
                return bytes(data)
        except TimeoutError as error:
            raise _FailedError(TIMEOUT) from error
        except aiohttp.ClientResponseError as error:  # what came is not HTTP
            raise _FailedError(GARBAGE) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _FailedError(REFUSED) from error

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(self.server.patience.timeout))

    async def _only_model(self) -> str:
        """The name of the one model that the server has."""
        try:
            async with self._session() as session:
                listed = orjson.loads(await self._fetch(session, "GET", "/models"))
            names = [str(model["id"]) for model in listed["data"]]
        except (_FailedError, ValueError, TypeError, KeyError) as error:
            what = error.kind if isinstance(error, _FailedError) else GARBAGE
            msg = f"{self.base}/models does not say which model is served ({what}); is it running? or name the model"
            raise UsageError(msg) from error
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


def request_id(body: bytes) -> str:
    """The digest of all that decides an answer: model, messages, sampling. Not the address, which may move."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def retry_after(header: str) -> float:
    """The seconds that a Retry-After header asks to wait, given as such or as a date; 0 for anything else."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return 0.0


def _content(body: bytes) -> str:
    """The text of a chat completion; raises _FailedError."""
    try:
        text = orjson.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _FailedError(GARBAGE) from error
    if not isinstance(text, str) or not text.strip():
        raise _FailedError(EMPTY)
    return text


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key or not key.isprintable() or not key.isascii():
        msg = f"the variable {variable} of the environment holds no key; export it first"
        raise UsageError(msg)
    return key


def _check_installed() -> None:
    if find_spec("aiohttp") is None:
        msg = "asking a model needs aiohttp; install it with: pip install 'mathcorpus[llm]'"
        raise UsageError(msg)

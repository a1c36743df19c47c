"""A server of completions on this machine, with programmed answers, as vLLM or a hosted one would be asked.

One thread with an event loop. As a program, `python model_server.py --wait 0.05 --storm`, it prints its address and
serves until it is killed; GET /told then says what it was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson

MODEL = "tiny-instruct"
FOR_EVER = 3600.0  # seconds: longer than any test waits


class Reply(NamedTuple):
    """What the server does with a request: text of a completion, or a status, headers and body of its own."""

    text: str | None = None
    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    wait: float = 0.0  # seconds before it answers
    finish: str = "stop"
    keep: int | None = None  # bytes of the response after which the connection breaks
    chunked: bool = False
    fewer: int = 0  # answers than asked for


class ModelServer:
    """Where it is, and what it was asked."""

    def __init__(self, reply: Callable[[str, int], Reply | str]) -> None:
        """reply : from the last message, and how often it was asked before."""
        self.reply = reply
        self.models: list[str | dict[str, Any]] = [MODEL]
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.paths = {"/v1/chat/completions"}
        self.complete: Callable[[dict[str, Any], bool], Reply] | None = None  # in place of `reply`
        self.at_a_time = self._now = 0
        self.times: dict[bytes, int] = {}  # by the digest of what was asked
        self.keeps_requests = True
        self.denies = False  # every request, as for a wrong key
        self.url = ""

    async def answer(self, path: str, body: dict[str, Any], key: str) -> Reply:
        """What to send back."""
        if path not in self.paths:
            return Reply(status=404)
        as_chat = path.endswith("/chat/completions")
        asked = body["messages"][-1]["content"] if as_chat else str(body["prompt"])
        digest = hashlib.blake2b(asked.encode(), digest_size=16).digest()
        times = self.times.get(digest, 0)
        self.times[digest] = times + 1
        if self.keeps_requests:
            self.requests.append(body)
            self.keys.append(key)
        self._now += 1
        self.at_a_time = max(self.at_a_time, self._now)
        try:
            reply = self.complete(body, as_chat) if self.complete else self.reply(asked, times)
            reply = Reply(reply) if isinstance(reply, str) else reply
            if reply.wait:
                await asyncio.sleep(reply.wait)
        finally:
            self._now -= 1
        return reply if reply.text is None else reply._replace(body=completion(reply, body))

    def listed(self) -> bytes:
        """The models."""
        return orjson.dumps({"data": [{"id": m} if isinstance(m, str) else m for m in self.models]})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                method, path, _ = first.split(" ")
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if self.denies:
                    reply = Reply(status=401)
                elif method == "GET":
                    reply = self._get(path)
                else:
                    reply = await self.answer(path, orjson.loads(body), headers.get("authorization", ""))
                writer.write(sent(reply)[: reply.keep])
                await writer.drain()
                if reply.keep is not None:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):  # the client waits no longer
            pass
        finally:
            writer.close()

    def _get(self, path: str) -> Reply:
        if path == "/v1/models":
            return Reply(body=self.listed())
        told = {"calls": sum(self.times.values()), "questions": len(self.times), "most": self.at_a_time}
        return Reply(body=orjson.dumps(told)) if path == "/told" else Reply(status=404)


def completion(reply: Reply, body: dict[str, Any]) -> bytes:
    """A chat completion, with as many choices as were asked for."""
    choices = [
        {"index": k, "message": {"role": "assistant", "content": reply.text}, "finish_reason": reply.finish}
        for k in range(body.get("n", 1) - reply.fewer)
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 5 * len(choices), "total_tokens": 10 + 5 * len(choices)}
    return orjson.dumps({"object": "chat.completion", "model": MODEL, "choices": choices, "usage": usage})


def sent(reply: Reply) -> bytes:
    """The bytes of a response."""
    headers = {"Content-Type": "application/json", **reply.headers}
    body = reply.body
    if reply.chunked:
        headers["Transfer-Encoding"] = "chunked"
        parts = [body[at : at + 7] for at in range(0, len(body), 7)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
    else:
        headers["Content-Length"] = str(len(body))
    head = f"HTTP/1.1 {reply.status} Said\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode() + b"\r\n" + body


@contextmanager
def model_server(reply: Callable[[str, int], Reply | str]) -> Iterator[ModelServer]:
    """A server that runs until the end of the block."""
    served = ModelServer(reply)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(served.serve, "127.0.0.1", 0, limit=1 << 24))
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end(server))
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


STORM = ((0.10, "busy"), (0.15, "down"), (0.17, "drop"), (0.18, "hang"), (0.19, "bad"))  # cumulative shares


def storm(asked: str, times: int, wait: float) -> Reply:
    """The weather of a hosted server, decided by the question and the try, so that it is the same each time."""
    drawn = int.from_bytes(hashlib.blake2b(f"{asked}\0{times}".encode(), digest_size=8).digest()) / (1 << 64)
    text = f"answer to {asked[:40]}"
    return {
        "busy": Reply(status=429, headers={"Retry-After": "1"}),
        "down": Reply(status=503 if drawn < 0.125 else 500, wait=wait),
        "drop": Reply(text, wait=wait, keep=60),
        "hang": Reply(text, wait=FOR_EVER),
        "bad": Reply(body=b'{"choices": [{"message"', wait=wait),
        "": Reply(text, wait=wait),
    }[next((kind for share, kind in STORM if drawn < share), "")]


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wait", type=float, default=0.05)
    parser.add_argument("--storm", action="store_true")
    given = parser.parse_args()
    calm = Reply(wait=given.wait)
    served = ModelServer(
        lambda asked, times: (
            storm(asked, times, given.wait) if given.storm else calm._replace(text=f"answer to {asked[:40]}")
        )
    )
    served.keeps_requests = False
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, limit=1 << 24)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - what the caller waits for
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())

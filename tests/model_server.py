"""A server of chat completions on this machine, with programmed answers, as vLLM or a hosted one would be asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import orjson

MODEL = "tiny-instruct"


class Reply(NamedTuple):
    """What the server does with a request: text of a completion, or a status, headers and body of its own."""

    text: str | None = None
    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    wait: float = 0.0  # seconds before it answers


class ModelServer:
    """Where it is, and what it was asked."""

    def __init__(self, reply: Callable[[str, int], Reply | str]) -> None:
        """reply : from the last message, and how often it was asked before."""
        self.reply = reply
        self.models = [MODEL]
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.at_a_time = self._now = 0
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._times: dict[str, int] = {}
        self.url = ""

    def answer(self, body: dict[str, Any], key: str) -> Reply:
        """What to send back."""
        asked = body["messages"][-1]["content"]
        with self._lock:
            self.requests.append(body)
            self.keys.append(key)
            times = self._times.get(asked, 0)
            self._times[asked] = times + 1
            self._now += 1
            self.at_a_time = max(self.at_a_time, self._now)
        try:
            reply = self.reply(asked, times)
            reply = Reply(reply) if isinstance(reply, str) else reply
            self.stop.wait(reply.wait)
        finally:
            with self._lock:
                self._now -= 1
        if reply.text is None:
            return reply
        choice = {"index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": "stop"}
        return reply._replace(body=orjson.dumps({"object": "chat.completion", "model": MODEL, "choices": [choice]}))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: ModelServer

    def do_GET(self) -> None:
        listed = {"data": [{"id": name} for name in self.served.models]}
        self._send(Reply(status=200 if self.path == "/v1/models" else 404, body=orjson.dumps(listed)))

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = self.path == "/v1/chat/completions"
        self._send(self.served.answer(body, self.headers.get("Authorization", "")) if known else Reply(status=404))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the client waits no longer, which is what some tests are about
            self.close_connection = True


@contextmanager
def model_server(reply: Callable[[str, int], Reply | str]) -> Iterator[ModelServer]:
    """A server that runs until the end of the block."""
    served = ModelServer(reply)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        served.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()

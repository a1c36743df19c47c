"""The probe: what each kind of server can do is found by its effect, kept, and found anew for another model."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from model_server import MODEL, ModelServer, Reply, model_server
from server_kinds import base_model, become, llama_cpp, transformers, vllm

from filters.errors import OutputError, UsageError
from synth.backend import Capabilities
from synth.client import HttpBackend, Server
from synth.engine import Options, answer_all, resolve
from synth.journal import Journal
from synth.probe import probe
from synth.requests import Request

pytest.importorskip("aiohttp", reason="the llm extra is not installed")


@pytest.fixture
def served() -> Iterator[ModelServer]:
    with model_server(lambda *_: "yes") as one:
        yield one


@pytest.mark.parametrize(
    ("kind", "model", "found"),
    [
        (
            vllm,
            {"max_model_len": 4096, "permission": [{"id": "modelperm-1"}]},
            Capabilities(MODEL, True, True, True, 16, True, True, True, 20, 20, True, 4096),
        ),
        (transformers, {}, Capabilities(MODEL)),
        (
            llama_cpp,
            {"meta": {"n_ctx": 2048, "n_ctx_train": 32768}},
            Capabilities(MODEL, True, True, False, 1, True, True, True, 50, 50, False, 2048),
        ),
        (base_model, {}, Capabilities(MODEL, False, True, True, 16, True, True, True, 20, 20, True, 0)),
    ],
    ids=lambda kind: getattr(kind, "__name__", ""),
)
def test_each_kind_of_server(
    served: ModelServer, kind: Callable[[dict[str, Any], bool], Reply], model: dict[str, Any], found: Capabilities
) -> None:
    """Fields that are ignored are not taken for granted, refusals are no errors."""
    become(served, kind, **model)

    assert probe(Server(served.url)) == found
    assert len(served.requests) <= 20


def test_what_was_found_is_kept_until_the_model_is_another(served: ModelServer, tmp_path: Path) -> None:
    """A second run asks for the list of models alone; a restart of the server is no change, another context is one."""
    become(served, vllm, max_model_len=4096)
    first = probe(Server(served.url), tmp_path / "server.json")
    calls = len(served.requests)
    become(served, transformers, max_model_len=4096, created=99)
    again = probe(Server(served.url), tmp_path / "server.json")
    unasked = len(served.requests) == calls
    become(served, transformers, max_model_len=8192)
    other = probe(Server(served.url), tmp_path / "server.json")

    assert first == again
    assert unasked
    assert (other.context, other.logprobs) == (8192, False)
    assert orjson.loads((tmp_path / "server.json").read_bytes())["capabilities"]["context"] == 8192


@pytest.mark.parametrize("junk", [b"", b"{}", b'{"identity": {}, "capabilities": {"wings": 2}}'])
def test_a_file_that_cannot_be_read_is_written_anew(served: ModelServer, junk: bytes, tmp_path: Path) -> None:
    """What stands there was cut off, or is of another version; where nothing can be written, one line says so."""
    become(served, vllm)
    (tmp_path / "server.json").write_bytes(junk)

    assert probe(Server(served.url), tmp_path / "server.json").n == 16
    assert orjson.loads((tmp_path / "server.json").read_bytes())["identity"] == {"id": MODEL}
    with pytest.raises(OutputError, match="what the server can do is kept there"):
        probe(Server(served.url), tmp_path / "none" / "server.json")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=401), "http_401.*check the key in KEY"),
        (Reply(status=404, body=b'{"message": "The model does not exist"}'), "http_404 .*the model 'tiny-instruct'"),
        (Reply(status=500), "http_500"),
    ],
)
def test_a_server_that_cannot_be_asked_is_one_line(
    served: ModelServer, reply: Reply, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key, a wrong model, a server that fails; nothing is sent after that."""
    monkeypatch.setenv("KEY", "sk-secret")
    served.complete = lambda *_: reply

    with pytest.raises(UsageError, match=said) as told:
        probe(Server(served.url, key_variable="KEY"))
    assert "\n" not in str(told.value)
    assert "secret" not in str(told.value)


def test_a_busy_server_is_asked_again(served: ModelServer) -> None:
    """Every third call is refused for load, which is not taken for a lack."""
    become(served, vllm)
    busy = Reply(status=429, headers={"Retry-After": "0"})
    served.complete = lambda body, as_chat: busy if len(served.requests) % 3 == 0 else vllm(body, as_chat)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synth.probe._WAIT", 0.01)
        assert probe(Server(served.url)).n == 16


def test_nobody_there_is_one_line() -> None:
    """A port on which nothing listens, though the model is named."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(UsageError, match=r"does not answer \(refused\); is the server running"):
        probe(Server(url, MODEL))


@pytest.mark.parametrize(
    ("kind", "rendered", "calls"),
    [(vllm, True, [("prompt", 32), ("prompt", 8)]), (base_model, False, [("prompt", 32), ("prompt", 8)]),
     (vllm, False, [("messages", 1)] * 40), (transformers, False, [("messages", 1)] * 40)],
)  # fmt: skip
def test_probabilities_are_asked_for_as_the_server_has_them(
    served: ModelServer, kind: Callable[[dict[str, Any], bool], Reply], rendered: bool, calls: list[tuple[str, int]]
) -> None:
    """In lists of prompts where those and the chat template are at hand, else one by one; none is an end of its own."""
    become(served, kind)
    found = probe(Server(served.url))
    served.requests.clear()
    render = (lambda messages: f"<user>{messages[0][1]}<model>") if rendered else None
    plan = [Request("score", "p@1", MODEL, (("user", f"d{n}"),), labels=("YES", "NO")) for n in range(40)]
    with Journal(None) as journal:
        counted = answer_all(plan, HttpBackend(Server(served.url), found, render), journal, lambda *_: "", Options())
        outcomes = [resolve(request, journal, lambda *_: "", 0)[1] for request in plan]
    asked = [
        ("prompt", len(body["prompt"])) if "prompt" in body else ("messages", len(body["messages"]))
        for body in served.requests
    ]

    assert sorted(asked, reverse=True) == calls
    if kind is transformers:
        assert counted.failures == {"no_logprobs": 40}
    else:
        assert {outcome.tops[:2] for outcome in outcomes} == {(("t0", 0.0), ("t1", -1.0))}
        assert {body["max_tokens"] for body in served.requests} == {1}

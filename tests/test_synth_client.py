"""The HTTP backend: both URL spellings, all that is sent, every failure by its name, and no key anywhere."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import orjson
import pytest
from model_server import MODEL, ModelServer, Reply, model_server

from filters.errors import UsageError
from synth.backend import FILTERED, NO_MODEL, TOO_LONG
from synth.client import HttpBackend, Server, base_url, retry_after
from synth.completions import outcomes_of_chat, refusal_of
from synth.engine import Options, answer_all, resolve
from synth.export import write_outcomes
from synth.journal import Journal
from synth.pace import Patience
from synth.probe import probe
from synth.requests import Request, Sampling

pytest.importorskip("aiohttp", reason="the llm extra is not installed")

QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.2, give_up=50, lost=0)


def ask(
    served: ModelServer | str,
    texts: list[str],
    journal: Path | None = None,
    options: Options | None = None,
    **more: object,
) -> list[tuple[str | None, str]]:
    """The texts and failures of a server's answers to one message each."""
    url = served if isinstance(served, str) else served.url
    server = Server(url, **{"model": MODEL, "timeout": 10, **more})  # type: ignore[arg-type]
    with Journal(journal) as kept:
        backend = HttpBackend(server)
        plan = [Request("t", "p@1", backend.model, (("user", text),), Sampling(max_tokens=16)) for text in texts]
        answer_all(plan, backend, kept, lambda *_: "", options or Options(patience=QUICK))
        found = [resolve(request, kept, lambda *_: "", 0)[1] for request in plan]
    return [(outcome.text, outcome.failure) for outcome in found]


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        (" https://api.example.org/v1/chat/completions", "https://api.example.org/v1"),
        ("https://example.org/llm", "https://example.org/llm/v1"),
        ("https://example.org/api/v3", "https://example.org/api/v3"),
        ("https://example.org/v1beta/openai/", "https://example.org/v1beta/openai"),
        ("http://[::1]:30000/v1/models", "http://[::1]:30000/v1"),
    ],
)
def test_both_spellings_of_a_url_are_one(given: str, base: str) -> None:
    """With and without the version, and with the path of a method."""
    assert base_url(given) == base


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("localhost:8000", "is no address"),
        ("ftp://host/v1", "is no address"),
        ("http://", "is no address"),
        ("http://host:port", "is no address"),
        ("https://me:secret@host/v1", "holds a password or a query"),
        ("https://host/v1?api-key=secret", "holds a password or a query"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_without_its_secret(given: str, said: str) -> None:
    """No scheme, no host, no port, and what would put a key into reports."""
    with pytest.raises(UsageError, match=said) as told:
        base_url(given)
    assert "secret" not in str(told.value)


def test_a_request_says_all_that_decides_the_answer() -> None:
    """Every sampling parameter is sent, and answers come in the order of the questions."""
    with model_server(lambda asked, _: Reply(asked.upper(), wait=0.05 if asked == "a" else 0)) as served:
        answers = ask(served, ["a", "b", "c", "b"])

    assert answers == [("A", ""), ("B", ""), ("C", ""), ("B", "")]
    assert sorted(body["messages"][0]["content"] for body in served.requests) == ["a", "b", "c"]
    assert 0 <= served.requests[0]["seed"] < 2**31
    assert served.requests[0] | {"messages": [], "seed": 0} == {
        "model": MODEL, "messages": [], "max_tokens": 16, "temperature": 0, "top_p": 1, "n": 1, "seed": 0, "stream": False,
    }  # fmt: skip
    assert set(served.keys) == {""}


def test_no_more_at_a_time_than_was_said() -> None:
    """40 requests with 4 at a time."""
    with model_server(lambda asked, _: Reply("yes", wait=0.01)) as served:
        ask(served, [str(n) for n in range(40)], options=Options(4))

    assert len(served.requests) == 40
    assert 2 <= served.at_a_time <= 4


@pytest.mark.parametrize(
    ("reply", "failure", "tries"),
    [
        (Reply(status=400), "http_400", 1),
        (Reply(status=422), "http_422", 1),
        (Reply(status=429), "http_429", 3),
        (Reply(status=500, body=b"out of memory"), "http_500", 3),
        (Reply(body=b"<html>welcome</html>"), "garbage", 3),
        (Reply(body=b'{"choices": []}'), "garbage", 3),
        (Reply(body=b"x" * (1 << 23)), "garbage", 3),
        (Reply(body=b'{"choices": [{"message": {"content": null}}]}'), "empty", 1),
        (Reply("withheld", finish="content_filter"), "content_filter", 1),
        (Reply(body=b'{"choices": [{"message": {"content": null, "refusal": "I cannot."}}]}'), "content_filter", 1),
        (Reply(status=400, body=b'{"error": {"code": "content_filter", "message": "no"}}'), "content_filter", 1),
        (Reply("cut off", keep=200), "garbage", 3),
        (Reply("cut off", keep=30), "refused", 3),
        (Reply("cut off", keep=0), "refused", 3),
        (Reply("yes", wait=5), "timeout", 3),
    ],
)
def test_each_failure_has_its_name_and_its_tries(reply: Reply, failure: str, tries: int) -> None:
    """What a later try may change is tried again, the rest is not; the other question is answered."""
    with model_server(lambda asked, _: reply if asked == "bad" else "yes") as served:
        answers = ask(served, ["bad", "good"], timeout=0.5 if failure == "timeout" else 10)

    assert [failed for _, failed in answers] == [failure, ""]
    assert answers[1] == ("yes", "")
    assert sum(body["messages"][0]["content"] == "bad" for body in served.requests) == tries


def test_nobody_there_is_refused() -> None:
    """A port on which nothing listens; without a name of the model that is an error before all work."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    assert ask(url, ["a", "b"]) == [(None, "refused")] * 2
    with pytest.raises(UsageError, match=r"does not say which model is served \(refused\); is it running"):
        ask(url, ["a"], model=None)


def test_what_is_no_http_is_garbage() -> None:
    """A server of another protocol."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        import threading

        def speak() -> None:
            for _ in range(QUICK.tries):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(b"220 mail.example.org ESMTP\r\n\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        answers = ask(f"http://127.0.0.1:{listening.getsockname()[1]}", ["a"])
        thread.join()

    assert answers == [(None, "garbage")]


def test_the_server_is_given_the_time_it_asks_for() -> None:
    """Retry-After in seconds holds all requests back; later tries succeed."""
    patience = Patience(tries=3, first_wait=0.001, longest_wait=5)
    busy = Reply(status=429, headers={"Retry-After": "1"})
    started = time.monotonic()
    with model_server(lambda asked, times: busy if times == 0 else "yes") as served:
        answers = ask(served, ["a", "b", "c"], options=Options(patience=patience), timeout=5)

    assert answers == [("yes", "")] * 3
    assert 1 <= time.monotonic() - started < 4


def test_how_long_a_server_asks_to_wait() -> None:
    """Seconds, a date, and what is neither."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert retry_after("7") == 7
    assert 85 < retry_after(soon) <= 90
    assert [retry_after(text) for text in ("", "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "1e999")] == [0] * 5


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('{"error": {"message": "This model\'s maximum context length is 64 tokens. However, you requested 80"}}', TOO_LONG),
        ('{"object": "error", "message": "The input (900 tokens) is longer than the model\'s context length (512)"}', TOO_LONG),
        ('{"error": {"type": "exceed_context_size_error", "message": "the request exceeds the available context size"}}', TOO_LONG),
        ('{"error": "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000", "error_type": "validation"}', TOO_LONG),
        ('{"error": {"code": "context_length_exceeded", "message": "too many"}}', TOO_LONG),
        ('{"error": {"message": "The response was filtered due to our content management policy"}}', FILTERED),
        ('{"error": {"message": "The model `gpt-9` does not exist or you do not have access to it."}}', NO_MODEL),
        ('{"detail": [{"loc": ["body", "top_p"], "msg": "must be positive"}]}', "http_400"),
        ("<html>bad request</html>", "http_400"),
    ],
)  # fmt: skip
def test_what_a_refusal_means(said: str, kind: str) -> None:
    """Servers say in words of their own that a document is too long, that a text is withheld, that a model is not there."""
    assert refusal_of(400, said.encode())[0] == kind


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=401, body=b'{"error": {"message": "Bad key sk-very-secret"}}'), r"http_401 \(Bad key \*\*\*\); check the key in KEY"),
        (Reply(status=403), "http_403; check the key in KEY, and what it may use"),
        (Reply(status=404, body=b'{"message": "no such model"}'), "check the address, and the model 'tiny-instruct'"),
        (Reply(status=400, body=b'{"error": "model_not_found"}'), "no_model .*check the model 'tiny-instruct'"),
        (Reply(status=307, headers={"Location": "http://127.0.0.1:1/"}), "http_307; check the address"),
    ],
)  # fmt: skip
def test_what_no_request_would_survive_stops_the_run(reply: Reply, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, a model or an address that is wrong: one line at once, and no more than the calls under way."""
    monkeypatch.setenv("KEY", "sk-very-secret")
    with model_server(lambda *_: reply) as served, pytest.raises(UsageError, match=said) as told:
        ask(served, [str(n) for n in range(100)], key_variable="KEY")

    assert len(served.requests) <= 8
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_chunked_answer_is_an_answer() -> None:
    """No length is told; what comes is read to its end."""
    with model_server(lambda asked, _: Reply("a long answer " * 20, chunked=True)) as served:
        assert ask(served, ["a"]) == [("a long answer " * 20, "")]


def test_the_one_model_is_found_and_several_are_told() -> None:
    """The server's own name of its model, unless it has several."""
    with model_server(lambda asked, _: "yes") as served:
        ask(served, ["a"], model=None)
        served.models = ["one", "two"]
        with pytest.raises(UsageError, match="serves one, two; name the model"):
            ask(served, ["a"], model=None)

    assert [body["model"] for body in served.requests] == [MODEL]


def test_the_key_goes_into_one_header_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not into journal, probe, export, output or log, even if the server echoes it in answers and errors."""
    monkeypatch.setenv("MODEL_KEY", "sk-very-secret")
    caplog.set_level("DEBUG")
    bad = Reply(status=400, body=b'{"error": {"message": "not for sk-very-secret"}}')
    with model_server(lambda asked, _: bad if asked == "bad" else "the key is sk-very-secret") as served:
        server = Server(served.url, MODEL, "MODEL_KEY")
        probe(server, tmp_path / "server.json")
        with Journal(tmp_path / "journal") as journal:
            plan = [Request("t", "p", MODEL, (("user", text),)) for text in ("a", "bad")]
            answer_all(plan, HttpBackend(server), journal, lambda *_: "", Options(patience=QUICK))
            journal.flush()
            write_outcomes(tmp_path / "out", plan, journal, lambda *_: "", 0)
            files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert set(served.keys) == {"Bearer sk-very-secret"}
    assert set(files) >= {"journal", "journal-wal", "server.json", "out"}
    assert b"the key is ***" in files["out"]
    assert [name for name, data in files.items() if b"very-secret" in data] == []
    assert "very-secret" not in caplog.text + "".join(capfd.readouterr())


def test_tokens_are_shared_out_exactly() -> None:
    """The sum over the samples of one call is what the server counted."""
    usage = {"prompt_tokens": 11, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 2}}
    choices = [{"index": k, "message": {"content": str(k)}, "finish_reason": "stop"} for k in (2, 0, 1)]
    group = [Request("t", "p", "m", (("user", "a"),), sample=k) for k in range(4)]
    found = outcomes_of_chat(orjson.dumps({"choices": choices, "usage": usage}), group)

    assert [(one.text, one.failure) for one in found] == [("0", ""), ("1", ""), ("2", ""), (None, "missing")]
    assert [(one.usage.prompt, one.usage.cached, one.usage.completion) for one in found] == [
        (4, 1, 3), (4, 1, 3), (3, 0, 2), (0, 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, " ", "a\nb", "clé"])
def test_a_key_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Not set, empty, or nothing that a header can hold; the message names the variable and not its value."""
    if value is not None:
        monkeypatch.setenv("MODEL_KEY", value)

    with pytest.raises(UsageError, match="the variable MODEL_KEY of the environment holds no key"):
        ask("http://localhost:1", ["a"], key_variable="MODEL_KEY")


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setattr("synth.client.find_spec", lambda _: None)

    with pytest.raises(UsageError, match=r"needs aiohttp; install it with: pip install 'mathcorpus\[llm\]'"):
        ask("http://localhost:1", ["a"])

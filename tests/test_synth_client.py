"""The client of OpenAI-compatible servers: every failure by its name, nothing asked twice, no key anywhere."""

from __future__ import annotations

import socket
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from model_server import MODEL, ModelServer, Reply, model_server

from filters.errors import OutputError, UsageError
from synth.client import Answer, Client, Patience, Server, base_url, retry_after
from synth.journal import Journal

pytest.importorskip("aiohttp", reason="the llm extra is not installed")

QUICK = Patience(timeout=0.4, tries=3, first_wait=0.01, longest_wait=0.2, give_up=50)


def ask(served: ModelServer | str, texts: list[str], journal: Path | None = None, **options: object) -> list[Answer]:
    """The answers of a server to one message each."""
    url = served if isinstance(served, str) else served.url
    with Journal(journal) as kept:
        client = Client(Server(url, **{"model": MODEL, "patience": QUICK, **options}), kept)  # type: ignore[arg-type]
        return client.ask([[{"role": "user", "content": text}] for text in texts], 16, lambda: None)


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

    assert answers == [Answer("A"), Answer("B"), Answer("C"), Answer("B")]
    assert sorted(body["messages"][0]["content"] for body in served.requests) == ["a", "b", "c"]
    assert served.requests[0] | {"messages": []} == {
        "model": MODEL, "messages": [], "max_tokens": 16, "temperature": 0, "top_p": 1, "n": 1, "seed": 0, "stream": False,
    }  # fmt: skip
    assert set(served.keys) == {""}


def test_no_more_at_a_time_than_was_said() -> None:
    """40 requests with 4 at a time."""
    with model_server(lambda asked, _: Reply("yes", wait=0.01)) as served:
        ask(served, [str(n) for n in range(40)], concurrency=4)

    assert len(served.requests) == 40
    assert 2 <= served.at_a_time <= 4


@pytest.mark.parametrize(
    ("reply", "failure", "tries"),
    [
        (Reply(status=400), "http_400", 1),
        (Reply(status=401), "http_401", 1),
        (Reply(status=307, headers={"Location": "/v1/elsewhere"}), "http_307", 1),
        (Reply(status=429), "http_429", 3),
        (Reply(status=500, body=b"out of memory"), "http_500", 3),
        (Reply(body=b"<html>welcome</html>"), "garbage", 3),
        (Reply(body=b'{"choices": []}'), "garbage", 3),
        (Reply(body=b"x" * (1 << 23)), "garbage", 3),
        (Reply(body=b'{"choices": [{"message": {"content": null}}]}'), "empty", 1),
        (Reply("yes", wait=5), "timeout", 3),
    ],
)
def test_each_failure_has_its_name_and_its_tries(reply: Reply, failure: str, tries: int) -> None:
    """What a later try may change is tried again, the rest is not; the other question is answered."""
    with model_server(lambda asked, _: reply if asked == "bad" else "yes") as served:
        answers = ask(served, ["bad", "good"])

    assert answers == [Answer(None, failure), Answer("yes")]
    assert sum(body["messages"][0]["content"] == "bad" for body in served.requests) == tries


def test_nobody_there_is_refused() -> None:
    """A port on which nothing listens; without a name of the model that is an error before all work."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    assert ask(url, ["a", "b"]) == [Answer(None, "refused")] * 2
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

    assert answers == [Answer(None, "garbage")]


def test_the_server_is_given_the_time_it_asks_for() -> None:
    """Retry-After in seconds holds all requests back; later tries succeed."""
    patience = Patience(timeout=5, tries=3, first_wait=0.001, longest_wait=5)
    busy = Reply(status=429, headers={"Retry-After": "1"})
    started = time.monotonic()
    with model_server(lambda asked, times: busy if times == 0 else "yes") as served:
        answers = ask(served, ["a", "b", "c"], patience=patience)

    assert answers == [Answer("yes")] * 3
    assert 1 <= time.monotonic() - started < 4


def test_how_long_a_server_asks_to_wait() -> None:
    """Seconds, a date, and what is neither."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert retry_after("7") == 7
    assert 85 < retry_after(soon) <= 90
    assert [retry_after(text) for text in ("", "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "1e999")] == [0] * 5


def test_a_server_that_is_lost_is_not_asked_for_ever() -> None:
    """After so many failures in a row the others are not sent, and have the same name."""
    with model_server(lambda asked, _: Reply(status=503)) as served:
        answers = ask(served, [str(n) for n in range(100)], concurrency=2, patience=Patience(tries=1, give_up=5))

    assert answers == [Answer(None, "http_503")] * 100
    assert 5 <= len(served.requests) <= 7


def test_bad_requests_do_not_count_as_a_lost_server() -> None:
    """Texts too long for the model, one after the other, and then one that is not."""
    with model_server(lambda asked, _: Reply(status=400) if asked != "good" else "yes") as served:
        answers = ask(served, [*map(str, range(20)), "good"], patience=Patience(tries=1, give_up=5))

    assert answers[-1] == Answer("yes")


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    """A second run asks only what failed; another model or text is another question."""
    with model_server(lambda asked, _: "yes" if asked != "bad" else Reply(status=400)) as served:
        first = ask(served, ["a", "bad"], tmp_path / "j.sqlite")
        again = ask(served, ["a", "bad"], tmp_path / "j.sqlite")
        before = len(served.requests)
        ask(served, ["a"], tmp_path / "j.sqlite", model="another")

    assert first == again
    assert (before, len(served.requests)) == (3, 4)


def test_a_journal_that_is_none_is_one_line(tmp_path: Path) -> None:
    """A text file, and a folder that is not there."""
    (tmp_path / "text").write_text("no database\n" * 100)

    for path in (tmp_path / "text", tmp_path / "none" / "j.sqlite"):
        with pytest.raises(OutputError, match="the journal of answers"):
            Journal(path)


def test_the_one_model_is_found_and_several_are_told() -> None:
    """The server's own name of its model, unless it has several."""
    with model_server(lambda asked, _: "yes") as served:
        ask(served, ["a"], model=None)
        served.models = ["one", "two"]
        with pytest.raises(UsageError, match="serves one, two; name the model"):
            ask(served, ["a"], model=None)

    assert [body["model"] for body in served.requests] == [MODEL]


def test_the_key_goes_into_one_header_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not into the journal, and not into an answer, even if the server echoes it."""
    monkeypatch.setenv("MODEL_KEY", "sk-very-secret")
    with model_server(lambda asked, _: "the key is sk-very-secret") as served:
        answers = ask(served, ["a"], tmp_path / "j.sqlite", key_variable="MODEL_KEY")

    assert served.keys == ["Bearer sk-very-secret"]
    assert answers == [Answer("the key is ***")]
    with sqlite3.connect(tmp_path / "j.sqlite") as journal:
        assert "secret" not in "".join(journal.iterdump())


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

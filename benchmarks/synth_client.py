"""CPU time of asking a model through the durable journal, and goodput in a storm: python benchmarks/synth_client.py.

A stub server in a process of its own answers after 50 ms; prompts have 1 KB. Measured is the CPU time of the process
that asks (user and system), its requests rendered, sent, read, journalled. httpx, where it is installed, asks the same
in turn, without a journal; best of --rounds. --million asks a million and tells the memory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from common import ROOT, record

from synth.client import HttpBackend, Server
from synth.engine import Options, answer_all
from synth.journal import Journal
from synth.requests import Request, Sampling

CONCURRENCY = 256
TEXT = "Let $x$ be a root of $x^2 - 5x + 6$. " * 27  # 1 KB
TIMEOUT = 1.5  # seconds after which a call hangs, in the storm
STORM_WAIT = 0.5  # seconds that a call takes there, so that the figure is one of waiting and not of this machine
STORM_CALLS = 32  # at a time


def plan(count: int) -> Iterator[Request]:
    """Requests with prompts of 1 KB, made as they are asked for."""
    for number in range(count):
        yield Request(
            "solve",
            "solve/en@1:0",
            "stub",
            (("user", f"{number:08} {TEXT}"),),
            Sampling(temperature=0.7, max_tokens=64),
        )


@contextlib.contextmanager
def stub(*options: str) -> Iterator[str]:
    """The address of a server in another process."""
    command = [sys.executable, str(ROOT / "tests" / "model_server.py"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def ours(url: str, count: int, concurrency: int = CONCURRENCY, timeout: float = 60) -> tuple[float, float]:
    """CPU and wall seconds, with the journal on disk; all are answered."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder, "journal")) as journal:
        cpu, wall = time.process_time(), time.monotonic()
        backend = HttpBackend(Server(url, "stub", timeout=timeout))
        counted = answer_all(plan(count), backend, journal, lambda *_: "", Options(concurrency))
        assert counted.answered == count, counted
        return time.process_time() - cpu, time.monotonic() - wall


def by_httpx(url: str, count: int) -> tuple[float, float]:
    """The same with httpx, 64 at a time, and nothing kept."""
    import httpx

    async def ask() -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        requests = plan(count)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:

            async def work() -> None:
                for request in requests:
                    messages = [{"role": role, "content": text} for role, text in request.messages]
                    body = {"model": "stub", "messages": messages, "temperature": 0.7, "max_tokens": 64}
                    answer = await client.post(f"{url}/v1/chat/completions", json=body)
                    assert answer.json()["choices"][0]["message"]["content"]

            await asyncio.gather(*(work() for _ in range(64)))

    cpu, wall = time.process_time(), time.monotonic()
    asyncio.run(ask())
    return time.process_time() - cpu, time.monotonic() - wall


def goodput(count: int, *, storms: bool) -> float:
    """Useful answers a second of wall time."""
    with stub("--wait", str(STORM_WAIT), *(["--storm"] if storms else [])) as url:
        return count / ours(url, count, STORM_CALLS, TIMEOUT)[1]


def main() -> None:
    """Measures and records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--million", action="store_true")
    given = parser.parse_args()
    if given.million:
        with stub("--wait", "0.02") as url:
            cpu, wall = ours(url, 1_000_000)
            told = json.loads(urllib.request.urlopen(f"{url}/told").read())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"a million: {1_000_000 / cpu:,.0f} requests per CPU-s, {wall:,.0f} s, {memory:,.0f} MB, {told}")
        record("synth: asking a million requests with the journal, memory", memory, "MB")
        return
    peers = [ours, *([by_httpx] if importlib.util.find_spec("httpx") else [])]
    best = {peer.__name__: 0.0 for peer in peers}
    for _ in range(given.rounds):
        for peer in peers:
            count = given.count if peer is ours else given.count // 10
            with stub("--wait", "0.05") as url:
                best[peer.__name__] = max(best[peer.__name__], count / peer(url, count)[0])
            print(peer.__name__, f"{best[peer.__name__]:,.0f} requests per CPU-s", flush=True)
    record("synth: requests per client CPU-s, 1 KB prompts, durable journal", best["ours"], "1/s")
    if "by_httpx" in best:
        record("synth: the same asked by httpx, no journal", best["by_httpx"], "1/s")
    calm, storm = (goodput(given.count // 3, storms=storms) for storms in (False, True))
    print(f"goodput: calm {calm:,.0f}/s, storm {storm:,.0f}/s, {storm / calm:.3f} of it")
    record("synth: goodput in the storm as a share of the calm rate", storm / calm, "")


if __name__ == "__main__":
    main()

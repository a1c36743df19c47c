"""A real model that extracts pairs from documents it has not seen and solves them, mostly wrongly; ours verifies.

The model is trained once on toy documents (`learning_model.py`, three CPU minutes), kept in pytest's cache or in
the folder that MATHCORPUS_TOY_MODEL names, and served by `transformers serve` on this machine.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import toy_world
from toy_world import Document as Toy

from pipelines.recipe_synth import SynthStage
from pipelines.synth_rounds import rounds_of, tools_of
from synth import rounds
from synth.client import HttpBackend, Server
from synth.engine import Options, answer_all, resolve
from synth.journal import Journal
from synth.samples import Document, Rejection, Sample, rejection_from_row
from synth.tasks.task import Asking

MISSING = "needs pip install 'mathcorpus[local,llm,verify]' 'transformers[serving]'"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
FIGURES = logging.getLogger(__name__)  # shown with --log-cli-level=INFO
DOCUMENTS = {"en": 64, "zh": 32}
UNSEEN = 77  # seed
SOLUTIONS = 4
START_SECONDS = 300
EXACT = 0.85  # least share of documents all of whose pairs are found exactly


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> Path:
    """The folder of the trained model; another one where the world or the training has changed."""
    for package in ("torch", "transformers", "fastapi", "uvicorn", "aiohttp", "math_verify"):
        pytest.importorskip(package, reason=MISSING)
    import learning_model

    sources = b"".join(Path(module.__file__ or "").read_bytes() for module in (toy_world, learning_model))
    home = os.environ.get("MATHCORPUS_TOY_MODEL") or request.config.cache.mkdir("toy_model")
    folder = Path(home) / hashlib.blake2b(sources, digest_size=6).hexdigest()
    if not (folder / "config.json").exists():
        learning_model.learn(folder)
    return folder


@pytest.fixture(scope="module")
def url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `transformers serve`."""
    home = tmp_path_factory.mktemp("home")
    (home / "hub").mkdir()  # without it the list of models is an error 500
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    settings = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [program, "serve", model, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("wb") as log:
        served = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            _wait(served, f"http://127.0.0.1:{port}/health", home / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            served.terminate()
            served.wait()


def _wait(served: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(START_SECONDS):
        assert served.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(1)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def toys() -> list[Toy]:
    """Documents that no lesson had."""
    return [toy for language, n in DOCUMENTS.items() for toy in islice(toy_world.unseen(UNSEEN, language), n)]


@pytest.fixture(scope="module")
def out(model: Path, url: str, toys: list[Toy], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples and rejections of our rounds: extraction, then solutions that have to agree."""
    place = tmp_path_factory.mktemp("synth")
    documents = [Document(f"toy-{n}", toy.text, toy.language) for n, toy in enumerate(toys)]
    server = {"model": str(model), "url": url}
    config = SynthStage(stage="synth", server=server, refine=False, solve={"n": SOLUTIONS})  # type: ignore[arg-type]
    prompts = toy_world.write_pack(place / "prompts")
    backend = HttpBackend(Server(url, str(model)))
    options = Options(concurrency=2)
    with tools_of(config) as tools, Journal(place / "answers.sqlite") as journal:
        chain = rounds_of(config, Asking(prompts, str(model)), tools)

        def ask(plan: object, check: object) -> None:
            answer_all(plan, backend, journal, check, options)  # type: ignore[arg-type]

        def resolved(request: object, check: object) -> object:
            return resolve(request, journal, check, options.resamples)  # type: ignore[arg-type]

        rounds.run(chain, lambda: documents, place, ask, resolved)  # type: ignore[arg-type]
    return place


def rejections(out: Path, name: str) -> list[Rejection]:
    import zstandard

    with zstandard.open(out / name / rounds.REJECTED, "rb") as file:
        return [rejection_from_row(line) for line in file.read().splitlines()]


def test_pairs_of_unseen_documents_are_found(out: Path, toys: list[Toy]) -> None:
    """At least 85 of 100 documents have exactly their pairs: question, answer and solution to the character."""
    found: dict[str, set[tuple[str, str, str]]] = {f"toy-{n}": set() for n in range(len(toys))}
    for sample in all_extracted(out):
        found[sample.parents[0]].add((sample.question, sample.answer, sample.solution))
    exact = [found[f"toy-{n}"] == pairs_of(toy) for n, toy in enumerate(toys)]
    FIGURES.info("%d of %d documents exact", sum(exact), len(exact))

    assert len(exact) >= 90
    assert sum(exact) >= EXACT * len(exact)


def all_extracted(out: Path) -> list[Sample]:
    """What the extraction made, whatever the gates said of it."""
    stopped = [each.sample for each in rejections(out, "extract") if each.sample is not None]
    return [*rounds.accepted(out, "extract"), *stopped]


def pairs_of(toy: Toy) -> set[tuple[str, str, str]]:
    blocks = toy.text.split("\n\n")
    return {tuple(blocks[int(part) - 1] if part else "" for part in pair) for pair in toy.pairs}  # type: ignore[misc]


def test_wrong_answers_are_rejected(out: Path, toys: list[Toy]) -> None:
    """What is accepted is right: no solution with another answer, no question that the document does not ask."""
    truth = {(f"toy-{n}", task.question): str(task.answer) for n, toy in enumerate(toys) for task in toy.sums}
    solved = list(rounds.accepted(out, "solve"))
    refused = [each.sample for each in rejections(out, "solve") if each.sample is not None]
    right = partial(is_right, truth)
    wrong = sum(not right(sample) for sample in refused) + sum(not right(sample) for sample in solved)
    caught = sum(not right(sample) for sample in refused)
    FIGURES.info(
        "%d solutions accepted, %d rejected; of %d wrong, %d rejected", len(solved), len(refused), wrong, caught
    )

    assert wrong >= 20
    assert solved
    assert all(map(right, solved))


def is_right(truth: dict[tuple[str, str], str], sample: Sample) -> bool:
    """Whether a solution is of a question of its document, and ends in its answer."""
    asked = next((a for (toy, q), a in truth.items() if toy == sample.parents[0] and sample.question.endswith(q)), None)
    return asked is not None and sample.answer == asked


def test_every_request_has_its_end(out: Path) -> None:
    """The counts of both rounds add up, and name no failure of the server."""
    for name in ("extract", "solve"):
        counts = json.loads((out / name / rounds.COUNTS).read_text())

        assert counts["requests"] == counts["answered"] + sum(counts["failures"].values())
        assert not [kind for kind in counts["failures"] if kind.startswith(("http_", "refused", "timeout", "garbage"))]

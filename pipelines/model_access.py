"""A model as stages and commands ask it: its prompts, its backend, and the journal of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filters.errors import InputError, RecipeError, UsageError
from pipelines import keys
from pipelines.places import Place, join
from synth import prompts
from synth.backend import BUDGET, GARBAGE, MISSING, NO_LOGPROBS, NO_MODEL, REFUSED, TIMEOUT, is_lasting
from synth.budget import Budget
from synth.chat_template import load_template
from synth.client import HttpBackend, Server
from synth.engine import Options, Summary, answer_all, resolve
from synth.journal import Journal
from synth.local_model import name_of
from synth.probe import probe
from synth.requests import Outcome, Request
from synth.tasks.task import Asking

if TYPE_CHECKING:
    from pipelines.recipe_synth import AsksStage, ModelServer
    from synth.backend import Backend
    from synth.engine import Check

JOURNAL, SERVER = "answers.sqlite", "server.json"
MAX_FAILED = 0.01  # of the questions, that a server may fail to answer in all tries, as with a text that breaks it
_OF_CALLS = {BUDGET, GARBAGE, MISSING, NO_LOGPROBS, NO_MODEL, REFUSED, TIMEOUT}
_REMEDIES = {
    BUDGET: "raise the budget and run the same command again",
    NO_LOGPROBS: "the server gives no probabilities of tokens; use one that does (vLLM, SGLang), or a local model",
}

Told = Callable[[Summary], None]
A = TypeVar("A", bound="AsksStage")


def located(config: A, base: Place, seed: int) -> A:
    """The configuration for workers, wherever they run: with whole paths, and the seed of the recipe if it has none."""
    paths = {name: _path(base, given, name) for name in ("prompts", "journal") if (given := getattr(config, name))}
    places = {
        name: _path(base, given, f"server.{name}")
        for name in ("local", "template")
        if (given := getattr(config.server, name))
    }
    server = config.server.model_copy(update=places)
    own = seed if config.seed is None else config.seed
    return config.model_copy(update={**paths, "server": server, "seed": own})


def lacking(config: AsksStage) -> str | None:
    """What an optional stage lacks on this machine, with the remedy; None where it can run."""
    local = config.server.local
    if local is None:
        return None
    wanted = {"torch": "local", "transformers": "local"}
    if getattr(config, "solve", None) is not None:
        wanted["math_verify"] = "verify"
    if missing := [name for name in wanted if find_spec(name) is None]:
        return f"needs {missing[0]}: pip install 'mathcorpus[{wanted[missing[0]]}]'"
    return None if (Path(local) / "config.json").exists() else f"no model in {local}"


def _path(base: Place, given: str, what: str) -> str:
    found = join(base, given)
    if not isinstance(found, Path):
        msg = f"{what}: {given}: must be a folder of this machine, and no URL"
        raise RecipeError(msg)
    return str(found.absolute())


def need(config: AsksStage) -> str:
    """Key of what a located stage asks with: its prompts and styles, and the model."""
    loaded = prompts.load(prompt_folder(config))
    asked = sorted(prompt.name for prompt in loaded.files.values()), loaded.styles
    return keys.digest([asked, model_name(config.server)])


def prompt_folder(config: AsksStage) -> Path | None:
    """The folder of the prompts that replace ours, if there is one."""
    return Path(config.prompts) if config.prompts else None


def model_name(server: ModelServer) -> str:
    """The model as it stands in the ids of requests: its name, for a local one that of its folder and its files."""
    if server.local is None:
        return server.model
    folder = Path(server.local)
    if not (folder / "config.json").exists():
        msg = f"{folder}: no model here; give the folder that save_pretrained wrote"
        raise InputError(msg)
    return name_of(folder)


@dataclass(slots=True)
class Model:
    """A model that is ready to be asked."""

    asking: Asking
    backend: Backend
    journal: Journal
    options: Options
    told: Told | None = None
    summary: Summary = field(default_factory=Summary)  # of the last call of `answer`

    def answer(self, requests: Iterable[Request], check: Check) -> None:
        """Brings all requests to an end; UsageError where the budget or the server did not last for nearly all."""
        self.summary = answer_all(requests, self.backend, self.journal, check, self.options, self.told)
        self.journal.flush()
        left = {kind: number for kind, number in self.summary.failures.items() if is_passing(kind)}
        if BUDGET not in left and sum(left.values()) <= MAX_FAILED * self.summary.planned:
            return
        kind, number = max(left.items(), key=lambda item: item[1])
        remedy = _REMEDIES.get(kind, "see to the server and run the same command again")
        msg = (
            f"{sum(left.values()):,} of {self.summary.planned:,} questions to {self.asking.model} have no answer "
            f"({kind}: {number:,}); {remedy}; the answers so far are kept"
        )
        raise UsageError(msg)

    def resolved(self, request: Request, check: Check) -> tuple[Request, Outcome]:
        """The last attempt at a request and what came of it."""
        return resolve(request, self.journal, check, self.options.resamples)


def is_passing(kind: str) -> bool:
    """Whether a failure is one of the server or the budget, which another run may mend."""
    return not is_lasting(kind) and (kind in _OF_CALLS or kind.startswith("http_"))


@contextmanager
def opened(config: AsksStage, folder: Path, told: Told | None = None) -> Iterator[Model]:
    """The model of a located stage, its journal in a folder of this machine; `told` hears of the progress."""
    server = config.server
    assert config.seed is not None
    asking = Asking(prompts.load(prompt_folder(config)), model_name(server), config.seed)
    budget = Budget(server.tokens, server.money, server.prompt_price, server.completion_price)
    folder.mkdir(parents=True, exist_ok=True)
    calls = 1 if server.local else server.concurrency  # a call of a local model is a batch
    options = Options(calls, config.resamples, budget=budget)
    with Journal(folder / JOURNAL) as journal:
        yield Model(asking, _backend(server, folder), journal, options, told)


@lru_cache(maxsize=1)
def _local(folder: str, name: str) -> Backend:  # noqa: ARG001 - the name holds a digest of the files, which may change
    """The model of a folder, loaded once a process."""
    from synth.local_model import LocalBackend

    return LocalBackend(Path(folder))


def _backend(server: ModelServer, folder: Path) -> Backend:
    if server.local is not None:
        return _local(server.local, model_name(server))
    assert server.url is not None
    at = Server(server.url, server.model, server.key_env, server.timeout)
    render = load_template(Path(server.template)) if server.template else None
    return HttpBackend(at, probe(at, folder / SERVER), render)

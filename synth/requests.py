"""What is asked of a model and what came of it: the values that tasks, engine, journal and export share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import orjson

SEED_BITS = 31  # servers take seeds as signed 32-bit numbers


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a text is drawn. Every field is sent, since servers fill in what is left out from files of the model."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024  # of the answer
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One planned question to a model.

    messages : (role, content), in order.
    prompt : name, language, version and digest of the template that made the messages.
    sample : which of the n answers to the same question this is, from 0.
    seed : of the run; requests that differ in `sample` only may be asked for as one call with `n`.
    attempt : how often an answer to this was refused by the task and drawn again with another seed.
    labels : where probabilities are wanted and no text: the spellings whose probability as next token is asked for.
    """

    task: str
    prompt: str
    model: str
    messages: tuple[tuple[str, str], ...]
    sampling: Sampling = field(default_factory=Sampling)
    sample: int = 0
    seed: int = 0
    attempt: int = 0
    labels: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """32 hex digits: the digest of all that decides the answer. Not the address of a server, which may move."""
        whole = (
            self.task, self.prompt, self.model, self.messages, self.sampling, self.sample, self.seed, self.attempt,
            self.labels,
        )  # fmt: skip
        return hashlib.blake2b(orjson.dumps(whole), digest_size=16).hexdigest()

    @property
    def draw(self) -> int:
        """The seed to send when this sample is asked for alone: 0 to 2**31 - 1."""
        own = f"{self.seed}\0{self.sample}\0{self.attempt}".encode()
        return int.from_bytes(hashlib.blake2b(own, digest_size=8).digest()) >> (64 - SEED_BITS)

    def again(self) -> Request:
        """The same question, drawn once more."""
        return replace(self, attempt=self.attempt + 1)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the server counted them; zeros where it does not say."""

    prompt: int = 0
    cached: int = 0  # of those of the prompt
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: a text, probabilities, or a failure. Every planned request ends in one.

    finish : why the model stopped, as the server says: stop, length, content_filter, ...
    tops : (token, log-probability) of the next token, for requests with labels.
    failure : empty, or the kind of failure, final after all tries.
    model : as the server names what answered.
    """

    text: str | None = None
    finish: str = ""
    usage: Usage = field(default_factory=Usage)
    tops: tuple[tuple[str, float], ...] = ()
    failure: str = ""
    model: str = ""
    tries: int = 1

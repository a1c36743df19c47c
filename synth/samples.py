"""Documents that samples are made of, samples, and rejections: what tasks take and give, and rows of files.

A sample names all its ancestors, from the document it goes back to down to the sample it was made of, so that whoever
removes one of them finds its descendants without a search. Its id is a digest of those, of the request, and of its
place among the samples of that answer: the same plan and journal give the same ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from synth.parse import Pair
from synth.requests import Outcome, Request

SAMPLE_VERSION = "sample-1"


@dataclass(frozen=True, slots=True)
class Document:
    """What a sample is made of; `language` is en or zh."""

    id: str
    text: str
    language: str
    url: str = ""

    @property
    def lineage(self) -> tuple[str, ...]:
        """The parents of what is made of it."""
        return (self.id,)


@dataclass(frozen=True, slots=True)
class Generation:
    """Where a text comes from: the request, what answered it, and how.

    draw : the seed that was sent. model : as the server named it; `asked` as we did.
    outside, dropped : of the answer, see `synth.parse.Parsed`.

    Nothing that depends on how a run went is here: no times, no tries, no tokens that a server had cached.
    """

    request: str
    prompt: str
    asked: str
    model: str
    sampling: Mapping[str, Any]
    seed: int
    draw: int
    sample: int
    attempt: int
    finish: str
    prompt_tokens: int
    completion_tokens: int
    outside: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says: pass, fail, or unknown, which is never a pass; with the numbers it rests on."""

    gate: str
    version: int
    outcome: str
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One synthesised text: a question with its solution, or a text without a question.

    format : extract, refine, generate, cot, code, textbook or dialogue.
    parents : all ancestors, from the document to the sample it was made of.
    spans : of an extracted sample, part -> [[start, end], ...] in characters of the document.
    context : what stands around it in the document, for those that refine and judge it.
    before : of a refined sample, the pair as it was; `signals` has how far the two are apart.
    votes : of a solution, among all to its question; signals : numbers of tasks (kind, reward, judge, ...).
    """

    id: str
    format: str
    language: str
    parents: tuple[str, ...]
    generation: Generation
    question: str = ""
    solution: str = ""
    answer: str = ""
    text: str = ""
    url: str = ""
    context: str = ""
    spans: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    votes: Mapping[str, Any] = field(default_factory=dict)
    signals: Mapping[str, Any] = field(default_factory=dict)
    gates: tuple[Verdict, ...] = ()

    @property
    def lineage(self) -> tuple[str, ...]:
        """The parents of what is made of it."""
        return (*self.parents, self.id)

    @property
    def pair(self) -> Pair:
        """Question, answer and solution."""
        return Pair(self.question, self.answer, self.solution)

    @property
    def training_text(self) -> str:
        """The text as a corpus holds it."""
        return self.text or "\n\n".join(filter(None, (self.question, self.solution or self.answer)))


@dataclass(frozen=True, slots=True)
class Rejection:
    """Something planned or parsed that became no sample.

    stage : `request` where no usable answer came, `nothing` where the model said that there is nothing, `parse` for a
    pair that could not be read, or the name of the gate. raw : the text, where there is one.
    """

    parents: tuple[str, ...]
    task: str
    stage: str
    reason: str
    request: str
    raw: str = ""
    sample: Sample | None = None


def sample_id(parents: tuple[str, ...], request: Request, ordinal: int) -> str:
    """32 hex digits."""
    whole = orjson.dumps((SAMPLE_VERSION, parents, request.id, ordinal))
    return hashlib.blake2b(whole, digest_size=16).hexdigest()


def generation(request: Request, outcome: Outcome, *, outside: int = 0, dropped: int = 0) -> Generation:
    """The provenance of what this answer holds."""
    sampling, usage = request.sampling, outcome.usage
    return Generation(
        request=request.id, prompt=request.prompt, asked=request.model, model=outcome.model,
        sampling={f.name: getattr(sampling, f.name) for f in fields(sampling)}, seed=request.seed, draw=request.draw,
        sample=request.sample, attempt=request.attempt, finish=outcome.finish, prompt_tokens=usage.prompt,
        completion_tokens=usage.completion, outside=outside, dropped=dropped,
    )  # fmt: skip


def to_row(item: Sample | Rejection) -> bytes:
    """One line of JSON without its line break, keys in order: the same value, the same bytes.

    A sample's `text` is what a corpus holds; question, solution and the rest stand beside it.
    """
    row = {f.name: getattr(item, f.name) for f in fields(item)}
    if isinstance(item, Sample):
        row |= {"text": item.training_text, "own_text": item.text}
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


def from_row(line: bytes) -> Sample:
    """The sample in a line that `to_row` wrote."""
    return _sample(orjson.loads(line))


def rejection_from_row(line: bytes) -> Rejection:
    """The rejection in a line that `to_row` wrote."""
    row = orjson.loads(line)
    sample = row.pop("sample")
    if sample is not None:
        sample = _sample({**sample, "own_text": sample["text"]})
    return Rejection(**row | {"parents": tuple(row["parents"]), "sample": sample})


def _sample(row: dict[str, Any]) -> Sample:
    made = Generation(**row["generation"])
    gates = tuple(Verdict(**verdict) for verdict in row["gates"])
    text = row.pop("own_text")
    return Sample(**row | {"parents": tuple(row["parents"]), "generation": made, "gates": gates, "text": text})

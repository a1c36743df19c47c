"""Scores by a language model as a step: a column, its evidence, and a verdict where the recipe has a threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from filters.batches import batched
from filters.errors import InputError
from pipelines.model_access import Model, need, opened
from synth.samples import Document as Text
from synth.tasks.score import EduScore, LmScore, Score

if TYPE_CHECKING:
    from pipelines.decisions import Artefact
    from pipelines.recipe_synth import ScoreStage
    from synth.tasks.task import Asking

DOCUMENTS, CHARS = 512, 1 << 25  # asked about together: enough to keep a server busy, and 100 MB at most
_DIGITS = 6  # of a score, as it is kept


class AsksModel(PipelineStep):
    """A step that asks a model about documents, many at a time."""

    type = "🧠 MODEL"
    exclusion_writer: Any = None  # takes what is removed, and counts what is made

    def __init__(self, config: Any, answers: Artefact) -> None:
        """A located configuration; the folder of answers, and the key of what is asked with."""
        super().__init__()
        self.config, self.answers = config, answers

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:  # noqa: ARG002
        """The documents that stay, and those that are made."""
        if need(self.config) != self.answers.digest:
            msg = f"stage {self.name!r}: prompts or model changed while the build ran; run it again"
            raise InputError(msg)
        with opened(self.config, Path(self.answers.path) / f"{rank:05d}") as model:
            for docs in batched(data, CHARS, DOCUMENTS):
                yield from self.answered(model, docs)

    def answered(self, model: Model, docs: Sequence[Document]) -> Iterator[Document]:
        """What becomes of some documents."""
        raise NotImplementedError

    def remove(self, doc: Document, reason: str, score: float | None = None) -> None:
        """Takes a document out, with a row that says why."""
        doc.metadata["filter_reason"] = reason
        if score is not None:
            doc.metadata["filter_score"] = score
        self.exclusion_writer.write(doc)


class ScoreDocuments(AsksModel):
    """Adds the column `lm_score` or `edu_score`; how it came about goes into the evidence."""

    name = "score"
    config: ScoreStage

    def answered(self, model: Model, docs: Sequence[Document]) -> Iterator[Document]:
        """The documents with their scores, but for those below the threshold."""
        task = task_of(self.config, model.asking)
        texts = [as_text(doc) for doc in docs]
        model.answer((request for text in texts for request in task.plan(text)), task.check)
        for doc, text in zip(docs, texts, strict=True):
            answers = [model.resolved(request, task.check) for request in task.plan(text)]
            score = task.finish(text, answers)[0] if answers else None  # nothing is asked about blanks
            assert isinstance(score, Score | None)
            if score is not None:
                doc.metadata["evidence"] = [_evidence(score)]
            mean = None if score is None or score.mean is None else round(score.mean, _DIGITS)
            doc.metadata[self.config.task] = mean
            if reason := self._verdict(score.marks if score else {"blank": 1}, mean):
                self.remove(doc, reason, mean)
            else:
                yield doc

    def _verdict(self, marks: Mapping[str, int], mean: float | None) -> str | None:
        """Why the document goes, or None."""
        least = self.config.threshold
        if least is None or (mean is None and self.config.unscored == "keep"):
            return None
        if mean is None:
            return f"unscored:{max(marks, key=lambda mark: (marks[mark], mark))}"
        return f"low_{self.config.task}" if mean < least else None


def task_of(config: ScoreStage, asking: Asking) -> LmScore | EduScore:
    """What is asked."""
    return (LmScore if config.task == "lm_score" else EduScore)(asking, config.window_chars)


def as_text(doc: Document) -> Text:
    """A document as tasks read it."""
    about = doc.metadata
    return Text(doc.id, doc.text, str(about.get("language") or "und"), str(about.get("url") or ""))


def _evidence(score: Score) -> dict[str, Any]:
    """The score as its evidence tells it."""
    return {
        "prompt": score.prompt,
        "model": score.model,
        "windows": score.windows,
        "scores": score.scores,
        "least": score.least,
        "questions": dict(score.questions),
        "label_mass": dict(score.masses),
        "marks": dict(score.marks),
        "requests": score.requests,
        **({"grades": score.grades} if score.grades else {}),
    }

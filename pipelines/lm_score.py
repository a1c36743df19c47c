"""Scores rows by a language model: the command `mathcorpus score`, outside of a build."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.language import detect
from pipelines.model_access import Model, located, opened
from pipelines.recall_score import Target, write_scores
from pipelines.recipe_synth import ScoreStage
from pipelines.score_step import task_of
from synth.engine import Summary
from synth.samples import Document
from synth.tasks.score import Score

TOP = {"lm_score": 1.0, "edu_score": 5.0}

Progress = Callable[[str, int], None]


class LmScorer:
    """A model as something that scores texts."""

    def __init__(self, model: Model, config: ScoreStage) -> None:
        self._model, self._task = model, task_of(config, model.asking)

    def scores(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """float64[N]: the mean over the windows of each text; NaN where the model did not answer the question."""
        task, model = self._task, self._model
        docs = [Document(hashlib.blake2b(t.encode("utf-8", "replace")).hexdigest(), t, detect(t)[0]) for t in texts]
        model.answer((request for doc in docs for request in task.plan(doc)), task.check)
        found = np.full(len(texts), np.nan)
        for place, doc in enumerate(docs):
            answers = [model.resolved(request, task.check) for request in task.plan(doc)]
            score = task.finish(doc, answers)[0] if answers else None
            if isinstance(score, Score) and score.mean is not None:
                found[place] = score.mean
        return found


def score(target: Target, config: ScoreStage, answers: Path, told: Callable[[Summary], None]) -> dict[str, Any]:
    """Writes the scored files, and returns counts; what was answered is kept in a folder, and not asked again."""
    config = located(config, Path.cwd(), 1)
    with opened(config, answers, told) as model:
        found = write_scores(target, LmScorer(model, config), None, lambda _what, _size: None)
        usage = model.journal.usage()
    return {"model": model.asking.model, "task": config.task, "tokens": [usage.prompt, usage.completion], **found}

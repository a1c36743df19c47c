"""The step that decides on source code: rules by language, and a classifier of its own.

Both verdicts stay as columns: `code_rule` (see `filters.code_rules.rule_of`) and `math_score`. The fate comes of both:

| rule | stays |
|---|---|
| proof, algebra | always: the language is for nothing else |
| library | from `library_threshold` on: a helper of a numerical library need not look like mathematics |
| tex, numerical, none | from `threshold` on: a web service may import numpy, a file of constants imports nothing |
| too_large, digits | never |
"""

from __future__ import annotations

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.code_model import MODEL_VERSION, load_code_model
from filters.code_rules import ALWAYS, CodeLimits, Rule, notebook_text, rule_of

CODE_VERSION = f"code-1/{MODEL_VERSION}"


class Code(BaseFilter):
    """Writes `code_rule` and `math_score` of source code; a notebook's text becomes its cells. Others pass.

    Removed: `not_math`, `too_large`, `digits`.
    """

    name = "code"

    def __init__(
        self,
        model_path: str,
        model_sha256: str,
        threshold: float = 0.5,
        library_threshold: float = 0.1,
        limits: CodeLimits | None = None,
    ) -> None:
        super().__init__()
        self.model_path, self.model_sha256 = model_path, model_sha256
        self.threshold, self.library_threshold = threshold, library_threshold
        self.limits = limits or CodeLimits()

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """The verdict on one document."""
        if doc.metadata.get("source") != "code":
            return True
        path = str(doc.metadata.get("path") or doc.metadata.get("origin", "").partition("#")[0])
        if (cells := notebook_text(doc.text, path)) is not None:
            doc.text = cells
        rule = rule_of(doc.text, path, self.limits)
        score = load_code_model(self.model_path, self.model_sha256).score(doc.text, path)
        doc.metadata["code_rule"], doc.metadata["math_score"] = rule, score
        if self.stays(rule, score):
            return True
        doc.metadata["filter_score"] = score
        doc.metadata["evidence"] = [{"code_rule": rule, "math_score": score, "threshold": self._limit(rule)}]
        return False, rule if rule in ("too_large", "digits") else "not_math"

    def _limit(self, rule: Rule) -> float:
        return self.library_threshold if rule == "library" else self.threshold

    def stays(self, rule: Rule, score: float) -> bool:
        """The fate by both verdicts."""
        if rule in ("too_large", "digits"):
            return False
        return rule in ALWAYS or score >= self._limit(rule)

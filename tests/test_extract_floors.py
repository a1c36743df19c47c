"""Formulas and text of whole pages may not get worse: the self-written pages, and a sample of real ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from conftest import REPOSITORY
from extraction_scorer import Expected, FormulaScores, formula_scores, token_f1

from filters.html import extract

FLOORS = json.loads((REPOSITORY / "tests" / "floors.json").read_text(encoding="utf-8"))["extraction"]
PAGES = sorted((REPOSITORY / "tests" / "pages").glob("*.html"))
MIN_FORMULAS = 4  # of a real page whose formulas are scored


def score(page: Path) -> FormulaScores | None:
    """Of a self-written page, whose formulas are known with the spelling that is asked for; None where it has none."""
    truth: dict[str, Any] = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    stated = [Expected(one["tex"]) for one in truth["formulas"]]
    return formula_scores(extract(page.read_bytes()).text, stated) if stated else None


@pytest.fixture(scope="module")
def truths(shared_data: Path) -> list[Any]:
    """A page of each host of the real crawl, with its truth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(REPOSITORY / "benchmarks")])
        from extraction_truth import sample

        return sample(shared_data / "raw" / "web", FLOORS["pages_of_a_host"])


def test_conventions_keep_their_formulas() -> None:
    """A page for each way to carry formulas, from bytes to Markdown: each formula once, whole, and nothing else."""
    scores = [found for page in PAGES if (found := score(page))]

    assert len(scores) >= FLOORS["conventions"]
    assert mean(s.span for s in scores) >= FLOORS["floor"]["convention_span"]
    assert mean(s.precision for s in scores) >= FLOORS["floor"]["convention_precision"]
    assert min(s.span for s in scores) >= FLOORS["floor"]["lowest_convention_span"]


def test_real_pages_keep_formulas_and_text(truths: list[Any]) -> None:
    """Span recall, precision, and formulas between their own words; words of the main text by kind of page."""
    texts = [extract(truth.html).text for truth in truths]
    pairs = list(zip(truths, texts, strict=True))
    scores = [formula_scores(text, t.formulas) for t, text in pairs if len(t.formulas) >= MIN_FORMULAS]
    found = {name: mean(getattr(s, name) for s in scores) for name in ("span", "precision", "context")}
    for kind in ("markdown", "blogs", "math", "manuals"):
        found[f"f1_{kind}"] = mean(token_f1(text, truth.text) for truth, text in pairs if truth.kind == kind)

    assert {name: value for name, value in found.items() if value < FLOORS["floor"][name]} == {}
    assert all(text.strip() for text in texts)

"""The stages of recall in a build: code by its own model, books by section, the others whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from filters.books import Books
from filters.classifier import Recall
from filters.code import Code
from filters.errors import RecipeError
from pipelines.decisions import Artefact
from pipelines.keys import code_model_key
from pipelines.recipe import CodeStage, RecallStage
from pipelines.recipe_file import load_recipe
from pipelines.stage import StageSpec, build_steps

MODEL = Artefact("model.bin", "0")


def test_recall_scores_books_by_section_unless_told_otherwise() -> None:
    """Two steps, the second for what the first leaves; a threshold for books is theirs."""
    config = RecallStage(stage="recall", model="m.bin", threshold={"web": 0.4, "book": 0.7})
    books, recall = build_steps(StageSpec("recall", config, MODEL))
    whole = build_steps(StageSpec("recall", config.model_copy(update={"books": "whole"}), MODEL))

    assert isinstance(books, Books)
    assert books.threshold == 0.7
    assert isinstance(recall, Recall)
    assert [type(step) for step in whole] == [Recall]


def test_a_code_stage_has_its_limits_from_the_recipe() -> None:
    """Every number of the stage reaches the step."""
    config = CodeStage(
        stage="code", model="m.json", threshold=0.6, library_threshold=0.2, max_bytes=9, max_digit_share=0.1
    )
    [step] = build_steps(StageSpec("code", config, MODEL))

    assert isinstance(step, Code)
    assert (step.threshold, step.library_threshold) == (0.6, 0.2)
    assert (step.limits.max_bytes, step.limits.max_digit_share) == (9, 0.1)


def test_the_key_of_a_code_model_is_that_of_its_seeds(tmp_path: Path) -> None:
    """Other seeds or columns train another model; another threshold does not."""
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(json.dumps({"text": "x"}))
    stage = CodeStage(stage="code", seeds="seeds.jsonl")
    key = code_model_key(stage, tmp_path)

    assert code_model_key(stage.model_copy(update={"threshold": 0.9}), tmp_path) == key
    assert code_model_key(stage.model_copy(update={"label_field": "math"}), tmp_path) != key
    seeds.write_text(json.dumps({"text": "y"}))
    assert code_model_key(stage, tmp_path) != key


def test_a_code_stage_without_seeds_is_an_error_of_the_recipe(tmp_path: Path) -> None:
    """One line that names the file and what is missing."""
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nsources: [{format: code, name: c, path: .}]\nstages:\n  - stage: code\n")

    with pytest.raises(RecipeError, match="code needs seeds, or a model"):
        load_recipe(recipe)

"""A recipe that does not validate says file, line, key, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from filters.errors import RecipeError
from pipelines.recipe import Recipe
from pipelines.recipe_file import load_recipe, parse_recipe

GOOD = """\
name: tiny
params: {data: null}
sources:
  - format: jsonl
    name: notes
    path: ${data}/notes.jsonl
stages:
  - stage: language
  - stage: quality
    min_tokens: 3
"""


def parse(text: str, **settings: str) -> Recipe:
    return parse_recipe(text, Path("r.yaml"), settings or {"data": "d"})


def test_params_are_put_into_paths() -> None:
    """A param given with --set stands wherever ${name} does."""
    recipe = parse(GOOD, data="/raw")

    assert recipe.sources[0].path == "/raw/notes.jsonl"
    assert [s.stage for s in recipe.stages] == ["language", "quality"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "min_tokens: 3",
            "min_token: 3",
            "r.yaml:10: stages.1.min_token: unknown key; did you mean 'min_tokens'? allowed:",
        ),
        ("min_tokens: 3", "min_tokens: many", "r.yaml:10: stages.1.min_tokens: Input should be a valid integer"),
        (
            "min_tokens: 3",
            "min_tokens: -1",
            "r.yaml:10: stages.1.min_tokens: Input should be greater than or equal to 0",
        ),
        (
            "stage: quality",
            "stage: qualty",
            "r.yaml:9: stages.1: unknown stage; did you mean 'quality'? allowed: extract,",
        ),
        ("format: jsonl", "format: json", "r.yaml:4: sources.0: unknown format; did you mean 'jsonl'? allowed: warc,"),
        ("name: tiny", "nam: tiny", "r.yaml:1: recipe: name is missing"),
        ("name: tiny", "name: tiny\nname: two", "r.yaml:2: key 'name' was given before, on line 1; keep one"),
        ("name: tiny", "name: [tiny", "r.yaml:2: not YAML"),
        ("stage: language", "stage: quality", "r.yaml:1: recipe: two stages are named 'quality'; names must differ"),
        ("${data}", "${dta}", "r.yaml:6: ${dta} is not among params (data)"),
        ("format: jsonl", "format: html", "source 'notes' holds HTML, so the first stage must be extract"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, message: str) -> None:
    """Each mistake gives one line that says where it is and what is allowed."""
    with pytest.raises(RecipeError) as caught:
        parse(GOOD.replace(old, new))

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_param_without_a_value_says_how_to_give_it() -> None:
    """A null param that was not set stops with the option to use."""
    with pytest.raises(RecipeError, match="param 'data' has no value; give it with --set data=VALUE"):
        parse_recipe(GOOD, Path("r.yaml"), {})


def test_a_setting_that_is_no_param_is_refused() -> None:
    """--set of an unknown name says which there are."""
    with pytest.raises(RecipeError, match="--set other: r.yaml has no such param; it has data"):
        parse(GOOD, data="d", other="x")


def test_recall_needs_seeds_or_a_model() -> None:
    """A recall stage without either is refused."""
    with pytest.raises(RecipeError, match="recall needs positive and negative seeds, or a model"):
        parse(GOOD.replace("stage: language", "stage: recall"))


@pytest.mark.parametrize("name", ["quickstart/recipe.yaml", "real.yaml"])
def test_shipped_recipes_validate(name: str) -> None:
    """Every recipe in examples/ is one that this version takes."""
    path = Path(__file__).parent.parent / "examples" / name
    settings = {"data": "d", "code": "c"} if name == "real.yaml" else {}

    assert load_recipe(path, settings).stages[-1].stage == "tokens"

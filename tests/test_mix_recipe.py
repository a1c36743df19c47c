"""A mix that cannot be made is one line of a recipe: what, where, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from filters.errors import RecipeError
from pipelines.recipe import Recipe
from pipelines.recipe_file import parse_recipe
from pipelines.recipe_mix import check_mixes

STAGES = [{"stage": "quality"}, {"stage": "tokens"}]


def parse(mixes: Any, stages: Any = STAGES) -> Recipe:
    """A recipe whose mixes begin in line 9, a key a line."""
    recipe = {"name": "r", "sources": [{"format": "jsonl", "name": "n", "path": "in"}], "stages": stages}
    return parse_recipe(yaml.safe_dump({**recipe, "mixes": mixes}, sort_keys=False), Path("r.yaml"), {})


def part(**more: Any) -> dict[str, Any]:
    return {"name": "p", "weight": 1, **more}


def mix(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "m", "tokens": 100, "parts": list(parts) or [part()], **more}


def test_values_keep_their_kind() -> None:
    """Text, numbers, truth, null, lists of them and ranges; over columns and metadata."""
    where = {
        "language": ["en", None],
        "math_score": {"at_least": 0.5},
        "tokens": 5,
        "metadata.year": [2020, "2021", True],
        "metadata.a.b": None,
    }
    [made] = parse([mix(part(where=where))]).mixes

    assert made.model_dump(mode="json")["parts"][0]["where"] == {
        **where,
        "math_score": {"at_least": 0.5, "below": None},
    }
    assert [type(v) for v in made.parts[0].where["metadata.year"]] == [int, str, bool]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            {"sorce": "web"},
            r"r.yaml:13: mixes.0.parts.0: no column 'sorce' to choose by; did you mean 'source'\? there",
        ),
        ({"text": "a"}, "no column 'text' to choose by; there are id, source, url, host, language, licence,"),
        ({"parents": "a"}, "no column 'parents' to choose by;"),
        ({"metadata.": 1}, "no column 'metadata.' to choose by;"),
        ({"metadata": "{}"}, r"no column 'metadata' to choose by; did you mean 'metadata.'\? .*, and metadata.KEY"),
        (
            {"math_score": {"at_most": 1}},
            "where.math_score.at_most: unknown key; did you mean 'at_least'. allowed: at_least, below",
        ),
        (
            {"math_score": {"at_least": 1, "below": 1}},
            "where.math_score: no number is at least 1 and below 1; exchange",
        ),
        ({"math_score": {}}, "where.math_score: a range needs at_least, below, or both"),
        ({"math_score": {"below": float("inf")}}, "where.math_score.below: Input should be a finite number"),
        ({"math_score": "high"}, "where.math_score holds numbers, and 'high' is none; give a number, or at_least and"),
        ({"tokens": True}, "where.tokens holds numbers, and True is none"),
        ({"source": {"below": 1}}, "where.source holds text, and at_least and below are for numbers; give a value"),
        ({"language": False}, "where.language holds text, and False is none; put it in quotes"),
        ({"language": ["en", 1]}, "where.language holds text, and 1 is none; put it in quotes"),
        ({"source": []}, "where.source: List should have at least 1 item"),
        ({"metadata.x": [[1]]}, r"r.yaml:17: mixes.0.parts.0.where.metadata.x.0: Input should be a valid string"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(where: Any, message: str) -> None:
    """With its column, and what would do."""
    with pytest.raises(RecipeError, match=message):
        parse([mix(part(where=where))])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (mix(part(tokens=5)), "part 'p' needs one of weight, tokens and epochs, and has weight and tokens"),
        (mix({"name": "p"}), "part 'p' needs one of weight, tokens and epochs, and has none of them"),
        (mix(part(weight=0)), "weight: Input should be greater than 0"),
        (mix({"name": "p", "epochs": 5}), "part 'p': epochs 5 are more than max_epochs 4; raise that"),
        (mix(part(max_epochs=0)), "max_epochs: Input should be greater than or equal to 1"),
        (mix({"name": "书", "epochs": 1}), r"parts.0.name: String should match pattern .* \(found '书'\)"),
        (mix(part(), tokens=None), "part 'p' has a weight, but the mix no tokens to share out; give it `tokens`"),
        (
            mix({"name": "p", "epochs": 1}),
            "no part has a weight to get its share of `tokens` by; give the parts weights",
        ),
        (
            mix({"name": "a", "tokens": 100, "where": {"source": "web"}}, part()),
            "the parts with tokens take 100 of 100 and leave nothing to those with a weight",
        ),
        (
            mix(part(), part(name="q")),
            "part 'p' takes all documents and 'q' none; move it to the end, or give it where",
        ),
        (mix(part(where={"source": "web"}), part()), "two parts are named 'p'; names must differ"),
        (mix(caps=[{"column": "hots", "tokens": 1}]), r"caps.0: no column 'hots' to choose by; did you mean 'host'\?"),
        (mix(caps=[{"column": "host"}]), "caps.0: a cap needs tokens, share, or both"),
        (mix(caps=[{"column": "host", "share": 1}]), "share: Input should be less than 1"),
        (
            mix(caps=[{"column": "host", "shar": 0.1}]),
            r"unknown key; did you mean 'share'\? allowed: column, share, tokens",
        ),
        (mix(caps=[{"column": "host", "tokens": 1}] * 2), "two caps are named 'host'; names must differ"),
        (mix(name="../m"), "mixes.0.name: String should match pattern"),
        (mix(parts=[]), "mixes.0.parts: List should have at least 1 item"),
        (mix(partz=1), "mixes.0.partz: unknown key; did you mean 'parts'"),
    ],
)
def test_a_mix_that_cannot_be_meant_is_refused(given: Any, message: str) -> None:
    """Whatever is missing, given twice, or leaves nothing to others."""
    with pytest.raises(RecipeError, match=message):
        parse([given])


def test_two_mixes_of_one_name() -> None:
    """Each has a folder of its own."""
    with pytest.raises(RecipeError, match="r.yaml:1: recipe: two mixes are named 'm'; names must differ"):
        parse([mix(), mix()])


def test_a_mix_needs_counted_tokens() -> None:
    """Of all documents, those that are made too."""
    with pytest.raises(RecipeError, match="mixes are made by tokens; add `- stage: tokens` at the end of stages"):
        parse([mix()], [{"stage": "quality"}])
    mixes = parse([mix()]).mixes
    with pytest.raises(ValueError, match="samples are not counted; move `- stage: tokens` behind `- stage: synth`"):
        check_mixes(mixes, ["quality", "tokens", "synth"])
    check_mixes(mixes, ["quality", "synth", "tokens"])
    check_mixes([], ["quality"])

"""docs/recipes.md says what the code takes."""

from __future__ import annotations

from pathlib import Path

from pipelines.recipe_page import page


def test_the_page_is_that_of_the_code() -> None:
    """Made anew, it is the same; otherwise: python -m pipelines.recipe_page > docs/recipes.md."""
    assert (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8") == page()


def test_every_key_says_what_it_is() -> None:
    """No row of the page is without a description or a type."""
    rows = [line.split(" | ") for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert [row[0] for row in rows if row[-1].strip(" |") == "" or row[1] == "anything"] == []

"""The recipe of a synthesis by itself: what it reads, which model it asks, and what it makes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.recipe import JsonlSource, ParquetSource, TextSource, WetSource
from pipelines.recipe_base import Model, check_texts
from pipelines.recipe_synth import SynthStage

SynthSource = Annotated[JsonlSource | ParquetSource | TextSource | WetSource, Field(discriminator="format")]


class Synthesis(SynthStage):
    """What is made, by which model."""

    stage: Literal["synth"] = "synth"


class SynthRecipe(Model):
    """Samples from documents that are texts already: the corpus of a build, books, rows with text."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="name of the samples")
    seed: int = Field(default=1, ge=0, description="of what is drawn")
    params: dict[str, str | None] = Field(
        default_factory=dict, description="names for ${...}; null must be given with --set NAME=VALUE"
    )
    sources: list[SynthSource] = Field(min_length=1, description="documents")
    synth: Synthesis = Field(description="what is made of them")
    against: str | list[str] | None = Field(
        default=None, description="benchmarks: folders NAME/SPLIT.jsonl, or names; samples that are like an item go"
    )

    @model_validator(mode="after")
    def _consistent(self) -> SynthRecipe:
        check_texts(self.sources, "build a corpus of it first, and give that")
        return self

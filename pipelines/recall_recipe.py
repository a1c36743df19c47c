"""Recipes of recall in cycles: what is searched, from which seeds, by which rules, and when it ends.

Checked as recipes of builds are: no key is left unknown, and an error names file, line and key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from pipelines.recipe import JsonlSource, ParquetSource, Share, TextSource, WetSource
from pipelines.recipe_base import Model, check_texts
from pipelines.recipe_file import load_model_of

Paths = str | list[str]
RecallSource = Annotated[JsonlSource | ParquetSource | WetSource | TextSource, Field(discriminator="format")]


class Keep(Model):
    """What a cycle catches: by score, by rank, or as many tokens as fit a budget, the best scores first."""

    threshold: Share = Field(default=0.5, description="least score; holds beside the other two")
    pages: int | None = Field(default=None, ge=1, description="pages at most; equal scores by the digest of the id")
    tokens: int | None = Field(default=None, ge=1, description="tokens at most")


class Hosts(Model):
    """When a host, or a folder of it, is mathematical: DeepSeekMath's rule, a tenth of its pages.

    They had people look at such hosts. Without that, pages are taken as seeds only from `seed_share` on.
    """

    min_share: Share = Field(default=0.1, description="partly mathematical when the lower bound of the share is above")
    seed_share: Share = Field(
        default=0.3, description="its uncollected pages become seeds above it; below, only where a reviewer accepts it"
    )
    z: float = Field(default=1.96, ge=0, description="width of Wilson's interval; 0 compares the bare share")
    min_pages: int = Field(default=10, ge=1, description="fewer pages say nothing")
    depth: int = Field(default=3, ge=0, le=8, description="folders of a path that are counted; 0 counts hosts alone")


class Widen(Model):
    """Which pages become seeds behind a cycle. All choices are by digests of seed and id."""

    per_prefix: int = Field(default=100, ge=0, description="uncollected pages taken from one mathematical prefix")
    least_score: Share = Field(
        default=0.1, description="of such a page; below, even a mathematical host's page is hardly mathematics"
    )
    negatives: float = Field(
        default=1.0, ge=0, description="negative seeds for a positive one, filled up with low-scored pages elsewhere"
    )
    low_pages: int = Field(default=100_000, ge=0, description="such pages at most, in a cycle")
    low_score: Share = Field(default=0.5, description="low-scored is below this and not caught")
    hard_per_host: int = Field(default=10, ge=0, description="best-scored pages of a host that is not mathematical")
    review_pages: int = Field(default=20, ge=0, description="pages of each kind that review.tsv asks about")
    review_prefixes: int = Field(default=1_000, ge=0, description="prefixes that it asks about, by uncollected pages")


class Stop(Model):
    """When cycles end."""

    known_share: Share = Field(default=0.98, description="of a cycle's catch, caught in earlier cycles")
    cycles: int = Field(default=6, ge=1, description="cycles at most")


class Train(Model):
    """fastText's settings, after DeepSeekMath (section 2.1)."""

    dim: int = Field(default=256, ge=1, description="size of a vector")
    epochs: int = Field(default=3, ge=1, description="passes over the seeds")
    learning_rate: float = Field(default=0.1, gt=0, description="fastText's lr")
    word_ngrams: int = Field(default=3, ge=2, le=5, description="fastText's wordNgrams")
    min_count: int = Field(default=3, ge=1, description="fastText's minCount")
    buckets: int = Field(default=200_000, ge=1, description="rows for hashed n-grams")
    density: bool = Field(default=True, description="a score also counts what mathematics looks like on any host")


class Labelled(Model):
    """Files of labelled texts."""

    positive: Paths = Field(description="mathematical texts (JSONL or Parquet)")
    negative: Paths = Field(description="texts that are not")
    text_field: str = Field(default="text", description="their text column")


class RecallRecipe(Model):
    """A whole recall."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="name of the recall")
    seed: int = Field(default=1, ge=0, description="every random choice is a digest of it and the id")
    shard_mb: float = Field(default=8, gt=0, description="small input files are read together up to this size")
    params: dict[str, str | None] = Field(
        default_factory=dict, description="names for ${...}; null must be given with --set NAME=VALUE"
    )
    sources: list[RecallSource] = Field(min_length=1, description="documents already extracted")
    seeds: Labelled = Field(description="the first seeds")
    held_out: Share = Field(default=0.1, lt=1, description="share of the first seeds that no model is trained on")
    evaluate: Labelled | None = Field(default=None, description="labelled texts, in the place of held out seeds")
    keep: Keep = Keep()
    hosts: Hosts = Hosts()
    widen: Widen = Widen()
    stop: Stop = Stop()
    train: Train = Train()

    @model_validator(mode="after")
    def _consistent(self) -> RecallRecipe:
        check_texts(self.sources, "extract it first (stage extract of a build), then recall its corpus")
        if self.held_out == 0 and self.evaluate is None:
            msg = "held_out is 0 and there is no evaluate: give one of them, so that each model is measured"
            raise ValueError(msg)
        return self


def load_recall_recipe(path: Path, settings: Mapping[str, str] | None = None) -> RecallRecipe:
    """The recipe in a YAML file; errors as of `pipelines.recipe_file.load_recipe`."""
    return load_model_of(RecallRecipe, path, settings)

"""The parts of a recipe that ask a model: where it is served, and what it is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.recipe_base import Model, StageModel

Positive = Annotated[int, Field(ge=1)]


class ModelServer(Model):
    """A model: at an OpenAI-compatible address, or in a folder of this machine (transformers).

    Its address, key and prices may change without a question being asked twice; its name may not.
    """

    model: str = Field(min_length=1, description="name of the model, as the server knows it")
    url: str | None = Field(default=None, description="address of the server, with or without /v1")
    local: str | None = Field(default=None, description="folder of a transformers model to run here instead")
    key_env: str | None = Field(default=None, description="variable of the environment that holds the key")
    timeout: float = Field(default=600, gt=0, description="seconds for an answer")
    concurrency: Positive = Field(default=16, description="calls at a time, most, of each worker")
    tokens: Positive | None = Field(default=None, description="budget of prompts and answers, of each rank")
    money: float | None = Field(default=None, gt=0, description="budget in the currency of the prices, of each rank")
    prompt_price: float = Field(default=0, ge=0, description="of a million tokens of prompts")
    completion_price: float = Field(default=0, ge=0, description="of a million tokens of answers")

    @model_validator(mode="after")
    def _one_place(self) -> ModelServer:
        if (self.url is None) == (self.local is None):
            msg = "give either url, the address of a server, or local, the folder of a model"
            raise ValueError(msg)
        return self


class AsksStage(StageModel):
    """A stage that asks a model."""

    checkpoint: bool = True  # what a model answered is dearer than disk
    server: ModelServer = Field(description="the model that is asked")
    prompts: str | None = Field(default=None, description="folder of prompt files that replace ours")
    journal: str | None = Field(
        default=None, description="folder of this machine for the answers; work/answers unless the build is at a URL"
    )
    seed: int | None = Field(default=None, ge=0, description="of what is drawn; the recipe's where none is given")


class ScoreStage(AsksStage):
    """A score by a language model: the probability of YES to two questions, or a grade of 0 to 5."""

    stage: Literal["score"]
    task: Literal["lm_score", "edu_score"] = Field(
        default="lm_score", description="lm_score: product of two questions, 0 to 1; edu_score: expected grade, 0 to 5"
    )
    window_chars: Positive = Field(default=6_000, description="longer documents are read at head, middle and tail")
    threshold: float | None = Field(default=None, ge=0, le=5, description="least score that stays; null only scores")
    unscored: Literal["keep", "remove"] = Field(
        default="keep", description="what becomes of documents that got no score, where there is a threshold"
    )

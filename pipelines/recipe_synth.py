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
    template: str | None = Field(
        default=None,
        description="folder or file with the model's chat template: documents are then scored in lists, twice as fast",
    )
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
    optional: bool = Field(
        default=False, description="leave the stage out, and say so, where a local model or what it needs is not here"
    )
    prompts: str | None = Field(default=None, description="folder of prompt files that replace ours")
    journal: str | None = Field(
        default=None, description="folder of this machine for the answers; work/answers unless the build is at a URL"
    )
    seed: int | None = Field(default=None, ge=0, description="of what is drawn; the recipe's where none is given")
    resamples: int = Field(default=2, ge=0, description="times that an answer which is no use is drawn again")


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


class Generating(Model):
    """New exercises on the ideas of a document."""

    requests: Positive = Field(default=1, description="requests for each document and language, each of another style")
    count: Positive = Field(default=3, description="exercises that one request asks for")
    styles: tuple[str, ...] = Field(default=(), description="names in styles.yaml; all where empty")
    levels: tuple[str, ...] = Field(default=(), description="names in styles.yaml; all where empty")
    languages: tuple[Literal["en", "zh"], ...] = Field(default=(), description="the document's own where empty")


class Solving(Model):
    """Several solutions to each question, of which most have to agree."""

    n: Positive = Field(default=8, description="solutions to each question")
    kind: Literal["cot", "code"] = Field(default="cot", description="words, or words and Python that is run")
    min_share: float = Field(default=0.5, gt=0, le=1, description="of all solutions, that state the winning answer")
    min_margin: int = Field(default=2, ge=0, description="votes more than the next answer")
    reward: str | None = Field(
        default=None,
        pattern=r"^[\w.]+\.\w+$",
        description="import path of a function of (question, solution) that gives a number: the best of n stays",
    )


class SynthStage(AsksStage):
    """Samples made of documents: pairs that they hold, refined; new exercises; texts told anew; each verified."""

    stage: Literal["synth"]
    sources: tuple[Literal["web", "book", "code"], ...] = Field(
        default=("web", "book"), min_length=1, description="kinds of documents that samples are made of"
    )
    extract: Literal["blocks", "verbatim", "both"] | None = Field(
        default="blocks", description="pairs by block numbers, copied by the model, or copied where no blocks are found"
    )
    refine: bool = Field(
        default=True, description="extracted pairs are made fit to stand alone; both versions are kept"
    )
    generate: Generating | None = Field(default=None, description="new exercises")
    textbook: int = Field(default=0, ge=0, description="sections of a textbook for each document")
    dialogue: int = Field(default=0, ge=0, description="dialogues for each document")
    solve: Solving | None = Field(default=None, description="solutions to the questions, verified by their agreement")
    judge: bool = Field(default=False, description="the model judges what is left, and its no or silence removes")
    kinds: tuple[Literal["open", "choice", "binary", "proof"], ...] = Field(
        default=("open", "choice", "binary"), min_length=1, description="kinds of questions that stay"
    )

    @model_validator(mode="after")
    def _makes_something(self) -> SynthStage:
        if not (self.extract or self.generate or self.textbook or self.dialogue):
            msg = "synth makes nothing; give extract, generate, textbook or dialogue"
            raise ValueError(msg)
        if "proof" in self.kinds and not self.judge:
            msg = "kinds: proofs have no answer to compare; add `judge: true`, or leave out proof"
            raise ValueError(msg)
        return self

"""What all parts of a recipe have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StageModel(Model):
    """A stage of a recipe."""

    checkpoint: bool = Field(
        default=False,
        description="keep this stage's output on disk, so that changes behind it do not run it again",
    )

"""What all parts of a recipe have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SourceKind = Literal["web", "book", "code", "synth"]


def check_texts(sources: Sequence[Any], remedy: str) -> None:
    """ValueError where two sources have one name, or one holds HTML in the place of texts."""
    names = [source.name for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        msg = f"two sources are named {twice[0]!r}; names must differ"
        raise ValueError(msg)
    if html := [source.name for source in sources if getattr(source, "html", False)]:
        msg = f"source {html[0]!r} holds HTML; {remedy}"
        raise ValueError(msg)


class Model(BaseModel):
    """Refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StageModel(Model):
    """A stage of a recipe."""

    checkpoint: bool = Field(
        default=False,
        description="keep this stage's output on disk, so that changes behind it do not run it again",
    )

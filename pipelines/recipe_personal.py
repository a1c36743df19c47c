"""The stage of a recipe that masks personal data, or removes what holds some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pipelines.recipe_base import SourceKind, StageModel

_Kind = Literal["email", "telephone", "ip"]
_BEHIND = {"tokens": "it counts them", "decontaminate": "its evidence quotes the texts"}


class PersonalDataStage(StageModel):
    """E-mail addresses, telephone numbers, IP addresses: masked, or a reason to go; before what quotes or counts."""

    stage: Literal["personal_data"]
    kinds: tuple[_Kind, ...] = Field(default=("email", "telephone", "ip"), min_length=1, description="what to look for")
    action: Literal["mask", "remove"] = Field(
        default="mask", description="mask puts a placeholder in its place; remove takes the document out"
    )
    placeholders: dict[_Kind, str] = Field(
        default_factory=dict, description="what stands for a kind instead of `[email]`, `[telephone]` or `[ip]`"
    )
    sources: tuple[SourceKind, ...] = Field(
        default=("web", "book", "code", "synth"), min_length=1, description="documents to look at; the others pass"
    )


def check_personal(stages: Sequence[str]) -> None:
    """ValueError where a stage that counts or quotes texts stands before the one that masks them."""
    if "personal_data" not in stages:
        return
    for early in stages[: stages.index("personal_data")]:
        if early in _BEHIND:
            msg = f"personal_data must stand before {early}, since {_BEHIND[early]}"
            raise ValueError(msg)

"""Recipes: mixes of the corpus, drawn by weight, budget or epochs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from pipelines.recipe_base import Model

METADATA = "metadata."  # before the name of a key of the metadata that has no column of its own
_NAME = r"^[a-z0-9][a-z0-9_-]*$"
_Value = str | bool | int | Annotated[float, Field(allow_inf_nan=False)] | None
MIX_VERSION = "mix-1"  # raised by hand when a mix of the same documents is another


class Range(Model):
    """Numbers from `at_least` on, and below `below`."""

    at_least: float | None = Field(default=None, allow_inf_nan=False, description="the least that holds")
    below: float | None = Field(default=None, allow_inf_nan=False, description="the first that holds no more")

    @model_validator(mode="after")
    def _holds_something(self) -> Range:
        if self.at_least is None and self.below is None:
            msg = "a range needs at_least, below, or both"
            raise ValueError(msg)
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            msg = f"no number is at least {self.at_least:g} and below {self.below:g}; exchange them"
            raise ValueError(msg)
        return self


def _kind(value: Any) -> str:
    return "range" if isinstance(value, dict | Range) else "list" if isinstance(value, list | tuple) else "value"


_Condition = Annotated[
    Annotated[_Value, Tag("value")]
    | Annotated[list[_Value], Field(min_length=1), Tag("list")]
    | Annotated[Range, Tag("range")],
    Discriminator(_kind),
]


class Cap(Model):
    """No value of a column gets more of the mix than this, copies counted; documents without a value have no cap."""

    column: str = Field(description="any column of the documents, such as host or licence, or metadata.KEY")
    tokens: int | None = Field(default=None, ge=1, description="most tokens of a value")
    share: float | None = Field(
        default=None, gt=0, lt=1, description="the same, as a share of the tokens that the parts want and can have"
    )

    @model_validator(mode="after")
    def _limits(self) -> Cap:
        if self.tokens is None and self.share is None:
            msg = "a cap needs tokens, share, or both"
            raise ValueError(msg)
        check_column(self.column)
        return self


class Part(Model):
    """Documents of a mix that one number is given for: `weight`, `tokens` or `epochs`."""

    name: str = Field(pattern=_NAME, description="name of the part; a column of the mix")
    where: dict[str, _Condition] = Field(
        default_factory=dict,
        description="what its documents hold: COLUMN or metadata.KEY: a value, a list of values, or a range; null: no "
        "value. A document belongs to the first part where all of it holds; without `where`, what is left",
    )
    weight: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="its share of the mix's tokens that parts with tokens or epochs leave, beside the other weights",
    )
    tokens: int | None = Field(default=None, ge=1, description="its budget")
    epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="how often each document is in")
    max_epochs: int = Field(default=4, ge=1, le=100, description="copies of a document, at most")

    @model_validator(mode="after")
    def _consistent(self) -> Part:
        given = [n for n in ("weight", "tokens", "epochs") if getattr(self, n) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            msg = f"part {self.name!r} needs one of weight, tokens and epochs, and has {found}"
            raise ValueError(msg)
        if self.epochs is not None and self.epochs > self.max_epochs:
            msg = f"part {self.name!r}: epochs {self.epochs:g} are more than max_epochs {self.max_epochs}; raise that"
            raise ValueError(msg)
        for column, condition in self.where.items():
            _check_condition(column, condition)
        return self


class Mix(Model):
    """A mix: documents of the corpus, each so often as its part says, chosen by a digest of seed and id."""

    name: str = Field(pattern=_NAME, description="name of the mix, and of its folder below mixes/")
    seed: int | None = Field(
        default=None, ge=0, description="which documents; the recipe's, if none: equal seeds choose alike in all mixes"
    )
    tokens: int | None = Field(default=None, ge=1, description="budget of the whole, for parts with a weight")
    parts: list[Part] = Field(min_length=1, description="in this order: the first takes a document, and room in caps")
    caps: list[Cap] = Field(default_factory=list, description="limits of single hosts, licences, …")

    @model_validator(mode="after")
    def _consistent(self) -> Mix:
        _check_names("parts", [p.name for p in self.parts])
        _check_names("caps", [c.column for c in self.caps])
        weighted = [p.name for p in self.parts if p.weight is not None]
        if weighted and self.tokens is None:
            msg = f"part {weighted[0]!r} has a weight, but the mix no tokens to share out; give it `tokens`"
            raise ValueError(msg)
        if self.tokens is not None and not weighted:
            msg = "no part has a weight to get its share of `tokens` by; give the parts weights, or leave `tokens` out"
            raise ValueError(msg)
        fixed = sum(p.tokens for p in self.parts if p.tokens is not None)
        if self.tokens is not None and fixed >= self.tokens:
            msg = f"the parts with tokens take {fixed:,} of {self.tokens:,} and leave nothing to those with a weight"
            raise ValueError(msg)
        for number, part in enumerate(self.parts[:-1]):
            if not part.where:
                last = self.parts[number + 1].name
                msg = f"part {part.name!r} takes all documents and {last!r} none; move it to the end, or give it where"
                raise ValueError(msg)
        return self


def check_mixes(mixes: Sequence[Mix], stages: Sequence[str]) -> None:
    """ValueError where mixes have one name, or the stages (by name, in order) do not count their tokens."""
    _check_names("mixes", [m.name for m in mixes])
    if mixes and "tokens" not in stages:
        msg = "mixes are made by tokens; add `- stage: tokens` at the end of stages"
        raise ValueError(msg)
    if mixes and "synth" in stages[stages.index("tokens") :]:
        msg = "the tokens of samples are not counted; move `- stage: tokens` behind `- stage: synth`"
        raise ValueError(msg)


def check_column(column: str) -> None:
    """ValueError, naming the nearest, where documents have no such column or it holds no single value."""
    if column.startswith(METADATA) and column != METADATA:
        return
    known = [name for name, kind in _columns().items() if kind is not None]
    if column not in known:
        near = difflib.get_close_matches(column, [*known, METADATA], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        msg = f"no column {column!r} to choose by{hint} there are {', '.join(known)}, and metadata.KEY"
        raise ValueError(msg)


def _check_condition(column: str, condition: Any) -> None:
    check_column(column)
    kind = _columns().get(column)
    values = condition if isinstance(condition, list) else [condition]
    for value in values:
        if kind is str and isinstance(value, Range):
            msg = f"where.{column} holds text, and at_least and below are for numbers; give a value or a list of them"
            raise ValueError(msg)
        if kind is str and not isinstance(value, str | None):
            msg = f"where.{column} holds text, and {value!r} is none; put it in quotes"
            raise ValueError(msg)
        if kind is float and (isinstance(value, bool) or not isinstance(value, int | float | Range | None)):
            msg = f"where.{column} holds numbers, and {value!r} is none; give a number, or at_least and below"
            raise ValueError(msg)


def _columns() -> dict[str, type | None]:
    """str, float, or None for columns that no document is chosen by."""
    import pyarrow as pa

    from pipelines.dataset import DOCUMENTS

    kinds = {pa.string(): str, pa.float64(): float, pa.int64(): float}
    return {f.name: None if f.name in {"text", "metadata"} else kinds.get(f.type) for f in DOCUMENTS}


def _check_names(what: str, names: Sequence[str]) -> None:
    if twice := sorted({n for n in names if names.count(n) > 1}):
        msg = f"two {what} are named {twice[0]!r}; names must differ"
        raise ValueError(msg)

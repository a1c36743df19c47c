"""The page docs/recipes.md, from the docstrings and descriptions of the models: `python -m pipelines.recipe_page`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines.recall_recipe import RecallRecipe
from pipelines.recipe import Recipe
from pipelines.synth_recipe import SynthRecipe

_TOP: dict[str, tuple[str, type[BaseModel]]] = {
    "Recipes of builds": ("`mathcorpus build RECIPE`, `mathcorpus plan RECIPE`", Recipe),
    "Recipes of syntheses": ("`mathcorpus synth run RECIPE`", SynthRecipe),
    "Recipes of recall in cycles": ("`mathcorpus recall cycle RECIPE`", RecallRecipe),
}
_TAGS = ("stage", "format")  # which stand in the title of what they name
_HEAD = """# Recipes

Generated from the code; `python -m pipelines.recipe_page > docs/recipes.md` makes it anew. Recipes are YAML. A key that
is not here is an error, which names the line. `${NAME}` stands for a param, given with `--set NAME=VALUE`. Relative
paths start at the recipe's folder.
"""


def page() -> str:
    """The whole page."""
    seen: set[type[BaseModel]] = set()
    parts = (line for title, (command, top) in _TOP.items() for line in _part(title, command, top, seen))
    return "\n".join([_HEAD, *parts])


def _part(title: str, command: str, top: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    yield f"## {title}\n\n{command}\n"
    waiting = [top]
    while waiting:
        model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield f"### {_name(model)}\n\n{_first(model)}\n\n| key | takes | default | what it is |\n|---|---|---|---|"
        for name, field in model.model_fields.items():
            if name not in _TAGS:
                yield f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {_description(model, name)} |"
        yield ""
        waiting += [inner for field in model.model_fields.values() for inner in _models(field.annotation)]


def _name(model: type[BaseModel]) -> str:
    for tag in _TAGS:
        field = model.model_fields.get(tag)
        if field is not None and get_origin(field.annotation) is Literal:
            return f"{tag}: {get_args(field.annotation)[0]}"
    return model.__name__


def _first(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from _models(inner)


def _type(kind: Any) -> str:
    """A type as people write it."""
    arguments, origin = get_args(kind), get_origin(kind)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in {Union, UnionType}:
        inner = list(dict.fromkeys(_type(one) for one in arguments))
        return "one of those below" if sum(name.startswith("see ") for name in inner) > 1 else " or ".join(inner)
    if origin is not None:
        form = {Annotated: "{0}", list: "list of {0}", tuple: "list of {0}", dict: "mapping of {0} to {1}"}[origin]
        return form.format(*(_type(one) for one in arguments if isinstance(one, type) or get_args(one)), "", "")
    names = {str: "text", int: "number", float: "number", bool: "true, false", type(None): "null"}
    return names.get(kind) or (f"see {_name(kind)}" if list(_models(kind)) else "anything")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True) if field.default is PydanticUndefined else field.default
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, tuple | list):
        return ", ".join(f"`{one}`" for one in value) or "none"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"`{value}`" if value != {} else "none"


def _description(model: type[BaseModel], name: str) -> str:
    """What a key is, as the class that it comes from says it."""
    owners = [base for base in model.__mro__ if issubclass(base, BaseModel) and name in base.model_fields]
    found = (base.model_fields[name].description for base in owners)
    inner = (_first(one) for one in _models(model.model_fields[name].annotation))
    return next(filter(None, (*found, *inner)), "").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())

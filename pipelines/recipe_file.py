"""Reads a recipe from YAML; an error says file, line, key, what was found, and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from filters.errors import InputError, RecipeError
from pipelines.places import Place
from pipelines.recipe import Recipe, Source, Stage
from pipelines.recipe_base import Model

M = TypeVar("M", bound=Model)

_PARAM = re.compile(r"\$\{(\w+)\}")


def load_recipe(path: Place, settings: Mapping[str, str] | None = None) -> Recipe:
    """The recipe in a YAML file, with `${name}` replaced from its params and `settings`.

    Raises RecipeError, naming file, line and key, where it does not validate; InputError where it cannot be read.
    """
    return load_model_of(Recipe, path, settings)


def load_model_of(kind: type[M], path: Place, settings: Mapping[str, str] | None = None) -> M:
    """A recipe of any kind that has params and sources; errors as of `load_recipe`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot read the recipe ({error.strerror if isinstance(error, OSError) else 'not UTF-8'})"
        raise InputError(msg) from error
    return parse_model_of(kind, text, path, settings or {})


def parse_recipe(text: str, path: Place, settings: Mapping[str, str]) -> Recipe:
    """The recipe in a YAML text; `path` is for messages."""
    return parse_model_of(Recipe, text, path, settings)


def parse_model_of(kind: type[M], text: str, path: Place, settings: Mapping[str, str]) -> M:
    """A recipe of any kind in a YAML text; `path` is for messages."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        msg = f"{path}:{line}: not YAML: {getattr(error, 'problem', None) or error}"
        raise RecipeError(msg) from error
    if not isinstance(root, yaml.MappingNode):
        msg = f"{path}:1: a recipe is a mapping with the keys {_listed(kind)}"
        raise RecipeError(msg)
    _refuse_repeated_keys(root, path)
    data = yaml.safe_load(text)
    params = _params(data, settings, path)
    try:
        return kind.model_validate(_substitute(data, params, root, path))
    except ValidationError as error:
        raise RecipeError(_explain(error, root, path, kind)) from error


def _params(data: dict[str, Any], settings: Mapping[str, str], path: Place) -> dict[str, str]:
    declared = data.get("params") or {}
    if not isinstance(declared, dict):
        return {}  # pydantic says what is wrong with it
    for name in settings:
        if name not in declared:
            msg = f"--set {name}: {path} has no such param; it has {', '.join(sorted(declared)) or 'none'}"
            raise RecipeError(msg)
    merged = {**declared, **settings}
    if missing := [name for name, value in merged.items() if value is None]:
        msg = f"{path}: param {missing[0]!r} has no value; give it with --set {missing[0]}=VALUE"
        raise RecipeError(msg)
    data["params"] = merged
    return {name: str(value) for name, value in merged.items()}


def _substitute(value: Any, params: Mapping[str, str], node: yaml.Node, path: Place) -> Any:
    if isinstance(value, str):
        for name in _PARAM.findall(value):
            if name not in params:
                line = node.start_mark.line + 1
                msg = f"{path}:{line}: ${{{name}}} is not among params ({', '.join(params) or 'none'})"
                raise RecipeError(msg)
        return _PARAM.sub(lambda m: params[m[1]], value)
    if isinstance(value, list) and isinstance(node, yaml.SequenceNode):
        return [_substitute(v, params, n, path) for v, n in zip(value, node.value, strict=True)]
    if isinstance(value, dict) and isinstance(node, yaml.MappingNode):
        nodes = {k.value: v for k, v in node.value}
        return {k: _substitute(v, params, nodes.get(str(k), node), path) for k, v in value.items()}
    return value


def _refuse_repeated_keys(node: yaml.Node, path: Place) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                msg = f"{path}:{line}: key {key.value!r} was given before, on line {seen[key.value]}; keep one"
                raise RecipeError(msg)
            seen[key.value] = line
            _refuse_repeated_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeated_keys(value, path)


def _explain(error: ValidationError, root: yaml.MappingNode, path: Place, kind: type[Model]) -> str:
    first = error.errors()[0]
    node, keys = _locate(root, first["loc"])
    found, text = first.get("input"), str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        text = f"unknown key{_hint(str(first['loc'][-1]), _allowed(first['loc'], kind))}"
    elif first["type"] == "missing":
        text = f"{first['loc'][-1]} is missing"
    elif first["type"] == "union_tag_invalid":
        found = first["ctx"]["tag"]
        tags = re.findall(r"'(\w+)'", str(first["ctx"]["expected_tags"]))
        text = f"unknown {str(first['ctx']['discriminator']).strip(chr(39))}{_hint(str(found), tags)}"
    shown = "" if isinstance(found, dict | list | Model) else f" (found {found!r})"
    more = f" [and {len(error.errors()) - 1} more]" if len(error.errors()) > 1 else ""
    return f"{path}:{node.start_mark.line + 1}: {'.'.join(keys) or 'recipe'}: {text}{shown}{more}"


def _hint(given: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(given, allowed, n=1)
    return f"{f'; did you mean {near[0]!r}?' if near else ';'} allowed: {', '.join(allowed)}"


def _locate(root: yaml.Node, loc: tuple[int | str, ...]) -> tuple[yaml.Node, list[str]]:
    """The YAML node nearest to a pydantic location (which also holds the tags of unions), and its path."""
    node, keys = root, []
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == part), None)
            if pair is None:
                continue
            keys.append(str(part))
            node = pair[1] if isinstance(pair[1], yaml.MappingNode | yaml.SequenceNode) else pair[0]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            keys.append(str(part))
            node = node.value[part]
    return node, keys


def _allowed(loc: tuple[int | str, ...], kind: type[Model]) -> list[str]:
    for field, union in (("stages", Stage), ("sources", Source)):
        if loc[0] == field and len(loc) > 2:
            key = "stage" if field == "stages" else "format"
            for model in get_args(get_args(union)[0]):
                if loc[2] in get_args(model.model_fields[key].annotation):
                    return sorted(model.model_fields)
    within = kind
    for part in loc[:-1]:
        inner = within.model_fields[part].annotation if part in within.model_fields else None
        within = next(_models(inner), within)
    return sorted(within.model_fields)


def _models(kind: Any) -> Iterator[type[Model]]:
    """The models that an annotation holds, at whatever depth."""
    if isinstance(kind, type) and issubclass(kind, Model):
        yield kind
    for inner in get_args(kind):
        yield from _models(inner)


def _listed(model: type[Model]) -> str:
    return ", ".join(model.model_fields)

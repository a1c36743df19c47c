"""How the recipes of two builds differ: stages and sources, key by key."""

from __future__ import annotations

from typing import Any

Recipe = dict[str, Any]  # recipe.json of a build, and its manifest as `manifest`
_UNSAID = {"checkpoint"}  # which changes no document


def stages_changed(before: Recipe, now: Recipe) -> list[dict[str, Any]]:
    """Stages that one build alone has (`only`), or that differ: keys of the recipe, what they read, their code.

    In the order of `now`, then those that only `before` has. `files` says that a model, an index or a list is another,
    `code` that the program or a library is, `moved` that it stands behind another stage.
    """
    named = [{_name(stage): stage for stage in recipe["stages"]} for recipe in (before, now)]
    told = []
    for name in dict.fromkeys([*named[1], *named[0]]):
        if any(name not in stages for stages in named):
            told.append({"stage": name, "only": "now" if name in named[1] else "before"})
            continue
        one = {
            "stage": name,
            "changed": _keys(named[0][name], named[1][name]),
            "files": _needs(before).get(name) != _needs(now).get(name),
            "code": _code(before, named[0][name]) != _code(now, named[1][name]),
            "moved": _behind(list(named[0]), name, named[1]) != _behind(list(named[1]), name, named[0]),
        }
        if any(one[key] for key in ("changed", "files", "code", "moved")):
            told.append(one)
    return told


def sources_changed(before: Recipe, now: Recipe) -> list[dict[str, Any]]:
    """Sources that one build alone has (`only`), or whose keys differ (`changed`)."""
    named = [{source["name"]: source for source in recipe["sources"]} for recipe in (before, now)]
    told: list[dict[str, Any]] = []
    for name in dict.fromkeys([*named[1], *named[0]]):
        if any(name not in sources for sources in named):
            told.append({"source": name, "only": "now" if name in named[1] else "before"})
        elif changed := _keys(named[0][name], named[1][name]):
            told.append({"source": name, "changed": changed})
    return told


def _name(stage: dict[str, Any]) -> str:
    return str(stage["name"] if stage["stage"] == "datatrove" else stage["stage"])


def _keys(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    names = (one.keys() | other.keys()) - _UNSAID
    return sorted(name for name in names if one.get(name) != other.get(name))


def _needs(recipe: Recipe) -> dict[str, Any]:
    return {stage["name"]: stage["need"] for stage in recipe["manifest"]["stages"]}


def _code(recipe: Recipe, stage: dict[str, Any]) -> Any:
    return recipe["manifest"]["versions"]["code"].get(stage["stage"])


def _behind(names: list[str], name: str, both: dict[str, Any]) -> list[str]:
    """The stages before one, of those that both builds have."""
    return [one for one in names[: names.index(name)] if one in both]

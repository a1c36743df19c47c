"""The slow, obvious twin of mixes: every copy of every document in a list, walked in order."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from math import isnan
from typing import Any, NamedTuple

from pipelines.recipe_mix import Mix, Part, Range


class Drawn(NamedTuple):
    """Copies of each document, why the others have none, and the tokens of each part."""

    copies: dict[str, int]
    reasons: dict[str, str]
    tokens: list[int]


def value(doc: dict[str, Any], column: str) -> Any:
    """What a document holds in a column; None for a list, a mapping and what is no number."""
    found = doc["metadata"].get(column[9:]) if column.startswith("metadata.") else doc.get(column)
    return None if isinstance(found, list | dict) or (isinstance(found, float) and isnan(found)) else found


def spelled(doc: dict[str, Any], column: str) -> str | None:
    """The value that a cap counts: what is spelled alike is one, number or text."""
    found = value(doc, column)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    return None if found is None else str(found)


def holds(doc: dict[str, Any], part: Part) -> bool:
    """Whether a document belongs to a part, if no part before it takes it."""
    return all(_holds(value(doc, column), condition) for column, condition in part.where.items())


def _holds(found: Any, condition: Any) -> bool:
    if isinstance(condition, Range):
        if isinstance(found, bool) or not isinstance(found, int | float):
            return False
        low = condition.at_least is None or found >= condition.at_least
        return low and (condition.below is None or found < condition.below)
    allowed = condition if isinstance(condition, list) else [condition]
    return any(found == one and isinstance(found, bool) == isinstance(one, bool) for one in allowed)


def wanted_tokens(mix: Mix, there: Sequence[int]) -> list[int]:
    """Tokens that each part shall have."""
    fixed = [
        p.tokens if p.tokens is not None else round(Fraction(str(p.epochs or 0)) * t)
        for p, t in zip(mix.parts, there, strict=True)
    ]
    rest = (mix.tokens or 0) - sum(fixed)
    weights = [Fraction(str(p.weight or 0)) for p in mix.parts]
    ends = [int(rest * sum(weights[:n]) / (sum(weights) or 1)) for n in range(len(weights) + 1)]
    return [one + after - before for one, before, after in zip(fixed, ends, ends[1:], strict=False)]


def draw(docs: Sequence[dict[str, Any]], mix: Mix, seed: int) -> Drawn:
    """The mix of some documents, each with id, tokens, columns and metadata."""
    members: list[list[dict[str, Any]]] = [[] for _ in mix.parts]
    reasons = {}
    for doc in docs:
        fits = [n for n, part in enumerate(mix.parts) if holds(doc, part)]
        if fits:
            members[fits[0]].append(doc)
        else:
            reasons[doc["id"]] = "no_part"
    there = [sum(d["tokens"] for d in mine) for mine in members]
    wanted = wanted_tokens(mix, there)
    reachable = sum(min(w, _most(p) * t) for p, w, t in zip(mix.parts, wanted, there, strict=True))
    caps = [Limit(cap.column, _least(cap.tokens, cap.share, reachable), Counter()) for cap in mix.caps]
    copies: Counter[str] = Counter()
    tokens = []
    for part, mine, most in zip(mix.parts, members, wanted, strict=True):
        items, dropped = _fill(part, sorted((_place(seed, d["id"]), d["id"], d) for d in mine), most, caps)
        reasons |= dropped
        for _, _, doc in items:
            copies[doc["id"]] += 1
            for cap in caps:
                cap.used[spelled(doc, cap.column)] += doc["tokens"]
        tokens.append(sum(d["tokens"] for *_, d in items))
    return Drawn(dict(copies), reasons, tokens)


class Limit(NamedTuple):
    """A cap, and what its values have of it."""

    column: str
    tokens: int
    used: Counter[Any]


def _most(part: Part) -> int:
    return part.max_epochs if part.epochs is None else int(-(-Fraction(str(part.epochs)) // 1))


def _least(tokens: int | None, share: float | None, whole: int) -> int:
    return min(x for x in (tokens, None if share is None else int(Fraction(str(share)) * whole)) if x is not None)


def _fill(part: Part, mine: list[Any], wanted: int, caps: Sequence[Limit]) -> tuple[list[Any], dict[str, str]]:
    """(the copies that a part takes, in order, why each of the other documents is in none)."""
    items = [(copy, place, doc) for copy in range(_most(part)) for place, _, doc in mine]
    dropped: dict[str, str] = {}
    if part.epochs is not None:
        within = [copy + Fraction(place, 2**64) < Fraction(str(part.epochs)) for copy, place, _ in items]
        items = _keep(items, within, dropped, "budget")
    for cap in caps:
        items = _keep(items, _below(items, cap.column, cap.tokens, cap.used), dropped, f"cap:{cap.column}")
    if part.epochs is None:
        fits = _below(items, None, wanted, Counter())
        end = min((item[:2] for item, fit in zip(items, fits, strict=True) if not fit), default=(_most(part), 0))
        items = _keep(items, fits, dropped, "budget")
        dropped |= {doc["id"]: "budget" for place, _, doc in mine if (0, place) >= end}
    return items, dropped


def _place(seed: int, identity: str) -> int:
    return int(hashlib.blake2b(f"{seed}\0{identity}".encode(), digest_size=8).hexdigest(), 16)


def _below(items: Sequence[Any], column: str | None, limit: int, before: Counter[Any]) -> list[bool]:
    """Which copies come before the first of their value that does not fit."""
    used, closed, fits = defaultdict(int, before), set(), []
    for _, _, doc in items:
        one = None if column is None else spelled(doc, column)
        if column is not None and one is None:
            fits.append(True)
            continue
        if used[one] + doc["tokens"] > limit:
            closed.add(one)
        if one not in closed:
            used[one] += doc["tokens"]
        fits.append(one not in closed)
    return fits


def _keep(items: list[Any], fits: list[bool], reasons: dict[str, str], reason: str) -> list[Any]:
    for (copy, _, doc), stays in zip(items, fits, strict=True):
        if copy == 0 and not stays:
            reasons[doc["id"]] = reason
    return [item for item, stays in zip(items, fits, strict=True) if stays]

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
    most = [p.max_epochs if p.epochs is None else int(-(-Fraction(str(p.epochs)) // 1)) for p in mix.parts]
    reachable = sum(min(w, m * t) for w, m, t in zip(wanted, most, there, strict=True))
    limits = [
        min(x for x in (c.tokens, None if c.share is None else int(Fraction(str(c.share)) * reachable)) if x is not None)
        for c in mix.caps
    ]
    had: list[Counter[Any]] = [Counter() for _ in mix.caps]
    copies: Counter[str] = Counter()
    tokens = []
    for number, part in enumerate(mix.parts):
        items = sorted(
            ((copy, _place(seed, d["id"]), d) for d in members[number] for copy in range(most[number])),
            key=lambda i: i[:2],
        )
        left = reasons
        if part.epochs is not None:
            items = _keep(items, [c + Fraction(p, 2**64) < Fraction(str(part.epochs)) for c, p, _ in items], left, "budget")
        for cap, limit, used in zip(mix.caps, limits, had, strict=True):
            items = _keep(items, _below(items, cap.column, limit, used), left, f"cap:{cap.column}")
        if part.epochs is None:
            items = _keep(items, _below(items, None, wanted[number], Counter()), left, "budget")
        for _, _, doc in items:
            copies[doc["id"]] += 1
            for cap, used in zip(mix.caps, had, strict=True):
                used[value(doc, cap.column)] += doc["tokens"]
        tokens.append(sum(d["tokens"] for *_, d in items))
    return Drawn(dict(copies), reasons, tokens)


def _place(seed: int, identity: str) -> int:
    return int(hashlib.blake2b(f"{seed}\0{identity}".encode(), digest_size=8).hexdigest(), 16)


def _below(items: Sequence[Any], column: str | None, limit: int, before: Counter[Any]) -> list[bool]:
    """Which copies come before the first of their value that does not fit."""
    used, closed, fits = defaultdict(int, before), set(), []
    for _, _, doc in items:
        one = None if column is None else value(doc, column)
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

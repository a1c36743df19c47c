"""Gates of an audit: figures by name, and conditions on them that make the command fail."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decontam.match import KINDS
from filters.errors import UsageError
from pipelines.audit.measure_rows import PERSONAL

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_GATE = re.compile(r"\s*([a-z0-9_.]+)\s*(>=|<=|==|!=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
_CLASSES = tuple(kind for kind in KINDS if kind != "review")  # a find that rests on a stock phrase is for people
_NEAREST = 3
NAMES = (
    *("documents", "tokens", "characters", "empty", "unreadable"),
    *(f"contaminated.{kind}" for kind in (*KINDS, "any")),
    *("duplicates.exact", "duplicates.exact_share", "duplicates.near", "duplicates.near_share"),
    *("formulas", "unbalanced", "unbalanced_share", "language.confused", "language.confused_share"),
    *(f"personal.{kind}" for kind in (*PERSONAL, "any")),
    *("adult", "adult_share", "spam", "spam_share", "synthetic", "synthetic_share"),
    *("comparison.came", "comparison.gone"),
)


@dataclass(frozen=True)
class Gate:
    """A condition on which the command fails."""

    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """Whether the condition is met: the gate then fails."""
        return _OPERATORS[self.sign](value, self.limit)


def parse_gates(given: Sequence[str]) -> list[Gate]:
    """The gates of `--fail-if`; UsageError for what is none, or names no figure."""
    return [_parse(one) for one in given]


def _parse(given: str) -> Gate:
    found = _GATE.fullmatch(given)
    if found is None:
        msg = f"--fail-if {given!r}: not NAME OP NUMBER; for example --fail-if 'contaminated.exact > 0'"
        raise UsageError(msg)
    if found[1] not in NAMES:
        nearest = difflib.get_close_matches(found[1], NAMES, _NEAREST, 0) or NAMES
        msg = f"--fail-if {given!r}: there is no figure {found[1]!r}; did you mean {', '.join(nearest)}?"
        raise UsageError(msg)
    return Gate(found[1], found[2], float(found[3]))


def check_measured(gates: Sequence[Gate], *, benchmarks: bool, folder: bool, against: bool) -> None:
    """UsageError where a gate asks for what is not measured; asked before the work, not after it."""
    for gate in gates:
        if gate.name.startswith("contaminated.") and not benchmarks:
            msg = f"--fail-if '{gate}': nothing was looked for; name what to look for with --benchmarks"
            raise UsageError(msg)
        if gate.name.startswith("comparison.") and not against:
            msg = f"--fail-if '{gate}': nothing was compared; name what to compare with by --against"
            raise UsageError(msg)
        if gate.name == "unreadable" and not folder:
            msg = f"--fail-if '{gate}': a build has counted what it could not read; this figure is of folders"
            raise UsageError(msg)


def figures_of(report: Mapping[str, Any]) -> dict[str, float]:
    """The figures that gates may ask for, by name; those that were not measured are not there."""
    measures, about = report["measures"], report["input"]
    found = measures["contamination"]
    exact, near = measures["duplicates"]["exact"], measures["duplicates"]["near"]
    language, unbalanced = measures["language"], measures["formulas"]["unbalanced"]
    values: dict[str, float] = {
        **{name: measures[name] for name in ("documents", "tokens", "characters", "empty")},
        "duplicates.exact": exact["documents"],
        "duplicates.exact_share": exact["share"],
        "duplicates.near": near["documents"],
        "duplicates.near_share": near["share"],
        "formulas": measures["formulas"]["formulas"],
        "unbalanced": unbalanced["documents"],
        "unbalanced_share": unbalanced["share"],
        "language.confused": language["confused"],
        "language.confused_share": language["share"],
        **{f"personal.{kind}": measures["personal"][kind]["documents"] for kind in PERSONAL},
        "personal.any": measures["personal_any"],
    }
    for name in ("adult", "spam", "synthetic"):
        values |= {name: measures[name]["documents"], f"{name}_share": measures[name]["share"]}
    if about is not None:
        values["unreadable"] = sum(about["unreadable"].values())
    if (compared := report["comparison"]) is not None:
        values |= {f"comparison.{part}": compared[part]["documents"] for part in ("came", "gone")}
    if found is not None:
        strongest = found["strongest"]
        values |= {f"contaminated.{kind}": strongest[kind] for kind in KINDS}
        values["contaminated.any"] = sum(strongest[kind] for kind in _CLASSES)
    return values


def failed(gates: Sequence[Gate], values: Mapping[str, float]) -> list[dict[str, Any]]:
    """The gates whose condition is met, with the values."""
    return [{"gate": str(g), "value": values[g.name]} for g in gates if g.holds(values[g.name])]

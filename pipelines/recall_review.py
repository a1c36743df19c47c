"""review.tsv: what a cycle proposes, and what a person says to it.

A plain table that any editor or spreadsheet opens. The column `verdict` (accept, reject, unsure, or nothing) and the
column `note` are the reviewer's and stay as they are; rows with a verdict stay, too. All else is written anew by each
cycle. Rows may be added: of a host or folder, `name` is all that is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filters.errors import InputError
from filters.url_prefix import url_prefixes
from pipelines.files import write_bytes
from pipelines.recall_stats import OTHER, SCORE_UNITS, Prefix

VERDICTS = ("accept", "reject", "unsure")
HOST, FOLDER, PAGE = "host", "prefix", "page"
COLUMNS = ("verdict", "kind", "name", "proposed", "pages", "recalled", "lower_bound", "cycle", "shows", "note")
_DEEPEST = 64  # folders of a name that a reviewer may write
_SHOWN = 120  # characters of a page


@dataclass(frozen=True, slots=True)
class Review:
    """The rows of a review, by (kind, name)."""

    rows: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)

    def verdicts(self, *kinds: str) -> dict[str, str]:
        """Verdict by name, of the rows of some kinds that have one."""
        return {
            name: row["verdict"] for (kind, name), row in sorted(self.rows.items()) if kind in kinds and row["verdict"]
        }


def read_review(path: Path) -> Review:
    """The review in a file, an empty one where there is none; InputError names the line that cannot be understood."""
    if not path.exists():
        return Review()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}); save it as UTF-8, or delete it to have it written anew"
        raise InputError(msg) from error
    header = lines[0].split("\t") if lines else []
    if not {"verdict", "kind", "name"} <= set(header):
        msg = f"{path}:1: the first line must name the columns, with tabs: {', '.join(COLUMNS)}"
        raise InputError(msg)
    rows = {}
    for number, line in enumerate(lines[1:], 2):
        if line.strip():
            cells = dict(zip(header, line.split("\t"), strict=False))
            row = _checked({c: cells.get(c, "").strip() for c in COLUMNS}, f"{path}:{number}")
            rows[row["kind"], row["name"]] = row
    return Review(rows)


def _checked(row: dict[str, str], where: str) -> dict[str, str]:
    row["verdict"] = row["verdict"].lower()
    if row["verdict"] and row["verdict"] not in VERDICTS:
        msg = f"{where}: verdict {row['verdict']!r}: write accept, reject, unsure, or nothing"
        raise InputError(msg)
    if row["kind"] == PAGE:
        return row
    found = url_prefixes(row["name"], _DEEPEST)
    if row["kind"] not in {HOST, FOLDER, ""} or not found:
        msg = f"{where}: {row['kind']} {row['name']!r}: kind is host, prefix or page, and name a host, folder or id"
        raise InputError(msg)
    row["name"] = found[-1]
    row["kind"] = FOLDER if "/" in row["name"] else HOST
    return row


def proposal_of_prefix(prefix: Prefix, cycle: int, example: str) -> dict[str, str]:
    """The row that asks about a prefix."""
    return {
        "kind": FOLDER if "/" in prefix.name else HOST,
        "name": prefix.name,
        "proposed": prefix.side,
        "pages": str(prefix.pages),
        "recalled": str(prefix.recalled),
        "lower_bound": f"{prefix.lower:.3f}",
        "cycle": str(cycle),
        "shows": example,
    }


def proposal_of_page(identity: str, why: str, score: int, cycle: int, shows: str) -> dict[str, str]:
    """The row that asks about a page; its score stands under `lower_bound`."""
    return {
        "kind": PAGE,
        "name": identity,
        "proposed": why,
        "lower_bound": f"{score / SCORE_UNITS:.3f}",
        "cycle": str(cycle),
        "shows": shows,
    }


def asked(judged: Mapping[str, Prefix], limit: int) -> list[Prefix]:
    """The prefixes to ask about: those with recalled pages, the most uncollected first."""
    open_ones = [p for p in judged.values() if p.recalled]
    return sorted(open_ones, key=lambda p: (p.side == OTHER, p.recalled - p.pages, p.name))[:limit]


def write_review(path: Path, before: Review, proposals: Iterable[Mapping[str, str]]) -> None:
    """Writes the proposals, with verdicts and notes of `before`, and all its rows that have one."""
    rows = {(p["kind"], p["name"]): dict(p) for p in proposals}
    for key, row in before.rows.items():
        if row["verdict"] or row["note"]:
            mine = rows.setdefault(key, dict(row))
            mine["verdict"], mine["note"] = row["verdict"], row["note"]
    lines = ["\t".join(COLUMNS), *("\t".join(_cell(row.get(c, "")) for c in COLUMNS) for row in rows.values())]
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))


def _cell(text: str) -> str:
    return " ".join(text.split())


def shown(url: str | None, text: str) -> str:
    """A page in one cell: its address and how it begins."""
    return f"{url or ''} {_cell(text[: 4 * _SHOWN])[:_SHOWN]}".strip()

"""Two builds, or a build and any documents, compared: what came, what went, and why.

`before` and `now` are datasets of documents. A document of one is that of the other if it has the same id, else if it
has the same text (an input that was cut anew gives other ids). What is left of `now` came, what is left of `before` is
gone, so that before = in both + gone and now = in both + came; this is checked. Why is asked of the other build: its
ledger by id, its removed documents by text; what neither knows was not read.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from filters.errors import AccountingError
from pipelines import dataset as ds
from pipelines.audit.compare_keys import KEYS, ROW, Buckets, Codes, KeysTask, Rows, halves, paired, rows_of, whys
from pipelines.audit.compare_recipes import Recipe, sources_changed, stages_changed
from pipelines.audit.documents import Documents, Progress, run_ranks, shards_of
from pipelines.audit.shown import PER_GROUP, documents
from pipelines.engine import Engine
from pipelines.places import Place, contents
from pipelines.stage import marker

_SHOWN = ["id", "origin", "url", "source", "language", "licence", "tokens", "text"]
_SHOWN_CHARS = 600
_OTHER_SOURCE = "synth"  # whose documents are made, not read
_OTHERWISE = {"changed_text": "text", "other_id": "id"}


@dataclass(frozen=True)
class Side:
    """One of the two: `name` and `key` say which it is; `when` is `before` or `now`."""

    when: str
    name: str
    data: ds.Dataset
    build: Place | None

    def facts(self, tokens: int) -> dict[str, Any]:
        """What the report says of it."""
        return {"name": self.name, "key": self.data.key, "documents": self.data.rows, "tokens": tokens}


@dataclass
class _Left:
    """What one side has and the other has not, by reason and by source."""

    why: Counter[str] = field(default_factory=Counter)
    sources: dict[str, list[int]] = field(default_factory=dict)
    first: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # (id, row) of those to show
    tokens: int = 0

    def add(self, reason: str, rows: Rows, names: list[str]) -> None:
        """Counts rows that share a reason; `names` of the codes of their sources."""
        if len(rows) == 0:
            return
        self.why[reason] += len(rows)
        self.tokens += int(rows["tokens"].sum())
        for code in np.unique(rows["code"]).tolist():
            here = rows[rows["code"] == code]
            held = self.sources.setdefault(names[code], [0, 0])
            held[0] += len(here)
            held[1] += int(here["tokens"].sum())
        order = np.lexsort([rows["row"], rows["id"]["low"], rows["id"]["high"]])[:PER_GROUP]
        firsts = [(int(r["id"]["high"]), int(r["id"]["low"]), int(r["row"])) for r in rows[order]]
        self.first[reason] = sorted(self.first.get(reason, []) + firsts)[:PER_GROUP]


class Comparison:
    """The comparison of two sides; `work` is an empty folder, or one that the same comparison was killed in."""

    def __init__(self, before: Side, now: Side, work: Path, engine: Engine, progress: Progress) -> None:
        self.sides = {"before": before, "now": now}
        self.work, self.engine, self.progress = work, engine, progress
        self.codes = Codes()
        self.most = max(_most(before), _most(now))
        self.tokens = {"before": 0, "now": 0}
        self.in_both, self.left = Counter[str](), {"before": _Left(), "now": _Left()}
        self.changed = _Left()

    def figures(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """(the figure `comparison` of a report, the documents that it shows, by id); AccountingError if it is wrong."""
        scratch = self.work / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        self._pair(scratch)
        before, now = self.sides["before"], self.sides["now"]
        both = self.in_both.total()
        for side in (before, now):
            if both + self.left[side.when].why.total() != side.data.rows:
                msg = f"{side.name}: {side.data.rows} documents, but {both} in both and {self.left[side.when].why}"
                raise AccountingError(msg)
        shown: dict[str, dict[str, Any]] = {}
        parts = {"came": self._told("now", shown), "gone": self._told("before", shown)}
        changed = self._ids(self.changed, "now", shown)
        recipes = [_recipe(side.build) for side in (before, now) if side.build is not None]
        figure = {
            "a": before.facts(self.tokens["before"]),
            "b": now.facts(self.tokens["now"]),
            "stages": stages_changed(*recipes) if len(recipes) == 2 else None,
            "sources": sources_changed(*recipes) if len(recipes) == 2 else None,
            "in_both": both,
            "other_id": self.in_both["text"],
            "changed_text": self.in_both["id"],
            "changed_shown": changed.get("changed", []),
            **parts,
        }
        return figure, shown

    # --- pairs --------------------------------------------------------------------------------------------------------

    def _pair(self, scratch: Path) -> None:
        by_id = {when: self._keys(side, scratch) for when, side in self.sides.items()}
        rest = {when: Buckets(scratch / f"{when}-text", "text", self.most) for when in by_id}
        for number in range(len(by_id["now"])):
            before, now = by_id["before"][number], by_id["now"][number]
            before, now, _ = self._matched(before, now, "same", "id", "text")
            before, now, changed = self._matched(before, now, "id", "id")
            self.changed.add("changed", changed, self.codes.names)
            rest["before"].add(before)
            rest["now"].add(now)
        unmet = {when: Buckets(scratch / f"{when}-unmet", "id", self.most) for when in by_id}
        for number in range(len(rest["now"])):
            before, now, _ = self._matched(rest["before"][number], rest["now"][number], "text", "text")
            unmet["before"].add(before)
            unmet["now"].add(now)
        for when, other in (("now", "before"), ("before", "now")):
            self._reasons(when, unmet[when], self.sides[other], scratch)

    def _keys(self, side: Side, scratch: Path) -> Buckets:
        found = Buckets(scratch / f"{side.when}-id", "id", self.most)
        for rows in rows_of(self._keyed(side.data, side.when), self.codes):
            self.tokens[side.when] += int(rows["tokens"].sum())
            found.add(rows)
        return found

    def _keyed(self, data: ds.Dataset, name: str, *, removed: bool = False) -> ds.Dataset:
        task = KeysTask(self.work / name, data, removed)
        run_ranks(self.engine, task, f"keys, {name}", self.progress)
        reports = [orjson.loads(c) for c in contents([marker(task.out, rank) for rank in range(task.ranks)])]
        keys = shards_of(task.out / "keys", "keys", reports, data.key)
        keys.save(KEYS)
        return keys

    def _matched(self, before: Rows, now: Rows, what: str, *by: str) -> tuple[Rows, Rows, Rows]:
        """(rows of before and of now that have no pair, rows of now that have one), the pairs counted as `what`."""
        one, other = paired(before, now, *by)
        self.in_both[what] += len(one)
        return np.delete(before, one), np.delete(now, other), now[other]

    # --- why ----------------------------------------------------------------------------------------------------------

    def _reasons(self, when: str, unmet: Buckets, other: Side, scratch: Path) -> None:
        """Counts the rows that one side alone has, with what the other build did with them."""
        codes, left = Codes(), self.left[when]
        ledger = Buckets(scratch / f"{when}-ledger", "id", self.most)
        for rows in _ledger(other, codes):
            ledger.add(rows)
        unknown = Buckets(scratch / f"{when}-unknown", "text", self.most)
        some = False
        for number in range(len(unmet)):
            rest = self._known(left, unmet[number], ledger[number], codes, other.when, "id")
            unknown.add(rest)
            some |= len(rest) > 0
        removed = Buckets(scratch / f"{when}-removed", "text", self.most)
        if some and other.build is not None:
            data = ds.Dataset.load(other.build / "removed")
            for rows in rows_of(self._keyed(data, f"removed-{other.when}", removed=True), codes):
                removed.add(rows)
        for number in range(len(unknown)):
            rest = self._known(left, unknown[number], removed[number], codes, other.when, "text")
            made = np.isin(rest["code"], [n for n, name in enumerate(self.codes.names) if name == _OTHER_SOURCE])
            left.add(f"not_made_{other.when}", rest[made], self.codes.names)
            left.add(f"not_read_{other.when}", rest[~made], self.codes.names)

    def _known(self, left: _Left, rows: Rows, told: Rows, codes: Codes, when: str, by: str) -> Rows:
        """Counts the rows that the other build removed, by its reason; the others."""
        mine, its = paired(rows, told, by)
        reasons = told["code"][its]
        for code in np.unique(reasons).tolist():
            left.add(f"removed_{when}:{codes.names[code]}", rows[mine[reasons == code]], self.codes.names)
        return np.delete(rows, mine)

    # --- what is told ---------------------------------------------------------------------------------------------

    def _told(self, when: str, shown: dict[str, dict[str, Any]]) -> dict[str, Any]:
        left = self.left[when]
        by_source = {
            name: dict(zip(("documents", "tokens"), n, strict=True)) for name, n in sorted(left.sources.items())
        }
        return {
            "documents": left.why.total(),
            "tokens": left.tokens,
            "why": dict(sorted(left.why.items(), key=lambda item: (-item[1], item[0]))),
            "shown": self._ids(left, when, shown),
            "by_source": by_source,
        }

    def _ids(self, left: _Left, when: str, shown: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
        """Ids of the documents to show for each reason; the documents go into `shown`."""
        rows = {row for firsts in left.first.values() for _, _, row in firsts}
        found = documents(self.sides[when].data, rows, _SHOWN, _SHOWN_CHARS)
        for doc in found.values():
            shown.setdefault(doc["id"], {**doc, "in": when})
        return {why: [found[row]["id"] for _, _, row in firsts] for why, firsts in sorted(left.first.items())}


def _most(side: Side) -> int:
    """Rows of the corpus, or of the ledger where that has more: every bucket of either is to fit in memory."""
    return max(side.data.rows, ds.Dataset.load(side.build / "ledger").rows if side.build is not None else 0)


def _ledger(side: Side, codes: Codes) -> Iterator[Rows]:
    """What a build says of the documents that it removed: ids, and `stage:reason` as the code."""
    if side.build is None:
        return
    for table in ds.Dataset.load(side.build / "ledger").tables(["id", "stage", "reason"]):
        rows = np.zeros(table.num_rows, ROW)
        rows["id"]["high"], rows["id"]["low"] = halves(table["id"].to_pylist())
        rows["code"] = codes.of(whys(table))
        yield rows


def _recipe(build: Place) -> Recipe:
    """The recipe of a build, with its manifest."""
    recipe: Recipe = orjson.loads((build / "recipe.json").read_bytes())
    return {**recipe, "manifest": ds.read_build(build)}


def _side(when: str, name: str, found: Documents) -> Side:
    """The side of some documents; a build has its own name, the others that which is given."""
    if found.build is None:
        return Side(when, name, found.data, None)
    return Side(when, str(ds.read_build(found.build)["name"]), found.data, found.build)


def compare(
    now: tuple[str, Documents], before: tuple[str, Documents], work: Path, engine: Engine, progress: Progress
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """(the figure `comparison` of a report, the documents that it shows, by id) of two sides, each with a name.

    `work` : a folder of this comparison alone. Raises AccountingError where the parts are not the whole, and InputError
    where a dataset cannot be read.
    """
    sides = _side("before", *before), _side("now", *now)
    return Comparison(*sides, work, engine, progress).figures()


def in_words(figure: dict[str, Any]) -> Iterator[str]:
    """The comparison as lines to read."""
    before = figure["a"]
    yield f"  compared with    {before['documents']:>9,} documents, {before['tokens']:,} tokens of {before['name']}"
    told = ", ".join(_stage_words(one) for one in [*(figure["sources"] or ()), *(figure["stages"] or ())])
    if told:
        yield f"  recipes          {'':>9} {told}"
    others = [f"{figure[key]:,} with another {what}" for key, what in _OTHERWISE.items() if figure[key]]
    yield f"  in both          {figure['in_both']:>9,}" + (f", {', '.join(others)}" if others else "")
    for what in ("came", "gone"):
        part = figure[what]
        yield f"  {what:16} {part['documents']:>9,} documents, {part['tokens']:,} tokens"
        for why, count in part["why"].items():
            yield f"    {why.replace('_', ' ', 2 if why.startswith('not') else 1):40} {count:>9,}"


def _stage_words(one: dict[str, Any]) -> str:
    name = one.get("stage") or f"source {one['source']}"
    if "only" in one:
        return f"{name} only {one['only']}"
    also = [
        word for key, word in (("files", "its files"), ("code", "its code"), ("moved", "its place")) if one.get(key)
    ]
    return f"{name} ({', '.join([*one['changed'], *also])})"

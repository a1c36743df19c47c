"""Mixes of a corpus: documents are counted, thresholds decided, documents taken, and all told, wanted beside got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from filters.errors import AccountingError, RecipeError
from pipelines import dataset as ds
from pipelines.decisions import Artefact
from pipelines.engine import Engine, scratch_beside
from pipelines.mix_decide import BUDGET, I64, Filling, Spool, decision_table, fill
from pipelines.mix_rows import VALUES, CountTask, most_copies, rows_schema
from pipelines.mix_take import KINDS, TakeTask
from pipelines.places import Place, Remote, names_in, remove_all
from pipelines.plan import Pass, Plan, PlannedMix
from pipelines.recipe_mix import Mix
from pipelines.stage import Task
from pipelines.tables import save_table

FOLDER = "mixes"
OTHERS = "mixes_left_out"  # what each mix did not take; beside the mixes, whose folders load whole
SHOWN_CAPPED = 20  # values that a cap cut most from
DIGITS = 6  # of shares and epochs that are told

Reports = list[dict[str, Any]]
Runner = Callable[[Pass, Task, Callable[[Reports], dict[str, Any]]], None]  # runs a pass and closes it with its reports


@dataclass(frozen=True)
class Mixing:
    """What makes the mixes of a plan from its corpus."""

    plan: Plan
    corpus: ds.Dataset
    engine: Engine
    run: Runner
    memory_mb: int | None = None  # that a rank may hold

    def make(self) -> dict[str, dict[str, Any]]:
        """The figures of each mix, by name; what is done is not done again."""
        return {planned.config.name: self._make(planned) for planned in self.plan.mixes}

    def _make(self, planned: PlannedMix) -> dict[str, Any]:
        counting, taking, mix = self.plan.work / planned.counting.folder, planned.taking, planned.config
        if not self.plan.is_done(taking):
            if not self.plan.is_done(planned.counting):
                count = CountTask(counting, self.corpus, mix, planned.seed, self.memory_mb)
                self.run(planned.counting, count, partial(self._decide, planned))
            decision = ds.Dataset.load(counting / "decision")
            rows = ds.Dataset.load(counting / "rows")
            artefact = Artefact(str(decision.root), decision.digest)
            take = TakeTask(self.plan.work / taking.folder, self.corpus, rows, mix, artefact, self.memory_mb)
            self.run(taking, take, partial(self._close, planned))
        done = orjson.loads((self.plan.work / taking.folder / "done.json").read_bytes())
        found: dict[str, Any] = done["figures"]
        return found

    def _decide(self, planned: PlannedMix, reports: Reports) -> dict[str, Any]:
        """Finds the thresholds, and saves them; what they promise."""
        out, mix = self.plan.work / planned.counting.folder, planned.config
        rows = _saved(out / "rows", planned.key, reports, "rows", rows_schema(mix))
        there = np.array([r["there"] for r in reports], np.int64).sum(axis=0)  # (documents, tokens) of each part
        wanted = tokens_wanted(mix, there[:, 1].tolist())
        limits = cap_limits(mix, wanted, there[:, 1].tolist())
        caps = []
        for number, limit in enumerate(limits):
            sums = _saved(out / f"cap{number}", planned.key, reports, f"cap{number}", VALUES)
            caps.append(self.engine.totals(sums, "value", limit + 1)["value"].combine_chunks())
        with scratch_beside(rows) as scratch:
            spool = Spool(scratch, [pa.array(c, pa.string()) for c in caps], rows.rows)
            spool.add_all(rows.tables())
            free, before = fill(mix, spool, wanted, None)
            rooms = [np.full(len(values), limit) for values, limit in zip(caps, limits, strict=True)]
            filled, after = fill(mix, spool, wanted, rooms) if any(map(len, caps)) else (free, before)
            promised = [int(one.used(BUDGET, 1)[0]) for one in filled]
            free_tokens = [int(one.used(BUDGET, 1)[0]) for one in free]
            save_table(out / "decision", planned.key, decision_table(filled, spool.caps))
        short = [_short(*one) for one in zip(filled, wanted, promised, free_tokens, strict=True)]
        cut = _cut(mix, caps, before, after)
        return {"there": there.tolist(), "wanted": wanted, "tokens": promised, "short": short, **cut}

    def _close(self, planned: PlannedMix, reports: Reports) -> dict[str, Any]:
        """Writes the manifests of what was taken and left out; the figures of the mix."""
        out = self.plan.work / planned.taking.folder
        for kind, schema in KINDS.items():
            _saved(out / kind, planned.key, reports, kind, schema)
        decided = orjson.loads((self.plan.work / planned.counting.folder / "done.json").read_bytes())
        got = np.array([r["got"] for r in reports], np.int64).sum(axis=0)  # (documents, rows, tokens) of each part
        left: Counter[str] = sum((Counter(r["left_out"]) for r in reports), Counter())
        if int(got[:, 0].sum()) + left.total() != self.corpus.rows or got[:, 2].tolist() != decided["tokens"]:
            msg = (
                f"mix {planned.config.name!r}: {self.corpus.rows} documents, but {got[:, 0].sum()} taken and "
                f"{left.total()} left out, with {got[:, 2].tolist()} tokens where {decided['tokens']} were decided on"
            )
            raise AccountingError(msg)
        return {"figures": figures(planned, decided, got.tolist(), dict(sorted(left.items())))}


def _saved(root: Place, key: str, reports: Reports, kind: str, schema: pa.Schema) -> ds.Dataset:
    dataset = ds.Dataset(root, tuple(ds.Shard(**r["shards"][kind]) for r in reports), key)
    dataset.save(schema)
    return dataset


def tokens_wanted(mix: Mix, there: Sequence[int]) -> list[int]:
    """The tokens that each part shall have, of so many that are there; RecipeError where epochs use up the budget.

    Numbers are those that the recipe shows, and not the nearest in binary: of 1,000,000 tokens 0.3 are 300,000.
    """
    wanted = [p.tokens or 0 for p in mix.parts]
    for number, part in enumerate(mix.parts):
        if part.epochs is not None:
            wanted[number] = round(Fraction(str(part.epochs)) * there[number])
    if mix.tokens is None:
        return wanted
    rest = mix.tokens - sum(wanted)
    if rest <= 0:
        msg = (
            f"mix {mix.name!r}: its parts with epochs or tokens take {sum(wanted):,} tokens, which leaves none of "
            f"{mix.tokens:,} to those with a weight; raise tokens, or lower epochs"
        )
        raise RecipeError(msg)
    total = sum(Fraction(str(p.weight)) for p in mix.parts if p.weight is not None)
    until = Fraction(0)
    for number, part in enumerate(mix.parts):
        if part.weight is not None:
            before, until = until, until + Fraction(str(part.weight))
            wanted[number] = rest * until // total - rest * before // total  # together they are the rest
    return wanted


def cap_limits(mix: Mix, wanted: Sequence[int], there: Sequence[int]) -> list[int]:
    """The tokens that a value of each cap may have; a share is one of those that the parts want and can have."""
    parts = zip(mix.parts, wanted, there, strict=True)
    total = sum(min(tokens, most_copies(part) * held) for part, tokens, held in parts)
    limits = []
    for cap in mix.caps:
        shared = None if cap.share is None else int(Fraction(str(cap.share)) * total)
        limits.append(min(limit for limit in (cap.tokens, shared) if limit is not None))
    return limits


def _short(filled: Filling, wanted: int, got: int, free: int) -> int:
    """Tokens that a part lacks because there are no more, or caps hold them back."""
    if filled.part.epochs is not None:
        return free - got
    [(_, budget)] = filled.layers[-1:]
    return wanted - got if budget.rounds[0] >= most_copies(filled.part) else 0


def _cut(mix: Mix, caps: Sequence[pa.Array], before: Sequence[I64], after: Sequence[I64]) -> dict[str, Any]:
    rows = [
        {"column": cap.column, "value": value, "before": had, "after": has}
        for cap, values, *sums in zip(mix.caps, caps, before, after, strict=True)
        for value, had, has in zip(values.to_pylist(), *(s.tolist() for s in sums), strict=True)
        if had > has
    ]
    rows.sort(key=lambda r: (r["after"] - r["before"], r["column"], r["value"]))
    return {"caps": rows[:SHOWN_CAPPED], "more_caps": len(rows[SHOWN_CAPPED:])}


def figures(
    planned: PlannedMix, decided: dict[str, Any], got: Sequence[Sequence[int]], left_out: dict[str, int]
) -> dict[str, Any]:
    """What a mix was to be and what it is, as docs/mixing.md names it."""
    wanted, total = sum(decided["wanted"]), sum(tokens for *_, tokens in got)
    parts = []
    for number, part in enumerate(planned.config.parts):
        documents, rows, tokens = got[number]
        there, there_tokens = decided["there"][number]
        given = {k: v for k in ("weight", "tokens", "epochs") if (v := getattr(part, k)) is not None}
        parts.append(
            {
                "name": part.name,
                "where": part.model_dump(mode="json")["where"],
                "wanted": {**given, "tokens": decided["wanted"][number]},
                "max_epochs": part.max_epochs,
                "documents_there": there,
                "tokens_there": there_tokens,
                "documents": documents,
                "copies": rows,
                "tokens": tokens,
                "epochs": _share(tokens, there_tokens),
                "share_wanted": _share(decided["wanted"][number], wanted),
                "share_got": _share(tokens, total) or 0.0,
                "short": decided["short"][number],
            }
        )
    return {
        "name": planned.config.name,
        "seed": planned.seed,
        "tokens_wanted": wanted,
        "tokens_got": total,
        "documents": sum(p["documents"] for p in parts),
        "copies": sum(p["copies"] for p in parts),
        "parts": parts,
        "caps": decided["caps"],
        "more_caps": decided["more_caps"],
        "left_out": left_out,
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, DIGITS) if whole else None


def in_words(made: dict[str, Any]) -> str:
    """A mix as lines for the command line: what was wanted, what was got, and what is short."""
    title = f"mix {made['name']}"
    lines = [
        f"{title:16} {made['tokens_got']:>13,} of {made['tokens_wanted']:,} tokens, {made['documents']:,} documents"
    ]
    for part in made["parts"]:
        epochs = "" if part["epochs"] is None else f"  {part['epochs']:.3g} epochs"
        short = f"  short of {part['short']:,}" if part["short"] else ""
        lines.append(f"  {part['name']:14} {part['tokens']:>13,} of {part['wanted']['tokens']:,}{epochs}{short}")
    return "\n".join(lines)


def are_there(plan: Plan) -> bool:
    """Whether every mix of the plan is published; InputError where one has no manifest."""
    names = [planned.config.name for planned in plan.mixes]
    return all(ds.Dataset.load(plan.out / f / name).is_there() for name in names for f in (FOLDER, OTHERS))


def withdraw_others(plan: Plan) -> None:
    """Takes away the mixes of other recipes; what else stands in their folders stays."""
    names = {planned.config.name for planned in plan.mixes}
    for root in (plan.out / FOLDER, plan.out / OTHERS):
        for folder in (root / name for name in _folders_in(root) if name not in names):
            (folder / "manifest.json").unlink(missing_ok=True)
            remove_all([folder / shard for shard in names_in(folder) if shard.endswith(".parquet")])
            if isinstance(folder, Path):
                with suppress(OSError):  # something of somebody else is in it
                    folder.rmdir()


def _folders_in(folder: Place) -> list[str]:
    if isinstance(folder, Remote):
        return sorted({name.partition("/")[0] for name in folder.files() if "/" in name})
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []

"""What a build is doing, told to another terminal: `mathcorpus build RECIPE --status`.

The build writes the names of its passes, and how it ended; ranks are counted by their markers, and whether it still
runs is asked of its lock, so that nothing has to be told by a process that was killed.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any

import orjson

from filters.errors import InputError
from pipelines.files import write_json
from pipelines.leases import is_held
from pipelines.places import Place, Remote, modified, names_in
from pipelines.progress import Events
from pipelines.spool import is_alive

if TYPE_CHECKING:
    from pipelines.plan import Pass, Plan

FILE = "status.json"
_MINUTE = 60.0


class Journal(Events):
    """Passes events on, and writes down what they say of the whole."""

    def __init__(self, plan: Plan, events: Events, engine: str) -> None:
        self._path, self._events = plan.work / FILE, events
        about = {"name": plan.recipe.name, "engine": engine, "host": socket.gethostname(), "pid": os.getpid()}
        tasks = [*plan.passes, *(p for mix in plan.mixes for p in (mix.counting, mix.taking))]
        passes = [{"folder": p.folder, "stages": [s.name for s in p.stages], "kind": p.kind} for p in tasks]
        self._told: dict[str, Any] = {**about, "started": time.time(), "passes": passes, "failed": None, "ended": None}

    def __enter__(self) -> None:
        write_json(self._path, self._told)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._told["ended"] = time.time()
        if error is not None:
            self._told["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
        write_json(self._path, self._told)

    def started(self, one: Pass, ranks: int, missing: int) -> None:
        """A pass begins."""
        told = next(p for p in self._told["passes"] if p["folder"] == one.folder)
        told |= {"ranks": ranks, "missing": missing, "started": time.time()}
        write_json(self._path, self._told)
        self._events.started(one, ranks, missing)

    def rank_done(self, one: Pass, rank: int) -> None:
        """One of its ranks is done; its marker says so to others."""
        self._events.rank_done(one, rank)

    def finished(self, one: Pass, done: dict[str, Any]) -> None:
        """A pass is on disk."""
        self._events.finished(one, done)

    def note(self, text: str) -> None:
        """Something that takes a while begins."""
        self._events.note(text)


def read_status(out: Place) -> dict[str, Any]:
    """State (`running`, `done`, `failed`, `stopped`), passes with their ranks and rate, and what failed.

    Raises InputError where no build has begun.
    """
    work = out / "work"
    try:
        told = orjson.loads((work / FILE).read_bytes())
    except FileNotFoundError as error:
        msg = f"{out}: no build has begun here; give the folder of one with --out"
        raise InputError(msg) from error
    if is_locked(out):
        state = "running"
    else:
        state = "stopped" if told["ended"] is None else "failed" if told["failed"] else "done"
    end = time.time() if state == "running" else told["ended"]
    passes = [_pass(work, one, end) for one in told["passes"]]
    keys = ("name", "engine", "host", "pid", "started", "failed")
    return {"state": state, **{k: told[k] for k in keys}, "passes": passes}


def _pass(work: Place, one: dict[str, Any], end: float | None) -> dict[str, Any]:
    """A pass and how far it is; `per_minute` are ranks of this run, `left_s` the time of those that are missing."""
    root = work / one["folder"]
    done = sum(name.endswith(".json") and not name.startswith(".") for name in names_in(root / "ranks"))
    whole = (root / "done.json").exists()
    found = {"stages": one["stages"], "kind": one["kind"], "state": "done" if whole else "waiting", "ranks_done": done}
    if "started" not in one:
        return {**found, "ranks": None if not whole else done, "per_minute": None, "left_s": None}
    mine = done - (one["ranks"] - one["missing"])
    until = modified(root / "done.json") if whole else end
    seconds = max(until - one["started"], 1e-3) if until else None
    rate = mine / seconds * _MINUTE if seconds and mine else None
    left = (one["ranks"] - done) / rate * _MINUTE if rate else None
    state = "done" if whole else "begun"
    return {**found, "state": state, "ranks": one["ranks"], "per_minute": rate, "left_s": left}


def is_locked(out: Place) -> bool:
    """Whether a run holds the folder; asked for a moment only, so that a build which starts is not kept out."""
    if isinstance(out, Remote):
        return is_held(out)
    return is_alive(out / ".lock") or False


def in_words(found: dict[str, Any]) -> str:
    """The status as lines to read."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found["started"]))
    where = f"{found['engine']}, process {found['pid']} on {found['host']}"
    lines = [f"{found['name']}: {found['state']}; {where}, begun {since}"]
    for one in found["passes"]:
        ranks = f"{one['ranks_done']} of {one['ranks']} ranks" if one["ranks"] is not None else ""
        rate = f"{one['per_minute']:.1f} a minute" if one["per_minute"] else ""
        left = f"{one['left_s'] / _MINUTE:.0f} min left" if one["state"] == "begun" and one["left_s"] else ""
        told = ", ".join(filter(None, (ranks, rate, left)))
        kind = f"{one['kind']} " if one["kind"].startswith("mix") else ""
        lines.append(f"  {one['state']:8} {kind}{' + '.join(one['stages'])}{': ' if told else ''}{told}")
    if found["state"] == "failed":
        lines.append(f"  failed   {found['failed']}")
    elif found["state"] == "stopped":
        lines.append("  the process is gone without a word (killed?); the same command goes on where it stopped")
    return "\n".join(lines)

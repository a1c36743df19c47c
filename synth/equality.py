"""Whether two answers are mathematically the same: equal, different, or unknown, which is never a pass.

Numbers, choices, sets, pairs and intervals are compared here, exactly and by their kind; what is left, single
expressions, goes to a worker process that dies after three seconds of CPU.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

from filters.errors import UsageError
from synth.shapes import Shape, read
from synth.units import NOUN, PERCENT

EQUAL, DIFFERENT, UNKNOWN = "equal", "different", "unknown"
CPU_S = 3.0  # of the worker for one comparison: CPU, so that a busy machine changes no result
TIMEOUT = f"{UNKNOWN} timeout"
HUNG_S = 30.0  # after which a worker that got no CPU, or stands still, is killed
START_S = 60.0
REMEMBERED = 20_000  # pairs
MAX_EXPRESSION = 400  # characters of one expression that is sent to the worker
WORDS = re.compile(r"[^\x00-\x7f]|(?<![\\a-zA-Z{])[a-zA-Z]{4,}")  # prose: sympy would multiply its letters


@dataclass(frozen=True, slots=True)
class Verdict:
    """equal, different or unknown, and which rule said so."""

    result: str
    reason: str

    @property
    def equal(self) -> bool:
        """Unknown is not equal."""
        return self.result == EQUAL


Ask = Callable[[str, str], Verdict]


class Equality:
    """Compares answers; owns the worker process. `with Equality() as equality: equality.compare("1/2", "0.5")`.

    cpu_s : of a comparison, after which it is unknown.
    Raises UsageError where math-verify is not installed.
    """

    def __init__(self, cpu_s: float = CPU_S) -> None:
        if importlib.util.find_spec("math_verify") is None:
            message = "equality of answers needs math-verify: install mathcorpus with the extra `verify`."
            raise UsageError(message)
        self.cpu_s = cpu_s
        self._worker: subprocess.Popen[str] | None = None
        self._known: dict[tuple[str, str], Verdict] = {}
        self._endless: set[str] = set()

    def __enter__(self) -> Equality:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker."""
        if self._worker is not None:
            with contextlib.suppress(BrokenPipeError), self._worker as worker:
                if worker.poll() is None:
                    os.killpg(worker.pid, signal.SIGKILL)
        self._worker = None

    def compare(self, left: str, right: str) -> Verdict:
        """Whether two answers are the same; the order of the two does not matter."""
        pair = (min(left, right), max(left, right))
        if pair not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[pair] = same(read(pair[0]), read(pair[1]), self._expressions)
        return self._known[pair]

    def _expressions(self, left: str, right: str) -> Verdict:
        """Two expressions, by the worker. One that hangs alone is remembered: n answers cost n limits, not n**2."""
        if self._endless & {left, right}:
            return Verdict(UNKNOWN, "timeout")
        told = self._ask(left, right)
        if told == TIMEOUT:
            self._endless.update([next((text for text in (left, right) if self._ask(text) == TIMEOUT), "")])
        result, _, reason = told.partition(" ")
        return Verdict(result, reason or "math-verify")

    def _ask(self, *texts: str) -> str:
        """The worker's answer; a worker that gives none is killed, and replaced when one is asked for."""
        worker = self._worker or self._start()
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(json.dumps(texts) + "\n")
            worker.stdin.flush()
            ready, _, _ = select.select([worker.stdout], [], [], self.cpu_s + HUNG_S)
            told = worker.stdout.readline().strip() if ready else ""
        except BrokenPipeError:
            told = ""
        if not told:
            self.close()
        return told or TIMEOUT

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "synth.equality_worker", str(self.cpu_s)]
        self._worker = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._worker.stdout is not None
        if not select.select([self._worker.stdout], [], [], START_S)[0] or not self._worker.stdout.readline():
            self.close()
            message = f"equality: the worker does not start; see what `{' '.join(command)}` says."
            raise UsageError(message)
        return self._worker


def same(left: Shape, right: Shape, ask: Ask) -> Verdict:  # noqa: C901, PLR0911 - one rule a line
    """Whether two shapes are the same answer; `ask` decides on single expressions."""
    if "nothing" in (left.kind, right.kind):
        return Verdict(UNKNOWN, "no answer")
    if left.name and right.name and left.name != right.name:
        return Verdict(UNKNOWN if left.parts or right.parts else DIFFERENT, "names")
    if left == right:
        return Verdict(EQUAL, "text")
    if left.kind == "choice" or right.kind == "choice":
        return _choices(left, right, ask)
    kinds = {left.kind, right.kind}
    if kinds <= {"number", "expression"}:
        return _values(left, right, ask)
    if kinds == {"tuple", "interval"} and "()" in (left.text, right.text):
        return _in_order(left, right, ask) if left.text == right.text else Verdict(DIFFERENT, "brackets")
    if kinds == {"interval", "union"}:
        left, right = (side if side.kind == "union" else Shape("union", "", (side,)) for side in (left, right))
        return _unordered(left, right, ask)
    if "equation" in kinds and bool(kinds & {"number", "expression"}):
        left, right = (replace(s, kind="equation", text=f"{s.name}={s.text}") if s.name else s for s in (left, right))
        kinds = {left.kind, right.kind}
    if len(kinds) == 1:
        return _alike(left, right, ask)
    if kinds == {"several", "tuple"} and "{}" in (left.text, right.text):
        return Verdict(DIFFERENT, "set and tuple")
    if kinds in ({"several", "sequence"}, {"several", "tuple"}):
        verdict = _in_order(left, right, ask)
        return verdict if verdict.equal and "tuple" not in kinds else Verdict(UNKNOWN, "order")
    lists = {"several", "sequence", "tuple", "union", "interval", "matrix"}
    if bool(kinds & lists) and bool(kinds & {"number", "expression", "word"}):
        several = left if left.kind in lists else right
        return Verdict(DIFFERENT if len(several.parts) > 1 and several.kind != "union" else UNKNOWN, "one or several")
    return Verdict(UNKNOWN, "kinds")


def _alike(left: Shape, right: Shape, ask: Ask) -> Verdict:  # noqa: PLR0911 - one kind a line
    """Two of one kind that holds others, or is a text."""
    kind = left.kind
    if kind == "word":
        return Verdict(DIFFERENT if {left.text, right.text} == {"yes", "no"} else UNKNOWN, "words")
    if kind == "circled":
        return Verdict(EQUAL if left.text == right.text else DIFFERENT, "numbers of statements")
    if kind == "equation":
        return _ask(left, right, ask)
    if kind in ("several", "union"):
        return _unordered(left, right, ask)
    if kind == "ratio":
        return _ratios(left, right)
    if left.text != right.text and kind != "sequence":
        return Verdict(DIFFERENT, "brackets" if kind != "matrix" else "rows")
    return _in_order(left, right, ask)


def _choices(left: Shape, right: Shape, ask: Ask) -> Verdict:
    if left.kind == right.kind:
        return Verdict(EQUAL if left.text == right.text else DIFFERENT, "choices")
    choice, other = (left, right) if left.kind == "choice" else (right, left)
    if choice.parts:
        return same(choice.parts[0], other, ask)
    return Verdict(DIFFERENT if other.kind == "number" else UNKNOWN, "kinds")


def _values(left: Shape, right: Shape, ask: Ask) -> Verdict:
    """Numbers and expressions, with their units."""
    if left.unit != right.unit:
        units = {left.unit, right.unit}
        if PERCENT in units or ("" not in units and not any(unit.startswith(NOUN) for unit in units)):
            return Verdict(DIFFERENT, "units")
        if "" not in units:
            return Verdict(DIFFERENT if _plain(left, right).result == DIFFERENT else UNKNOWN, "nouns")
        return _plain(left, right) if None not in (left.value, right.value) else _ask(left, right, ask)
    if left.size == right.size:
        return _plain(left, right) if None not in (left.value, right.value) else _ask(left, right, ask)
    if left.value is not None and right.value is not None:
        same_size = left.value * left.size == right.value * right.size
        return Verdict(EQUAL if same_size else DIFFERENT, "units")
    return ask(*(f"({side.text}) \\times ({side.size.numerator})/({side.size.denominator})" for side in (left, right)))


def _plain(left: Shape, right: Shape) -> Verdict:
    if left.value is None or right.value is None:
        return Verdict(UNKNOWN, "kinds")
    return Verdict(EQUAL if left.value == right.value else DIFFERENT, "number")


def _ask(left: Shape, right: Shape, ask: Ask) -> Verdict:
    texts = [left.text, right.text]
    if left.kind == "equation":
        pass
    elif texts[0].replace(" ", "") == texts[1].replace(" ", ""):
        return Verdict(EQUAL, "text")
    if any(WORDS.search(text) or len(text) > MAX_EXPRESSION for text in texts):
        return Verdict(UNKNOWN, "prose")
    return ask(*texts)


def _ratios(left: Shape, right: Shape) -> Verdict:
    ones, others = ([part.value for part in side.parts] for side in (left, right))
    if len(ones) != len(others):
        return Verdict(DIFFERENT, "ratio")
    quotients = {a / b for a, b in zip(ones, others, strict=True) if a is not None and b}
    if None in ones or None in others or 0 in others:
        return Verdict(UNKNOWN, "ratio")
    return Verdict(EQUAL if len(quotients) == 1 and 0 not in quotients else DIFFERENT, "ratio")


def _in_order(left: Shape, right: Shape, ask: Ask) -> Verdict:
    """Part by part."""
    if len(left.parts) != len(right.parts):
        return Verdict(DIFFERENT, "length")
    results = [same(a, b, ask).result for a, b in zip(left.parts, right.parts, strict=True)]
    return Verdict(next((r for r in (DIFFERENT, UNKNOWN) if r in results), EQUAL), left.kind)


def _unordered(left: Shape, right: Shape, ask: Ask) -> Verdict:
    """Each part has its equal on the other side."""
    worst = EQUAL
    for ones, others in ((left.parts, right.parts), (right.parts, left.parts)):
        for part in ones:
            results = {same(part, other, ask).result for other in others}
            if EQUAL not in results:
                worst = UNKNOWN if UNKNOWN in results or worst == UNKNOWN else DIFFERENT
    return Verdict(worst, left.kind)

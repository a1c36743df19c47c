"""Solutions with Python blocks: runs the blocks, and says whether the code bears the answer out.

A block continues the ones before it: they run again before it in one fresh process, since nothing may survive a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from synth.answers import BOX, TAG, extract_answer
from synth.sandbox import Limits, Run

MAX_BLOCKS = 8
OUTPUT_CHARS = 1000  # of a block's output, kept
LIMITS = Limits(wall_s=10.0)
FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*$", re.MULTILINE)
MARK = "\x02block\x03\n"  # printed before each block, to tell its output from that of the ones before


class Runner(Protocol):
    """What runs code: a Sandbox."""

    def run(self, code: str, limits: Limits | None = None) -> Run:
        """What came of the code."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a solution: text, python, or output (a block of what the code printed, as the model wrote it)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolVerdict:
    """Whether the code of a solution bears its answer out.

    failure : empty, or the first of: no_code, unclosed_block, too_many_blocks, answer_before_code, no_answer,
        code_<status of the run>, nothing_printed, other_value (what is printed last is not the answer, or unknown).
    runs : of the blocks, in order, up to the one that failed; stdout is that of the block alone.
    """

    failure: str
    runs: tuple[Run, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing failed."""
        return not self.failure


def split_solution(solution: str) -> tuple[list[Piece], bool]:
    """The parts in order, and whether the last block is left open. Blocks of other languages are text."""
    pieces: list[Piece] = []
    start, kind = 0, "text"
    for fence in FENCE.finditer(solution):
        if kind == "text" and fence[1].lower() in ("python", "py", "output"):
            opened = "output" if fence[1].lower() == "output" else "python"
        elif kind == "text" and not fence[1] and pieces and pieces[-1].kind == "python":
            opened = "output"  # a bare fence after code is its output
        elif kind != "text" and not fence[1]:
            opened = "text"
        else:
            continue
        pieces.append(Piece(kind, solution[start : fence.start()].strip("\n")))
        start, kind = fence.end() + 1, opened
        pieces = [piece for piece in pieces if piece.kind != "text" or piece.text.strip()]
    if solution[start:].strip():
        pieces.append(Piece(kind, solution[start:].strip("\n")))
    return pieces, kind != "text"


def run_blocks(blocks: list[str], runner: Runner, limits: Limits = LIMITS) -> list[Run]:
    """A run for each block, up to the first that fails; `stdout` holds what the block itself printed, cut."""
    runs: list[Run] = []
    for count in range(1, len(blocks) + 1):
        code = f"\nprint({MARK!r}, end='')\n".join(blocks[:count])
        run = runner.run(code, limits)
        own = run.stdout.split(MARK)
        runs.append(replace(run, stdout=own[-1][:OUTPUT_CHARS] if len(own) == count else ""))
        if run.status != "ok":
            break
    return runs


def check_tool_use(solution: str, runner: Runner, equal: Callable[[str, str], bool]) -> ToolVerdict:
    """Runs the blocks of a solution and compares what the last one that prints prints last with the final answer.

    equal : whether two answers are the same; unknown is not.
    """
    pieces, unclosed = split_solution(solution)
    blocks = [piece.text for piece in pieces if piece.kind == "python"]
    answer = extract_answer("\n".join(piece.text for piece in pieces if piece.kind == "text"))
    failure = _before_running(pieces, blocks, unclosed=unclosed)
    if failure or answer is None:
        return ToolVerdict(failure or "no_answer")
    runs = tuple(run_blocks(blocks, runner))
    if runs[-1].status != "ok":
        return ToolVerdict(f"code_{runs[-1].status}", runs)
    printed = next((run.stdout.strip() for run in reversed(runs) if run.stdout.strip()), "")
    if not printed:
        return ToolVerdict("nothing_printed", runs)
    last_line = printed.splitlines()[-1]
    values = (last_line, re.split(r"[:=]\s+", last_line)[-1])  # 12; total: 12
    return ToolVerdict("" if any(equal(answer.text, _plain(value)) for value in values) else "other_value", runs)


def _before_running(pieces: list[Piece], blocks: list[str], *, unclosed: bool) -> str:
    if unclosed:
        return "unclosed_block"
    if not blocks:
        return "no_code"
    if len(blocks) > MAX_BLOCKS:
        return "too_many_blocks"
    before = "\n".join(piece.text for piece in pieces[: [piece.kind for piece in pieces].index("python")])
    return "answer_before_code" if TAG.search(before) or BOX.search(before) else ""


def _plain(value: str) -> str:
    """What Python prints, as mathematics: sqrt(2)*x**2 is \\sqrt{2}x^{2}."""
    value = re.sub(r"sqrt\(([^()]*)\)", r"\\sqrt{\1}", value.strip())
    value = re.sub(r"\*\*\(?(-?\w+)\)?", r"^{\1}", value).replace("*", " ")
    return re.sub(r"(?<![A-Za-z\\])(pi|log|sin|cos|tan|exp)(?![A-Za-z])", r"\\\1", value)

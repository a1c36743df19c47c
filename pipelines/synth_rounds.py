"""The rounds of a synthesis as a recipe asks for them: which task follows on which, and through which gates.

Extracted pairs that are refined pass most gates only then, so that a pair that says "the above" may be mended. What
nothing follows on is what the synthesis makes; it passes the gate of duplicates, and those that the caller gives.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from filters.errors import UsageError
from synth import gates as gate
from synth.gates import Gate, Seen, arranged, given, text_gates
from synth.rounds import Round
from synth.sandbox import Sandbox
from synth.tasks.extract import ExtractBlocks, ExtractVerbatim, Refine
from synth.tasks.generate import Generate, Rewrite
from synth.tasks.solve import Judge, Solve
from synth.tool_use import check_tool_use

if TYPE_CHECKING:
    from pipelines.recipe_synth import SynthStage
    from synth.equality import Equality
    from synth.tasks.task import Asking

_OF_RAW_PAIRS = {"parse", "finish"}  # gates of a pair that is refined afterwards


@dataclass(frozen=True, slots=True)
class Tools:
    """Processes that verify: equality of answers and a sandbox, where the recipe needs them."""

    equality: Equality | None = None
    sandbox: Sandbox | None = None


@contextmanager
def tools_of(config: SynthStage) -> Iterator[Tools]:
    """The tools of a recipe; UsageError where one is not installed or cannot be walled in."""
    with ExitStack() as stack:
        if config.solve is None:
            yield Tools()
            return
        from synth.equality import Equality

        equality = stack.enter_context(Equality())
        sandbox = stack.enter_context(Sandbox()) if config.solve.kind == "code" else None
        yield Tools(equality, sandbox)


def rounds_of(config: SynthStage, asking: Asking, tools: Tools, extra: Sequence[Gate] = ()) -> tuple[Round, ...]:
    """The rounds, in order; `extra` : gates of what is made in the end, that of duplicates unless it is among them."""
    questions = _questions(config, asking)
    if config.solve is not None and questions:
        questions = [*questions, _solutions(config, asking, tools, ends(questions))]
    told = [
        Round(name, Rewrite(asking, name, requests=number), arranged([*text_gates(), gate.new()]))
        for name, number in (("textbook", config.textbook), ("dialogue", config.dialogue))
        if number
    ]
    rounds = [*questions, *told]
    if config.judge:
        rounds.append(Round("judge", Judge(asking), arranged([gate.judged()]), ends(rounds)))
    last = ends(rounds)
    if all(one.name != "duplicate" for one in extra):
        extra = [given("duplicate", Seen()), *extra]
    return tuple(_with(each, *extra) if each.name in last else each for each in rounds)


def ends(rounds: Sequence[Round]) -> tuple[str, ...]:
    """Names of the rounds that nothing follows on."""
    followed = {name for each in rounds for name in each.after}
    return tuple(each.name for each in rounds if each.name not in followed)


def _with(each: Round, *more: Gate) -> Round:
    return Round(each.name, each.task, arranged([*each.gates.gates, *more]), each.after, each.missed)


def _questions(config: SynthStage, asking: Asking) -> list[Round]:
    """Rounds that end in questions with their answers."""
    whole = [*text_gates(), gate.of_type(config.kinds, judged=config.judge)]
    raw = [one for one in text_gates() if one.name in _OF_RAW_PAIRS] if config.refine else whole
    rounds = []
    if config.extract in {"blocks", "both"}:
        rounds.append(Round("extract", ExtractBlocks(asking), arranged([*raw, gate.faithful()])))
    if config.extract in {"verbatim", "both"}:
        missed = "extract" if config.extract == "both" else ""
        rounds.append(Round("verbatim", ExtractVerbatim(asking), arranged([*raw, gate.faithful()]), missed=missed))
    if config.refine and rounds:
        rounds.append(Round("refine", Refine(asking), arranged(whole), tuple(each.name for each in rounds)))
    if config.generate is not None:
        wanted = config.generate
        task = Generate(asking, wanted.requests, wanted.count, wanted.styles, wanted.levels, wanted.languages)
        rounds.append(Round("generate", task, arranged([*whole, gate.new()])))
    return rounds


def _solutions(config: SynthStage, asking: Asking, tools: Tools, after: tuple[str, ...]) -> Round:
    wanted, equality = config.solve, tools.equality
    assert wanted is not None
    assert equality is not None
    equal = partial(_equal, equality)
    gates = [*text_gates(), gate.one_answer(), gate.agreement(wanted.min_share, wanted.min_margin)]
    if tools.sandbox is not None:
        sandbox = tools.sandbox
        gates.append(gate.ran(lambda solution: check_tool_use(solution, sandbox, equal)))
    if wanted.reward is not None:
        gates.append(gate.rewarded())
    reward = None if wanted.reward is None else _imported(wanted.reward)
    name = f"solve_{wanted.kind}"
    task = Solve(asking, lambda one, other: equality.compare(one, other).result, name, wanted.n, reward)
    return Round("solve", task, arranged(gates), after)


def _imported(name: str) -> Callable[[str, str], float]:
    """The function of an import path; UsageError where there is none."""
    module, _, function = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        msg = f"solve.reward: {name}: cannot be imported ({error})"
        raise UsageError(msg) from error
    if not callable(found):
        msg = f"solve.reward: {name} is no function"
        raise UsageError(msg)
    return cast("Callable[[str, str], float]", found)


def _equal(equality: Equality, one: str, other: str) -> bool:
    return equality.compare(one, other).equal

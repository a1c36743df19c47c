"""Options of a command that asks a model about what no rule finds, and what it says of the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from filters.errors import UsageError
from pipelines.cli_options import option

if TYPE_CHECKING:
    from pipelines.judging import Judge

F = TypeVar("F", bound=Callable[..., Any])

_SECTION = "Judge"
_TIMEOUT = 60.0  # seconds for an answer of one word
_OPTIONS = (
    option(
        _SECTION,
        "--judge",
        metavar="URL",
        help="Ask the model behind this OpenAI-compatible address about likely paraphrases.",
    ),
    option(_SECTION, "--judge-model", metavar="NAME", help="Model to ask for.  [default: the one that is served]"),
    option(_SECTION, "--judge-key-env", metavar="VARIABLE", help="Variable of the environment that holds the key."),
    option(
        _SECTION, "--judge-budget", type=click.IntRange(0), metavar="N", help="Pairs to ask about.  [default: 10000]"
    ),
    option(
        _SECTION, "--judge-concurrency", type=click.IntRange(1), metavar="N", help="Questions at a time.  [default: 16]"
    ),
    option(
        _SECTION,
        "--judge-answers",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Keep the answers here, and ask nothing twice.  [default: a hidden file in --out]",
    ),
)


def judge_options(command: F) -> F:
    """The command with the options of a judge."""
    for one in reversed(_OPTIONS):
        command = one(command)
    return command


def judge_of(given: Mapping[str, Any]) -> Judge | None:
    """The judge that is asked for; UsageError where its options stand without it."""
    names = ("model", "key_env", "budget", "concurrency", "answers")
    chosen = {name: given[f"judge_{name}"] for name in names if given[f"judge_{name}"] is not None}
    if given["judge"] is None:
        if chosen:
            msg = f"--judge-{next(iter(chosen)).replace('_', '-')} says how to ask a model; name one with --judge URL"
            raise UsageError(msg)
        return None
    from pipelines.judging import BUDGET, Judge
    from synth.client import Server
    from synth.engine import CONCURRENCY

    return Judge(
        Server(given["judge"], model=chosen.get("model"), key_variable=chosen.get("key_env"), timeout=_TIMEOUT),
        concurrency=chosen.get("concurrency", CONCURRENCY),
        budget=chosen.get("budget", BUDGET),
        journal=chosen.get("answers"),
    )


def judge_summary(told: Mapping[str, Any]) -> Iterator[str]:
    """What the judge said, and what it could not say."""
    answers = told["answers"]
    spared = f", {told['spared']:,} of documents that are removed anyway" if told["spared"] else ""
    yield (
        f"  {told['model']} judged {sum(answers.values()):,} of {told['pairs']:,} likely paraphrases: "
        f"{answers['yes']:,} yes, {answers['no']:,} no{spared}"
    )
    if told["unknown"]:
        reasons = ", ".join(f"{reason} {pairs:,}" for reason, pairs in told["unknown"].items())
        yield f"  {told['documents_unknown']:,} documents could not be judged (pairs unknown: {reasons})"
    if told["private_items"]:
        yield f"  {told['private_items']:,} questions of a private index have no text: no paraphrase of them is found"

"""Every point of the rule is an option of the commands that search for benchmark text, with the rule's default."""

from __future__ import annotations

from dataclasses import asdict

import click
import pytest
from click.testing import CliRunner

from decontam.params import DecontaminationParams
from filters.errors import UsageError
from pipelines.cli_options import Command, benchmark_fields, names_of, option, points, rule_options

DEFAULTS = asdict(DecontaminationParams())
SWITCHES = [name for name, default in DEFAULTS.items() if isinstance(default, bool)]


@click.command(cls=Command)
@option("Output", "--out", help="Somewhere.")
@rule_options
def search(**given: object) -> None:
    """Search."""
    click.echo(repr(points(given)))


def told(*arguments: str) -> str:
    result = CliRunner().invoke(search, arguments, catch_exceptions=False)

    assert result.exit_code == 0
    return result.output


def test_what_is_not_given_is_left_to_the_rule() -> None:
    """The command has no defaults of its own."""
    assert told() == "{}\n"


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_point_can_be_given(name: str) -> None:
    """A switch turns its default round, a value takes its place."""
    default = DEFAULTS[name]
    dashed = name.replace("_", "-")
    if name in SWITCHES:
        assert told(f"--no-{dashed}" if default else f"--{dashed}") == f"{ {name: not default}!r}\n"
        return
    other = "qwen2-formula" if name == "rule" else type(default)(default / 2)

    assert told(f"--{dashed}", str(other)) == f"{ {name: other}!r}\n"


def test_help_states_the_defaults_of_the_rule() -> None:
    """Each number and name in --help is that of DecontaminationParams; the options stand in sections."""
    text = " ".join(told("--help").split())
    shown = {name: f"[default: {default}]" for name, default in DEFAULTS.items() if name not in SWITCHES}

    for name, default in shown.items():
        at = text.index(f"--{name.replace('_', '-')} ")
        assert default in text[at : text.index("]", text.index("[default", at)) + 1]
    assert text.index("Output:") < text.index("--out") < text.index("Rule:") < text.index("--ngram")
    assert text.index("--stock-documents") < text.index("Other:") < text.index("--help")


def test_a_wrong_option_is_one_line_that_names_the_help() -> None:
    """The message says which command's --help to look at."""
    with pytest.raises(UsageError, match=r"No such option.*--ngrams.*\(see search --help\)"):
        CliRunner().invoke(search, ["--ngrams", "3"], catch_exceptions=False)


def test_lists_of_names() -> None:
    """Commas and repeated options add up; fields are pairs of those that benchmarks have."""
    assert names_of(["gsm8k, math", "", "cmath"]) == ("gsm8k", "math", "cmath")
    assert benchmark_fields("question=a,question=b,option=c") == {"question": ["a", "b"], "option": ["c"]}
    assert benchmark_fields(None) is None
    with pytest.raises(UsageError, match="--fields answer=a: expected question|solution|option=NAME"):
        benchmark_fields("answer=a")

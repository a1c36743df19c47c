"""What commands that search for benchmark text share: options, sections of --help, a bar, texts side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from filters.errors import UsageError
from pipelines.places import Place, place

F = TypeVar("F", bound=Callable[..., Any])

_OTHER = "Other"
_COLUMN = 52  # characters of a column of two texts
_LINES = 4  # of a text that is shown


class PlaceType(click.ParamType[Place]):
    """A path of this machine, or a URL of fsspec."""

    name = "path or url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:  # noqa: ARG002
        """The place that was named."""
        return place(value) if isinstance(value, str) else value


class LocalType(click.ParamType[Path]):
    """A path of this machine; a URL would be taken for one that is called `s3:`."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; UsageError where it is a URL of another kind than file://."""
        found = PLACE.convert(value, param, ctx)
        if not isinstance(found, Path):
            msg = f"{param.opts[0] if param else 'path'} {value}: is a URL; give a path of this machine"
            raise UsageError(msg)
        return found


PLACE = PlaceType()
LOCAL = LocalType()


class _Option(click.Option):
    """An option that stands in a section of --help."""

    def __init__(self, *names: Any, section: str = _OTHER, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.section = section


class Command(click.Command):
    """Says what is wrong with an option in one line, and lists its options by section."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            msg = f"{error.format_message().rstrip('.')} (see {ctx.command_path} --help)"
            raise UsageError(msg) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "section", _OTHER), []).append(record)
        sections[_OTHER] = sections.pop(_OTHER)  # --help is in it; it comes last
        width = max(len(names) for records in sections.values() for names, _ in records)
        for section, records in sections.items():
            with formatter.section(section):
                # one column for all sections: the longest name of each would indent it otherwise
                formatter.write_dl([(names.ljust(width), text) for names, text in records], col_max=width + 2)


def option(section: str, *names: str, **settings: Any) -> Callable[[F], F]:
    """An option of a command, in a section of its --help."""
    return click.option(*names, cls=_Option, section=section, **settings)


def flag_off(section: str, name: str, target: str, text: str) -> Callable[[F], F]:
    """A flag `--no-…` that sets `target` to False; None where it is not given."""
    return option(section, name, target, flag_value=False, default=None, type=bool, help=text)


_INPUT = (
    option(
        "Input",
        "--field",
        "fields",
        multiple=True,
        metavar="NAME",
        help="Field with text.  [default: text, or see above]",
    ),
    option("Input", "--id-field", default="id", show_default=True, metavar="NAME", help="Field with the id of a row."),
)
_BENCHMARKS = (
    option("Benchmarks", "--against", multiple=True, metavar="NAME_OR_PATH,...", help="Names, files or folders."),
    option("Benchmarks", "--index", type=click.Path(path_type=Path), help="A saved index, in the place of --against."),
    option(
        "Benchmarks",
        "--fields",
        "benchmark_fields",
        metavar="question=A,solution=B",
        help="Fields of the benchmarks, where the usual ones do not fit.",
    ),
)
_RULE = (
    option("Rule", "--rule", type=click.Choice(["qwen-math", "qwen2-formula"]), help="Rule.  [default: qwen-math]"),
    option("Rule", "--ngram", type=int, metavar="N", help="Tokens in an anchor.  [default: 13]"),
    option(
        "Rule",
        "--window-slack",
        type=float,
        metavar="SHARE",
        help="Share of the item on each side of its window.  [default: 0.25]",
    ),
    option(
        "Rule",
        "--lcs-threshold",
        type=float,
        metavar="SHARE",
        help="Common share above which a text is a copy.  [default: 0.6]",
    ),
    option(
        "Rule",
        "--word-threshold",
        type=float,
        metavar="SHARE",
        help="Common share of the words up to which a copy is for review: it may be formulas alone.  [default: 0.33]",
    ),
    option("Rule", "--inclusive", is_flag=True, default=None, help="At the threshold counts, too."),
    flag_off("Rule", "--no-short", "short", "Leave questions below an anchor out."),
    option("Rule", "--short-anywhere", is_flag=True, default=None, help="Find these in the middle of a sentence, too."),
    flag_off("Rule", "--no-short-signs", "short_signs", "They need not have the same operators."),
    flag_off("Rule", "--no-near", "near", "Leave look-alikes out."),
    option("Rule", "--near-ngram", type=int, metavar="N", help="Tokens in an anchor of look-alikes.  [default: 7]"),
    flag_off("Rule", "--no-near-masked", "near_masked", "No anchors of look-alikes with numbers masked."),
    option(
        "Rule",
        "--stock-documents",
        type=int,
        metavar="N",
        help="Documents in which an n-gram convicts nothing that make it a stock phrase.  [default: 50]",
    ),
)


json_option = option("Output", "--json", "as_json", is_flag=True, help="Print the report as JSON.")
quiet_option = option("Output", "--quiet", is_flag=True, help="Print nothing.")
workers_option = option(
    "Other",
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Processes.  [default: cores, where the input is large]",
)


def input_options(command: F) -> F:
    """The command with the options that say where texts stand in rows."""
    return _with(_INPUT, command)


def benchmark_options(command: F) -> F:
    """The command with the options that say what to search for."""
    return _with(_BENCHMARKS, command)


def rule_options(command: F) -> F:
    """The command with an option for every point of the rule; those not given are None."""
    return _with(_RULE, command)


def _with(options: Sequence[Callable[[F], F]], command: F) -> F:
    for one in reversed(options):
        command = one(command)
    return command


def points(given: Mapping[str, Any]) -> dict[str, Any]:
    """The points of the rule among the options of a command that were given."""
    from decontam.params import DecontaminationParams

    names = [point.name for point in fields(DecontaminationParams)]
    return {name: given[name] for name in names if given[name] is not None}


def names_of(given: Sequence[str]) -> tuple[str, ...]:
    """The names of an option that may be given several times, each time with several names."""
    return tuple(name.strip() for part in given for name in part.split(",") if name.strip())


def pair(name: str, given: str, names: Sequence[str], values: Sequence[str] = ()) -> tuple[str, str]:
    """NAME=VALUE of the option `name`, each one of those known."""
    key, equals, value = (part.strip() for part in given.partition("="))
    if not equals or key not in names or not value or (values and value not in values):
        expected = f"{'|'.join(names)}={'|'.join(values) or 'NAME'}"
        msg = f"{name} {given}: expected {expected}"
        raise UsageError(msg)
    return key, value


def benchmark_fields(given: str | None) -> dict[str, list[str]] | None:
    """Fields of benchmarks as --fields names them."""
    columns: dict[str, list[str]] = {}
    for one in (given or "").split(",") if given is not None else ():
        name, value = pair("--fields", one, ("question", "solution", "option"))
        columns.setdefault(name, []).append(value)
    return columns or None


@contextmanager
def bar(*, quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """A bar of the bytes that are done, called with what is being done and how many more; only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _what, _size: None
        return
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, leave=False) as drawn:

        def progress(what: str, size: int) -> None:
            drawn.set_description(what, refresh=False)
            drawn.update(size)

        yield progress


def side_by_side(left: str, right: str) -> Iterator[str]:
    """The first lines of two texts in two columns, and an empty line."""
    sides = [_wrapped(text) for text in (left, right)]
    for one, other in zip(*(side + [""] * (_LINES - len(side)) for side in sides), strict=True):
        if one or other:
            yield f"  {one}{' ' * (_COLUMN - _width(one))} | {other}".rstrip()
    yield ""


def _wrapped(text: str) -> list[str]:
    """The first lines of a text in a column; a wide character takes two places."""
    lines, line = [""], 0
    for char in " ".join(text.split()):
        shown = char if char.isprintable() else "�"
        if _width(lines[line]) + _width(shown) > _COLUMN:
            if line + 1 == _LINES:
                lines[line] = f"{lines[line][:-2]}…"
                break
            lines.append("")
            line += 1
        lines[line] += shown
    return lines


def _width(text: str) -> int:
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)

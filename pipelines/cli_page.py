"""The page docs/cli.md, from what each command says to --help: `python -m pipelines.cli_page > docs/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from pipelines.cli import main

WIDTH = 110  # columns of a help text
_HEAD = """# The command line

Generated from `--help`; `python -m pipelines.cli_page > docs/cli.md` makes it anew.

Exit codes: 0 done; 2 wrong use, recipe or input, told in one line; 3 a gate that you asked for did not hold; 1 anything
else. Inputs are files, folders, globs, URLs of fsspec and `-`, as each command says.
"""


def page() -> str:
    """The whole page: a list of the commands, then the help of each."""
    found = list(_commands(main, "mathcorpus"))
    listed = [f"- [`{name}`](#{name.replace(' ', '-')}): {_first(command)}" for name, command in found]
    parts = [f"## {name}\n\n```text\n{_help(command, name)}\n```\n" for name, command in found]
    return "\n".join([_HEAD, *listed, "", *parts])


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner in sorted(command.commands):
            yield from _commands(command.commands[inner], f"{name} {inner}")


def _first(command: click.Command) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())


def _help(command: click.Command, name: str) -> str:
    # not the width of the terminal that makes the page
    context = click.Context(
        command,
        info_name=name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=main.context_settings["help_option_names"],
    )
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


if __name__ == "__main__":
    sys.stdout.write(page())

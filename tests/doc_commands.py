"""What the documentation shows: fenced blocks, the commands in them, and the real click command that each names."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
from conftest import REPOSITORY

from pipelines.cli import main

PAGES = tuple(
    sorted(
        path.relative_to(REPOSITORY).as_posix()
        for pattern in ("*.md", "docs/*.md", "examples/*/*.md")
        for path in REPOSITORY.glob(pattern)
    )
)
_FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(mathcorpus [^`]+)`(?!`)")
_COMMENT = re.compile(r"\s+#\s.*$")
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)")
_SHELL = frozenset("|<>;&*$`")


class Block(NamedTuple):
    """A fenced block: its page, line and kind (sh, python, yaml, …), and what the `text` block behind it says."""

    page: str
    line: int
    kind: str
    text: str
    told: str | None

    @property
    def place(self) -> str:
        """PAGE:LINE."""
        return f"{self.page}:{self.line}"


def blocks(page: str, *kinds: str) -> list[Block]:
    """The blocks of a page, of some kinds or all; an indented one is moved to the margin."""
    source = (REPOSITORY / page).read_text(encoding="utf-8")
    found = [(m.end(), _block(page, source, m)) for m in _FENCE.finditer(source)]
    ends = [end for end, _ in found]
    made = []
    for number, (_, block) in enumerate(found):
        nearest = found[number + 1][1] if number + 1 < len(found) else None
        behind = nearest is not None and nearest.kind == "text" and _only_space(source, ends[number], nearest)
        made.append(block._replace(told=nearest.text if behind and nearest else None))
    return [block for block in made if not kinds or block.kind in kinds]


def _block(page: str, source: str, match: re.Match[str]) -> Block:
    line = source.count("\n", 0, match.start()) + 1
    return Block(page, line, match["kind"], textwrap.dedent(match["text"]), None)


def _only_space(source: str, end: int, block: Block) -> bool:
    start = sum(len(line) for line in source.splitlines(keepends=True)[: block.line - 1])
    return source[end:start].strip() == ""


def commands(script: str) -> Iterator[str]:
    """The commands of a shell block: continued lines and texts behind << belong to their command."""
    lines = iter(script.splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        command = line
        while command.endswith("\\"):
            command = command[:-1].rstrip() + " " + next(lines).strip()
        if here := _HEREDOC.search(command):
            for text in lines:
                command += "\n" + text
                if text == here[1]:
                    break
            yield command
        else:
            yield _COMMENT.sub("", command)


def inline_commands(page: str) -> Iterator[str]:
    """`mathcorpus …` in running text and tables."""
    outside = _FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))
    yield from (" ".join(found.split()) for found in _INLINE.findall(outside))


def plain(command: str) -> list[str] | None:
    """The words of a command of ours that needs no shell; None for others."""
    return shlex.split(command) if command.startswith("mathcorpus ") and not _SHELL & set(command) else None


def ours(command: str) -> Iterator[list[str]]:
    """The words of each `mathcorpus …` in a pipe, without redirections."""
    for part in re.split(r"\s\|\s|\s&&\s", command):
        words = shlex.split(re.sub(r"\s<<?\s*\S+|\s2?>\s*\S+", "", part.partition("\n")[0]))
        if words and words[0] == "mathcorpus":
            yield words


def named(words: Sequence[str]) -> tuple[click.Context, list[str]]:
    """The context of the click command that words name, and its arguments; KeyError where there is none."""
    context, rest = click.Context(main, info_name="mathcorpus"), list(words[1:])
    while isinstance(context.command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        context = click.Context(context.command.commands[name], info_name=name, parent=context)
    return context, rest


def parse(words: Sequence[str]) -> None:
    """Parses a command as the program does, and does not run it; an error of click or ours where it is wrong."""
    context, rest = named(words)
    try:
        context.command.make_context(str(context.info_name), rest, parent=context.parent)
    except click.exceptions.Exit:
        return  # --help and --version


def examples(command: click.Command) -> list[str]:
    """The commands that stand under Example(s) in --help."""
    text = command.help or ""
    _, _, behind = re.split(r"\n\s*(Examples?):\n", text, maxsplit=1)
    lines = behind.partition("\n\n")[0]
    return list(commands(textwrap.dedent(lines)))


def every_command(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:  # fmt: skip
    """Each command with its path, groups before their members."""
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from every_command(command.commands[name], (*path, name))


def folder_of(path: str) -> Path:
    """The folder that a page's links start at."""
    return (REPOSITORY / path).parent

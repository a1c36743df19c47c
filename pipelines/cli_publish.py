"""The command `mathcorpus publish`: options and a summary. What works is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from filters.errors import InputError, UsageError
from pipelines.cli_options import LOCAL, PLACE, Command, json_option, option
from pipelines.places import Place

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_OF_THE_HUB = ("private", "token_file", "revision", "message")


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("build", type=PLACE, metavar="DIR")
@option("Output", "--to", required=True, metavar="hf://datasets/ORG/NAME|FOLDER", help="Dataset of the hub, or folder.")
@option("Output", "--dry-run", is_flag=True, help="List the files and their sizes; write and send nothing.")
@json_option
@option("Content", "--with", "extras", metavar="mixes,packed", help="Publish these of the build, too.")
@option("Content", "--licence", metavar="ID,...", help="For the card's header: odc-by, cc-by-4.0, …  [default: found]")
@option("Hub", "--private", is_flag=True, help="Make the dataset private, where it is made.")
@option("Hub", "--revision", metavar="BRANCH", help="Branch; made where there is none.  [default: main]")
@option("Hub", "--message", metavar="TEXT", help="Message of the commit.  [default: the build's key]")
@option("Hub", "--token-file", type=LOCAL, help="File with the token.  [default: HF_TOKEN, or that of `hf auth login`]")
def publish(build: Place, to: str, *, as_json: bool, dry_run: bool, **given: Any) -> None:
    """Publish a finished build: its corpus, a dataset card, a Croissant description, and its report.

    DIR is the folder of a build. What was removed, the ledger and the evidence stay at home; so do paths and secrets of
    this machine: the command stops where it finds one. It writes one commit, takes away what an earlier run published
    and this one does not, and sends nothing twice: after an error run it again.

    \b
    Published are:
      data/*.parquet    the corpus, its shards as they are
      README.md         dataset card: YAML header, composition, method, benchmarks checked, licences, known limits
      croissant.json    the same for programs (Croissant 1.0)
      recipe.yaml       without paths and addresses
      report.html, report.json   without texts of removed documents and of benchmark items
      manifest.json     SHA-256 of each file, keys, versions

    \b
    Examples:
      mathcorpus publish out/quickstart --to published
      mathcorpus publish out/real --to hf://datasets/ORG/NAME --dry-run
      mathcorpus publish out/real --to hf://datasets/ORG/NAME --private --licence odc-by
      mathcorpus publish out/real --to hf://datasets/ORG/NAME --with mixes --revision v2 --token-file token.txt
    """
    from pipelines.publish import HUB, Options
    from pipelines.publish import publish as run
    from pipelines.publish_files import EXTRAS

    if not to.startswith(HUB) and (wrong := [name for name in _OF_THE_HUB if given[name]]):
        msg = f"--{wrong[0].replace('_', '-')}: only with --to {HUB}ORG/NAME"
        raise UsageError(msg)
    extras = _listed(given["extras"])
    if unknown := [name for name in extras if name not in EXTRAS]:
        msg = f"--with {unknown[0]}: there are {' and '.join(EXTRAS)}"
        raise UsageError(msg)
    told = run(
        Options(
            build,
            to,
            extras,
            _listed(given["licence"]),
            given["message"],
            given["private"],
            given["revision"],
            _token(given["token_file"]),
            dry_run,
        )
    )
    if as_json:
        import orjson

        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    else:
        _summary(told, dry_run=dry_run)


def _listed(given: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (given or "").split(","))))


def _token(path: Path | None) -> str | None:
    """The token in a file; its content is in no message."""
    if path is None:
        return None
    try:
        found = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--token-file {path}: cannot be read ({getattr(error, 'strerror', None) or 'not text'})"
        raise InputError(msg) from error
    if len(found.split()) != 1:
        msg = f"--token-file {path}: does not hold one token and nothing else"
        raise InputError(msg)
    return found


def _summary(told: dict[str, Any], *, dry_run: bool) -> None:
    if dry_run:
        for file in told["files"]:
            click.echo(f"{file['bytes']:>15,}  {file['path']}")
    total = f"{len(told['files'])} files, {told['bytes']:,} bytes"
    if dry_run:
        click.echo(f"{total} for {told['to']}; nothing was written")
    elif told["url"] is None:
        click.echo(f"{total} in {told['to']}")
    elif told["commit"] is None:
        click.echo(f"nothing to do: {told['url']} holds these {total} already")
    else:
        gone = f", {len(told['deleted'])} deleted" if told["deleted"] else ""
        click.echo(f"{total}: {len(told['uploaded'])} uploaded, {len(told['unchanged'])} unchanged{gone}")
        click.echo(told["url"])

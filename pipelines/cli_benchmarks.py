"""The commands `mathcorpus benchmarks …`: the registry, its cache, what the rules protect, a saved index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filters.errors import UsageError
from pipelines.cli_options import names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from decontam.benchmarks import Item
    from decontam.coverage import Protection, Unprotected
    from decontam.index import Index
    from decontam.registry import BenchmarkSet

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
SHOWN_CHARS = 70  # of an unprotected item, on a line of its own

_JSON = click.option("--json", "as_json", is_flag=True, help="Print figures as JSON.")
_CACHE = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="MATHCORPUS_BENCHMARKS",
    help="Folder of fetched sets.  [default: ~/.cache/mathcorpus/benchmarks]",
)
_FROM = click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of sets laid out as NAME/SPLIT.jsonl[.gz], looked at first.",
)
_FIELDS = click.option(
    "--fields",
    metavar="FIELD=COLUMN,…",
    help="Columns of question, solution and option where the usual ones do not fit; a+b joins two.",
)
_FILE = click.Path(path_type=Path, dir_okay=False)
_AGAINST = click.argument("names", metavar="NAME_OR_PATH...", nargs=-1, required=True)
_NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True)


@click.group(context_settings=SETTINGS)
def benchmarks() -> None:
    """List, fetch and index benchmarks, and tell what the rules can protect of them.

    A NAME is a set of the registry (gsm8k, GSM-8K), or a profile: pretrain, posttrain, gaokao, all. A path is a file
    of your own, or a folder laid out as NAME/SPLIT.jsonl[.gz], which stands for all its sets but train splits; what
    the registry knows is checked wherever it comes from. MATHCORPUS_REGISTRY names another registry.

    \b
    Examples:
      mathcorpus benchmarks list
      mathcorpus benchmarks fetch posttrain
      mathcorpus benchmarks coverage gsm8k cmath my/exam.jsonl
      mathcorpus benchmarks index posttrain --out posttrain.idx
    """


@benchmarks.command("list", context_settings=SETTINGS)
@_CACHE
@_FROM
@_JSON
def list_sets(cache: Path | None, source: Path | None, as_json: bool) -> None:
    """Print the sets of the registry and where they are: cached, local (in --from), or not here.

    \b
    Example:
      mathcorpus benchmarks list --from data/benchmarks
    """
    from decontam.registry import default_cache, load_registry

    registry = load_registry()
    places = {name: _place(entry, cache or default_cache(), source) for name, entry in registry.sets.items()}
    if as_json:
        sets = [
            {"name": name, "where": places[name], **entry.model_dump(mode="json")}
            for name, entry in registry.sets.items()
        ]
        _print_json({"profiles": {**registry.profiles, "all": tuple(registry.sets)}, "sets": sets})
        return
    rows = [
        (name, entry.language, f"{entry.rows:,}" if entry.rows else "-", places[name], entry.licence)
        for name, entry in registry.sets.items()
    ]
    _print_table(("name", "lang", "rows", "where", "licence"), rows, right={2})
    for profile, members in registry.profiles.items():
        click.echo(f"{profile}: {', '.join(members)}")


@benchmarks.command(context_settings=SETTINGS)
@_NAMES
@_FROM
@_CACHE
def fetch(names: tuple[str, ...], source: Path | None, cache: Path | None) -> None:
    """Bring sets into the cache and check their rows and digest; what is there and right is left alone.

    They come from the hub at the pinned revision (`pip install 'mathcorpus[hub]'`), or from a folder.

    \b
    Examples:
      mathcorpus benchmarks fetch gsm8k math
      mathcorpus benchmarks fetch all --from /media/stick/benchmarks
    """
    from decontam.hub import fetch as fetch_sets

    for one in fetch_sets(names, cache, source=source):
        state = "was there" if one.was_there else "fetched"
        doubt = "" if one.checked else f"  not pinned, so not checked; see `mathcorpus benchmarks pin {one.name}`"
        click.echo(f"{one.name:20} {one.rows:6,} rows  {state}  {one.path}{doubt}")


@benchmarks.command(context_settings=SETTINGS)
@_NAMES
@click.option("--out", type=_FILE, required=True, help="The copy to write.")
@_FROM
def pin(names: tuple[str, ...], out: Path, source: Path | None) -> None:
    """Write a copy of the registry with revision, rows and digest of sets filled in from the hub's newest commit.

    MATHCORPUS_REGISTRY=COPY makes it the registry. A set in --from is counted there; its revision stays.

    \b
    Example:
      mathcorpus benchmarks pin humaneval mbpp --out benchmarks.yaml
    """
    from decontam.hub import pin as pin_sets
    from decontam.hub import write_registry

    text, pinned = pin_sets(names, source=source)
    write_registry(out, text)
    for one in pinned:
        click.echo(f"{one.name:20} {one.rows:6,} rows  digest {one.digest}  revision {one.revision or '-'}")
    click.echo(f"{out}")


@benchmarks.command(context_settings=SETTINGS)
@_AGAINST
@_FIELDS
@_CACHE
@_FROM
@click.option(
    "--show", type=click.IntRange(0), default=3, show_default=True, help="Unprotected items printed of a set."
)
@_JSON
def coverage(
    names: tuple[str, ...], fields: str | None, cache: Path | None, source: Path | None, show: int, as_json: bool
) -> None:
    """Print how many questions of each set a copy is found of, by the strongest class that finds it.

    \b
    exact    it has 13 tokens in a row to be found by
    short    3 to 12 tokens with a letter (10 to 12 where all are Chinese characters), found as a whole
    near     neither, but 8 in a row: a copy is found as a look-alike
    none     nothing finds it; these are listed
    options  of the last three, those found where their options are printed with them

    \b
    Examples:
      mathcorpus benchmarks coverage posttrain
      mathcorpus benchmarks coverage data/benchmarks --json > coverage.json
      mathcorpus benchmarks coverage exam.jsonl --fields question=stem,solution=key --show 20
    """
    from decontam.benchmarks import load_benchmarks
    from decontam.coverage import as_json as in_json
    from decontam.coverage import protection
    from decontam.registry import resolve

    items = load_benchmarks(resolve(names, cache, source), _fields(fields))
    lines, unprotected = protection(items)
    if as_json:
        _print_json(in_json(lines, unprotected))
    else:
        _print_coverage(lines, unprotected, show)


@benchmarks.command(context_settings=SETTINGS)
@click.argument("names", metavar="[NAME_OR_PATH]...", nargs=-1)
@click.option("--against", multiple=True, metavar="NAME_OR_PATH,...", help="Sets, written as for `decontaminate`.")
@click.option("--add", "old", type=_FILE, help="An index; the one to write finds what it finds, and the sets too.")
@click.option("--private", is_flag=True, help="Hold keyed hashes of the sets, and no text of them.")
@click.option("--out", type=_FILE, required=True, help="The index to write.")
@_FIELDS
@_CACHE
@_FROM
@_JSON
def index(*, as_json: bool, out: Path, old: Path | None, **given: Any) -> None:
    """Save the index of benchmarks, which `decontaminate` maps instead of reading them again.

    Sets that are added make a part of their own, which `decontaminate --only-new` searches for alone; what was in the
    index stays as it is, and items that it holds are not added again. A private index finds the same documents and
    shows no text of the benchmark; who holds it can try words one by one (see docs/decontamination.md).

    \b
    Examples:
      mathcorpus benchmarks index posttrain --out posttrain.idx
      mathcorpus benchmarks index exam.jsonl --fields question=stem --out exam.idx
      mathcorpus benchmarks index --add posttrain.idx --against exam.jsonl --out both.idx
      mathcorpus benchmarks index --private --against secret.jsonl --out secret.idx
    """
    from decontam.index import add_items, build_index, load_index

    items = _read_sets(**given)
    private = given["private"]
    made = add_items(load_index(old), items, private=private) if old else build_index(items, private=private)
    made.save(out)
    new = len(made.segments[-1].items)
    figures = {"path": str(out), "bytes": out.stat().st_size, "new": new, "known": len(set(items)) - new}
    figures |= _contents(made)
    if as_json:
        _print_json(figures)
        return
    click.echo(f"{out}: {figures['items']:,} items, {figures['ngrams']:,} n-grams, {figures['bytes']:,} bytes")
    if old and new:
        click.echo(f"{new:,} items added; {figures['known']:,} were in {old} already")
    elif old:
        click.echo(f"nothing new: all {figures['known']:,} items are in {old} already; --only-new has nothing to find")
    click.echo(f"digest {made.digest}  rule {figures['rule']}  text {figures['text']}")


@benchmarks.command(context_settings=SETTINGS)
@click.argument("path", metavar="INDEX", type=_FILE)
@_JSON
def check(path: Path, as_json: bool) -> None:
    """Read all of an index, see that it is whole and can be searched safely, and print what it holds.

    `decontaminate --index` opens an index without reading all of it: check one that comes from elsewhere.

    \b
    Example:
      mathcorpus benchmarks check posttrain.idx
    """
    from decontam.index import load_index

    found = load_index(path, check=True)
    figures = {"path": str(path), **_contents(found)}
    if as_json:
        _print_json(figures)
        return
    click.echo(f"{path}: whole, {figures['items']:,} items, {figures['ngrams']:,} n-grams")
    for number, part in enumerate(figures["parts"], 1):
        kind = "private" if part["private"] else "open"
        click.echo(f"  part {number}, {kind}: {part['items']:,} items of {', '.join(part['sets']) or 'no set'}")
    click.echo(f"digest {found.digest}")


def _read_sets(*, names: Sequence[str], against: Sequence[str], fields: str | None, **where: Any) -> list[Item]:
    """The items of the sets that were named in either way."""
    from decontam.benchmarks import load_benchmarks
    from decontam.registry import resolve

    wanted = (*names, *names_of(against))
    if not wanted:
        msg = "say which sets to index: NAME_OR_PATH... or --against NAME_OR_PATH,..."
        raise UsageError(msg)
    return load_benchmarks(resolve(wanted, where["cache"], where["source"]), _fields(fields))


def _contents(index: Index) -> dict[str, Any]:
    """What an index holds, as figures."""
    from decontam.match import MATCH_VERSION
    from filters.text import TEXT_VERSION

    parts = [
        {
            "items": len(segment.items),
            "private": bool(segment.key),
            "sets": ["/".join(name) for name in segment.items.names],
        }
        for segment in index.segments
    ]
    return {
        "items": len(index.items),
        "ngrams": sum(len(segment.tables["exact"].ngrams) for segment in index.segments),
        "parts": parts,
        "digest": index.digest,
        "rule": MATCH_VERSION,
        "text": TEXT_VERSION,
    }


def _place(entry: BenchmarkSet, cache: Path, source: Path | None) -> str:
    from decontam.registry import located

    if located(entry, source):
        return "local"
    return "cached" if located(entry, cache) else "not here"


def _fields(given: str | None) -> dict[str, list[str]] | None:
    """The mapping that `question=a+b,solution=c` writes; a field named twice has two names, tried in order."""
    mapping: dict[str, list[str]] = {}
    for pair in given.split(",") if given else ():
        field, equals, column = pair.partition("=")
        if not equals or not field.strip() or not column.strip():
            msg = f"--fields {given}: {pair!r} is not FIELD=COLUMN"
            raise UsageError(msg)
        mapping.setdefault(field.strip(), []).append(column.strip())
    return mapping or None


def _print_coverage(lines: Sequence[Protection], unprotected: Sequence[Unprotected], show: int) -> None:
    columns = ("items", "exact", "short", "near", "none", "options")
    counts = [[getattr(line, column) for column in columns] for line in lines]
    rows = [
        (f"{line.benchmark}/{line.split}", *(f"{count:,}" for count in row))
        for line, row in zip(lines, counts, strict=True)
    ]
    total = ("all", *(f"{sum(column):,}" for column in zip(*counts, strict=True)))
    _print_table(("set", *columns), [*rows, total], right=set(range(1, 7)))
    for line in lines if show else ():
        hidden = [one for one in unprotected if (one.benchmark, one.split) == (line.benchmark, line.split)]
        for one in hidden[:show]:
            text = " ".join(one.text.encode("utf-8", "replace").decode().split())
            shown = f"{text[:SHOWN_CHARS]}…" if len(text) > SHOWN_CHARS else text or "(no question)"
            click.echo(f"  {one.benchmark}/{one.split} item {one.item}: {shown}")
        if len(hidden) > show:
            click.echo(f"  {line.benchmark}/{line.split}: {len(hidden) - show} more")


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> None:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _print_json(value: Any) -> None:
    import json

    # ASCII, since an item may hold a lone surrogate, which no UTF-8 output can
    click.echo(json.dumps(value, indent=2, sort_keys=True))

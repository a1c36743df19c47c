"""The command `mathcorpus decontaminate`: options, a bar, a summary. What works is imported when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filters.errors import GateError, UsageError

if TYPE_CHECKING:
    from pipelines.decontaminate import Options, Progress

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_KINDS = ("exact", "short", "near", "review")
_DOES = ("drop", "cut", "tag", "report")
_COLUMN = 52  # characters of a column of the evidence that is shown
_LINES = 4  # of a text that is shown


class _Command(click.Command):
    """Says what is wrong with an option in one line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            msg = f"{error.format_message().rstrip('.')} (see mathcorpus decontaminate --help)"
            raise UsageError(msg) from error


@click.command(cls=_Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--against", multiple=True, metavar="NAME_OR_PATH,...", help="Benchmarks: names, files or folders.")
@click.option("--index", type=click.Path(path_type=Path), help="A saved index, in the place of --against.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to; without it nothing is written.")
@click.option(
    "--field", "fields", multiple=True, metavar="NAME", help="Field with text.  [default: text, or see above]"
)
@click.option("--id-field", default="id", show_default=True, metavar="NAME", help="Field with the id of a row.")
@click.option("--fields", "benchmark_fields", metavar="question=A,solution=B", help="Fields of the benchmarks.")
@click.option("--rule", type=click.Choice(["qwen-math", "qwen2-formula"]), help="Rule.  [default: qwen-math]")
@click.option("--ngram", type=int, help="Tokens in an anchor.  [default: 13]")
@click.option("--lcs-threshold", type=float, help="Common share from which on a text is a copy.  [default: 0.6]")
@click.option("--window-slack", type=float, help="Share of the item added to its window.  [default: 0.25]")
@click.option("--inclusive", is_flag=True, default=None, help="At the threshold counts, too.")
@click.option("--no-short", "short", flag_value=False, default=None, type=bool, help="Leave items below an anchor out.")
@click.option("--no-near", "near", flag_value=False, default=None, type=bool, help="Leave look-alikes out.")
@click.option(
    "--profile",
    type=click.Choice(["web", "posttrain"]),
    default="web",
    show_default=True,
    help="What is done with each class: web drops exact and short; posttrain near, too.",
)
@click.option("--action", "actions", multiple=True, metavar="CLASS=ACTION", help="drop, cut, tag or report a class.")
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: cores, where the input is large]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@click.option("--fail-on-contamination", is_flag=True, help="Exit with 3 if anything is found but what is reported.")
def decontaminate(*, as_json: bool, quiet: bool, fail_on_contamination: bool, **given: Any) -> None:
    """Find benchmark text in training data, and write the data without it.

    INPUT is a .jsonl, .jsonl.gz, .jsonl.zst or .parquet file, a folder or glob of them, - (JSONL on standard input),
    hf://datasets/OWNER/NAME[@REVISION][/CONFIG], or a folder written by datasets.save_to_disk. Texts are read from the
    field `text`; where there is none, from chat messages (messages[].content), prompt and response and their like.

    \b
    Writes to --out:
      clean/          the input's files without the removed rows: same names, format, fields, order and types
                      (a dataset of the hub becomes Parquet)
      removed/        the removed rows of the files that have any
      evidence.jsonl  each hit, with what stands in the document and in the benchmark
      report.html, report.json

    \b
    Classes: exact, short (an item too short for an anchor), near (a look-alike), review (a stock phrase).
    Actions: drop the row, cut the span out of its text, tag it (field `contamination`), report it only.

    \b
    Examples:
      mathcorpus decontaminate corpus/ --against gsm8k,math --out decontaminated
      mathcorpus decontaminate sft.jsonl --against bench/ --profile posttrain --field 'messages[].content'
      cat rows.jsonl | mathcorpus decontaminate - --index all.idx --fail-on-contamination
      mathcorpus decontaminate web.parquet --against math --action exact=cut --action near=tag --out cut
    """
    from pipelines.decontaminate import run

    options = _options(**given)
    with _bar(quiet=quiet or as_json) as progress:
        report, first = run(options, progress)
    if as_json:
        import orjson

        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    elif not quiet:
        click.echo("\n".join(_summary(report, first, options.out)))
    found = report["documents"]["contaminated"]
    if fail_on_contamination and found:
        msg = f"{found:,} of {report['documents']['read']:,} documents hold benchmark text"
        raise GateError(msg)


def _options(*, against: Sequence[str], actions: Sequence[str], profile: str, **given: Any) -> Options:
    from pipelines.decontaminate import Options
    from pipelines.row_fields import Fields
    from pipelines.row_tally import PROFILES

    points = ("rule", "ngram", "lcs_threshold", "window_slack", "inclusive", "short", "near")
    return Options(
        inputs=tuple(given["inputs"]),
        against=tuple(name.strip() for part in against for name in part.split(",") if name.strip()),
        index=given["index"],
        out=given["out"],
        fields=Fields(tuple(dict.fromkeys(given["fields"]))),
        id_field=given["id_field"],
        benchmark_fields=_benchmark_fields(given["benchmark_fields"]),
        params={name: given[name] for name in points if given[name] is not None},
        actions={**PROFILES[profile], **dict(_pair("--action", one, _KINDS, _DOES) for one in actions)},
        workers=given["workers"],
    )


def _pair(option: str, given: str, names: Sequence[str], values: Sequence[str] = ()) -> tuple[str, str]:
    """NAME=VALUE, each one of those known."""
    name, equals, value = (part.strip() for part in given.partition("="))
    if not equals or name not in names or not value or (values and value not in values):
        expected = f"{'|'.join(names)}={'|'.join(values) or 'NAME'}"
        msg = f"{option} {given}: expected {expected}"
        raise UsageError(msg)
    return name, value


def _benchmark_fields(given: str | None) -> dict[str, list[str]] | None:
    fields: dict[str, list[str]] = {}
    for one in (given or "").split(",") if given is not None else ():
        name, value = _pair("--fields", one, ("question", "solution", "option"))
        fields.setdefault(name, []).append(value)
    return fields or None


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Progress]:
    """A bar of the text that is done; only on a terminal."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, leave=False, disable=True if quiet else None) as bar:

        def progress(what: str, size: int) -> None:
            bar.set_description(what, refresh=False)
            bar.update(size)

        yield progress


# --- the summary ------------------------------------------------------------------------------------------------------


def _summary(report: dict[str, Any], first: Sequence[dict[str, Any]], out: Path | None) -> Iterator[str]:
    for line in first:
        yield from _hit(line)
    counts = report["documents"]
    yield (
        f"{counts['read']:,} documents: {counts['clean']:,} clean, {counts['removed']:,} removed, "
        f"{counts['reported']:,} kept with a hit"
    )
    for kind in _KINDS:
        if report["classes"][kind]:
            yield f"  {kind:6} {report['classes'][kind]:>9,}  {report['actions'][kind]}"
    for line in report["benchmarks"]:
        name = f"{line['benchmark']}/{line['split']}"
        yield f"  {name:28} {line['items_hit']:>7,} items in {line['documents']:,} documents"
    for reason, rows in report["bad_rows"].items():
        yield f"  {rows:,} rows: {reason} ({report['bad_rows_listed'][reason][0]}, …)"
    cost = report["cost"]
    speed = f"{cost['scan_mb_per_second']:,.0f} MB/s"
    yield f"{cost['text_mb']:,.1f} MB of text in {cost['seconds']:.1f} s, scanned at {speed}"
    yield f"{out / 'report.html'}" if out else "nothing was written; --out DIR writes the clean files and the evidence"


def _hit(line: dict[str, Any]) -> Iterator[str]:
    """A hit: what stands in the document beside what stands in the benchmark."""
    yield (
        f"{line['class']}: {line['origin']} {line['text_field']} = {line['benchmark']}/{line['split']} "
        f"{line['field']} {line['item']}, {line['lcs']:.0%} common, {line['action']}"
    )
    sides = [_wrapped(line["doc_text"]), _wrapped(line["item_text"])]
    for left, right in zip(*(side + [""] * (_LINES - len(side)) for side in sides), strict=True):
        if left or right:
            yield f"  {left}{' ' * (_COLUMN - _width(left))} | {right}".rstrip()
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

"""The command `mathcorpus decontaminate`: options, a bar, a summary. What works is imported when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from filters.errors import GateError
from pipelines.cli_judge import judge_of, judge_options, judge_summary
from pipelines.cli_options import (
    PLACE,
    Command,
    bar,
    benchmark_fields,
    benchmark_options,
    input_options,
    json_option,
    names_of,
    option,
    pair,
    points,
    quiet_option,
    rule_options,
    side_by_side,
    workers_option,
)
from pipelines.places import Place
from pipelines.quick_start import quick_start

if TYPE_CHECKING:
    from pipelines.decontaminate import Options

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_KINDS = ("exact", "short", "near", "judged", "review")
_DOES = ("drop", "cut", "tag", "report")


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@input_options
@benchmark_options
@option("Benchmarks", "--only-new", is_flag=True, help="Of the index, search only for what was added to it last.")
@rule_options
@option(
    "Actions",
    "--profile",
    type=click.Choice(["web", "posttrain"]),
    default="web",
    show_default=True,
    help="What is done with each class: web drops exact and short; posttrain near and judged, too.",
)
@option(
    "Actions", "--action", "actions", multiple=True, metavar="CLASS=ACTION", help="drop, cut, tag or report a class."
)
@option(
    "Actions", "--fail-on-contamination", is_flag=True, help="Exit with 3 if anything is found but what is reported."
)
@judge_options
@option("Output", "--out", type=PLACE, help="Folder or URL to write to; without it nothing is written.")
@json_option
@quiet_option
@workers_option
def decontaminate(*, as_json: bool, quiet: bool, fail_on_contamination: bool, **given: Any) -> None:
    """Find benchmark text in training data, and write the data without it.

    INPUT is a .jsonl, .jsonl.gz, .jsonl.zst or .parquet file, a folder or glob of them, the URL of any of these
    (s3://…, https://…: whatever fsspec reads), - (JSONL on standard input), hf://datasets/OWNER/NAME[@REVISION][/CONFIG],
    or a folder written by datasets.save_to_disk. Texts are read from the field `text`; where there is none, from chat
    messages (messages[].content), prompt and response and their like.

    \b
    Writes to --out:
      clean/          the input's files without the removed rows: same names, format, fields, order and types
                      (a dataset of the hub becomes Parquet)
      removed/        the removed rows of the files that have any
      evidence.jsonl  each hit, with what stands in the document and in the benchmark
      report.html, report.json

    \b
    Classes: exact, short (an item too short for an anchor), near (a look-alike), judged (a paraphrase, by --judge),
    review (a stock phrase).
    Actions: drop the row, cut the span out of its text, tag it (field `contamination`), report it only.

    \b
    Examples:
      mathcorpus decontaminate corpus/ --against gsm8k,math --out decontaminated
      mathcorpus decontaminate sft.jsonl --against bench/ --profile posttrain --field 'messages[].content'
      cat rows.jsonl | mathcorpus decontaminate - --index all.idx --fail-on-contamination
      mathcorpus decontaminate web.parquet --against math --action exact=cut --action near=tag --out cut
      mathcorpus decontaminate sft.jsonl --against gsm8k --profile posttrain --judge http://localhost:8000 --out judged
    """
    with quick_start():
        from pipelines.decontaminate import run

    options = _options(**given)
    with bar(quiet=quiet or as_json) as progress:
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

    return Options(
        inputs=tuple(given["inputs"]),
        against=names_of(against),
        index=given["index"],
        only_new=given["only_new"],
        out=given["out"],
        fields=Fields(tuple(dict.fromkeys(given["fields"]))),
        id_field=given["id_field"],
        benchmark_fields=benchmark_fields(given["benchmark_fields"]),
        params=points(given),
        actions={**PROFILES[profile], **dict(pair("--action", one, _KINDS, _DOES) for one in actions)},
        workers=given["workers"],
        judge=judge_of(given),
    )


# --- the summary ------------------------------------------------------------------------------------------------------


def _summary(report: dict[str, Any], first: Sequence[dict[str, Any]], out: Place | None) -> Iterator[str]:
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
    yield from judge_summary(report["judge"]) if "judge" in report else ()
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
    yield from side_by_side(line["doc_text"], line["item_text"] or "(private)")

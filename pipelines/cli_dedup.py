"""The command `mathcorpus dedup`: options, a bar, a summary. What works is imported when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli_options import (
    LOCAL,
    PLACE,
    Command,
    bar,
    input_options,
    json_option,
    option,
    quiet_option,
    workers_option,
)
from pipelines.places import Place

if TYPE_CHECKING:
    from pipelines.dedup import Options

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@input_options
@option("Input", "--url-field", default="url", show_default=True, metavar="NAME", help="Field with the address.")
@option(
    "Input",
    "--quality-field",
    default="quality_score",
    show_default=True,
    metavar="NAME",
    help="Field with a number; of duplicates the row with the highest stays.",
)
@option(
    "Input",
    "--against",
    multiple=True,
    type=LOCAL,
    metavar="DIR",
    help="Folder of an earlier run: what it holds is removed here. The oldest first.",
)
@option("Near duplicates", "--threshold", type=click.FloatRange(0, 1), default=0.75, show_default=True, metavar="SHARE",
        help="Least Jaccard similarity of two rows' shingles.")  # fmt: skip
@option("Near duplicates", "--bands", type=click.IntRange(1), default=14, show_default=True, metavar="N",
        help="Bands of the MinHash signature.")  # fmt: skip
@option("Near duplicates", "--rows", type=click.IntRange(1), default=8, show_default=True, metavar="N",
        help="Slots in a band.")  # fmt: skip
@option("Near duplicates", "--ngram", type=click.IntRange(1), default=5, show_default=True, metavar="N",
        help="Tokens in a shingle.")  # fmt: skip
@option("Near duplicates", "--seed", type=click.IntRange(0), default=1, show_default=True, metavar="N",
        help="Of the permutations.")  # fmt: skip
@option("Near duplicates", "--band-cap", type=click.IntRange(1), default=50, show_default=True, metavar="N",
        help="Rows of a band that are all compared with each other.")  # fmt: skip
@option("Near duplicates", "--band-hubs", type=click.IntRange(1), default=8, show_default=True, metavar="N",
        help="Of a larger band, the best rows, that all others are compared with.")  # fmt: skip
@option("Near duplicates", "--sibling-tokens", type=click.IntRange(0), default=200, show_default=True, metavar="N",
        help="Shorter texts that differ in numbers and operators alone all stay; 0: they do not.")  # fmt: skip
@option("Near duplicates", "--proof", type=click.Choice(["shingles", "signature"]), default="shingles",
        show_default=True, help="What proves a pair: its exact similarity, or the estimate.")  # fmt: skip
@option("Steps", "--no-urls", "urls", flag_value=False, default=True, type=bool,
        help="Keep several rows of one address.")  # fmt: skip
@option("Steps", "--no-near", "near", flag_value=False, default=True, type=bool,
        help="Remove equal rows only.")  # fmt: skip
@option("Output", "--out", type=PLACE, help="Folder or URL to write to; without it nothing is written.")
@json_option
@quiet_option
@workers_option
def dedup(*, as_json: bool, quiet: bool, **given: Any) -> None:
    """Remove duplicates: equal texts, equal addresses, then near duplicates whose similarity is proven.

    INPUT is a .jsonl, .jsonl.gz, .jsonl.zst or .parquet file, a folder or glob of them, a URL of fsspec, - (JSONL on
    standard input), hf://datasets/OWNER/NAME, or a folder written by datasets.save_to_disk. Of duplicates the row of
    the INPUT that is named first stays, then the one of highest quality, then the one with the least id.

    \b
    Writes to --out:
      kept/             the input's files without duplicates: same names, format, fields, order and types
      removed/          the removed rows of the files that have any
      clusters.parquet  the members of each cluster, what each went for, and their similarity
      signatures/       what a later run needs to compare with these rows: --against
      report.html, report.json

    \b
    Examples:
      mathcorpus dedup books/ web/ --out unique
      mathcorpus dedup crawl-2.parquet --against unique --out unique-2
      mathcorpus dedup exercises.jsonl --field question --sibling-tokens 0 --json
    """
    from pipelines.dedup import run

    options = _options(**given)
    with bar(quiet=quiet or as_json) as progress:
        report = run(options, progress)
    if as_json:
        import orjson

        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    elif not quiet:
        click.echo("\n".join(_summary(report, options.out)))


def _options(**given: Any) -> Options:
    from filters.minhash import MinHashParams
    from pipelines.dedup import Options
    from pipelines.dedup_rows import RowParams
    from pipelines.row_fields import Fields

    rows = RowParams(
        fields=Fields(tuple(dict.fromkeys(given["fields"]))),
        minhash=MinHashParams(given["bands"], given["rows"], given["ngram"], given["seed"]),
        **{name: given[name] for name in ("id_field", "url_field", "quality_field", "proof", "sibling_tokens")},
    )
    named = {
        name: given[name]
        for name in ("out", "against", "threshold", "band_cap", "band_hubs", "urls", "near", "workers")
    }
    return Options(inputs=tuple(given["inputs"]), rows=rows, **named)


def _summary(report: dict[str, Any], out: Place | None) -> Iterator[str]:
    counts = report["documents"]
    yield f"{counts['read']:,} rows: {counts['kept']:,} kept, {counts['removed']:,} removed"
    for reason, rows in report["reasons"].items():
        if rows:
            yield f"  {reason:16} {rows:>9,}"
    near = report["near"]
    if near:
        yield f"{near['pairs']:,} pairs compared, {near['edges']:,} proven, {near['clusters']:,} clusters"
        if near["siblings"]:
            yield f"{near['siblings']:,} rows differ from others in numbers and operators alone, and stay"
        if near["pairs_skipped"]:
            yield f"{near['pairs_skipped']:,} pairs of hot bands were not compared; see --band-cap"
    for reason, rows in report["bad_rows"].items():
        yield f"  {rows:,} rows: {reason} ({report['bad_rows_listed'][reason][0]}, …)"
    yield f"{out / 'report.html'}" if out else "nothing was written; --out DIR writes the files without duplicates"

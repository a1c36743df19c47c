"""The command `mathcorpus extract`: options, a bar, a summary. What works is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pipelines.cli_options import LOCAL, Command, json_option, option, quiet_option, workers_option

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_SHOWN = 12  # reasons and kinds of formulas in the summary; the report has all


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@option("Input", "--field", default="html", show_default=True, metavar="NAME", help="Field with the HTML of a row.")
@option(
    "Input", "--url-field", default="url", show_default=True, metavar="NAME", help="Field with the address of a row."
)
@option("Input", "--id-field", default="id", show_default=True, metavar="NAME", help="Field with the id of a row.")
@option(
    "Pages",
    "--first-pass/--no-first-pass",
    default=False,
    show_default=True,
    help="Remove pages without a sign of mathematics before extraction: for crawls.",
)
@option(
    "Pages", "--main-content/--whole-page", default=True, show_default=True, help="Leave navigation and footers out."
)
@option("Output", "--out", type=LOCAL, required=True, help="Folder to write to.")
@option(
    "Output",
    "--format",
    "form",
    type=click.Choice(["parquet", "jsonl"]),
    default="parquet",
    show_default=True,
    help="jsonl writes the documents as JSON lines, too.",
)
@json_option
@quiet_option
@workers_option
def extract(*, form: str, as_json: bool, quiet: bool, **given: Any) -> None:
    """Turn web pages into documents: the main content as Markdown, with every formula as $...$ or $$...$$.

    INPUT is a file, a folder or glob of files, or a URL: WARC (.warc, .warc.gz, .warc.zst), WET (.wet, .wet.gz,
    .wet.zst: text, taken as it is), pages (.html, .htm, .xhtml, with .gz or .zst), rows with a field of HTML (.jsonl,
    .jsonl.gz, .jsonl.zst, .parquet; text or bytes); or hf://datasets/OWNER/NAME, or - (any of these on standard input).

    \b
    Writes to --out, and goes on there where it was stopped:
      corpus/      the documents, Parquet shards with a manifest
      removed/     what is no document, with its reason; ledger/ lists it
      report.json  pages and formulas, kept and removed

    \b
    Examples:
      mathcorpus extract crawl/*.warc.gz --out pages --first-pass --workers 8
      mathcorpus extract site/ --out pages --format jsonl
      mathcorpus extract rows.parquet --field content --url-field warc_url --out pages
      cat page.html | mathcorpus extract - --out page
    """
    from pipelines.extract_pages import Options, run

    options = Options(as_jsonl=form == "jsonl", **given)
    with _bar(quiet=quiet or as_json) as progress:
        report = run(options, progress)
    if as_json:
        import orjson

        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    elif not quiet:
        click.echo("\n".join(_summary(report, options.out)))


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar of the bytes of input that are done; only on a terminal."""
    from tqdm import tqdm

    with tqdm(desc="extract", unit="B", unit_scale=True, leave=False, disable=True if quiet else None) as drawn:

        def progress(done: int, everything: int) -> None:
            drawn.total = everything
            drawn.update(done)

        yield progress


def _summary(report: dict[str, Any], out: Path) -> Iterator[str]:
    if not report["fresh"]:
        yield f"nothing to do: {out} holds these pages already"
    pages, formulas = report["pages"], report["formulas"]
    yield f"{pages['read']:,} pages: {pages['kept']:,} kept, {pages['removed']:,} removed"
    yield from _largest(report["removed"], "")
    found, kept, failed = (formulas[name]["all"] for name in ("found", "kept", "failed"))
    yield f"{found:,} formulas in {pages['with_formulas']:,} pages: {kept:,} kept, {failed:,} not readable"
    yield from _largest({kind: n for kind, n in formulas["kept"].items() if kind != "all"}, " kept")
    if report["unread_files"]["count"]:
        names = ", ".join(report["unread_files"]["first"][:3])
        yield f"files in the folders that are of no kind that is read: {report['unread_files']['count']} ({names})"
    cost = report["cost"]
    speed = f"{cost['pages_per_cpu_second']:,.0f} pages per CPU second"
    yield f"{cost['seconds']:.1f} s with {cost['workers']} workers, {speed}"
    yield f"{out / 'report.json'}"


def _largest(counts: dict[str, int], what: str) -> Iterator[str]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for name, count in ordered[:_SHOWN]:
        yield f"  {name:28} {count:>9,}{what}"
    if len(ordered) > _SHOWN:
        yield f"  {len(ordered) - _SHOWN} more in the report"

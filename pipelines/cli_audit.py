"""The command `mathcorpus audit`: options, a bar, a summary, gates. What works is imported when it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from pipelines.cli_options import PLACE, Command, json_option, names_of, option, quiet_option
from pipelines.cores import usable_cores

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="DIR...")
@option("Input", "--field", default="text", show_default=True, metavar="NAME", help="Field with the text of a row.")
@option("Input", "--id-field", default="id", show_default=True, metavar="NAME", help="Field with the id of a row.")
@option("Measures", "--benchmarks", multiple=True, metavar="NAME_OR_PATH,...",
        help="Look for these benchmarks.  [default: those of the build's recipe]")  # fmt: skip
@option("Measures", "--against", type=PLACE, metavar="OTHER",
        help="Compare with another build: what came, what went, and why.")  # fmt: skip
@option("Measures", "--sample", type=click.IntRange(1), default=100_000, show_default=True, metavar="N",
        help="Documents that are compared for near duplicates; of more, a sample.")  # fmt: skip
@option("Measures", "--seed", type=click.IntRange(0), default=1, show_default=True, metavar="N",
        help="Of the documents that are shown.")  # fmt: skip
@option("Gates", "--fail-if", multiple=True, metavar="EXPR",
        help="Exit with 3 if a figure is so: 'NAME OP NUMBER', OP one of > >= < <= == !=.")  # fmt: skip
@option("Output", "--out", type=PLACE, metavar="DIR",
        help="Folder of the report.  [default: the build, or audit/ for a folder]")  # fmt: skip
@json_option
@quiet_option
@option("Other", "--workers", type=click.IntRange(1), metavar="N", help="Processes.  [default: cores]")
def audit(*, as_json: bool, quiet: bool, **given: Any) -> None:
    """Measure a build, or any folder of documents that somebody else made.

    DIR is a folder that `mathcorpus build` wrote, one of its mixes, or files, folders and globs of documents: WARC,
    WET, HTML, JSONL, Parquet (also packed), Markdown, LaTeX, text and source code, mixed as they come. Records that
    cannot be read are counted with their reasons. Nothing is written among the documents.

    Writes report.html (one file, no network) and report.json: sources, languages, hosts, licences, lengths,
    duplicates, benchmark text with both sides of it, formulas and their delimiters, languages that are not what is
    said, personal data (masked), adult and spam text, synthetic text, samples. A build's own report gets the measures.

    \b
    Figures for --fail-if: documents, tokens, empty, unreadable, contaminated.exact (short, near, any),
    duplicates.exact, duplicates.exact_share, duplicates.near_share, unbalanced_share, language.confused_share,
    personal.email (telephone, ip, any), adult_share, spam_share, synthetic_share, … (all: docs/audit.md)

    \b
    Examples:
      mathcorpus audit out/quickstart
      mathcorpus audit crawl --benchmarks path/to/benchmarks
      mathcorpus audit crawl --benchmarks path/to/benchmarks --fail-if "contaminated.exact>0"
      mathcorpus audit train.jsonl --field text --fail-if "duplicates.exact_share>0.01" --out audit-train
      mathcorpus audit out/new --against out/old
    """
    from filters.errors import GateError
    from pipelines.audit.documents import Rows
    from pipelines.audit.gates import parse_gates
    from pipelines.audit.measure_report import Options, audit

    started = time.perf_counter()
    options = Options(
        given["inputs"],
        given["out"],
        given["against"],
        names_of(given["benchmarks"]),
        tuple(parse_gates(given["fail_if"])),
        given["sample"],
        given["seed"],
        Rows(given["field"], given["id_field"]),
        given["workers"] or usable_cores(),
    )
    with _bar(quiet=quiet or as_json) as progress:
        result = audit(options, progress)
    if as_json:
        import orjson

        click.echo(orjson.dumps(result.report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    elif not quiet:
        click.echo("\n".join(_summary(result.report)))
        click.echo(f"{result.out / 'report.html'}  ({time.perf_counter() - started:.1f} s)")
    if failed := result.report["failed"]:
        told = "; ".join(f"{one['gate']}: it is {one['value']:g}" for one in failed)
        msg = f"{len(failed)} of {len(options.gates)} gates failed: {told}"
        raise GateError(msg)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar of the parts that are done, for each step; only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _what, _done, _all: None
        return
    from tqdm import tqdm

    with tqdm(unit="part", leave=False) as drawn:

        def progress(what: str, done: int, whole: int) -> None:
            drawn.set_description(what, refresh=False)
            drawn.total, drawn.n = whole, done
            drawn.refresh()

        yield progress


def _summary(report: dict[str, Any]) -> Iterator[str]:
    from pipelines.audit.compare import in_words

    yield report["verdict"]
    measures = report["measures"]
    exact, near = measures["duplicates"]["exact"], measures["duplicates"]["near"]
    sampled = f" of {near['sampled']:,} that were compared" if near["sampled"] < near["of"] else ""
    yield f"  duplicates       {exact['documents']:>9,} exact, {near['documents']:,} near{sampled}"
    formulas = measures["formulas"]
    yield (
        f"  formulas         {formulas['formulas']:>9,} in {formulas['documents_with']:,} documents, "
        f"{formulas['unbalanced']['documents']:,} of which have unbalanced delimiters"
    )
    if measures["contamination"] is not None:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in measures["contamination"]["strongest"].items() if n)
        yield f"  benchmark text   {sum(measures['contamination']['strongest'].values()):>9,} documents  {kinds}"
    language = measures["language"]
    yield f"  other language   {language['confused']:>9,} of {language['stated']:,} that say theirs"
    personal = ", ".join(f"{kind} {one['documents']:,}" for kind, one in measures["personal"].items())
    yield f"  personal data    {measures['personal_any']:>9,} documents  {personal}"
    yield f"  adult, spam      {measures['adult']['documents']:>9,}, {measures['spam']['documents']:,}"
    yield f"  synthetic        {measures['synthetic']['documents']:>9,}"
    if report["comparison"] is not None:
        yield from in_words(report["comparison"])
    if report["input"] is not None:
        for reason, count in sorted(report["input"]["unreadable"].items(), key=lambda r: (-r[1], r[0]))[:5]:
            yield f"  no document      {count:>9,} {reason}"

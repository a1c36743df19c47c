"""The command `mathcorpus selftest`: options, a bar, two tables. What works is imported when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filters.errors import GateError, UsageError
from pipelines.cli_options import (
    Command,
    bar,
    benchmark_fields,
    benchmark_options,
    input_options,
    json_option,
    names_of,
    option,
    points,
    rule_options,
    side_by_side,
)

if TYPE_CHECKING:
    from pipelines.selftest import Options

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@input_options
@benchmark_options
@rule_options
@option("Plants", "--kinds", multiple=True, metavar="NAME,...", help="Kinds of plants.  [default: all]")
@option(
    "Plants",
    "--samples",
    type=click.IntRange(1),
    metavar="N",
    default=1_000,
    show_default=True,
    help="Questions planted of each kind, at most.",
)
@option(
    "Plants",
    "--documents",
    type=click.IntRange(1),
    metavar="N",
    default=10_000,
    show_default=True,
    help="Documents of the input that are searched, at most.",
)
@option("Plants", "--seed", type=int, metavar="S", default=1, show_default=True, help="Of all choices.")
@option(
    "Output",
    "--min-recall",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Exit with 3 if less of a kind is found, by any class.",
)
@option("Output", "--out", type=click.Path(path_type=Path), help="Folder for report.json and all lines.")
@json_option
def selftest(*, min_recall: float | None, as_json: bool, **given: Any) -> None:
    """Plant benchmark questions in your own documents, and tell what the rule finds of them.

    INPUT is what `mathcorpus decontaminate` takes. A sample of its documents is searched as it is: what is flagged is a
    false alarm, or contamination that is real, and is shown with its evidence. In the others questions are planted, in
    memory, and searched for. Questions that no rule protects are not planted, but counted.

    \b
    Kinds of plants:
      verbatim         on a line of its own        one_word         one word replaced
      wrapped          lines broken elsewhere      one_number       one number replaced
      embedded         in a long line, long text   all_numbers      every number replaced
      quoted           as in Markdown              edits_20         one token in 20 edited
      respaced         other white space           edits_10         one token in 10 edited
      recased          other case, punctuation     names            other names
      full_width       full-width characters       one_clause       one clause replaced
      half_width       half-width characters       short            questions below an anchor
      chinese_spacing  spaces around Chinese       list             20 in a numbered list
      latex            other spellings             json             20 as lines of JSON
    Found is what any class finds; a look-alike that is found as `near` is not removed by the profile `web`.

    \b
    Writes to --out: report.json, missed.jsonl, false_alarms.jsonl.

    \b
    Examples:
      mathcorpus selftest corpus/ --against gsm8k,math
      mathcorpus selftest web.parquet --index all.idx --kinds verbatim,wrapped,short --min-recall 0.99
      mathcorpus selftest zh.jsonl.gz --against cmath --samples 300 --seed 7 --out selftest
    """
    from pipelines.selftest import run

    options = _options(**given)
    with bar(quiet=as_json) as progress:
        report = run(options, progress)
    if as_json:
        import orjson

        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    else:
        click.echo("\n".join(_summary(report, options.out)))
    if min_recall is not None:
        _gate(report["kinds"], min_recall)


def _options(*, against: Sequence[str], kinds: Sequence[str], **given: Any) -> Options:
    from decontam.plants import PLANTS
    from pipelines import decontaminate
    from pipelines.row_fields import Fields
    from pipelines.selftest import Options

    names = tuple(dict.fromkeys(names_of(kinds))) or tuple(PLANTS)
    if unknown := [name for name in names if name not in PLANTS]:
        msg = f"--kinds {unknown[0]}: no such kind of plant; there are {', '.join(PLANTS)}"
        raise UsageError(msg)
    search = decontaminate.Options(
        inputs=tuple(given["inputs"]),
        against=names_of(against),
        index=given["index"],
        fields=Fields(tuple(dict.fromkeys(given["fields"]))),
        id_field=given["id_field"],
        benchmark_fields=benchmark_fields(given["benchmark_fields"]),
        params=points(given),
    )
    return Options(search, names, given["samples"], given["documents"], given["seed"], given["out"])


def _gate(kinds: dict[str, dict[str, Any]], least: float) -> None:
    below = {name: found["recall"] for name, found in kinds.items() if found["planted"] and found["recall"] < least}
    if below:
        listed = ", ".join(f"{name} {share:.4g}" for name, share in below.items())
        msg = f"recall below {least:g}: {listed}"
        raise GateError(msg)


# --- the summary ------------------------------------------------------------------------------------------------------


def _summary(report: dict[str, Any], out: Path | None) -> Iterator[str]:
    yield from _missed(report["missed"])
    yield from _alarms(report["false_alarms"], report["documents"]["searched"])
    asked = report["questions"]
    yield (
        f"{asked['all']:,} questions: {asked['exact']:,} own an n-gram, {asked['short']:,} are short and found as a "
        f"whole; not planted: {asked['unprotected']:,} that no rule protects"
        + (f", {asked['private']:,} without their text" if asked["private"] else "")
    )
    yield ""
    yield from _table(report["kinds"])
    if out is None:
        yield "nothing was written; --out DIR writes all that was missed or flagged"
    else:
        yield f"{out / 'report.json'}"


def _missed(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    for line in lines:
        yield f"missed: {line['kind']} of {line['benchmark']}/{line['split']} question {line['item']}"
        yield from side_by_side(line["planted"], line["item_text"])


def _alarms(alarms: dict[str, Any], searched: int) -> Iterator[str]:
    for line in alarms["first"]:
        yield (
            f"flagged without a plant, {line['class']}: {line['origin']} {line['text_field']} = "
            f"{line['benchmark']}/{line['split']} {line['field']} {line['item']}, {line['lcs']:.0%} common"
        )
        yield from side_by_side(line["doc_text"], line["item_text"] or "(private)")
    kinds = {kind: n for kind, n in alarms.items() if kind in _classes(alarms) and n}
    listed = f": {', '.join(f'{kind} {n:,}' for kind, n in kinds.items())}" if kinds else ""
    yield (
        f"{searched:,} documents of yours searched, {alarms['documents']:,} flagged without a plant "
        f"({alarms['share']:.2%}, {alarms['low']:.2%} to {alarms['high']:.2%}){listed}"
    )


def _classes(figures: dict[str, Any]) -> list[str]:
    from decontam.match import KINDS

    return [kind for kind in KINDS if kind in figures]


def _table(kinds: dict[str, dict[str, Any]]) -> Iterator[str]:
    classes = _classes(next(iter(kinds.values())))
    yield f"{'kind':16}" + "".join(f"{name:>9}" for name in ("planted", "found", *classes)) + "   recall  95 %"
    for name, found in kinds.items():
        counts = "".join(f"{found[column]:>9,}" for column in ("planted", "found", *classes))
        share = (
            f"{found['recall']:9.4f}  {found['low']:.4f} to {found['high']:.4f}" if found["planted"] else "        -"
        )
        yield f"{name:16}{counts}{share}"

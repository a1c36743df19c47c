"""The commands `mathcorpus recall train` and `score`: options, notes, tables. What works is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.cli_options import LOCAL, Command, bar, json_option, option, quiet_option
from pipelines.cli_recall_cycle import cycle

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
F = TypeVar("F", bound=Callable[..., Any])
_FIGURES = ("documents", "positive", "precision", "recall", "f1", "auc", "ece")
_WORST = 8  # hosts that are shown; all stand in the report
_NAME = 34  # characters of a host or source

_FIELD = option(
    "Input", "--field", "fields", multiple=True, metavar="NAME", help="Field with text.  [default: text, messages, …]"
)


@click.group(context_settings=SETTINGS)
def recall() -> None:
    """Find mathematical text: train a classifier on examples, add its score to rows, or recall in cycles.

    \b
    Examples:
      mathcorpus recall train --positive math.jsonl --negative other.jsonl --out model.bin
      mathcorpus recall score pages.jsonl --model model.bin --out scored
      mathcorpus recall cycle recipe.yaml
      mathcorpus recall distil scored/ --cut 0.6 --out quality.bin
    """


recall.add_command(cycle)


def _setting(name: str, target: str, default: float, text: str) -> Callable[[F], F]:
    return option("Model", name, target, default=default, show_default=True, metavar="N", help=text)


def _training(command: F) -> F:
    """The command with fastText's settings."""
    for setting in reversed(_TRAINING):
        command = setting(command)
    return command


_TRAINING: tuple[Callable[[Any], Any], ...] = (
    _setting("--dim", "dim", 256, "Size of a vector."),
    _setting("--epochs", "epochs", 5, "Passes over the examples."),
    _setting("--lr", "learning_rate", 0.5, "Learning rate."),
    _setting("--ngrams", "word_ngrams", 3, "Words in the longest n-gram."),
    _setting("--min-count", "min_count", 3, "A word that is seen less often has no vector of its own."),
    _setting("--buckets", "buckets", 200_000, "Vectors for hashed n-grams."),
    _setting("--seed", "seed", 1, "Of the order of examples."),
)


@recall.command(cls=Command, context_settings=SETTINGS)
@option("Input", "--positive", multiple=True, required=True, metavar="INPUT", help="Rows that are mathematics.")
@option("Input", "--negative", multiple=True, required=True, metavar="INPUT", help="Rows that are not.")
@_FIELD
@_training
@_setting("--minn", "minn", 0, "Characters in the shortest character n-gram.")
@_setting("--maxn", "maxn", 0, "Characters in the longest; 0 for none.")
@option("Model", "--no-density", is_flag=True, help="Leave the density of terms and formulas out of the score.")
@option("Evaluation", "--folds", default=5, show_default=True, metavar="N", help="Parts of whole hosts; 0 for none.")
@option("Output", "--out", type=LOCAL, required=True, help="File of the model (.bin).")
@json_option
@quiet_option
def train(*, as_json: bool, quiet: bool, no_density: bool, out: Path, folds: int, **given: Any) -> None:
    """Train the classifier, and say how it does on hosts that it does not know.

    INPUT is a .jsonl, .jsonl.gz, .jsonl.zst or .parquet file, a folder or glob of them, a URL, or - (JSONL on standard
    input); each option may be given several times. A row is from its host, or that of its url, or its repo or source;
    its language is the field `language`, or what its text is. Whole hosts are held out for the evaluation.

    The same rows give the same bytes, whatever the order of files. Writes the model, which fastText reads, too, and
    beside it its report (MODEL.json): parameters, digest, versions of the text preparation, evaluation by source, host
    and language, calibration.

    \b
    Examples:
      mathcorpus recall train --positive seeds/positive.jsonl.gz --negative seeds/negative.jsonl.gz --out math.bin
      mathcorpus recall train --positive math/ --negative other/ --dim 100 --folds 0 --out quick.bin
    """
    from filters.classifier import TrainParams
    from pipelines.recall_train import TrainOptions, report_path
    from pipelines.recall_train import train as run
    from pipelines.row_fields import Fields

    positive, negative, fields = given.pop("positive"), given.pop("negative"), Fields(given.pop("fields"))
    options = TrainOptions(positive, negative, out, fields, TrainParams(**given), folds, not no_density)
    report = run(options, _notes(quiet=quiet or as_json))
    if as_json:
        _print_json(report)
    elif not quiet:
        click.echo("\n".join(_evaluation(report)))
        click.echo(f"{out}  {report['model']['sha256'][:16]}  {report['model']['bytes'] / 1e6:,.0f} MB")
        click.echo(f"{report_path(out)}")


@recall.command(cls=Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@option("Input", "--model", type=LOCAL, required=True, help="The model: any fastText .bin.")
@_FIELD
@option("Output", "--out", type=LOCAL, required=True, help="Folder, or - for standard output.")
@option("Output", "--name", default="math_score", show_default=True, help="Name of the field that is added.")
@json_option
@quiet_option
@option("Other", "--workers", type=click.IntRange(1), metavar="N", help="Processes, a file each.")
def score(*, inputs: tuple[str, ...], as_json: bool, quiet: bool, out: Path, **given: Any) -> None:
    """Add the probability of mathematics to rows.

    INPUT is as in `recall train`. The files are written under their names to --out, with all rows in their order and
    one more field; rows without text stay as they are. Several texts of a row are scored as one.

    A model of `recall train` scores by fastText and by the density of terms and formulas, calibrated; any other
    fastText model that knows the label __label__math by itself (softmax, one-vs-all, hierarchical; not quantised).

    \b
    Examples:
      mathcorpus recall score web/ --model math.bin --out scored
      zcat pages.jsonl.gz | mathcorpus recall score - --model math.bin --out - | jq 'select(.math_score >= 0.5)'
    """
    from pipelines.recall_score import STANDARD_OUTPUT, ScoreOptions
    from pipelines.recall_score import score as run
    from pipelines.row_fields import Fields

    fields = Fields(given.pop("fields"))
    silent = quiet or as_json
    with bar(quiet=silent or out == STANDARD_OUTPUT) as progress:
        report = run(ScoreOptions(inputs=inputs, out=out, fields=fields, **given), progress)
    to_output = out == STANDARD_OUTPUT
    if as_json and not to_output:
        _print_json(report)
    elif not silent:
        click.echo("\n".join(_counts(report)), err=to_output)


@recall.command(cls=Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@_FIELD
@option("Input", "--score", default="lm_score", show_default=True, help="Field with the score of a language model.")
@option("Input", "--cut", default=0.5, show_default=True, metavar="X", help="Least score of a positive example.")
@_training
@option("Output", "--out", type=LOCAL, required=True, help="File of the model (.bin).")
@json_option
def distil(*, inputs: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Learn a language model's scores, so that the rest of a corpus need not be asked about.

    INPUT holds rows with a text and a score: what `mathcorpus score` wrote, or the corpus of a build with the stage
    `score`. A fifth of the rows is held out, and says how well the classifier ranks and cuts as the scores do. The
    model is one of the stage `recall` and of `recall score`.

    \b
    Examples:
      mathcorpus recall distil scored/ --cut 0.6 --out quality.bin
      mathcorpus recall distil out/real/corpus --score edu_score --cut 3 --out edu.bin --json
    """
    from filters.classifier import TrainParams
    from pipelines import distil as distilling
    from pipelines.row_fields import Fields

    fields, out = Fields(given.pop("fields")), given.pop("out")
    score, cut = given.pop("score"), given.pop("cut")
    options = distilling.DistilOptions(inputs, out, score, cut, fields, TrainParams(**given))
    report = distilling.distil(options)
    if as_json:
        _print_json(report)
    else:
        click.echo("\n".join([*distilling.lines(report), str(out)]))


def _notes(*, quiet: bool) -> Callable[[str], None]:
    """Says on a terminal what is being done."""

    def note(what: str) -> None:
        if not quiet and sys.stderr.isatty():
            click.echo(what, err=True)

    return note


def _print_json(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())


# --- tables -----------------------------------------------------------------------------------------------------------


def _evaluation(report: Mapping[str, Any]) -> Iterator[str]:
    """Figures on hosts that were held out."""
    left = ", ".join(f"{rows:,} {reason.replace('_', ' ')}" for reason, rows in report["left_out"].items() if rows)
    total = sum(row["examples"] for row in report["examples"])
    yield f"{total:,} examples" + (f"; left out: {left}" if left else "")
    found = report["evaluation"]
    if found is None:
        yield "nothing was held out, so nothing can be said of other hosts (it takes two hosts for each label)"
        return
    yield "on hosts that were held out, at the threshold 0.5:"
    yield "".ljust(_NAME) + "".join(name.rjust(11) for name in _FIGURES)
    yield _row("score", found["score"]["all"])
    yield _row("fastText alone, calibrated", found["fasttext"]["all"])
    for language, row in found["score"]["languages"].items():
        yield _row(f"  language {language}", row)
    for source, row in found["score"]["sources"].items():
        yield _row(f"  {source}", row)
    yield from _worst(found["score"])
    yield "calibration: score, share that is mathematics, documents"
    for row in found["score"]["bins"]:
        yield f"  {row['score']:.3f}  {row['share']:.3f}  {row['documents']:>9,}"


def _worst(found: Mapping[str, Any]) -> Iterator[str]:
    """The hosts with the most wrong verdicts, where they are not the sources over again."""
    if found["hosts"].keys() == found["sources"].keys():
        return
    wrong = {host: _wrong(row) for host, row in found["hosts"].items()}
    for host in sorted(wrong, key=lambda h: (-wrong[h], h))[:_WORST]:
        if wrong[host]:
            yield f"  {wrong[host]:,} wrong of {found['hosts'][host]['documents']:,}: {host}"


def _wrong(row: Mapping[str, Any]) -> int:
    hits = round((row["recall"] or 0) * row["positive"])
    return int(row["positive"] + row["told_positive"] - 2 * hits)


def _row(name: str, figures: Mapping[str, Any]) -> str:
    return name[: _NAME - 1].ljust(_NAME) + "".join(_cell(figures[figure]).rjust(11) for figure in _FIGURES)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _counts(report: Mapping[str, Any]) -> Iterator[str]:
    rows, scored = report["rows"], report["scored"]
    yield f"{scored:,} of {rows:,} rows scored, {report['files']:,} files, {report['seconds']:.1f} s"
    for reason, number in report["not_scored"].items():
        yield f"  {number:,} rows without a score: {reason.replace('_', ' ')}"
    tenths: Sequence[tuple[str, int]] = list(report["by_score"].items())
    yield "  " + "  ".join(f"{name}+ {number:,}" for name, number in tenths if number)

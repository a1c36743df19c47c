"""The command `mathcorpus recall cycle`: options, bars, a table. What works is imported when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from filters.errors import UsageError
from pipelines.cli_options import LOCAL, Command, json_option, option
from pipelines.cores import usable_cores

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_COLUMNS = (
    ("cycle", 5, "{:d}"),
    ("caught", 10, "{:,d}"),
    ("new", 10, "{:,d}"),
    ("known before", 13, "{:.1%}"),
    ("math hosts", 11, "{:,d}"),
    ("seeds added", 12, "{:,d}"),
    ("F1 held out", 12, "{:.3f}"),
)


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("recipe", type=LOCAL)
@option("Run", "--engine", type=click.Choice(["local", "inline", "spark"]), default="local", show_default=True)
@option("Run", "--workers", type=click.IntRange(1), metavar="N", help="Processes.  [default: cores of this machine]")
@option("Run", "--master", metavar="URL", help="Spark master.  [default: local[WORKERS,4]]")
@option("Run", "--cycles", type=click.IntRange(1), metavar="N", help="Stop after cycle N, to review what it proposes.")
@option("Run", "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Value of a recipe's param.")
@option("Output", "--out", type=LOCAL, help="Folder of the recall.  [default: out/NAME]")
@json_option
def cycle(*, recipe: Path, out: Path | None, settings: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Recall in cycles: train, score, learn which hosts are mathematical, widen the seeds, and again.

    Ends when a cycle has caught hardly anything that was not caught before (98 %), or after the recipe's number of
    cycles. A second run goes on where the first stopped; a cycle that is done is not done again.

    \b
    Writes to --out:
      cycle-1/ ...    report.json (what it caught and added, from where, examples, its evaluation), added.parquet (the
                      new seeds), prefixes.tsv (hosts and folders), model.bin, scores and marks of each page
      review.tsv      what the last cycle proposes; write accept, reject or unsure beside hosts, folders and pages,
                      and the next cycle obeys
      corpus/         the documents that the last cycle caught (Parquet)
      report.json

    \b
    Examples:
      mathcorpus recall cycle examples/recall-cycle.yaml --set data=/data/web
      mathcorpus recall cycle recall.yaml --cycles 1      # look at out/NAME/review.tsv, then run it again
      mathcorpus recall cycle recall.yaml --engine spark --master spark://host:7077
    """
    from pipelines.engine import make_engine
    from pipelines.recall import Recall
    from pipelines.recall_recipe import load_recall_recipe

    loaded = load_recall_recipe(recipe, dict(map(parse_setting, settings)))
    count = given["workers"] or usable_cores()
    folder = out or Path("out") / loaded.name
    run = Recall(
        loaded,
        recipe.resolve().parent,
        folder,
        lambda: make_engine(given["engine"], count, given["master"]),
        make_bars(quiet=as_json),
    )
    report = run.run(given["cycles"])
    if as_json:
        import orjson

        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    else:
        click.echo("\n".join(_summary(report, folder)))


def parse_setting(given: str) -> tuple[str, str]:
    """NAME=VALUE; a value that names a file or folder from here keeps naming it from the recipe's folder."""
    name, equals, value = given.partition("=")
    if not equals or not name:
        msg = f"--set {given}: not NAME=VALUE"
        raise UsageError(msg)
    path = Path(value).expanduser()
    return name, str(path.resolve()) if path.exists() else value


def make_bars(*, quiet: bool) -> Any:
    """Events that draw a bar for each pass on a terminal, and a line for each cycle."""
    from pipelines.recall import Events

    class Bars(Events):
        """Nothing at all where `quiet`."""

        bar: Any = None

        def started(self, what: str, ranks: int, missing: int) -> None:
            from tqdm import tqdm

            if self.bar is not None:
                self.bar.close()
            self.bar = tqdm(
                total=ranks,
                initial=ranks - missing,
                desc=what,
                unit="rank",
                disable=True if quiet else None,
                leave=False,
            )

        def rank_done(self) -> None:
            self.bar.update()

        def note(self, text: str) -> None:
            if not quiet:
                click.echo(text, err=True)

        def cycle_done(self, report: Mapping[str, Any]) -> None:
            if self.bar is not None:
                self.bar.close()
            if not quiet:
                shown = f"{report['caught']:,} pages caught, {report['known_share']:.1%} of them before"
                click.echo(f"cycle {report['cycle']}: {shown}", err=True)

    return Bars()


def _summary(report: Mapping[str, Any], out: Path) -> Iterator[str]:
    yield "".join(name.rjust(width) for name, width, _ in _COLUMNS)
    for one in report["cycles"]:
        added = sum(a["pages"] for a in one["added"].values())
        f1 = one["evaluation"]["f1"]
        cells = (one["cycle"], one["caught"], one["new"], one["known_share"], one["math_hosts"], added, f1)
        yield "".join(
            ("-" if cell is None else form.format(cell)).rjust(width)
            for cell, (_, width, form) in zip(cells, _COLUMNS, strict=True)
        )
    yield f"stopped: {report['stopped']}"
    yield f"{report['corpus']['rows']:,} documents in {out / 'corpus'}; proposals in {out / 'review.tsv'}"

"""The command `mathcorpus score`: options, a line of progress, counts. What works is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from filters.errors import UsageError
from pipelines.cli_options import LOCAL, Command, json_option, option, quiet_option

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_ANSWERS = ".answers"  # in --out


def _tell(drawn: Any) -> None:
    drawn.update()


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@option("Input", "--field", "fields", multiple=True, metavar="NAME", help="Field with text.  [default: text, …]")
@option("Model", "--url", metavar="URL", help="Address of an OpenAI-compatible server, with or without /v1.")
@option("Model", "--local", metavar="FOLDER", help="Folder of a transformers model, in the place of --url.")
@option("Model", "--model", required=True, metavar="NAME", help="The model, as the server knows it.")
@option("Model", "--template", metavar="FOLDER", help="Of the model's tokenizer: texts are then asked about in lists.")
@option("Model", "--key-env", metavar="VARIABLE", help="Variable of the environment that holds the key.")
@option("Model", "--concurrency", type=click.IntRange(1), default=16, show_default=True, help="Calls at a time.")
@option(
    "Model",
    "--task",
    type=click.Choice(["lm_score", "edu_score"]),
    default="lm_score",
    show_default=True,
    help="Product of two questions (0 to 1), or an expected grade (0 to 5).",
)
@option("Model", "--prompts", metavar="FOLDER", help="Prompt files that replace ours.")
@option("Model", "--window-chars", type=click.IntRange(1), default=6000, show_default=True, help="Read at a time.")
@option("Output", "--out", type=LOCAL, required=True, help="Folder.")
@option("Output", "--name", metavar="FIELD", help="Name of the field that is added.  [default: that of the task]")
@option("Output", "--answers", type=LOCAL, help="Folder of the model's answers.  [default: .answers in --out]")
@json_option
@quiet_option
def score(*, inputs: tuple[str, ...], as_json: bool, quiet: bool, out: Path, **given: Any) -> None:
    """Add a language model's score to rows: the probability of YES to two questions, or a grade.

    INPUT is a .jsonl, .jsonl.gz, .jsonl.zst or .parquet file, a folder or glob of them, a URL, or - (JSONL on standard
    input). The files are written under their names to --out, with all rows in their order and one more field. Long
    texts are read at their head, middle and tail; where the model does not answer the question there is no score.

    Answers are kept: the same command goes on where it was stopped. `mathcorpus recall distil` learns the scores, so
    that the rest of a corpus need not be asked about. A build has the stage `score`.

    \b
    Examples:
      mathcorpus score pages.jsonl --url http://localhost:8000 --model Qwen/Qwen2.5-0.5B-Instruct --out scored
      mathcorpus score corpus/ --url https://host/v1 --model m --key-env API_KEY --task edu_score --out scored
    """
    from tqdm import tqdm

    from pipelines.lm_score import TOP
    from pipelines.lm_score import score as run
    from pipelines.recall_score import Target
    from pipelines.recipe_synth import ModelServer, ScoreStage
    from pipelines.row_fields import Fields

    if (given["url"] is None) == (given["local"] is None):
        msg = "give either --url, the address of a server, or --local, the folder of a model"
        raise UsageError(msg)
    server = ModelServer(**{key: given[key] for key in ("url", "local", "model", "template", "key_env", "concurrency")})
    asked = {key: given[key] for key in ("task", "prompts", "window_chars")}
    config = ScoreStage(stage="score", server=server, **asked)
    name, top = given["name"] or config.task, TOP[config.task]
    target = Target(inputs=inputs, out=out, fields=Fields(given["fields"]), name=name, top=top)
    with tqdm(unit="question", leave=False, disable=True if quiet or as_json else None) as drawn:
        report = run(target, config, given["answers"] or out / _ANSWERS, lambda _: _tell(drawn))
    if as_json:
        import orjson

        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
    elif not quiet:
        left = ", ".join(f"{reason} {number:,}" for reason, number in report["not_scored"].items())
        click.echo(f"{report['scored']:,} of {report['rows']:,} rows scored" + (f"; without: {left}" if left else ""))
        click.echo("  ".join(f"{low}: {number:,}" for low, number in report["by_score"].items() if number))
        click.echo(f"{out}")

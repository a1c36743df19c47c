"""The commands `mathcorpus synth ...`: options, a line of progress, tables. What works is imported when it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli_options import LOCAL, Command, json_option, option, quiet_option
from pipelines.cli_recall_cycle import parse_setting

if TYPE_CHECKING:
    from pipelines.synth_recipe import SynthRecipe
    from synth.engine import Summary

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_REASONS = 6  # of rejections that are shown for each round

_FOLDER = click.argument("folder", type=LOCAL)


@click.group(context_settings=SETTINGS)
def synth() -> None:
    """Make samples from documents with an instruct model: extract, refine, generate, solve, verify.

    \b
    Examples:
      mathcorpus synth run pairs.yaml
      mathcorpus synth status out/pairs
      mathcorpus synth resume out/pairs
      mathcorpus synth export out/pairs --to pairs.jsonl
    """


@synth.command(cls=Command, context_settings=SETTINGS)
@click.argument("recipe", type=LOCAL)
@option("Run", "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Value of a recipe's param.")
@option("Output", "--out", type=LOCAL, help="Folder of the synthesis.  [default: out/NAME]")
@json_option
@quiet_option
def run(*, recipe: Path, out: Path | None, settings: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Ask what a recipe asks for, verify the answers, and write the samples.

    What was answered is in OUT/answers.sqlite, and is never asked again: the same command goes on where it was stopped,
    whatever stopped it. Another model, prompt, parameter or document is another question.

    \b
    Writes to --out:
      samples.jsonl.zst   the samples, with parents, prompt, model, parameters, votes and gates
      rounds/NAME/        accepted.jsonl.zst, rejected.jsonl.zst (each with its reason), counts.json
      manifest.json       counts, tokens, cost, digest
      answers.sqlite      the answers; prompts and keys are not in it

    \b
    A recipe (all keys: docs/recipes.md):
      name: pairs
      sources:
        - {format: parquet, name: corpus, path: out/quickstart/corpus/*.parquet, ids: record}
      synth:
        server: {url: "http://localhost:8000", model: Qwen/Qwen2.5-Math-72B-Instruct}
        extract: blocks
        solve: {n: 8, kind: cot}
      against: benchmarks

    \b
    Examples:
      mathcorpus synth run pairs.yaml
      mathcorpus synth run pairs.yaml --set data=/data/books --out /data/pairs --json
    """
    from pipelines.synth_run import load

    loaded = load(recipe, dict(map(parse_setting, settings)))
    _run(loaded, (out or Path("out") / loaded.name), as_json=as_json, quiet=quiet)


@synth.command(cls=Command, context_settings=SETTINGS)
@_FOLDER
@json_option
@quiet_option
def resume(*, folder: Path, as_json: bool, quiet: bool) -> None:
    """Go on with the synthesis in FOLDER, by the recipe that it was begun with.

    \b
    Example:
      mathcorpus synth resume out/pairs
    """
    from pipelines.synth_run import reopened

    _run(reopened(folder), folder, as_json=as_json, quiet=quiet)


@synth.command(cls=Command, context_settings=SETTINGS)
@_FOLDER
@json_option
def status(*, folder: Path, as_json: bool) -> None:
    """Say how far the synthesis in FOLDER is; it may be running elsewhere.

    \b
    Example:
      mathcorpus synth status out/pairs
    """
    from pipelines.synth_run import status as found

    told = found(folder)
    if as_json:
        _print_json(told)
    elif told["state"] == "done":
        click.echo("\n".join(_summary(told, folder)))
    else:
        click.echo(f"{told['state']}: {told.get('round', 'starting')}")
        if "planned" in told:
            click.echo(_line(told))


@synth.command(cls=Command, context_settings=SETTINGS)
@_FOLDER
@option("Output", "--to", "target", type=LOCAL, required=True, help="File: .jsonl or .jsonl.zst.")
def export(*, folder: Path, target: Path) -> None:
    """Write the samples that FOLDER's answers give so far, asking nothing.

    \b
    Example:
      mathcorpus synth export out/pairs --to pairs.jsonl.zst
    """
    from filters.errors import UsageError
    from pipelines.synth_run import Synthesis, reopened

    if target.suffix not in {".jsonl", ".zst"}:
        msg = f"--to {target}: samples are written as .jsonl or .jsonl.zst"
        raise UsageError(msg)
    made = Synthesis(reopened(folder), folder.absolute()).export(target)
    click.echo(f"{made.total():,} samples in {target}")


def _run(recipe: SynthRecipe, out: Path, *, as_json: bool, quiet: bool) -> None:
    from pipelines.synth_run import Synthesis

    with _bar(quiet=quiet or as_json) as progress:
        manifest = Synthesis(recipe, out.absolute(), progress).run()
    if as_json:
        _print_json(manifest)
    elif not quiet:
        click.echo("\n".join(_summary(manifest, out)))


class _bar:  # noqa: N801 - reads as a statement
    """A line of progress on a terminal: requests with an end, of those planned so far."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __enter__(self) -> Callable[[str, Summary], None]:
        from tqdm import tqdm

        self._drawn = tqdm(unit="request", leave=False, disable=True if self._quiet else None)
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._drawn.close()

    def _tell(self, name: str, summary: Summary) -> None:
        failed = sum(summary.failures.values())
        self._drawn.total = summary.planned
        self._drawn.n = summary.answered + failed
        self._drawn.set_description(name, refresh=False)
        self._drawn.set_postfix_str(f"{failed:,} failed, {summary.concurrency} at a time", refresh=False)
        self._drawn.update(0)


def _line(told: Mapping[str, Any]) -> str:
    failures = ", ".join(f"{reason} {number:,}" for reason, number in sorted(told["failures"].items()))
    shown = f"{told['answered']:,} of {told['planned']:,} planned so far have an answer, {told['known']:,} from before"
    return f"{shown}{f'; failed: {failures}' if failures else ''}; {told['concurrency']} calls at a time"


def _summary(manifest: Mapping[str, Any], out: Path) -> Iterator[str]:
    """What became of each round, and of all."""
    for name, counts in manifest["rounds"].items():
        reasons = sorted(counts["rejected"].items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{reason} {number:,}" for reason, number in reasons[:_REASONS])
        more = ", …" if len(reasons) > _REASONS else ""
        yield (
            f"{name:10} {counts['items']:>9,} items {counts['requests']:>9,} requests {counts['accepted']:>9,} accepted"
            f"  {shown}{more}"
        ).rstrip()
    tokens = manifest["tokens"]
    cost = f", cost {manifest['cost']:,.2f}" if manifest["cost"] else ""
    yield f"{tokens['prompt']:,} tokens of prompts, {tokens['completion']:,} of answers{cost}"
    yield f"{manifest['samples']:,} samples in {out / 'samples.jsonl.zst'}"


def _print_json(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())

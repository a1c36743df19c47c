"""The command line: `mathcorpus`. Thin: it parses, calls, prints, and turns errors into one line and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from filters.errors import MathcorpusError, UsageError
from pipelines.cli_audit import audit
from pipelines.cli_benchmarks import benchmarks
from pipelines.cli_decontaminate import decontaminate
from pipelines.cli_dedup import dedup
from pipelines.cli_extract import extract
from pipelines.cli_options import PLACE
from pipelines.cli_pack import pack
from pipelines.cli_publish import publish
from pipelines.cli_recall import recall
from pipelines.cli_score import score
from pipelines.cli_selftest import selftest
from pipelines.cli_synth import synth
from pipelines.cores import usable_cores
from pipelines.places import Place

if TYPE_CHECKING:
    from pipelines.plan import Plan

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_UNITS = ("B", "kB", "MB", "GB", "TB")


class _Group(click.Group):
    """Prints errors of ours as one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MathcorpusError as error:
            click.echo(f"mathcorpus: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Group, context_settings=SETTINGS)
@click.version_option(package_name="mathcorpus")
def main() -> None:
    """Raw web crawls, books and code in; an audited mathematical pre-training corpus out.

    \b
    Exit codes: 0 done; 2 wrong use, recipe or input; 3 a gate that you asked for did not hold; 1 anything else.

    \b
    Example:
      mathcorpus build examples/quickstart/recipe.yaml
    """


main.add_command(audit)
main.add_command(benchmarks)
main.add_command(decontaminate)
main.add_command(dedup)
main.add_command(extract)
main.add_command(pack)
main.add_command(publish)
main.add_command(recall)
main.add_command(score)
main.add_command(selftest)
main.add_command(synth)

_RECIPE = click.argument("recipe", type=PLACE)
_OUT = click.option("--out", type=PLACE, help="Folder of the build, or a URL (s3://BUCKET/NAME).  [default: out/NAME]")
_SET = click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Value of a recipe's param.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print figures as JSON.")


@main.command(context_settings=SETTINGS)
@_RECIPE
@click.option(
    "--engine",
    type=click.Choice(["local", "inline", "spark", "ray", "slurm"]),
    default="local",
    show_default=True,
    help="What runs it.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes at a time.  [default: cores of this machine]")
@click.option("--worker-memory", type=click.IntRange(1), metavar="MB", help="End with an error if a worker holds more.")
@click.option("--master", help="Spark master, sc://HOST:PORT, or address of Ray.  [default: this machine]")
@click.option("--slurm", multiple=True, metavar="NAME=VALUE", help="Option of sbatch: partition=cpu, mem=8G, …")
@click.option("--status", is_flag=True, help="Only tell how far the build is that runs in the folder, or stopped.")
@_OUT
@_SET
@_JSON
def build(  # noqa: PLR0913, PLR0917 - click passes each option by itself
    recipe: Place,
    engine: str,
    workers: int | None,
    worker_memory: int | None,
    master: str | None,
    slurm: tuple[str, ...],
    status: bool,
    out: Place | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Build a corpus from a recipe, or go on where a build stopped.

    Writes corpus/, removed/, ledger/, evidence/ (Parquet, each with its manifest), manifest.json, report.json and
    report.html. A second run does nothing; a changed recipe runs again what changed and what follows.

    \b
    Examples:
      mathcorpus build examples/quickstart/recipe.yaml
      mathcorpus build examples/real.yaml --set data=/data/raw --workers 8 --out out/real
      mathcorpus build recipe.yaml --engine spark --master spark://host:7077
      mathcorpus build recipe.yaml --status
      mathcorpus build recipe.yaml --out s3://bucket/corpus
      mathcorpus build recipe.yaml --engine ray --master head-node:6379
      mathcorpus build recipe.yaml --engine slurm --workers 200 --slurm partition=cpu --slurm time=04:00:00
    """
    from pipelines.audit.report import write_report
    from pipelines.build import Build
    from pipelines.engine import make_engine
    from pipelines.progress import Bars

    if status:
        _tell_status(recipe, out, settings, as_json)
        return
    plan = _plan(recipe, out, settings)
    count = workers or usable_cores()
    run = Build(plan, lambda: make_engine(engine, count, master, slurm), Bars(quiet=as_json), worker_memory)
    manifest = run.run()
    if manifest["fresh"] or not (plan.out / "report.html").exists():
        write_report(plan.out)
    if as_json:
        _print_json(manifest)
        return
    figures, unread = manifest["documents"], manifest["unread_files"]
    if not manifest["fresh"]:
        click.echo(f"nothing to do: {plan.out} holds this build already")
    made = f"  made {figures['made']:,}" if figures["made"] else ""
    click.echo(f"read {figures['read']:,}{made}  kept {figures['kept']:,}  removed {figures['removed']:,}")
    for note in plan.left_out:
        click.echo(note)
    if unread["count"]:
        click.echo(
            f"{unread['count']} files in the input folders are taken by no source: {', '.join(unread['first'][:3])}"
        )
    click.echo(f"{plan.out / 'report.html'}")


@main.command(context_settings=SETTINGS)
@_RECIPE
@_OUT
@_SET
@click.option(
    "--sample",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Build so much of the input to tell costs.",
)
@click.option("--cores", type=click.IntRange(1), help="Cores to tell costs for.  [default: cores of this machine]")
@_JSON
def plan(
    recipe: Place,
    out: Place | None,
    settings: tuple[str, ...],
    sample: float | None,
    cores: int | None,
    as_json: bool,
) -> None:
    """Print what a build would do: its stages, their keys, and what is reused.

    \b
    reused  its output is on disk
    run     it has not run with this configuration and input
    again   it has not changed, but its output was not kept and a stage behind it changed

    With --sample the records that a digest of the seed chooses are built into a temporary folder, and time, memory and
    disk of the whole are told stage by stage, with the error on the last build where there is one.

    \b
    Examples:
      mathcorpus plan examples/quickstart/recipe.yaml
      mathcorpus plan recipe.yaml --sample 0.01 --cores 64
    """
    if cores and sample is None:
        msg = "--cores: only with --sample, which measures what a core does"
        raise UsageError(msg)
    made = _plan(recipe, out, settings)
    states = made.states()
    found = _estimate(made, sample, cores or usable_cores(), as_json) if sample else None
    if as_json:
        stages = [{"name": s.name, "key": s.key, "state": state} for s, state in states]
        size = sum(f.size for f in made.files)
        _print_json(
            {
                "key": made.key,
                "files": len(made.files),
                "bytes": size,
                "ranks": len(made.groups),
                "stages": stages,
                "mixes": [{"name": m.config.name, "key": m.key, "state": state} for m, state in made.mix_states()],
                **({"estimate": found} if found else {}),
            }
        )
        return
    total = _size(sum(f.size for f in made.files))
    click.echo(f"{made.recipe.name}: {len(made.files)} files, {total}, {len(made.groups)} ranks -> {made.out}")
    for note in made.left_out:
        click.echo(f"  {note}")
    if made.unread:
        click.echo(f"  {len(made.unread)} files are taken by no source: {', '.join(made.unread[:3])}, …")
    for stage, state in states:
        click.echo(f"  {state:7} {stage.name:16} {stage.key[:16]}")
    for mix, state in made.mix_states():
        click.echo(f"  {state:7} {f'mix {mix.config.name}':16} {mix.key[:16]}")
    if found:
        from pipelines.plan_estimate import in_words

        click.echo(in_words(found))


def _estimate(made: Plan, share: float, cores: int, quiet: bool) -> dict[str, Any]:
    from pipelines.plan_estimate import estimate
    from pipelines.progress import Bars

    return estimate(made, share, cores, Bars(quiet=quiet))


@main.command(context_settings=SETTINGS)
@click.argument("document", metavar="ID")
@click.option("--build", "folder", type=PLACE, required=True, help="Folder or URL of the build.")
@_JSON
def trace(document: str, folder: Place, as_json: bool) -> None:
    """Print the life of one document, kept or removed, in plain words.

    \b
    Example:
      mathcorpus trace 5f0c2e6d9a7b41c8aa10b3f2d4e59c77 --build out/quickstart
    """
    from pipelines.trace import in_words
    from pipelines.trace import trace as find

    found = find(folder, document)
    if as_json:
        _print_json(found)
    else:
        click.echo(in_words(found))


def _plan(recipe: Place, out: Place | None, settings: tuple[str, ...]) -> Plan:
    from pipelines.plan import make_plan
    from pipelines.recipe_file import load_recipe

    loaded = load_recipe(recipe, _settings(settings))
    base = recipe.resolve().parent if isinstance(recipe, Path) else recipe.parent
    return make_plan(loaded, base, out or Path("out") / loaded.name)


def _tell_status(recipe: Place, out: Place | None, settings: tuple[str, ...], as_json: bool) -> None:
    from pipelines.recipe_file import load_recipe
    from pipelines.status import in_words, read_status

    found = read_status(out or Path("out") / load_recipe(recipe, _settings(settings)).name)
    if as_json:
        _print_json(found)
    else:
        click.echo(in_words(found))


def _settings(given: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE pairs; a value that names a file or folder from here keeps naming it from the recipe's folder."""
    pairs = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            msg = f"--set {one}: not NAME=VALUE"
            raise UsageError(msg)
        path = Path(value).expanduser()
        pairs[name] = str(path.resolve()) if path.exists() else value
    return pairs


def _size(count: float) -> str:
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError


def _print_json(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())

"""The command `mathcorpus pack`: options, bars, a table. What works is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from filters.errors import UsageError
from pipelines.cli_options import PLACE, Command, json_option, option
from pipelines.cores import usable_cores
from pipelines.places import Place

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("folder", metavar="DIR", type=PLACE)
@option(
    "Tokens",
    "--tokenizer",
    required=True,
    metavar="PATH_OR_NAME",
    help="A tokenizer.json, a folder that has one, or a name of the hub.",
)
@option("Tokens", "--eos", metavar="TOKEN", help="Token behind every document.  [default: what the tokenizer says]")
@option(
    "Sequences",
    "--length",
    type=click.IntRange(2),
    default=4096,
    show_default=True,
    metavar="N",
    help="Tokens of a sequence.",
)
@option(
    "Sequences",
    "--method",
    type=click.Choice(["best-fit", "greedy"]),
    default="best-fit",
    show_default=True,
    help="best-fit cuts a document only where it must; greedy lays them end to end.",
)
@option(
    "Sequences",
    "--fill",
    type=click.Choice(["cut", "pad"]),
    help="Room that best-fit leaves: cut one more document into it, or pad it.  [default: cut]",
)
@option("Sequences", "--drop-last", is_flag=True, help="Leave out the last sequence where it would be padded.")
@option("Sequences", "--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the shuffle.")
@option("Sequences", "--no-shuffle", is_flag=True, help="Keep the order of the corpus.")
@option("Run", "--engine", type=click.Choice(["local", "inline", "spark", "ray"]), default="local", show_default=True,
        help="What runs it.")  # fmt: skip
@option("Run", "--workers", type=click.IntRange(1), metavar="N", help="Processes at a time.  [default: cores]")
@option("Run", "--master", help="Spark master, sc://HOST:PORT, or address of Ray.  [default: this machine]")
@option("Output", "--out", type=PLACE, help="Folder of the sequences, or a URL.  [default: DIR/packed]")
@json_option
def pack(  # noqa: PLR0913 - click passes each option by itself
    *,
    folder: Place,
    tokenizer: str,
    eos: str | None,
    length: int,
    method: str,
    fill: str | None,
    drop_last: bool,
    seed: int,
    no_shuffle: bool,
    engine: str,
    workers: int | None,
    master: str | None,
    out: Place | None,
    as_json: bool,
) -> None:
    """Pack the documents in DIR into sequences of one length for a trainer, or go on where that stopped.

    DIR is a build, one of its mixes (DIR/mixes/NAME), or another dataset with a manifest. Every document ends in the
    tokenizer's end-of-text token; a special token that a text writes out stays text. Documents are shuffled by a
    digest of the seed and their id. The same input gives the same bytes with any engine and number of workers.

    \b
    Writes to --out:
      tokens/NNNNN.ds        token ids, with .index and .metadata: datatrove's tokenised files
      sequences/NNN.parquet  input_ids, and where the pieces of documents begin
      documents/NNN.parquet  of every document its tokens and in how many pieces it is
      tokenizer.json         the tokenizer, to read them with
      manifest.json          counts, digests, settings; its existence says that all is there

    \b
    A sequence has N tokens in all. A trainer that reads a window of one more than it trains on (nanotron's
    sequence_length 4096) wants --length 4097; one that shifts labels itself wants --length 4096.

    \b
    Examples:
      mathcorpus pack out/quickstart --tokenizer tokenizer.json --length 4096
      mathcorpus pack out/small/mixes/half --tokenizer Qwen/Qwen2.5-0.5B --length 4097 --method greedy
      mathcorpus pack out/quickstart --tokenizer tokenizer.json --length 2048 --fill pad --out out/padded
    """
    from pipelines.engine import make_engine
    from pipelines.pack import Options
    from pipelines.pack import pack as run
    from pipelines.pack_inputs import given_tokenizer

    _check(method, fill, drop_last=drop_last)
    given = given_tokenizer(tokenizer, Path())
    options = Options(length, method, fill or "cut", None if no_shuffle else seed, drop_last, eos)
    count = workers or usable_cores()
    bars = _bars(quiet=as_json)
    target = out or folder / "packed"
    manifest = run(folder, target, given, options, lambda: make_engine(engine, count, master), bars)
    if as_json:
        import orjson

        click.echo(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
        return
    if not manifest["fresh"]:
        click.echo(f"nothing to do: {target} holds these sequences already")
    click.echo("\n".join(_summary(manifest)))
    click.echo(f"{target}")


def _check(method: str, fill: str | None, *, drop_last: bool) -> None:
    if method == "greedy" and fill is not None:
        msg = f"--fill {fill}: only with --method best-fit, since greedy leaves no room"
        raise UsageError(msg)
    if fill == "pad" and drop_last:
        msg = "--drop-last: not with --fill pad, which pads other sequences too"
        raise UsageError(msg)


def _summary(manifest: dict[str, Any]) -> list[str]:
    documents, tokens, sequences = manifest["documents"], manifest["tokens"], manifest["sequences"]
    removed = sum(documents["removed"].values())
    shares = manifest["shares"]
    cut, needlessly = shares["documents_cut"], shares["documents_cut_needlessly"]
    return [
        f"documents {documents['in']:,}  packed {documents['packed']:,}  without tokens or dropped {removed:,}",
        f"tokens {tokens['in']:,}  packed {tokens['out']:,}  dropped {tokens['dropped']:,}",
        f"sequences {sequences['count']:,} of {sequences['length']:,} tokens  padded {shares['padded']:.4%}",
        f"documents cut {cut:.2%}, although they would fit {needlessly:.2%}",
    ]


def _bars(*, quiet: bool) -> Any:
    from tqdm import tqdm

    from pipelines.pack import Steps

    class Bars(Steps):
        """A bar for each step on a terminal."""

        def started(self, name: str, ranks: int, missing: int) -> None:
            off = True if quiet else None
            self._bar = tqdm(total=ranks, initial=ranks - missing, desc=name, unit="rank", disable=off, leave=False)

        def done(self, rank: int) -> None:  # noqa: ARG002 - the signature of Steps
            self._bar.update()

        def finished(self) -> None:
            self._bar.close()

    return Bars()

"""What a build tells while it runs, and how the command line draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipelines.plan import Pass

SHOWN_REASONS = 4


class Events:
    """What a build tells while it runs; the command line draws it."""

    def started(self, one: Pass, ranks: int, missing: int) -> None:
        """A pass begins."""

    def rank_done(self, one: Pass, rank: int) -> None:
        """One of its ranks is done."""

    def finished(self, one: Pass, done: dict[str, Any]) -> None:
        """A pass is on disk."""

    def note(self, text: str) -> None:
        """Something that takes a while begins."""


class Bars(Events):
    """A bar for each pass on a terminal, and a line for each stage when a pass is done."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._bar: Any = None

    def started(self, one: Pass, ranks: int, missing: int) -> None:
        from tqdm import tqdm

        name = " + ".join(s.name for s in one.stages)
        self._bar = tqdm(
            total=ranks,
            initial=ranks - missing,
            desc=name,
            unit="rank",
            disable=None if not self.quiet else True,
            leave=False,
        )

    def rank_done(self, one: Pass, rank: int) -> None:  # noqa: ARG002 - the signature of Events
        self._bar.update()

    def note(self, text: str) -> None:
        if not self.quiet:
            click.echo(text, err=True)

    def finished(self, one: Pass, done: dict[str, Any]) -> None:
        self._bar.close()
        if self.quiet:
            return
        cost = done["cost"]["stages_cpu_s"]
        if one.kind.startswith("mix"):
            from pipelines.mix import in_words  # numba, which --help need not wait for

            if "figures" in done:
                click.echo(in_words(done["figures"]), err=True)
            return
        if one.kind == "reduce":
            from pipelines.reduces import REDUCTIONS  # as above

            name = one.stages[0].name
            click.echo(f"{name:16} {REDUCTIONS[name].told.format(done['keys'], done['decided'])}", err=True)
            return
        for counts in done["counts"]:
            name = counts["stage"]
            reasons = sorted(counts["removed"].items(), key=lambda r: (-r[1], r[0]))
            shown = ", ".join(f"{r} {n:,}" for r, n in reasons[:SHOWN_REASONS]) + (
                ", …" if len(reasons) > SHOWN_REASONS else ""
            )
            made = f" {counts['made']:>9,} made" if counts["made"] else ""
            line = f"{name:16} {counts['in']:>9,} in{made} {counts['kept']:>9,} kept  {cost.get(name, 0):7.1f} s"
            click.echo(f"{line}  {shown}".rstrip(), err=True)

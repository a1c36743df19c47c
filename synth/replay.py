"""The outcomes of an earlier run as a backend: nothing is asked, and what that run does not know fails."""

from __future__ import annotations

from collections.abc import Sequence

from synth.backend import UNASKED, CallFailedError, Capabilities
from synth.journal import Journal
from synth.requests import Outcome, Request


class ReplayBackend:
    """Answers from a journal, which is another than that of the run."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.capabilities = Capabilities(n=1, logprobs=True)

    def joins(self, group: Sequence[Request], request: Request) -> bool:  # noqa: ARG002 - a look-up for each
        """One at a time."""
        return False

    async def open(self) -> None:
        """Nothing to open."""

    async def ask(self, group: Sequence[Request]) -> list[Outcome]:
        """What the journal has."""
        found = [self._journal.get(request.id) for request in group]
        return [Outcome(failure=UNASKED) if outcome is None else outcome for outcome in found]

    async def close(self) -> None:
        """Whoever opened the journal closes it."""

    def remedy(self, failed: CallFailedError) -> str:
        """There is no call that fails."""
        return failed.kind

"""How many calls at a time, how long to wait, and when to give a server up.

Calls at a time: doubled after each window of calls until the server is overloaded for the first time, then one more
each window; a quarter less where more than a third of a window was refused for load. A few refusals among many
answers are the weather of a hosted server, and each of them waits for itself.

After many failures in a row the server is lost: one call at a time asks whether it is back, at growing distances,
which costs no request a try; after `lost` seconds of that the run ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from synth.backend import is_overload

START = 8  # calls at a time

_WINDOW = 32  # calls; or twice as many as are made at a time, if those are more
_TOO_MANY = 1 / 3  # of a window
_LESS = 0.75
_ALL_WAIT = 8  # failures in a row after which a wait that the server asks for is one for all calls


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run goes on."""

    tries: int = 8  # of a request
    first_wait: float = 0.5  # seconds before the second try, doubled for each further one
    longest_wait: float = 60.0  # seconds, whatever a server asks for
    give_up: int = 32  # calls in a row that failed as any would: the server is lost
    lost: float = 600.0  # seconds that a lost server is waited for

    def wait(self, tries: int, request: str) -> float:
        """Seconds after so many tries: another share of the same wait for each request, so that they do not gather."""
        share = 0.5 + int(request[:8], 16) / (1 << 32)
        return share * min(self.longest_wait, self.first_wait * 2.0 ** min(tries - 1, 30))


class Pace:
    """Of one run; times are seconds of one clock that only grows."""

    def __init__(self, most: int, patience: Patience) -> None:
        """most : calls at a time, whatever the server bears."""
        self._most, self._patience = most, patience
        self.limit = float(min(START, most))
        self._steady = False  # the server has been overloaded once
        self._calls = self._overloads = 0  # of this window
        self._row = 0  # failures since the last answer
        self._hold = 0.0  # before which nothing is sent
        self._lost_since: float | None = None
        self.failure = ""  # the last that any call would have met

    @property
    def is_lost(self) -> bool:
        """Whether the server is asked only whether it is back."""
        return self._lost_since is not None

    def room(self, now: float) -> int:
        """Calls that may be under way now."""
        if now < self._hold:
            return 0
        return 1 if self.is_lost else int(self.limit)

    def wait(self, now: float) -> float:
        """Seconds until calls may be made again; 0 where they may."""
        return max(0.0, self._hold - now)

    def given_up(self, now: float) -> bool:
        """Whether the server has been lost for too long."""
        return self._lost_since is not None and now - self._lost_since >= self._patience.lost

    def answered(self) -> None:
        """A call brought an answer, whatever it says of the request."""
        self._row = 0
        self._lost_since = None
        self._count(overload=False)

    def failed(self, kind: str, wait: float, now: float) -> None:
        """A call failed in a way that another try may mend; `wait` is how many seconds the server asks for."""
        self._row += 1
        self.failure = kind
        if self._row >= self._patience.give_up:
            self._lost_since = now if self._lost_since is None else self._lost_since
            probes = self._row - self._patience.give_up
            pause = min(self._patience.longest_wait, self._patience.first_wait * 2.0 ** min(probes, 30))
            self._hold = max(self._hold, now + pause)
        if self._row >= _ALL_WAIT:
            self._hold = max(self._hold, now + min(wait, self._patience.longest_wait))
        self._count(overload=is_overload(kind))

    def _count(self, *, overload: bool) -> None:
        self._calls += 1
        self._overloads += overload
        if self._calls < max(_WINDOW, 2 * self.limit):
            return
        if self._overloads > _TOO_MANY * self._calls:
            self._steady = True
            self.limit = max(1.0, self.limit * _LESS)
        else:
            self.limit = min(float(self._most), self.limit + 1 if self._steady else self.limit * 2)
        self._calls = self._overloads = 0

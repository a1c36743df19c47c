"""Outcomes of requests on disk, by request id: what was answered once is never asked again.

The only truth about what was asked. SQLite in WAL mode; rows are written in groups, each one transaction that is on the
disk when `flush` returns, so that a process that is killed loses no more than what it had not flushed, and a power cut
no more either. Readers see what is on the disk and what waits in this process. A journal holds outcomes and digests,
and neither prompts nor keys.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import orjson

from filters.errors import OutputError
from synth.backend import is_lasting
from synth.requests import Outcome, Usage

_BUSY_SECONDS = 60  # that another process may hold the file for
_VERSION = 1  # of the table
_CACHE_KB = 16_384  # of the index: ids are random, so that each row touches another page
_TABLE = (
    "CREATE TABLE IF NOT EXISTS outcomes (request BLOB PRIMARY KEY, lasting INTEGER NOT NULL, prompt INTEGER NOT NULL, "
    "cached INTEGER NOT NULL, completion INTEGER NOT NULL, outcome BLOB NOT NULL)"
)
_ADD = (
    "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (request) DO UPDATE SET lasting = excluded.lasting, "
    "prompt = excluded.prompt, cached = excluded.cached, completion = excluded.completion, outcome = excluded.outcome "
    "WHERE NOT lasting"
)
_SPENT = "SELECT total(prompt), total(cached), total(completion) FROM outcomes"

_Row = tuple[bytes, bool, int, int, int, bytes]


class Journal:
    """A file of outcomes; one that goes away with the journal where none is named."""

    def __init__(self, path: Path | None) -> None:
        """Opens the file, or makes it; OutputError where it cannot be, or is something else."""
        self._away = None if path is not None else tempfile.TemporaryDirectory()
        file = path or Path(self._away.name if self._away else "", "journal")
        self._name = str(path)
        self._waiting: dict[bytes, _Row] = {}
        self._leaving: dict[bytes, _Row] = {}
        self._lock = threading.Lock()  # of the change from the one to the other
        self._turn = threading.Lock()  # of the connection that writes
        try:
            self._write = self._open(file)
            self._write.execute(_TABLE)
            self._read = self._open(file)  # of its own, so that reading does not wait for the disk
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _open(self, file: Path) -> sqlite3.Connection:
        """A connection to a file of this version, for use by one thread at a time."""
        opened = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA synchronous = FULL")
        opened.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        [version] = opened.execute("PRAGMA user_version").fetchone()
        if version not in {0, _VERSION}:
            msg = f"it has version {version}, and this program writes {_VERSION}"
            raise sqlite3.DatabaseError(msg)
        opened.execute(f"PRAGMA user_version = {_VERSION}")
        return opened

    def __enter__(self) -> Journal:
        """The journal itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Writes what waits, and closes the file."""
        try:
            self.flush()
        finally:
            self._read.close()
            self._write.close()
            if self._away is not None:
                self._away.cleanup()

    @property
    def waiting(self) -> int:
        """How many rows are not on the disk yet."""
        return len(self._waiting) + len(self._leaving)

    def get(self, request: str) -> Outcome | None:
        """What came of a request, if it is known."""
        key = bytes.fromhex(request)
        row = self._waiting.get(key) or self._leaving.get(key)
        if row is not None:
            return _outcome(row[2:])
        try:
            found = self._read.execute(
                "SELECT prompt, cached, completion, outcome FROM outcomes WHERE request = ?", (key,)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return None if found is None else _outcome(found)

    def known(self, requests: Iterable[str]) -> dict[str, Outcome]:
        """The outcomes of those of the requests that have one."""
        found = ((request, self.get(request)) for request in requests)
        return {request: outcome for request, outcome in found if outcome is not None}

    def add(self, request: str, outcome: Outcome) -> None:
        """Keeps an outcome with the next `flush`; the first that lasts stays."""
        key = bytes.fromhex(request)
        kept = self._waiting.get(key) or self._leaving.get(key)
        if kept is not None and kept[1]:
            return
        usage = outcome.usage
        whole = (outcome.text, outcome.finish, outcome.tops, outcome.failure, outcome.model, outcome.tries)
        row = (key, is_lasting(outcome.failure), usage.prompt, usage.cached, usage.completion, orjson.dumps(whole))
        with self._lock:
            self._waiting[key] = row

    def flush(self) -> None:
        """Puts on the disk what waits, in one transaction. Another thread may do so than the one that adds."""
        with self._turn:
            with self._lock:
                self._leaving, self._waiting = self._waiting, {}
            try:
                if self._leaving:
                    self._commit(self._leaving.values())
            except sqlite3.Error as error:
                with self._lock:
                    self._waiting = self._leaving | self._waiting
                raise self._broken(error) from error
            finally:
                self._leaving = {}

    def _commit(self, rows: Iterable[_Row]) -> None:
        with self._write:
            self._write.execute("BEGIN IMMEDIATE")
            self._write.executemany(_ADD, rows)

    def usage(self) -> Usage:
        """The tokens of all outcomes, of every run."""
        self.flush()
        try:
            prompt, cached, completion = self._read.execute(_SPENT).fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return Usage(int(prompt), int(cached), int(completion))

    def _broken(self, error: sqlite3.Error) -> OutputError:
        return OutputError(f"the journal of answers {self._name}: {error}; name another, or delete it")


def _outcome(row: tuple[int, int, int, bytes]) -> Outcome:
    prompt, cached, completion, whole = row
    text, finish, tops, failure, model, tries = orjson.loads(whole)
    pairs = tuple((token, value) for token, value in tops)
    return Outcome(text, finish, Usage(prompt, cached, completion), pairs, failure, model, tries)

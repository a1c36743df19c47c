"""Answers of models on disk, by the digest of the request: what was answered once is never asked again.

SQLite in WAL mode, one small transaction for each answer: a process that is killed loses none that it had, and a
second one may read meanwhile. A journal holds answers and digests, and neither prompts nor keys.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from filters.errors import OutputError

_BUSY_SECONDS = 60  # that another process may hold the file for
_SCHEMA = "CREATE TABLE IF NOT EXISTS answers (request TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID"


class Journal:
    """A file of answers; in memory without one."""

    def __init__(self, path: Path | None) -> None:
        """Opens the file, or makes it; OutputError where it cannot be, or is something else."""
        self._name = str(path)
        try:
            self._file = sqlite3.connect(path or ":memory:", timeout=_BUSY_SECONDS, isolation_level=None)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def __enter__(self) -> Journal:
        """The journal itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes the file."""
        self._file.close()

    def known(self, requests: Iterable[str]) -> dict[str, str]:
        """The answers to those of the requests that have one."""
        found = {}
        try:
            for request in requests:
                row = self._file.execute("SELECT answer FROM answers WHERE request = ?", (request,)).fetchone()
                if row is not None:
                    found[request] = row[0]
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return found

    def add(self, request: str, answer: str) -> None:
        """Keeps an answer; the first to a request stays."""
        try:
            self._file.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (request, answer))
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _broken(self, error: sqlite3.Error) -> OutputError:
        return OutputError(f"the journal of answers {self._name}: {error}; name another, or delete it")

"""The journal: an outcome comes back as it was, the first that lasts stays, and what was flushed survives."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.errors import OutputError
from synth.journal import Journal
from synth.requests import Outcome, Usage

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OUTCOMES = st.builds(
    Outcome,
    text=st.none() | WORDS,
    finish=WORDS,
    usage=st.builds(Usage, *[st.integers(0, 1 << 40)] * 3),
    tops=st.lists(st.tuples(WORDS, st.floats(-100, 0)), max_size=3).map(tuple),
    failure=WORDS,
    model=WORDS,
    tries=st.integers(0, 99),
)


def key(number: int) -> str:
    return f"{number:032x}"


@settings(max_examples=30)
@given(OUTCOMES)
def test_an_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    """Before it is on the disk and after."""
    with Journal(None) as journal:
        journal.add(key(1), outcome)
        before = journal.get(key(1))
        journal.flush()

        assert before == journal.get(key(1)) == journal.known([key(1), key(2)])[key(1)] == outcome
        assert journal.get(key(2)) is None


@pytest.mark.parametrize("flushes", [False, True])
def test_the_first_that_lasts_stays(tmp_path: Path, *, flushes: bool) -> None:
    """A failure that may be mended gives way to what comes later; an answer, and a failure that lasts, do not."""
    refused, too_long, answer = Outcome(failure="refused"), Outcome(failure="context_too_long"), Outcome("yes")
    with Journal(tmp_path / "j") as journal:
        for outcomes in ((refused, answer, refused, Outcome("no")), (refused, too_long, answer)):
            for outcome in outcomes:
                journal.add(key(len(outcomes)), outcome)
                if flushes:
                    journal.flush()
    with Journal(tmp_path / "j") as journal:
        assert [journal.get(key(4)), journal.get(key(3))] == [answer, too_long]


def test_what_was_flushed_is_there_for_another(tmp_path: Path) -> None:
    """A second reader sees what was flushed, and nothing of what was not."""
    with Journal(tmp_path / "j") as one, Journal(tmp_path / "j") as other:
        one.add(key(1), Outcome("a"))
        one.flush()
        one.add(key(2), Outcome("b"))

        assert (one.waiting, other.get(key(1)), other.get(key(2))) == (1, Outcome("a"), None)


def test_rows_that_come_while_others_are_written_are_not_lost(tmp_path: Path) -> None:
    """A thread that flushes all the time, and 20,000 rows beside it."""
    with Journal(tmp_path / "j") as journal:
        ended = threading.Event()

        def flush() -> None:
            while not ended.is_set():
                journal.flush()

        thread = threading.Thread(target=flush)
        thread.start()
        for number in range(20_000):
            journal.add(key(number), Outcome(str(number)))
            assert journal.get(key(number // 2)) == Outcome(str(number // 2))
        ended.set()
        thread.join()
        journal.flush()
        with sqlite3.connect(tmp_path / "j") as file:
            assert file.execute("SELECT count(*) FROM outcomes").fetchone() == (20_000,)


def test_tokens_are_added_up_over_all_runs(tmp_path: Path) -> None:
    """Those of every row."""
    for number in range(3):
        with Journal(tmp_path / "j") as journal:
            journal.add(key(number), Outcome("a", usage=Usage(10, 4, number)))
    with Journal(tmp_path / "j") as journal:
        assert journal.usage() == Usage(30, 12, 3)


def test_a_journal_that_is_none_is_one_line(tmp_path: Path) -> None:
    """A text file, a folder that is not there, and a journal of a later version."""
    (tmp_path / "text").write_text("no database\n" * 100)
    with sqlite3.connect(tmp_path / "later") as later:
        later.execute("PRAGMA user_version = 9")

    for path in (tmp_path / "text", tmp_path / "none" / "j.sqlite", tmp_path / "later"):
        with pytest.raises(OutputError, match="the journal of answers") as told:
            Journal(path)
        assert "\n" not in str(told.value)


def test_a_journal_that_goes_away_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name it is in the temporary folder, for as long as it is open."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Journal(None) as journal:
        journal.add(key(1), Outcome("a"))
        assert list(tmp_path.iterdir())

    assert not list(tmp_path.iterdir())

"""Chains of tasks: every request and every pair in one counted state, and the same bytes however a run went."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from test_synth_engine import QUICK, Scripted
from test_synth_tasks import ASKING, by_value, pair

from filters.errors import AccountingError, OutputError, UsageError
from synth.engine import Options, answer_all, resolve
from synth.gates import Gates, Seen, agreement, arranged, faithful, given, one_answer, text_gates
from synth.journal import Journal
from synth.requests import Outcome, Request, Usage
from synth.rounds import ACCEPTED, COUNTS, REJECTED, Counts, Round, accepted, materialise, run
from synth.samples import Document
from synth.tasks.extract import ExtractBlocks, ExtractVerbatim, Refine
from synth.tasks.solve import Solve

OPTIONS = Options(patience=QUICK, resamples=1)


def documents(count: int = 12) -> list[Document]:
    """Of three, one has a pair in blocks, one has it in running text, one has nothing."""
    pages = [
        "Problem {k}. How much is ${k}+1$ when we count?\n\nSolution: We add one and get ${k1}$ here.",
        "Somebody asked how much is ${k}+1$ when we count, and the answer was ${k1}$ of course.",
        "Chat number {k} about the weather.",
    ]
    return [
        Document(f"d{k}", pages[k % 3].replace("{k1}", str(k + 1)).replace("{k}", str(k)), "en") for k in range(count)
    ]


def answer(request: Request) -> Outcome:
    """What a model says that finds what is there, refines faithfully, and is wrong once in four."""
    text = request.messages[0][1]
    number = int(re.findall(r"\d+", re.sub(r"<block \d+>", "", text))[0])
    asked = f"How much is ${number}+1$ when we count?"
    if request.task == "extract_blocks":
        said = pair("1", "", "2") if "Solution:" in text else "<none/>" if number % 2 else "Here you are."
    elif request.task == "extract_verbatim":
        said = (
            pair(f"how much is ${number}+1$ when we count", f"${number + 1}$", "") if "Somebody" in text else "<none/>"
        )
    elif request.task == "refine":
        said = pair(asked, str(number + 1), f"We add one to get ${number + 1}$ here.")
    else:
        said = f"We add one and get \\boxed{{{number + (2 if request.sample == 3 else 1)}}} here."
    return Outcome(said, "stop", Usage(len(text), 0, len(said)), model="scripted")


def chain() -> list[Round]:
    """Blocks first, copies of what blocks missed, both refined, then four solutions each."""
    told = [gate for gate in text_gates() if gate.name not in {"length", "self_contained"}]
    solved = arranged([*text_gates(), one_answer(), agreement(), given("duplicate", Seen())])
    return [
        Round("blocks", ExtractBlocks(ASKING), arranged([*told, faithful()])),
        Round("copies", ExtractVerbatim(ASKING), arranged([*told, faithful()]), missed="blocks"),
        Round("refined", Refine(ASKING), arranged(text_gates()), after=("blocks", "copies")),
        Round("solved", Solve(ASKING, by_value, n=4), solved, after=("refined",)),
    ]


def with_engine(
    out: Path, journal: Path, docs: Sequence[Document], reply: Any = answer, **more: Any
) -> dict[str, Counts]:
    """The chain through the real engine and a scripted model."""
    options = Options(patience=QUICK, resamples=1, **more)
    with Journal(journal) as kept:
        ask = lambda plan, check: answer_all(plan, Scripted(reply), kept, check, options)  # noqa: E731
        return run(chain(), lambda: docs, out, ask, lambda r, check: resolve(r, kept, check, options.resamples))


def files(out: Path) -> dict[str, bytes]:
    """All that a run wrote."""
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def rows(out: Path, name: str, file: str = REJECTED) -> list[dict[str, Any]]:
    """The rows of a round."""
    with zstandard.open(out / name / file, "rb") as lines:
        return [orjson.loads(line) for line in lines.read().splitlines()]


def test_a_chain_from_documents_to_solutions(tmp_path: Path) -> None:
    """12 documents: 4 pairs by blocks, 4 copies, 8 refined, 32 solutions, of which a quarter is outvoted."""
    counts = with_engine(tmp_path / "out", tmp_path / "journal", documents())

    assert counts["blocks"].plain() == {
        "items": 12, "unasked": 0, "requests": 12, "answered": 8, "failures": {"parse:no_tags": 4}, "results": 12,
        "accepted": 4, "rejected": {"nothing:none": 4, "request:parse:no_tags": 4},
    }  # fmt: skip
    assert (counts["copies"].items, counts["copies"].accepted, counts["copies"].rejected) == (8, 4, {"nothing:none": 4})
    assert (counts["refined"].requests, counts["refined"].accepted) == (8, 8)
    assert (counts["solved"].requests, counts["solved"].accepted) == (32, 8)
    assert counts["solved"].rejected == {"agreement:fail:outvoted": 8, "duplicate:fail:text": 16}
    samples = list(accepted(tmp_path / "out", "solved"))
    refined = {s.id: s for s in accepted(tmp_path / "out", "refined")}
    assert [s.answer for s in samples] == [str(int(s.parents[0][1:]) + 1) for s in samples]
    assert all(refined[s.parents[-1]].parents == s.parents[:-1] for s in samples)
    assert [s.parents[0] for s in samples] == ["d0", "d3", "d6", "d9", "d1", "d4", "d7", "d10"]
    assert orjson.loads((tmp_path / "out" / "solved" / COUNTS).read_bytes()) == counts["solved"].plain()


def test_the_rejected_say_why(tmp_path: Path) -> None:
    """A row for each, with stage, reason and request; of those that gates refused, the sample and its verdicts."""
    counts = with_engine(tmp_path / "out", tmp_path / "journal", documents())
    for name in counts:
        found = rows(tmp_path / "out", name)
        assert Counter(f"{row['stage']}:{row['reason']}" for row in found) == counts[name].rejected
    outvoted = next(row for row in rows(tmp_path / "out", "solved") if row["stage"] == "agreement")
    assert outvoted["sample"]["gates"][-1]["evidence"]["share"] == 0.75
    bad = next(row for row in rows(tmp_path / "out", "blocks") if row["stage"] == "request")
    assert (bad["raw"], bad["parents"]) == ("Here you are.", ["d2"])


def test_a_run_that_broke_off_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Broken off at each of the first calls, in any order of answers, and finished on the same journal."""
    with_engine(tmp_path / "whole", tmp_path / "one", documents())
    calls = 0

    def breaks(request: Request) -> Outcome:
        nonlocal calls
        calls += 1
        if calls % 7 == 0:
            raise KeyboardInterrupt
        return answer(request)

    for attempt in range(40):
        try:
            with_engine(tmp_path / "again", tmp_path / "two", documents(), breaks, concurrency=1 + attempt % 5)
        except KeyboardInterrupt:
            continue
        break
    assert attempt > 3
    assert files(tmp_path / "again") == files(tmp_path / "whole")
    with Journal(tmp_path / "two") as kept:
        materialise(chain(), documents, tmp_path / "third", lambda r, check: resolve(r, kept, check, 1))
    assert files(tmp_path / "third") == files(tmp_path / "whole")


def test_what_nobody_asked_is_counted(tmp_path: Path) -> None:
    """Made from an empty journal, each request is rejected as unasked, and later rounds have no items."""
    with Journal(None) as kept:
        counts = materialise(chain(), documents, tmp_path, lambda r, check: resolve(r, kept, check, 1))

    assert counts["blocks"].rejected == {"request:unasked": 12}
    assert [counts[name].items for name in ("copies", "refined", "solved")] == [12, 0, 0]


def test_documents_without_text_are_not_asked_about(tmp_path: Path) -> None:
    """They are counted, and no request is made."""
    counts = with_engine(tmp_path / "out", tmp_path / "journal", [Document("d", " ", "en")])
    assert (counts["blocks"].items, counts["blocks"].unasked, counts["blocks"].requests) == (1, 1, 0)


def test_every_bad_answer_ends_in_its_count(tmp_path: Path) -> None:
    """Refusals, empty answers, loops, bad tags, withheld and cut off ones, each once; the sums hold."""
    bad = [
        "I'm sorry, I can't.",
        "",
        "la " * 900,
        "<qa>",
        pair("7", "", ""),
        "<qa><question>1",
        "<none/>",
        pair("1", "", "2") * 2,
    ]
    docs = [Document(f"d{k}", f"Number {k} is here.\n\nSolution: we see that it is.", "en") for k in range(len(bad))]

    def reply(request: Request) -> Outcome:
        number = int(re.findall(r"Number (\d+)", request.messages[0][1])[0])
        return Outcome(bad[number], "length" if number == 5 else "stop", Usage(9, 0, 3))

    rounds = [Round("blocks", ExtractBlocks(ASKING))]
    with Journal(None) as kept:
        ask = lambda plan, check: answer_all(plan, Scripted(reply), kept, check, OPTIONS)  # noqa: E731
        counts = run(rounds, lambda: docs, tmp_path, ask, lambda r, check: resolve(r, kept, check, 1))["blocks"]

    assert counts.rejected == {
        "request:refusal": 1, "request:empty": 1, "request:loop": 1, "request:parse:unclosed": 1, "request:parse:unknown_block": 1,
        "request:truncated": 1, "nothing:none": 1,
    }  # fmt: skip
    assert (counts.requests, counts.accepted, counts.results) == (8, 2, 9)


@pytest.mark.parametrize(
    ("rounds", "told"),
    [
        ([Round("a", Refine(ASKING), after=("b",))], "no earlier round 'b'; earlier rounds are none"),
        ([Round("a", ExtractBlocks(ASKING))] * 2, "the name twice"),
        (
            [Round("a", ExtractBlocks(ASKING)), Round("b", Refine(ASKING), after=("a",), missed="a")],
            "both `after` and `missed`",
        ),
    ],
)
def test_rounds_that_do_not_follow_are_refused(tmp_path: Path, rounds: list[Round], told: str) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError, match=told):
        run(rounds, list, tmp_path, lambda *_: None, lambda r, _: (r, Outcome()))


def test_a_task_that_loses_a_request_is_found(tmp_path: Path) -> None:
    """A failed request without a rejection: the sums do not hold, and nothing is said to be right."""

    class Forgetful(ExtractBlocks):
        def finish(self, item: Document, answers: Any) -> list[Any]:
            return []

    failed = lambda r, _: (r, Outcome(failure="timeout"))  # noqa: E731
    with pytest.raises(AccountingError, match="do not add up"):
        run([Round("a", Forgetful(ASKING))], documents, tmp_path, lambda *_: None, failed)
    assert not (tmp_path / "a" / COUNTS).exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """One line with what to do."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="make room for it, or name another place"):
        with_engine(tmp_path / "file", tmp_path / "journal", documents(2))


def test_plans_are_lazy(tmp_path: Path) -> None:
    """No document is read before the request before it is taken, and each round reads its input as a stream."""
    read = 0

    def stream() -> Iterator[Document]:
        nonlocal read
        for doc in documents(200):
            read += 1
            yield doc

    def ask(plan: Iterable[Request], _: Any) -> None:
        for taken, _request in enumerate(plan, 1):
            assert read == taken

    nothing = lambda r, _: (r, Outcome("<none/>", "stop"))  # noqa: E731
    counts = run([Round("a", ExtractBlocks(ASKING), Gates(()))], stream, tmp_path, ask, nothing)["a"]
    assert counts.rejected == {"nothing:none": 200}
    assert (tmp_path / "a" / ACCEPTED).exists()

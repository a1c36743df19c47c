"""Gates of `mathcorpus audit`: what they may say, what they compare, and the exit code."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from planted import prose
from test_cli import run

from filters.errors import UsageError
from pipelines.audit.gates import NAMES, failed, figures_of, parse_gates


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three texts, of which two are equal."""
    root = tmp_path_factory.mktemp("gates")
    lines = [orjson.dumps({"text": text}) for text in (prose(1), prose(2), prose(2))]
    (root / "a.jsonl").write_bytes(b"\n".join(lines))
    return root


@pytest.mark.parametrize(
    ("given", "value", "fails"),
    [
        ("documents > 3", 3, False),
        ("documents >= 3", 3, True),
        ("documents<4", 3, True),
        ("documents <= 2.5", 3, False),
        ("documents == 3", 3, True),
        ("documents != 3", 3, False),
        ("adult_share > 1e-3", 0.002, True),
        ("adult_share > -.5", 0.0, True),
    ],
)
def test_a_gate_fails_where_its_condition_is_met(given: str, value: float, *, fails: bool) -> None:
    """Every sign, numbers in every spelling, with and without blanks."""
    [gate] = parse_gates([given])

    assert bool(failed([gate], {gate.name: value})) is fails


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("contaminated > 0", "did you mean contaminated."),
        ("duplicate.exact > 0", "did you mean duplicates.exact"),
        ("documents", "not NAME OP NUMBER"),
        ("documents > many", "not NAME OP NUMBER"),
        ("documents => 1", "not NAME OP NUMBER"),
        ("", "not NAME OP NUMBER"),
    ],
)
def test_what_is_no_gate_is_refused(given: str, words: str) -> None:
    """A name that no figure has is told the nearest."""
    with pytest.raises(UsageError, match=words):
        parse_gates([given])


def test_gates_that_fail_end_with_three_and_leave_the_report(folder: Path, tmp_path: Path) -> None:
    """The report names those that failed and no others; one line says them."""
    gates = ["duplicates.exact > 0", "documents < 1", "duplicates.exact_share >= 0.3"]
    flags = [word for gate in gates for word in ("--fail-if", gate)]
    code, _, told = run("audit", folder, "--out", tmp_path / "out", "--workers", "1", "--quiet", *flags)
    report = orjson.loads((tmp_path / "out" / "report.json").read_bytes())

    assert code == 3
    assert told.splitlines() == [
        "mathcorpus: 2 of 3 gates failed: duplicates.exact > 0: it is 1; duplicates.exact_share >= 0.3: it is 0.333333"
    ]
    assert report["failed"] == [
        {"gate": "duplicates.exact > 0", "value": 1},
        {"gate": "duplicates.exact_share >= 0.3", "value": 0.333333},
    ]
    assert (tmp_path / "out" / "report.html").exists()


def test_gates_that_hold_end_with_nothing(folder: Path, tmp_path: Path) -> None:
    """Exit code 0; every figure that was measured stands in the report under its name."""
    code, told, _ = run(
        "audit", folder, "--out", tmp_path / "out", "--workers", "1", "--json", "--fail-if", "empty > 0"
    )
    report = orjson.loads(told)
    unmeasured = {name for name in NAMES if name.startswith(("contaminated.", "comparison."))}

    assert code == 0
    assert report["failed"] == []
    assert report["gates"].keys() == set(NAMES) - unmeasured
    assert report["gates"] == figures_of(report)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("contaminated.exact > 0", "name what to look for with --benchmarks"),
        ("comparison.gone > 0", "name what to compare with by --against"),
        ("spams > 0", "did you mean spam"),
    ],
)
def test_a_gate_on_what_is_not_measured_is_refused_before_the_work(
    folder: Path, tmp_path: Path, gate: str, words: str
) -> None:
    """Exit code 2, one line, and nothing was written."""
    code, _, told = run("audit", folder, "--out", tmp_path / "out", "--fail-if", gate)

    assert code == 2
    assert words in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()

"""Paragraphs that many pages of a host share: found, cut, counted; never formulas or code."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from small import build, plan
from test_build import ledger

from filters.paragraphs import paragraphs, without
from pipelines.dataset import Dataset
from pipelines.engine import Engine

FOOTER = "This page is part of the course notes and may be copied for teaching only, see the licence."


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("one block\nof two lines\n\nanother", ["one block\nof two lines", "another"]),
        ("a formula $x$ in it\n\nplain", ["plain"]),
        ("```py\nx = 1\n\ny = 2\n```\n\nplain", ["plain"]),
        ("$$\na\n\nb\n$$\n\nplain", ["plain"]),
        ("\\begin{align}\na\n\nb\n\\end{align}\n\nplain", ["plain"]),
        ("    indented = 1\n\nplain", ["plain"]),
        ("| a | b |\n|---|---|\n\nplain", ["plain"]),
        ("with `code` in it\n\n中文段落", ["中文段落"]),
        ("", []),
    ],
)
def test_what_is_a_paragraph(text: str, cut: list[str]) -> None:
    """Blocks between blank lines; formulas, code and tables are none."""
    assert [text[begin:end] for begin, end in paragraphs(text)] == cut


def test_the_rest_is_not_changed() -> None:
    """A cut takes the blank lines behind a paragraph along, and nothing else."""
    text = "# A\n\nfirst\n\nsecond\n\n$$x$$\n\nthird"
    spans = [span for span in paragraphs(text) if text[slice(*span)] in ("second", "third")]

    assert without(text, spans) == "# A\n\nfirst\n\n$$x$$"


def pages(root: Path, count: int) -> None:
    """Pages of two hosts with a footer, a formula that all have, and a text of their own; one is nothing but a footer."""
    (root / "in").mkdir()
    shared = "$$ x^2 + y^2 = z^2 $$\n\nProof."
    texts = [f"Page {n} tells of the number {n} times {n + 1} and why.\n\n{shared}\n\n{FOOTER}" for n in range(count)]
    rows = [{"text": text, "url": f"https://a.org/{n}", "id": str(n)} for n, text in enumerate(texts)]
    rows += [
        {"text": FOOTER, "url": "https://a.org/footer", "id": "f"},
        {"text": texts[0], "url": "https://b.org/0", "id": "b"},
    ]
    (root / "in" / "a.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def _engine(name: str, request: pytest.FixtureRequest) -> Engine | None:
    if name == "inline":
        return None
    session = request.getfixturevalue("spark")
    from pipelines.engine_spark import SparkEngine

    return SparkEngine(2, session=session)


@pytest.mark.parametrize("engine", ["inline", "spark"])
def test_a_build_cuts_them(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    """The footer of twelve pages goes, on another host it stays; a page of nothing else is removed, and all is counted."""
    pages(tmp_path, 12)
    build(plan(tmp_path, stages=[{"stage": "paragraph_dedup"}]), _engine(engine, request))
    texts = [
        t for table in Dataset.load(tmp_path / "out" / "corpus").tables(["text"]) for t in table["text"].to_pylist()
    ]
    told = [
        orjson.loads(e) for t in Dataset.load(tmp_path / "out" / "evidence").tables() for e in t["evidence"].to_pylist()
    ]

    assert [FOOTER in text for text in texts] == [False] * 12 + [True]
    assert all("$$ x^2 + y^2 = z^2 $$\n\nProof." in text for text in texts)
    assert ledger(tmp_path) == [("paragraph_dedup", "only_boilerplate")]
    assert [one["paragraphs_cut"] for [one] in told] == [1] * 13

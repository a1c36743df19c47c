"""The datatrove filter: removes documents with a benchmark item and says why."""

from __future__ import annotations

import pickle
from pathlib import Path

import orjson
import pytest
from datatrove.data import Document
from datatrove.pipeline.writers.jsonl import JsonlWriter

from decontam import step
from decontam.benchmarks import Item
from decontam.index import build_index
from decontam.match import DecontaminationParams
from decontam.step import Decontaminate
from filters.errors import InputError, UsageError

QUESTION = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
SOLUTION = "She sold 48 / 2 = 24 clips in May, so that altogether in April and May she sold 48 + 24 = 72 clips."


@pytest.fixture
def index_path(tmp_path: Path) -> str:
    """A saved index of one question and its solution."""
    items = [
        Item("gsm8k", "train", 0, "question", QUESTION),
        Item("gsm8k", "train", 0, "solution", SOLUTION),
    ]
    build_index(items).save(tmp_path / "index")
    return str(tmp_path / "index")


def document(name: str, text: str, **metadata: object) -> Document:
    """A datatrove document."""
    return Document(text=text, id=name, metadata=metadata)


def test_a_pipeline_keeps_clean_documents_and_removes_the_others(index_path: str, tmp_path: Path) -> None:
    """Documents pass in order and unchanged; a removed one is written with its reason and counted."""
    docs = [document(str(n), text) for n, text in enumerate(["clean", f"see: {QUESTION}", "", "clean too"])]
    writer = JsonlWriter(str(tmp_path / "removed"), compression=None)
    decontaminate = Decontaminate(index_path, exclusion_writer=writer, batch_size=3)

    kept = list(decontaminate.run(docs))

    assert [docs[0], docs[2], docs[3]] == kept
    assert [d.metadata for d in kept] == [{}, {}, {}]
    assert docs[1].metadata["filter_reason"] == "contaminated:gsm8k"
    assert decontaminate.stats["dropped_contaminated:gsm8k"].total == 1
    (removed,) = (tmp_path / "removed").iterdir()
    assert '"contaminated:gsm8k"' in removed.read_text()


def test_evidence_shows_both_texts_and_where_they_stand(index_path: str) -> None:
    """One line for each item, best first, with the fields that `evidence.jsonl` has."""
    doc = document("d1", f"Look: {QUESTION} {SOLUTION.replace('72 ', '')}", origin="a.jsonl:7")

    (result,) = Decontaminate(index_path).filter_batch([doc])

    assert result == (False, "contaminated:gsm8k")
    assert doc.metadata["filter_score"] == 1.0
    expected = {
        "doc_id": "d1",
        "origin": "a.jsonl:7",
        "benchmark": "gsm8k",
        "split": "train",
        "item": 0,
        "field": "question",
        "class": "exact",
        "lcs": 1.0,
        "ngrams": 8,
        "span": [6, 6 + len(QUESTION) - 1],
        "doc_text": QUESTION.rstrip("."),
        "item_text": QUESTION,
    }
    question, solution = doc.metadata["evidence"]
    assert expected == question
    assert (solution["field"], solution["item_text"]) == ("solution", SOLUTION)
    assert solution["lcs"] < 1.0


def test_long_texts_and_long_lists_are_cut_and_said_so(tmp_path: Path) -> None:
    """Texts are cut at 2,000 characters, lines at 20; the last line counts the rest."""
    long = " ".join(f"word{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(600))
    build_index([Item("set", "test", row, "question", long) for row in range(23)]).save(tmp_path / "index")
    doc = document("d", long)

    Decontaminate(str(tmp_path / "index")).filter_batch([doc])

    lines = doc.metadata["evidence"]
    assert list(range(20)) == [line["item"] for line in lines]
    assert ["more" in line for line in lines] == [False] * 19 + [True]
    assert lines[-1]["more"] == 3
    assert long[:2000] == lines[0]["doc_text"] == lines[0]["item_text"]
    assert [0, len(long)] == lines[0]["span"]


def test_evidence_can_be_written_whatever_the_text_holds(tmp_path: Path) -> None:
    """A lone surrogate in a document or an item does not break the writer of the evidence."""
    text = QUESTION.replace("April", "April \ud800")
    build_index([Item("set", "test", 0, "question", text)]).save(tmp_path / "index")
    doc = document("d", f"漢\udfff {text}")

    Decontaminate(str(tmp_path / "index")).filter_batch([doc])

    (line,) = doc.metadata["evidence"]
    assert line["doc_text"] == text.rstrip(".").replace("\ud800", "?")
    assert line["span"] == [3, 3 + len(text) - 1]
    assert orjson.dumps(doc.metadata)


def test_another_index_than_the_one_asked_for_is_refused(index_path: str) -> None:
    """A digest binds the step to one index: a build never uses a file that was replaced."""
    digest = step.open_index(index_path, None).digest

    assert Decontaminate(index_path, digest).filter_batch([document("d", "clean")]) == [True]
    with pytest.raises(InputError, match="expected 00"):
        Decontaminate(index_path, "00").filter_batch([document("d", "clean")])


def test_the_step_travels_without_its_index(index_path: str) -> None:
    """A pickled step is small, and finds the same after the journey; `filter` is a batch of one."""
    decontaminate = Decontaminate(index_path, params=DecontaminationParams(lcs_threshold=0.9))
    decontaminate.filter(document("d", QUESTION))

    data = pickle.dumps(decontaminate)

    assert len(data) < 10_000
    assert pickle.loads(data).filter(document("d", QUESTION)) == (False, "contaminated:gsm8k")


def test_large_documents_are_matched_in_smaller_groups(index_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on characters changes how documents are grouped, not what is found."""
    docs = [document(str(n), text) for n, text in enumerate([QUESTION, "x" * 300, "", "clean", QUESTION])]
    expected = [False, True, True, True, False]

    for limit in (1, 120, 1 << 24):
        monkeypatch.setattr(step, "BATCH_CHARS", limit)
        results = Decontaminate(index_path).filter_batch(docs)
        assert expected == [result is True for result in results]


LOOK_ALIKE = " ".join("another" if n % 8 == 7 else word for n, word in enumerate(QUESTION.split()))


@pytest.mark.parametrize(
    ("actions", "verdict", "tag"),
    [
        (None, True, None),
        ({"near": "report"}, True, None),
        ({"near": "tag"}, True, {"class": "near", "benchmark": "gsm8k"}),
        (step.PROFILES["posttrain"], (False, "contaminated:gsm8k"), None),
    ],
)
def test_each_class_has_its_action(
    index_path: str, actions: dict[str, step.Action] | None, verdict: object, tag: object
) -> None:
    """A look-alike is reported, tagged or dropped as asked; its evidence is there whatever is done."""
    doc = document("d", LOOK_ALIKE)

    assert [verdict] == Decontaminate(index_path, actions=actions).filter_batch([doc])
    assert tag == doc.metadata.get("contamination")
    assert ["near"] == [line["class"] for line in doc.metadata["evidence"]]


def test_the_strongest_class_that_drops_gives_the_reason(index_path: str) -> None:
    """A verbatim solution stands before a look-alike of the question, and drops the document."""
    doc = document("d", f"{LOOK_ALIKE} {SOLUTION}")

    assert Decontaminate(index_path, actions={"near": "tag"}).filter_batch([doc]) == [(False, "contaminated:gsm8k")]
    assert ["exact", "near"] == [line["class"] for line in doc.metadata["evidence"]]
    assert "contamination" not in doc.metadata


@pytest.mark.parametrize("actions", [{"close": "drop"}, {"near": "delete"}])
def test_an_action_that_does_not_exist_is_refused(index_path: str, actions: dict[str, step.Action]) -> None:
    """The error names the class and the action, and says which there are."""
    with pytest.raises(UsageError, match="exact, short, near, judged, review"):
        Decontaminate(index_path, actions=actions)

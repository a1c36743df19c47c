"""The stage personal_data: what it masks or removes, what it leaves a trace of, and what never does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from small import build, digests, plan, text, write_input, write_rows

from filters.errors import RecipeError
from filters.personal import find_in
from filters.personal_step import PersonalData
from filters.text import token_strings
from pipelines.dataset import Dataset
from pipelines.engine import make_engine
from pipelines.trace import in_words, trace

MAIL, CALL, HOST = "jane.doe@uni-bonn.de", "+49 228 731234", "93.184.216.34"
PLANTED = f"{text(70, 20)} Write to {MAIL}, or to {MAIL}; {text(71, 9)} phone {CALL}. {text(72, 20)}"
LOG = f"{text(73, 30)} and from {HOST} came {text(74, 30)}"
BEHIND: list[dict[str, Any]] = [
    {"stage": "exact_dedup"},
    {"stage": "decontaminate", "against": "bench"},
    {"stage": "tokens"},
]


def stages(**personal: Any) -> list[dict[str, Any]]:
    return [{"stage": "quality", "min_tokens": 5}, {"stage": "personal_data", **personal}, *BEHIND]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_input(tmp_path)
    write_rows(tmp_path / "in" / "planted.jsonl", [{"id": "p", "text": PLANTED}, {"id": "q", "text": LOG}])
    return tmp_path


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.concat_tables(Dataset.load(folder).tables()).to_pylist()
    return found


def told(out: Path) -> str:
    """All that a build tells: every file but the removed documents and what a second run reuses, decompressed."""
    files = [p for p in out.rglob("*") if p.is_file() and not {"removed", "work"} & set(p.relative_to(out).parts)]
    tables = [str(pq.read_table(p).to_pylist()) for p in files if p.suffix == ".parquet"]
    return "\n".join(tables + [p.read_text("utf-8") for p in files if p.suffix in (".json", ".html", ".txt")])


def test_masked_documents_stay_with_placeholders_and_their_own_number_of_tokens(root: Path) -> None:
    """Evidence counts what was there, and nothing that a build tells holds the string itself."""
    manifest = build(plan(root, stages=stages()))

    kept = {row["source_id"]: row for row in rows(root / "out" / "corpus")}
    masked = PLANTED.replace(MAIL, "[email]").replace(CALL, "[telephone]")
    evidence = {
        r["id"]: orjson.loads(r["evidence"]) for r in rows(root / "out" / "evidence") if r["stage"] == "personal_data"
    }
    assert kept["p"]["text"] == masked
    assert kept["p"]["tokens"] == len(token_strings(masked))
    assert kept["q"]["text"] == LOG.replace(HOST, "[ip]")
    assert evidence == {
        kept["p"]["id"]: [{"kind": "email", "mask": 2}, {"kind": "telephone", "mask": 1}],
        kept["q"]["id"]: [{"kind": "ip", "mask": 1}],
    }
    assert {s["name"]: s["removed"] for s in manifest["stages"]}["personal_data"] == {}
    assert len(kept) == sum(not any(found) for found in find_in([row["text"] for row in kept.values()]))
    assert [secret for secret in (MAIL, CALL, HOST) if secret in told(root / "out")] == []


def test_documents_that_hold_personal_data_are_removed_when_a_recipe_says_so(root: Path) -> None:
    """The reason names the kind; ledger, evidence and report do not hold the string, removed/ holds the document."""
    manifest = build(plan(root, stages=stages(action="remove", kinds=["telephone", "email"])))

    [ledger] = [row for row in rows(root / "out" / "ledger") if row["stage"] == "personal_data"]
    [removed] = [row for row in rows(root / "out" / "removed") if row["stage"] == "personal_data"]
    assert ledger["reason"] == "personal_data:email"
    assert removed["text"] == PLANTED
    assert {s["name"]: s["removed"] for s in manifest["stages"]}["personal_data"] == {"personal_data:email": 1}
    assert HOST in next(row["text"] for row in rows(root / "out" / "corpus") if row["source_id"] == "q")
    assert [secret for secret in (MAIL, CALL) if secret in told(root / "out")] == []
    words = in_words(trace(root / "out", ledger["id"]))
    assert "kind email, remove 2" in words


def test_workers_make_no_difference(root: Path) -> None:
    """The local engine with two workers writes the bytes of the inline one."""
    inline = build(plan(root, stages=stages()))
    local = build(plan(root, out="local", stages=stages()), make_engine("local", 2))

    assert digests(local) == digests(inline)


def test_sources_and_placeholders_are_the_recipe_s() -> None:
    """Code may keep the addresses of its authors; a placeholder may be another."""
    step = PersonalData(placeholders={"email": "<EMAIL>"}, sources=("web",))
    docs = [Document(text=f"by {MAIL}", id=s, metadata={"source": s}) for s in ("web", "code")]

    assert [doc.text for doc in step.run(docs)] == ["by <EMAIL>", f"by {MAIL}"]
    assert ["evidence" in doc.metadata for doc in docs] == [True, False]


@pytest.mark.parametrize("early", ["tokens", "decontaminate"])
def test_it_stands_before_what_counts_or_quotes_texts(root: Path, early: str) -> None:
    """Counts would be those of the text as it was, and evidence would hold it."""
    first = [stage for stage in BEHIND if stage["stage"] == early]

    with pytest.raises(RecipeError, match=f"personal_data must stand before {early}"):
        plan(root, stages=[*first, {"stage": "personal_data"}])

"""A sample goes with its parents; what somebody asked to be left out goes, and its samples with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from filters.errors import InputError
from filters.takedown import Takedown
from pipelines.parents_reduce import PARENT_KEYS, REASON, orphan_decision, parent_keys


def document(name: str, *parents: str, **metadata: Any) -> Document:
    """A document; with parents it is a sample."""
    about = {"origin": f"here#{name}", **metadata}
    return Document(text=name, id=name, metadata={**about, "parents": list(parents)} if parents else about)


def gone(shards: Sequence[Sequence[Document]]) -> dict[str, list[str]]:
    """The ids that go, with the parents that they go for."""
    made = [parent_keys(docs, None) for docs in shards]  # type: ignore[arg-type]

    def tables(columns: Sequence[str]) -> Iterator[pa.Table]:
        for rank, table in enumerate(made):
            yield table.append_column("rank", pa.array([rank] * table.num_rows, pa.int32())).select(list(columns))

    decision = orphan_decision(tables, None, Path()).decision  # type: ignore[arg-type]
    names = {(rank, row["key"]): row["id"] for rank, table in enumerate(made) for row in table.to_pylist()}
    assert set(decision["reason"].to_pylist()) <= {REASON}
    return {names[row["rank"], row["key"]]: orjson.loads(row["evidence"])["parents"] for row in decision.to_pylist()}


def test_a_sample_goes_with_any_of_its_parents() -> None:
    """Across shards; documents and samples of what is there stay; every missing parent is named."""
    shards = [[document("a"), document("s1", "a"), document("s2", "a", "x", "w")], [document("s3", "y"), document("b")]]
    assert gone(shards) == {"s2": ["w", "x"], "s3": ["y"]}
    assert gone([[]]) == {}


def test_a_sample_of_a_sample_goes_too() -> None:
    """However long the line, and a ring of samples without a document stays, since nothing of it is missing."""
    line = [document("s0", "x"), *(document(f"s{n + 1}", f"s{n}") for n in range(50))]
    assert gone([line[::-1]]) == {"s0": ["x"], **{f"s{n + 1}": [f"s{n}"] for n in range(50)}}
    assert gone([[document("p", "q"), document("q", "p")]]) == {}


@given(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=10))
def test_like_the_plain_rule(parents: list[list[int]]) -> None:
    """Document n has the given parents; the plain rule removes until nothing changes."""
    docs = [document(str(n), *map(str, of)) for n, of in enumerate(parents)]
    alive = {doc.id for doc in docs}
    while lost := {d.id for d in docs if d.id in alive and not alive.issuperset(d.metadata.get("parents", ()))}:
        alive -= lost
    assert set(gone([docs[:4], docs[4:]])) == {doc.id for doc in docs} - alive


def test_the_keys_have_their_schema() -> None:
    """Documents without parents, and none at all."""
    assert parent_keys([document("a")], None).schema == PARENT_KEYS  # type: ignore[arg-type]
    assert parent_keys([], None).num_rows == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "metadata", "reason"),
    [
        ("0a1b", {}, "taken_down:id"),
        ("other", {"source_id": "0a1b"}, "taken_down:id"),
        ("other", {"url": "HTTPS://Example.org/Page/?utm_source=x#top"}, "taken_down:url"),
        ("other", {"url": "https://www.gone.example/any"}, "taken_down:host"),
        ("other", {"host": "gone.example"}, "taken_down:host"),
        ("other", {"url": "https://notgone.example/"}, None),
        ("other", {"url": "https://example.org/Page2"}, None),
        ("other", {}, None),
    ],
)
def test_what_a_list_names_goes(tmp_path: Path, name: str, metadata: dict[str, Any], reason: str | None) -> None:
    """By its id or the input's, by its address however spelt, by its host or one below it."""
    listed = tmp_path / "takedown.txt"
    listed.write_text("# asked on Monday\nid 0a1b\n\nurl https://example.org/Page/\nhost Gone.example\n")
    verdict = Takedown(str(listed), "0").filter(document(name, **metadata))
    assert verdict == (True if reason is None else (False, reason))


def test_a_line_that_is_no_entry_is_named(tmp_path: Path) -> None:
    """File, line, and how to write it."""
    listed = tmp_path / "takedown.txt"
    listed.write_text("id a\nhttps://example.org/\n")
    with pytest.raises(InputError, match=r"takedown.txt, line 2: 'https://example.org/' is no entry; write `id"):
        Takedown(str(listed), "0").filter(document("a"))

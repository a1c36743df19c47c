"""Samples whose parents are gone, as a Reduce: a synthesised sample goes when a document that it was made of went.

A sample names its parents by id. Those that were removed in this build (contaminated, taken down, ...), and those that
were never read, are not among the documents that come here; a sample of a sample goes with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import Document

from pipelines.decisions import KEY_BYTES, decision_rows, document_key
from pipelines.dedup_decide import Reduced
from pipelines.dedup_reduce import Tables

if TYPE_CHECKING:
    from pipelines.recipe import OrphansStage

PARENT_KEYS = pa.schema(
    [("key", pa.binary(KEY_BYTES)), ("id", pa.string()), ("parents", pa.list_(pa.string()))],
    metadata={"mathcorpus": "parent-keys-1"},
)
REASON = "parent_gone"


class Tie(NamedTuple):
    """A sample and one of its parents; `rank` and `key` say where the sample is."""

    rank: int
    key: bytes
    id: str
    parent: str


def parent_keys(docs: Sequence[Document], _config: OrphansStage, _: object = None) -> pa.Table:
    """The id of each document, and those of its parents."""
    rows = {
        "key": [document_key(doc) for doc in docs],
        "id": [doc.id for doc in docs],
        "parents": [doc.metadata.get("parents") or [] for doc in docs],
    }
    return pa.table(rows, schema=PARENT_KEYS)


def orphan_decision(tables: Tables, _config: OrphansStage, _scratch: Path) -> Reduced:
    """Removes the samples of which a parent is not there, and theirs."""
    ids = pa.concat_tables([PARENT_KEYS.empty_table().select(["id"]), *tables(["id"])])["id"]
    ties = pa.concat_tables([_ties(table) for table in tables(["rank", "key", "id", "parents"])] or [_NO_TIES])
    there = pc.is_in(ties["parent"], value_set=ids)
    of_samples = pc.is_in(ties["parent"], value_set=pc.unique(ties["id"]))
    return orphans(_rows(ties.filter(pc.invert(there))), _rows(ties.filter(of_samples)))


_NO_TIES = pa.schema(
    [("rank", pa.int32()), ("key", pa.binary(KEY_BYTES)), ("id", pa.string()), ("parent", pa.string())]
).empty_table()


def _ties(table: pa.Table) -> pa.Table:
    table = table.combine_chunks()
    samples = table.drop_columns(["parents"]).take(pc.list_parent_indices(table["parents"]))
    return samples.append_column("parent", pc.list_flatten(table["parents"])).cast(_NO_TIES.schema)


def _rows(ties: pa.Table) -> Iterator[Tie]:
    return (Tie(*row) for row in zip(*(column.to_pylist() for column in ties.columns), strict=True))


def orphans(missing: Iterable[Tie], of_samples: Iterable[Tie]) -> Reduced:
    """The answer, from the ties to parents that are not there, and those to parents that are samples themselves."""
    gone: dict[tuple[int, bytes], set[str]] = defaultdict(set)  # parents that are not there, by sample
    children: dict[str, list[Tie]] = defaultdict(list)
    for tie in of_samples:
        children[tie.parent].append(tie)
    left = list(missing)
    while left:
        tie = left.pop()
        place = tie.rank, tie.key
        if place not in gone:
            left += children[tie.id]
        gone[place].add(tie.parent)
    rows: Iterator[tuple[Any, ...]] = (
        (rank, key, REASON, None, {"parents": sorted(parents)}) for (rank, key), parents in gone.items()
    )
    return Reduced(decision_rows(rows))

"""datatrove steps on a DataFrame that somebody already has: a function for `mapInArrow`.

Such data has no ranks and no order, so only steps that look at one document at a time belong here; a build runs ranks
instead (`pipelines.stage`). Nothing is dropped: a removed document comes back as a row that says which step and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from pipelines.dataset import to_json
from pipelines.files import encodable

SCHEMA = "id string, text string, kept boolean, stage string, reason string, metadata string"
ROWS = 256  # of a batch that goes back

_ARROW = pa.schema(
    [(n, pa.bool_() if n == "kept" else pa.string()) for n in ("id", "text", "kept", "stage", "reason", "metadata")]
)
Batches = Iterator[pa.RecordBatch]


class _Drops:
    """Takes what a filter excludes, in the place of a datatrove writer."""

    def __init__(self, stage: str, rows: list[dict[str, Any]]) -> None:
        self.stage, self.rows = stage, rows

    def __enter__(self) -> _Drops:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, doc: Document, _rank: int = 0) -> None:
        reason = doc.metadata.pop("filter_reason", "dropped")
        self.rows.append(_row(doc) | {"kept": False, "stage": self.stage, "reason": reason})


def as_map_in_arrow(
    steps: Sequence[PipelineStep], text_column: str = "text", id_column: str = "id"
) -> Callable[[Batches], Batches]:
    """A function for `DataFrame.mapInArrow(function, SCHEMA)`: every row comes back, kept or with stage and reason.

    The other columns are the documents' metadata and come back, with what the steps add, as JSON in `metadata`.

        frame.mapInArrow(as_map_in_arrow([Language(("en", "zh")), Quality()]), SCHEMA)
    """

    def run(batches: Batches) -> Batches:
        rows: list[dict[str, Any]] = []
        stream: Iterator[Document] = _documents(batches, text_column, id_column)
        for step in steps:
            if isinstance(step, BaseFilter):
                step.exclusion_writer = _Drops(step.name, rows)
            stream = step.run(stream)
        for doc in stream:
            rows.append(_row(doc) | {"kept": True})
            if len(rows) >= ROWS:
                yield pa.RecordBatch.from_pylist(rows, schema=_ARROW)
                rows.clear()
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=_ARROW)

    return run


def _documents(batches: Batches, text_column: str, id_column: str) -> Iterator[Document]:
    for batch in batches:
        for row in batch.to_pylist():
            text, own_id = row.pop(text_column), row.pop(id_column)
            yield Document(text=text or "", id=str(own_id), metadata={k: v for k, v in row.items() if v is not None})


def _row(doc: Document) -> dict[str, Any]:
    return {"id": doc.id, "text": encodable(doc.text), "metadata": to_json(doc.metadata)}

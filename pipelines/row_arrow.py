"""Decontamination on somebody's own DataFrame: a function for `mapInArrow`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import orjson
import pyarrow as pa

from decontam.index import Index
from decontam.match import scan_batch
from decontam.params import DecontaminationParams
from decontam.stock import demote
from pipelines.row_fields import CONTAMINATION, Fields
from pipelines.row_parquet import arrow_texts
from pipelines.row_scan import evidence, located, strongest


def as_map_in_arrow(
    index_path: str,
    index_digest: str | None = None,
    params: DecontaminationParams | None = None,
    text_field: str = "text",
    *,
    stock: Collection[int] = (),
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for `DataFrame.mapInArrow` that adds the columns `contamination` and `evidence` to any schema.

    contamination : string, the strongest class of a row's matches, null where there is none.
    evidence : string, a JSON array of lines of evidence, null likewise.
    stock : ids of n-grams that are stock phrases, as `decontam.stock.stock_ngrams` tells them of the `loose` n-grams
        that `scan_batch` finds in a whole corpus; no batch knows that, so none becomes `review` without them.
    """
    rule = params or DecontaminationParams()
    phrases = frozenset(stock)

    def add(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from decontam.step import open_index

        index = open_index(index_path, index_digest)
        first = 0
        for batch in batches:
            found = _found(index, rule, phrases, batch, first, text_field)
            rows = [found.get(row, ([], [])) for row in range(batch.num_rows)]
            first += batch.num_rows
            kinds = pa.array([strongest(kinds) if kinds else None for kinds, _ in rows], pa.string())
            lines = pa.array([orjson.dumps(lines).decode() if lines else None for _, lines in rows], pa.string())
            yield batch.append_column(CONTAMINATION, kinds).append_column("evidence", lines)

    return add


def _found(
    index: Index,
    rule: DecontaminationParams,
    stock: Collection[int],
    batch: pa.RecordBatch,
    first: int,
    text_field: str,
) -> dict[int, tuple[list[str], list[dict[str, Any]]]]:
    """(classes, lines of evidence) of the rows of a batch with matches; `first` is the number of its first row."""
    ids = batch.column("id") if "id" in batch.schema.names else pa.nulls(batch.num_rows)
    texts = arrow_texts(batch, 0, Fields((text_field,)), lambda row: ids[row].as_py())
    found: dict[int, tuple[list[str], list[dict[str, Any]]]] = {}
    for text, scan in enumerate(scan_batch(index, texts.batch, rule) if len(texts) else []):
        if scan.matches:
            row = int(texts.numbers[text])
            matches = demote(scan.matches, stock)
            kinds, lines = found.setdefault(row, ([], []))
            kinds += [match.kind for match in matches]
            lines += [located(line, f"#{first + row}") for line in evidence(index, texts, text, matches)]
    return found

"""Steps on somebody's own DataFrame: every row comes back, kept or with a reason."""

from __future__ import annotations

import orjson
import pyarrow as pa
from small import text

from filters.language import Language
from filters.quality import Quality, QualityParams
from filters.tokens import CountTokens
from pipelines.arrow_steps import SCHEMA, as_map_in_arrow

STEPS = [Language(("en",)), Quality(QualityParams(min_tokens=5)), CountTokens()]
FRENCH = "Soit f une fonction continue sur un intervalle fermé ; elle atteint alors ses bornes."
ENGLISH = "Every continuous function on a closed interval attains its bounds, as the theorem says."


def table() -> pa.Table:
    texts = [ENGLISH, FRENCH, "Let it be, since we cannot know.", None] + [f"{ENGLISH} {text(i)}" for i in range(300)]
    return pa.table({"n": list(range(len(texts))), "text": texts, "id": [f"d{i}" for i in range(len(texts))]})


def rows(batch_rows: int) -> list[dict[str, object]]:
    batches = iter(table().to_batches(max_chunksize=batch_rows))
    return pa.Table.from_batches(as_map_in_arrow(STEPS)(batches)).to_pylist()


def test_every_row_comes_back_kept_or_with_stage_and_reason() -> None:
    """Nothing is lost; scores and other columns are in the metadata."""
    found = {row["id"]: row for row in rows(50)}

    assert len(found) == 304
    assert {i: (r["stage"], r["reason"]) for i, r in found.items() if not r["kept"]} == {
        "d1": ("language", "language:fr"),
        "d3": ("language", "language:und"),
    }
    metadata = orjson.loads(str(found["d0"]["metadata"]))
    assert (metadata["n"], metadata["language"], metadata["tokens"]) == (0, "en", 14)


def test_the_cutting_into_batches_does_not_matter() -> None:
    """The same rows from batches of 1 and of 1,000."""

    def key(row: dict[str, object]) -> str:
        return str(row["id"])

    assert sorted(rows(1), key=key) == sorted(rows(1000), key=key)


def test_it_runs_on_spark(spark: object) -> None:
    """mapInArrow with our function and schema gives what the function gives."""
    frame = spark.createDataFrame(table())  # type: ignore[attr-defined]
    found = frame.mapInArrow(as_map_in_arrow(STEPS), SCHEMA).toArrow().sort_by("id").to_pylist()

    assert found == sorted(rows(64), key=lambda r: str(r["id"]))

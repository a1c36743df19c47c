"""The Reduces of a build, in two halves: what each document gives (rank by rank), and the canonical answer.

An engine with a shuffle of its own may compute the second half in its own way; the decision table must be equal. All
comparisons are of integers and bytes, ties end in the id, and nothing depends on the order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.decisions import ApplyDecision
from pipelines.dedup_decide import Decide, exact_decision, minhash_decision
from pipelines.dedup_keys import EXACT_KEYS, MINHASH_KEYS, exact_keys, minhash_keys
from pipelines.paragraph_reduce import PARAGRAPH_KEYS, CutParagraphs, paragraph_decision, paragraph_keys
from pipelines.parents_reduce import PARENT_KEYS, orphan_decision, parent_keys
from pipelines.scan_reduce import SCANS, ApplyScans, scans, stock_decision

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


@dataclass(frozen=True, slots=True)
class Reduction:
    """The two halves of a Reduce, the schema between them, and the step that applies its decision."""

    schema: pa.Schema
    keys: Callable[..., pa.Table]  # of documents, the stage's configuration, and its artefact
    decide: Decide  # of columns of all keys, the configuration, and a scratch folder
    apply: Callable[..., BaseFilter]  # of the configuration, the artefact, and the folder of the Reduce
    told: str  # of the numbers of rows of keys and of the decision


def _removal(
    schema: pa.Schema, keys: Callable[..., pa.Table], decide: Decide, told: str = "{:>9,} compared, {:,} to remove"
) -> Reduction:
    def apply(config: Any, _: object, reduced: Any) -> BaseFilter:
        return ApplyDecision(config.stage, reduced)

    return Reduction(schema, keys, decide, apply, told)


REDUCTIONS = {
    "exact_dedup": _removal(EXACT_KEYS, exact_keys, exact_decision),
    "minhash_dedup": _removal(MINHASH_KEYS, minhash_keys, minhash_decision),
    "orphans": _removal(PARENT_KEYS, parent_keys, orphan_decision, "{:>9,} read, {:,} without a parent"),
    "paragraph_dedup": Reduction(
        PARAGRAPH_KEYS,
        paragraph_keys,
        paragraph_decision,
        lambda config, _, reduced: CutParagraphs(config, reduced),
        "{:>9,} read, {:,} repeated paragraphs",
    ),
    "decontaminate": Reduction(
        SCANS, scans, stock_decision, ApplyScans, "{:>9,} share text with a benchmark, {:,} stock phrases"
    ),
}

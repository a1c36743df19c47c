"""Repeated paragraphs as a Reduce: in how many pages of its host each stands, then a cut in every page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.paragraphs import paragraph_digests, paragraphs, without
from pipelines.dataset import Dataset
from pipelines.dedup_decide import Reduced
from pipelines.dedup_reduce import Tables
from pipelines.places import place

if TYPE_CHECKING:
    from pipelines.decisions import Artefact
    from pipelines.recipe import ParagraphDedupStage

PARAGRAPH_KEYS = pa.schema([("paragraphs", pa.list_(pa.int64()))], metadata={"mathcorpus": "paragraph-keys-1"})
REPEATED = pa.schema([("paragraph", pa.int64()), ("pages", pa.int64())], metadata={"mathcorpus": "paragraphs-1"})
_HELD = 1 << 26  # digests counted together: 512 MB


def paragraph_keys(docs: Sequence[Document], config: ParagraphDedupStage, _: object = None) -> pa.Table:
    """The digests of each document's paragraphs, each once."""
    found = [np.unique(digests[digests != 0]).tolist() for digests in _digests(docs, config)]
    return pa.table({"paragraphs": found}, schema=PARAGRAPH_KEYS)


def _digests(docs: Sequence[Document], config: ParagraphDedupStage) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    hosts = [doc.metadata.get("host") if doc.metadata.get("source") == "web" else None for doc in docs]
    return paragraph_digests([doc.text for doc in docs], hosts, config.min_tokens)


def paragraph_decision(tables: Tables, config: ParagraphDedupStage, _scratch: Path) -> Reduced:
    """The paragraphs that stand in so many pages of their host."""
    total = sum(len(table["paragraphs"].combine_chunks().flatten()) for table in tables(["paragraphs"]))
    rounds = total // _HELD + 1
    rows: list[tuple[int, int]] = []
    for number in range(rounds):
        parts = [np.zeros(0, np.int64)]
        for table in tables(["paragraphs"]):
            digests = table["paragraphs"].combine_chunks().flatten().to_numpy()
            parts.append(digests[digests % rounds == number])
        values, counts = np.unique(np.concatenate(parts), return_counts=True)
        often = counts >= config.min_pages
        rows += zip(values[often].tolist(), counts[often].tolist(), strict=True)
    return repeated(rows)


def repeated(rows: Iterable[tuple[int, int]]) -> Reduced:
    """The answer of (paragraph, pages) rows."""
    columns = list(zip(*sorted(rows), strict=True)) or [(), ()]
    return Reduced(pa.table(columns, schema=REPEATED))


@lru_cache(maxsize=8)
def _repeated(root: str, digest: str) -> np.ndarray[Any, np.dtype[np.int64]]:  # noqa: ARG001 - the cache's key
    """The paragraphs to cut, ascending: 8 bytes each, and every worker holds them all."""
    parts = [table["paragraph"].to_numpy() for table in Dataset.load(place(root)).tables(["paragraph"])]
    return np.concatenate([np.zeros(0, np.int64), *parts])


class CutParagraphs(BaseFilter):
    """Cuts the paragraphs that a Reduce found repeated; a document of nothing else goes as `only_boilerplate`."""

    name = "paragraph_dedup"

    def __init__(self, config: ParagraphDedupStage, reduced: Artefact) -> None:
        super().__init__()
        self.config, self.root, self.digest = config, f"{reduced.path}/decision", reduced.digest

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether anything is left of the document."""
        often = _repeated(self.root, self.digest)
        if not len(often):
            return True
        [digests] = _digests([doc], self.config)
        spans = paragraphs(doc.text) if len(digests) else []
        found = often[np.minimum(np.searchsorted(often, digests), len(often) - 1)] == digests
        cut = [span for span, gone in zip(spans, found.tolist(), strict=True) if gone]
        if not cut:
            return True
        text = without(doc.text, cut)
        told = {"paragraphs_cut": len(cut), "characters_cut": len(doc.text) - len(text)}
        doc.metadata["evidence"] = [told]
        if not text.strip():
            return False, "only_boilerplate"
        doc.text = text
        return True

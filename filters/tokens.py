"""Counts tokens: with the project's own tokeniser (words, numbers, Chinese characters), or with that of a model."""

from __future__ import annotations

import numpy as np
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.batching import batched

from filters.batches import batched as batched_by_size
from filters.subwords import WINDOW, load_subwords
from filters.text import TEXT_VERSION, pack, tokenise

TOKENS_VERSION = f"tokens-1/{TEXT_VERSION}"
_BATCH = 64


class CountTokens(PipelineStep):
    """Writes `tokens`; removes nothing."""

    name = "tokens"
    type = "🔢 - TOKENS"

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:  # noqa: ARG002
        """The documents, in order, with their number of tokens."""
        for batch in batched(data, _BATCH):
            counts = np.diff(tokenise(pack([d.text for d in batch])).offsets)
            for doc, count in zip(batch, counts, strict=True):
                doc.metadata["tokens"] = int(count)
                yield doc


class CountSubwords(PipelineStep):
    """Writes `tokens` as a tokenizer.json counts them, without any that a trainer adds; removes nothing."""

    name = "tokens"
    type = "🔢 - TOKENS"

    def __init__(self, path: str, sha256: str) -> None:
        super().__init__()
        self._file = path, sha256

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:  # noqa: ARG002
        """The documents, in order, with their number of tokens."""
        subwords = load_subwords(*self._file)
        for batch in batched_by_size(data, WINDOW, _BATCH):
            for doc, count in zip(batch, subwords.counts([d.text for d in batch]), strict=True):
                doc.metadata["tokens"] = count
                yield doc

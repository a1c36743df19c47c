"""Counts tokens with the project's own tokeniser: words, numbers, Chinese characters."""

from __future__ import annotations

import numpy as np
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.batching import batched

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

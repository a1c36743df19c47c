"""Masks personal data in documents, or removes the documents that hold some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.personal import KINDS, PLACEHOLDERS, Found, Kind, find_in, mask

Action = Literal["mask", "remove"]


class PersonalData(BaseFilter):
    """Masks what it finds, or removes the document as `personal_data:email` (the first of its kinds).

    The evidence says how many of each kind were found, and never what they were.
    """

    name = "personal_data"

    def __init__(
        self,
        kinds: Collection[Kind] = KINDS,
        action: Action = "mask",
        placeholders: Mapping[Kind, str] | None = None,
        sources: Collection[str] | None = None,
        batch_size: int = 64,
    ) -> None:
        """sources : kinds of source that are looked at, all where none is given."""
        super().__init__(batch_size=batch_size)
        self.kinds, self.action, self.sources = tuple(kinds), action, sources
        self.placeholders = {**PLACEHOLDERS, **(placeholders or {})}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """The verdict on one document."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """The verdicts on a batch."""
        looked = [self.sources is None or doc.metadata.get("source") in self.sources for doc in batch]
        found = find_in([doc.text if look else "" for doc, look in zip(batch, looked, strict=True)], self.kinds)
        return [self._judge(doc, spans) for doc, spans in zip(batch, found, strict=True)]

    def _judge(self, doc: Document, found: list[Found]) -> bool | tuple[bool, str]:
        if not found:
            return True
        counts = Counter(one.kind for one in found)
        doc.metadata["evidence"] = [{"kind": kind, self.action: counts[kind]} for kind in KINDS if counts[kind]]
        if self.action == "remove":
            return False, f"personal_data:{next(kind for kind in KINDS if counts[kind])}"
        doc.text = mask(doc.text, found, self.placeholders)
        return True

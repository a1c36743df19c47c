"""Decontamination as a datatrove filter: removes, tags or reports documents that hold a benchmark item.

The step carries only a path, a digest and the rule, so that it can be pickled to any worker; the
index is mapped once in each process. A document with matches carries its evidence with it, kept or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from datatrove.pipeline.filters.base_filter import BaseFilter

from decontam.evidence import evidence_lines
from decontam.index import Index, load_index
from decontam.match import KINDS, DecontaminationParams, Match, match_batch
from filters.errors import InputError, UsageError

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.pipeline.writers.disk_base import DiskWriter

MAX_EVIDENCE_LINES = 20  # of one document; a page that lists a whole benchmark would have thousands
BATCH_CHARS = 1 << 24  # texts matched together: bounds memory when documents are large

Action = Literal["drop", "tag", "report"]

# What is done with a document by the strongest class of its matches. The report of Qwen2.5-Math excludes look-alikes
# from training sets; on the web, where one page in two hundred has one by its subject alone, they are looked at.
PROFILES: dict[str, dict[str, Action]] = {
    "web": {"exact": "drop", "short": "drop", "near": "report", "judged": "report", "review": "report"},
    "posttrain": {"exact": "drop", "short": "drop", "near": "drop", "judged": "drop", "review": "report"},
}
_ACTIONS = ("drop", "tag", "report")

_OPEN_INDEXES = 4  # a process needs one, a recipe with several profiles a few; they are mapped files


@lru_cache(maxsize=_OPEN_INDEXES)
def open_index(path: str, digest: str | None) -> Index:
    """The index at `path`, opened once in a process; refused if `digest` is given and is not its own."""
    index = load_index(Path(path), check=digest is not None)
    if digest is not None and index.digest != digest:
        msg = f"the benchmark index {path} has digest {index.digest}, expected {digest}; build it again"
        raise InputError(msg)
    return index


class Decontaminate(BaseFilter):
    """Keeps the documents in which no benchmark item is found, and those whose matches are only to be seen.

    `actions` says for each class what to do; a class that it leaves out is treated as in the profile `web`. With
    "drop", the document gets the reason `contaminated:<benchmark>` of its best match of such a class and the ratio of
    that match as `metadata["filter_score"]`; with "tag", a kept document gets `metadata["contamination"]`, the
    strongest class and its benchmark. Whatever the action, `metadata["evidence"]` holds the matches, best first,
    at most MAX_EVIDENCE_LINES of them (the last line then counts the rest as `more`).
    """

    name = "🧪 Decontaminate"

    def __init__(
        self,
        index_path: str,
        index_digest: str | None = None,
        params: DecontaminationParams | None = None,
        exclusion_writer: DiskWriter | None = None,
        batch_size: int = 64,
        *,
        actions: Mapping[str, Action] | None = None,
    ) -> None:
        """Take an index that `Index.save` wrote; with a digest, any other index is refused."""
        super().__init__(exclusion_writer, batch_size)
        self.index_path = index_path
        self.index_digest = index_digest
        self.params = params or DecontaminationParams()
        self.actions = checked_actions(actions or {})

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """True to keep the document, else (False, reason)."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: Sequence[Document]) -> list[bool | tuple[bool, str]]:
        """True or (False, reason) for each document; those with matches get their evidence."""
        index = open_index(self.index_path, self.index_digest)
        results: list[bool | tuple[bool, str]] = []
        for docs in _by_size(batch):
            for doc, matches in zip(docs, match_batch(index, [d.text for d in docs], self.params), strict=True):
                results.append(self._verdict(index, doc, matches) if matches else True)
        return results

    def actions_for(self, doc: Document) -> Mapping[str, Action]:  # noqa: ARG002 - for those that tell documents apart
        """What is done with a document, by class."""
        return self.actions

    def _verdict(self, index: Index, doc: Document, matches: Sequence[Match]) -> bool | tuple[bool, str]:
        """The verdict on a document with matches, which go into its metadata."""
        origin = doc.metadata.get("origin") or doc.metadata.get("file_path") or ""
        lines = evidence_lines(index, doc.text, matches, doc.id, origin)
        actions = self.actions_for(doc)
        seen = {action: [n for n in lines if actions[n["class"]] == action] for action in _ACTIONS}
        if len(lines) > MAX_EVIDENCE_LINES:
            lines[MAX_EVIDENCE_LINES - 1]["more"] = len(lines) - MAX_EVIDENCE_LINES
        doc.metadata["evidence"] = lines[:MAX_EVIDENCE_LINES]
        if seen["drop"]:
            doc.metadata["filter_score"] = seen["drop"][0]["lcs"]
            return False, f"contaminated:{seen['drop'][0]['benchmark']}"
        if seen["tag"]:
            doc.metadata["contamination"] = {key: seen["tag"][0][key] for key in ("class", "benchmark")}
        return True


def checked_actions(actions: Mapping[str, Action]) -> dict[str, Action]:
    """The action of every class, those of the profile `web` where none is given; UsageError for others."""
    for kind, action in actions.items():
        if kind not in KINDS or action not in _ACTIONS:
            msg = (
                f"{kind}: {action} is no action; a class is one of {', '.join(KINDS)}, its action {', '.join(_ACTIONS)}"
            )
            raise UsageError(msg)
    return PROFILES["web"] | dict(actions)


def _by_size(docs: Sequence[Document]) -> Iterator[list[Document]]:
    """The documents in order, in groups of at most BATCH_CHARS characters (or one larger document)."""
    group: list[Document] = []
    size = 0
    for doc in docs:
        if group and size + len(doc.text) > BATCH_CHARS:
            yield group
            group, size = [], 0
        group.append(doc)
        size += len(doc.text)
    if group:
        yield group

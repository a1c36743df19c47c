"""Near duplicates in anybody's datatrove pipeline: signatures in one run, an answer over all, removal in the next.

    LocalPipelineExecutor([reader, MinhashSignatures("signatures")], tasks=8).run()
    find_duplicates("signatures")
    LocalPipelineExecutor([reader, RemoveDuplicates("signatures"), writer], tasks=8).run()

The answer does not depend on the number of tasks. Documents are told apart by `origin` in their metadata if they have
one, else by their id, which must then be their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.batches import batched
from filters.errors import InputError
from pipelines.dataset import Dataset, Shard, document_id, write_json
from pipelines.decisions import load_decision
from pipelines.dedup_decide import minhash_decision
from pipelines.dedup_keys import MINHASH_KEYS, minhash_keys
from pipelines.recipe import MinhashDedupStage

if TYPE_CHECKING:
    import pyarrow as pa


class MinhashSignatures(PipelineStep):
    """Writes what a search for near duplicates needs of each document, and passes the documents on."""

    type = "DEDUP"
    name = "signatures"

    def __init__(self, folder: str | Path, **settings: Any) -> None:
        """Takes a folder, and what a recipe's `minhash_dedup` takes: bands, rows, ngram, threshold, ..."""
        super().__init__()
        self.folder, self.settings = Path(folder), settings

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """The documents, as they came."""
        import pyarrow as pa

        from pipelines.stage import KEY_CHARS, KEY_DOCUMENTS
        from pipelines.tables import write_table

        config = MinhashDedupStage(stage="minhash_dedup", **self.settings)
        tables: list[pa.Table] = [MINHASH_KEYS.empty_table()]
        for batch in batched(data, KEY_CHARS, KEY_DOCUMENTS):
            tables.append(minhash_keys([_named(doc) for doc in batch], config))
            yield from batch
        shard = write_table(self.folder / "keys", f"{rank:05d}.parquet", pa.concat_tables(tables))
        config_json = config.model_dump(mode="json")
        write_json(
            self.folder / "ranks" / f"{rank:05d}.json",
            {"shard": asdict(shard), "of": world_size, "config": config_json},
        )


def _named(doc: Document) -> Document:
    """The document with an origin; only for the keys, the document that is passed on stays as it is."""
    return doc if "origin" in doc.metadata else Document(doc.text, doc.id, metadata={**doc.metadata, "origin": doc.id})


def find_duplicates(folder: str | Path) -> int:
    """Decides over all signatures; the number of documents to remove. InputError where those of a task are missing."""
    from tempfile import TemporaryDirectory

    from pipelines.tables import save_table

    root = Path(folder)
    reports = [orjson.loads(path.read_bytes()) for path in sorted((root / "ranks").glob("*.json"))]
    if not reports or len(reports) != reports[0]["of"]:
        tasks = reports[0]["of"] if reports else "none"
        msg = f"{root}: signatures of {len(reports)} tasks of {tasks}; run them all first"
        raise InputError(msg)
    keys = Dataset(root / "keys", tuple(Shard(**one["shard"]) for one in reports), "signatures")
    config = MinhashDedupStage(**reports[0]["config"])
    with TemporaryDirectory(prefix="_tmp-", dir=root) as scratch:
        found = minhash_decision(keys.tables, config, Path(scratch))
    save_table(root / "decision", "signatures", found.decision)
    return int(found.decision.num_rows)


class RemoveDuplicates(BaseFilter):
    """Removes the documents that `find_duplicates` decided against, as `near_duplicate`."""

    name = "near duplicates"

    def __init__(self, folder: str | Path, exclusion_writer: Any = None) -> None:
        super().__init__(exclusion_writer)
        self.root = Path(folder) / "decision"
        self._digest: str | None = None

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the document stays."""
        self._digest = self._digest or Dataset.load(self.root).digest  # once: the decision is made before this runs
        key = bytes.fromhex(document_id(_named(doc).metadata["origin"]))
        row = load_decision(str(self.root), self._digest).find(key)
        return True if row is None else (False, row["reason"])

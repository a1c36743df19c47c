"""Near duplicates in anybody's datatrove pipeline: signatures in one run, an answer over all, removal in the next.

    LocalPipelineExecutor([reader, MinhashSignatures("signatures")], tasks=8).run()
    find_duplicates("signatures")
    LocalPipelineExecutor([reader, RemoveDuplicates("signatures"), writer], tasks=8).run()

The answer does not depend on the number of tasks. Documents are told apart by `origin` in their metadata if they have
one, else by their id, which must then be their own.

A task of MinhashSignatures holds 16 MB of keys, however long it is. `find_duplicates` holds about 450 bytes a document,
and a task of RemoveDuplicates 235 bytes for each document that goes, of all tasks together; only in `mathcorpus build`,
where documents come again in the ranks in which they gave their keys, does a rank hold what concerns itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.batches import batched
from filters.errors import InputError
from pipelines.dataset import BYTES_PER_GROUP, Dataset, Shard, write_json
from pipelines.decisions import Decision, document_key, load_decision, ranked_tables, save_decision
from pipelines.dedup_decide import minhash_decision
from pipelines.dedup_keys import MINHASH_KEYS, minhash_keys
from pipelines.recipe import MinhashDedupStage
from pipelines.tables import write_table


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
        from pipelines.stage import KEY_CHARS, KEY_DOCUMENTS

        config = MinhashDedupStage(stage="minhash_dedup", **self.settings)
        shards, held = list[Shard](), MINHASH_KEYS.empty_table()
        for batch in batched(data, KEY_CHARS, KEY_DOCUMENTS):
            held = pa.concat_tables([held, minhash_keys([_named(doc) for doc in batch], config)])
            yield from batch
            if held.nbytes >= BYTES_PER_GROUP:
                shards.append(write_table(self.folder / "keys", _shard_name(rank, len(shards)), held))
                held = MINHASH_KEYS.empty_table()
        shards.append(write_table(self.folder / "keys", _shard_name(rank, len(shards)), held))
        config_json = config.model_dump(mode="json")
        write_json(
            self.folder / "ranks" / f"{rank:05d}.json",
            {"shards": [asdict(s) for s in shards], "of": world_size, "config": config_json},
        )


def _shard_name(rank: int, part: int) -> str:
    return f"{rank:05d}-{part:05d}.parquet"


def _named(doc: Document) -> Document:
    """The document with an origin; only for the keys, the document that is passed on stays as it is."""
    return doc if "origin" in doc.metadata else Document(doc.text, doc.id, metadata={**doc.metadata, "origin": doc.id})


def find_duplicates(folder: str | Path) -> int:
    """Decides over all signatures; the number of documents to remove. InputError where those of a task are missing."""
    from tempfile import TemporaryDirectory

    root = Path(folder)
    reports = [orjson.loads(path.read_bytes()) for path in sorted((root / "ranks").glob("*.json"))]
    if not reports or len(reports) != reports[0]["of"]:
        tasks = reports[0]["of"] if reports else "none"
        msg = f"{root}: signatures of {len(reports)} tasks of {tasks}; run them all first"
        raise InputError(msg)
    keys = Dataset(root / "keys", tuple(Shard(**shard) for one in reports for shard in one["shards"]), "signatures")
    config = MinhashDedupStage(**reports[0]["config"])
    with TemporaryDirectory(prefix="_tmp-", dir=root) as scratch:
        found = minhash_decision(ranked_tables(keys), config, Path(scratch))
    save_decision(root / "decision", "signatures", found.decision)
    return int(found.decision.num_rows)


class RemoveDuplicates(BaseFilter):
    """Removes the documents that `find_duplicates` decided against, as `near_duplicate`."""

    name = "near duplicates"

    def __init__(self, folder: str | Path, exclusion_writer: Any = None) -> None:
        super().__init__(exclusion_writer)
        self.root = Path(folder) / "decision"
        self._decision: Decision | None = None

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """The documents that stay, in order."""
        self._decision = load_decision(str(self.root))
        yield from super().run(data, rank, world_size)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the document stays."""
        assert self._decision is not None
        row = self._decision.find(document_key(_named(doc)))
        return True if row is None else (False, row["reason"])

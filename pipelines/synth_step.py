"""Synthesis as a step of a build: documents pass, the samples that are made of them follow, each with its parents.

Samples that a gate stopped go with a row that says why. Requests that brought nothing are counted in the evidence of
their document, since there is nothing to keep of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import orjson
from datatrove.data import Document

from pipelines.model_access import Model
from pipelines.score_step import AsksModel, as_text
from pipelines.synth_rounds import ends, rounds_of, tools_of
from pipelines.trace import MADE
from synth import rounds as synth_rounds
from synth.samples import Rejection, Sample

if TYPE_CHECKING:
    from pipelines.recipe_synth import SynthStage
    from synth.rounds import Round

_NO_TEXT = {"request", "nothing"}  # stages of a rejection that leave nothing to keep
_INHERITED = ("licence",)  # from the document
_BESIDE = ("question", "solution", "answer", "format", "generation", "spans", "before", "votes", "signals", "gates")


class MakeSamples(AsksModel):
    """Yields documents, and the samples that are made of them."""

    name = "synth"
    config: SynthStage

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """The documents, each batch followed by its samples."""
        with tools_of(self.config) as self._tools:
            self._chain: tuple[Round, ...] = ()
            yield from super().run(data, rank, world_size)

    def answered(self, model: Model, docs: Sequence[Document]) -> Iterator[Document]:
        """The documents of a batch, then their samples."""
        self._chain = self._chain or rounds_of(self.config, model.asking, self._tools)
        of = {doc.id: doc for doc in docs}
        texts = [as_text(doc) for doc in of.values() if doc.metadata.get("source") in self.config.sources]
        told: dict[str, Counter[str]] = defaultdict(Counter)
        with TemporaryDirectory(prefix="synth-") as name:
            folder = Path(name)
            synth_rounds.run(self._chain, lambda: texts, folder, model.answer, model.resolved)
            refused = list(self._rejected(folder, of, told))
            for doc in docs:
                if doc.id in told:
                    doc.metadata["evidence"] = [{"unused": dict(sorted(told[doc.id].items()))}]
                yield doc
            for doc, reason in refused:
                self.remove(self.exclusion_writer.made(doc), reason)
            for last in ends(self._chain):
                for sample in synth_rounds.accepted(folder, last):
                    yield self.exclusion_writer.made(as_document(sample, of[sample.parents[0]]))

    def _rejected(
        self, folder: Path, of: dict[str, Document], told: dict[str, Counter[str]]
    ) -> Iterator[tuple[Document, str]]:
        """(document, reason) of what was made and refused; what left no text is counted in `told`, by document."""
        for each in self._chain:
            for number, rejection in enumerate(synth_rounds.rejected(folder, each.name)):
                parent = of[rejection.parents[0]]
                reason = f"{each.name}:{rejection.stage}:{rejection.reason}"
                if rejection.stage in _NO_TEXT:
                    told[parent.id][reason] += 1
                elif rejection.sample is not None:
                    yield as_document(rejection.sample, parent), reason
                else:
                    yield _unread(rejection, number, parent), reason


def as_document(sample: Sample, parent: Document) -> Document:
    """A sample as a document of a build. It has no address, since that is its parent's, of which one stays."""
    row = {name: getattr(sample, name) for name in _BESIDE}
    about: dict[str, Any] = {
        "source": "synth",
        "origin": f"{MADE}{sample.id}",
        "parents": list(sample.parents),
        "language": sample.language,
        "synth": orjson.loads(orjson.dumps(row)),
        **{name: parent.metadata[name] for name in _INHERITED if parent.metadata.get(name)},
    }
    return Document(text=sample.training_text, id=sample.id, metadata=about)


def _unread(rejection: Rejection, number: int, parent: Document) -> Document:
    """What could not be read as a sample, as a document that can be removed."""
    own = f"{rejection.request}#{number}"
    about = {"source": "synth", "origin": f"{MADE}{own}", "parents": list(rejection.parents)}
    about |= {name: parent.metadata[name] for name in _INHERITED if parent.metadata.get(name)}
    return Document(text=rejection.raw, id=own, metadata=about)

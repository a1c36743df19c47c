"""Deduplication's kernels against datatrove, datasketch and rensa, in turns on the same documents.

    python benchmarks/dedup.py [DATA]          (pip install 'mathcorpus[bench]')

DATA: folder with raw/books and raw/seeds; else the one that MATHCORPUS_DATA names. Two figures:

- text to 112-slot signatures, MB of text per CPU second. Ours: words, numbers, operators, ideographs. datatrove:
  MinhashDedupSignature's own functions, which neither mask numbers nor drop punctuation here. datasketch and rensa take
  shingles: words of a regular expression, joined in fives. The peers have English alone.
- signatures to clusters, ns for each document and band. Ours: keys of the bands, pairs of the buckets, components, of a
  million random signatures with planted clusters; the same with a tenth of them. datatrove: its steps for buckets and
  clusters, with the files between them, on fewer. Edges are not proven in either.

One thread, all in turns, in batches; of each batch the best of all rounds, since other work on the machine only adds to
its time.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
from common import record
from decontamination import UNIT, load_texts

from filters.clusters import components
from filters.minhash import MinHashParams, band_keys, shingle_sets, signatures
from filters.near import bucket_pairs
from filters.text import Batch, pack, tokenise

ROUNDS = 5
BATCH_BYTES = 500_000  # what a step of a pipeline takes at a time
PEER_BATCH_BYTES = 100_000
PEER_BYTES = 1_500_000  # the peers are slow; more gives the same figure
PARAMS = MinHashParams()
DOCUMENTS = 1_000_000
PEER_DOCUMENTS = 20_000
COPIES = 0.2  # share of the documents that are near copies of another
CHANGED = 0.1  # share of the slots in which a copy differs
CAP, HUBS = 50, 8
NANOSECONDS = "ns per document and band"
_WORD = re.compile(r"\w+")

_U32 = npt.NDArray[np.uint32]


def main() -> None:
    """Prints and records the figures and their ratios."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["MATHCORPUS_DATA"])
    for language, texts in load_texts(data).items():
        signature_speed(language, texts)
    cluster_speed()


def signature_speed(language: str, texts: Sequence[str]) -> None:
    """Text to signatures, ours on all, the peers on the first of each kind of text."""
    few = list(batches(sample(texts), PEER_BATCH_BYTES))
    many = list(batches(texts, BATCH_BYTES))
    runs = {
        "text to signatures": [partial(ours, pack(group)) for group in many],
        "text to sets of shingles": [partial(our_sets, pack(group)) for group in many],
        "text to signatures, the peers' documents": [partial(ours, pack(group)) for group in few],
    }
    if language == "English":
        runs |= {name: [partial(run, group) for group in few] for name, run in peers().items()}
    sizes = dict.fromkeys(runs, size(few)) | dict.fromkeys(list(runs)[:2], size(many))
    speeds = {name: sizes[name] / seconds / 1e6 for name, seconds in best(runs).items()}
    for name, speed in speeds.items():
        print(f"{language}, {name}: {speed:.2f} {UNIT}")
        record(f"dedup, {language}, {name}", speed, UNIT)
    mine = speeds["text to signatures, the peers' documents"]
    for name in list(runs)[3:]:
        print(f"{language}, ours to {name}: {mine / speeds[name]:.0f} times")


def cluster_speed() -> None:
    """Signatures to clusters."""
    many, few = planted(DOCUMENTS), planted(PEER_DOCUMENTS)
    with tempfile.TemporaryDirectory() as folder:
        peer = Datatrove(Path(folder), few)
        runs = {
            "ours": [partial(clusters, many)],
            "a tenth": [partial(clusters, many[: DOCUMENTS // 10])],
            "datatrove": [peer.run],
        }
        seconds = best(runs)
        found = len(few) - len(np.unique(clusters(few)))
        print(f"of {len(few)} documents {found} are in a cluster behind another, by datatrove {peer.removed()}")
    documents = {"ours": DOCUMENTS, "a tenth": DOCUMENTS // 10, "datatrove": PEER_DOCUMENTS}
    cost = {name: 1e9 * seconds[name] / documents[name] / PARAMS.bands for name in runs}
    for name, nanoseconds in cost.items():
        print(f"signatures to clusters, {documents[name]} documents, {name}: {nanoseconds:.1f} {NANOSECONDS}")
        record(f"dedup, signatures to clusters, {documents[name]} documents, {name}", nanoseconds, NANOSECONDS)
    print(f"ours to datatrove {cost['datatrove'] / cost['ours']:.0f} times")


def best(runs: dict[str, list[Callable[[], object]]]) -> dict[str, float]:
    """The CPU seconds of each: the sum of the least of each of its batches; the first round only compiles."""
    seconds = {name: np.full(len(batch), np.inf) for name, batch in runs.items()}
    for turn in range(ROUNDS + 1):
        for name, batch in runs.items():
            for number, run in enumerate(batch):
                started = time.process_time()
                run()
                if turn:
                    seconds[name][number] = min(seconds[name][number], time.process_time() - started)
    return {name: float(least.sum()) for name, least in seconds.items()}


def sample(texts: Sequence[str]) -> list[str]:
    """About PEER_BYTES of texts, spread over all."""
    step = max(1, round(sum(len(text.encode()) for text in texts) / PEER_BYTES))
    return list(texts[::step])


def batches(texts: Sequence[str], size: int) -> Iterator[list[str]]:
    """The texts in groups of about so many bytes."""
    group: list[str] = []
    held = 0
    for text in texts:
        group.append(text)
        held += len(text.encode())
        if held >= size:
            yield group
            group, held = [], 0
    if group:
        yield group


def size(groups: Sequence[Sequence[str]]) -> int:
    """Bytes of text."""
    return sum(len(text.encode()) for group in groups for text in group)


def ours(batch: Batch) -> None:
    """Bytes in memory to signatures."""
    signatures(tokenise(batch, operators=True, folded=False, spans=False), PARAMS)


def our_sets(batch: Batch) -> None:
    """Bytes in memory to the sets that prove an edge."""
    shingle_sets(tokenise(batch, operators=True, folded=False, spans=False), PARAMS)


def shingles(text: str) -> list[str]:
    """The shingles of a text for datasketch and rensa."""
    words = _WORD.findall(text.lower())
    return [" ".join(words[i : i + PARAMS.ngram]) for i in range(max(1, len(words) - PARAMS.ngram + 1))]


def peers() -> dict[str, Callable[[Sequence[str]], None]]:
    """What each peer does with some texts."""
    from datasketch import MinHash
    from rensa import RMinHash

    step = datatrove_signature(Path(tempfile.gettempdir()))

    def datatrove(texts: Sequence[str]) -> None:
        for text in texts:
            made = step.get_shingles(text)
            if made.size:
                step.get_signature(made)

    def datasketch(texts: Sequence[str], **options: Any) -> None:
        for text in texts:
            MinHash(num_perm=PARAMS.slots, **options).update_batch([s.encode() for s in shingles(text)])

    def rensa(texts: Sequence[str]) -> None:
        RMinHash.digest_matrix_from_token_sets([shingles(text) for text in texts], PARAMS.slots, 1)

    return {
        "datatrove": datatrove,
        "datasketch": datasketch,
        "datasketch with xxhash": partial(datasketch, hashfunc=xxhash.xxh32_intdigest),
        "rensa": rensa,
    }


def datatrove_signature(folder: Path) -> Any:
    """datatrove's first step, with numbers and punctuation kept."""
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.text import TextNormConfig

    norm = TextNormConfig(norm_numbers=False, remove_punctuation=False)
    config = MinhashConfig(PARAMS.ngram, PARAMS.bands, PARAMS.rows, norm_config=norm)
    return MinhashDedupSignature(str(folder / "signatures"), config)


def planted(documents: int) -> _U32:
    """Random signatures, uint32[documents, slots], of which a share are near copies of others."""
    rng = np.random.default_rng(documents)
    found = rng.integers(0, 1 << 32, (documents, PARAMS.slots), dtype=np.uint32)
    copies = rng.choice(documents, round(COPIES * documents), replace=False)
    sources = found[rng.integers(0, documents, len(copies))]
    found[copies] = np.where(rng.random(sources.shape) < CHANGED, found[copies], sources)
    return found


def clusters(found: _U32) -> npt.NDArray[np.int64]:
    """Signatures to the label of each document's cluster."""
    keys = band_keys(found, PARAMS)
    pairs = [bucket_pairs(np.ascontiguousarray(keys[:, band]), CAP, HUBS)[0] for band in range(PARAMS.bands)]
    return components(np.concatenate(pairs), len(found))


class Datatrove:
    """datatrove's steps behind the signatures, which are written before."""

    def __init__(self, folder: Path, found: _U32) -> None:
        """Writes the signatures as its first step does."""
        from datatrove.data import Document

        self.folder = folder
        step = datatrove_signature(folder)
        rows = iter(found.reshape(len(found), PARAMS.bands, PARAMS.rows).tolist())
        step.get_shingles = lambda _: np.zeros(1, np.uint64)
        step.get_signature = lambda _: next(rows)
        step.run([Document(text="", id=str(number)) for number in range(len(found))])
        self.config = step.config

    def run(self) -> None:
        """Pairs that share a band, and their clusters."""
        from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster

        names = [str(self.folder / name) for name in ("signatures", "buckets", "clusters")]
        for band in range(PARAMS.bands):
            MinhashDedupBuckets(names[0], names[1], config=self.config).run(rank=band, world_size=PARAMS.bands)
        MinhashDedupCluster(names[1], names[2], config=self.config).run(None, 0, 1)

    def removed(self) -> int:
        """The number of documents that it would remove."""
        return sum(path.stat().st_size for path in (self.folder / "clusters").glob("*.remove")) // 4


if __name__ == "__main__":
    main()

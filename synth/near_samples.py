"""Near duplicates among the samples of a run: candidates by MinHash bands, proven by the exact Jaccard of shingles.

The shingles are of tokens with numbers and operators, so that an exercise with other numbers is another exercise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.minhash import MinHashParams, band_keys, shingle_sets, signatures
from filters.text import pack, tokenise
from synth.samples import Sample

THRESHOLD = 0.75  # Jaccard from which two questions are one: that of the corpus
_PARAMS = MinHashParams(bands=14, rows=8, ngram=5, seed=1)


@dataclass(frozen=True, slots=True)
class _Known:
    owner: str  # parent of the sample, whose other samples are not compared with it
    id: str
    shingles: npt.NDArray[np.uint32]


class NearSamples:
    """Called with each sample in turn: the id of an earlier one with nearly its question, of another parent, or None.

    About 1.5 kB for each sample that is not like an earlier one.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._buckets: dict[int, list[_Known]] = {}

    def __call__(self, sample: Sample) -> str | None:
        """Looks it up; it is known from then on unless it is like another."""
        tokens = tokenise(pack([sample.question or sample.text]), operators=True, folded=False, spans=False)
        found, counts = signatures(tokens, _PARAMS)
        if not counts[0]:
            return None
        keys: list[int] = band_keys(found, _PARAMS)[0].tolist()
        known = _Known(sample.parents[-1], sample.id, shingle_sets(tokens, _PARAMS).values)
        for key in keys:
            for other in self._buckets.get(key, ()):
                if other.owner != known.owner and jaccard(other.shingles, known.shingles) >= self._threshold:
                    return other.id
        for key in dict.fromkeys(keys):
            self._buckets.setdefault(key, []).append(known)
        return None


def jaccard(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Of two sets, each a sorted array of distinct values."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)

"""fastText's answers without fastText: a supervised model folded into one small table, read by compiled code.

Such a model is linear up to its last step: it adds the rows of a text's features, divides by their number and takes the
product with a row for each label. Product first and sum later is the same, so each row of `dim` floats folds into one
float for each label, once; of two labels under softmax only the difference counts. Features are found in the raw UTF-8
as fastText finds them: its hash, its dictionary (exact matches), word n-grams, character n-grams, the end of the line.

Losses: softmax, one-vs-all, negative sampling, hierarchical softmax. Quantised models are refused.
`predict` gives fastText's probabilities to 2e-5. Two things are fastText's own and kept: it adds 1e-5 to a probability
before its logarithm, so a certain label has 1.00001; and sigmoids of one-vs-all and negative sampling come from a table
of 512 steps, so that a rounding at a step's border shows as a whole step (0.008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters import fold_kernels as kernels
from filters.fold_file import HIERARCHICAL, SOFTMAX, BinFile, read_bin
from filters.text import Batch, Tokens, pack
from filters.words import read_only

_F64 = npt.NDArray[np.float64]

ADDED = 1e-5  # by fastText, to a probability before its logarithm
_MAX_SIGMOID, _SIGMOID_STEPS = 8.0, 512
_FOLD_ROWS = 1 << 16  # of the input matrix at a time: bounds memory where it has gigabytes
_WORD = 1 << 64


@dataclass(frozen=True, slots=True)
class Fold:
    """A folded model.

    labels : K names, in the order of fastText; model : what the kernels read.
    """

    labels: tuple[str, ...]
    loss: int
    label_counts: tuple[int, ...]
    model: kernels.Model

    @property
    def table_bytes(self) -> int:
        """Size of the table that took the place of the input matrix."""
        return int(self.model[4].nbytes)

    def predict(self, texts: Batch | Sequence[str | bytes]) -> _F64:
        """float64[N, K]: fastText's probability of each label for each text; zeros where it would give none.

        A line break, at which fastText would stop, is white space here.
        """
        batch = texts if isinstance(texts, Batch) else pack(texts)
        means = kernels.score_texts(read_only(batch.data), read_only(batch.offsets), self.model)
        return self._probabilities(means)

    def predict_tokens(self, tokens: Tokens) -> _F64:
        """float64[N, K]: the same of prepared tokens, without putting them together."""
        return self._probabilities(self._token_means(tokens))

    def logits(self, tokens: Tokens, label: str) -> _F64:
        """float64[N]: the log-odds of a label for prepared tokens; 0 where no feature says anything.

        Under softmax of two labels it is the exact mean; other losses go by their probabilities.
        """
        at = self.labels.index(label)
        means = self._token_means(tokens)
        if self._is_difference:
            return np.nan_to_num(means[:, 0] if at else -means[:, 0])
        shares = np.clip(self._probabilities(means)[:, at] - ADDED, ADDED, 1 - ADDED)
        return np.where(np.isnan(means[:, 0]), 0.0, np.log(shares / (1 - shares)))

    def _token_means(self, tokens: Tokens) -> _F64:
        arrays = (read_only(tokens.folded), read_only(tokens.folded_ends), read_only(tokens.offsets))
        means: _F64 = kernels.score_tokens(*arrays, self.model)
        return means

    @property
    def _is_difference(self) -> bool:
        return self.loss == SOFTMAX and len(self.labels) == 2

    def _probabilities(self, means: _F64) -> _F64:
        if self._is_difference:
            with np.errstate(over="ignore"):
                second = 1 / (1 + np.exp(-means[:, 0]))
            shares = np.stack([1 - second, second], 1)
        elif self.loss == SOFTMAX:
            raised = np.exp(means - means.max(1, keepdims=True))
            shares = raised / raised.sum(1, keepdims=True)
        elif self.loss == HIERARCHICAL:
            shares = _down_the_tree(means, self.label_counts)
        else:
            shares = _sigmoid(means)
        return np.nan_to_num(shares + (0.0 if self.loss == HIERARCHICAL else ADDED), nan=0.0)


def load_fold(path: Path) -> Fold:
    """The folded model of a fastText .bin; InputError where the file is something else, or quantised."""
    return fold(read_bin(path))


def fold(held: BinFile) -> Fold:
    """The folded model; reads the input matrix once."""
    if held.loss == SOFTMAX and len(held.labels) == 2:
        outputs = (held.outputs[1:].astype(np.float64) - held.outputs[:1]).T
    else:
        outputs = held.outputs.astype(np.float64).T
    values = np.empty((max(1, len(held.inputs)), outputs.shape[1]), np.float32)
    own = np.empty((len(held.words), outputs.shape[1]), np.float64)
    for first in range(0, len(held.inputs), _FOLD_ROWS):
        folded = held.inputs[first : first + _FOLD_ROWS].astype(np.float64) @ outputs
        values[first : first + _FOLD_ROWS] = folded
        own[first : first + _FOLD_ROWS] = folded[: max(0, len(own) - first)]
    entries = [*held.words, *(label.encode("utf-8", "surrogateescape") for label in held.labels)]
    word_bytes = np.frombuffer(b"".join(entries) + bytes(8), np.uint8)
    word_ends = np.cumsum([len(entry) for entry in entries], dtype=np.int64)
    slots = np.zeros(1 << (3 * len(entries) // 2).bit_length(), np.uint64)
    firsts = np.zeros(len(entries), np.uint64)
    kernels.fill_slots(slots, firsts, word_bytes, read_only(word_ends))
    settings = read_only(_settings(held))
    counts = np.ones(len(held.words), np.int32)
    arrays = (read_only(slots), read_only(firsts), word_bytes, read_only(word_ends))
    if held.maxn > 0:
        counts = kernels.subword_sums((*arrays, read_only(values), read_only(counts), settings), own)
        values[: len(own)] = own
    model = (*arrays, read_only(values), read_only(counts), settings)
    return Fold(held.labels, held.loss, held.label_counts, model)


def _settings(held: BinFile) -> npt.NDArray[np.uint64]:
    settings = np.zeros(7, np.uint64)
    settings[kernels.WORDS] = len(held.words)
    settings[kernels.BUCKETS] = max(1, held.buckets)
    settings[kernels.RECIPROCAL] = min(_WORD - 1, _WORD // max(1, held.buckets))
    settings[kernels.NGRAMS] = max(1, held.word_ngrams)
    settings[kernels.MIN_CHARS], settings[kernels.MAX_CHARS] = max(0, held.minn), max(0, held.maxn)
    settings[kernels.END_ROW] = held.words.index(b"</s>") + 1 if b"</s>" in held.words else 0
    return settings


def _sigmoid(means: _F64) -> _F64:
    """fastText's table of sigmoids, its lower step at each place; 0 and 1 beyond 8."""
    with np.errstate(invalid="ignore"):
        step = np.floor((np.clip(means, -_MAX_SIGMOID, _MAX_SIGMOID) + _MAX_SIGMOID) * _SIGMOID_STEPS / 16)
    shares = 1 / (1 + np.exp(_MAX_SIGMOID - step * 16 / _SIGMOID_STEPS))
    return np.where(means < -_MAX_SIGMOID, 0.0, np.where(means > _MAX_SIGMOID, 1.0, shares))


def _down_the_tree(means: _F64, label_counts: Sequence[int]) -> _F64:
    """The probability of each label: at each node of its Huffman tree, to the left or to the right.

    Each node's share has 1e-5 added, as fastText's has; what falls below 1e-5 on the way is 0, as it is pruned there.
    """
    shares = np.zeros_like(means)
    with np.errstate(over="ignore"):
        right = 1 / (1 + np.exp(-means))
    count = len(label_counts)
    reached = {2 * count - 2: np.where(np.isnan(means[:, 0]), np.nan, 1.0)}
    for node, left_child, right_child in reversed(_tree(label_counts)):
        here = reached.pop(node)
        here = np.where(here < ADDED, 0.0, here)
        for child, share in ((left_child, 1 - right[:, node - count]), (right_child, right[:, node - count])):
            reached[child] = here * (share + ADDED)
    for label, share in reached.items():
        shares[:, label] = np.where(share < ADDED, 0.0, share)
    return shares


def _tree(label_counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(node, left, right) of the inner nodes of fastText's Huffman tree, leaves being 0 to K - 1, the root last."""
    size = len(label_counts)
    counts = [*label_counts, *([10**15] * (size - 1))]
    leaf, node, nodes = size - 1, size, list[tuple[int, int, int]]()
    for parent in range(size, 2 * size - 1):
        children = []
        for _ in range(2):
            if leaf >= 0 and counts[leaf] < counts[node]:
                children.append(leaf)
                leaf -= 1
            else:
                children.append(node)
                node += 1
        counts[parent] = counts[children[0]] + counts[children[1]]
        nodes.append((parent, children[0], children[1]))
    return nodes

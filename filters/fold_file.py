"""Reads the file that fastText writes: settings, dictionary, and its two matrices, the larger one mapped.

The layout is that of `FastText::loadModel` of fastText 0.9.2 (MIT): little-endian, no alignment. Quantised and pruned
models, and those without labels, are refused in one line.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters.errors import InputError

HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4

_MAGIC = 793_712_314
_VERSIONS = (11, 12)
_SUPERVISED = 3
_SETTINGS = struct.Struct("<12id")
_SIZES = struct.Struct("<3i2q")
_ENTRY = struct.Struct("<qb")  # after the word and its zero byte: count, kind
_SHAPE = struct.Struct("<2q")
_LABEL = 1
_START = 8  # bytes of magic number and version


@dataclass(frozen=True, slots=True)
class BinFile:
    """A supervised model as it stands in its file.

    words : V dictionary words, rows 0 to V - 1 of `inputs`; hashed features follow from row V.
    labels, label_counts : K, in the order of fastText.
    inputs : float32[V + buckets, dim], read from the file when it is used; outputs : float32[K, dim].
    """

    words: tuple[bytes, ...]
    labels: tuple[str, ...]
    label_counts: tuple[int, ...]
    inputs: npt.NDArray[np.float32]
    outputs: npt.NDArray[np.float32]
    buckets: int
    word_ngrams: int
    minn: int
    maxn: int
    loss: int


def read_bin(path: Path) -> BinFile:
    """The model in a fastText .bin; InputError for every other file, and for what cannot be folded."""
    try:
        with path.open("rb") as file:
            head = file.read(_START)
            if len(head) < _START or struct.unpack_from("<2i", head) not in [(_MAGIC, known) for known in _VERSIONS]:
                msg = f"{path}: not a fastText model; give a .bin that fastText wrote"
                raise InputError(msg)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); give a fastText .bin"
        raise InputError(msg) from error
    try:
        return _parse(path, data)
    except (struct.error, ValueError) as error:
        msg = f"{path}: a fastText model that is cut off or damaged; copy it again"
        raise InputError(msg) from error


def _parse(path: Path, data: mmap.mmap) -> BinFile:
    version = struct.unpack_from("<2i", data)[1]
    _, _, _, _, _, word_ngrams, loss, kind, buckets, minn, maxn, _, _ = _SETTINGS.unpack_from(data, _START)
    if kind != _SUPERVISED:
        msg = f"{path}: holds word vectors and no labels; give a supervised model"
        raise InputError(msg)
    if version == _VERSIONS[0]:
        maxn = 0  # as fastText reads that version: supervised models had no character n-grams then
    at = _START + _SETTINGS.size
    entries, _, _, _, pruned = _SIZES.unpack_from(data, at)
    words, labels, counts, at = _dictionary(data, at + _SIZES.size, entries)
    if pruned >= 0 or data[at]:
        msg = f"{path}: is quantised, so its rows are gone; give the .bin that it was made from, not the .ftz"
        raise InputError(msg)
    inputs, at = _matrix(data, at + 1)
    outputs, at = _matrix(data, at + 1)
    buckets = len(inputs) - len(words) if word_ngrams > 1 or maxn > 0 else 0
    if buckets < 0 or len(outputs) != len(labels) or not labels:
        msg = "matrices do not fit the dictionary"
        raise ValueError(msg)
    return BinFile(words, labels, counts, inputs, np.array(outputs), buckets, word_ngrams, minn, maxn, loss)


def _dictionary(
    data: mmap.mmap, at: int, entries: int
) -> tuple[tuple[bytes, ...], tuple[str, ...], tuple[int, ...], int]:
    """(words, labels, counts of the labels, where the dictionary ends)."""
    words, labels, counts = list[bytes](), list[str](), list[int]()
    for _ in range(entries):
        end = data.find(b"\0", at)
        if end < 0:
            msg = "a word without an end"
            raise ValueError(msg)
        count, kind = _ENTRY.unpack_from(data, end + 1)
        if kind == _LABEL:
            labels.append(data[at:end].decode("utf-8", "surrogateescape"))
            counts.append(count)
        else:
            words.append(data[at:end])
        at = end + 1 + _ENTRY.size
    return tuple(words), tuple(labels), tuple(counts), at


def _matrix(data: mmap.mmap, at: int) -> tuple[npt.NDArray[np.float32], int]:
    """A matrix, which stays in the file, and where it ends."""
    rows, columns = _SHAPE.unpack_from(data, at)
    begin = at + _SHAPE.size
    values = np.frombuffer(data, np.dtype("<f4"), rows * columns, begin)
    return values.reshape(rows, columns), begin + values.nbytes

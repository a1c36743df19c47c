"""The n-grams of benchmark items, saved as one file that processes share.

Every posting of an n-gram is kept: an index that remembers one item for an n-gram cannot say
whose text was found, nor let another item convict. A hash only proposes; the tokens of all items
are kept beside the table, so that the matcher confirms each anchor.

The file is a JSON header and raw arrays, memory-mapped on load: worker processes share its pages,
nothing in it is code (as a pickle would be), and the same items give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from decontam.benchmarks import Item
from decontam.kernels import I64, NO_NGRAM, U8, U64, make_bitmap, roll
from filters.errors import InputError, OutputError
from filters.text import TEXT_VERSION, pack, tokenise

I32 = npt.NDArray[np.int32]

NGRAM_TOKENS = 13  # anchor length; Qwen2.5-Math report (arXiv 2409.12122), section 4

_MAGIC = b"mathcorpus benchmark index 1\n"
_ALIGNMENT = 64  # bytes; a cache line, and a multiple of every item size
_BITS_PER_NGRAM = 16  # of the bitmap: at most 1 token in 16 that is in no item goes on to the table
_ARRAYS = {
    "hashes": "<u8",
    "offsets": "<i8",
    "ngrams": "<u8",
    "posting_offsets": "<i8",
    "posting_items": "<i4",
    "posting_tokens": "<i4",
    "bitmap": "|u1",
}


class Coverage(NamedTuple):
    """How many questions of a benchmark own an n-gram; the rule cannot protect the others."""

    benchmark: str
    split: str
    items: int
    protected: int
    unprotected: int


@dataclass(frozen=True, eq=False, repr=False)
class Index:
    """Items, their tokens, and the postings of their n-grams. I items, T tokens, G n-grams, P postings.

    All arrays are read-only.
    """

    items: tuple[Item, ...]  # (I,) sorted
    ngram: int  # tokens in an n-gram
    hashes: U64  # (T,) token hashes of all items
    offsets: I64  # (I + 1,) token range of each item
    ngrams: U64  # (G,) distinct n-gram hashes, sorted
    posting_offsets: I64  # (G + 1,) range of postings of each n-gram
    posting_items: I32  # (P,) item, ascending within an n-gram
    posting_tokens: I32  # (P,) token of the item at which the n-gram starts
    bitmap: U8  # low bits of `ngrams`, for a fast no

    def tokens(self, item: int) -> U64:
        """The token hashes of item number `item`."""
        return self.hashes[self.offsets[item] : self.offsets[item + 1]]

    def coverage(self) -> list[Coverage]:
        """One line for each (benchmark, split), sorted; counted over its questions."""
        counts: dict[tuple[str, str], list[int]] = {}
        for item, length in zip(self.items, np.diff(self.offsets).tolist(), strict=True):
            if item.field == "question":
                counts.setdefault((item.benchmark, item.split), [0, 0])[length >= self.ngram] += 1
        return [Coverage(*key, short + covered, covered, short) for key, (short, covered) in sorted(counts.items())]

    @cached_property
    def digest(self) -> str:
        """Digest of the file that `save` writes: the same items, tokeniser and n-gram give the same."""
        state = hashlib.blake2b(digest_size=16)
        for chunk in self._chunks():
            state.update(chunk)
        return state.hexdigest()

    def save(self, path: Path) -> None:
        """Write the index; the file appears under its name only when it is whole."""
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                for chunk in self._chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as exc:
            partial.unlink(missing_ok=True)
            msg = f"cannot write the index {path}: {exc}"
            raise OutputError(msg) from exc

    def _chunks(self) -> Iterable[bytes]:
        arrays = {name: getattr(self, name).astype(dtype, copy=False) for name, dtype in _ARRAYS.items()}
        header = {
            "text_version": TEXT_VERSION,
            "ngram": self.ngram,
            "lengths": {name: len(array) for name, array in arrays.items()},
            "items": [asdict(item) for item in self.items],
        }
        # ASCII, since a text may hold a lone surrogate, which no UTF-8 file can
        encoded = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
        prefix = _MAGIC + len(encoded).to_bytes(8, "little") + encoded
        yield _padded(prefix)
        for array in arrays.values():
            yield _padded(array.tobytes())


def build_index(items: Iterable[Item], ngram: int = NGRAM_TOKENS) -> Index:
    """The index of `items`, whatever their order; an item given twice stands in it once."""
    ordered = tuple(sorted(set(items)))
    tokens = tokenise(pack([item.text for item in ordered]))
    rolled = roll(tokens.hashes, tokens.offsets, ngram)
    starts = np.flatnonzero(rolled != NO_NGRAM)
    # a stable sort leaves the postings of an n-gram in order of item and token
    starts = starts[np.argsort(rolled[starts], kind="stable")]
    ngrams, first = np.unique(rolled[starts], return_index=True)
    owners = np.searchsorted(tokens.offsets, starts, side="right") - 1
    bits = 1 << max(3, (len(ngrams) * _BITS_PER_NGRAM - 1).bit_length())
    arrays: dict[str, npt.NDArray[Any]] = {
        "hashes": tokens.hashes,
        "offsets": tokens.offsets,
        "ngrams": ngrams,
        "posting_offsets": np.append(first, len(starts)).astype(np.int64),
        "posting_items": owners.astype(np.int32),
        "posting_tokens": (starts - tokens.offsets[owners]).astype(np.int32),
        "bitmap": make_bitmap(ngrams, bits),
    }
    for array in arrays.values():
        array.flags.writeable = False
    return Index(items=ordered, ngram=ngram, **arrays)


def load_index(path: Path) -> Index:
    """The index that `save` wrote to `path`, its arrays mapped from the file."""
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as exc:  # ValueError: an empty file
        msg = f"cannot read the benchmark index {path}: {exc}"
        raise InputError(msg) from exc
    begin = len(_MAGIC) + 8
    if data[: len(_MAGIC)].tobytes() != _MAGIC:
        msg = f"{path} is no benchmark index of this version; build it again"
        raise InputError(msg)
    end = begin + int.from_bytes(data[len(_MAGIC) : begin].tobytes(), "little")
    try:
        header = json.loads(data[begin:end].tobytes())
        if header["text_version"] != TEXT_VERSION:
            msg = (
                f"the benchmark index {path} was built with text rules {header['text_version']!r}, "
                f"these are {TEXT_VERSION!r}; build it again"
            )
            raise InputError(msg)
        items = tuple(Item(**item) for item in header["items"])
        return Index(items=items, ngram=header["ngram"], **_mapped(data, end, header["lengths"]))
    except (KeyError, TypeError, ValueError) as exc:
        msg = f"the benchmark index {path} is damaged ({exc}); build it again"
        raise InputError(msg) from exc


def _mapped(data: U8, position: int, lengths: dict[str, int]) -> dict[str, Any]:
    arrays = {}
    for name, dtype in _ARRAYS.items():
        position += -position % _ALIGNMENT
        # frombuffer, since a memmap would pass its own class on to every slice
        arrays[name] = np.frombuffer(data, dtype=dtype, count=lengths[name], offset=position)
        position += arrays[name].nbytes
    return arrays


def _padded(chunk: bytes) -> bytes:
    return chunk + bytes(-len(chunk) % _ALIGNMENT)

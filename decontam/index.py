"""The n-grams of benchmark items, saved as one file that processes share.

A hash only proposes: the tokens of all items are kept beside the tables (see `decontam.tables`), so that
the matcher confirms each anchor.

The file is a JSON header and raw arrays, memory-mapped on load: worker processes share its pages,
nothing in it is code (as a pickle would be), and the same items give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from decontam.benchmarks import Item
from decontam.kernels import I64, U8, U64, Flags, mask_numbers
from decontam.tables import NEAR_NGRAM_TOKENS, NGRAM_TOKENS, TABLES, Table, make_tables
from filters.errors import InputError, OutputError
from filters.text import TEXT_VERSION, pack, tokenise

__all__ = ["NEAR_NGRAM_TOKENS", "NGRAM_TOKENS", "TABLES", "Coverage", "Index", "build_index", "load_index"]

_MAGIC = b"mathcorpus benchmark index 2\n"
_ALIGNMENT = 64  # bytes; a cache line, and a multiple of every item size
_ARRAYS = {"hashes": "<u8", "masked": "<u8", "offsets": "<i8"}
_TABLE_ARRAYS = {
    "ngrams": "<u8",
    "posting_offsets": "<i8",
    "posting_items": "<i4",
    "posting_tokens": "<i4",
    "bitmap": "<u8",
    "samples": "<u8",
}


class Coverage(NamedTuple):
    """How many questions of a benchmark a rule protects: `exact` by an n-gram, `short` as a whole.

    `protected` is both; `near` of all have an anchor by which a look-alike is found.
    """

    benchmark: str
    split: str
    items: int
    protected: int
    unprotected: int
    exact: int
    short: int
    near: int


@dataclass(frozen=True, eq=False, repr=False)
class Index:
    """Items, their tokens, and their n-grams. I items, T tokens.

    All arrays are read-only.
    """

    items: tuple[Item, ...]  # (I,) sorted
    hashes: U64  # (T,) token hashes of all items
    masked: U64  # (T,) the same with each number masked
    offsets: I64  # (I + 1,) token range of each item
    tables: dict[str, Table]  # by the names in TABLES

    @property
    def ngram(self) -> int:
        """Tokens in an anchor of class exact."""
        return self.tables["exact"].ngram

    @property
    def near_ngram(self) -> int:
        """Tokens in an anchor of look-alikes."""
        return self.tables["near"].ngram

    def tokens(self, item: int) -> U64:
        """The token hashes of item number `item`."""
        return self.hashes[self.offsets[item] : self.offsets[item + 1]]

    @cached_property
    def first_ids(self) -> dict[str, int]:
        """For each table the id of its first n-gram: an id of the index numbers the n-grams of all."""
        sizes = [len(self.tables[table].ngrams) for table in TABLES]
        return dict(zip(TABLES, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))

    def short_id(self, item: int) -> int:
        """The id of a short item, which is found as a whole: after those of all n-grams."""
        return sum(len(table.ngrams) for table in self.tables.values()) + item

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest item."""
        return int(np.diff(self.offsets).max(initial=0))

    @cached_property
    def vocabulary(self) -> tuple[I64, U64]:
        """(number of each token of `hashes`, the distinct hashes, sorted): what `decontam.formula` compares."""
        words, codes = np.unique(self.hashes, return_inverse=True)
        return codes.astype(np.int64), words

    def protected(self) -> dict[str, Flags]:
        """For each table, which items have an n-gram in it."""
        held: dict[str, Flags] = {}
        for name, table in self.tables.items():
            held[name] = np.zeros(len(self.items), dtype=bool)
            held[name][table.posting_items] = True
        return held

    def coverage(self) -> list[Coverage]:
        """One line for each (benchmark, split), sorted; counted over its questions."""
        held = self.protected()
        columns = [np.ones(len(self.items), dtype=bool), held["exact"], held["short"], held["near"] | held["masked"]]
        counts: dict[tuple[str, str], list[int]] = {}
        for item, *flags in zip(self.items, *(c.tolist() for c in columns), strict=True):
            if item.field == "question":
                line = counts.setdefault((item.benchmark, item.split), [0] * len(columns))
                line[:] = (count + flag for count, flag in zip(line, flags, strict=True))
        return [
            Coverage(*key, items, exact + short, items - exact - short, exact, short, near)
            for key, (items, exact, short, near) in sorted(counts.items())
        ]

    def unprotected(self) -> list[Item]:
        """The questions that no rule convicts a copy of: too short, only numbers, or empty."""
        held = self.protected()
        numbers = np.flatnonzero(~(held["exact"] | held["short"])).tolist()
        return [self.items[n] for n in numbers if self.items[n].field == "question"]

    @cached_property
    def digest(self) -> str:
        """Digest of the file that `save` writes: the same items, tokeniser and n-grams give the same."""
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
        arrays = {
            name: getattr(self.tables[table] if array else self, array or name).astype(dtype, copy=False)
            for name, dtype in _dtypes().items()
            for table, _, array in (name.partition("."),)
        }
        header = {
            "text_version": TEXT_VERSION,
            "ngrams": [self.tables[table].ngram for table in TABLES],
            "lengths": {name: len(array) for name, array in arrays.items()},
            "items": [astuple(item) for item in self.items],
        }
        # ASCII, since a text may hold a lone surrogate, which no UTF-8 file can
        encoded = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
        prefix = _MAGIC + len(encoded).to_bytes(8, "little") + encoded
        yield _padded(prefix)
        for array in arrays.values():
            yield _padded(array.tobytes())


def build_index(items: Iterable[Item], ngram: int = NGRAM_TOKENS, near_ngram: int = NEAR_NGRAM_TOKENS) -> Index:
    """The index of `items`, whatever their order; an item given twice stands in it once."""
    ordered = tuple(sorted(set(items)))
    tokens = tokenise(pack([item.text for item in ordered]))
    masked = mask_numbers(tokens.hashes, tokens.folded, tokens.folded_ends)
    questions = np.array([item.field == "question" for item in ordered], dtype=bool)
    tables = make_tables(tokens, masked, questions, ngram, near_ngram)
    for array in (tokens.hashes, masked, tokens.offsets):
        array.flags.writeable = False
    return Index(ordered, tokens.hashes, masked, tokens.offsets, tables)


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
        items = tuple(Item(*item) for item in header["items"])
        arrays = _mapped(data, end, header["lengths"])
        tables = {
            table: Table(ngram, **{name: arrays.pop(f"{table}.{name}") for name in _TABLE_ARRAYS})
            for table, ngram in zip(TABLES, header["ngrams"], strict=True)
        }
        return Index(items=items, tables=tables, **arrays)
    except (KeyError, TypeError, ValueError) as exc:
        msg = f"the benchmark index {path} is damaged ({exc}); build it again"
        raise InputError(msg) from exc


def _dtypes() -> dict[str, str]:
    """The arrays of the file, in order, and their types."""
    tables = {f"{table}.{name}": dtype for table in TABLES for name, dtype in _TABLE_ARRAYS.items()}
    return {**_ARRAYS, **tables}


def _mapped(data: U8, position: int, lengths: dict[str, int]) -> dict[str, Any]:
    arrays = {}
    for name, dtype in _dtypes().items():
        position += -position % _ALIGNMENT
        # frombuffer, since a memmap would pass its own class on to every slice
        arrays[name] = np.frombuffer(data, dtype=dtype, count=lengths[name], offset=position)
        position += arrays[name].nbytes
    return arrays


def _padded(chunk: bytes) -> bytes:
    return chunk + bytes(-len(chunk) % _ALIGNMENT)

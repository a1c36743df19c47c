"""What is indexed at one time: benchmark items, their tokens and their n-grams, all as arrays.

An index is a list of segments (see `decontam.index`). What a segment finds depends on nothing but itself: the bounds
on postings and the phrases that tell nothing are counted within it. A hash only proposes: the tokens of all items are
kept beside the tables (see `decontam.tables`), so that the matcher confirms each anchor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from decontam.benchmarks import Field, Item
from decontam.kernels import I32, I64, U8, U64, Flags, mask_numbers
from decontam.private import derive_key, keyed
from decontam.tables import TABLES, Table, make_tables
from decontam.wording import MIN_WORDS, Signs, Wording, says_words, sign_digests, signs_of
from filters.text import TEXT_VERSION, pack, tokenise

ALIGNMENT = 64  # bytes; a cache line, and a multiple of every item size
DIGEST_BYTES = 16

FIELDS: tuple[Field, ...] = get_args(Field)
_TABLE_ARRAYS = {
    "ngrams": "<u8",
    "directory": "<i4",
    "posting_offsets": "<i4",
    "posting_items": "<i4",
    "posting_tokens": "<i4",
    "bitmap": "<u8",
    "samples": "<u8",
}

# The arrays of a segment in the order in which they are written, and their types.
ARRAYS = {
    "items.sets": "<i4",
    "items.rows": "<i8",
    "items.fields": "|u1",
    "items.texts": "|u1",
    "items.text_offsets": "<i8",
    "hashes": "<u8",
    "masked": "<u8",
    "words": "|b1",
    "offsets": "<i8",
    "signs": "<u8",
    "sign_pairs": "<u8",
    "sign_offsets": "<i8",
    **{f"{table}.{name}": dtype for table in TABLES for name, dtype in _TABLE_ARRAYS.items()},
}


@dataclass(frozen=True, eq=False, repr=False)
class Items:
    """I items as columns; one becomes an `Item` when it is asked for, so that loading them costs nothing."""

    names: tuple[tuple[str, str], ...]  # benchmark and split of each set, sorted
    sets: I32  # (I,) number of the item's set among `names`
    rows: I64  # (I,)
    fields: U8  # (I,) number of the field among those that there are
    texts: U8  # all texts as UTF-8, a lone surrogate as the three bytes that it would have; none in a private segment
    text_offsets: I64  # (I + 1,) range of `texts` of each

    def __len__(self) -> int:
        """Number of items."""
        return len(self.rows)

    def __getitem__(self, number: int) -> Item:
        """Item number `number`; from the end if it is negative."""
        number = range(len(self))[number]
        text = self.texts[self.text_offsets[number] : self.text_offsets[number + 1]].tobytes()
        benchmark, split = self.names[self.sets[number]]
        field = FIELDS[self.fields[number]]
        return Item(benchmark, split, int(self.rows[number]), field, text.decode("utf-8", "surrogatepass"))

    def __iter__(self) -> Iterator[Item]:
        """All items in order."""
        return map(self.__getitem__, range(len(self)))

    @property
    def questions(self) -> Flags:
        """Which of the items are questions."""
        asked: Flags = self.fields == FIELDS.index("question")
        return asked


@dataclass(frozen=True, eq=False, repr=False)
class Segment:
    """Items, their tokens, and their n-grams. I items, T tokens; all arrays are read-only."""

    items: Items  # (I,) sorted
    hashes: U64  # (T,) token hashes of all items, under the key if there is one
    masked: U64  # (T,) the same with each number masked
    words: Flags  # (T,) which tokens are words; see `decontam.wording`
    offsets: I64  # (I + 1,) token range of each item
    signs: U64  # (I,) of a short item the digest of its tokens and operators
    sign_pairs: U64  # (S,) of a long one of hardly any words its operators; see `decontam.wording.Signs`
    sign_offsets: I64  # (I + 1,)
    tables: dict[str, Table]  # by the names in TABLES
    key: bytes = b""  # of a private segment; see `decontam.private`
    stored_digest: str = ""  # that of the file it was read from

    def tokens(self, item: int) -> U64:
        """The token hashes of item number `item`."""
        return self.hashes[self.offsets[item] : self.offsets[item + 1]]

    @cached_property
    def first_ids(self) -> dict[str, int]:
        """For each table the id of its first n-gram: an id of the segment numbers the n-grams of all."""
        sizes = [len(self.tables[table].ngrams) for table in TABLES]
        return dict(zip(TABLES, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))

    def short_id(self, item: int) -> int:
        """The id of a short item, which is found as a whole: after those of all n-grams."""
        return sum(len(table.ngrams) for table in self.tables.values()) + item

    @property
    def ids(self) -> int:
        """How many ids there are."""
        return self.short_id(len(self.items))

    @cached_property
    def wording(self) -> Wording:
        """The words of the items."""
        return Wording(self.hashes, self.offsets, self.words).freeze()

    @property
    def operators(self) -> Signs:
        """The operators of items of hardly any words."""
        return Signs(self.sign_pairs, self.sign_offsets)

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

    def holds(self, items: Sequence[Item]) -> list[bool]:
        """Which of `items` are in it; where it has no texts, those with the same place and tokens."""
        if not self.key:
            return list(map(set(self.items).__contains__, items))
        known = {(_place(item), self.tokens(number).tobytes()) for number, item in enumerate(self.items)}
        tokens = keyed(tokenise(pack([item.text for item in items])), self.key)
        spans = zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)
        parts = (tokens.hashes[first:last].tobytes() for first, last in spans)
        return [(_place(item), part) in known for item, part in zip(items, parts, strict=True)]

    @cached_property
    def digest(self) -> str:
        """Digest of all that `chunks` writes; of a segment that was read, what its file says."""
        return self.stored_digest or self.computed_digest()

    def computed_digest(self) -> str:
        """The digest, from the arrays as they are."""
        state = hashlib.blake2b(json.dumps(self.head(), sort_keys=True).encode("ascii"), digest_size=DIGEST_BYTES)
        for chunk in self.chunks():
            state.update(chunk)
        return state.hexdigest()

    def head(self) -> dict[str, Any]:
        """What is no array, and the lengths of those that are."""
        return {
            "text_version": TEXT_VERSION,
            "ngrams": [self.tables[table].ngram for table in TABLES],
            "key": self.key.hex(),
            "sets": self.items.names,
            "lengths": {name: len(self.array(name)) for name in ARRAYS},
        }

    def chunks(self) -> Iterator[memoryview | bytes]:
        """The bytes of its arrays, in the order of ARRAYS, each filled up to ALIGNMENT."""
        for name, dtype in ARRAYS.items():
            values = np.ascontiguousarray(self.array(name), dtype=dtype).view(np.uint8)
            yield values.data
            yield bytes(-len(values) % ALIGNMENT)

    def array(self, name: str) -> npt.NDArray[Any]:
        """The array that is written as `name`."""
        owner, _, column = name.rpartition(".")
        found: npt.NDArray[Any] = getattr({"": self, "items": self.items, **self.tables}[owner], column)
        return found


def make_segment(items: Iterable[Item], ngram: int, near_ngram: int, *, private: bool = False) -> Segment:
    """The segment of `items`, whatever their order; an item given twice stands in it once.

    private : with keyed hashes and without texts; it finds the same.
    """
    ordered = sorted(set(items))
    key = derive_key(ordered) if private else b""
    batch = pack([item.text for item in ordered])
    tokens = keyed(tokenise(batch), key)
    masked = mask_numbers(tokens.hashes, tokens.folded, tokens.folded_ends)
    words = says_words(tokens.folded, tokens.folded_ends, batch.data, tokens.starts)
    columns = _columns(ordered, private)
    tables = make_tables(tokens, masked, columns.questions, ngram, near_ngram)
    texts = [item.text.encode("utf-8", "replace") for item in ordered]
    signs = np.zeros(len(ordered), dtype=np.uint64)
    short = np.unique(tables["short"].posting_items).tolist()
    signs[short] = sign_digests([texts[item] for item in short], key)
    wordless = np.diff(Wording(tokens.hashes, tokens.offsets, words).offsets) < MIN_WORDS
    wordless &= np.diff(tokens.offsets) >= ngram
    operators = signs_of([text if none else b"" for text, none in zip(texts, wordless.tolist(), strict=True)], key)
    for array in (tokens.hashes, masked, words, tokens.offsets, signs, *operators):
        array.flags.writeable = False
    return Segment(columns, tokens.hashes, masked, words, tokens.offsets, signs, *operators, tables, key)


def segment_of(head: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], digest: str) -> Segment:
    """The segment whose `head`, arrays and digest these are."""
    parts: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        owner, _, column = name.rpartition(".")
        parts.setdefault(owner, {})[column] = array
    items = Items(names=tuple((name, split) for name, split in head["sets"]), **parts.pop("items"))
    own = parts.pop("")
    tables = {table: Table(ngram, **parts[table]) for table, ngram in zip(TABLES, head["ngrams"], strict=True)}
    return Segment(items, tables=tables, key=bytes.fromhex(head["key"]), stored_digest=digest, **own)


def _columns(items: Sequence[Item], private: bool) -> Items:
    names = tuple(sorted({(item.benchmark, item.split) for item in items}))
    numbers = {name: number for number, name in enumerate(names)}
    texts = [b"" if private else item.text.encode("utf-8", "surrogatepass") for item in items]
    arrays: list[npt.NDArray[Any]] = [
        np.array([numbers[item.benchmark, item.split] for item in items], dtype=np.int32),
        np.array([item.row for item in items], dtype=np.int64),
        np.array([FIELDS.index(item.field) for item in items], dtype=np.uint8),
        np.frombuffer(b"".join(texts), dtype=np.uint8),
        np.cumsum([0, *map(len, texts)], dtype=np.int64),
    ]
    for array in arrays:
        array.flags.writeable = False
    return Items(names, *arrays)


def _place(item: Item) -> tuple[str, str, int, Field]:
    return item.benchmark, item.split, item.row, item.field

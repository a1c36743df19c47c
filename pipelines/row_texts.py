"""Texts of neighbouring rows as one buffer, each with its row and its place; no Python object for most of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.text import Batch, pack
from pipelines.row_fields import Fields, pattern

I64 = npt.NDArray[np.int64]

_SPARE_BYTES = 128  # behind the last text: kernels read 64 at a time


class Single(NamedTuple):
    """A text of a row that was read as Python values."""

    number: int
    place: str
    text: str


@dataclass(slots=True)
class Singles:
    """Rows read as Python values, one by one: what is not read as bytes, and what is wrong with a row."""

    rows: int = 0
    texts: list[Single] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)  # of the row of each text
    problems: list[tuple[int, str]] = field(default_factory=list)
    keys: Sequence[str] = ()  # of a row that lacks a field

    def add(self, number: int, row: dict[str, Any], fields: Fields, identity: Any = None) -> None:
        """Adds the texts of a row, which is counted."""
        self.rows += 1
        found = fields.find(row)
        self.texts += [Single(number, place, text) for place, text in found.texts]
        self.ids += [identity] * len(found.texts)
        if found.problems:
            self.problems += [(number, p) for p in found.problems]
            self.keys = self.keys or list(row)

    def refuse(self, number: int, problem: str) -> None:
        """Counts a row that cannot be read."""
        self.rows += 1
        self.problems.append((number, problem))


def _no_id(_text: int) -> Any:
    return None


@dataclass(slots=True)
class TextBatch:
    """N texts, in any order; those of a row are all in one batch. Good until the next is asked for, which may reuse it.

    numbers : int64[N] the row of each, counted in its part. paths : int64[N] its field, in `fields`. elements :
    int64[N] the element of a list that it is in, or -1. The last len(singles) texts know their places themselves.
    """

    rows: int
    numbered: int  # what `numbers` count: rows of Parquet; lines, blank ones too
    batch: Batch
    numbers: I64
    paths: I64
    elements: I64
    fields: Sequence[str] = ()
    singles: Sequence[Single] = ()
    problems: Sequence[tuple[int, str]] = ()  # (row, a word or word:field)
    keys: Sequence[str] = ()
    identify: Callable[[int], Any] = _no_id  # what stands in the id field of the row of a text; read when asked for

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.batch)

    def place(self, text: int) -> str:
        """Where a text stands in its row: `messages[2].content`."""
        if text >= self._plain:
            return self.singles[text - self._plain].place
        name, element = self.fields[int(self.paths[text])], int(self.elements[text])
        return name if element < 0 else name.replace("[]", f"[{element}]", 1)

    def text(self, text: int) -> str:
        """A text as a string; bytes that are not UTF-8 are lone surrogates."""
        if text >= self._plain:
            return self.singles[text - self._plain].text
        begin, end = self.batch.offsets[text : text + 2]
        return bytes(self.batch.data[begin:end].data).decode()

    def order(self, text: int) -> tuple[int, int, int, int]:
        """By row, and in it by field, whatever the order in which they were read."""
        if text >= self._plain:
            return int(self.numbers[text]), 0, 0, text
        return int(self.numbers[text]), int(self.paths[text]), int(self.elements[text]), text

    def texts_by_field(self) -> Counter[str]:
        """How many texts each field has."""
        counts = Counter(pattern(single.place) for single in self.singles)
        plain = [self._plain] if len(self.fields) == 1 else np.bincount(self.paths[: self._plain]).tolist()
        for name, count in zip(self.fields, plain, strict=False):
            if count:
                counts[pattern(name)] += count
        return counts

    @property
    def _plain(self) -> int:
        return len(self.batch) - len(self.singles)


def batch_of(singles: Singles, numbered: int, plain: TextBatch | None = None) -> TextBatch:
    """A batch of rows read as Python values, behind those of `plain`, which were read as bytes."""
    if plain is None:
        none = np.empty(0, np.int64)
        nothing = Batch(np.zeros(_SPARE_BYTES, np.uint8), np.zeros(1, np.int64))
        plain = TextBatch(0, 0, nothing, none, none, none)
    batch, numbers = plain.batch, plain.numbers
    if singles.texts:
        batch = joined([batch, pack([single.text for single in singles.texts])])
        numbers = np.concatenate([numbers, np.array([single.number for single in singles.texts], np.int64)])
    return replace(
        plain,
        rows=plain.rows + singles.rows,
        numbered=numbered,
        batch=batch,
        numbers=numbers,
        singles=singles.texts,
        problems=singles.problems,
        keys=singles.keys,
    )


def joined(batches: Sequence[Batch]) -> Batch:
    """The texts of all batches, one behind another."""
    if len(batches) == 1:
        return batches[0]
    parts = [batch.data[batch.offsets[0] : batch.offsets[-1]] for batch in batches]
    sizes = [np.diff(batch.offsets) for batch in batches]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    return Batch(np.concatenate([*parts, np.zeros(_SPARE_BYTES, np.uint8)]), offsets.astype(np.int64))

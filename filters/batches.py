"""Texts in batches: kernels work on many at a time, and memory is bounded where some are long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class HasText(Protocol):
    """A document, a row, a plant."""

    @property
    def text(self) -> str: ...


T = TypeVar("T", bound=HasText)


def batched(items: Iterable[T], chars: int, count: int | None = None) -> Iterator[list[T]]:
    """The items in order, in lists that end when they have `chars` characters of text or more, or `count` items."""
    batch: list[T] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.text)
        if size >= chars or len(batch) == count:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

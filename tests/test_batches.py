"""Batches of texts: bounded, in order, nothing lost."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from filters.batches import batched


class Text(NamedTuple):
    text: str


@given(st.lists(st.text(max_size=9).map(Text)), st.integers(1, 20), st.none() | st.integers(1, 5))
def test_batches_end_when_they_are_full(items: list[Text], chars: int, count: int | None) -> None:
    """All items in order; each batch but the last is full, and none was full before its last item."""
    batches = list(batched(items, chars, count))

    def full(batch: list[Text]) -> bool:
        return sum(len(item.text) for item in batch) >= chars or len(batch) == count

    assert [item for batch in batches for item in batch] == items
    assert all(batches)
    assert all(full(batch) for batch in batches[:-1])
    assert not any(full(batch[:-1]) for batch in batches)

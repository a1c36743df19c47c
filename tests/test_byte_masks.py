"""Masks of 64 bytes, and the check for UTF-8."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.byte_masks import copy_block, first_wrong, masks_of
from filters.words import jit

_marks = masks_of(((0x22, 0x22), (0x5C, 0x5C)), ((0x80, 0xFF),))


@jit
def marks(data: npt.NDArray[np.uint8], at: int) -> Any:
    return _marks(data, at)


@jit
def copied(to: npt.NDArray[np.uint8], at: int, data: npt.NDArray[np.uint8], index: int) -> None:
    copy_block(to, at, data, index)


@settings(deadline=None)
@given(st.binary(min_size=70, max_size=70), st.integers(0, 6))
def test_a_mask_has_a_bit_for_each_byte_of_a_range(data: bytes, at: int) -> None:
    """At any alignment; a mask may have several ranges."""
    found = marks(np.frombuffer(data, np.uint8), at)

    block = data[at : at + 64]
    assert found[0] == sum(1 << n for n, byte in enumerate(block) if byte in b'"\\')
    assert found[1] == sum(1 << n for n, byte in enumerate(block) if byte >= 0x80)


def test_a_block_is_copied_to_any_place() -> None:
    """64 bytes, and none beside them."""
    data, to = np.arange(100, dtype=np.uint8), np.full(100, 255, np.uint8)

    copied(to, 5, data, 30)

    assert to.tolist() == [255] * 5 + list(range(30, 94)) + [255] * 31


def wrong_at(data: bytes) -> int:
    """Where Python's decoder stops."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


CHARS = st.sampled_from(["a" * 30, "é", "中", "😀", "\ud7ff", "\ue000", "\U0010ffff", "\0"])
BAD = st.sampled_from(
    [
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xff",
        b"\xe4\xb8",
        b"\xf0\x9f\x98",
        b"\xc3",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(CHARS, max_size=60).map("".join), st.none() | BAD, st.integers(0, 200), st.integers(0, 3))
@example("a" * 61, b"\xf0\x9f\x98", 61, 0)
@example("é" * 31 + "a", b"\xed\xf0\x9f", 62, 0)
def test_bytes_are_utf8_when_python_decodes_them(text: str, bad: bytes | None, place: int, begin: int) -> None:
    """Whole, cut and overlong sequences, surrogates, anywhere in a block; nothing behind the end counts."""
    encoded = text.encode()
    if bad is not None:
        encoded = encoded[:place] + bad + encoded[place:]
    data = np.frombuffer(b"\x80" * begin + encoded + b"\x80", np.uint8)

    found = first_wrong(data, begin, begin + len(encoded)) - begin

    assert found == wrong_at(encoded)

"""Blocks of 64 bytes as masks of byte ranges, copied as they are, and checked to be UTF-8.

The lowest bit of a mask stands for the first byte of its block. LLVM compares with what the machine has (AVX-512, AVX2,
SSE2, NEON). Kernels that read a block may read 63 bytes behind the last that they look at: callers leave room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from filters.words import Int, Word, decode, inline, jit

BLOCK = 64
NONE = np.uint64(0)
ONE = np.uint64(1)
TWO = np.uint64(2)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)

_U8 = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]
_VECTOR = ir.VectorType(ir.IntType(8), BLOCK)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def masks_of(*masks: tuple[tuple[int, int], ...]) -> Callable[..., Any]:
    """A kernel (array, index) -> masks of the 64 bytes at array[index], at any alignment.

    masks : for each mask its ranges of bytes, (first, last).
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def block_masks(_context: Any, _array: Any, _index: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            block = builder.load(_address(context, builder, signature.args[0], *arguments))
            block.align = 1
            found = []
            for ranges in masks:
                bits = ir.Constant(ir.VectorType(ir.IntType(1), BLOCK), [0] * BLOCK)
                for first, last in ranges:
                    low, span = (ir.Constant(_VECTOR, [byte] * BLOCK) for byte in (first, last - first))
                    bits = builder.or_(bits, builder.icmp_unsigned("<=", builder.sub(block, low), span))
                found.append(builder.bitcast(bits, ir.IntType(BLOCK)))
            return cgutils.pack_array(builder, found)

        return types.UniTuple(types.uint64, len(masks))(_array, types.int64), emit

    return block_masks  # type: ignore[no-any-return]


@intrinsic  # type: ignore[untyped-decorator]
def copy_block(_context: Any, _to: Any, _at: Any, _array: Any, _index: Any) -> Any:
    """Writes the 64 bytes at array[index] to to[at]."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = builder.load(_address(context, builder, signature.args[2], *arguments[2:]))
        block.align = 1
        builder.store(block, _address(context, builder, signature.args[0], *arguments[:2])).align = 1
        return context.get_dummy_value()

    return types.void(_to, types.int64, _array, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def first_bit(_context: Any, _word: Any) -> Any:
    """The number of the lowest bit that is set; 64 when none is."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), emit


_high_bytes = masks_of(((0x80, 0xFF),))
_utf8 = masks_of(
    ((0x80, 0xBF),),
    ((0xC2, 0xF4),),  # leads of two bytes and more; of three and more; of four
    ((0xE0, 0xF4),),
    ((0xF0, 0xF4),),
    ((0xE0, 0xE0),),
    ((0xED, 0xED),),
    ((0xF0, 0xF0),),
    ((0xF4, 0xF4),),
    ((0x80, 0x8F),),
    ((0x80, 0x9F),),
)


@inline
def _wrong_in_block(data: _U8, at: Int, high: Word) -> tuple[Word, Int]:
    """(non-zero where the block is not UTF-8, where the character begins that does not end in it, else 64)."""
    continues, two, three, four, e0, ed, f0, f4, low, middle = _utf8(data, at)
    cut = (two & (ONE << np.uint64(63))) | (three & (ONE << np.uint64(62))) | (four & (ONE << np.uint64(61)))
    size = first_bit(cut)
    inside = ALL >> np.uint64(BLOCK - 1 - size) if size < BLOCK else ALL
    due = (two << ONE) | (three << TWO) | (four << np.uint64(3))
    wrong = (due ^ continues) | (high & ~(continues | two))
    # no longer form than needed, no surrogates, nothing above U+10FFFF
    wrong |= (e0 << ONE & middle) | (ed << ONE & ~middle) | (f0 << ONE & low) | (f4 << ONE & ~low)
    return wrong & inside, size


@jit
def first_wrong(data: _U8, at: Int, end: Int) -> Int:
    """Where data[at:end] stops being UTF-8; `end` if it does not.

    data : uint8[B], of which no byte behind `end` is read. O(B) time, some 50 GB/s where all is ASCII.
    Checked against `bytes.decode` in tests/test_byte_masks.py.
    """
    while at + BLOCK <= end:
        (high,) = _high_bytes(data, at)
        if high == NONE:
            at += BLOCK
            continue
        wrong, size = _wrong_in_block(data, at, high)
        if wrong != NONE:
            break  # the place is found below
        at += size
    while at < end:
        if data[at] < 0x80:
            at += 1
            continue
        code, then = decode(data, at, end)
        if code == 0:
            return at
        at = then
    return at


@jit
def are_utf8(data: _U8, offsets: _I64) -> bool:
    """Whether each of N texts is UTF-8: all bytes together are, and none begins inside a character.

    data : uint8[B]; offsets : int64[N + 1], N above 0: text i is data[offsets[i]:offsets[i + 1]].
    """
    end = offsets[-1]
    right = first_wrong(data, offsets[0], end) == end
    for begin in offsets:
        right &= begin == end or not 0x80 <= data[begin] < 0xC0
    return bool(right)

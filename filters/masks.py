"""64 bytes of text as masks: which of them are letters, digits and so on, as the bits of 64-bit words.

A block is compared with a handful of characters at once, in vector registers (LLVM makes of it what the machine has:
AVX-512, AVX2, SSE2, NEON). The lowest bit of a mask stands for the first byte. `filters.blocks` finds tokens in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from filters.words import LOWER_CASE, Int, Word, inline

_U8 = npt.NDArray[np.uint8]

BLOCK = 64
NONE = np.uint64(0)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)
TWO = np.uint64(2)
THREE = np.uint64(3)


def _load_block(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    address = builder.gep(array.data, [arguments[1]])
    block = builder.load(builder.bitcast(address, ir.VectorType(ir.IntType(8), BLOCK).as_pointer()))
    block.align = 1
    return block


def _each(byte: int) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(8), BLOCK), [byte] * BLOCK)


def _between(builder: Any, block: Any, first: int, last: int) -> Any:
    return builder.icmp_unsigned("<=", builder.sub(block, _each(first)), _each(last - first))


def _equal(builder: Any, block: Any, byte: int) -> Any:
    return builder.icmp_unsigned("==", block, _each(byte))


def _masks(builder: Any, found: list[Any]) -> Any:
    return cgutils.pack_array(builder, [builder.bitcast(bits, ir.IntType(BLOCK)) for bits in found])


@intrinsic  # type: ignore[untyped-decorator]
def classify(_context: Any, _array: Any, _index: Any) -> Any:
    """The masks (letters, digits, not ASCII, backslash, dot, comma, opening brace, operators) of 64 bytes."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _load_block(context, builder, signature, arguments)
        signs = builder.or_(_between(builder, block, 0x3C, 0x3E), _between(builder, block, 0x2A, 0x2B))
        signs = builder.or_(signs, builder.or_(_equal(builder, block, 0x2D), _equal(builder, block, 0x2F)))
        found = [
            _between(builder, builder.or_(block, _each(0x20)), 0x61, 0x7A),
            _between(builder, block, 0x30, 0x39),
            builder.icmp_signed("<", block, _each(0)),
            *(_equal(builder, block, byte) for byte in b"\\.,{"),
            signs,
        ]
        return _masks(builder, found)

    return types.UniTuple(types.uint64, 8)(_array, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def classify_utf8(_context: Any, _array: Any, _index: Any) -> Any:
    """The masks (lead of U+4000 to U+9FFF, the first quarter of them, 0xB7, continuation byte) of 64 bytes."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _load_block(context, builder, signature, arguments)
        found = [
            _between(builder, block, 0xE4, 0xE9),
            _equal(builder, block, 0xE4),
            _equal(builder, block, 0xB7),
            _between(builder, block, 0x80, 0xBF),
        ]
        return _masks(builder, found)

    return types.UniTuple(types.uint64, 4)(_array, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(_context: Any, _word: Any) -> Any:
    """The number of the lowest bit that is set; 64 when none is."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), emit


@intrinsic  # type: ignore[untyped-decorator]
def highest_bit(_context: Any, _word: Any) -> Any:
    """The number of the highest bit that is set; -1 when none is."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(ir.IntType(64), 63), zeros)

    return types.int64(types.uint64), emit


@intrinsic  # type: ignore[untyped-decorator]
def count_bits(_context: Any, _word: Any) -> Any:
    """How many bits are set."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), emit


@inline
def below(bit: Int) -> Word:
    """The bits lower than number `bit`, 0 to 64."""
    return (ONE << np.uint64(bit)) - ONE if bit < 64 else ALL


@inline
def find_han(data: _U8, at: Int, valid: Word) -> Word:
    """The lead bytes of ideographs from U+4000 to U+9FFF: all of that range but the hexagrams U+4DC0 to U+4DFF."""
    lead, first_lead, hexagram, continues = classify_utf8(data, at)
    continues &= valid
    found: Word = lead & (continues >> ONE) & (continues >> TWO) & ~(first_lead & (hexagram >> ONE))
    return found


@inline
def doubtful(digit: Word, other: Word, dot: Word, comma: Word, opening: Word, beyond: Word) -> Word:
    """The marks behind a number that may join more digits to it; `other` bytes are taken for anything.

    beyond : ones where what follows the block is unknown; they fill up each shift.
    """
    joins = digit | other
    doubt = comma & (joins >> ONE | beyond << np.uint64(63))
    doubt &= (joins >> TWO | beyond << np.uint64(62)) & (joins >> THREE | beyond << np.uint64(61))
    doubt |= dot & (other >> ONE | beyond << np.uint64(63))
    doubt |= opening & ((comma | other) >> ONE | beyond << np.uint64(63))
    return doubt & (digit << ONE)


@inline
def run_ends(mask: Word) -> tuple[Word, Word]:
    """(first, last) bits of each run of ones."""
    return mask & ~(mask << ONE), mask & ~(mask >> ONE)


@inline
def lower(word: Word) -> Word:
    """The word with its ASCII letters in lower case; digits, dots, operators and other bytes stay."""
    return word | (LOWER_CASE & ~(word >> TWO))

"""64 bytes of text as masks: which of them are letters, digits and so on, as the bits of 64-bit words.

A block is compared with a handful of characters at once, in vector registers (LLVM makes of it what the machine has:
AVX-512, AVX2, SSE2, NEON). The lowest bit of a mask stands for the first byte. `filters.blocks` finds tokens in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from filters.words import LOWER_CASE, Int, Word, inline, store16

_U8 = npt.NDArray[np.uint8]
_U16 = npt.NDArray[np.uint16]

BLOCK = 64
NONE = np.uint64(0)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)
TWO = np.uint64(2)
THREE = np.uint64(3)


def _load_block(context: Any, builder: Any, signature: Any, arguments: Any, step: int = 0) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    index = builder.add(arguments[1], ir.Constant(ir.IntType(64), step))
    address = builder.gep(array.data, [index])
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
    """The masks (ideographs, marks, full-width marks, their operators) of the characters of 3 bytes in 64 bytes.

    Ideographs: U+4000 to U+9FFF but the hexagrams U+4DC0 to U+4DFF. Marks: dashes and quotes U+2010 to U+2015 and
    U+2018 to U+201F, stops and brackets U+3000 to U+3003 and U+3008 to U+3011; all separate. Full-width marks: U+FF01
    to U+FF0F and U+FF1A to U+FF20, which separate unless they join digits or are operators: U+FF0A to U+FF0D (but the
    comma), U+FF0F, U+FF1C to U+FF1E. A character is in the masks where it begins. Reads 66 bytes.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, second, third = (_load_block(context, builder, signature, arguments, step) for step in range(3))
        tails = builder.and_(_between(builder, second, 0x80, 0xBF), _between(builder, third, 0x80, 0xBF))
        hexagram = builder.and_(_equal(builder, first, 0xE4), _equal(builder, second, 0xB7))
        ideograph = builder.and_(_between(builder, first, 0xE4, 0xE9), builder.and_(tails, builder.not_(hexagram)))
        dash = builder.or_(_between(builder, third, 0x90, 0x95), _between(builder, third, 0x98, 0x9F))
        stop = builder.or_(_between(builder, third, 0x80, 0x83), _between(builder, third, 0x88, 0x91))
        wide = builder.or_(_between(builder, third, 0x81, 0x8F), _between(builder, third, 0x9A, 0xA0))
        dash = builder.and_(builder.and_(_equal(builder, first, 0xE2), _equal(builder, second, 0x80)), dash)
        stop = builder.and_(builder.and_(_equal(builder, first, 0xE3), _equal(builder, second, 0x80)), stop)
        wide = builder.and_(builder.and_(_equal(builder, first, 0xEF), _equal(builder, second, 0xBC)), wide)
        signs = builder.or_(_between(builder, third, 0x8A, 0x8B), _between(builder, third, 0x9C, 0x9E))
        signs = builder.or_(signs, builder.or_(_equal(builder, third, 0x8D), _equal(builder, third, 0x8F)))
        return _masks(builder, [ideograph, builder.or_(dash, stop), wide, builder.and_(wide, signs)])

    return types.UniTuple(types.uint64, 4)(_array, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(_context: Any, _word: Any) -> Any:
    """The number of the lowest bit that is set; 64 when none is."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), emit


@intrinsic  # type: ignore[untyped-decorator]
def count_bits(_context: Any, _word: Any) -> Any:
    """How many bits are set."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), emit


@intrinsic  # type: ignore[untyped-decorator]
def _write_half(_context: Any, _places: Any, _at: Any, _bits: Any, _base: Any, _half: Any) -> Any:
    """Writes base + the number of each of the first 32 bits that are set, or of the next 32 where `half` is 1."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, word, flag = ir.IntType(8), ir.IntType(16), ir.IntType(32)
        bytes_type, words = ir.VectorType(byte, BLOCK), ir.VectorType(word, BLOCK // 2)
        bits = ir.VectorType(ir.IntType(1), BLOCK)
        kind = ir.FunctionType(bytes_type, [bytes_type, bits, bytes_type])
        compress = cgutils.get_or_insert_function(builder.module, kind, "llvm.experimental.vector.compress.v64i8")
        numbers = ir.Constant(bytes_type, list(range(BLOCK)))
        nothing = ir.Constant(bytes_type, ir.Undefined)
        found = builder.call(compress, [numbers, builder.bitcast(arguments[2], bits), nothing])
        first = BLOCK // 2 * signature.args[4].literal_value
        lanes = ir.Constant(ir.VectorType(flag, BLOCK // 2), list(range(first, first + BLOCK // 2)))
        half = builder.zext(builder.shuffle_vector(found, nothing, lanes), words)
        one = builder.insert_element(ir.Constant(words, ir.Undefined), builder.trunc(arguments[3], word), flag(0))
        lanes = ir.Constant(ir.VectorType(flag, BLOCK // 2), [0] * (BLOCK // 2))
        base = builder.shuffle_vector(one, ir.Constant(words, ir.Undefined), lanes)
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), words.as_pointer())
        builder.store(builder.add(half, base), address).align = 2
        return context.get_dummy_value()

    if not isinstance(_half, types.IntegerLiteral):
        return None
    return types.void(_places, types.int64, types.uint64, types.int64, _half), emit


@inline
def write_places_at_once(places: _U16, at: Int, bits: Word, base: Int) -> None:
    """As `write_places_one_by_one`, where the machine can compress a register."""
    _write_half(places, at, bits, base, 0)
    if count_bits(bits) > BLOCK // 2:
        _write_half(places, at + BLOCK // 2, bits, base, 1)


@inline
def write_places_one_by_one(places: _U16, at: Int, bits: Word, base: Int) -> None:
    """Writes base + the number of each bit that is set to places[at:], and up to 32 of nothing after them.

    Sixteen at once, then four at a time, since the end of a loop is mispredicted once in a block.
    """
    for _ in range(16):
        store16(places, at, base + lowest_bit(bits))
        bits &= bits - ONE
        at += 1
    while bits != 0:
        for _ in range(4):
            store16(places, at, base + lowest_bit(bits))
            bits &= bits - ONE
            at += 1


# Without the instruction the compiler would take the register apart, lane by lane.
write_places = write_places_at_once if binding.get_host_cpu_features().get("avx512vbmi2") else write_places_one_by_one


@inline
def below(bit: Int) -> Word:
    """The bits lower than number `bit`, 0 to 64."""
    return (ONE << np.uint64(bit)) - ONE if bit < 64 else ALL


@inline
def doubtful(  # noqa: PLR0913, PLR0917 - numba takes scalars, by position
    digit: Word, after_digit: Word, high: Word, dot: Word, comma: Word, opening: Word, beyond: Word
) -> Word:
    """The marks behind a number that may join more digits to it; `high` bytes are taken for anything.

    beyond : ones where what follows the block is unknown; they fill up each shift.
    """
    joins = digit | high
    doubt = comma & (joins >> ONE | beyond << np.uint64(63))
    doubt &= (joins >> TWO | beyond << np.uint64(62)) & (joins >> THREE | beyond << np.uint64(61))
    doubt |= dot & (high >> ONE | beyond << np.uint64(63))
    doubt |= opening & ((comma | high) >> ONE | beyond << np.uint64(63))
    return doubt & after_digit


@inline
def lower(word: Word) -> Word:
    """The word with its ASCII letters in lower case; digits, dots, operators and other bytes stay."""
    return word | (LOWER_CASE & ~(word >> TWO))

"""The hashes of eight short tokens at a time, in vector registers.

What `filters.words.hash_bytes` does to a token of up to 8 bytes is a dozen instructions, and a page has hundreds of
tokens: here each instruction serves eight. The words are still loaded one by one, since gathering is no faster.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from filters.words import HALF, LAST, LENGTH, LOWER_CASE, WORD

LANES = 8
# Without products of 64-bit lanes the compiler would take the registers apart, and one token at a time is faster.
IN_VECTORS = bool(binding.get_host_cpu_features().get("avx512dq"))

_WORD, _LANE = ir.IntType(64), ir.IntType(32)
_WORDS, _PLACES = ir.VectorType(_WORD, LANES), ir.VectorType(ir.IntType(16), LANES)


def _each(value: Any) -> Any:
    return ir.Constant(_WORDS, [int(value)] * LANES)


@intrinsic  # type: ignore[untyped-decorator]
def hash_eight(_context: Any, _hashes: Any, _at: Any, _data: Any, _base: Any, _starts: Any, _ends: Any) -> Any:
    """hashes[at + j] = hash of data[base + starts[at + j] : base + ends[at + j]] in lower case, for j < LANES.

    hashes : uint64[:]; data : uint8[:], 8 bytes are read from each start; starts, ends : uint16[:]. Of a token of no or
    more than 8 bytes the result is none.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def address(number: int, index: Any) -> Any:
            array = context.make_array(signature.args[number])(context, builder, arguments[number])
            return builder.gep(array.data, [index])

        def load(pointer: Any, kind: Any, align: int) -> Any:
            loaded = builder.load(builder.bitcast(pointer, kind.as_pointer()))
            loaded.align = align
            return loaded

        starts, ends = (builder.zext(load(address(n, arguments[1]), _PLACES, 2), _WORDS) for n in (4, 5))
        begin = address(2, arguments[3])
        words = ir.Constant(_WORDS, ir.Undefined)
        for lane in range(LANES):
            place = builder.gep(begin, [builder.extract_element(starts, _LANE(lane))])
            words = builder.insert_element(words, load(place, _WORD, 1), _LANE(lane))
        length = builder.sub(ends, starts)
        unused = builder.and_(builder.sub(_each(64), builder.shl(length, _each(3))), _each(63))  # bits; 0 of 8 bytes

        def spread(value: Any, factor: Any) -> Any:
            product = builder.mul(value, _each(factor))
            return builder.xor(product, builder.lshr(product, _each(HALF)))

        lower = builder.or_(words, builder.and_(_each(LOWER_CASE), builder.not_(builder.lshr(words, _each(2)))))
        value = spread(builder.and_(lower, builder.lshr(_each(2**64 - 1), unused)), WORD)
        value = spread(builder.xor(value, builder.mul(length, _each(LENGTH))), LAST)
        store = builder.store(value, builder.bitcast(address(0, arguments[1]), _WORDS.as_pointer()))
        store.align = 8
        return context.get_dummy_value()

    return types.void(_hashes, types.int64, _data, types.int64, _starts, _ends), emit

"""The inner loop of MinHash, 16 slots of a signature at a time, which stay in vector registers for all shingles.

Written in plain loops, a slot is a reduction over the shingles: the compiler makes vectors of shingles, and has their
least element to find at the end of each slot, a hundred times a page. Here the vectors are of slots, and nothing is
left to do at the end. LLVM cuts them into what the machine has (AVX-512, AVX2, SSE4, NEON).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LANES = 16
_NUMBER, _PLACE = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_NUMBER, LANES)
_UNKNOWN = ir.Constant(_VECTOR, ir.Undefined)
_FIRST_IN_ALL = ir.Constant(_VECTOR, [0] * LANES)


@intrinsic  # type: ignore[untyped-decorator]
def lower_slots(_context: Any, _slots: Any, _at: Any, _shingles: Any, _count: Any, _permutations: Any) -> Any:
    """slots[at + j] = min of itself and factors[at + j] * x + terms[at + j] over x in shingles[:count], j < LANES.

    slots, shingles : uint32[:], count above 0; permutations : factors and terms, uint32[:] each; modulo 2**32.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def data(kind: Any, array: Any) -> Any:
            return context.make_array(kind)(context, builder, array).data

        def vector(kind: Any, array: Any) -> Any:
            return builder.bitcast(builder.gep(data(kind, array), [arguments[1]]), _VECTOR.as_pointer())

        def load(address: Any) -> Any:
            loaded = builder.load(address)
            loaded.align = 4
            return loaded

        kinds = signature.args
        slots, shingles = vector(kinds[0], arguments[0]), data(kinds[2], arguments[2])
        factors, terms = (load(vector(kinds[4][i], builder.extract_value(arguments[4], i))) for i in range(2))
        least_before, before = load(slots), builder.block
        loop, behind = builder.append_basic_block("shingles"), builder.append_basic_block("lowered")
        builder.branch(loop)
        builder.position_at_end(loop)
        index, least = builder.phi(_PLACE), builder.phi(_VECTOR)
        shingle = builder.insert_element(_UNKNOWN, load(builder.gep(shingles, [index])), _NUMBER(0))
        image = builder.add(builder.mul(builder.shuffle_vector(shingle, _UNKNOWN, _FIRST_IN_ALL), factors), terms)
        lower = builder.select(builder.icmp_unsigned("<", image, least), image, least)
        following = builder.add(index, _PLACE(1))
        for phi, first, then in ((index, _PLACE(0), following), (least, least_before, lower)):
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, arguments[3]), loop, behind)
        builder.position_at_end(behind)
        builder.store(lower, slots).align = 4
        return context.get_dummy_value()

    return types.void(_slots, types.int64, _shingles, types.int64, _permutations), emit

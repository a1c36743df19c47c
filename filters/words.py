"""What the numba kernels are made of: compilation, 8 bytes at a time, the token hash, UTF-8.

A kernel compiles at its first call (seconds), and its machine code is cached on disk; importing compiles
nothing. Trap: numba recompiles a cached kernel when its own file changes, not when this one does, so after
an edit here delete the `__pycache__` folders.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils, event
from numba.extending import intrinsic

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T", bound=np.generic)
_U8 = npt.NDArray[np.uint8]
Word = np.uint64
Int = Any  # int and np.int64 are one type to numba, and two to a type checker

# Odd multipliers: the 64-bit golden ratio, and those of MurmurHash3's fmix64 (Appleby, public domain).
LENGTH = np.uint64(0x9E3779B97F4A7C15)
WORD = np.uint64(0xFF51AFD7ED558CCD)
LAST = np.uint64(0xC4CEB9FE1A85EC53)
HALF = np.uint64(32)
BYTE = np.uint64(8)
_ONE = np.uint64(1)

# Classes of a folded character. SEPARATOR is 0, so that unassigned code points need no entry.
SEPARATOR = 0
LETTER = 1
DIGIT = 2
LETTER_APART = 3
DIGIT_APART = 4
CJK = 5
IGNORED = 6
MANY = 7

# Values of the command table that are no name: of a dropped command, of \\begin and \\end, of an empty slot.
DROPPED = 0
ENVIRONMENT = 1
UNKNOWN = 2

_EACH = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
LOWER_CASE = np.uint64(0x2020202020202020)


_ALWAYS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}  # nobody calls from C
_WITHIN = {**_ALWAYS, "no_cpython_wrapper": True}  # an entry for Python is a fifth of the time that compilation takes


class _Collections(event.Listener):
    """No search for garbage while a kernel compiles: a tenth of the time, spent on objects that all stay."""

    def __init__(self) -> None:
        self._depth = 0
        self._paused = False

    def on_start(self, _: event.Event) -> None:
        """Pauses it at the outermost kernel; numba compiles under one lock."""
        if self._depth == 0 and gc.isenabled():
            self._paused = True
            gc.disable()
        self._depth += 1

    def on_end(self, _: event.Event) -> None:
        """Goes on behind it."""
        self._depth -= 1
        if self._depth == 0 and self._paused:
            self._paused = False
            gc.enable()


event.register("numba:compile", _Collections())


def jit(function: _F) -> _F:
    """The kernel of a function: compiled at its first call, cached on disk, without the interpreter lock."""
    return cast("_F", numba.njit(function, cache=True, **_ALWAYS))


def inner(function: _F) -> _F:
    """A kernel that kernels alone call: it has no entry for Python, which would crash, and no cache of its own."""
    return cast("_F", numba.njit(function, **_WITHIN))


def leaf(function: _F) -> _F:
    """As `inner`, for a kernel that makes no array: without counts of references, some 20 cycles for each array."""
    return cast("_F", numba.njit(function, **_WITHIN, _nrt=False))


def inline(function: _F) -> _F:
    """As `leaf`, compiled into its callers: a call copies some 5 words for each array."""
    return cast("_F", numba.njit(function, **_WITHIN, _nrt=False, forceinline=True))


def read_only(array: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """A view that cannot be written: numba compiles once for these and once more for writable arrays.

    Arrow's buffers are read-only and ours are not, so callers pass every input of a kernel through this.
    """
    view = array.view()
    view.flags.writeable = False
    return view


@intrinsic  # type: ignore[untyped-decorator]
def load64(_context: Any, _array: Any, _index: Any) -> Any:
    """The 8 bytes at array[index], at any alignment, as a little-endian word."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        word = builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return types.uint64(_array, types.int64), emit


def _store(bits: int) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def store(_context: Any, _array: Any, _index: Any, _word: Any) -> Any:
        """Writes the low bits of the word at array[index], at any alignment, lowest byte first."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            address = builder.gep(array.data, [arguments[1]])
            word = builder.trunc(arguments[2], ir.IntType(bits)) if bits < 64 else arguments[2]
            store = builder.store(word, builder.bitcast(address, ir.IntType(bits).as_pointer()))
            store.align = 1
            return context.get_dummy_value()

        return types.void(_array, types.int64, types.uint64), emit

    return store


store64, store16 = _store(64), _store(16)


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_context: Any, _array: Any, _index: Any) -> Any:
    """Has the memory of array[index] fetched for a later read, while other work goes on; any index is safe."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), pointer)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(fetch, [address, number(0), number(3), number(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return types.void(_array, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def zero_bytes_below(_context: Any, _word: Any) -> Any:
    """The number of zero bytes of the word before its lowest other byte; 8 when it is 0."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zeros = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.lshr(zeros, ir.Constant(ir.IntType(64), 3))

    return types.int64(types.uint64), emit


@inline
def absorb(value: Word, word: Word) -> Word:
    value = (value ^ word) * WORD
    return value ^ (value >> HALF)


@inline
def finish(value: Word, length: Int) -> Word:
    value = (value ^ np.uint64(length) * LENGTH) * LAST
    return value ^ (value >> HALF)


@inline
def lowest(word: Word, size: Int) -> Word:
    """The lowest `size` bytes of the word, 0 to 7, the others zero."""
    return word & ((_ONE << np.uint64(8 * size)) - _ONE)


@jit
def hash_bytes(data: _U8, start: Int, end: Int) -> Word:
    """The 64-bit hash of data[start:end].

    h = 0; for each 8 bytes, the last padded with zeros, as a little-endian word w: h = (h ^ w) * WORD,
    h ^= h >> 32; at the end h = (h ^ length * LENGTH) * LAST, h ^= h >> 32; all modulo 2**64.
    Tokens of one length up to 8 bytes never collide, since each step is a bijection.
    """
    value = np.uint64(0)
    at = start
    while at + 8 <= end:
        value = absorb(value, load64(data, at))
        at += 8
    if at < end:
        word = np.uint64(0)
        for byte in range(end - 1, at - 1, -1):
            word = (word << BYTE) | np.uint64(data[byte])
        value = absorb(value, word)
    return finish(value, end - start)


@leaf
def bytes_between(word: Word, first: Int, last: Int) -> Word:
    """0x80 in each byte of the word that is from `first` to `last`, both ASCII; 0 in the others."""
    low = word & ~_HIGH_BITS
    from_first = low + _EACH * np.uint64(0x80 - first)
    after_last = low + _EACH * np.uint64(0x7F - last)
    return from_first & ~after_last & ~word & _HIGH_BITS


@leaf
def letters(word: Word) -> Word:
    """0x80 in each byte of the word that is an ASCII letter of any case; 0 in the others."""
    return bytes_between(word | LOWER_CASE, 0x61, 0x7A)


@leaf
def run_length(matches: Word) -> Int:
    """How many bytes match, from the lowest on, in a result of `bytes_between`."""
    return zero_bytes_below(matches ^ _HIGH_BITS)


@leaf
def decode(data: _U8, at: Int, stop: Int) -> tuple[Int, Int]:
    """The code point at data[at] and where the next begins; (0, at + 1) for a malformed byte.

    A malformed sequence is taken byte by byte: every byte of it separates, however they are grouped.
    """
    lead = np.int64(data[at])
    if lead < 0xE0:
        length, code, least = 2, lead & 0x1F, 0x80
    elif lead < 0xF0:
        length, code, least = 3, lead & 0x0F, 0x800
    else:
        length, code, least = 4, lead & 0x07, 0x10000
    if lead < 0xC2 or lead > 0xF4 or at + length > stop:
        return 0, at + 1
    for step in range(1, length):
        byte = np.int64(data[at + step])
        if byte & 0xC0 != 0x80:
            return 0, at + 1
        code = (code << 6) | (byte & 0x3F)
    if code < least or code > 0x10FFFF or 0xD800 <= code < 0xE000:
        return 0, at + 1
    return code, at + length


@leaf
def put_utf8(folded: _U8, at: Int, code: Int) -> Int:
    """Where the UTF-8 of the code point ends that is written to folded[at:]."""
    if code < 0x80:
        folded[at] = code
        return at + 1
    if code < 0x800:
        folded[at] = 0xC0 | code >> 6
        folded[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        folded[at] = 0xE0 | code >> 12
        folded[at + 1] = 0x80 | code >> 6 & 0x3F
        folded[at + 2] = 0x80 | code & 0x3F
        return at + 3
    folded[at] = 0xF0 | code >> 18
    folded[at + 1] = 0x80 | code >> 12 & 0x3F
    folded[at + 2] = 0x80 | code >> 6 & 0x3F
    folded[at + 3] = 0x80 | code & 0x3F
    return at + 4


@leaf
def is_ascii_letter(byte: Int) -> bool:
    return bool(97 <= (byte | 0x20) <= 122)


@leaf
def is_operator(code: Int) -> bool:
    return code in (0x2A, 0x2B, 0x2D, 0x2F, 0x3C, 0x3D, 0x3E)  # * + - / < = >


@leaf
def skip_environment(data: _U8, at: Int, stop: Int) -> Int:
    """Where "{name}" or "{name*}" at data[at] ends, or `at` if it is not there."""
    if at >= stop or data[at] != 0x7B:
        return at
    after = at + 1
    while after < stop and is_ascii_letter(data[after]):
        after += 1
    if after == at + 1:
        return at
    if after < stop and data[after] == 0x2A:
        after += 1
    return after + 1 if after < stop and data[after] == 0x7D else at


@inline
def bucket_bits(buckets: int) -> int:
    """The number of high bits that choose one of so many buckets, a power of two."""
    bits = 0
    while (1 << bits) < buckets:
        bits += 1
    return bits

"""Numba kernels over whole batches: arrays and scalars in and out, no objects, no interpreter lock.

A kernel compiles at its first call (seconds), and its machine code is cached on disk; importing this
module compiles nothing. Each has a slow twin in tests/naive.py.
Shape legend: B bytes, N documents, T tokens, F folded bytes, S slots of a MinHash signature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T", bound=np.generic)
_U8 = npt.NDArray[np.uint8]
_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_Tables = tuple[_U32, _U32, _U64, _U64]  # folds, sequences, keys, values
_Word = np.uint64
_Out = tuple[_U64, _I64, _I64, _U8, _I64]  # hashes, starts, ends, folded, folded_ends


def jit(function: _F) -> _F:
    """The kernel of a function: compiled at its first call, cached on disk, without the interpreter lock."""
    return cast("_F", numba.njit(function, cache=True, nogil=True, error_model="numpy"))


def read_only(array: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """A view that cannot be written: numba compiles once for these and once more for writable arrays.

    Arrow's buffers are read-only and ours are not, so callers pass every input of a kernel through this.
    """
    view = array.view()
    view.flags.writeable = False
    return view


# Classes of a folded character. SEPARATOR is 0, so that unassigned code points need no entry.
SEPARATOR = 0
LETTER = 1
DIGIT = 2
LETTER_APART = 3
DIGIT_APART = 4
CJK = 5
IGNORED = 6
MANY = 7

ENVIRONMENT = 1  # value of \begin and \end in the command table: no name is this word

# What a number waits for after a character that may belong to it.
_NOTHING = 0
_DOT = 1  # "." : a digit
_BRACE = 2  # "{" : a comma
_BRACE_COMMA = 3  # "{," : a closing brace
_BACKSLASH = 4  # "\" : a comma
_GROUP = 5  # a whole group mark: three digits

# Output grows between segments of this many input bytes, never inside one. A code point yields at most
# 2 tokens (U+3316, six kana) and 12 folded bytes (U+FDFA, four words) for each of its bytes.
_SEGMENT = 1 << 15
_MAX_TOKENS = 2
_MAX_BYTES = 12
_NO_TOKEN = (0,) * 10  # what `_scan` knows of the open token, when none is

# Odd multipliers: the 64-bit golden ratio, and those of MurmurHash3's fmix64 (Appleby, public domain).
_LENGTH = np.uint64(0x9E3779B97F4A7C15)
_WORD = np.uint64(0xFF51AFD7ED558CCD)
_LAST = np.uint64(0xC4CEB9FE1A85EC53)
_HALF = np.uint64(32)
_BYTE = np.uint64(8)
_ONE = np.uint64(1)

_EACH = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_LOWER_CASE = np.uint64(0x2020202020202020)


@intrinsic  # type: ignore[untyped-decorator]
def _load64(_context: Any, _array: Any, _index: Any) -> Any:
    """The 8 bytes at array[index], at any alignment, as a little-endian word."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        word = builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return types.uint64(_array, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def _store64(_context: Any, _array: Any, _index: Any, _word: Any) -> Any:
    """Writes the word to the 8 bytes at array[index], at any alignment, lowest byte first."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        store = builder.store(arguments[2], builder.bitcast(address, ir.IntType(64).as_pointer()))
        store.align = 1
        return context.get_dummy_value()

    return types.void(_array, types.int64, types.uint64), emit


@intrinsic  # type: ignore[untyped-decorator]
def _zero_bytes_below(_context: Any, _word: Any) -> Any:
    """The number of zero bytes of the word before its lowest other byte; 8 when it is 0."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zeros = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.lshr(zeros, ir.Constant(ir.IntType(64), 3))

    return types.int64(types.uint64), emit


@intrinsic  # type: ignore[untyped-decorator]
def _zero_bytes_above(_context: Any, _word: Any) -> Any:
    """The number of zero bytes of the word above its highest other byte; 8 when it is 0."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.lshr(zeros, ir.Constant(ir.IntType(64), 3))

    return types.int64(types.uint64), emit


@intrinsic  # type: ignore[untyped-decorator]
def _uncounted(_context: Any, _array: Any) -> Any:
    """The array without its reference count, for as long as the caller holds the array itself.

    Numba counts references to arrays wherever control flow is not trivial; each count is an atomic
    operation, and together they cost more than the tokens.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        array.meminfo = ir.Constant(array.meminfo.type, None)
        return array._getvalue()

    return _array(_array), emit


@jit
def _absorb(value: _Word, word: _Word) -> _Word:
    value = (value ^ word) * _WORD
    return value ^ (value >> _HALF)


@jit
def _finish(value: _Word, length: int) -> _Word:
    value = (value ^ np.uint64(length) * _LENGTH) * _LAST
    return value ^ (value >> _HALF)


@jit
def _lowest(word: _Word, size: int) -> _Word:
    """The lowest `size` bytes of the word, 0 to 7, the others zero."""
    return word & ((_ONE << np.uint64(8 * size)) - _ONE)


@jit
def hash_bytes(data: _U8, start: int, end: int) -> _Word:
    """The 64-bit hash of data[start:end].

    h = 0; for each 8 bytes, the last padded with zeros, as a little-endian word w: h = (h ^ w) * WORD,
    h ^= h >> 32; at the end h = (h ^ length * LENGTH) * LAST, h ^= h >> 32; all modulo 2**64.
    Tokens of one length up to 8 bytes never collide, since each step is a bijection.
    """
    value = np.uint64(0)
    at = start
    while at + 8 <= end:
        value = _absorb(value, _load64(data, at))
        at += 8
    if at < end:
        word = np.uint64(0)
        for byte in range(end - 1, at - 1, -1):
            word = (word << _BYTE) | np.uint64(data[byte])
        value = _absorb(value, word)
    return _finish(value, end - start)


@jit
def _bytes_between(word: _Word, first: int, last: int) -> _Word:
    """0x80 in each byte of the word that is from `first` to `last`, both ASCII; 0 in the others."""
    low = word & ~_HIGH_BITS
    from_first = low + _EACH * np.uint64(0x80 - first)
    after_last = low + _EACH * np.uint64(0x7F - last)
    return from_first & ~after_last & ~word & _HIGH_BITS


@jit
def _letters(word: _Word) -> _Word:
    """0x80 in each byte of the word that is an ASCII letter of any case; 0 in the others."""
    return _bytes_between(word | _LOWER_CASE, 0x61, 0x7A)


@jit
def _run_length(matches: _Word) -> int:
    """How many bytes match, from the lowest on, in a result of `_bytes_between`."""
    return _zero_bytes_below(matches ^ _HIGH_BITS)


@jit
def _decode(data: _U8, at: int, stop: int) -> tuple[int, int]:
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


@jit
def _put(folded: _U8, at: int, code: int) -> int:
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


@jit
def _is_ascii_letter(byte: int) -> bool:
    return 97 <= (byte | 0x20) <= 122


@jit
def _is_operator(code: int) -> bool:
    return code in (0x2A, 0x2B, 0x2D, 0x2F, 0x3C, 0x3D, 0x3E)  # * + - / < = >


@jit
def _skip_environment(data: _U8, at: int, stop: int) -> int:
    """Where "{name}" or "{name*}" at data[at] ends, or `at` if it is not there."""
    if at >= stop or data[at] != 0x7B:
        return at
    after = at + 1
    while after < stop and _is_ascii_letter(data[after]):
        after += 1
    if after == at + 1:
        return at
    if after < stop and data[after] == 0x2A:
        after += 1
    return after + 1 if after < stop and data[after] == 0x7D else at


@jit
def _emit(out: _Out, count: int, begin: int, put: int, start: int, end: int) -> int:
    """The number of tokens after the one that is folded[begin:put] and came from data[start:end]."""
    hashes, starts, ends, folded, folded_ends = out
    value = np.uint64(0)
    for at in range(begin, put, 8):  # reads past `put`, where there is room
        word = _load64(folded, at)
        value = _absorb(value, word if put - at >= 8 else _lowest(word, put - at))
    hashes[count] = _finish(value, put - begin)
    starts[count] = start
    ends[count] = end
    folded_ends[count] = put
    return count + 1


@jit
def _command(
    data: _U8, here: int, stop: int, tables: _Tables, out: _Out, count: int, put: int
) -> tuple[int, int, int]:
    """(at, count, put) after the LaTeX command whose backslash is data[here], before an ASCII letter."""
    _, _, keys, values = tables
    folded = out[3]
    at = here + 1
    word, run = np.uint64(0), np.int64(8)
    if at + 8 <= data.size:
        word = _load64(data, at)
        run = min(_run_length(_letters(word)), stop - at)
    if run < 8:
        at += run
        word = _lowest(word, run)
        key = _finish(_absorb(np.uint64(0), word), run)
    else:
        while at < stop and _is_ascii_letter(data[at]):
            at += 1
        key = hash_bytes(data, here + 1, at)
    slot = np.int64(key) & (keys.size - 1)
    while keys[slot] != key and keys[slot] != 0:
        slot = (slot + 1) & (keys.size - 1)
    begin = put
    if keys[slot] == key:
        if values[slot] == ENVIRONMENT:
            return _skip_environment(data, at, stop), count, put
        _store64(folded, put, values[slot])
        put += 8 - _zero_bytes_above(values[slot])
    elif run < 8:
        _store64(folded, put, word | _LOWER_CASE)
        put += run
    else:
        for byte in range(here + 1, at):
            folded[put] = data[byte] | 0x20
            put += 1
    if put > begin:
        count = _emit(out, count, begin, put, here, at)
    return at, count, put


@jit
def _skim(
    data: _U8, last: int, stop: int, tables: _Tables, operators: bool, out: _Out, at: int, count: int, put: int
) -> tuple[int, int, int]:
    """What `_scan` would do, (at, count, put) after it, up to the first place that is not plain.

    Plain are, before `last`: ASCII words, commands and short numbers, CJK characters, and separators.
    """
    folds = tables[0]
    hashes, starts, ends, folded, folded_ends = out
    while at + 9 <= last:
        word = _load64(data, at)
        byte = np.int64(word & np.uint64(0xFF))
        here, value = at, np.uint64(0)
        if _is_ascii_letter(byte):
            run = _run_length(_letters(word))
            while run == 8 and here + 16 <= last:
                word |= _LOWER_CASE
                _store64(folded, put + here - at, word)
                value = _absorb(value, word)
                here += 8
                word = _load64(data, here)
                run = _run_length(_letters(word))
            word |= _LOWER_CASE
            if run == 8 or data[here + run] >= 0x80:
                break
        elif 0x30 <= byte <= 0x39:
            dots = _bytes_between(word, 0x2E, 0x2E)
            run = _run_length(_bytes_between(word, 0x30, 0x39) | dots)
            if run == 8 or dots & (dots << _BYTE) != 0 or data[at + run] >= 0x80:
                break
            after = data[at + run]
            if after == 0x7B or after == 0x5C or (after == 0x2C and 0x30 <= data[at + run + 1]):
                break
            if data[at + run - 1] == 0x2E:
                run -= 1
        elif byte < 0x80:
            if byte == 0x5C:
                if not _is_ascii_letter(data[at + 1]):
                    break
                at, count, put = _command(data, at, stop, tables, out, count, put)
                continue
            at += 1
            if not operators or not _is_operator(byte):
                continue
            at, run = here, 1
        else:
            if (word & np.uint64(0xC0C0F0)) != np.uint64(0x8080E0):
                break
            code = (byte & 0x0F) << 12 | np.int64(data[at + 1] & 0x3F) << 6 | np.int64(data[at + 2] & 0x3F)
            entry = np.int64(folds[code])
            if entry >> 24 == SEPARATOR and code >= 0x800 and not operators:
                at += 3
                continue
            if entry != CJK << 24 | code:  # never for an overlong form, since no code below 0x800 is CJK
                break
            run = 3
        if run > 0:
            word = _lowest(word, run)
            _store64(folded, put + here - at, word)
            value = _absorb(value, word)
        here += run
        put += here - at
        hashes[count] = _finish(value, here - at)
        starts[count] = at
        ends[count] = here
        folded_ends[count] = put
        count += 1
        at = here
    return at, count, put


@jit
def _scan(
    data: _U8, stop: int, limit: int, tables: _Tables, operators: bool, out: _Out, state: Any
) -> Any:
    """The state after the code points of a document that begin before `limit`; their tokens go to `out`.

    stop : end of the document, where one separator more is seen, which closes the last token.
    """
    folds, sequences, _, _ = tables
    hashes, starts, ends, folded, folded_ends = out
    (at, count, put), opened = state
    kind, waits, begin, start, end, digits, decimal, mark_put, mark_end, late_start = opened
    while at < limit:
        if kind == SEPARATOR:
            at, count, put = _skim(data, min(limit, stop), stop, tables, operators, out, at, count, put)
            if at >= limit:
                break
        here = at
        entry = np.int64(SEPARATOR)
        is_command = False
        if at == stop:
            at += 1
        elif data[at] < 0x80:
            entry = np.int64(folds[data[at]])
            at += 1
            if data[here] == 0x5C and at < stop and _is_ascii_letter(data[at]):
                entry = np.int64(SEPARATOR)
                is_command = True
        else:
            code, at = _decode(data, at, stop)
            entry = np.int64(folds[code])
        klass = entry >> 24
        if klass == IGNORED:
            continue
        index, parts = np.int64(0), np.int64(1)
        if klass == MANY:
            index = entry & 0xFFFFFF
            parts = np.int64(sequences[index])
        for part in range(parts):
            if parts > 1:
                entry = np.int64(sequences[index + 1 + part])
                klass = entry >> 24
            char = entry & 0xFFFFFF

            # 1. A number waits: the character joins it, ends it, or cuts it at the mark.
            if waits == _GROUP:
                if klass == kind and digits < 3:
                    if digits == 0:
                        late_start = here
                    digits += 1
                    put = _put(folded, put, char)
                    end = at
                    continue
                waits = _NOTHING
                if digits == 0:
                    count = _emit(out, count, begin, put, start, end)
                    kind = SEPARATOR
                elif digits < 3 or klass == kind:
                    count = _emit(out, count, begin, mark_put, start, mark_end)
                    begin, start = mark_put, late_start
            elif waits == _DOT:
                waits = _NOTHING
                if klass == kind:
                    put = _put(folded, put, 0x2E)
                    decimal = 1
                else:
                    count = _emit(out, count, begin, put, start, end)
                    kind = SEPARATOR
            elif waits != _NOTHING:
                if waits == _BRACE and char == 0x2C:
                    waits = _BRACE_COMMA
                    continue
                if (waits == _BRACE_COMMA and char == 0x7D) or (waits == _BACKSLASH and char == 0x2C):
                    waits = _GROUP
                    digits, mark_put, mark_end = 0, put, end
                    continue
                waits = _NOTHING
                count = _emit(out, count, begin, put, start, end)
                kind = SEPARATOR

            # 2. The character joins the open token, or makes a number wait, or closes it.
            if kind != SEPARATOR:
                if klass == kind:
                    put = _put(folded, put, char)
                    end = at
                    digits += 1
                    continue
                if klass == SEPARATOR and (kind == DIGIT or kind == DIGIT_APART):
                    if char == 0x2E:
                        waits = _DOT
                        continue
                    if digits <= 3 and decimal == 0:
                        if char == 0x2C:
                            waits = _GROUP
                            digits, mark_put, mark_end = 0, put, end
                            continue
                        if char == 0x7B:
                            waits = _BRACE
                            continue
                        if char == 0x5C:
                            waits = _BACKSLASH
                            continue
                count = _emit(out, count, begin, put, start, end)
                kind = SEPARATOR

            # 3. No token is open: the character opens one, is one, or is dropped.
            if klass == SEPARATOR:
                if not operators or not _is_operator(char):
                    continue
                begin = put
                put = _put(folded, put, char)
                count = _emit(out, count, begin, put, here, at)
            elif klass == CJK:
                begin = put
                put = _put(folded, put, char)
                count = _emit(out, count, begin, put, here, at)
            else:
                kind, begin, start, end = klass, put, here, at
                put = _put(folded, put, char)
                digits, decimal = 1, 0

        if is_command:
            at, count, put = _command(data, here, stop, tables, out, count, put)
    opened = kind, waits, begin, start, end, digits, decimal, mark_put, mark_end, late_start
    return (at, count, put), opened


@jit
def _doubled(array: Any) -> Any:
    larger = np.empty(2 * array.size, array.dtype)
    larger[: array.size] = array
    return larger


@jit
def tokenise(
    data: _U8, offsets: _I64, tables: _Tables, operators: bool
) -> tuple[_U64, _I64, _I64, _I64, _U8, _I64]:
    """The tokens of N documents: hashes, starts, ends, offsets, folded, folded_ends (see filters.text.Tokens).

    data : uint8[B]; offsets : int64[N + 1]; tables : what each code point folds to (uint32[0x110000], and
    sequences), the command table (keys and values, uint64[power of 2]). O(B) time.
    """
    size = np.int64(0)
    if offsets.size > 1:
        size = offsets[-1] - offsets[0]
    folded = np.empty(size + _MAX_BYTES * _SEGMENT, np.uint8)
    size = size // 3 + _MAX_TOKENS * _SEGMENT
    hashes, starts = np.empty(size, np.uint64), np.empty(size, np.int64)
    ends, folded_ends = np.empty(size, np.int64), np.empty(size, np.int64)
    token_offsets = np.zeros(offsets.size, np.int64)
    folds, sequences, keys, values = tables
    tables = (_uncounted(folds), _uncounted(sequences), _uncounted(keys), _uncounted(values))
    count, put = 0, 0
    for document in range(offsets.size - 1):
        stop = offsets[document + 1]
        at = offsets[document]
        state = (at, count, put), _NO_TOKEN
        while at <= stop:
            if count + _MAX_TOKENS * _SEGMENT > hashes.size:
                hashes, starts = _doubled(hashes), _doubled(starts)
                ends, folded_ends = _doubled(ends), _doubled(folded_ends)
            if put + (stop - at) + _MAX_BYTES * _SEGMENT > folded.size:  # a command's name may pass the limit
                folded = _doubled(folded)
            out = (
                _uncounted(hashes), _uncounted(starts), _uncounted(ends), _uncounted(folded), _uncounted(folded_ends)
            )
            state = _scan(_uncounted(data), stop, min(at + _SEGMENT, stop + 1), tables, operators, out, state)
            at, count, put = state[0]
        token_offsets[document + 1] = count
    return hashes[:count], starts[:count], ends[:count], token_offsets, folded[:put], folded_ends[:count]


@jit
def join(folded: _U8, folded_ends: _I64, first: int, last: int) -> _U8:
    """The normalised UTF-8 of the tokens first to last, joined by one space.

    folded : uint8[F] and folded_ends : int64[T], of filters.text.Tokens.
    """
    if first == last:
        return np.empty(0, np.uint8)
    begin = folded_ends[first - 1] if first > 0 else 0
    joined = np.empty(folded_ends[last - 1] - begin + last - first - 1, np.uint8)
    put = 0
    for token in range(first, last):
        if token > first:
            joined[put] = 0x20
            put += 1
        for byte in range(begin, folded_ends[token]):
            joined[put] = folded[byte]
            put += 1
        begin = folded_ends[token]
    return joined

"""The tokeniser of `filters.text` as numba kernels: arrays and scalars in and out, no objects.

Shape legend: B bytes, N documents, T tokens, F folded bytes. The slow twin is tests/naive.py.
`_scan` knows the whole rule, one code point at a time, with what it knows of the open token in local
variables, so that no character is read twice. Where no token is open, `filters.blocks` takes plain text
64 bytes at a time, two to three times as fast, and hands back what it is in doubt about; `_scan` alone
gives the same tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.plain import new_scratch, skim
from filters.words import (
    CJK,
    DIGIT,
    DIGIT_APART,
    ENVIRONMENT,
    IGNORED,
    LOWER_CASE,
    MANY,
    SEPARATOR,
    Int,
    absorb,
    decode,
    finish,
    hash_bytes,
    inner,
    is_ascii_letter,
    is_operator,
    jit,
    leaf,
    letters,
    load64,
    lowest,
    put_utf8,
    run_length,
    skip_environment,
    store64,
)

_U8 = npt.NDArray[np.uint8]
_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_Tables = tuple[_U32, _U32, _U64, _U64]  # folds, sequences, keys, values
_Flags = npt.NDArray[np.bool_]
_Out = tuple[_U64, _I64, _I64, _U8, _I64, _Flags]  # hashes, starts, ends, folded, folded_ends, numbers

# What a number waits for after a character that may belong to it.
_NOTHING = 0
_DOT = 1  # "." : a digit
_BRACE = 2  # "{" : a comma
_BRACE_COMMA = 3  # "{," : a closing brace
_BACKSLASH = 4  # "\" : a comma
_GROUP = 5  # a whole group mark: three digits

# Output grows between segments of this many input bytes, never inside one. A code point yields at most 2
# tokens (U+3316, six kana) and 12 folded bytes (U+FDFA, four words) for each of its bytes; the last code
# point, command or 8-byte store of a segment may pass its border.
_SEGMENT = 1 << 13
_PAST_BORDER = 128
_NO_TOKEN = (np.int64(0),) * 10  # what `_scan` knows of no open token; numba compiles once more for literals


@leaf
def _emit(out: _Out, count: Int, begin: Int, put: Int, start: Int, end: Int) -> Int:
    """The number of tokens after the one that is folded[begin:put] and came from data[start:end]."""
    hashes, starts, ends, folded, folded_ends, numbers = out
    value = np.uint64(0)
    for at in range(begin, put, 8):  # reads past `put`, where there is room
        word = load64(folded, at)
        value = absorb(value, word if put - at >= 8 else lowest(word, put - at))
    hashes[count] = finish(value, put - begin)
    if starts.size > 0:
        starts[count] = start
        ends[count] = end
    if folded_ends.size > 0:
        folded_ends[count] = put
    if numbers.size > 0:
        numbers[count] = np.uint8(folded[begin] - 0x30) < 10
    return count + 1


@leaf
def _command(  # noqa: PLR0917 - numba takes arrays and scalars, by position
    data: _U8, here: Int, stop: Int, tables: _Tables, out: _Out, count: Int, put: Int
) -> tuple[Int, Int, Int]:
    """(at, count, put) after the LaTeX command whose backslash is data[here], before an ASCII letter."""
    _, _, keys, values = tables
    folded = out[3]
    at = here + 1
    word, run = np.uint64(0), np.int64(8)
    if at + 8 <= data.size:
        word = load64(data, at)
        run = min(run_length(letters(word)), stop - at)
    if run < 8:
        at += run
        word = lowest(word, run)
        key = finish(absorb(np.uint64(0), word), run)
    else:
        while at < stop and is_ascii_letter(data[at]):
            at += 1
        key = hash_bytes(data, here + 1, at)
    slot = np.int64(key) & (keys.size - 1)
    while keys[slot] != key and keys[slot] != 0:
        slot = (slot + 1) & (keys.size - 1)
    begin = put
    if keys[slot] == key:
        if values[slot] == ENVIRONMENT:
            return skip_environment(data, at, stop), count, put
        store64(folded, put, values[slot])
        put += run_length(letters(values[slot]))
    elif run < 8:
        store64(folded, put, word | LOWER_CASE)
        put += run
    else:
        for byte in range(here + 1, at):
            folded[put] = data[byte] | 0x20
            put += 1
    if put > begin:
        count = _emit(out, count, begin, put, here, at)
    return at, count, put


@leaf
def _scan(  # noqa: PLR0917 - numba takes arrays and scalars, by position
    data: _U8, stop: Int, limit: Int, tables: _Tables, operators: bool, out: _Out, state: Any
) -> Any:
    """The state after the code points of a document from `at` on, until no token is open; their tokens go to `out`.

    limit : no code point is taken that begins there or later.
    stop : end of the document, where one separator more is seen, which closes the last token.
    """
    folds, sequences, _, _ = tables
    folded = out[3]
    (at, count, put), opened = state
    kind, waits, begin, start, end, digits, decimal, mark_put, mark_end, late_start = opened
    while at < limit:
        here = at
        entry = np.int64(SEPARATOR)
        is_command = False
        if at == stop:
            at += 1
        elif data[at] < 0x80:
            entry = np.int64(folds[data[at]])
            at += 1
            if data[here] == 0x5C and at < stop and is_ascii_letter(data[at]):
                entry = np.int64(SEPARATOR)
                is_command = True
        else:
            code, at = decode(data, at, stop)
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
                    put = put_utf8(folded, put, char)
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
                    put = put_utf8(folded, put, 0x2E)
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
                    put = put_utf8(folded, put, char)
                    end = at
                    digits += 1
                    continue
                if klass == SEPARATOR and kind in (DIGIT, DIGIT_APART):
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
            if klass == CJK or (operators and klass == SEPARATOR and is_operator(char)):
                begin = put
                put = put_utf8(folded, put, char)
                count = _emit(out, count, begin, put, here, at)
            elif klass != SEPARATOR:
                kind, begin, start, end = klass, put, here, at
                put = put_utf8(folded, put, char)
                digits, decimal = 1, 0

        if is_command:
            at, count, put = _command(data, here, stop, tables, out, count, put)
        if kind == SEPARATOR:
            break
    opened = kind, waits, begin, start, end, digits, decimal, mark_put, mark_end, late_start
    return (at, count, put), opened


@inner
def _doubled(array: Any) -> Any:
    larger = np.empty(2 * array.size, array.dtype)
    for at in range(array.size):  # an array put into a slice costs 2.5 s of compilation, for the text of its error
        larger[at] = array[at]
    return larger


@inner
def _with_room(out: _Out, count: Int, tokens: Int, put: Int, folded: Int) -> _Out:
    """The output with room for more tokens behind `count` of them, and more folded bytes behind `put`."""
    hashes, starts, ends, text, text_ends, numbers = out
    if count + tokens > hashes.size:
        hashes, starts, ends = _doubled(hashes), _doubled(starts), _doubled(ends)
        text_ends, numbers = _doubled(text_ends), _doubled(numbers)
    if put + folded > text.size:
        text = _doubled(text)
    return hashes, starts, ends, text, text_ends, numbers


@jit
def tokenise(  # noqa: PLR0917
    data: _U8, begins: _I64, stops: _I64, tables: _Tables, operators: bool, spans: bool, folding: bool, flags: bool
) -> tuple[_U64, _I64, _I64, _I64, _U8, _I64, _Flags, _I64]:
    """The tokens of N documents, as the fields of `filters.text.Tokens`.

    Without `spans`, starts and ends are empty; without `folding`, folded and folded_ends are; without `flags`, numbers.
    data : uint8[B]; begins, stops : int64[N], of each document; tables : what each code point folds to
    (uint32[0x110000], and sequences), the command table (keys and values, uint64[power of 2]). O(B) time.
    """
    size = (stops - begins).sum()
    segment: Int = min(_SEGMENT, size + 1)
    token_room, byte_room = 2 * (segment + _PAST_BORDER), 12 * (segment + _PAST_BORDER)
    text, restarts = np.empty((size if folding else 0) + byte_room, np.uint8), np.empty((size // segment, 2), np.int64)
    size = size // 3 + token_room
    starts, ends = np.empty(size if spans else 0, np.int64), np.empty(size if spans else 0, np.int64)
    text_ends, numbers = np.empty(size if folding else 0, np.int64), np.empty(size if flags else 0, np.bool_)
    out = np.empty(size, np.uint64), starts, ends, text, text_ends, numbers
    token_offsets, scratch = np.zeros(begins.size + 1, np.int64), new_scratch()
    count, put, restart = np.int64(0), np.int64(0), np.int64(0)
    for document in range(begins.size):
        at, stop = begins[document], stops[document]
        opened, due = _NO_TOKEN, at + segment
        while at <= stop:
            if opened[0] == SEPARATOR:
                put = put if folding else np.int64(0)  # where nobody wants folded bytes, they are held for the hash
                if due <= at < stop:
                    restarts[restart, 0], restarts[restart, 1] = count, at
                    restart, due = restart + 1, at + segment
            limit = min(at + segment, stop + 1)
            byte_need = put + (stop - at if folding else 0) + byte_room  # a command's name may pass the limit
            if count + token_room > out[0].size or byte_need > out[3].size:
                out = _with_room(out, count, token_room, put, byte_need - put)
            if opened[0] == SEPARATOR:
                at, count, put = skim(data, min(limit, stop), stop, tables, operators, out, scratch, at, count, put)
                if at >= stop:
                    break
            (at, count, put), opened = _scan(data, stop, limit, tables, operators, out, ((at, count, put), opened))
        token_offsets[document + 1] = count
    hashes, starts, ends, text, text_ends, numbers = out
    text, text_ends, restarts = text[: put if folding else 0], text_ends[:count], restarts[:restart]
    return hashes[:count], starts[:count], ends[:count], token_offsets, text, text_ends, numbers[:count], restarts


@jit
def count_characters(data: _U8, borders: _I64) -> _I64:
    """How many characters of UTF-8 begin from the first border on before each, bytes of the data; borders ascend."""
    counts = np.zeros_like(borders)
    for border in range(1, borders.size):
        count = np.int64(0)
        for byte in data[borders[border - 1] : borders[border]]:
            count += (byte & 0xC0) != 0x80
        counts[border] = counts[border - 1] + count
    return counts


@jit
def join(folded: _U8, folded_ends: _I64, first: Int, last: Int) -> _U8:
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

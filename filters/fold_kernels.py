"""A folded fastText model as numba kernels: bytes in, the sum of its rows' values out.

Shape legend: B bytes, N documents, T tokens of one document, V words, R = V + buckets rows, K values a row.
Each document goes through three short loops, so that the reads of one do not wait for those of the other: its tokens
(hash, first 8 bytes), their rows, and the sum. The slow twin is tests/naive_fold.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filters.fold_intrinsics import high_product, prefetch
from filters.words import Int, Word, bytes_between, inline, inner, jit, leaf, load64, lowest, zero_bytes_below

_U8 = npt.NDArray[np.uint8]
_F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]
_U64 = npt.NDArray[np.uint64]
_I32 = npt.NDArray[np.int32]
_I64 = npt.NDArray[np.int64]

# slots, first 8 bytes of each word, word bytes, word ends, values, features of a word, and the settings named below
Model = tuple[_U64, _U64, _U8, _I64, _F32, _I32, _U64]
_Tokens = tuple[_U64, _I64, _I64, _U64]  # first 8 bytes, start, length, hash
WORDS, BUCKETS, RECIPROCAL, NGRAMS, MIN_CHARS, MAX_CHARS, END_ROW = range(7)

# The 32-bit hash of Fowler, Noll and Vo (FNV-1a, public domain); fastText folds in each byte with its sign.
_FNV_START = np.uint64(2166136261)
_FNV_PRIME = np.uint64(16777619)
_LOW_32 = np.uint64(0xFFFFFFFF)
_NGRAM = np.uint64(116049371)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_END_OF_LINE = np.uint64(int.from_bytes(b"</s>", "little"))
_LABEL = np.uint64(int.from_bytes(b"__label_", "little"))  # and one more "_"

MASK = 0x30  # a masked number is this digit
MAX_TOKEN_BYTES = 40  # longer tokens are dropped: no word of a language, and seldom seen twice
_KEPT, _MASKED, _DROPPED = 0, 1, 2


@inline
def _bucket(value: Word, buckets: Word, reciprocal: Word) -> Int:
    """value modulo the number of buckets, without a division: the quotient is right or one too small."""
    rest = value - high_product(value, reciprocal) * buckets
    return np.int64(rest - buckets if rest >= buckets else rest)


@inline
def _absorb(value: Word, byte: Word) -> Word:
    """The hash with the lowest byte of a word; its upper half is left over from the product and says nothing."""
    return (value ^ np.uint64(np.int64(np.int8(byte)))) * _FNV_PRIME


@inline
def _hash(data: _U8, first: Word, start: Int, length: Int) -> Word:
    """fastText's hash of data[start:start + length], whose first 8 bytes are `first`.

    Those are taken in without a branch on the length, which the processor could not predict.
    """
    value = _FNV_START
    for byte in range(8):
        absorbed = _absorb(value, first >> np.uint64(8 * byte))
        value = absorbed if byte < length else value
    for at in range(start + 8, start + length):
        value = _absorb(value, np.uint64(data[at]))
    return value & _LOW_32


@inline
def first_bytes(data: _U8, start: Int, length: Int) -> Word:
    """The first 8 bytes of data[start:start + length], zeros after its end."""
    if start + 8 <= data.size:
        word = load64(data, start)
        return word if length >= 8 else lowest(word, length)
    word = np.uint64(0)
    for at in range(min(length, 8)):
        word |= np.uint64(data[start + at]) << np.uint64(8 * at)
    return word


@jit
def fill_slots(slots: _U64, firsts: _U64, word_bytes: _U8, word_ends: _I64) -> None:
    """Enters all words into the empty table, as hash << 32 | number + 1, and their first 8 bytes into `firsts`."""
    mask = slots.size - 1
    begin = 0
    for number in range(word_ends.size):
        end = word_ends[number]
        first = first_bytes(word_bytes, begin, end - begin)
        value = _hash(word_bytes, first, begin, end - begin)
        slot = np.int64(value) & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = value << _HALF | np.uint64(number + 1)
        firsts[number] = first
        begin = end


@inline
def _find(model: Model, data: _U8, first: Word, start: Int, length: Int, value: Word) -> Int:
    """The number of the word that the token is, or -1: hash, first bytes, length and all other bytes agree."""
    slots, firsts, word_bytes, word_ends = model[0], model[1], model[2], model[3]
    mask = slots.size - 1
    slot = np.int64(value) & mask
    while True:
        entry = slots[slot]
        if entry == 0:
            return -1
        number = np.int64(entry & _LOW_32) - 1
        if entry >> _HALF == value and firsts[number] == first:
            if length < 8:  # the zero after the token is part of its first bytes, and no word holds one
                return number
            begin = word_ends[number - 1] if number > 0 else 0
            same = word_ends[number] - begin == length
            at = np.int64(8)
            while same and at < length:
                same = word_bytes[begin + at] == data[start + at]
                at += 1
            if same:
                return number
        slot = (slot + 1) & mask


@inline
def _until_space(data: _U8, at: Int, stop: Int) -> Int:
    """How many of the next 8 bytes, at most, stand before white space, a zero byte or `stop`."""
    word = first_bytes(data, at, stop - at)
    spaces = bytes_between(word, 9, 13) | bytes_between(word, 32, 32) | bytes_between(word, 0, 0)
    return zero_bytes_below(spaces)


@leaf
def _split(data: _U8, start: Int, stop: Int, slots: _U64, tokens: _Tokens) -> Int:
    """The number of tokens of data[start:stop], as fastText's `readWord` finds them; "</s>" ends the document."""
    count = 0
    at = start
    while at < stop:
        length = run = _until_space(data, at, stop)
        while run == 8 and at + length < stop:
            run = _until_space(data, at + length, stop)
            length += run
        length = min(length, stop - at)
        if length > 0:
            first = first_bytes(data, at, length)
            if first == _END_OF_LINE:
                return count
            _put(data, first, at, length, slots, tokens, count)
            count += 1
        at += length + 1
    return count


@inline
def _put(  # noqa: PLR0913, PLR0917 - numba takes arrays and scalars, by position
    data: _U8, first: Word, start: Int, length: Int, slots: _U64, tokens: _Tokens, count: Int
) -> None:
    """Writes a token to place `count`, and asks for its slot."""
    firsts, starts, lengths, hashes = tokens
    value = _hash(data, first, start, length)
    prefetch(slots, np.int64(value) & (slots.size - 1))
    firsts[count], starts[count], lengths[count], hashes[count] = first, start, length, value


@inline
def _decide(folded: _U8, begin: Int, end: Int) -> Int:
    """What becomes of a normalised token: numbers are masked, long ones dropped."""
    if 0x30 <= folded[begin] <= 0x39:
        return _MASKED
    return _DROPPED if end - begin > MAX_TOKEN_BYTES else _KEPT


@leaf
def _take(folded: _U8, folded_ends: _I64, start: Int, stop: Int, slots: _U64, tokens: _Tokens) -> Int:
    """The number of prepared tokens of a document, the normalised tokens `start` to `stop` of a batch."""
    count = 0
    begin = folded_ends[start - 1] if start > 0 else 0
    for token in range(start, stop):
        end = folded_ends[token]
        decision = _decide(folded, begin, end)
        if decision != _DROPPED:
            first, length = np.uint64(MASK), np.int64(1)
            if decision == _KEPT:
                first, length = first_bytes(folded, begin, end - begin), end - begin
            _put(folded, first, begin, length, slots, tokens, count)
            count += 1
        begin = end
    return count


@jit
def prepare(folded: _U8, folded_ends: _I64, start: Int, stop: Int) -> _U8:
    """The prepared tokens of a document joined by one space: what a model is trained on."""
    begin = folded_ends[start - 1] if start > 0 else 0
    size = folded_ends[stop - 1] - begin + stop - start if stop > start else 0
    joined = np.empty(size, np.uint8)
    put = 0
    for token in range(start, stop):
        end = folded_ends[token]
        decision = _decide(folded, begin, end)
        if decision != _DROPPED:
            if put > 0:
                joined[put] = 0x20
                put += 1
            if decision == _MASKED:
                joined[put] = MASK
                put += 1
            else:
                for at in range(begin, end):
                    joined[put] = folded[at]
                    put += 1
        begin = end
    return joined[:put]


@inline
def _add_row(values: _F32, row: Int, sums: _F64) -> None:
    for value in range(sums.size):
        sums[value] += values[row, value]


@leaf
def _sum_rows(values: _F32, rows: _I32, count: Int, sums: _F64) -> None:
    """Adds the values of the rows; with one value a row, in four sums, so that additions do not wait for each other."""
    if values.shape[1] != 1:
        for number in range(count):
            _add_row(values, rows[number], sums)
        return
    first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
    whole = count - count % 4
    for number in range(0, whole, 4):
        first += values[rows[number], 0]
        second += values[rows[number + 1], 0]
        third += values[rows[number + 2], 0]
        fourth += values[rows[number + 3], 0]
    for number in range(whole, count):
        first += values[rows[number], 0]
    sums[0] += (first + second) + (third + fourth)


@inline
def _byte(data: _U8, start: Int, length: Int, at: Int) -> Int:
    """Byte `at` of "<word>", the word being data[start:start + length]."""
    if at == 0:
        return np.int64(0x3C)
    return np.int64(data[start + at - 1]) if at <= length else np.int64(0x3E)


@leaf
def _add_subwords(model: Model, data: _U8, start: Int, length: Int, sums: _F64) -> Int:
    """Adds the character n-grams of "<word>" for a word that is not in the dictionary; how many there are."""
    values, settings = model[4], model[6]
    least, most = np.int64(settings[MIN_CHARS]), np.int64(settings[MAX_CHARS])
    size = length + 2
    count = np.int64(0)
    for begin in range(size):
        if _byte(data, start, length, begin) & 0xC0 == 0x80:
            continue
        value = _FNV_START
        chars, at = np.int64(1), np.int64(begin)
        while at < size and chars <= most:
            value = _absorb(value, np.uint64(_byte(data, start, length, at)))
            at += 1
            while at < size and _byte(data, start, length, at) & 0xC0 == 0x80:
                value = _absorb(value, np.uint64(_byte(data, start, length, at)))
                at += 1
            if chars >= least and not (chars == 1 and (begin == 0 or at == size)):
                bucket = _bucket(value & _LOW_32, settings[BUCKETS], settings[RECIPROCAL])
                _add_row(values, np.int64(settings[WORDS]) + bucket, sums)
                count += 1
            chars += 1
    return count


@jit
def subword_sums(model: Model, sums: _F64) -> _I32:
    """Adds to each word's own values, float64[V, K], those of its character n-grams; its number of features.

    "</s>" has none. The words' own rows of the model are not read.
    """
    word_bytes, word_ends = model[2], model[3]
    counts = np.ones(sums.shape[0], np.int32)
    begin = 0
    for number in range(sums.shape[0]):
        end = word_ends[number]
        if first_bytes(word_bytes, begin, end - begin) != _END_OF_LINE:
            counts[number] += _add_subwords(model, word_bytes, begin, end - begin, sums[number])
        begin = end
    return counts


@inline
def _look_up(model: Model, data: _U8, tokens: _Tokens, count: Int, rows: _I32, sums: _F64) -> tuple[Int, Int, Int]:
    """(tokens without labels, rows of words, features); the hashes of those tokens come first in `tokens` now."""
    firsts, starts, lengths, hashes = tokens
    per_word, settings = model[5], model[6]
    words = np.int64(settings[WORDS])
    kept: Int = 0
    found: Int = 0
    features: Int = 0
    for token in range(count):
        first, length = firsts[token], lengths[token]
        number = _find(model, data, first, starts[token], length, hashes[token])
        if number >= words:
            continue
        if number >= 0:
            rows[found] = number
            found += 1
            features += per_word[number] if settings[MAX_CHARS] > 0 else 1
        elif first == _LABEL and length > 8 and data[starts[token] + 8] == 0x5F:
            continue
        elif settings[MAX_CHARS] > 0:
            features += _add_subwords(model, data, starts[token], length, sums)
        hashes[kept] = hashes[token]
        kept += 1
    return kept, found, features


@inline
def _ngram_rows(model: Model, tokens: _Tokens, count: Int, rows: _I32, found: Int) -> Int:
    """The number of rows after those of the word n-grams; the first bytes and the hashes of tokens are overwritten.

    An n-gram's hash goes on from that of the n-gram one word shorter, each word's with its sign to 64 bits: so all
    n-grams of one length are made before the next length, and no step waits for the one before it.
    """
    values, settings = model[4], model[6]
    words, width = np.int64(settings[WORDS]), values.shape[1]
    buckets, reciprocal = settings[BUCKETS], settings[RECIPROCAL]
    longer, hashes = tokens[0], tokens[3]
    for token in range(count):
        longer[token] = hashes[token] = np.uint64(np.int64(np.int32(hashes[token])))
    for ahead in range(1, np.int64(settings[NGRAMS])):
        for token in range(count - ahead):
            value = longer[token] * _NGRAM + hashes[token + ahead]
            longer[token] = value
            row = words + _bucket(value, buckets, reciprocal)
            prefetch(values, row * width)
            rows[found] = row
            found += 1
    return found


@inline
def _score(model: Model, data: _U8, tokens: _Tokens, count: Int, rows: _I32, sums: _F64) -> None:
    """Leaves in `sums` the mean of the values of all features of a document; NaN if it has none."""
    values, per_word, settings = model[4], model[5], model[6]
    hashes = tokens[3]
    for value in range(sums.size):
        sums[value] = 0.0
    kept, found, features = _look_up(model, data, tokens, count, rows, sums)
    hashes[kept] = _hash(data, _END_OF_LINE, 0, 4)  # each line ends with it
    kept += 1
    if settings[END_ROW] > 0:
        rows[found] = np.int64(settings[END_ROW]) - 1
        found += 1
        features += per_word[np.int64(settings[END_ROW]) - 1]
    last = _ngram_rows(model, tokens, kept, rows, found)
    _sum_rows(values, rows, last, sums)
    features += last - found
    for value in range(sums.size):
        sums[value] = sums[value] / features if features > 0 else np.nan


@inner
def _room(model: Model, tokens: Int) -> tuple[_Tokens, _I32]:
    """Places for the tokens of one document and the end of its line, and for their rows."""
    size = tokens + 1
    places = np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.uint64)
    return places, np.empty(size * max(1, np.int64(model[6][NGRAMS])), np.int32)


@jit
def score_texts(data: _U8, offsets: _I64, model: Model) -> _F64:
    """float64[N, K]: for each text the mean values, its tokens parted by white space as fastText parts them."""
    means = np.empty((offsets.size - 1, model[4].shape[1]), np.float64)
    longest = np.int64(0)
    for document in range(means.shape[0]):
        longest = max(longest, offsets[document + 1] - offsets[document])
    tokens, rows = _room(model, longest // 2 + 1)
    for document in range(means.shape[0]):
        count = _split(data, offsets[document], offsets[document + 1], model[0], tokens)
        _score(model, data, tokens, count, rows, means[document])
    return means


@jit
def score_tokens(folded: _U8, folded_ends: _I64, offsets: _I64, model: Model) -> _F64:
    """float64[N, K]: for each document the mean values of its normalised tokens, prepared as `prepare` does.

    folded : uint8[F], folded_ends : int64[T], offsets : int64[N + 1], of filters.text.Tokens.
    """
    means = np.empty((offsets.size - 1, model[4].shape[1]), np.float64)
    longest = np.int64(0)
    for document in range(means.shape[0]):
        longest = max(longest, offsets[document + 1] - offsets[document])
    tokens, rows = _room(model, longest)
    for document in range(means.shape[0]):
        count = _take(folded, folded_ends, offsets[document], offsets[document + 1], model[0], tokens)
        _score(model, folded, tokens, count, rows, means[document])
    return means

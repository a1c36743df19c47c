"""The wide net: places of a text that may tell a benchmark question in other words, to be put before a judge.

A paraphrase shares no run of tokens with its question, but its rare words and its numbers. So every question is a bag
of words, each with a weight in bits, log2(questions / questions that have it); and a window of the text about as long
as the question scores

    shared bits * (shared bits / bits of the question) * (shared bits / bits of the window)

The last factor tells a paraphrase from a page about the same things, which has other rare words too; with it a quarter
as many pairs are caught in clean books at the same recall. Nothing is convicted here: a pair is a question to ask.

Not built: anchors of 8 tokens with numbers masked, which 6 of 74 paraphrases share with their question, all of them
caught by their words; and a net of embeddings, which would catch what shares neither words nor numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from decontam.kernels import I64, U8, U64, Flags, place
from filters.text import CJK_RANGES, Batch, Tokens, char_spans, pack, tokenise
from filters.words import hash_bytes, inner, jit, leaf

Int = Any  # int and np.int64 are one type to numba, and two to a type checker

WIDE_VERSION = "wide-1"  # raised by hand when the same texts and questions make other pairs

# Score of a pair, in bits. Of 48 paraphrases in English and Chinese planted in books and pages, against 23,626
# questions, 8 finds 0.94, 12 finds 0.90 and 16 finds 0.81, with 880, 190 and 50 pairs in a MB of clean text. Of 26
# others, written when all this was chosen, each finds 0.85. (tests/paraphrases.jsonl)
MIN_SCORE = 12

# Tokens of the longest window; a text is looked at in blocks of two of them, each beginning in the middle of the last.
MAX_WINDOW = 512

# Pairs of a text that are kept, the best: so many for every started PAIRS_TOKENS tokens.
MAX_PAIRS = 16
PAIRS_TOKENS = 4_096

_PARTS = 64  # of a block, by which most questions are ruled out: a bit each
_UNITS = 16  # of a weight, to the bit: scores are exact in integers
_MIN_BITS = 2  # a word that more than a quarter of the questions have says nothing
_MIN_QUESTIONS = 1_000  # that are counted with: in a set of ten, every word would be common
_NUMBER_FACTOR = 2  # paraphrases keep numbers; without it five times as many pairs are caught at the same recall

# A word is cut to its first letters, without the s of a plural: sells, selling and sell are one.
_STEM_BYTES = 5
_LETTER_S = 0x73

_CJK = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in CJK_RANGES) + "]")


class Pair(NamedTuple):
    """A region of a text, and a question that it may tell."""

    question: int
    window: tuple[int, int]  # tokens of the text
    span: tuple[int, int]  # its characters
    score: int  # in bits, rounded down
    share: float  # of the question's bits that the region shares, 4 decimals


class Catch(NamedTuple):
    """What the net caught in a text."""

    pairs: list[Pair]  # the best first
    left_out: int  # further ones, too many for its length


class _Questions(NamedTuple):
    """What the kernel knows of the Q questions; V words."""

    groups: I64  # (Q,) 1 where the question has Chinese characters: its words are counted among such
    bits: I64  # (Q,) weight of all words
    widths: I64  # (Q,) tokens of a window
    offsets: I64  # (Q + 1,)
    words: I64  # (P,) those that weigh anything, of each question


class _Words(NamedTuple):
    """What the kernel knows of words."""

    weights: I64  # (2, V + 1) by group; the last is that of a word which no question has
    offsets: I64  # (V + 1,)
    questions: I64  # (P,) those in which a word weighs anything


@dataclass(frozen=True, eq=False, repr=False)
class Net:
    """Questions as bags of words."""

    vocabulary: U64  # (V,) hashes, sorted
    questions: _Questions
    words: _Words


def make_net(questions: Sequence[str]) -> Net:
    """The net of these questions; an empty text, as a private index has it, is never caught."""
    tokens = tokenise(pack(questions))
    hashes = stems(tokens.hashes, tokens.folded, tokens.folded_ends)
    numbers = _are_numbers(tokens)
    owners = np.repeat(np.arange(len(questions)), np.diff(tokens.offsets))
    vocabulary, words = np.unique(hashes, return_inverse=True)
    bags = np.unique(np.stack([owners, words], axis=1), axis=0)
    groups = np.array([_CJK.search(text) is not None for text in questions], dtype=np.int64)
    factors = np.ones(len(vocabulary), dtype=np.int64)
    factors[words[numbers]] = _NUMBER_FACTOR
    weights = np.stack([_weights(bags, groups, group, factors) for group in (0, 1)])
    bags = bags[weights[groups[bags[:, 0]], bags[:, 1]] > 0]
    by_word = bags[np.lexsort((bags[:, 0], bags[:, 1]))]
    bits = np.zeros(len(questions), dtype=np.int64)
    np.add.at(bits, bags[:, 0], weights[groups[bags[:, 0]], bags[:, 1]])
    return Net(
        vocabulary,
        _Questions(groups, bits, _widths(tokens), _offsets(bags[:, 0], len(questions)), bags[:, 1].copy()),
        _Words(weights, _offsets(by_word[:, 1], len(vocabulary)), by_word[:, 0].copy()),
    )


def wide_pairs(net: Net, texts: Sequence[str] | Batch, skip: Sequence[Collection[int]]) -> list[Catch]:
    """For each text what the net catches in it.

    skip : for each text, questions that are known to be in it.
    The region is the best window of the text, and half the question's length on each side, which the words that
    it tells otherwise may fill.
    """
    batch = texts if isinstance(texts, Batch) else pack(texts)
    tokens = tokenise(batch)
    rows: list[list[tuple[int, ...]]] = [[] for _ in range(len(batch))]
    for text, *row in _caught(net, tokens).tolist():
        if row[0] not in skip[text]:
            rows[text].append(tuple(row))
    return [_catch(net, batch, tokens, text, found) for text, found in enumerate(rows)]


def _catch(net: Net, batch: Batch, tokens: Tokens, text: int, rows: Sequence[tuple[int, ...]]) -> Catch:
    """The best of a text's rows (question, begin, end, shared bits, score) as pairs."""
    if not rows:
        return Catch([], 0)
    first, last = tokens.offsets[text : text + 2].tolist()
    kept = np.array(rows[: MAX_PAIRS * (1 + (last - first) // PAIRS_TOKENS)], dtype=np.int64)
    questions = kept[:, 0]
    margins = net.questions.widths[questions] // 3
    begins, ends = np.maximum(kept[:, 1] - margins, first), np.minimum(kept[:, 2] + margins, last)
    start, stop = batch.offsets[text : text + 2].tolist()
    byte_spans = np.stack([tokens.starts[begins], tokens.ends[ends - 1]], axis=1) - start
    spans = char_spans(batch.data[start:stop], byte_spans)
    shares = (kept[:, 3] / net.questions.bits[questions]).round(4)
    columns = (questions, begins - first, ends - first, spans[:, 0], spans[:, 1], kept[:, 4] // _UNITS, shares)
    pairs = [
        Pair(question, (begin, end), (left, right), score, share)
        for question, begin, end, left, right, score, share in zip(*(c.tolist() for c in columns), strict=True)
    ]
    return Catch(pairs, len(rows) - len(pairs))


def _caught(net: Net, tokens: Tokens) -> I64:
    """(text, question, begin, end, shared bits, score), each text and question once: by text, score, question."""
    words = numbered(net.vocabulary, stems(tokens.hashes, tokens.folded, tokens.folded_ends))
    least = MIN_SCORE * _UNITS
    capacity = 1024 + len(words) // 8
    count, rows = sweep(words, tokens.offsets, net.questions, net.words, (least, MAX_WINDOW), capacity)
    if count > capacity:
        count, rows = sweep(words, tokens.offsets, net.questions, net.words, (least, MAX_WINDOW), count)
    rows = rows[np.lexsort((rows[:, 2], -rows[:, 5], rows[:, 1], rows[:, 0]))]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (np.diff(rows[:, 0]) != 0) | (np.diff(rows[:, 1]) != 0)
    rows = rows[first]
    return rows[np.lexsort((rows[:, 1], -rows[:, 5], rows[:, 0]))]


def _weights(bags: I64, groups: I64, group: int, factors: I64) -> I64:
    """The weight of each word among the questions of a group, and that of a word which none has."""
    counts = np.bincount(bags[groups[bags[:, 0]] == group, 1], minlength=len(factors))
    questions = max(_MIN_QUESTIONS, int((groups == group).sum()))
    # math.log2, not numpy's, whose last digit is not the same on every machine
    of_count = [math.log2(questions / max(1, count)) for count in range(int(counts.max(initial=0)) + 1)]
    weights = np.array([round(_UNITS * bits) if bits >= _MIN_BITS else 0 for bits in of_count], dtype=np.int64)
    return np.append(weights[counts] * factors, weights[0])


def _widths(tokens: Tokens) -> I64:
    """A window is half as long again as its question."""
    widths: I64 = np.minimum(np.diff(tokens.offsets) * 3 // 2, MAX_WINDOW)
    return widths


def _offsets(ascending: I64, count: int) -> I64:
    offsets: I64 = np.searchsorted(ascending, np.arange(count + 1)).astype(np.int64)
    return offsets


def _are_numbers(tokens: Tokens) -> Flags:
    begins = np.append(0, tokens.folded_ends[:-1])[: len(tokens.hashes)]
    firsts = tokens.folded[begins]
    numbers: Flags = (firsts >= ord("0")) & (firsts <= ord("9"))
    return numbers


@jit
def stems(hashes: U64, folded: U8, folded_ends: I64) -> U64:
    """The hash of each token's stem; a token that does not begin with an ASCII letter is its own."""
    stemmed = hashes.copy()
    begin = np.int64(0)
    for token in range(hashes.shape[0]):
        size = folded_ends[token] - begin
        if np.uint8(folded[begin] - np.uint8(97)) < 26:
            if size > 3 and folded[folded_ends[token] - 1] == _LETTER_S:
                size -= 1
            stemmed[token] = hash_bytes(folded, begin, begin + min(size, _STEM_BYTES))
        begin = folded_ends[token]
    return stemmed


@jit
def numbered(vocabulary: U64, hashes: U64) -> I64:
    """The place of each hash in the sorted vocabulary, -1 where it has none."""
    words = np.empty(hashes.shape[0], np.int64)
    for token in range(hashes.shape[0]):
        words[token] = place(vocabulary, hashes[token])
    return words


@jit
def sweep(
    words: I64, offsets: I64, questions: _Questions, table: _Words, bounds: tuple[int, int], capacity: int
) -> tuple[int, I64]:
    """(how many, rows of text, question, begin, end, shared weight, score) of the windows that score enough.

    words : int64[T] number of each token's word, or -1; offsets : int64[N + 1]; bounds : least score, longest window.
    For each block and question the window that shares most, the first among equals, from its first shared word to its
    last; begin and end are tokens of the batch. At most `capacity` rows are written, all are counted.
    """
    least, window = bounds
    step = (2 * window + _PARTS - 1) // _PARTS
    rows = np.empty((capacity, 6), np.int64)
    count = 0
    shared_of, met = np.zeros_like(questions.bits), np.empty_like(questions.bits)
    parts = np.zeros(table.offsets.shape[0] - 1, np.uint64)
    own, held = np.zeros_like(table.offsets), np.zeros_like(table.offsets)
    for text in range(offsets.shape[0] - 1):
        begin = offsets[text]
        end = begin
        while end < offsets[text + 1]:
            end = min(begin + 2 * window, offsets[text + 1])
            block = words[begin:end]
            for at in range(_meet(block, questions.groups, table, (shared_of, met, parts), step)):
                question = met[at]
                most, bits = shared_of[question], questions.bits[question]
                shared_of[question] = 0
                if most * most < least * bits:  # the score is at most that
                    continue
                weights = table.weights[questions.groups[question]]
                bag = questions.words[questions.offsets[question] : questions.offsets[question + 1]]
                width = questions.widths[question]
                low, high = _promising(bag, weights, parts, (width // step + 2, least * bits))
                low, high = low * step, min(high * step, end - begin)
                first, last, shared = _best(block[low:high], bag, weights, width, (own, held))
                total = _weight_of(block[low + first : low + last], weights, held)
                score = shared**3 // max(1, bits * total)
                if score >= least:
                    if count < capacity:
                        at_token = begin + low
                        rows[count] = (text, question, at_token + first, at_token + last, shared, score)
                    count += 1
            _forget(block, parts)
            begin += window
    return count, rows[: min(count, capacity)]


@leaf
def _meet(words: I64, groups: I64, table: _Words, scratch: tuple[I64, I64, U64], step: int) -> int:
    """How many questions share a word with a block; adds up the weight of what each shares.

    scratch : weight shared with each question; questions met; the parts of the block, of `step` tokens, that hold each
    word, as bits.
    """
    shared_of, met, parts = scratch
    count = 0
    for token in range(words.shape[0]):
        word = words[token]
        if word < 0:
            continue
        if parts[word] == 0:
            for at in range(table.offsets[word], table.offsets[word + 1]):
                question = table.questions[at]
                if shared_of[question] == 0:
                    met[count] = question
                    count += 1
                shared_of[question] += table.weights[groups[question], word]
        parts[word] |= np.uint64(1) << np.uint64(token // step)
    return count


@inner
def _promising(bag: I64, weights: I64, parts: U64, bounds: tuple[int, int]) -> tuple[int, int]:
    """(first, end) of the parts of a block in which a window may share enough; (0, 0) if none.

    bounds : parts that a window may touch; square of the weight that is enough. A bound for a few nanoseconds a word,
    where looking at all windows of the block costs a microsecond.
    """
    run, enough = bounds
    sums = np.zeros(_PARTS, np.int64)
    for word in bag:
        near = parts[word]  # bit p: a run of parts from p on holds the word
        if near == 0:
            continue
        size = 1
        while size < run:
            shift = min(size, run - size)
            near |= near >> np.uint64(shift)
            size += shift
        for part in range(_PARTS):
            sums[part] += weights[word] * np.int64((near >> np.uint64(part)) & np.uint64(1))
    first, end = _PARTS, 0
    for part in range(_PARTS):
        if sums[part] * sums[part] >= enough:
            first, end = min(first, part), part + run
    return (first, end) if end else (0, 0)


@leaf
def _best(words: I64, bag: I64, weights: I64, width: int, scratch: tuple[I64, I64]) -> tuple[int, int, Int]:
    """(first token, end, weight) of the window that shares most with a question; a word counts once in a window."""
    own, held = scratch
    for word in bag:
        own[word] = weights[word]
    best_first, best_end, best = 0, 0, np.int64(0)
    first, shared = 0, np.int64(0)
    for at in range(words.shape[0]):
        word = words[at]
        if word < 0 or own[word] == 0:
            continue
        shared += own[word] * (held[word] == 0)
        held[word] += 1
        while first <= at - width or words[first] < 0 or own[words[first]] == 0:
            if words[first] >= 0 and own[words[first]]:
                held[words[first]] -= 1
                shared -= own[words[first]] * (held[words[first]] == 0)
            first += 1
        if shared > best:
            best_first, best_end, best = first, at + 1, shared
    for word in bag:
        own[word] = 0
        held[word] = 0
    return best_first, best_end, best


@leaf
def _weight_of(words: I64, weights: I64, held: I64) -> Int:
    """The weight of a window: of its words once each, and of every token that no question knows."""
    total = np.int64(0)
    for word in words:
        if word < 0:
            total += weights[-1]
        elif held[word] == 0:
            held[word] = 1
            total += weights[word]
    _forget(words, held)
    return total


@leaf
def _forget(words: I64, state: npt.NDArray[Any]) -> None:
    """Sets the state of these words back to nothing."""
    for word in words:
        if word >= 0:
            state[word] = 0

"""Whether a text has an item's words, or no more than its formulas; and whether a short one has its signs, too.

Signs are no tokens, and thirteen tokens of a formula say little: a page with the series x - x^3/3! + x^5/5! shares an
anchor and most tokens with "Rewrite the sum using summation notation: x - x^3/3 + ...", and none of its words. Such a
match is for `review`: copies have nearly all words that could be common (docs/decisions.md has the counts).

An item of hardly any words ("Solve for x: x - 2x + 3x - ...") is told by its operators instead, each with the token
behind it: a program's list x1, x2, x3 has its tokens, and none of these.

A short item is so little text that signs decide: "Solve |x-2|<1" is no part of a program that has `solve(x**2 - 1`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from decontam.kernels import I64, NO_NGRAM, U8, U64, Flags, roll
from decontam.lcs import best_windows
from decontam.private import keyed
from filters.text import Batch, Tokens, pack, token_hash, tokenise
from filters.words import jit

MIN_WORDS = 3  # of an item; with fewer ("Compute", "Solve for x") its formula is what it says

_OPERATORS = frozenset("+-*/=<>")
_OPERATOR_HASHES = np.array(sorted(map(token_hash, _OPERATORS)), dtype=np.uint64)
_BACKSLASH, _CJK_LEAD = ord("\\"), 0xE3  # the lowest first byte of kana and Han; letters before it do not come alone


@jit
def says_words(folded: U8, folded_ends: I64, data: U8, starts: I64) -> Flags:
    """bool[T]: whether each token is a word: two letters or more, or a CJK character; no number, no LaTeX command.

    folded, folded_ends, starts : of `filters.text.Tokens`; data : of its batch.
    """
    words = np.zeros(folded_ends.shape[0], np.bool_)
    begin = np.int64(0)
    for token in range(folded_ends.shape[0]):
        end = folded_ends[token]
        first = folded[begin]
        letters = 0
        for at in range(begin, end):
            letters += (folded[at] & 0xC0) != 0x80
        is_number = np.uint8(first - np.uint8(48)) < 10
        words[token] = not is_number and (letters > 1 or first >= _CJK_LEAD) and data[starts[token]] != _BACKSLASH
        begin = end
    return words


class Wording:
    """The words of texts alone: what `common_words` compares."""

    def __init__(self, hashes: U64, offsets: I64, words: Flags) -> None:
        """Takes token hashes, the token range of each text, and which of them are words."""
        self.hashes = hashes[words]
        self._before = np.append(np.int32(0), np.cumsum(words, dtype=np.int32))
        self.offsets = self.places(offsets)

    def places(self, tokens: I64) -> I64:
        """How many words there are before each token."""
        return self._before[tokens].astype(np.int64)

    def freeze(self) -> Wording:
        """Itself, for an index: read-only, and without what `places` needs, as large as all that is kept."""
        self._before = np.empty(0, np.int32)
        for array in (self.hashes, self.offsets):
            array.flags.writeable = False
        return self


def has_wording(items: Wording, texts: Wording, pairs: tuple[I64, I64, I64], threshold: tuple[int, int]) -> Flags:
    """Whether the words common to an item and its window, in order, are more than a share of those that could be.

    pairs : int64[C] item, first token and end of the window; threshold : the share, as a fraction.
    An item of fewer than MIN_WORDS words has it always; see `has_signs`.
    """
    numbers = pairs[0]
    begins, ends = texts.places(pairs[1]), texts.places(pairs[2])
    own = np.arange(len(numbers))
    _, common = best_windows(texts.hashes, (items.hashes, items.offsets), numbers, own, begins, ends)
    count = items.offsets[numbers + 1] - items.offsets[numbers]
    above: Flags = common * threshold[1] > np.minimum(ends - begins, count) * threshold[0]
    return above | (count < MIN_WORDS)


def texts_wording(batch: Batch, tokens: Tokens, texts: I64, key: bytes) -> tuple[Wording, I64]:
    """(the words of some texts of a batch, for each the distance of its tokens there from those of the batch).

    texts : int64[D], distinct numbers of texts; the second is int64[D].
    """
    part = pack([batch.data[batch.offsets[text] : batch.offsets[text + 1]].tobytes() for text in texts.tolist()])
    own = keyed(tokenise(part), key)
    words = says_words(own.folded, own.folded_ends, part.data, own.starts)
    return Wording(own.hashes, own.offsets, words), own.offsets[:-1] - tokens.offsets[texts]


class Signs(NamedTuple):
    """The operators of N texts, each with the token behind it, as hashes; text i has those from offsets[i] on."""

    pairs: U64  # (S,)
    offsets: I64  # (N + 1,)


def signs_of(texts: Sequence[bytes], key: bytes = b"") -> Signs:
    """The operators of some texts, under the key of an index if it has one."""
    tokens = tokenise(pack(texts), operators=True, folded=False, spans=False)
    pairs = roll(keyed(tokens, key).hashes, tokens.offsets, 2)
    kept = np.isin(tokens.hashes, _OPERATOR_HASHES) & (pairs != NO_NGRAM)
    return Signs(pairs[kept], np.append(0, np.cumsum(kept))[tokens.offsets])


def has_signs(items: Signs, texts: Signs, numbers: I64, threshold: tuple[int, int]) -> Flags:
    """Whether the operators common to text i and item numbers[i] are more than a share of those that could be.

    Each with the token behind it, and each that an item has twice counts twice. An item without any has it always.
    """
    found = np.ones(len(numbers), dtype=bool)
    for row, item in enumerate(numbers.tolist()):
        own = items.pairs[items.offsets[item] : items.offsets[item + 1]]
        other = texts.pairs[texts.offsets[row] : texts.offsets[row + 1]]
        common = int(np.isin(own, other).sum())
        found[row] = not len(own) or common * threshold[1] > min(len(own), len(other)) * threshold[0]
    return found


def sign_digests(texts: Sequence[bytes], key: bytes = b"") -> U64:
    """uint64[N], a digest of the tokens and operators of each text, of what stands between its first and last token.

    A hyphen between words is no operator.
    """
    tokens = tokenise(pack(texts), operators=True)
    digests = [_sign_digest(tokens.strings(text), key) for text in range(len(texts))]
    return np.array(digests, dtype=np.uint64)


def _sign_digest(tokens: Sequence[str], key: bytes) -> int:
    inner = [place for place, one in enumerate(tokens) if one not in _OPERATORS]
    kept = [tokens[place] for place in range(inner[0], inner[-1] + 1) if not _is_hyphen(tokens, place)] if inner else []
    return int.from_bytes(hashlib.blake2b(" ".join(kept).encode(), digest_size=8, key=key).digest(), "little")


def _is_hyphen(tokens: Sequence[str], place: int) -> bool:
    return tokens[place] == "-" and _is_word(tokens[place - 1]) and _is_word(tokens[place + 1])


def _is_word(token: str) -> bool:
    return len(token) > 1 and token.isalpha()

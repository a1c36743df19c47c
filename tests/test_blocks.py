"""The tokeniser's shortcut by blocks of 64 bytes: it changes no token, wherever a block begins or ends."""

from __future__ import annotations

from random import Random

import naive
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_text import PIECES, with_spans
from test_text import documents as short_documents

from filters import masks, plain
from filters import text as text_module
from filters.text import pack, token_spans, tokenise
from filters.words import jit

BORDERS = [
    *(
        "1,234,567",
        "3.14.x",
        "1{,}234",
        "12\\,345",
        "12,34",
        "9.",
        "，３",
        "x2\u200b3",
        "1．5",
        "3，4",
        "don’t “5” – 6.",
    ),
    *(
        "\\begin{align*}",
        "\\dfrac12",
        "\\text{if}",
        "\\operatornamewithlimits",
        "\\le",
        "\\\\alphaβ",
        "differentiation",
    ),
    *("中文，字。", "か\u3099", "䷀中", "é", "½", "㌖中", "𠮷", "中文abc123中", "ABCDEFGHI" * 9, "、" * 30),
]
pieces = st.sampled_from([piece.encode() for piece in [*PIECES, *BORDERS, *"the quick brown fox 12".split()]])
documents = st.one_of(short_documents, *(st.lists(pieces, max_size=60).map(join) for join in (b" ".join, b"".join)))


@settings(max_examples=400, deadline=None)
@given(st.lists(documents, max_size=4), st.booleans())
def test_blocks_agree_with_the_twin(texts: list[bytes], operators: bool) -> None:
    """Texts of many blocks give the tokens of the plain rule, and their hashes."""
    batch = pack(texts)
    tokens = tokenise(batch, operators=operators)
    expected = [naive.tokens(text, operators=operators) for text in texts]

    assert expected == with_spans(tokens, batch)
    assert [naive.token_hash(token.text) for document in expected for token in document] == tokens.hashes.tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(documents, max_size=4), st.booleans())
def test_what_is_left_out_changes_nothing_else(texts: list[bytes], operators: bool) -> None:
    """Without folded bytes and spans, hashes and offsets are the same, and the arrays left out are empty."""
    whole = tokenise(pack(texts), operators=operators)
    bare = tokenise(pack(texts), operators=operators, folded=False, spans=False)
    spans = tokenise(pack(texts), operators=operators, folded=False)

    assert whole.hashes.tolist() == bare.hashes.tolist() == spans.hashes.tolist()
    assert whole.offsets.tolist() == bare.offsets.tolist()
    assert [whole.starts.tolist(), whole.ends.tolist()] == [spans.starts.tolist(), spans.ends.tolist()]
    assert 0 == whole.numbers.size == bare.starts.size == bare.ends.size == bare.folded.size == bare.folded_ends.size


@settings(max_examples=300, deadline=None)
@given(documents.filter(lambda text: len(text) < 72), st.booleans())
def test_blocks_agree_with_the_scan_alone(text: bytes, operators: bool) -> None:
    """A batch without spare bytes has no room for a block of 64, and gives the same tokens by the scan alone."""
    alone = text_module.Batch(np.frombuffer(text, np.uint8), np.array([0, len(text)]))
    tokens, expected = (tokenise(batch, operators=operators) for batch in (alone, pack([text])))

    assert expected.strings(0) == tokens.strings(0)
    assert [expected.starts.tolist(), expected.ends.tolist()] == [tokens.starts.tolist(), tokens.ends.tolist()]


@pytest.mark.parametrize("filler", [b"a ", "中".encode(), b"x", b"7"])
@pytest.mark.parametrize("construct", BORDERS)
def test_blocks_are_cut_nowhere(construct: str, filler: bytes) -> None:
    """A construct gives its tokens wherever it straddles the border of a block of 64 bytes, at the end of a text too."""
    texts = [filler * pad + construct.encode() + end for pad in range(68) for end in (b"", b" b 1" * 20)]
    batch = pack(texts)

    assert [naive.tokens(text) for text in texts] == with_spans(tokenise(batch), batch)


@settings(max_examples=200, deadline=None)
@given(st.lists(documents, max_size=4), st.booleans())
def test_numbers_are_flagged(texts: list[bytes], operators: bool) -> None:
    """A token is a number when it begins with a digit, whoever found it: the blocks or the scan."""
    tokens = tokenise(pack(texts), operators=operators, numbers=True)
    expected = [token[0].isdigit() for text in range(len(texts)) for token in tokens.strings(text)]
    bare = tokenise(pack(texts), operators=operators, folded=False, spans=False, numbers=True)

    assert expected == tokens.numbers.tolist() == bare.numbers.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(documents, min_size=1, max_size=4), st.integers(0, 5000), st.randoms(use_true_random=False))
def test_spans_are_found_later(texts: list[bytes], pad: int, random: Random) -> None:
    """In documents of many segments the spans of any tokens are those that the whole pass gives, in the order asked."""
    batch = pack([b"x" * (pad % 7) + (text + b" 1,2 ") * (pad // (1 + len(text))) + text for text in texts])
    whole, bare = tokenise(batch), tokenise(batch, folded=False, spans=False)
    wanted = np.array(random.sample(range(len(whole.hashes)), min(40, len(whole.hashes))), dtype=np.int64)

    assert np.stack([whole.starts, whole.ends], axis=1)[wanted].tolist() == token_spans(batch, bare, wanted).tolist()


def test_a_long_document_can_be_taken_up_in_the_middle() -> None:
    """Every token of a document of many segments is found from the nearest place that the first pass kept."""
    text = ("1,234.5 \\begin{align*}\\dfrac{a}{b} caf\u00e9 3\uff0c400\u5343\u5146 \u2460" * 3 + "x" * 700 + "\n") * 60
    batch = pack(["", text, "a b", text, "."])
    whole, bare = tokenise(batch), tokenise(batch, folded=False, spans=False)
    expected = np.stack([whole.starts, whole.ends], axis=1)

    assert len(bare.restarts) > 5
    assert np.array_equal(expected, token_spans(batch, bare, np.arange(len(whole.hashes))))


@jit
def write_both(words: npt.NDArray[np.uint64], base: int) -> npt.NDArray[np.uint16]:
    """What the two ways to write places make of some words: a row for each, as far as there are bits."""
    rows = np.zeros((2, 64 * words.size + 64), np.uint16)
    count = 0
    for word in words:
        masks.write_places_at_once(rows[0], count, word, base)
        masks.write_places_one_by_one(rows[1], count, word, base)
        count += masks.count_bits(word)
    return rows[:, :count]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 1, (1 << 64) - 1]), max_size=8))
def test_places_are_written_alike_by_any_machine(words: list[int]) -> None:
    """The instruction that compresses a register and the loop in its place write the numbers of the bits."""
    expected = [1000 + bit for word in words for bit in range(64) if word >> bit & 1]

    assert [expected, expected] == write_both(np.array(words, dtype=np.uint64), 1000).tolist()


@jit
def hash_both(
    data: npt.NDArray[np.uint8], base: int, starts: npt.NDArray[np.uint16], ends: npt.NDArray[np.uint16], count: int
) -> npt.NDArray[np.uint64]:
    """What the two ways to hash short tokens make of some: a row for each."""
    rows = np.zeros((2, count + 8), np.uint64)
    plain.hash_short_at_once(data, base, starts, ends, count, rows[0])
    plain.hash_short_one_by_one(data, base, starts, ends, count, rows[1])
    return rows[:, :count]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("aZ\u007f09+.", min_size=1, max_size=8), max_size=20), st.integers(0, 9))
def test_short_tokens_are_hashed_alike_by_any_machine(tokens: list[str], base: int) -> None:
    """Eight at a time in registers, and one by one: the hashes of the tokens in lower case."""
    data = np.frombuffer(bytes(base) + "".join(tokens).encode() + bytes(64), np.uint8)
    places = np.cumsum([0, *map(len, tokens)]).astype(np.uint16)
    starts, ends = np.append(places[:-1], np.zeros(8, np.uint16)), np.append(places[1:], np.zeros(8, np.uint16))
    expected = [naive.token_hash("".join(chr(ord(c) | 0x20 if c.isalpha() else ord(c)) for c in t)) for t in tokens]

    assert [expected, expected] == hash_both(data, base, starts, ends, len(tokens)).tolist()

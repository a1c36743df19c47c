"""The tokeniser's shortcut by blocks of 64 bytes: it changes no token, wherever a block begins or ends."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_text import PIECES, with_spans
from test_text import documents as short_documents

from filters import text as text_module
from filters.text import pack, tokenise

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
    assert 0 == bare.starts.size == bare.ends.size == bare.folded.size == bare.folded_ends.size


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

"""The rule `text-1`: what is a token, where it came from, and that the kernel agrees with its slow twin."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import unicodedata

import naive
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import text as text_module
from filters.errors import InputError
from filters.text import (
    CJK_RANGES,
    COMMANDS,
    TEXT_VERSION,
    Tokens,
    char_spans,
    from_arrow,
    pack,
    token_hash,
    token_strings,
    tokenise,
)

# Rich in everything that the rule says something about.
PIECES = [
    *"0123456789012345,,,...{}\\\\+-*/=<>$ _^&~abcZ\n\0",
    *"，．０９＼｛｝½²₃①⒈🄁㏠㎏é가ﬁ中が々ー㌖𠮷ςΣİßﷺ𝟎٣−×⁄ªⁿ\u0301\u3099\u200b\u00ad\ufeff\ufffd",
    *("\\,", "{,}", "1,234", "000", "3.14", "12", "e\u0301", "か\u3099"),
    *(
        "\\frac",
        "\\dfrac",
        "\\left",
        "\\Left",
        "\\text",
        "\\begin{a*}",
        "\\end{x}",
        "\\begin{",
        "\\begin{}",
        "\\alphaβ",
    ),
    *("differentiation", "\\operatorname", "中文，字。"),
]
BROKEN = [b"\xff", b"\x80", b"\xe2\x82", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8"]

pieces = st.lists(st.sampled_from([piece.encode() for piece in PIECES]), max_size=30).map(b"".join)
broken_pieces = st.lists(st.sampled_from([piece.encode() for piece in PIECES] + BROKEN), max_size=30).map(b"".join)
documents = st.one_of(pieces, broken_pieces, st.text(max_size=30).map(str.encode), st.binary(max_size=30))


def with_spans(tokens: Tokens, batch: text_module.Batch) -> list[list[naive.Token]]:
    """The tokens of each document as the twin gives them, with spans relative to the document."""
    found = []
    for i, base in enumerate(batch.offsets[:-1].tolist()):
        own = slice(tokens.offsets[i], tokens.offsets[i + 1])
        spans = zip((tokens.starts[own] - base).tolist(), (tokens.ends[own] - base).tolist(), strict=True)
        found.append([naive.Token(text, *span) for text, span in zip(tokens.strings(i), spans, strict=True)])
    return found


@settings(max_examples=600, deadline=None)
@given(st.lists(documents, max_size=4), st.booleans())
def test_kernel_agrees_with_its_twin(texts: list[bytes], operators: bool) -> None:
    """Tokens, spans and hashes equal the plain rule's on any bytes, with and without operators."""
    batch = pack(texts)
    tokens = tokenise(batch, operators=operators)
    expected = [naive.tokens(text, operators=operators) for text in texts]

    assert expected == with_spans(tokens, batch)
    assert [naive.token_hash(token.text) for document in expected for token in document] == tokens.hashes.tolist()


@pytest.mark.parametrize(
    "construct", ["1,234,567", "\\begin{align*}", "\\operatornamewithlimits", "㌖中", "½", "e\u0301a"]
)
def test_documents_longer_than_a_segment_are_cut_nowhere(construct: str) -> None:
    """A construct gives its tokens wherever it straddles the border where the output may grow."""
    size = len(construct.encode())
    pads = [(1 << 15) - before for before in range(size + 2)]
    batch = pack([b"," * pad + construct.encode() + b" x1" for pad in pads])
    expected = naive.tokens(construct.encode() + b" x1")

    assert [[naive.Token(text, start + pad, end + pad) for text, start, end in expected] for pad in pads] == with_spans(
        tokenise(batch), batch
    )


def test_output_grows_for_text_that_is_nothing_but_tokens() -> None:
    """The code points of most tokens and of most folded bytes fit, though the first guess is too small."""
    tokens = tokenise(
        pack(["㌖" * 50_000, "ﷺ" * 50_000, "=" * 200_000, "a" * 200_000, "\\" + "b" * 200_000]), operators=True
    )

    assert [300_000, 150_001, 200_000, 1, 1] == np.diff(tokens.offsets).tolist()
    assert "キロメートル" * 50_000 == "".join(tokens.strings(0))
    assert "b" * 200_000 == tokens.normalised(4)


def test_no_code_point_outgrows_the_room_of_the_kernel() -> None:
    """Every code point gives at most 2 tokens and 12 folded bytes for each byte of its own."""
    batch = pack([chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000])
    tokens = tokenise(batch, operators=True)
    folded_ends = np.concatenate([[0], tokens.folded_ends])[tokens.offsets]

    assert (np.diff(tokens.offsets) <= 2 * np.diff(batch.offsets)).all()
    assert (np.diff(folded_ends) <= 12 * np.diff(batch.offsets)).all()


def test_every_code_point_folds_as_the_twin_says() -> None:
    """Each code point, among letters and digits, has the tokens of the plain rule; blocks of one kind are sampled."""
    small = [
        *range(0x3400),
        *range(0xA000, 0xAD00),
        *range(0xF900, 0x12000),
        *range(0x1B000, 0x20000),
        *range(0x2F800, 0x2FA20),
    ]
    chars = [
        chr(code)
        for code in [*small, *range(0x3400, 0x110000, 97)]
        if unicodedata.category(chr(code)) not in {"Cn", "Co", "Cs"}
    ]
    batch = pack([f"a{char}b1{char}2" for char in chars])
    expected = [naive.tokens(f"a{char}b1{char}2".encode(), operators=True) for char in chars]

    assert expected == with_spans(tokenise(batch, operators=True), batch)


def test_fold_tables_are_pinned() -> None:
    """The tables are the same bytes under every supported Python; a change of them is a new TEXT_VERSION."""
    folds, sequences = text_module._fold_tables()
    digest = hashlib.sha256(folds.astype("<u4").tobytes() + sequences.astype("<u4").tobytes()).hexdigest()

    assert ("text-1", "dc383374d2d8782af98671a7b01af71ad25e78ca3a09d874da9b556a101e7949") == (TEXT_VERSION, digest)


def test_cjk_ranges_hold_the_assigned_ideographs_and_kana() -> None:
    """Every ideograph and kana letter that Unicode names is in the table of ranges."""
    named = [
        code
        for code in range(0x3000, 0x32000)
        if unicodedata.category(chr(code))[0] == "L"
        and unicodedata.name(chr(code), "").startswith(("CJK UNIFIED", "CJK COMPATIBILITY", "HIRAGANA", "KATAKANA"))
        and unicodedata.normalize("NFKC", chr(code)) == chr(code)
    ]

    assert [] == [hex(code) for code in named if not any(first <= code <= last for first, last in CJK_RANGES)]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("x", 0x434B21D3A93C2C1D),
        ("frac", 0x236D688F6CAB168B),
        ("中", 0xA09B9C6264B58ED8),
        ("1234567.5", 0x421597FC0F2B505C),
        ("differentiation", 0x828B3CB1F4691C23),
    ],
)
def test_token_hashes_are_pinned(token: str, expected: int) -> None:
    """A saved index stays readable: the hash of a token never changes within a version."""
    assert expected == token_hash(token) == naive.token_hash(token) == tokenise(pack([token])).hashes[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The 3rd-order term, 2x", "the 3 rd order term 2 x"),
        ("don't U.S. e.g.", "don t u s e g"),
        ("中文，字。Python3", "中 文 字 python 3"),
        ("がガｶﾞ々〇", "か カ カ 々 〇"),
        ("", ""),
        (" \n\0\ufffd…", ""),
        ("a\0b", "a b"),
    ],
)
def test_words_numbers_and_characters_are_tokens(text: str, expected: str) -> None:
    """Runs of letters, numbers and single CJK characters are tokens; all else separates."""
    assert expected.split() == token_strings(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.14 1.2.3 5. .5 1..2", "3.14 1.2.3 5 5 1 2"),
        ("1,234,567.5", "1234567.5"),
        ("1,2,3 12,34 1,2345 1234,567", "1 2 3 12 34 1 2345 1234 567"),
        ("12,34,567", "12 34567"),
        ("1{,}234 1\\,234 1{,}23 1{2} 1\\;234", "1234 1234 1 23 1 2 1 234"),
        ("0.123,456 1,234.5,678", "0.123 456 1234.5 678"),
        ("１，２３４．５ ٣٫ 𝟎𝟏", "1234.5 3 01"),
        ("1,2\u200b34", "1234"),
    ],
)
def test_group_marks_join_and_lists_do_not(text: str, expected: str) -> None:
    """A group mark joins digits only where three follow and one to three stand before; a dot stays within."""
    assert expected.split() == token_strings(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10⁵ 10^5 x² H₂O xₙ₊₁", "10 5 10 5 x 2 h 2 o x n 1"),
        ("3½ ⒈5 ①3x ①②", "3 1 2 1 5 1 3 x 12"),
        ("5㎏ Foo™", "5 kg foo tm"),
    ],
)
def test_raised_and_symbol_characters_stand_apart(text: str, expected: str) -> None:
    """A power, an index, a fraction or a circled number never melts into the number before or after it."""
    assert expected.split() == token_strings(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("caf\u00e9 cafe\u0301 CAFÉ", "cafe cafe cafe"),
        ("ﬁnd of\u00adfice zero\u200bwidth \ufeffx", "find office zerowidth x"),
        ("ΣΑΣ σας Straße İ", "σασ σασ straße i"),
        ("ＡＢＣ ℝ 𝑥 Ⅳ", "abc r x iv"),
        ("한", "\u1112\u1161\u11ab"),
        ("\u1112\u1161\u11ab", "\u1112\u1161\u11ab"),
    ],
)
def test_spellings_of_one_letter_are_one(text: str, expected: str) -> None:
    """Composed, decomposed, full-width, ligature and styled letters fold to the same plain letter."""
    assert expected.split() == token_strings(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\dfrac{1}{2} \tfrac12 \frac ab", "frac 1 2 frac 12 frac ab"),
        (r"\left( x \right) \quad \text{if } \displaystyle y", "x if y"),
        (r"\begin{align*} x &= y \\ \end{align*}", "x y"),
        (r"\begin{2col} \begin x \end{a", "2 col x a"),
        (r"x \le y \leqslant z \Leftrightarrow \Gamma", "x leq y leq z iff gamma"),
        (r"\leftarrow \Left \lefty", "gets left lefty"),
        (r"\alphaβ a\mathrm{d}x \\frac", "alpha β a d x frac"),
        ("left frac dfrac", "left frac dfrac"),
        ("＼left \\1", "left 1"),
    ],
)
def test_latex_spellings_of_one_formula_are_one(text: str, expected: str) -> None:
    """Layout commands vanish, aliases become one name, other commands are a token of their own."""
    assert expected.split() == token_strings(text)


def test_operators_are_tokens_only_on_request() -> None:
    """Deduplication sees the signs in which two exercises differ; decontamination does not."""
    assert ["3", "5", "x", "1"] == token_strings("3+5 = -x ÷ 1")
    assert ["3", "+", "5", "=", "-", "x", "/", "1"] == token_strings("3+5 = -x ÷ 1", operators=True)
    assert ["a", "*", "b", "-", "c", "<", ">", "1", "/", "2"] == token_strings("a×b−c＜> ½", operators=True)


def test_malformed_bytes_separate() -> None:
    """Truncated, overlong, surrogate and too large sequences all part the tokens around them."""
    text = b"a\xe4\xb8b c\xc0\x80d\xed\xa0\x80e f\xf4\x90\x80\x80g\xe4\xb8"

    assert ["a", "b", "c", "d", "e", "f", "g"] == tokenise(pack([text])).strings(0)
    assert ["a", "b"] == token_strings("a\ud800b")


@settings(max_examples=200, deadline=None)
@given(documents, st.booleans())
def test_normalised_text_is_a_fixed_point(text: bytes, operators: bool) -> None:
    """The tokens of a document, joined by spaces and tokenised again, are the same tokens."""
    tokens = tokenise(pack([text]), operators=operators)

    assert tokens.strings(0) == token_strings(tokens.normalised(0), operators=operators)


@settings(max_examples=200, deadline=None)
@given(documents, st.booleans())
def test_a_span_holds_its_token(text: bytes, operators: bool) -> None:
    """The original bytes of a span give the token again, unless a code point has parts of several tokens (½)."""
    batch = pack([text])
    tokens = tokenise(batch, operators=operators)
    for token, start, end in with_spans(tokens, batch)[0]:
        again = [found.text for found in naive.tokens(text[start:end], operators=operators)]

        assert [token] == again or (token in " ".join(again) and len(again) > 1)


def test_spans_point_at_the_original_spelling() -> None:
    """A span covers the command with its backslash, the number with its marks, the accents in a word."""
    text = r"Né \dfrac 1{,}234.5 中"
    batch = pack(["before", text])
    tokens = tokenise(batch)
    own = slice(tokens.offsets[1], tokens.offsets[2])
    spans = np.stack([tokens.starts[own], tokens.ends[own]], axis=1) - batch.offsets[1]

    assert ["Né", "\\dfrac", "1{,}234.5", "中"] == [text[a:b] for a, b in char_spans(text, spans)]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_char_spans_count_characters(text: str) -> None:
    """The byte borders of every character of a text become its index."""
    borders = np.cumsum([0, *(len(char.encode("utf-8", "replace")) for char in text)])

    assert list(range(len(text) + 1)) == char_spans(text, np.stack([borders, borders], axis=1))[:, 0].tolist()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_arrow_columns_give_the_same_tokens(kind: pa.DataType) -> None:
    """Whole, sliced and empty columns, with nulls and empty texts, are read in place."""
    texts = ["one 1", "", None, "二 deux é", "three"]
    column = pa.array(texts, pa.string()).cast(kind)
    tokens = tokenise(from_arrow(column))

    assert [["one", "1"], [], [], ["二", "deux", "e"], ["three"]] == [tokens.strings(i) for i in range(5)]
    assert [["二", "deux", "e"]] == [tokenise(from_arrow(column[3:4])).strings(0)]
    assert 0 == len(tokenise(from_arrow(column[:0])))
    assert 0 == len(tokenise(from_arrow(pa.array([], kind))))


def test_other_arrow_types_are_refused() -> None:
    """A column of numbers is an input error that names its type."""
    with pytest.raises(InputError, match="int64"):
        from_arrow(pa.array([1]))


def test_empty_batches_and_documents_have_no_tokens() -> None:
    """No document, and a document of nothing, are batches like others."""
    assert [0] == tokenise(pack([])).offsets.tolist()
    assert [0, 0, 0] == tokenise(pack(["", b""])).offsets.tolist()
    assert "" == tokenise(pack([""])).normalised(0)


def test_read_only_and_writable_bytes_share_one_kernel() -> None:
    """A batch over Arrow's read-only memory does not compile the kernel a second time."""
    batch = pack(["a b"])
    tokenise(batch)
    before = len(text_module.kernels.tokenise.signatures)
    tokenise(text_module.Batch(batch.data.copy(), batch.offsets))
    tokenise(from_arrow(pa.array(["a b"])))

    assert before == len(text_module.kernels.tokenise.signatures)


def test_aliases_are_final() -> None:
    """An alias is no alias itself, so that one look-up suffices, and fits the 8 bytes of the table."""
    aliases = set(COMMANDS.values()) - {""}

    assert set() == aliases & set(COMMANDS)
    assert 8 >= max(len(alias) for alias in aliases)


def test_importing_the_tokeniser_is_light() -> None:
    """No engine, model or Arrow library comes with the import."""
    script = "import sys, filters.text; print([m for m in ('pyspark', 'datatrove', 'fasttext', 'pyarrow') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "[]" == run.stdout.strip()

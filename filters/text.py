"""The one normaliser and tokeniser: recall, quality, deduplication and decontamination all see these tokens.

A whole batch goes through one numba pass over its UTF-8 bytes; no Python object is made for a token.
The rule, `text-1`, is also written plainly in tests/naive.py, and both agree on every input:

1.  Malformed UTF-8 separates tokens, as U+FFFD does.
2.  Each code point folds on its own: NFKC, lower case, then letters to NFKD without their combining
    marks (é is e, が is か, composed or not; Hangul ends as jamo), ς to σ, any decimal digit to ASCII,
    − ∗ × ÷ ∕ ⁄ to the ASCII operator. Marks (Mn, Me) and format characters (Cf: zero width, soft
    hyphen, byte order mark) fold to nothing and do not break a token; ﬁ folds to "fi", ½ to "1", "/", "2".
3.  A token is a run of letters (L*, Mc), a number, or one CJK character (Han, kana, 々〆〇). All else
    separates. Letters and digits never share a token: "3rd" is 3, rd. Superscripts, subscripts and
    symbols (No, So: ², ₂, ½, ①, ㎏) share none with ordinary characters: "10⁵" is 10, 5, as "10^5" is.
4.  A number is digits, with each inner "." that a digit follows: "3.14"; "1.2.3" is one token. A mark
    ",", "{,}" or "\\," groups digits when 1 to 3 digits stand before it (since the start of the number
    or the last mark), exactly 3 follow, and no "." came before: it is dropped and the digits join.
    "1,234,567.5" is 1234567.5; "1,2,3" is 1, 2, 3; "12,34" is 12, 34; "1,2345" is 1, 2345.
5.  A backslash directly followed by ASCII letters is a LaTeX command: its name is a token (lower-cased)
    that no neighbour joins. Layout commands are dropped, \\begin and \\end with a directly following
    {name} or {name*} too; aliases become one spelling (`COMMANDS`). Names match case-sensitively.
6.  With `operators`, each folded + - * / = < > outside a command is a token as well.

Tokens joined by spaces are a fixed point: tokenised again they give the same tokens.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from filters import kernels, words
from filters.errors import InputError
from filters.words import hash_bytes, read_only

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CJK_RANGES",
    "COMMANDS",
    "NEWER_RANGES",
    "TEXT_VERSION",
    "Batch",
    "Tokens",
    "char_places",
    "char_spans",
    "from_arrow",
    "pack",
    "token_hash",
    "token_spans",
    "token_strings",
    "tokenise",
]

TEXT_VERSION = "text-1"

_U8 = npt.NDArray[np.uint8]
_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]

_SPARE_BYTES = 128  # zeros that `pack` leaves after the last document, for kernels that load words

_LAYOUT = """
    left right middle big Big bigg Bigg bigl bigr bigm Bigl Bigr Bigm biggl biggr biggm Biggl Biggr Biggm
    quad qquad enspace thinspace medspace thickspace negthinspace hspace vspace hfill vfill hskip vskip
    kern mkern displaystyle textstyle scriptstyle scriptscriptstyle limits nolimits displaylimits
    text textrm textbf textit textsf texttt textsc textsl textup textmd textnormal emph
    mathrm mathbf mathit mathsf mathtt mathnormal operatorname mbox hbox fbox boldsymbol pmb bm rm bf it sf tt sl em
    tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge
    mathop mathbin mathrel mathord mathopen mathclose mathpunct mathinner
    nonumber notag phantom hphantom vphantom smash strut mathstrut
    ldots cdots dots dotsc dotsb dotsm dotsi dotso
    lbrace rbrace lbrack rbrack lvert rvert vert
    par newline linebreak noindent centering hline relax
"""
_ALIASES = {
    "frac": "dfrac tfrac cfrac",
    "binom": "dbinom tbinom",
    "leq": "le leqslant leqq",
    "geq": "ge geqslant geqq",
    "neq": "ne",
    "to": "rightarrow longrightarrow",
    "gets": "leftarrow longleftarrow",
    "implies": "Rightarrow Longrightarrow",
    "iff": "Leftrightarrow Longleftrightarrow",
    "wedge": "land",
    "vee": "lor",
    "neg": "lnot",
    "emptyset": "varnothing",
    "ast": "star",
}

# LaTeX command (without its backslash) -> its token, "" when it is dropped; others keep their name.
COMMANDS: dict[str, str] = {
    **dict.fromkeys(_LAYOUT.split(), ""),
    **{name: alias for alias, names in _ALIASES.items() for name in names.split()},
    "begin": "",
    "end": "",
}

# First and last code point of Han, kana and 々〆〇, unassigned ones included, so that the class
# of an ideograph does not depend on the Unicode version of the interpreter.
CJK_RANGES = (
    (0x3005, 0x3007),
    (0x3041, 0x3096),
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),
    (0x30FC, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1AFFE),
    (0x1B000, 0x1B167),
    (0x20000, 0x323AF),
)

# Letters, marks and format characters that came with Unicode 15 (Python 3.12). They separate, as they do
# with the Unicode 14 of Python 3.11: the same text has the same tokens on both.
NEWER_RANGES = (
    (0x0CF3, 0x0CF3),
    (0x0ECE, 0x0ECE),
    (0x10EFD, 0x10EFF),
    (0x1123F, 0x11241),
    (0x11F00, 0x11F59),
    (0x1342F, 0x1342F),
    (0x13439, 0x13455),
    (0x1DF25, 0x1DF2A),
    (0x1E030, 0x1E08F),
    (0x1E4D0, 0x1E4F9),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """The texts of N documents as one buffer: document i is data[offsets[i]:offsets[i + 1]].

    data : uint8[at least offsets[N]] UTF-8, or any bytes; may be read-only and shared with Arrow.
    offsets : int64[N + 1], never falling.
    """

    data: _U8
    offsets: _I64

    def __len__(self) -> int:
        """Number of documents."""
        return int(self.offsets.size) - 1


@dataclass(frozen=True, slots=True)
class Tokens:
    """The T tokens of N documents.

    hashes : uint64[T], `token_hash` of each token.
    starts, ends : int64[T] byte span in `Batch.data` of the original text that the token came from.
    offsets : int64[N + 1]; document i has the tokens offsets[i] to offsets[i + 1].
    folded : uint8[F] the normalised UTF-8 of all tokens, without gaps; folded_ends : int64[T] where each ends.
    numbers : bool[T] whether it is a number: whether its normalised form begins with a digit.
    restarts : int64[R, 2] (token, byte) of places in long documents from which `token_spans` can start.
    """

    hashes: _U64
    starts: _I64
    ends: _I64
    offsets: _I64
    folded: _U8
    folded_ends: _I64
    numbers: _Flags
    restarts: _I64

    def __len__(self) -> int:
        """Number of documents."""
        return int(self.offsets.size) - 1

    def strings(self, i: int) -> list[str]:
        """The tokens of document i."""
        return self.normalised(i).split()

    def normalised(self, i: int) -> str:
        """The tokens of document i, joined by one space."""
        first, last = int(self.offsets[i]), int(self.offsets[i + 1])
        joined = kernels.join(read_only(self.folded), read_only(self.folded_ends), first, last)
        return joined.tobytes().decode()


def pack(texts: Sequence[str | bytes]) -> Batch:
    """The texts as one batch; a lone surrogate, which UTF-8 cannot hold, becomes a separator."""
    parts = [text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in texts]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return Batch(np.frombuffer(b"".join([*parts, bytes(_SPARE_BYTES)]), np.uint8), offsets)


def from_arrow(column: pa.Array) -> Batch:
    """The texts of an Arrow string or binary column (32- or 64-bit offsets) as a batch that shares its bytes.

    A null counts as an empty text. Raises InputError for another type.
    """
    kind = str(column.type)
    if kind not in {"string", "large_string", "binary", "large_binary"}:
        msg = f"a text column must be string or large_string, not {kind!r}; cast it first"
        raise InputError(msg)
    if column.null_count:  # the bytes behind a null are unspecified
        column = column.fill_null(b"" if "binary" in kind else "")
    _, offset_buffer, data_buffer = column.buffers()
    if len(column) == 0 or data_buffer is None:
        return Batch(np.zeros(_SPARE_BYTES, np.uint8), np.zeros(len(column) + 1, np.int64))
    width = np.dtype(np.int64 if kind.startswith("large") else np.int32)
    offsets = np.frombuffer(offset_buffer, width, len(column) + 1, column.offset * width.itemsize)
    return Batch(np.frombuffer(data_buffer, np.uint8), offsets.astype(np.int64))


def tokenise(
    batch: Batch, *, operators: bool = False, folded: bool = True, spans: bool = True, numbers: bool = False
) -> Tokens:
    """The tokens of every document of the batch by the rule of this module; see `Tokens`.

    What a caller does not need costs time: without `folded` there are no strings of tokens, and without `spans`
    no starts and ends; these arrays are empty then. With neither it is twice as fast; `token_spans` finds some later.
    """
    return _tokenise(batch.data, batch.offsets[:-1], batch.offsets[1:], operators, spans, folded, numbers)


def _tokenise(data: _U8, begins: _I64, stops: _I64, *options: bool) -> Tokens:
    tables = _fold_tables() + _command_table()
    return Tokens(*kernels.tokenise(read_only(data), read_only(begins), read_only(stops), tables, *options))


def token_spans(batch: Batch, tokens: Tokens, wanted: _I64) -> _I64:
    """The bytes, int64[W, 2], that the tokens with the numbers `wanted` came from, of tokens found without spans.

    wanted : int64[W], in any order. Only the surroundings of these tokens are read again, a few KB each.
    """
    filled = np.diff(tokens.offsets) > 0
    firsts = np.concatenate([tokens.offsets[:-1][filled], tokens.restarts[:, 0]])
    begins = np.concatenate([batch.offsets[:-1][filled], tokens.restarts[:, 1]])
    stops = np.append(np.sort(begins), batch.offsets[-1])
    order = np.lexsort((begins, firsts))
    parts, rows = np.unique(np.searchsorted(firsts[order], wanted, side="right") - 1, return_inverse=True)
    begins = begins[order[parts]]
    ends = batch.offsets[np.searchsorted(batch.offsets, begins, side="right")]
    pieces = _tokenise(batch.data, begins, np.minimum(ends, stops[parts + 1]), False, True, False, False)
    numbers = wanted - firsts[order[parts]][rows] + pieces.offsets[rows]
    return np.stack([pieces.starts[numbers], pieces.ends[numbers]], axis=1)


def token_strings(text: str, *, operators: bool = False) -> list[str]:
    """The tokens of one text."""
    return tokenise(pack([text]), operators=operators).strings(0)


def token_hash(token: str) -> int:
    """The 64-bit hash of a token that is folded already; see `filters.words.hash_bytes`."""
    data = np.frombuffer(token.encode(), np.uint8)
    return int(hash_bytes(data, 0, data.size))


def char_spans(text: str | _U8, byte_spans: npt.ArrayLike) -> _I64:
    """The spans, int64[M, 2], in characters of `text`, of spans in bytes of its UTF-8.

    text : as a string or as its bytes; byte_spans : int[M, 2], relative to the start of the document; borders inside a
    character round up.
    """
    data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8) if isinstance(text, str) else text
    spans = np.asarray(byte_spans, np.int64).reshape(-1, 2)
    return char_places(Batch(data, np.array([0, len(data)])), np.zeros(len(spans), np.int64), spans)


def char_places(batch: Batch, texts: _I64, places: _I64) -> _I64:
    """The places, int64[M, K], in characters of a text, of places in bytes of the batch; as `char_spans`.

    texts : int64[M], the text of each row of places.
    """
    begins = batch.offsets[texts]
    borders, numbers = np.unique(np.append(places, begins[:, None], axis=1).ravel(), return_inverse=True)
    counts = kernels.count_characters(read_only(batch.data), borders)[numbers].reshape(len(texts), places.shape[1] + 1)
    return counts[:, :-1] - counts[:, -1:]


_HANGUL = (0xAC00, 0xD7A4)  # syllables, first and behind the last

# Letters that lower case and NFKD leave apart, and the operators that have a sign of their own.
_EXTRA_FOLDS = str.maketrans("ς−∗×÷∕⁄", "σ-**///")
_IGNORED = frozenset({"Mn", "Me", "Cf"})


def _fold(char: str) -> list[tuple[int, str]]:
    """The class (of `kernels`) and the character of everything that one character folds to."""
    category = unicodedata.category(char)
    if category in _IGNORED:
        return [(words.IGNORED, char)]
    apart = category in {"No", "So"} or unicodedata.decomposition(char).startswith(("<super>", "<sub>"))
    folded = "".join(
        unicodedata.normalize("NFKD", lowered) if _is_letter(unicodedata.category(lowered)) else lowered
        for lowered in unicodedata.normalize("NFKC", char).lower()
    ).translate(_EXTRA_FOLDS)
    parts = [_classify(part, apart) for part in folded if unicodedata.category(part) not in _IGNORED]
    return parts or [(words.IGNORED, char)]


def _is_letter(category: str) -> bool:
    return category[0] == "L" or category == "Mc"


@functools.cache
def _classify(char: str, apart: bool) -> tuple[int, str]:
    if any(first <= ord(char) <= last for first, last in CJK_RANGES):
        return words.CJK, char
    category = unicodedata.category(char)
    if category == "Nd":
        return (words.DIGIT_APART if apart else words.DIGIT), str(unicodedata.decimal(char))
    if _is_letter(category):
        return (words.LETTER_APART if apart else words.LETTER), char
    return words.SEPARATOR, char if char.isascii() else "\0"  # only ASCII separators are told apart


@functools.cache
def _fold_tables() -> tuple[_U32, _U32]:
    """What each code point folds to, as (folds, sequences); tens of milliseconds, once in a process.

    folds : uint32[0x110000], class << 24 | folded code point; with the class MANY, the low bits are an
    index into `sequences`, where the number of characters stands before them.
    """
    folds = np.zeros(0x110000, np.uint32)
    sequences: list[int] = []
    for first, last in CJK_RANGES:
        folds[first : last + 1] = np.arange(first, last + 1, dtype=np.uint32) | (words.CJK << 24)
    for code in _codes_to_fold():
        if code == _HANGUL[0]:
            _put_hangul(folds, sequences)
            continue
        char = chr(code)
        category = unicodedata.category(char)
        if category[0] == "C" and category != "Cf":  # controls, surrogates, private use, unassigned
            continue
        if not unicodedata.decomposition(char):
            if category == "Lo":
                folds[code] = folds[code] or words.LETTER << 24 | code  # has no case either; CJK stays
                continue
            if category[0] in "PSZ" and code > 0x7F and code not in _EXTRA_FOLDS:  # separates
                continue
        entries = [klass << 24 | ord(part) for klass, part in _fold(char)]
        if len(entries) == 1:
            folds[code] = entries[0]
        else:
            folds[code] = words.MANY << 24 | len(sequences)
            sequences += [len(entries), *entries]
    return read_only(folds), read_only(np.array(sequences, np.uint32))


def _put_hangul(folds: _U32, sequences: list[int]) -> None:
    """Enters the syllables, each as its two or three letters.

    They are counted off, 19 leads by 21 vowels by 28 tails, the first of which is none (Unicode, section 3.12).
    """
    lead, vowel, tail = np.unravel_index(np.arange(_HANGUL[1] - _HANGUL[0]), (19, 21, 28))
    sizes = np.where(tail > 0, 3, 2)
    letters = [part | words.LETTER << 24 for part in (0x1100 + lead, 0x1161 + vowel, 0x11A7 + tail)]
    firsts = len(sequences) + np.cumsum(sizes + 1) - (sizes + 1)
    folds[_HANGUL[0] : _HANGUL[1]] = words.MANY << 24 | firsts
    rows = np.stack([sizes, *letters], axis=1)
    sequences += rows[np.arange(4) <= sizes[:, None]].tolist()


def _codes_to_fold() -> Iterable[int]:
    """Every code point but those of great blocks that fold to themselves or separate, newer ones and Hangul's later."""
    newer = {code for first, last in NEWER_RANGES for code in range(first, last + 1)}
    blocks = ((0, 0x3400), (0xA000, _HANGUL[0] + 1), (_HANGUL[1], 0xE000), (0xF900, 0x20000))
    for first, end in (*blocks, (0x2F800, 0x2FA20), (0xE0000, 0xE01F0)):
        yield from (code for code in range(first, end) if code not in newer)


@functools.cache
def _command_table() -> tuple[_U64, _U64]:
    """`COMMANDS` as an open-addressing table (keys, values) for `kernels.find_command`."""
    keys = np.zeros(1024, np.uint64)
    values = np.full(1024, words.UNKNOWN, np.uint64)
    for name, alias in COMMANDS.items():
        key = token_hash(name)
        slot = key % keys.size
        while keys[slot]:
            slot = (slot + 1) % keys.size
        keys[slot] = key
        values[slot] = int.from_bytes(alias.encode(), "little")  # OverflowError beyond 8 letters
        if name in {"begin", "end"}:
            values[slot] = words.ENVIRONMENT
    return read_only(keys), read_only(values)

"""Two texts side by side for a reader: what they share is marked, and nothing in them can hide.

Both texts are data that someone on the web wrote. A character that a reader cannot see, or that turns the direction
of what follows, would make evidence say something else than the document does; so each becomes a word for itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Segments = list[tuple[str, bool]]

# Control characters, format characters that are invisible or turn the direction of text, line and paragraph
# separators, surrogates, non-characters and tags. Tab, line feed, and the joiners that emoji and Indic words
# need (U+200C, U+200D) stay.
_HIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text with each hidden character as its code point in brackets: [U+202E]; line ends become line feeds."""
    return _HIDDEN.sub(_named, text.replace("\r\n", "\n"))


def _named(found: re.Match[str]) -> str:
    return f"[U+{ord(found[0]):04X}]"


def side_by_side(document: str, item: str) -> tuple[Segments, Segments]:
    """Both texts cut into (text, is common): what is common is a longest common subsequence of their tokens."""
    import numpy as np
    from rapidfuzz.distance import LCSseq

    from filters.text import char_spans, pack, tokenise  # numba: half a second that a clean corpus need not wait

    batch = pack([document, item])
    tokens = tokenise(batch)
    cut = int(tokens.offsets[1])
    codes = np.unique(tokens.hashes, return_inverse=True)[1].tolist()
    common = np.zeros(len(codes), bool)
    for step in LCSseq.opcodes(codes[:cut], codes[cut:]):
        if step.tag == "equal":
            common[step.src_start : step.src_end] = True
            common[cut + step.dest_start : cut + step.dest_end] = True
    spans = np.stack([tokens.starts, tokens.ends], axis=1)
    left = char_spans(document, spans[:cut])
    right = char_spans(item, spans[cut:] - batch.offsets[1])
    return _segments(document, left, common[:cut]), _segments(item, right, common[cut:])


def _segments(text: str, spans: npt.NDArray[np.int64], common: npt.NDArray[np.bool_]) -> Segments:
    """The text in pieces; what stands between two common tokens in a row belongs to them."""
    import numpy as np

    pieces: Segments = []
    done = 0
    starts = np.flatnonzero(common & ~np.concatenate(([False], common[:-1])))
    ends = np.flatnonzero(common & ~np.concatenate((common[1:], [False])))
    for first, last in zip(starts, ends, strict=True):
        begin, end = int(spans[first, 0]), int(spans[last, 1])
        pieces += [(text[done:begin], False), (text[begin:end], True)]
        done = end
    return [piece for piece in [*pieces, (text[done:], False)] if piece[0]]

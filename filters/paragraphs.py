"""Paragraphs that many pages of a host share: where the paragraphs of a text are, and what names each.

A paragraph is a block between blank lines, outside of fenced code and display formulas, that holds no formula and no
code itself: such a block is never cut, however many pages have it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

from filters.text import pack, tokenise

PARAGRAPHS_VERSION = "paragraphs-1"
_BLOCK = re.compile(r"[^\n]*\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")
_FENCE = re.compile(r" {0,3}(?:```|~~~)|\$\$|\\\[|\\\]|\\(?:begin|end)\{")  # opens or closes what holds no paragraph
_KEPT = re.compile(r"\$|\\[(\[a-zA-Z]|`|^(?: {4}|\t)|^\s*\|", re.MULTILINE)  # formulas, code, rows of tables


def paragraphs(text: str) -> list[tuple[int, int]]:
    """The spans in characters, in order, of the paragraphs that may be cut."""
    spans, open_blocks = [], 0
    for block in _BLOCK.finditer(text):
        marks = len(_FENCE.findall(block[0]))
        if not marks and not open_blocks and not _KEPT.search(block[0]):
            spans.append(block.span())
        open_blocks ^= marks & 1
    return spans


def paragraph_digests(
    texts: Sequence[str], hosts: Sequence[str | None], min_tokens: int
) -> list[npt.NDArray[np.int64]]:
    """The digests of the paragraphs of each text, int64[P] in the order of `paragraphs`; 0 for one that is too short.

    Paragraphs are the same if host and tokens are (numbers and operators too). A text without a host has none.
    """
    pieces, owners = [], []
    for number, (text, host) in enumerate(zip(texts, hosts, strict=True)):
        spans = paragraphs(text) if host else []
        pieces += [text[begin:end] for begin, end in spans]
        owners += [number] * len(spans)
    tokens = tokenise(pack(pieces), operators=True, folded=False, spans=False)
    data = np.ascontiguousarray(tokens.hashes, "<u8").view(np.uint8).data
    found: list[list[int]] = [[] for _ in texts]
    for owner, begin, end in zip(owners, tokens.offsets[:-1].tolist(), tokens.offsets[1:].tolist(), strict=True):
        host = hosts[owner] or ""
        seed = xxhash.xxh3_64_intdigest(host.encode("utf-8", "replace"))
        digest = xxhash.xxh3_64_intdigest(data[8 * begin : 8 * end], seed)
        found[owner].append((digest or 1) if end - begin >= min_tokens else 0)
    return [np.array(one, np.uint64).view(np.int64) for one in found]


def without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without some of its paragraphs and the blank lines behind them."""
    kept, at = [], 0
    for begin, end in spans:
        kept.append(text[at:begin])
        at = end + len(text[end:]) - len(text[end:].lstrip("\r\n"))
    return "".join([*kept, text[at:]]).rstrip()

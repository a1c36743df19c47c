"""What a supervised fastText model says of a text, plainly: rows of features, their mean, its product with each label."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from filters.fold_file import BinFile
from filters.text import token_strings

END = b"</s>"


def prepare(text: str) -> str:
    """The text as recall sees it."""
    tokens = ["0" if token[0] in "0123456789" else token for token in token_strings(text)]
    return " ".join(token for token in tokens if len(token.encode()) <= 40)


def fnv(data: bytes) -> int:
    """FNV-1a of 32 bits over signed bytes."""
    value = 2166136261
    for byte in data:
        value = (value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619 & 0xFFFFFFFF
    return value


def subwords(word: bytes, held: BinFile) -> list[int]:
    """Buckets of the character n-grams of <word>; bytes that continue a character stay with it."""
    chars = re.findall(b"[^\x80-\xbf][\x80-\xbf]*", b"<" + word + b">", re.DOTALL)
    found = []
    for first in range(len(chars)):
        for size in range(1, held.maxn + 1):
            last = first + size
            if last > len(chars):
                break
            if size >= held.minn and not (size == 1 and (first == 0 or last == len(chars))):
                found.append(fnv(b"".join(chars[first:last])) % held.buckets)
    return found


def rows(text: bytes, held: BinFile) -> list[int]:
    """Rows of the input matrix that the text has, in any order."""
    words = {word: row for row, word in enumerate(held.words)}
    labels = {label.encode() for label in held.labels}
    found, hashes = [], []
    tokens = [t for t in re.split(b"[ \n\r\t\v\f\0]+", text) if t]
    if END in tokens:
        tokens = tokens[: tokens.index(END)]
    for token in [*tokens, END]:
        if token in labels or (token not in words and token.startswith(b"__label__")):
            continue
        hashes.append(fnv(token))
        found += [words[token]] if token in words else []
        if held.maxn > 0 and token != END:
            found += [len(held.words) + bucket for bucket in subwords(token, held)]
    signed = [h - (1 << 32) if h >= 1 << 31 else h for h in hashes]
    for first in range(len(signed)):
        value = signed[first]
        for other in signed[first + 1 : first + held.word_ngrams]:
            value = (value * 116049371 + other) % (1 << 64)
            found.append(len(held.words) + value % held.buckets)
    return found


def means(text: bytes, held: BinFile) -> npt.NDArray[np.float64]:
    """float64[K]: the mean of the text's rows, times each label's; NaN without a row."""
    found = rows(text, held)
    if not found:
        return np.full(len(held.labels), np.nan)
    hidden: npt.NDArray[np.float64] = held.inputs[found].astype(np.float64).mean(0)
    return held.outputs.astype(np.float64) @ hidden

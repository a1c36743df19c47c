"""Subword tokenizers by the `tokenizers` library: a `tokenizer.json` and nothing of a model beside it.

Text is data: a special token that a page writes out is encoded as the characters that it is. Truncation, padding and
dropout that a file asks for are switched off, and so is the library's own thread pool: workers are processes, and
threads do not outlive a fork. Texts longer than WINDOW are encoded in windows that overlap, since the library needs
some 150 bytes a token while it works; two windows are joined where both have the border of a word and agree on what
follows, and where they never do the text is encoded whole. The slow twin, in tests, always does that.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from filters.errors import InputError, UsageError

SUBWORDS_VERSION = "subwords-1"
WINDOW = 1 << 18  # characters that are encoded at a time
OVERLAP = 1 << 12  # characters that two windows share
SURE_TOKENS = 32  # that two windows agree on behind the place where they are joined
EDGE_WORDS = 2  # at the cut ends of a window that may be other words there
KNOWN_ENDS = (  # end-of-text tokens of published models; the first that a tokenizer has is taken
    "<|endoftext|>",
    "<|end_of_text|>",
    "<｜end▁of▁sentence｜>",
    "</s>",
    "<eos>",
    "<|endofdocument|>",
)
_SHOWN_TOKENS = 8

Ids = npt.NDArray[np.uint32]


class Subwords:
    """A tokenizer, ready to encode."""

    def __init__(self, data: bytes, name: str, eos: str | None = None, *, window: int = WINDOW) -> None:
        """Takes the bytes of a tokenizer.json; InputError where they are none.

        eos : the token that ends a document, which no text can then become.
        """
        self.name, self._window = name, window
        self._tokenizer = _load(data, name, eos)
        vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        self.size, self.largest = len(vocabulary), max(vocabulary.values(), default=0)
        self.eos = eos

    @property
    def token_bytes(self) -> int:
        """Bytes of a token in files: 2 where every id fits, else 4."""
        return 2 if self.largest < 1 << 16 else 4

    def id_of(self, token: str) -> int | None:
        """The id of a token, None where there is none."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def special_tokens(self) -> list[str]:
        """The special tokens, by id."""
        added = self._tokenizer.get_added_tokens_decoder()
        return [token.content for _, token in sorted(added.items()) if token.special]

    def ids(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text, uint32[T], without any token that the text does not hold."""
        short = iter(self._batch([text for text in texts if len(text) <= self._window]))
        return [
            np.array(next(short).ids, np.uint32) if len(text) <= self._window else self._long(text) for text in texts
        ]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """The number of ids of each text."""
        short = iter(self._batch([text for text in texts if len(text) <= self._window]))
        return [len(next(short)) if len(text) <= self._window else len(self._long(text)) for text in texts]

    def _batch(self, texts: Sequence[str]) -> list[Any]:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # workers of an engine take over the driver's environment
        encoded: list[Any] = self._tokenizer.encode_batch_fast(list(map(_plain, texts)), add_special_tokens=False)
        return encoded

    def _long(self, text: str) -> Ids:
        found = self._in_windows(_plain(text))
        return np.array(self._batch([text])[0].ids, np.uint32) if found is None else found

    def _in_windows(self, text: str) -> Ids | None:
        """The ids of a text in windows; None where two of them share no border."""
        parts: list[Ids] = []
        left, first = _Window(self._tokenizer, text, 0, self._window), 0
        overlap = min(OVERLAP, self._window // 4)
        while left.end < len(text):
            right = _Window(self._tokenizer, text, left.end - overlap, self._window)
            seam = _seam(left, right)
            if seam is None or seam[0] < first:
                return None
            parts.append(left.ids[first : seam[0]])
            left, first = right, seam[1]
        return np.concatenate([*parts, left.ids[first:]])


class _Window:
    """A part of a text, encoded: ids, and the tokens at which words begin, with their places in the text."""

    def __init__(self, tokenizer: Any, text: str, begin: int, size: int) -> None:
        self.end = min(len(text), begin + size)
        encoded = tokenizer.encode(text[begin : self.end], add_special_tokens=False)
        self.ids: Ids = np.array(encoded.ids, np.uint32)
        words = np.array(encoded.word_ids, np.int64)
        self.heads = np.flatnonzero(np.diff(words, prepend=-1))
        self.places = np.array(encoded.offsets, np.int64).reshape(-1, 2)[self.heads, 0] + begin


def _seam(left: _Window, right: _Window) -> tuple[int, int] | None:
    """(token of `left`, token of `right`) from which on both go on alike; None where there is no such place."""
    if len(left.heads) <= EDGE_WORDS or len(right.heads) <= EDGE_WORDS:
        return None
    sure = int(left.heads[-EDGE_WORDS])  # the last words of the left window may be longer in truth
    _, at_left, at_right = np.intersect1d(left.places[:-EDGE_WORDS], right.places[EDGE_WORDS:], return_indices=True)
    for a, b in zip(left.heads[at_left].tolist(), right.heads[EDGE_WORDS:][at_right].tolist(), strict=True):
        length = sure - a
        if length < SURE_TOKENS:
            return None
        if np.array_equal(left.ids[a:sure], right.ids[b : b + length]):
            return a, b
    return None


def _load(data: bytes, name: str, eos: str | None) -> Any:
    from tokenizers import Tokenizer

    try:
        about = orjson.loads(data)
        about["truncation"] = about["padding"] = None
        if "dropout" in about["model"]:
            about["model"]["dropout"] = None
        for token in about.get("added_tokens") or ():
            token["special"] = token["special"] or token["content"] == eos
        tokenizer = Tokenizer.from_str(orjson.dumps(about).decode())
    except Exception as error:  # the library raises ValueError, and Exception itself
        msg = f"{name}: is no tokenizer.json that the tokenizers library reads ({_first_line(error)})"
        raise InputError(msg) from error
    tokenizer.encode_special_tokens = True
    return tokenizer


def _plain(text: str) -> str:
    """The text, lone surrogates in it replaced, which the library refuses."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


@lru_cache(maxsize=2)
def load_subwords(path: str, sha256: str, eos: str | None = None) -> Subwords:
    """The tokenizer in a file; each process loads it once. `sha256` is part of the cache's key."""
    return Subwords(Path(path).read_bytes(), f"tokenizer {sha256[:16]}", eos)


def find_end(subwords: Subwords, said: Iterable[str]) -> str:
    """The end-of-text token: the first of those that is said to be one, or that are known; UsageError without one."""
    for token in (*said, *KNOWN_ENDS):
        if subwords.id_of(token) is not None:
            return token
    special = subwords.special_tokens()
    shown = ", ".join(special[:_SHOWN_TOKENS]) or "none"
    msg = f"{subwords.name}: has no token that is known to end a text; name it with --eos (its special tokens: {shown})"
    raise UsageError(msg)


def check_end(subwords: Subwords) -> int:
    """The id of the end-of-text token; UsageError where there is no such token, or text can become it."""
    assert subwords.eos is not None
    found = subwords.id_of(subwords.eos)
    if found is None:
        msg = f"{subwords.name}: has no token {subwords.eos!r}; name one of its own with --eos"
        raise UsageError(msg)
    for text in (subwords.eos, f"a {subwords.eos} b", f"a{subwords.eos}b"):
        if found in subwords.ids([text])[0]:
            msg = f"{subwords.name}: makes its end-of-text token of the text {text!r}; name another with --eos"
            raise UsageError(msg)
    return found


def from_hub(name: str) -> bytes:
    """The tokenizer.json of a model of the hub, from its cache or the network; UsageError where neither has it."""
    from tokenizers import Tokenizer

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # five lines of retries otherwise
    try:
        found: str = Tokenizer.from_pretrained(name).to_str()
    except Exception as error:  # those of three libraries, without a common root
        msg = f"{name}: is no file here, and the hub does not give it ({_first_line(error)}); give a tokenizer.json"
        raise UsageError(msg) from error
    return found.encode()


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(". ") if str(error) else repr(error)

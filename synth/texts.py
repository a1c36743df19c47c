"""What is wrong with a text that a model wrote: a refusal, a loop, the wrong language, or words of what is missing."""

from __future__ import annotations

import re
import zlib
from functools import cache
from pathlib import Path

import yaml

from filters.text import CJK_RANGES

WORDS = Path(__file__).with_name("words.yaml")
TEXTS_VERSION = 1
REFUSAL_CHARS = 600  # a longer answer does something, whatever it begins with
LOOP_TAIL = 2_000  # characters at the end, where a loop is if there is one
MIN_LOOP = 400  # characters: a shorter text may say a thing five times
LOOP_BYTES = 0.15  # compressed, of each byte, below which a text may be a loop; mathematics has 0.25 and more
LOOP_NGRAM, LOOP_DISTINCT = 24, 0.35  # characters; share of distinct ones among n-grams, below which it is one
MIN_WORDS = 3  # of prose, with Chinese characters in twos: fewer tell no language
ENGLISH_SHARE, CHINESE_SHARE = 0.05, 0.5  # of Chinese among the words of prose: at most, and at least
_HAN_PER_WORD = 1.6  # as filters.language weighs them
_CJK = re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in CJK_RANGES) + "]")
_NO_PROSE = re.compile(
    r"```.*?(?:```|\Z)|\$\$.*?\$\$|\$[^$\n]*\$|\\\[.*?\\\]|\\\(.*?\\\)|\\boxed\{[^}]*\}|\\[a-zA-Z]+", re.DOTALL
)
_WORD = re.compile(r"[A-Za-z]{3,}")


@cache
def pattern(kind: str) -> re.Pattern[str]:
    """The patterns of one kind of `words.yaml` as one."""
    lines = yaml.safe_load(WORDS.read_text(encoding="utf-8"))[kind]
    return re.compile("|".join(line.replace(" ", r"\s+") for line in lines), re.IGNORECASE | re.MULTILINE)


def refuses(text: str) -> bool:
    """Whether a short text begins by saying that it will not answer."""
    stripped = text.strip()
    return len(stripped) <= REFUSAL_CHARS and pattern("refusal").match(stripped) is not None


def loops(text: str) -> bool:
    """Whether a text ends in saying the same over and over.

    Its tail compresses to a seventh, and few of the strings of 24 characters in it are distinct. The first is cheap and
    nearly always no.
    """
    tail = text[-LOOP_TAIL:]
    if len(tail) < MIN_LOOP:
        return False
    raw = tail.encode("utf-8", "replace")
    if len(zlib.compress(raw, 1)) >= LOOP_BYTES * len(raw):
        return False
    ngrams = [tail[k : k + LOOP_NGRAM] for k in range(len(tail) - LOOP_NGRAM + 1)]
    return len(set(ngrams)) < LOOP_DISTINCT * len(ngrams)


def chinese_share(text: str) -> tuple[float, float]:
    """(share of Chinese among the words of prose, number of these words); formulas, commands and code are no prose."""
    prose = _NO_PROSE.sub(" ", text)
    han = 0.0 if prose.isascii() else len(_CJK.findall(prose)) / _HAN_PER_WORD
    words = han + len(_WORD.findall(prose))
    return (han / words if words else 0.0), words


def is_in(text: str, language: str) -> bool:
    """Whether a text is in this language, or has too few words to tell."""
    share, words = chinese_share(text)
    if words < MIN_WORDS:
        return True
    return share >= CHINESE_SHARE if language == "zh" else share <= ENGLISH_SHARE

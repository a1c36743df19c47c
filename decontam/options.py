"""Options of a multiple choice, which make a variant of its question: the question with the options behind it.

The variant finds a page that prints both where the question alone is short, or a stock phrase. But options are
often stock themselves ("True, False", "充分不必要条件", four numbers), and a variant that consists of them is found
in every exercise that offers the same choice. So only rows with enough options of their own get one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

# Tokens of a row's options that are its own (in an option with a word in it that no other row of the file has): so
# many, and such a share of all. Of the 3,904 rows with options in the published sets 1,873 pass. Printed with their
# options as pages, those 3,904 convict a question unlike their own by its variant as `exact` 0 times (35 if every
# row has one) and as `near` 27 times (124); most that need no variant are found by their question.
MIN_OWN_TOKENS = 8
MIN_OWN_SHARE = 0.5

# An option that brings its own letter: "A)5", "(B) 6", "C. 7"; and where one begins in a line of several.
_LETTER = re.compile(r"\(?[A-Z][).:．、]\s*")
_NEXT = re.compile(r"\s+(?=\(?[B-Z][).:．、]\s)")


def read_options(value: Any) -> list[str]:
    """The options that a field holds (a list, a mapping from letter to text, one text of all), each with its letter."""
    if isinstance(value, str):
        return [option for option in _NEXT.split(value) if option.strip()]
    if isinstance(value, list):
        value = dict(zip(ascii_uppercase, value, strict=False))
    if not isinstance(value, dict):
        return []
    return [_lettered(letter, text) for letter, text in value.items() if isinstance(text, str | int | float)]


def own_enough(rows: Sequence[Sequence[str]]) -> list[bool]:
    """For the options of each row of a file, whether enough of them are of that row alone."""
    from filters.text import pack, tokenise  # numba: a plan and a list of sets read no options

    bare = [[_LETTER.sub("", option.lstrip(), count=1) for option in options] for options in rows]
    tokens = tokenise(pack([option for options in bare for option in options]))
    texts = iter([tokens.normalised(number) for number in range(len(tokens))])
    normalised = [[next(texts) for _ in options] for options in bare]
    common = Counter(text for options in normalised for text in set(options))
    verdicts = []
    for options in normalised:
        own = sum(len(text.split()) for text in options if common[text] == 1 and _has_word(text))
        total = sum(len(text.split()) for text in options)
        verdicts.append(own >= MIN_OWN_TOKENS and own >= MIN_OWN_SHARE * total)
    return verdicts


def _has_word(normalised: str) -> bool:
    return any(not token[0].isdigit() for token in normalised.split())


def _lettered(letter: str, text: str | float) -> str:
    return str(text) if _LETTER.match(str(text).lstrip()) else f"{letter}. {text}"

"""How much mathematics a text is made of: terms of two languages, formulas, numbers, letters that stand alone.

A classifier that learned from few sources knows their words; pages of other hosts have others. What is counted here
holds anywhere: shares of a hand-made list of terms by kind (density.txt), and of the signs that formulas leave even
where their markup was lost. A logistic regression over these shares was fitted once, on pages of 60 hosts, books and
seeds (benchmarks/density.py): each host weighs with the root of its pages, and each page stands there three times, as
it is, without the delimiters of its formulas, and without formulas. Its weights stand below and are never fitted to a
caller's data: seeds of a few sources would only teach it what those look like.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters import density_kernels as kernels
from filters.text import TEXT_VERSION, Batch, Tokens, token_hash, token_strings
from filters.words import read_only

DENSITY_VERSION = f"density-1/{TEXT_VERSION}"

_F64 = npt.NDArray[np.float64]
_TERMS = Path(__file__).with_name("density.txt")

_SIGNS = (
    *("distinct", "number", "letter", "gutter", "cjk", "command"),
    *("delimiter", "symbol", "script", "bracket", "quote", "operator"),
)
_DISTINCT_KINDS = ("higher", "school", "zh-higher", "zh-school")  # first in density.txt
_CHINESE = ("operator", "number", "letter", "delimiter", "command", "bracket", "length")  # weigh otherwise there
_CHINESE_SHARE = 0.2  # of tokens that are ideographs
_BEGINS = 512  # words of bits: one token in forty is looked up in vain
_STEEP = 20.0  # shares enter as log(1 + 20 share): from 0 to 5 % tells more than from 50 to 55 %
_CLASSES = {
    "\\": kernels.COMMAND,
    "$": kernels.DELIMITER,
    "^_": kernels.SCRIPT,
    ";{}()[]": kernels.BRACKET,
    "\"'": kernels.QUOTE,
    "+-*/=<>": kernels.OPERATOR,
}

# by benchmarks/density.py; of a feature as `features` gives it
INTERCEPT = -4.922
WEIGHTS: Mapping[str, float] = {
    "higher": 3.8,
    "school": 1.753,
    "zh-higher": 1.037,
    "zh-school": 0.1891,
    "shared": 1.09,
    "reasoning": 2.518,
    "computing": -4.965,
    "life": 0.7266,
    "zh-shared": 2.746,
    "zh-reasoning": 2.505,
    "zh-computing": -4.596,
    "zh-life": 1.037,
    "distinct": 0.8792,
    "number": 1.916,
    "letter": 0.4098,
    "gutter": 0.0119,
    "cjk": 0.2893,
    "command": 1.977,
    "delimiter": 2.167,
    "symbol": -0.159,
    "script": -0.03869,
    "bracket": -0.4141,
    "quote": -1.352,
    "operator": 1.143,
    "length": -0.08689,
    "operator in Chinese": -1.017,
    "number in Chinese": -0.006117,
    "letter in Chinese": 0.1941,
    "delimiter in Chinese": 0.4755,
    "command in Chinese": -0.8846,
    "bracket in Chinese": 0.7186,
    "length in Chinese": -0.206,
}


def names() -> tuple[str, ...]:
    """The names of the features, in the order of their columns."""
    plain = (*_read_terms(), *_SIGNS, "length")
    return (*plain, *(f"{name} in Chinese" for name in _CHINESE))


def features(batch: Batch, tokens: Tokens) -> _F64:
    """float64[N, features]: what each document of the batch holds, in shares of its tokens."""
    arrays = (
        read_only(tokens.hashes),
        read_only(tokens.offsets),
        read_only(tokens.folded),
        read_only(tokens.folded_ends),
    )
    tree, kinds, terms = _tree()
    shape = (kinds, len(_DISTINCT_KINDS), terms)
    counts = kernels.count(read_only(batch.data), read_only(batch.offsets), arrays, tree, shape, _classes())
    sizes = np.maximum(1, np.diff(tokens.offsets)).astype(np.float64)
    chinese = counts[:, kinds + kernels.CJK] > _CHINESE_SHARE * sizes
    distinct = counts[:, kinds + kernels.DISTINCT] * np.sqrt(sizes)  # of long texts fewer terms are new
    counts[:, kinds + kernels.DISTINCT] = distinct
    plain = np.column_stack([np.log1p(_STEEP * counts / sizes[:, None]), np.log(sizes)])
    known = names()
    return np.column_stack([plain, plain[:, [known.index(name) for name in _CHINESE]] * chinese[:, None]])


def logits(batch: Batch, tokens: Tokens) -> _F64:
    """float64[N]: the log-odds of mathematics by what each document holds."""
    weights = np.array([WEIGHTS[name] for name in names()])
    scores: _F64 = features(batch, tokens) @ weights + INTERCEPT
    return scores


def _read_terms() -> Mapping[str, tuple[str, ...]]:
    """The terms of each kind, in the order of density.txt."""
    return _parse_terms(_TERMS.read_text(encoding="utf-8"))


@functools.cache
def _parse_terms(text: str) -> Mapping[str, tuple[str, ...]]:
    terms: dict[str, list[str]] = {}
    kind: list[str] = []
    for line in text.splitlines():
        content = line.partition("#")[0].strip()
        if content.startswith("["):
            kind = terms.setdefault(content.strip("[]"), [])
        else:
            kind += [term.strip() for term in (content.split(",") if "," in content else content.split())]
    return {name: tuple(dict.fromkeys(filter(None, found))) for name, found in terms.items()}


@functools.cache
def _tree() -> tuple[kernels.Tree, int, int]:
    """(tree of terms, number of kinds, number of terms)."""
    terms = _read_terms()
    assert tuple(terms)[: len(_DISTINCT_KINDS)] == _DISTINCT_KINDS
    entries = [(kind, token_strings(term)) for kind, found in enumerate(terms.values()) for term in found]
    most = sum(len(tokens) for _, tokens in entries) + 1
    size = 1 << (2 * most).bit_length()
    edges = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    ends = np.full(most, -1, np.int32), np.zeros(most, np.int32), np.zeros(most, np.uint8)
    tree = (np.zeros(_BEGINS, np.uint64), *edges, *ends)
    states = 1
    for term, (kind, tokens) in enumerate(entries):
        hashes = np.array([token_hash(token) for token in tokens], np.uint64)
        states = kernels.grow(tree, hashes, term, kind, states)
    begins, keys, targets, numbers, kinds, leads_on = tree
    of_states = read_only(numbers), read_only(kinds), read_only(leads_on)
    return (read_only(begins), read_only(keys), read_only(targets), *of_states), len(terms), len(entries)


@functools.cache
def _classes() -> npt.NDArray[np.uint8]:
    classes = np.zeros(256, np.uint8)
    for signs, column in _CLASSES.items():
        for sign in signs:
            classes[ord(sign)] = column + 1
    for lead in (0xC2, 0xC3, 0xCE, 0xCF, 0xE2, 0xF0):
        classes[lead] = kernels.SYMBOL + 1
    return read_only(classes)

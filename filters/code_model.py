"""The classifier of source code: a logistic regression on the words of identifiers, imports, folders and signs.

Not fastText: from 19 packages it learns their names, and a file of a package never seen scores by chance (F1 .89
against .93 here, whole packages held out). What a file says is the set of words that its identifiers are made of
(`eigenValues`, `eigen_values`: eigen, values), damped by a logarithm. A word counts only if files of several packages
use it, and each package weighs as the root of its size, so that no package's own vocabulary decides. Licence headers
are cut off: they tell packages apart, not subjects.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from filters.code_rules import RULES_VERSION, SAMPLE_CHARS, imported, language_of, libraries
from filters.errors import InputError

MODEL_VERSION = f"code-model-1/{RULES_VERSION}"
LONGEST_WORD = 24
RULE_WEIGHT = 3.0  # an import says more than a word
SIGN_WEIGHT = 0.05  # of a sign's logarithmic rate, beside a vector of words of length 1
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HEADER = re.compile(r'\A\s*(?:(?:#[^\n]*\n)+|(?://[^\n]*\n)+|/\*.*?\*/|""".*?""")', re.DOTALL)
_LICENCE = re.compile(r"licen[sc]e|copyright|redistribut", re.IGNORECASE)
_SIGNS = {
    name: re.compile(pattern)
    for name, pattern in {
        "add": r"[\w\])] [-+] [\w(]",
        "multiply": r"[\w\])] [*/@] [\w(]",
        "power": r"\*\*",
        "float": r"\d\.\d",
        "integer": r"\b\d+\b",
        "single_letter": r"\b[a-zA-Z]\b",
        "slice": r"\[[^\[\]\n]{0,20}:[^\[\]\n]{0,20}\]",
        "range": r"\bfor \w+ in range",
        "subscript": r"[a-z]_\{?[a-z0-9]\b|\^",
        "tex": r"\\[a-z]{2,}",
        "tex_role": r"\$|:math:",
    }.items()
}
_F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seed:
    """A labelled file. `group` is its package: no word of one package alone is learnt."""

    text: str
    path: str
    group: str
    is_math: bool


@dataclass(frozen=True, slots=True)
class CodeTrainParams:
    """How the classifier is trained."""

    min_files: int = 3
    min_groups: int = 2
    penalty: float = 1 / 30
    max_iterations: int = 200


@dataclass(frozen=True, slots=True)
class CodeModel:
    """Weights of words, of signs (in the order of their names), and the bias."""

    words: dict[str, float]
    signs: tuple[float, ...]
    bias: float

    def score(self, text: str, path: str = "") -> float:
        """Probability of mathematics, in 0 to 1."""
        values, signs = features(text, path)
        known = [(self.words[word], value) for word, value in values.items() if word in self.words]
        norm = float(np.sqrt(sum(value * value for _, value in known))) or 1.0
        total = sum(weight * value for weight, value in known) / norm
        total += sum(weight * sign for weight, sign in zip(self.signs, signs, strict=True)) + self.bias
        return round(float(1 / (1 + np.exp(-total))), 5)


def features(text: str, path: str = "") -> tuple[dict[str, float], list[float]]:
    """(value of each word, value of each sign) of a file.

    Its own package's name is no import: a file of an unknown library has none to show either.
    """
    held = without_licence(text)[:SAMPLE_CHARS]
    counts = Counter(word.lower() for word in _WORD.findall(held))
    values = {word: 1 + float(np.log(n)) for word, n in counts.items() if 2 <= len(word) <= LONGEST_WORD}
    language = language_of(text, path)
    own, _, inner = path.rpartition(".")[0].partition("/") if "." in path else ("", "", path)
    if language is not None:
        values.update({f"import {re.split('[./]', name)[0]}": 1.0 for name in imported(held, language)})
        if found := libraries(held, language) - {own}:
            values["rule numerical"] = RULE_WEIGHT
            if len(found) > 1:
                values["rule numerical twice"] = RULE_WEIGHT
    values.update({f"path {word.lower()}": 1.0 for word in _WORD.findall(inner or PurePosixPath(path).stem)})
    total = max(1, counts.total())
    rates = (len(pattern.findall(held)) * 1000 / total for pattern in _SIGNS.values())
    return values, [SIGN_WEIGHT * float(np.log1p(rate)) for rate in rates]


def without_licence(text: str) -> str:
    """The text without comments at its head that speak of a licence."""
    while (found := _HEADER.match(text)) and _LICENCE.search(found.group()):
        text = text[found.end() :]
    return text


def train_code(seeds: Sequence[Seed], params: CodeTrainParams | None = None) -> CodeModel:
    """The model of labelled files; the same files in any order give the same model. InputError where a label lacks."""
    params = params or CodeTrainParams()
    if len({seed.is_math for seed in seeds}) < 2:
        msg = "code: the seeds need files that are mathematics and files that are not; look at label_field"
        raise InputError(msg)
    seeds = sorted(seeds, key=lambda s: (s.group, s.path, s.text))
    found = [features(seed.text, seed.path) for seed in seeds]
    words = _vocabulary([values for values, _ in found], [seed.group for seed in seeds], params)
    matrix = _matrix(found, words)
    labels = np.array([seed.is_math for seed in seeds])
    weights = _fit(matrix, labels, _weights(labels, [seed.group for seed in seeds]), params)
    rounded = [round(float(w), 5) for w in weights]
    signs = tuple(rounded[len(words) : -1])
    return CodeModel(dict(zip(words, rounded, strict=False)), signs, rounded[-1])


def _vocabulary(values: list[dict[str, float]], groups: list[str], params: CodeTrainParams) -> dict[str, int]:
    files: Counter[str] = Counter()
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for held, group in zip(values, groups, strict=True):
        files.update(held.keys())
        for word in held:
            seen[word].add(group)
    least = min(params.min_groups, len(set(groups)))
    kept = sorted(w for w, n in files.items() if n >= params.min_files and len(seen[w]) >= least)
    return {word: i for i, word in enumerate(kept)}


def _matrix(found: list[tuple[dict[str, float], list[float]]], words: dict[str, int]) -> Any:
    from scipy.sparse import csr_matrix  # here: a worker that only scores needs none of it

    rows, columns, cells = list[int](), list[int](), list[float]()
    for i, (values, signs) in enumerate(found):
        known = [(words[word], value) for word, value in values.items() if word in words]
        norm = float(np.sqrt(sum(value * value for _, value in known))) or 1.0
        rows += [i] * (len(known) + len(signs))
        columns += [at for at, _ in known] + list(range(len(words), len(words) + len(signs)))
        cells += [value / norm for _, value in known] + signs
    return csr_matrix((cells, (rows, columns)), shape=(len(found), len(words) + len(_SIGNS)))


def _weights(labels: npt.NDArray[np.bool_], groups: list[str]) -> _F64:
    """A package weighs as the root of its size, and both labels weigh the same."""
    sizes = Counter(groups)
    weights = np.array([1 / np.sqrt(sizes[group]) for group in groups])
    for label in (True, False):
        weights[labels == label] /= weights[labels == label].sum()
    scaled: _F64 = weights * len(labels) / 2
    return scaled


def _fit(matrix: Any, labels: npt.NDArray[np.bool_], weights: _F64, params: CodeTrainParams) -> _F64:
    from scipy.optimize import minimize

    signs = np.where(labels, 1.0, -1.0)

    def loss(point: _F64) -> tuple[float, _F64]:
        margins = signs * (matrix @ point[:-1] + point[-1])
        slope = -signs * weights * np.exp(-np.logaddexp(0, margins))
        value = float((weights * np.logaddexp(0, -margins)).sum() + params.penalty / 2 * (point[:-1] ** 2).sum())
        return value, np.append(matrix.T @ slope + params.penalty * point[:-1], slope.sum())

    start = np.zeros(matrix.shape[1] + 1)
    found: _F64 = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": params.max_iterations}).x
    return found


def save_model(model: CodeModel, path: Path) -> None:
    """Writes a model as JSON with sorted keys."""
    held = {"version": MODEL_VERSION, "words": model.words, "signs": model.signs, "bias": model.bias}
    path.write_bytes(orjson.dumps(held, option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=4)
def load_code_model(path: str, sha256: str) -> CodeModel:  # noqa: ARG001 - the digest is the cache's key
    """The model in a file, loaded once a process and digest; InputError where it is none."""
    try:
        held = orjson.loads(Path(path).read_bytes())
        if held["version"] != MODEL_VERSION:
            msg = f"{path}: a model of {held['version']}, and this is {MODEL_VERSION}; train it again"
            raise InputError(msg)
        return CodeModel(held["words"], tuple(held["signs"]), held["bias"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        msg = f"{path}: no model of source code ({error}); train one with the stage `code` and seeds"
        raise InputError(msg) from error

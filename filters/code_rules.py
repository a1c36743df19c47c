"""Rules on source code, language by language: what a file imports, what its language is for, and how it is filled.

After AlgebraicStack (Azerbayev et al. 2023, "Llemma", appendix on code): files of proof assistants and of
computer-algebra systems, TeX, and files that import numerical or symbolic libraries are mathematics until a classifier
says otherwise; files above a size, and files that are mostly digits, are data. The libraries and patterns are those of
`code_libraries.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

import orjson
import yaml

RULES_VERSION = "code-rules-1"
LIBRARIES = Path(__file__).with_name("code_libraries.yaml")
SAMPLE_CHARS = 100_000  # imports and calls are looked for so far
MIN_CALLS = 3  # distinct mathematical functions that stand for an import, where a language has no imports
_DIGITS = re.compile(r"[0-9]")
_SPACE = re.compile(r"\s")

Rule = Literal["proof", "algebra", "tex", "library", "numerical", "none", "too_large", "digits"]
ALWAYS = ("proof", "algebra")  # languages in which a file is mathematics by what they are for


@dataclass(frozen=True, slots=True)
class CodeLimits:
    """Files above one MiB (AlgebraicStack's limit) or mostly digits are data; at half, tables of constants would go."""

    max_bytes: int = 1 << 20
    max_digit_share: float = 0.7


@dataclass(frozen=True, slots=True)
class Language:
    """What is known of one language; `None` where a pattern does not apply."""

    name: str
    endings: tuple[str, ...]
    numerical: frozenset[str]
    imports: re.Pattern[str] | None
    calls: re.Pattern[str] | None
    only: re.Pattern[str] | None
    signs: tuple[re.Pattern[str], ...]
    rule: Rule | None


@lru_cache(maxsize=1)
def languages() -> tuple[Language, ...]:
    """The languages of `code_libraries.yaml`, in its order."""
    held = yaml.load(LIBRARIES.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    return tuple(_language(name, told) for name, told in held.items())


def _language(name: str, told: Mapping[str, object]) -> Language:
    def pattern(key: str, form: str = "{}") -> re.Pattern[str] | None:
        text = told.get(key)
        return re.compile(form.format(re.sub(r"\|\s+", "|", str(text))), re.MULTILINE) if text else None

    rules: tuple[Rule, ...] = ("proof", "algebra", "tex")
    signs = told.get("signs", [])
    assert isinstance(signs, list)
    return Language(
        name=name,
        endings=tuple(told["endings"]),  # type: ignore[arg-type]
        numerical=frozenset(str(told.get("numerical", "")).split()),
        imports=pattern("imports"),
        calls=pattern("calls", r"\b({})\s*\("),
        only=pattern("only"),
        signs=tuple(re.compile(sign, re.MULTILINE) for sign in signs),
        rule=next((r for r in rules if told.get(r)), None),
    )


def language_of(text: str, path: str = "") -> Language | None:
    """The language by the ending of the file, else by the signs of the text; None where neither tells.

    An ending that another kind of file shares (`.v`, `.g`, `.lib`) counts only where the text looks like it.
    """
    name, held = PurePosixPath(path).name.lower(), text[:SAMPLE_CHARS]
    for language in languages():
        if name.endswith(tuple(e.lower() for e in language.endings)):
            return language if language.only is None or language.only.search(held) else None
    if "." in name:
        return None
    found = (one for one in languages() if any(sign.search(held) for sign in one.signs))
    if (first := next(found, None)) is not None:
        return first
    python = languages()[0]
    return python if python.imports and python.imports.search(held) else None


def imported(text: str, language: Language) -> set[str]:
    """The names that a file imports, as they are written, without relative ones."""
    if language.imports is None:
        return set()
    groups = (g for m in language.imports.finditer(text[:SAMPLE_CHARS]) for g in m.groups() if g)
    return {name.strip() for found in groups for name in found.split(",") if name.strip()}


def libraries(text: str, language: Language) -> set[str]:
    """The roots of numerical libraries that a file imports."""
    found = (_root(name, language.numerical) for name in imported(text, language))
    return {root for root in found if root}


def _root(name: str, known: frozenset[str]) -> str | None:
    """The longest known root of a dotted (or slashed) name."""
    parts = re.split(r"([./])", name)
    return next((root for n in range(len(parts), 0, -1) if (root := "".join(parts[:n])) in known), None)


def own_library(path: str) -> str | None:
    """The library that a file is a part of, if it lies in a folder of that name."""
    known = frozenset().union(*(one.numerical for one in languages()))
    folders = PurePosixPath(path).parts[:-1]
    return next((folder for folder in folders if folder in known), None)


def rule_of(text: str, path: str = "", limits: CodeLimits | None = None) -> Rule:
    """What the rules say of a file.

    `too_large` and `digits` are data; `proof`, `algebra` and `tex` go by language; `library`: a part of a numerical
    library; `numerical`: imports one that it is no part of, or calls mathematical functions; else `none`.
    """
    limits = limits or CodeLimits()
    if len(text.encode("utf-8", "replace")) > limits.max_bytes:
        return "too_large"
    if digit_share(text) > limits.max_digit_share:
        return "digits"
    language, own = language_of(text, path), own_library(path)
    if language is not None and language.rule is not None:
        return language.rule
    if own:
        return "library"
    return "numerical" if language is not None and is_numerical(text, language) else "none"


def is_numerical(text: str, language: Language) -> bool:
    """Whether a file imports a numerical library, or calls several mathematical functions."""
    if libraries(text, language):
        return True
    return language.calls is not None and len(set(language.calls.findall(text[:SAMPLE_CHARS]))) >= MIN_CALLS


def digit_share(text: str) -> float:
    """Digits among the characters that are no white space, in 0 to 1."""
    written = len(text) - len(_SPACE.findall(text))
    return len(_DIGITS.findall(text)) / written if written else 0.0


def notebook_text(text: str, path: str = "") -> str | None:
    """The cells of a Jupyter notebook: Markdown as it is, code in fences, no outputs; None where it is no notebook."""
    if not path.endswith(".ipynb") and not ('"cells"' in text and '"cell_type"' in text):
        return None
    try:
        held = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    cells = held.get("cells") if isinstance(held, dict) else None
    if not isinstance(cells, list):
        return None
    return "\n\n".join(found for cell in cells if isinstance(cell, dict) and (found := _cell(cell)))


def _cell(cell: Mapping[str, object]) -> str:
    source = cell.get("source", "")
    joined = ("".join(map(str, source)) if isinstance(source, list) else str(source)).strip("\n")
    if not joined.strip():
        return ""
    return f"```python\n{joined}\n```" if cell.get("cell_type") == "code" else joined

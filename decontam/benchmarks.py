"""Benchmark files as items: the questions and solutions that must not stand in training text.

Benchmarks are published with the field names their authors liked, so the usual names are looked for
in a fixed order and a mapping replaces them where they do not fit; a set of the registry brings its own.
A question and a solution are separate items from here on: nothing downstream can join them and match
across the seam. Options of a multiple choice can make a variant of the question (see `decontam.options`).
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from decontam.options import own_enough, read_options
from filters.errors import InputError, UsageError

Field = Literal["question", "solution", "option"]
Names = Mapping[Field, Sequence[str]]

# The first name that holds a text is the field of a row; `a+b` joins two fields into one text.
# Joined names stand first: `question` alone is half of an ASDiv or SVAMP problem.
# A worked solution stands before a bare answer, which is too short to match by itself.
DEFAULT_FIELDS: Names = {
    "question": (
        "body+question",
        "question",
        "problem",
        "input",
        "content",
        "informal_statement",
        "messages[0].content",
    ),
    "solution": ("solution", "rationale", "steps", "informal_proof", "answer"),
    "option": ("options", "choices"),
}

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")

# In a folder, a train split stands for data one may train on; Hugging Face numbers its shards.
_TRAIN_SPLIT = re.compile(r"train(-\d+-of-\d+)?")

_PATH_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True, order=True, slots=True)
class Item:
    """One text of a benchmark row. Sorts by benchmark, split, row, field, text."""

    benchmark: str
    split: str
    row: int  # 0-based line (JSONL) or row (Parquet) of the file
    field: Field
    text: str  # "" for a row without a question: it is counted as unprotected; an option has the question before it


def load_benchmarks(paths: Sequence[Path], fields: Mapping[str, Sequence[str]] | None = None) -> list[Item]:
    """All items of the benchmark files that `paths` stand for, sorted.

    `fields` replaces the names looked for, for the field (`question`, `solution`, `option`) that it has.
    """
    given = _checked_fields(fields)
    items: list[Item] = []
    seen: dict[tuple[str, str], Path] = {}
    for path in benchmark_files(paths):
        name_split = (path.resolve().parent.name, split_of(path))
        if name_split in seen:
            msg = f"{path} and {seen[name_split]} are both {'/'.join(name_split)}; name only one of them"
            raise InputError(msg)
        seen[name_split] = path
        texts, variants = _file_items(path, *name_split, given)
        keep = own_enough([options for options, _ in variants]) if variants else []
        items += [*texts, *(variant for (_, variant), kept in zip(variants, keep, strict=True) if kept)]
    return sorted(items)


def published_items(path: Path) -> list[Item]:
    """The items of one file as it was published, every variant included: what its digest is over."""
    texts, variants = _file_items(path, path.resolve().parent.name, split_of(path), {})
    return [*texts, *(variant for _, variant in variants)]


def benchmark_files(paths: Sequence[Path]) -> list[Path]:
    """The files that `paths` stand for, each once, sorted.

    A folder stands for its files and those of the folders in it, but not for a split named `train`.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            members = _folder_files(path)
        elif not path.exists():
            msg = f"no such benchmark file or folder: {path}"
            raise InputError(msg)
        elif split_of(path) == path.name:
            msg = f"{path} is no benchmark file: expected {', '.join(SUFFIXES)}"
            raise InputError(msg)
        else:
            members = [path]
        for member in members:
            found.setdefault(member.resolve(), member)
    return [found[key] for key in sorted(found)]


def _folder_files(folder: Path) -> list[Path]:
    candidates = [p for pattern in ("*", "*/*") for p in folder.glob(pattern) if p.is_file()]
    files = [p for p in candidates if split_of(p) != p.name]
    if not files:
        msg = f"{folder} holds no benchmark file; expected NAME/SPLIT with {', '.join(SUFFIXES)}"
        raise InputError(msg)
    kept = [p for p in files if not _TRAIN_SPLIT.fullmatch(split_of(p))]
    if not kept:
        msg = f"{folder} holds only train splits, which are not protected; name the file itself to use one"
        raise InputError(msg)
    return kept


def split_of(path: Path) -> str:
    """The file's name without its suffix; the whole name where the suffix is none of ours."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


def _checked_fields(fields: Mapping[str, Sequence[str]] | None) -> Names:
    checked: dict[Field, Sequence[str]] = {}
    for key, names in (fields or {}).items():
        if key not in get_args(Field):
            msg = f"unknown benchmark field {key!r}; it is one of {', '.join(get_args(Field))}"
            raise UsageError(msg)
        if isinstance(names, str) or not names:
            msg = f"the names for benchmark field {key!r} must be a list with at least one name, not {names!r}"
            raise UsageError(msg)
        checked[key] = names  # type: ignore[index]  # checked above
    return checked


def _file_items(
    path: Path, benchmark: str, split: str, given: Names
) -> tuple[list[Item], list[tuple[list[str], Item]]]:
    """(questions and solutions of a file, the options and the variant of each row that has options)."""
    items: list[Item] = []
    variants: list[tuple[list[str], Item]] = []
    keys: dict[str, None] = {}
    has_question = False
    names: Names | None = None
    for row, record in read_rows(path):
        names = names or _names(benchmark, split, record, given)
        keys.update(dict.fromkeys(record))
        question = "\n".join(_texts(record, names["question"]))
        has_question |= bool(question)
        items.append(Item(benchmark, split, row, "question", question))
        solutions = _texts(record, names["solution"])
        items.extend(Item(benchmark, split, row, "solution", text) for text in solutions)
        options = _options(record, names["option"]) if question else []
        if options:
            variants.append((options, Item(benchmark, split, row, "option", "\n".join([question, *options]))))
    if not items:
        msg = f"{path} has no rows"
        raise InputError(msg)
    if not has_question:
        msg = (
            f"{path}: none of its fields is a known question field; it has {', '.join(keys) or 'none'}: "
            f"say which one holds the question with the field mapping (--fields question=NAME)"
        )
        raise InputError(msg)
    return items, variants


def _names(benchmark: str, split: str, record: Mapping[str, Any], given: Names) -> Names:
    """The names looked for in a file: those given, then those of the registry if its question field is there."""
    from decontam.registry import known_fields  # it reads benchmark files through this module

    known = known_fields(benchmark, split)
    usual = known if known and _texts(record, known["question"]) else DEFAULT_FIELDS
    return {**usual, **given}


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(0-based row, record) of a benchmark file, in order."""
    try:
        if path.name.endswith(".parquet"):
            yield from enumerate(_parquet_rows(path))
            return
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as lines:
            for row, line in enumerate(lines):
                if line.strip():
                    yield row, _record(path, row, line)
    except (OSError, EOFError) as exc:
        msg = f"cannot read {path}: {exc}"
        raise InputError(msg) from exc


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa  # as dear as numba: an index of JSON lines does without
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except pa.ArrowException as exc:
        msg = f"cannot read {path}: {exc}"
        raise InputError(msg) from exc
    return rows


def _record(path: Path, row: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as exc:  # also invalid UTF-8
        msg = f"{path}, line {row + 1}: not JSON ({exc})"
        raise InputError(msg) from exc
    if not isinstance(record, dict):
        msg = f"{path}, line {row + 1}: expected a JSON object, found {type(record).__name__}"
        raise InputError(msg)
    return record


def _texts(record: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The texts of the first of `names` that holds any: one, or one for each of a list of texts."""
    for name in names:
        parts = [name] if name in record else name.split("+")
        values = [_value(record, part) for part in parts]
        if len(values) == 1 and isinstance(values[0], list):
            texts = [v for v in values[0] if isinstance(v, str) and v.strip()]
        elif all(isinstance(v, str) and v.strip() for v in values):
            texts = [" ".join(values)]
        else:
            texts = []
        if texts:
            return texts
    return []


def _options(record: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The options of the first of `names` that holds any."""
    return next((options for name in names if (options := read_options(_value(record, name)))), [])


def _value(record: Mapping[str, Any], path: str) -> Any:
    """What stands at `path` (`answer`, `messages[0].content`), else None; a key's case is ignored."""
    value: Any = record
    steps = [(None, path)] if path in record else [m.groups() for m in _PATH_STEP.finditer(path)]
    for index, key in steps:
        if index is not None and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif key is not None and isinstance(value, dict):
            value = value.get(key, next((v for k, v in value.items() if k.lower() == key.lower()), None))
        else:
            return None
    return value

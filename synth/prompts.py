"""Prompts as files: what a model is asked, in English and Chinese, versioned, digested, and replaceable by a user.

A file has YAML front matter and then the messages, each behind a line `# system` or `# user`:

    ---
    id: refine
    version: 1
    language: en
    task: refine
    parser: pairs
    sampling: {temperature: 0.0, max_tokens: 4096}
    ---
    # user
    <document>
    {{document}}
    </document>
    ...

`{{name}}` is filled in by the task. What is filled in is escaped (`synth.parse.escape`) and never read for further
names. The digest of the file goes into the id of every request, so a changed prompt is a new question. The document
stands first and the question last, since servers keep what requests have in common at their start.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from filters.errors import InputError
from synth.parse import escape
from synth.requests import Sampling

M = TypeVar("M", bound=BaseModel)

OWN_FOLDER = Path(__file__).with_name("prompts")
STYLES_FILE = "styles.yaml"
LANGUAGES = ("en", "zh")
DIGEST_CHARS = 12  # of the file's digest in a prompt's name: 48 bits
_FILE = re.compile(r"---\n(?P<head>.*?)^---\n(?P<body>.*)\Z", re.DOTALL | re.MULTILINE)
_ROLE = re.compile(r"^# (system|user|assistant)[ \t]*\n", re.MULTILINE)
_NAME = re.compile(r"\{\{(\w+)\}\}")

# What each task fills in, all of which has to stand in the messages.
PLACES = {
    "lm_score": {"document", "question"},
    "edu_score": {"document"},
    "extract_blocks": {"document"},
    "extract_verbatim": {"document"},
    "refine": {"document", "question", "answer", "solution"},
    "generate": {"document", "style", "level", "count"},
    "solve_cot": {"question"},
    "solve_code": {"question"},
    "textbook": {"document", "style"},
    "dialogue": {"document", "style"},
    "judge": {"question", "answer", "solution"},
}
PARSERS = {
    "lm_score": "labels", "edu_score": "labels", "extract_blocks": "blocks", "extract_verbatim": "pairs",
    "refine": "pairs", "generate": "pairs", "solve_cot": "solution", "solve_code": "code", "textbook": "text",
    "dialogue": "text", "judge": "verdict",
}  # fmt: skip
Task = Literal[
    "lm_score", "edu_score", "extract_blocks", "extract_verbatim", "refine", "generate", "solve_cot", "solve_code",
    "textbook", "dialogue", "judge",
]  # fmt: skip


class Ready(str):
    """A text to fill in that is escaped already."""

    __slots__ = ()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Sampling(_Strict):
    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(gt=0)] = 1024
    stop: tuple[str, ...] = ()


class _Head(_Strict):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: Annotated[int, Field(gt=0)]
    language: Literal["en", "zh"]
    task: Task
    parser: str
    sampling: _Sampling
    questions: dict[str, str] = {}
    labels: dict[str, list[str]] = {}


class _Described(_Strict):
    en: str
    zh: str


class _Styles(_Strict):
    styles: dict[str, _Described]
    levels: dict[str, _Described]
    audiences: dict[str, _Described]
    dialogues: dict[str, _Described]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file.

    messages : (role, template), in order. labels : what an answer means -> its spellings, for tasks that score.
    questions : name -> text of the questions that one template asks in turn.
    """

    id: str
    version: int
    language: str
    task: str
    parser: str
    sampling: Sampling
    messages: tuple[tuple[str, str], ...]
    digest: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    questions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What stands in a request: id, language, version and digest."""
        return f"{self.id}/{self.language}@{self.version}:{self.digest}"

    def render(self, values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """The messages with `values` filled in, escaped where they are not `Ready`."""
        filled = {name: value if isinstance(value, Ready) else escape(value) for name, value in values.items()}
        return tuple((role, _NAME.sub(lambda m: filled[m[1]], text)) for role, text in self.messages)


@dataclass(frozen=True, slots=True)
class Prompts:
    """All prompts by (id, language), and the styles: kind -> name -> language -> description."""

    files: Mapping[tuple[str, str], Prompt]
    styles: Mapping[str, Mapping[str, Mapping[str, str]]]

    def get(self, name: str, language: str, task: str = "") -> Prompt:
        """The prompt of this id and language; InputError where there is none, or one of another task."""
        found = self.files.get((name, language))
        if found is None or found.task != (task or found.task):
            known = sorted(f"{i}/{lang}" for (i, lang), p in self.files.items() if not task or p.task == task)
            msg = f"no prompt {name}/{language}{f' of task {task}' if task else ''}; there are {', '.join(known)}"
            raise InputError(msg)
        return found

    def described(self, kind: str, name: str, language: str) -> str:
        """A style, level, audience or dialogue in words; InputError for an unknown one."""
        found = self.styles[kind].get(name)
        if found is None:
            msg = f"{STYLES_FILE}: no {name!r} in {kind}; there are {', '.join(sorted(self.styles[kind]))}"
            raise InputError(msg)
        return found[language]


def load(folder: Path | None = None) -> Prompts:
    """Our prompts, with those of the user's folder in place of ours of the same id and language.

    A folder of the user's may hold new ids, and a `styles.yaml`, which replaces ours whole. InputError, of one line,
    for a file that cannot be used.
    """
    files: dict[tuple[str, str], Prompt] = {}
    for place in filter(None, (OWN_FOLDER, folder)):
        if not place.is_dir():
            raise _broken(place, "no folder of prompts; make it, or leave the option out to use ours")
        files |= _by_key(place)
    own = folder / STYLES_FILE if folder else None
    return Prompts(files, _read_styles(own if own and own.exists() else OWN_FOLDER / STYLES_FILE))


def _by_key(folder: Path) -> dict[tuple[str, str], Prompt]:
    found: dict[tuple[str, str], Prompt] = {}
    for path in sorted(folder.glob("*.md")):
        prompt = read_prompt(path)
        if (prompt.id, prompt.language) in found:
            raise _broken(path, f"a second prompt {prompt.id}/{prompt.language}; give one another id")
        found[prompt.id, prompt.language] = prompt
    return found


def read_prompt(path: Path) -> Prompt:
    """The prompt in a file; InputError, naming file and remedy, where it is none."""
    raw = _bytes(path)
    text = _decoded(path, raw)
    parts = _FILE.match(text)
    if not parts:
        raise _broken(path, "no front matter; begin the file with a line ---, YAML, and another line ---")
    head = _checked(_Head, _yaml(path, parts["head"]), path)
    messages = _messages(path, parts["body"])
    _check_kind(path, head)
    _check_places(path, head, messages)
    sampling = Sampling(**head.sampling.model_dump())
    labels = {meaning: tuple(spellings) for meaning, spellings in head.labels.items()}
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()[:DIGEST_CHARS]
    return Prompt(
        head.id, head.version, head.language, head.task, head.parser, sampling, messages, digest, labels, head.questions
    )


def _read_styles(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    return _checked(_Styles, _yaml(path, _decoded(path, _bytes(path))), path).model_dump()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _broken(path, f"{error.strerror or error}; make it readable") from error


def _decoded(path: Path, raw: bytes) -> str:
    try:
        return raw.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise _broken(path, f"byte {error.start} is no UTF-8; save the file as UTF-8") from error


def _yaml(path: Path, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 2})" if mark else ""
        raise _broken(path, f"not YAML ({problem}); quote texts that hold : or #{line}") from error


def _checked(kind: type[M], data: Any, path: Path) -> M:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "front matter"
        known = ", ".join(kind.model_fields)
        raise _broken(path, f"{where}: {first['msg']}; the keys are {known}") from error


def _messages(path: Path, body: str) -> tuple[tuple[str, str], ...]:
    before, *parts = _ROLE.split(body)
    if before.strip() or not parts:
        raise _broken(path, "text before the first message; begin the messages with a line `# user` or `# system`")
    messages = tuple((role, text.strip("\n")) for role, text in zip(parts[::2], parts[1::2], strict=True))
    if messages[-1][0] != "user":
        raise _broken(path, f"the last message is of {messages[-1][0]!r}; end with one of `# user`")
    return messages


def _check_places(path: Path, head: _Head, messages: Sequence[tuple[str, str]]) -> None:
    wanted, used = PLACES[head.task], set(_names(messages))
    if extra := sorted(used - wanted):
        msg = (
            f"{path}: {{{{{extra[0]}}}}} is nothing that {head.task} fills in; it fills in {', '.join(sorted(wanted))}"
        )
        raise InputError(msg)
    if missing := sorted(wanted - used):
        raise _broken(path, f"{{{{{missing[0]}}}}} is missing; {head.task} has to show it to the model")


def _names(messages: Sequence[tuple[str, str]]) -> Iterator[str]:
    for _, text in messages:
        yield from _NAME.findall(text)


def _check_kind(path: Path, head: _Head) -> None:
    if head.parser != PARSERS[head.task]:
        raise _broken(path, f"parser {head.parser!r} does not read {head.task}; write `parser: {PARSERS[head.task]}`")
    labels = {"lm_score": {"positive", "negative"}, "edu_score": set("012345")}.get(head.task, set())
    if set(head.labels) != labels or not all(head.labels.values()):
        wanted = f"`labels:` with spellings for each of {', '.join(sorted(labels))}" if labels else "no `labels:`"
        raise _broken(path, f"{head.task} needs {wanted}")
    if bool(head.questions) != (head.task == "lm_score"):
        raise _broken(path, "`questions:` (name: text) belong to lm_score, and to it alone; add or remove them")


def _broken(path: Path, problem: str) -> InputError:
    return InputError(f"{path}: {problem}")

"""The chat template of a model, rendered here: prompts are then completions, which servers take in lists.

Templates are Jinja, as Hugging Face tokenizers keep them; they come with a model, so they run in Jinja's sandbox.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from filters.errors import InputError

Messages = tuple[tuple[str, str], ...]

_FILES = ("chat_template.jinja", "tokenizer_config.json")


def load_template(given: Path) -> Callable[[Messages], str]:
    """What renders messages, with the opening of the answer behind them.

    given : a folder with `chat_template.jinja` or `tokenizer_config.json`, or one of these files. InputError where
    there is no template, or it fails on a message of a user.
    """
    files = [given / name for name in _FILES] if given.is_dir() else [given]
    found = [file for file in files if file.is_file()]
    if not found:
        msg = f"{given}: no chat template; give the folder of the model's tokenizer, or its tokenizer_config.json"
        raise InputError(msg)
    text, tokens = _read(found[0])
    if not text.strip():
        msg = f"{found[0]}: holds no chat template"
        raise InputError(msg)
    config = found[0].with_name(_FILES[1])
    if not tokens and config.is_file():
        tokens = _read(config)[1]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse

    def render(messages: Messages) -> str:
        said = [{"role": role, "content": content} for role, content in messages]
        return template.render(messages=said, add_generation_prompt=True, **tokens)

    try:
        template = environment.from_string(text)
        render((("user", "?"),))
    except (TemplateError, TypeError) as error:
        msg = f"{found[0]}: a chat template that cannot be used ({str(error).splitlines()[0]})"
        raise InputError(msg) from error
    return render


def _read(file: Path) -> tuple[str, dict[str, str]]:
    """(template, special tokens) of a file; a config may lack the first, a template has none of the second."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".json":
        return text, {}
    try:
        config: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        msg = f"{file}: no JSON ({error})"
        raise InputError(msg) from error
    tokens = {name: _token(config[name]) for name in ("bos_token", "eos_token") if config.get(name)}
    template = config.get("chat_template")
    if isinstance(template, list):  # several, by name
        template = next((one["template"] for one in template if one.get("name") == "default"), None)
    return template or "", tokens


def _token(value: Any) -> str:
    return str(value["content"] if isinstance(value, dict) else value)


def _refuse(message: str) -> None:
    raise TemplateError(message)

"""Chat templates as tokenizers keep them, rendered without the tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from filters.errors import InputError
from synth.chat_template import load_template

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}\n    {{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{% endfor %}\n{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}\n"
)
SAID = (("system", "Be brief."), ("user", "What is $2 + 3$?"))
SHOWN = (
    "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is $2 + 3$?<|im_end|>\n<|im_start|>assistant\n"
)


def write(folder: Path, **config: Any) -> Path:
    """A tokenizer's configuration."""
    (folder / "tokenizer_config.json").write_bytes(orjson.dumps(config))
    return folder


@pytest.mark.parametrize("as_list", [False, True])
def test_a_template_in_the_configuration(tmp_path: Path, as_list: bool) -> None:
    """Alone, or one of several; tokens as texts or as what holds one; blanks before blocks are dropped."""
    several = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": TEMPLATE}]
    write(tmp_path, chat_template=several if as_list else TEMPLATE, bos_token={"content": "<s>"})
    shown = load_template(tmp_path)(SAID)
    assert shown.replace("    ", "") == SHOWN
    assert load_template(tmp_path / "tokenizer_config.json")(SAID) == shown


def test_a_template_of_its_own_file(tmp_path: Path) -> None:
    """The tokens come from the configuration beside it."""
    write(tmp_path, bos_token="<s>")
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
    assert load_template(tmp_path)(SAID).replace("    ", "") == SHOWN


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "no chat template"),
        ("{% for m in %}", "cannot be used"),
        ("{{ raise_exception('only assistants') }}", "only assistants"),
        ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "cannot be used"),
        ("{{ messages.append(1) }}", "cannot be used"),
    ],
)
def test_what_is_no_template_is_one_line(tmp_path: Path, template: str | None, said: str) -> None:
    """Nothing there, broken Jinja, one that refuses users, and two that reach out of the sandbox."""
    if template is not None:
        (tmp_path / "chat_template.jinja").write_text(template)
    with pytest.raises(InputError, match=said):
        load_template(tmp_path)


def test_a_configuration_without_a_template_is_told(tmp_path: Path) -> None:
    """An empty prompt would be asked otherwise."""
    with pytest.raises(InputError, match="holds no chat template"):
        load_template(write(tmp_path, eos_token="</s>"))


def test_like_transformers(tmp_path: Path) -> None:
    """The same text as `apply_chat_template` of a tokenizer with this template."""
    transformers = pytest.importorskip("transformers", reason="the local extra is not installed")
    from tokenizers import Tokenizer, models

    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(tmp_path)
    said = [{"role": role, "content": text} for role, text in SAID]
    assert load_template(tmp_path)(SAID) == fast.apply_chat_template(said, tokenize=False, add_generation_prompt=True)

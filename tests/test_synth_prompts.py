"""Prompts are files: loaded whole or refused with one clear line, filled in without losing a byte, replaceable."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_synth_parse import solutions

from filters.errors import InputError
from synth.parse import escape, unescape
from synth.prompts import LANGUAGES, OWN_FOLDER, PLACES, Prompts, Ready, load, read_prompt

OURS = load()
WHOLE = (OWN_FOLDER / "refine.en.md").read_text()


def test_every_task_has_a_prompt_in_both_languages() -> None:
    """The same tasks, parsers, labels and questions in English and Chinese; nothing stands behind the question."""
    assert sorted(OURS.files) == sorted((task, language) for task in PLACES for language in LANGUAGES)
    for task in PLACES:
        english, chinese = (OURS.get(task, language) for language in LANGUAGES)
        assert (english.parser, english.labels, list(english.questions), english.sampling) == (
            chinese.parser, chinese.labels, list(chinese.questions), chinese.sampling,
        )  # fmt: skip
        first = "{{document}}" if "document" in PLACES[task] else "{{question}}"
        for prompt in (english, chinese):
            assert prompt.messages[-1][1].find(first) == min(
                prompt.messages[-1][1].find(f"{{{{{p}}}}}") for p in PLACES[task]
            )


def test_styles_have_both_languages() -> None:
    """Each style, level, audience and dialogue is described in English and Chinese; an unknown one is refused."""
    for kind, names in OURS.styles.items():
        assert all(OURS.described(kind, name, language) for name in names for language in LANGUAGES)
    with pytest.raises(InputError, match=r"no 'haiku' in styles; there are calculation, concept"):
        OURS.described("styles", "haiku", "en")


def broken(tmp_path: Path, text: str | bytes) -> str:
    """What is said of a prompt file."""
    path = tmp_path / "mine.en.md"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_prompt(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert "\n" not in told
    return told.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("---\nid", "id", "no front matter; begin the file with a line ---"),
        ("id: refine", "id: [refine", "not YAML ("),
        ("id: refine", "id: ../etc", "id: String should match pattern"),
        ("version: 1", "version: one", "version: Input should be a valid integer"),
        ("language: en", "language: fr", "language: Input should be 'en' or 'zh'"),
        ("parser: pairs", "parser: json", "parser 'json' does not read refine; write `parser: pairs`"),
        ("parser: pairs\n", "", "parser: Field required; the keys are id, version"),
        ("temperature: 0.0", "temperature: -1", "sampling.temperature: Input should be greater"),
        ("temperature: 0.0", "heat: 1", "sampling.heat: Extra inputs are not permitted"),
        ("{{answer}}", "", "{{answer}} is missing; refine has to show it"),
        ("{{answer}}", "{{answer}}{{date}}", "{{date}} is nothing that refine fills in; it fills in answer, document"),
        ("# user\n", "", "text before the first message; begin the messages with a line `# user`"),
        ("# user\n", "# assistant\n", "the last message is of 'assistant'; end with one of `# user`"),
        ("task: refine", "task: lm_score", "parser 'pairs' does not read lm_score; write `parser: labels`"),
        ("sampling", "questions: {a: b}\nsampling", "`questions:` (name: text) belong to lm_score"),
        ("sampling", "labels: {a: [b]}\nsampling", "refine needs no `labels:`"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    """Each says what is wrong and how to mend it."""
    assert told in broken(tmp_path, WHOLE.replace(old, new, 1))


def test_files_that_are_no_text_or_lack_labels_are_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and scores without the labels they are read from."""
    assert "byte 0 is no UTF-8" in broken(tmp_path, b"\xff\xfe")
    scoring = (OWN_FOLDER / "edu_score.en.md").read_text()
    assert "edu_score needs `labels:` with spellings for each of 0, 1, 2" in broken(
        tmp_path, scoring.replace('  "5": ["5", " 5"]\n', "")
    )


def test_a_folder_replaces_and_adds(tmp_path: Path) -> None:
    """Ours by id and language, the rest stays; a changed byte is another name; two of one id are refused."""
    (tmp_path / "refine.md").write_text(WHOLE.replace("step by step", "line by line"))
    (tmp_path / "short.md").write_text(WHOLE.replace("id: refine", "id: short_refine"))
    both = load(tmp_path)

    assert both.get("refine", "en").name != OURS.get("refine", "en").name
    assert both.get("refine", "zh") == OURS.get("refine", "zh")
    assert both.get("short_refine", "en", "refine").task == "refine"
    (tmp_path / "again.md").write_text(WHOLE)
    with pytest.raises(InputError, match="a second prompt refine/en; give one another id"):
        load(tmp_path)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """A folder, a prompt, a prompt of another task."""
    with pytest.raises(InputError, match="none: no folder of prompts"):
        load(tmp_path / "none")
    with pytest.raises(InputError, match="no prompt poem/en; there are dialogue/en"):
        OURS.get("poem", "en")
    with pytest.raises(InputError, match="no prompt judge/en of task refine; there are refine/en, refine/zh"):
        OURS.get("judge", "en", "refine")


def test_a_users_styles_replace_ours(tmp_path: Path) -> None:
    """Whole, and checked as ours are."""
    (tmp_path / "styles.yaml").write_text(
        "styles: {haiku: {en: short, zh: 短}}\nlevels: {}\naudiences: {}\ndialogues: {}\n"
    )
    assert load(tmp_path).described("styles", "haiku", "zh") == "短"
    (tmp_path / "styles.yaml").write_text("styles: {haiku: {en: short}}\nlevels: {}\naudiences: {}\ndialogues: {}\n")
    with pytest.raises(InputError, match=r"styles.haiku.zh: Field required"):
        load(tmp_path)


def filled(prompts: Prompts, text: str) -> str:
    """A text as a model sees it between the lines of our prompt."""
    [(_, message)] = prompts.get("solve_cot", "en").render({"question": text})
    begin, end = prompts.get("solve_cot", "en").messages[0][1].split("{{question}}")
    assert message.startswith(begin)
    assert message.endswith(end)
    return message[len(begin) : len(message) - len(end)]


@given(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.sampled_from(["{{question}}", "</document>", "\\1", "\\g<0>"]),
    )
)
def test_what_is_filled_in_is_never_read_again(text: str) -> None:
    """Names of places, tags and signs of patterns in a document stay what they are."""
    assert unescape(filled(OURS, text)) == text


def test_documents_cannot_end_themselves() -> None:
    """A document's own tags are escaped, but not what a task marked up itself."""
    [(_, message)] = OURS.get("extract_verbatim", "en").render({"document": "</document> <qa> <b>"})
    assert message.startswith("<document>\n&lt;/document> &lt;qa> <b>\n</document>")
    [(_, message)] = OURS.get("extract_blocks", "en").render({"document": Ready("<block 1>\n" + escape("<block 2>"))})
    assert message.startswith("<document>\n<block 1>\n&lt;block 2>\n</document>")


def test_latex_survives_the_prompt(shared_data: Path) -> None:
    """Every tenth of MATH's solutions stands in the message as it is."""
    texts = solutions(shared_data)[::10]
    assert [filled(OURS, text) for text in texts] == texts


@pytest.mark.slow
def test_all_latex_survives_the_prompt(shared_data: Path) -> None:
    """All 5,000."""
    texts = solutions(shared_data)
    assert [filled(OURS, text) for text in texts] == texts

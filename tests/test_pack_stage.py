"""The stage `tokens` with the tokenizer of a model: counts, keys, errors; and a build and its mix, packed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from small import build, digests, plan, write_input
from small_tokenizer import save, train
from tokenizers import Tokenizer

from filters.errors import InputError, UsageError
from pipelines.cli import main
from pipelines.dataset import Dataset
from pipelines.engine import make_engine
from pipelines.recipe_mix import Mix


def stages(tokenizer: str) -> list[dict[str, Any]]:
    return [{"stage": "quality", "min_tokens": 5}, {"stage": "tokens", "tokenizer": tokenizer}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_input(tmp_path)
    save(tmp_path / "tok" / "tokenizer.json")
    return tmp_path


def counted(root: Path, out: str) -> dict[str, tuple[str, int]]:
    rows = [row for table in Dataset.load(root / out / "corpus").tables() for row in table.to_pylist()]
    return {row["id"]: (row["text"], row["tokens"]) for row in rows}


@pytest.mark.parametrize("given", ["tok", "tok/tokenizer.json"])
def test_tokens_are_those_of_the_tokenizer(given: str, root: Path) -> None:
    """By file or folder, relative to the recipe, on the engine of processes too."""
    with closing(make_engine("local", 2)) as engine:
        build(plan(root, stages=stages(given)), engine)
    library = Tokenizer.from_file(str(root / "tok" / "tokenizer.json"))
    found = counted(root, "out")

    assert len(found) > 20
    assert {name: count for name, (_, count) in found.items()} == {
        name: len(library.encode(text)) for name, (text, _) in found.items()
    }


def test_the_key_is_that_of_the_bytes(root: Path) -> None:
    """Another path to the same bytes is the same build; other bytes, and the project's own, are another."""
    keys = {given: plan(root, stages=stages(given)).key for given in ("tok", "tok/tokenizer.json", "builtin")}
    first = build(plan(root, stages=stages("tok")))
    save(root / "tok" / "tokenizer.json", train(420))
    other = plan(root, stages=stages("tok"))

    assert keys["tok"] == keys["tok/tokenizer.json"] != keys["builtin"]
    assert other.key not in keys.values()
    assert [state for _, state in other.states()] == ["again", "again", "run"]
    assert digests(build(other)) != digests(first)


def test_a_tokenizer_that_changes_under_a_build_is_found_out(root: Path) -> None:
    """Between the plan and the run."""
    made = plan(root, stages=stages("tok"))
    save(root / "tok" / "tokenizer.json", train(420))

    with pytest.raises(InputError, match="the files of its tokenizer changed while the build ran; run it again"):
        build(made)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("none/such/file.json", "none/such/file.json: no such file or folder, and no name of the hub"),
        ("in", "in: is a folder without tokenizer.json; give the file, or a folder that has it"),
    ],
)
def test_a_tokenizer_that_is_not_there_stops_the_plan(given: str, line: str, root: Path) -> None:
    """Before anything runs, in one line."""
    with pytest.raises(UsageError, match=f"^{line}"):
        plan(root, stages=stages(given))


def test_one_that_cannot_be_read_stops_the_build(root: Path) -> None:
    """In the driver, not in a worker."""
    (root / "tok" / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="is no tokenizer.json that the tokenizers library reads"):
        build(plan(root, stages=stages("tok")))


def test_a_build_and_its_mix_are_packed(root: Path) -> None:
    """The tokens of the stage and those that are packed are the same but for the ends of documents, copy by copy."""
    made = plan(root, stages=stages("tok"))
    mix = Mix.model_validate({"name": "twice", "parts": [{"name": "all", "epochs": 2}]})
    manifest = build(replace(made, recipe=made.recipe.model_copy(update={"mixes": [mix]})))
    options = ["--tokenizer", str(root / "tok"), "--length", "128", "--engine", "inline", "--json"]
    told = [
        orjson.loads(CliRunner().invoke(main, ["pack", str(folder), *options]).stdout)
        for folder in (root / "out", root / "out" / "mixes" / "twice")
    ]
    documents, tokens = manifest["documents"]["kept"], sum(count for _, count in counted(root, "out").values())

    assert [one["documents"]["packed"] for one in told] == [documents, 2 * documents]
    assert [one["tokens"]["out"] for one in told] == [tokens + documents, 2 * (tokens + documents)]
    assert [one["corpus"]["kind"] for one in told] == ["build", "dataset"]
    assert (root / "out" / "mixes" / "twice" / "packed" / "manifest.json").exists()

"""Every command that the documentation shows runs, or is parsed by the real command where one table says why."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from conftest import REPOSITORY
from datatrove import executor
from doc_commands import (
    PAGES,
    Block,
    blocks,
    commands,
    every_command,
    examples,
    inline_commands,
    named,
    ours,
    parse,
    plain,
)
from doc_world import RECIPE, copy_world, environment, make_world, model_servers, python_names

from pipelines.cli import main
from pipelines.recipe import Recipe
from pipelines.recipe_file import load_model_of
from pipelines.synth_recipe import SynthRecipe

pytestmark = pytest.mark.timeout(600)

SPARK = "starts a JVM; tests/test_engines.py and test_spark_cluster.py build on Spark"
CLUSTER = "needs a cluster; tests/test_spark_cluster.py and test_ray.py start one"
SERVER = "needs a server elsewhere and its key; the same command runs on a server of this machine"
SERVED = "http://localhost:8000"  # becomes the address of a server that the tests run
STORE = "needs an object store; tests/test_object_store.py runs one"
HUB = "needs the hub; tests/test_publish_hub.py stands for it"
EMPTY = {"docs/tutorial.md"}  # begins in an empty folder
HALF_A_MINUTE = "needs torch and half a minute; tests/test_quickstart_samples.py runs it"
NOT_RUN = {  # parsed: every option and argument has to be one of the command
    "mathcorpus build recipe.yaml --engine spark": SPARK,
    "mathcorpus build recipe.yaml --engine spark --master spark://host:7077 --out /shared/build": CLUSTER,
    "mathcorpus build recipe.yaml --engine spark --master sc://host:15002 --out /shared/build": CLUSTER,
    "python examples/spark-cluster.py start /tmp/cluster --workers 2 --cores 1 --memory 2g": CLUSTER,
    'mathcorpus build examples/quickstart/recipe.yaml --engine spark --master "$(cat /tmp/cluster/url)"': CLUSTER,
    "python examples/spark-cluster.py stop /tmp/cluster": CLUSTER,
    "export PYSPARK_SUBMIT_ARGS='--conf spark.executor.memory=8g --conf spark.cores.max=64 pyspark-shell'": CLUSTER,
    "mathcorpus build recipe.yaml --engine ray": CLUSTER,
    "mathcorpus build recipe.yaml --engine ray --master head-node:6379 --workers 64": CLUSTER,
    "mathcorpus build recipe.yaml --engine slurm --workers 200 --slurm partition=cpu --slurm time=04:00:00 --slurm mem=8G": "needs Slurm; tests/test_slurm.py stands for it",
    "mathcorpus build recipe.yaml --out s3://bucket/corpus": STORE,
    "mathcorpus build s3://bucket/recipes/recipe.yaml --out s3://bucket/corpus": STORE,
    "mathcorpus decontaminate sft.jsonl --against gsm8k --judge https://models.example.org/v1 --judge-model some-instruct --judge-key-env MODEL_KEY --judge-budget 2000 --out judged": SERVER,
    "python examples/quickstart/make_samples_model.py": HALF_A_MINUTE,
    "mathcorpus publish out/quickstart --to hf://datasets/ORG/NAME --private": HUB,
    'mathcorpus publish out/primer --to hf://datasets/ORG/NAME --private --message "First version"': HUB,
}
INSTALL = re.compile(r"(?:python3 -m venv \.venv && )?(?:\.venv/bin/)?pip install(?: -q)?(?: -c constraints\.txt)?(?: -e)? '?(?:mathcorpus|\.)(?:\[(?P<extras>[\w,]+)\])?'?(?: && \.venv/bin/.*)?")  # fmt: skip
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-ins, with one build of the quickstart for all pages."""
    root = tmp_path_factory.mktemp("docs") / "world"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(root).items():
            patch.setenv(name, value)
        return make_world(root)


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """Model servers by the command that asks them."""
    with model_servers() as found:
        yield found


@pytest.fixture
def here(world: Path, servers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the stand-ins, which is the folder that commands run in."""
    for name, value in environment(world).items():
        monkeypatch.setenv(name, value)
    made = copy_world(world, tmp_path / "here")
    (made / "pairs.yaml").write_text((world / "pairs.yaml").read_text().replace(SERVED, servers["synth"]))
    monkeypatch.chdir(made)
    return made


def key(command: str) -> str:
    """A command with single spaces, as the table has it."""
    return " ".join(command.split())


def an_id(here: Path) -> str:
    """The id of a document of the quickstart."""
    import pyarrow.parquet as pq

    shards = sorted((here / "out/quickstart/corpus").glob("*.parquet"))
    return str(next(row["id"] for shard in shards for row in pq.read_table(shard, columns=["id"]).to_pylist()))


def run(command: str, here: Path, servers: dict[str, str]) -> str:
    """What a command prints; it has to end well."""
    command = re.sub(r"\bID\b", lambda _: an_id(here), command)
    command = command.replace(SERVED, servers.get(command.split()[1], SERVED))
    words = plain(command)
    if words is None:
        told = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=False)
        code, out, error = told.returncode, told.stdout, told.stderr
    else:
        result = CliRunner().invoke(main, words[1:])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        code, out, error = result.exit_code, result.stdout, result.stderr
    assert code == 0, f"{command}: exit code {code}\n{out[-2000:]}{error[-2000:]}"
    return out


def check(block: Block, here: Path, servers: dict[str, str]) -> None:
    """Runs the commands of a block, or parses those of the table; what they print is what the page says."""
    told = ""
    for command in commands(block.text):
        if (found := INSTALL.fullmatch(command)) is not None:
            assert set((found["extras"] or "").split(",")) <= {*EXTRAS, ""}, f"{block.place}: no such extra"
        elif key(command) in NOT_RUN:
            for words in ours(command):
                parse(words)
        else:
            told += run(command, here, servers)
    if block.told is not None:
        assert matches(block.told, told), f"{block.place}: it prints\n{told}"


def matches(shown: str, told: str) -> bool:
    """Whether lines are those that are shown; … stands for anything within a line."""
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in told.strip().splitlines())) is not None


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_commands_of_a_page_run(
    page: str, here: Path, servers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, in one folder; each ends with exit code 0 and prints what stands behind it."""
    if page in EMPTY:
        (here / "empty").mkdir()
        monkeypatch.chdir(here / "empty")
    for block in blocks(page, "sh"):
        check(block, here, servers)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_of_a_page_runs(page: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block by itself, with the names that it takes as given; tasks in one process."""
    monkeypatch.setattr(executor, "LocalPipelineExecutor", partial(executor.LocalPipelineExecutor, workers=1))
    for block in blocks(page, "python"):
        exec(compile(block.text, block.place, "exec"), python_names(here))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")])
def test_yaml_of_a_page_is_a_recipe(page: str, tmp_path: Path) -> None:
    """Whole recipes are read as such; stages, or other keys alone, as part of a small one."""
    for block in blocks(page, "yaml"):
        (tmp_path / "recipe.yaml").write_text(whole_recipe(yaml.safe_load(block.text)), encoding="utf-8")
        kind = SynthRecipe if "synth:" in block.text.splitlines() else Recipe
        load_model_of(kind, tmp_path / "recipe.yaml", {})


def whole_recipe(shown: Any) -> str:
    """A recipe around what a page shows of one."""
    if isinstance(shown, list):
        shown = {"stages": shown}
    return yaml.safe_dump({**({} if "synth" in shown else yaml.safe_load(RECIPE)), **shown}, allow_unicode=True)


def test_the_table_has_nothing_that_no_page_shows() -> None:
    """What stands in it, stands in the documentation."""
    shown = {key(command) for page in PAGES for block in blocks(page, "sh") for command in commands(block.text)}

    assert [command for command in NOT_RUN if command not in shown] == []


def test_no_command_hides_in_a_block_of_another_kind() -> None:
    """Blocks without a kind and those of output hold no command to type; a kind that is not known is a mistake."""
    known = {"", "sh", "python", "yaml", "text", "toml", "diff"}
    found = [block for page in PAGES for block in blocks(page) if block.kind != "sh"]
    start = re.compile(r"^(?:\$ |mathcorpus [a-z]+ |pip install |python -)", re.MULTILINE)

    assert [block.place for block in found if block.kind not in known] == []
    assert [b.place for b in found if b.page != "docs/cli.md" and b.kind != "text" and start.search(b.text)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if list(inline_commands(page))])
def test_commands_in_running_text_exist(page: str) -> None:
    """Each `mathcorpus …` names a command, and options that it has."""
    for command in inline_commands(page):
        context, rest = named(command.split())
        options = {
            name for param in context.command.get_params(context) for name in (*param.opts, *param.secondary_opts)
        }

        assert {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)} <= options, (page, command)


@pytest.mark.parametrize("path", [path for path, _ in every_command()], ids=" ".join)
def test_every_help_has_examples_that_parse(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines under Example(s) are commands with options that exist and values of their types."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: Path(value))  # the files are not here
    command = dict(every_command())[path]
    found = [words for line in examples(command) for words in ours(line)]

    assert found
    assert [words for words in found if tuple(words[1 : len(path) + 1]) != path] == []
    for words in found:
        parse(words)


def test_matches_is_strict() -> None:
    """Only … is a wildcard, and not over lines."""
    assert matches("a …\nb", "a 1\nb\n")
    assert not matches("a …\nb", "a 1\nc\n")
    assert not matches("a …", "a 1\nb\n")
    assert not matches("a.c", "abc")


def test_a_wrong_option_does_not_parse() -> None:
    """Nor does a command that is not there."""
    with pytest.raises(Exception, match="no such option|No such option"):
        parse(["mathcorpus", "build", "recipe.yaml", "--nope"])
    with pytest.raises(KeyError):
        parse(["mathcorpus", "nope"])

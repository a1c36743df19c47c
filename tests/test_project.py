"""The project's own rules: lint, types, borders between rooms, small functions, and a wheel that works alone."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY

ROOMS = ("filters", "decontam", "synth", "pipelines")
MAX_FILE_LINES = 400
MAX_BODY_LINES = 40
KERNELS = {"filters/kernels.py": {"_scan"}, "filters/json_fields.py": {"_read_line"}}  # numba: one flat loop
BIN = Path(sys.executable).parent


def run(*command: str | Path, cwd: Path = REPOSITORY) -> str:
    told = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, cwd=cwd)

    assert told.returncode == 0, told.stdout[-4000:] + told.stderr[-4000:]
    return told.stdout


def hooks() -> list[dict[str, Any]]:
    """What runs before each commit."""
    [repo] = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repo["repo"] == "local"
    return list(repo["hooks"])


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_hooks_are_silent(hook: dict[str, Any]) -> None:
    """ruff, mypy --strict, the borders of the rooms and the generated pages, by the tools of this environment."""
    assert hook["language"] == "system"  # anything else would be downloaded
    program, *arguments = shlex.split(hook["entry"])
    run(BIN / program, *arguments)


def test_hooks_run_every_linter() -> None:
    """None is forgotten."""
    assert {hook["entry"].split()[0] for hook in hooks()} == {"ruff", "mypy", "lint-imports", "python"}


def sources() -> list[Path]:
    return sorted(p for room in (*ROOMS, "tests", "benchmarks", "examples") for p in (REPOSITORY / room).rglob("*.py"))


def test_files_and_functions_are_small() -> None:
    """Files of up to 400 lines, functions of up to 40 without their docstring."""
    large = []
    for path in sources():
        name = path.relative_to(REPOSITORY).as_posix()
        code = path.read_text(encoding="utf-8")
        if len(code.splitlines()) > MAX_FILE_LINES:
            large.append(f"{name}: {len(code.splitlines())} lines")
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.FunctionDef) and node.name not in KERNELS.get(name, ()):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]
                if length > MAX_BODY_LINES:
                    large.append(f"{name}: {node.name}: {length} lines")

    assert large == []


def test_every_test_says_what_it_shows() -> None:
    """Each test has a docstring."""
    silent = []
    for path in sorted((REPOSITORY / "tests").glob("test_*.py")):
        functions = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)]
        silent += [n.name for n in functions if n.name.startswith("test_") and not ast.get_docstring(n)]

    assert silent == []


def test_no_other_distribution_owns_a_room() -> None:
    """The four package names are ours alone in this environment."""
    owners = packages_distributions()

    assert {room: set(owners.get(room, ["mathcorpus"])) for room in ROOMS} == {room: {"mathcorpus"} for room in ROOMS}


def test_constraints_pin_every_dependency_and_name_no_host() -> None:
    """constraints.txt holds `name==version` and nothing else, for all that pyproject.toml asks for."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for e in project["optional-dependencies"].values() for d in e)]
    names = {
        d.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip().lower().replace("_", "-") for d in wanted
    }

    assert all("==" in line and "/" not in line and "@" not in line for line in lines)
    assert names - pinned == set()


@pytest.mark.timeout(900)  # it downloads all dependencies, and compiles every kernel that a build needs
def test_the_wheel_works_alone(tmp_path: Path) -> None:
    """Built, checked for its four packages, installed in a fresh environment without extras: --help and plan work."""
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, REPOSITORY)
    [wheel] = tmp_path.glob("*.whl")
    run(BIN / "check-wheel-contents", wheel)
    venv.create(tmp_path / "venv", with_pip=True)
    alone = tmp_path / "venv" / "bin"
    run(alone / "pip", "install", "-q", "-c", REPOSITORY / "constraints.txt", wheel, cwd=tmp_path)
    program = alone / "mathcorpus"
    recipe = REPOSITORY / "examples" / "quickstart" / "recipe.yaml"

    assert "mathcorpus build" in run(program, "--help", cwd=tmp_path)
    assert "decontaminate" in run(program, "plan", recipe, "--out", tmp_path / "out", cwd=tmp_path)
    run(program, "build", recipe, "--out", tmp_path / "out", cwd=tmp_path)
    assert (tmp_path / "out" / "report.html").exists()

"""Source code: rules by language, the classifier of its own, and the fate that both decide."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest
from datatrove.data import Document

from filters.code import Code
from filters.code_model import (
    CodeModel,
    Seed,
    features,
    load_code_model,
    save_model,
    train_code,
    without_licence,
)
from filters.code_rules import CodeLimits, language_of, languages, notebook_text, own_library, rule_of
from filters.errors import InputError
from pipelines.code_seeds import read_seeds
from pipelines.recipe import CodeStage


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("app/views.py", "import os\nfrom flask import Flask\n", "none"),
        ("app/fit.py", "import os, numpy as np\n", "numerical"),
        ("app/fit.py", "from scipy.optimize import minimize\n", "numerical"),
        ("app/fit.py", "from numpyish import x\n", "none"),
        ("scipy/linalg/basic.py", "LIMIT = 3\n", "library"),
        ("a.jl", "using Plots, LinearAlgebra\n", "numerical"),
        ("a.R", "x <- MASS::ginv(m)\n", "numerical"),
        ("a.cpp", "#include <vector>\n#include <Eigen/Dense>\n", "numerical"),
        ("a.cpp", "#include <boost/asio.hpp>\n", "none"),
        ("a.cpp", "#include <boost/math/special_functions/gamma.hpp>\n", "numerical"),
        ("solve.f90", "call dgesv(n, 1, a, n, p, b, n, info)\n", "numerical"),
        ("a.m", "x = linspace(0, 1); A = eye(3); v = eig(A);\n", "numerical"),
        ("a.m", "#import <UIKit/UIKit.h>\n@implementation View\n@end\n", "none"),
        ("a.rs", "use nalgebra::Matrix3;\n", "numerical"),
        ("a.js", "const math = require('mathjs')\n", "numerical"),
        ("Nat.lean", "theorem t : 1 + 1 = 2 := rfl\n", "proof"),
        ("T.v", "Lemma a : True. Proof. exact I. Qed.\n", "proof"),
        ("cpu.v", "module cpu(input clk); endmodule\n", "none"),
        ("A.thy", "theory A imports Main begin end\n", "proof"),
        ("s.gp", "forprime(p = 2, 100, print(p))\n", "algebra"),
        ("s.m2", "R = QQ[x,y]\n", "algebra"),
        ("note.tex", "\\documentclass{article}\n", "tex"),
        ("", "theory A\n  imports Main\nbegin\nend\n", "proof"),
        ("", "import numpy as np\nprint(np.eye(2))\n", "numerical"),
    ],
)
def test_rules_go_by_language_and_imports(path: str, text: str, rule: str) -> None:
    """Imports count as whole roots; an ending that two languages share counts by what stands in the file."""
    assert rule_of(text, path) == rule


def test_size_and_digits_have_limits() -> None:
    """Large files and tables of digits are data, whatever they import."""
    limits = CodeLimits(max_bytes=400)
    table = "import numpy as np\nROWS = [" + ", ".join(str(i * 7919) for i in range(50)) + "]\n"

    assert rule_of("import numpy\n" * 40, "a.py", limits) == "too_large"
    assert rule_of(table, "a.py") == "digits"
    assert rule_of(table, "a.py", CodeLimits(max_digit_share=0.9)) == "numerical"


def test_every_language_has_something_to_go_by() -> None:
    """No entry of the list is without imports, calls or a rule, and no ending has two owners."""
    endings = [ending for one in languages() for ending in one.endings]

    assert [one.name for one in languages() if not (one.imports or one.calls or one.rule)] == []
    assert sorted(endings) == sorted(set(endings))
    assert language_of("x", "notes.unknown") is None
    assert own_library("lib/site-packages/sympy/core/facts.py") == "sympy"
    assert own_library("sympy.py") is None


def test_a_notebook_becomes_its_cells() -> None:
    """Markdown as it is, code in fences, outputs gone; what is no notebook is left alone."""
    cells = [
        {"cell_type": "markdown", "source": ["# Roots\n", "of $x^2 = 2$"]},
        {"cell_type": "code", "source": "import sympy", "outputs": [{"data": {"image/png": "iVBORw0"}}]},
        {"cell_type": "code", "source": []},
    ]
    text = notebook_text(json.dumps({"cells": cells, "nbformat": 4}), "a.ipynb")

    assert text == "# Roots\nof $x^2 = 2$\n\n```python\nimport sympy\n```"
    assert rule_of(text, "a.ipynb") == "numerical"
    assert notebook_text("{broken", "a.ipynb") is None
    assert notebook_text("x = 1", "a.py") is None


def test_a_licence_header_is_not_the_files_subject() -> None:
    """Comments and a docstring that speak of a licence go, those behind them stay."""
    body = '"""Eigenvalues of a matrix."""\nimport numpy\n'

    assert without_licence("# Copyright 2020 A. Person\n# All rights\n\n" + body).strip() == body.strip()
    assert without_licence('"""\nLicensed "AS IS"\n"""\n' + body).strip() == body.strip()
    assert without_licence(body) == body


def test_features_split_identifiers_and_leave_out_the_own_package() -> None:
    """Words of identifiers, imports and inner folders; a package's import of itself is no evidence."""
    values, signs = features("import newlib\nimport numpy\neigenValues = LU_factor(A) ** 2.5\n", "newlib/dense/lu.py")

    assert {"eigen", "values", "factor", "import numpy", "path dense", "rule numerical"} <= set(values)
    assert "rule numerical" not in features("import scipy\n", "scipy/a.py")[0]
    assert "path newlib" not in values
    assert max(signs) > 0


MATH = "matrix vector eigenvalue integral polynomial norm residual tolerance gradient solve".split()
WEB = "request session cookie template render socket header login upload route".split()


def seeds(packages: int = 3, files: int = 12) -> list[Seed]:
    draw = random.Random(5)
    return [
        Seed(
            "\n".join(
                f"{a}_{b} = get_{a}(name{p})"
                for a, b in zip(draw.choices(words, k=9), draw.choices(words, k=9), strict=True)
            ),
            f"{kind}{p}/part{i}.py",
            f"{kind}{p}",
            kind == "math",
        )
        for kind, words in (("math", MATH), ("web", WEB))
        for p in range(packages)
        for i in range(files)
    ]


def test_the_classifier_learns_words_that_packages_share() -> None:
    """A package never seen is scored by its words; the order of seeds changes nothing; one label is an error."""
    model = train_code(seeds())

    assert model.score("def eigenvalue(matrix): return solve(matrix)", "fresh/a.py") > 0.8
    assert model.score("def login(request): return render(session)", "fresh/b.py") < 0.2
    assert train_code(seeds()[::-1]) == model
    with pytest.raises(InputError, match="label_field"):
        train_code([seed for seed in seeds() if seed.is_math])


def test_a_word_of_one_package_is_not_learnt() -> None:
    """However often it stands there."""
    own = [Seed(s.text + "\nzyzzyva = 1", s.path, s.group, s.is_math) if s.group == "math0" else s for s in seeds()]

    assert "zyzzyva" not in train_code(own).words
    assert "matrix" in train_code(own).words


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    """JSON on disk gives the same scores; something else is an error that says what to do."""
    model = train_code(seeds())
    save_model(model, tmp_path / "model.json")

    assert load_code_model(str(tmp_path / "model.json"), "1") == model
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(InputError, match="no model of source code"):
        load_code_model(str(tmp_path / "other.json"), "2")
    (tmp_path / "old.json").write_text('{"version": "code-model-0"}')
    with pytest.raises(InputError, match="train it again"):
        load_code_model(str(tmp_path / "old.json"), "3")


@pytest.fixture
def step(tmp_path: Path) -> Code:
    """A step whose model scores by one word: `good` lifts a file to 0.73, all others get 0.27."""
    path = tmp_path / "model.json"
    save_model(CodeModel({"good": 2.0}, (0.0,) * 11, -1.0), path)
    return Code(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("path", "text", "verdict", "rule"),
    [
        ("a.py", "good = 1", True, "none"),
        ("a.py", "bad = 1", (False, "not_math"), "none"),
        ("a.py", "import numpy\nbad = 1", (False, "not_math"), "numerical"),
        ("sympy/core/a.py", "bad = 1", True, "library"),
        ("a.lean", "bad", True, "proof"),
        ("a.py", "good = " + "1234567890" * 9, (False, "digits"), "digits"),
    ],
)
def test_the_fate_comes_from_rule_and_score(step: Code, path: str, text: str, verdict: object, rule: str) -> None:
    """Both are stored, kept or not; a removed file says which limit it missed."""
    doc = Document(text=text, id="1", metadata={"source": "code", "path": path})

    assert step.filter(doc) == verdict
    assert doc.metadata["code_rule"] == rule
    assert doc.metadata["math_score"] == pytest.approx(0.731 if "good" in text else 0.269, abs=0.001)
    assert ("evidence" in doc.metadata) == (verdict is not True)


def test_other_sources_pass_and_notebooks_are_unpacked(step: Code) -> None:
    """A web page has no rule of code; a notebook's text is what its cells say."""
    page = Document(text="bad", id="1", metadata={"source": "web"})
    book = Document(text=json.dumps({"cells": [{"cell_type": "code", "source": "good = 1"}]}), id="2")
    book.metadata = {"source": "code", "origin": "code/a.ipynb"}

    assert step.filter(page) is True
    assert "code_rule" not in page.metadata
    assert step.filter(book) is True
    assert book.text == "```python\ngood = 1\n```"


def test_seeds_are_read_with_their_labels(tmp_path: Path) -> None:
    """Text, path, package and label by the recipe's columns; a row without label is an error with its line."""
    row = {"text": "x = 1", "path": "lib/a.py", "project_is_math": True}
    (tmp_path / "seeds.jsonl").write_text(json.dumps(row) + "\n")
    stage = CodeStage(stage="code", seeds="seeds.jsonl")

    assert list(read_seeds(stage, tmp_path)) == [Seed("x = 1", "lib/a.py", "lib", True)]
    (tmp_path / "seeds.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"text": "y"}) + "\n")
    with pytest.raises(InputError, match=r"seeds\.jsonl: line 2: no true or false in 'project_is_math'"):
        list(read_seeds(stage, tmp_path))

"""The classifier that is distilled from scores of a language model: figures on rows that it has not seen."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner
from scipy.stats import rankdata
from small import write_rows

from filters.classifier import TrainParams
from filters.errors import InputError
from pipelines.cli import main
from pipelines.distil import DistilOptions, compared, distil

MATHS = "theorem proof integral lemma equation vector matrix derivative polynomial prime".split()
OTHER = "goal match recipe butter holiday hotel shoes discount singer album".split()
QUICK = TrainParams(dim=100, epochs=10, buckets=100_000)


def rows(number: int, seed: int = 1) -> list[dict[str, Any]]:
    """Texts with a share of mathematical words, which is their score."""
    drawn = random.Random(seed)
    made = []
    for _ in range(number):
        share = drawn.random()
        words = [drawn.choice(MATHS if drawn.random() < share else OTHER) for _ in range(60)]
        made.append({"text": " ".join(words), "lm_score": round(share, 4)})
    return made


def test_the_figures_are_those_of_the_plain_rule() -> None:
    """Spearman as the correlation of ranks; precision and recall counted."""
    given, scores = np.array([0.9, 0.2, 0.6, 0.4, 0.7]), np.array([0.8, 0.1, 0.4, 0.6, 0.9])
    found = compared(given, scores, 0.5)
    ranks = np.corrcoef(rankdata(given), rankdata(scores))[0, 1]
    assert found == {
        "rows": 5, "spearman": round(float(ranks), 4), "kept": 3, "precision_at_cut": 0.6667, "recall_at_cut": 0.6667,
        "precision_at_same_share": 0.6667,
    }  # fmt: skip


def test_scores_are_learnt(tmp_path: Path) -> None:
    """On held out rows the ranks agree, and what is kept is what the scores keep; any order of rows, the same bytes."""
    found = rows(800)
    write_rows(tmp_path / "a.jsonl", found)
    write_rows(tmp_path / "b.jsonl", found[::-1])
    first = distil(DistilOptions((str(tmp_path / "a.jsonl"),), tmp_path / "a.bin", params=QUICK))
    assert first["held_out"]["spearman"] > 0.85
    assert first["held_out"]["precision_at_cut"] > 0.85
    assert first["examples"]["above"] + first["examples"]["below"] + first["held_out"]["rows"] < 800
    again = distil(DistilOptions((str(tmp_path / "b.jsonl"),), tmp_path / "a.bin", params=QUICK))
    assert again == first


def test_the_command_says_how_good_it_is(tmp_path: Path) -> None:
    """Rows without a score, without text and repeated are counted."""
    found = rows(300)
    write_rows(tmp_path / "in.jsonl", [*found, found[0], {"text": "no score"}, {"lm_score": 0.5}])
    command = ["recall", "distil", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "m.bin"), "--dim", "100"]
    result = CliRunner().invoke(main, [*command, "--cut", "0.4", "--json"], catch_exceptions=False)
    report = orjson.loads(result.output)
    assert report["left_out"] == {"no_score": 1, "no_text": 1, "repeated": 1}
    assert report["cut"] == 0.4
    assert orjson.loads((tmp_path / "m.bin.json").read_bytes()) == report


@pytest.mark.parametrize(("number", "cut", "said"), [(30, 0.5, "too few"), (300, 1.5, "choose another")])
def test_what_cannot_be_learnt_is_one_line(tmp_path: Path, number: int, cut: float, said: str) -> None:
    """Too few rows, or a cut above all scores."""
    write_rows(tmp_path / "in.jsonl", rows(number))
    with pytest.raises(InputError, match=said):
        distil(DistilOptions((str(tmp_path / "in.jsonl"),), tmp_path / "m.bin", cut=cut, params=QUICK))

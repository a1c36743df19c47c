"""Requests to models: an id says all that decides the answer, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from synth.requests import Request, Sampling

BASE = Request("solve", "solve/en@1:ab", "tiny", (("user", "What is 2 + 3?"),))


@pytest.mark.parametrize(
    "change",
    [
        {"task": "refine"}, {"prompt": "solve/en@2:cd"}, {"model": "tiny-2"}, {"messages": (("user", "What is 2 + 4?"),)},
        {"sampling": Sampling(temperature=0.7)}, {"sampling": Sampling(stop=("\n",))}, {"sample": 1}, {"seed": 7},
        {"attempt": 1}, {"labels": ("YES", "NO")},
    ],
)  # fmt: skip
def test_whatever_decides_the_answer_is_in_the_id(change: dict[str, Any]) -> None:
    """One changed field, another id; an equal request, the same."""
    assert replace(BASE, **change).id != BASE.id
    assert replace(BASE).id == BASE.id
    assert len(BASE.id) == 32


def test_samples_and_attempts_draw_with_seeds_of_their_own() -> None:
    """1,000 samples and their second attempts: seeds that a server takes, nearly all different, always the same."""
    draws = [replace(BASE, sample=k, attempt=a, seed=1).draw for k in range(1000) for a in (0, 1)]
    assert all(0 <= draw < 2**31 for draw in draws)
    assert len(set(draws)) == len(draws)
    assert draws[:2] == [replace(BASE, seed=1).draw, replace(BASE, seed=1).again().draw]

"""English, Chinese and mixed pages told apart where formulas and code are most of the text."""

from __future__ import annotations

import time

import pytest
from datatrove.data import Document

from filters import language
from filters.language import Language, detect

PROSE = "We say that the series converges when the limit of its partial sums exists, and then we write the sum so. "
HAN = "设级数的部分和数列有极限，则称这个级数收敛，并把这个极限叫做级数的和。"
FORMULA = (
    r"\begin{align*} \sum_{k=1}^{n} a_k &= \frac{\text{the sum of the terms that we have}}{n} \\ &< \infty \end{align*}"
)
CODE = "```python\nfor term in series:  # the sum of the terms that we have\n    total += term\n    print(total)\n```\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (PROSE, "en"),
        (HAN, "zh"),
        (FORMULA * 20 + PROSE, "en"),
        (FORMULA * 20 + "设 $a_k$ 收敛。", "zh"),
        (CODE * 20 + HAN, "zh"),
        ("则 $x=1$，故\n" + FORMULA, "zh"),
        ("Compute $\\dbinom{25}{2}$.\n" + FORMULA, "en"),
        (HAN * 3 + " Cauchy, Abel, Dirichlet, uniform convergence, power series", "zh"),
        (HAN * 4 + PROSE * 4, "mixed"),
        ("\n".join([PROSE, HAN, FORMULA] * 6), "mixed"),
        (PROSE * 10 + "黎曼级数", "en"),
        ("ヤマふだ\n" + HAN * 3, "zh"),
        ("級数の部分和が極限をもつとき、この級数は収敛するといい、極限を級数の和という。", "ja"),
        ("Man sagt, dass die Reihe konvergiert, wenn der Grenzwert der Folge ihrer Teilsummen existiert.", "de"),
        ("Une série converge quand la suite de ses sommes partielles a une limite, et alors on écrit sa somme.", "fr"),
        ("```\n" + "x = 1\n" * 3000 + "```\n" + HAN * 300 + "\n```\n" + "y = 2\n" * 300 + "```", "zh"),
        (HAN + "\n```\n" + "x = 1\n" * 4000 + "```\n" + HAN, "zh"),
        (PROSE * 2 + "\n$$" + "x + 1 \\\\ " * 250 + "$$" + ("\n$$" + "x + 1 \\\\ " * 150 + "$$") * 8 + PROSE, "en"),
        ("| 12 | nksL30 | . . . 4 ((a ∣ b) ∣ c) = (b ∣ (a ∣ c)) |\n" * 30, "und"),
        ("# Parcels of each depot by number\n" + "| 17 | 707919377 | 37.1 | 17307 | 01:07 |\n" * 30, "en"),
        ("$$a^2 + b^2 = c^2$$ https://example.org/series/sum 17", "und"),
        ("\ud800", "und"),
    ],
)
def test_prose_decides_and_formulas_and_code_do_not(text: str, code: str) -> None:
    """English inside a formula or a comment weighs nothing beside a Chinese sentence."""
    found, certainty = detect(text)

    assert found == code
    assert 0 <= certainty <= 1


def test_mixed_pages_stay_where_both_languages_do() -> None:
    """A recipe that keeps one of them only removes them, and says so."""
    page = HAN * 4 + PROSE * 4

    assert Language(("en", "zh")).filter(Document(text=page, id="1")) is True
    assert Language(("zh",)).filter(Document(text=page, id="2")) == (False, "language:mixed")


def test_plain_pages_need_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """What script and function words decide is decided without it: a hundred pages in a few milliseconds each."""
    monkeypatch.setattr(language, "_identifier", lambda: pytest.fail("the model was asked"))
    pages = [(PROSE + FORMULA + "\n") * 40, (HAN + FORMULA + "\n") * 40, (HAN + PROSE) * 40]
    started = time.process_time()

    assert [detect(page)[0] for page in pages * 33] == ["en", "zh", "mixed"] * 33
    assert time.process_time() - started < 1

"""Which pages of a crawl are worth extracting: a look at their bytes, at a twentieth of what extraction costs.

A page passes if it carries a formula, as an element, a delimiter or characters, or if its crude text is made of what
mathematics is made of (`filters.density`, one of the two voices of the recall classifier). The other voice was refused
here: it needs a model, and a build would extract all pages anew whenever its seeds change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from filters import density
from filters.page_scan import scan_page
from filters.text import pack, tokenise

FIRST_PASS_VERSION = f"first-pass-2/{density.DENSITY_VERSION}"
THRESHOLD = 0.06  # least probability of mathematics of a page without a formula; see docs/extraction.md
FEW_SYMBOLS = 3  # below so many mathematical characters a page may be about anything: ×, ±, 10²


class Signs(NamedTuple):
    """What the first pass sees of a page."""

    carriers: int  # elements that hold a formula
    delimiters: int  # of TeX in text
    symbols: int  # mathematical characters
    probability: float  # of mathematics, by its crude text; 0 where there is none

    @property
    def verdict(self) -> bool:
        """Whether the page is worth extracting."""
        return bool(self.carriers or self.delimiters or self.symbols >= FEW_SYMBOLS or self.probability >= THRESHOLD)


def signs(pages: Sequence[bytes]) -> list[Signs]:
    """The signs of mathematics in each page, UTF-8; many pages at once are cheaper."""
    scans = [scan_page(page) for page in pages]
    batch = pack([scan.text for scan in scans])
    tokens = tokenise(batch, spans=False)
    odds = np.where(np.diff(tokens.offsets) > 0, density.logits(batch, tokens), -np.inf)
    with np.errstate(over="ignore"):
        probabilities = np.round(1 / (1 + np.exp(-odds)), 5).tolist()
    return [Signs(s.carriers, s.delimiters, s.symbols, p) for s, p in zip(scans, probabilities, strict=True)]

"""Which pages of a crawl are worth extracting: a look at their bytes, at a twentieth of what extraction costs.

A page passes if it carries a formula, as an element, a delimiter or characters, or if its crude text is made of what
mathematics is made of (`filters.density`, one of the two voices of the recall classifier). The other voice was refused
here: it needs a model, and a build would extract all pages anew whenever its seeds change.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from filters import density
from filters.page_scan import scan_page
from filters.text import pack, tokenise

FIRST_PASS_VERSION = f"first-pass-1/{density.DENSITY_VERSION}"
THRESHOLD = 0.08  # least probability of mathematics of a page without a formula; see docs/extraction.md
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


def signs(page: bytes) -> Signs:
    """The signs of mathematics in a page, UTF-8."""
    scan = scan_page(page)
    batch = pack([scan.text])
    tokens = tokenise(batch, spans=False)
    [log_odds] = density.logits(batch, tokens)
    probability = 1 / (1 + math.exp(-max(-50.0, float(log_odds)))) if len(tokens.hashes) else 0.0
    return Signs(scan.carriers, scan.delimiters, scan.symbols, round(probability, 5))

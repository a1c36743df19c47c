"""The points of the rule, each an option with a name. Changing one changes verdicts, never the index's meaning."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from decontam.index import NEAR_NGRAM_TOKENS, NGRAM_TOKENS, Index
from decontam.kernels import I64, Flags
from filters.errors import UsageError

RULES = ("qwen-math", "qwen2-formula")

# "the ratio of the longest common subsequence must exceed 0.6" (Qwen2.5-Math report, arXiv 2409.12122,
# section 4); of the shorter of the two (Qwen2 report, arXiv 2407.10671, section 5.2.6). Strictly above.
LCS_THRESHOLD = 0.6

# Share of the item's length added on each side of its window. The reports are silent; with none, a copy
# with words inserted leaves its window, and with whole pages the ratio says nothing.
WINDOW_SLACK = 0.25

# Share of the item's words that the window must have, above which a match of class exact is no case for review. See
# `decontam.wording`.
WORD_THRESHOLD = 0.33

# Documents in which an n-gram convicts nothing, from which on it is a stock phrase. See `decontam.stock`.
STOCK_DOCUMENTS = 50


@dataclass(frozen=True, slots=True)
class DecontaminationParams:
    """The points of the rule that move a verdict; the defaults are rule `qwen-math`."""

    ngram: int = NGRAM_TOKENS  # tokens in an anchor
    window_slack: float = WINDOW_SLACK  # share of the item's tokens, on each side
    lcs_threshold: float = LCS_THRESHOLD  # contaminated strictly above
    rule: str = "qwen-math"  # or qwen2-formula: no anchor and no window, for short samples only
    inclusive: bool = False  # contaminated at the threshold, too
    word_threshold: float = WORD_THRESHOLD  # exact above it, else for review: formulas alone; below 0 asks nothing
    short: bool = True  # questions shorter than an anchor match as a whole
    short_anywhere: bool = False  # also in the middle of a sentence
    short_signs: bool = True  # only with the same operators; with others they are look-alikes
    near: bool = True  # look-alikes
    near_ngram: int = NEAR_NGRAM_TOKENS  # tokens in their anchor
    near_masked: bool = True  # anchors of `ngram` tokens with numbers masked are theirs, too
    stock_documents: int = STOCK_DOCUMENTS  # in which an n-gram convicts nothing: a stock phrase

    def __post_init__(self) -> None:
        """Refuse values that make no rule."""
        for name, value, low, high in (
            ("ngram", self.ngram, 1, 64),
            ("window_slack", self.window_slack, 0, 1),
            ("lcs_threshold", self.lcs_threshold, 0, 1),
            ("word_threshold", self.word_threshold, -1, 1),
            ("near_ngram", self.near_ngram, 1, 64),
            ("stock_documents", self.stock_documents, 1, 1 << 62),
        ):
            if not low <= value <= high:
                msg = f"{name} must be from {low} to {high}, not {value!r}"
                raise UsageError(msg)
        if self.rule not in RULES:
            msg = f"rule must be one of {', '.join(RULES)}, not {self.rule!r}"
            raise UsageError(msg)

    @property
    def slack(self) -> tuple[int, int]:
        """The share of the item's tokens on each side of its window, as it was written: 1, 4."""
        share = _as_written(self.window_slack)
        return share.numerator, share.denominator

    @property
    def near_tables(self) -> tuple[str, ...]:
        """The tables of the index that look-alikes are searched in."""
        return ("near", "masked")[: self.near + (self.near and self.near_masked)]

    @property
    def floor(self) -> tuple[int, int, bool]:
        """The threshold as it was written, 3, 5, and whether it is enough itself."""
        threshold = _as_written(self.lcs_threshold)
        return threshold.numerator, threshold.denominator, self.inclusive

    @property
    def word_share(self) -> tuple[int, int]:
        """The share of the words that must be common, as it was written: 33, 100."""
        share = _as_written(self.word_threshold)
        return share.numerator, share.denominator

    def is_contaminated(self, lcs: I64, shorter: I64) -> Flags:
        """Whether lcs / shorter is above the threshold; exact, in integers."""
        threshold = _as_written(self.lcs_threshold)
        above: Flags = lcs * threshold.denominator > shorter * threshold.numerator
        return self.reaches(lcs, shorter) if self.inclusive else above

    def reaches(self, lcs: I64, shorter: I64) -> Flags:
        """Whether lcs / shorter is at or above the threshold, and any token is common."""
        threshold = _as_written(self.lcs_threshold)
        reached: Flags = (lcs * threshold.denominator >= shorter * threshold.numerator) & (lcs > 0)
        return reached

    def check(self, index: Index) -> None:
        """Refuse an index that holds other n-grams: it would silently find nothing."""
        for name, has, wants in (
            ("", index.ngram, self.ngram),
            ("near ", index.near_ngram, self.near_ngram if self.near else index.near_ngram),
        ):
            if has != wants:
                msg = f"the index holds {name}{has}-grams but the rule asks for {wants}; build the index again"
                raise UsageError(msg)


@cache
def _as_written(decimal: float) -> Fraction:
    """The number as it was written: 3/5 for 0.6, which binary fractions only come near."""
    return Fraction(str(decimal))

"""The rule `qwen2-formula`: |LCS| >= 13 and >= 0.6 of the shorter, with no anchor (Qwen2 report, section 5.2.6).

Every text is compared with every item, which only short samples can afford; and only for them does the ratio say
anything, since a whole page shares most of its words with any item. Longer texts are refused. A text's tokens are
numbered once, so that an item costs one table look-up and one bit-parallel step for each of its tokens.
"""

from __future__ import annotations

import numpy as np

from decontam.anchors import Pairs
from decontam.lcs import similarities
from decontam.params import DecontaminationParams
from decontam.segments import Segment
from filters.errors import UsageError
from filters.text import Tokens

# Tokens of the longest text that is compared as a whole: a question with its worked solution. Of pages of 4,096
# tokens that have nothing to do with it, every one passes the threshold of MATH by chance; of 512, few do.
MAX_TOKENS = 1_024

MIN_LCS_TOKENS = 13  # the report's own number


def similar(index: Segment, tokens: Tokens, params: DecontaminationParams) -> Pairs:
    """Each text and item that the rule convicts, by text and item; the window is the text."""
    lengths = np.diff(tokens.offsets)
    if len(lengths) and lengths.max() > MAX_TOKENS:
        msg = (
            f"rule qwen2-formula compares whole samples of at most {MAX_TOKENS} tokens, not {lengths.max()}; "
            "use qwen-math for documents"
        )
        raise UsageError(msg)
    codes, words = index.vocabulary
    item_tokens = np.diff(index.offsets)
    parts = []
    for text, (begin, end) in enumerate(zip(tokens.offsets[:-1].tolist(), tokens.offsets[1:].tolist(), strict=True)):
        shorter = np.minimum(item_tokens, end - begin)
        lcs = similarities(tokens.hashes[begin:end], words, codes, index.offsets, MIN_LCS_TOKENS)
        found = np.flatnonzero((lcs >= MIN_LCS_TOKENS) & params.reaches(lcs, shorter))
        parts.append(np.stack([found, *np.broadcast_arrays(text, begin, end, found)[:3], lcs[found], shorter[found]]))
    if not parts:
        return Pairs.none()
    return Pairs(*np.concatenate(parts, axis=1).astype(np.int64))

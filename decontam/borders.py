"""Whether a short item stands alone in a text, or is part of a longer sentence or formula.

A page of algebra says "solve the equation x + 3 = 7 by subtracting" and holds no benchmark item; the same words as a
line, a sentence or a quoted field do. Refused: a bound on how rare the words are, which needs a corpus to count in.
"""

from __future__ import annotations

import re

import numpy as np

from decontam.kernels import I64, Flags
from filters.text import Batch, Tokens, token_spans

# What may stand between an item and what precedes or follows it: the end of a line or sentence, of a cell, a
# quotation, a tag, a brace, or the number or letter of a list.
_BEFORE = re.compile(r"""[\n\r.?!:;。？！：；…|"“”「」『』<>{}\[\]*#=~`\t]|[)）、]\s*|\\(item|question|part|task)\b""")
_AFTER = re.compile(r"""[\n\r.?!:;。？！：；…|"“”「」『』<>\[\]*#~`\t_]|\\\\""")

_MAX_GAP_BYTES = 256  # of what is looked at on each side: longer gaps are rulers and blank space


def stand_alone(batch: Batch, tokens: Tokens, texts: I64, begins: I64, ends: I64) -> Flags:
    """bool[P]: whether each place, the tokens begin to end of a text, is set off on both sides.

    texts, begins, ends : int64[P], tokens of the batch.
    """
    first, last = tokens.offsets[texts], tokens.offsets[texts + 1]
    wanted = np.stack([np.maximum(begins - 1, first), begins, ends - 1, np.minimum(ends, last - 1)])
    before, start, stop, after = token_spans(batch, tokens, wanted.ravel()).reshape(4, -1, 2).swapaxes(1, 2)
    sides = zip(
        (begins > first).tolist(),
        before[1].tolist(),
        start[0].tolist(),
        (ends < last).tolist(),
        stop[1].tolist(),
        after[0].tolist(),
        strict=True,
    )
    return np.array(
        [
            (not follows or _BEFORE.search(_between(batch, left, inner)) is not None)
            and (not precedes or _AFTER.search(_between(batch, outer, right)) is not None)
            for follows, left, inner, precedes, outer, right in sides
        ],
        dtype=bool,
    )


def _between(batch: Batch, start: int, stop: int) -> str:
    gap = batch.data[start:stop].tobytes()
    if len(gap) > 2 * _MAX_GAP_BYTES:
        gap = gap[:_MAX_GAP_BYTES] + gap[-_MAX_GAP_BYTES:]
    return gap.decode("utf-8", "replace")

"""Whether a short item stands alone in a text, or is part of a longer sentence or formula.

A page of algebra says "solve the equation x + 3 = 7 by subtracting" and holds no benchmark item; the same words as a
line, a sentence or a quoted field do. Refused: a bound on how rare the words are, which needs a corpus to count in.
"""

from __future__ import annotations

import re

from filters.text import Batch, Tokens

# What may stand between an item and what precedes or follows it: the end of a line or sentence, of a cell, a
# quotation, a tag, a brace, or the number or letter of a list.
_BEFORE = re.compile(r"""[\n\r.?!:;。？！：；…|"“”「」『』<>{}\[\]*#=~`\t]|[)）、]\s*|\\(item|question|part|task)\b""")
_AFTER = re.compile(r"""[\n\r.?!:;。？！：；…|"“”「」『』<>\[\]*#~`\t_]|\\\\""")

_MAX_GAP_BYTES = 256  # of what is looked at on each side: longer gaps are rulers and blank space


def stands_alone(batch: Batch, tokens: Tokens, text: int, begin: int, end: int) -> bool:
    """Whether the tokens begin to end of a text are set off on both sides."""
    first, last = int(tokens.offsets[text]), int(tokens.offsets[text + 1])
    if begin > first:
        before = _between(batch, int(tokens.ends[begin - 1]), int(tokens.starts[begin]))
        if not _BEFORE.search(before):
            return False
    if end < last:
        after = _between(batch, int(tokens.ends[end - 1]), int(tokens.starts[end]))
        return _AFTER.search(after) is not None
    return True


def _between(batch: Batch, start: int, stop: int) -> str:
    gap = batch.data[start:stop].tobytes()
    if len(gap) > 2 * _MAX_GAP_BYTES:
        gap = gap[:_MAX_GAP_BYTES] + gap[-_MAX_GAP_BYTES:]
    return gap.decode("utf-8", "replace")

"""Documents as numbered blocks: no character lost or doubled, formulas whole, numbers back to exact spans."""

from __future__ import annotations

import gzip
import itertools
import time
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.blocks import MAX_BLOCK, MAX_KEPT, Block, groups, show, spans_of, split, text_of

PAGE = """# Limits

We look at a limit.
It goes on here.

Problem 1. Find
$$
\\lim_{x \\to 0}

\\frac{\\sin x}{x}
$$
if it exists.
Solution: it is $1$.
- first remark
- second

```python
print(1)

print(2)
```
解：略
"""
PIECES = st.sampled_from(
    ["$$", "\\[", "\\]", "\\begin{align}", "\\end{align}", "\\begin{a*}", "\n", "\n\n", " ", "\t", "word", "解：", "- ", "1. ", "```\n", "Solution", "\\$$", "\u2028"]
)  # fmt: skip


def texts(text: str) -> list[str]:
    """What stands in each block."""
    return [text[b.start : b.end] for b in split(text)]


def test_a_page_in_blocks() -> None:
    """Paragraphs, items, and parts behind markers are apart; a formula and a listing with blank lines are whole."""
    assert texts(PAGE) == [
        "# Limits",
        "We look at a limit.\nIt goes on here.",
        "Problem 1. Find\n$$\n\\lim_{x \\to 0}\n\n\\frac{\\sin x}{x}\n$$\nif it exists.",
        "Solution: it is $1$.",
        "- first remark",
        "- second",
        "```python\nprint(1)\n\nprint(2)\n```",
        "解：略",
    ]


@pytest.mark.parametrize("text", ["", " \n\n\t", "\n"])
def test_nothing_has_no_blocks(text: str) -> None:
    """Blanks are in no block."""
    assert split(text) == []


def test_a_sign_that_is_closed_nowhere_opens_nothing() -> None:
    """Dollars that end far away, or never, do not swallow the page."""
    assert texts("a $$ b\n\nc") == ["a $$ b", "c"]
    assert len(texts("$$ a\n\n" + "b\n\n" * MAX_KEPT + "$$")) == MAX_KEPT + 2
    assert texts("\\begin{align}\n\nx\n\n\\end{gather}") == ["\\begin{align}", "x", "\\end{gather}"]


@pytest.mark.parametrize(("indent", "blocks"), [("", 1), ("   ", 1), ("    ", 3), ("text ", 3)])
def test_a_fence_begins_its_line(indent: str, blocks: int) -> None:
    """Up to three blanks before it; elsewhere three backticks open nothing. An escaped bracket opens nothing either."""
    assert len(texts(f"{indent}```\na\n\nb\n\n{indent}```\n")) == blocks
    assert texts("\\\\[2pt] a\n\nb \\]") == ["\\\\[2pt] a", "b \\]"]


def test_long_paragraphs_are_cut_at_lines() -> None:
    """A log of 200 lines without a blank one: blocks of up to 1,500 characters, all of it."""
    page = "".join(f"line {k} of a chat about numbers\n" for k in range(200))
    found = texts(page)

    assert max(map(len, found)) <= MAX_BLOCK
    assert "\n".join(found) + "\n" == page


@given(st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join)))
def test_every_character_is_in_one_block(text: str) -> None:
    """Blocks are apart, in order, numbered from 1, and only blanks stand between them."""
    blocks = split(text)
    borders = [0, *itertools.chain.from_iterable((b.start, b.end) for b in blocks), len(text)]

    assert borders == sorted(borders)
    assert [b.number for b in blocks] == list(range(1, len(blocks) + 1))
    assert all(not text[a:b].strip() for a, b in zip(borders[::2], borders[1::2], strict=True))
    assert all(text[b.start : b.end].strip() == text[b.start : b.end] != "" for b in blocks)


@given(st.lists(PIECES, max_size=40).map("".join), st.integers(1, 50))
def test_groups_hold_every_block_once(text: str, chars: int) -> None:
    """In order, and no group of several blocks is longer than asked for."""
    blocks = split(text)
    found = groups(blocks, chars)

    assert list(itertools.chain.from_iterable(found)) == blocks
    assert all(len(group) == 1 or group[-1].end - group[0].start <= chars for group in found)


def test_numbers_lead_to_spans() -> None:
    """Neighbours become one span with what stands between them; others are joined by a blank line."""
    text = "one\n\ntwo\n\n\nthree\n\nfour"
    spans = spans_of(split(text), (1, 2, 4))

    assert spans == ((0, 8), (18, 22))
    assert text_of(text, spans) == "one\n\ntwo\n\nfour"


def test_blocks_are_shown_behind_their_numbers() -> None:
    """A document that speaks of blocks and tags cannot pass for ours."""
    text = "<block 7> $x<y$\n\n</document>"
    assert show(text, split(text)) == "<block 1>\n&lt;block 7> $x<y$\n<block 2>\n&lt;/document>"
    assert show(text, [Block(2, 17, 28)]) == "<block 2>\n&lt;/document>"


def test_hostile_pages_take_linear_time() -> None:
    """A quarter of a megabyte of each sign that opens and never closes: ten seconds would be quadratic."""
    begin = time.process_time()
    for sign in ("\\begin{a}", "\\[", "$$ \\[ ", "```\n", "```", "- "):
        split(sign * (250_000 // len(sign)))

    assert time.process_time() - begin < 10


def test_real_pages(shared_data: Path) -> None:
    """Seeds of the classifier: each page is its blocks and the blanks between them."""
    with gzip.open(shared_data / "raw" / "seeds" / "positive.jsonl.gz") as file:
        pages = [orjson.loads(line)["text"] for line in itertools.islice(file, 300)]
    for page in pages:
        assert "".join("".join(texts(page)).split()) == "".join(page.split())

"""Books: where texts are cut, what stays of a chapter, EPUB, and the step."""

from __future__ import annotations

import io
import zipfile
from itertools import pairwise

import pytest
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from filters.books import MIN_SECTION_CHARS, PIECE_CHARS, Books, Section, headings, keep, split
from filters.epub import epub_text

BODY = "Let f be a function of one variable, and take its limit.\n\n" * 10
TEXTS = {
    "latex": rf"\chapter{{Limits}}{BODY}\section[x]{{One {{deep}}}}{BODY}\subsection*{{Two}}{BODY}\chapter{{Sums}}{BODY}",
    "markdown": f"# Limits\n{BODY}\n## One\n{BODY}\n```\n# a comment\n```\nTwo\n---\n{BODY}\n# Sums\n{BODY}",
    "asciidoc": f"== Limits\n{BODY}\n=== One\n{BODY}\n=== Two\n{BODY}\n== Sums\n{BODY}",
    "xml": f"<book><chapter><title>Limits</title>{BODY}<section><title>One</title>{BODY}</section>"
    f"<section xml:id='b'>\n<title>Two</title>{BODY}</section></chapter><chapter><title>Sums</title>{BODY}</chapter></book>",
    "text": f"CHAPTER I. Limits\n\n{BODY}\n\n1.1 One\n\n{BODY}\n\n1.2 Two\n\n{BODY}\n\nCHAPTER II. Sums\n\n{BODY}",
    "chinese": f"第一章 极限\n\n{BODY}\n\n第一节 数列\n\n{BODY}\n\n第二节 函数\n\n{BODY}\n\n第二章 级数\n\n{BODY}",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_each_markup_is_cut_at_its_headings(kind: str) -> None:
    """Two chapters, the first with two sections; a comment in a code block is no heading."""
    text = TEXTS[kind].replace("}Let", "}\nLet").replace("\n\\", "\n\n\\")
    sections = split(
        text.replace("\\section", "\n\\section").replace("\\sub\n", "\\sub").replace("\\chapter{S", "\n\\chapter{S")
    )
    titled = [s for s in sections if s.title]

    assert [s.chapter - titled[0].chapter for s in titled] == [0, 0, 0, 1]
    assert len(headings(text)) >= 3


def test_a_text_without_headings_is_cut_at_empty_lines() -> None:
    """Numbers in a sentence are no headings; a piece ends where a paragraph does."""
    text = "In 1908 there were 3 Alternatives to it, and more.\n\n" * 800
    sections = split(text)

    assert len(sections) > 3
    assert all(text[s.start : s.end].endswith("\n\n") and s.end - s.start >= PIECE_CHARS for s in sections)


@given(st.lists(st.sampled_from(["# A\n", "## B\n", "\\section{C}\n", "第二章 丁\n\n", "1.2 Four\n\n", "x\n\n", BODY])))
def test_sections_cover_the_text(parts: list[str]) -> None:
    """No character is lost or told twice, and chapters only rise."""
    text = "".join(parts)
    sections = split(text)

    assert "".join(text[s.start : s.end] for s in sections) == text
    assert all(a.end == b.start and 0 <= b.chapter - a.chapter for a, b in pairwise(sections))


def test_short_sections_are_scored_with_the_next() -> None:
    """A heading with a line under it says little."""
    text = f"# A\n{BODY}\n## B\nshort\n## C\n{BODY}\n## D\nshort\n# E\n{BODY}"

    assert [s.title for s in split(text)] == ["A", "B", "E"]
    assert all(s.end - s.start >= MIN_SECTION_CHARS for s in split(text))


def sections(*chapters: int) -> list[Section]:
    return [Section(i * 2000, (i + 1) * 2000, chapter, "") for i, chapter in enumerate(chapters)]


@pytest.mark.parametrize(
    ("chapters", "scores", "kept"),
    [
        ((0, 0, 0, 0), "1101", "1111"),
        ((0, 0, 0, 0, 0, 0), "010100", "011100"),
        ((0, 0, 1, 1, 1), "11000", "11000"),
        ((0, 0, 0, 0, 0, 0, 0, 0), "10000001", "11111111"),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0), "100000000", "000000000"),
        ((0, 1, 2, 3, 4, 5), "000001", "000000"),
        ((0, 1, 1, 2), "0110", "0110"),
        ((0, 0, 1), "000", "000"),
    ],
)
def test_a_chapter_decides_with_its_neighbours(chapters: tuple[int, ...], scores: str, kept: str) -> None:
    """Mostly mathematical: whole; partly: from its first to its last such section; a stray one goes."""
    found = keep(sections(*chapters), [0.9 if c == "1" else 0.1 for c in scores], 0.5)

    assert "".join("01"[k] for k in found) == kept


def test_a_book_loses_the_chapters_that_are_no_mathematics() -> None:
    """Text, score and counts are written; what was left out is evidence with its place; a novel goes."""
    text = f"# Preface\n{'My aunt kept bees. ' * 60}\n# Limits\n{BODY}{BODY}\n# Sums\n{BODY}{BODY}"
    step = Books(lambda texts: [float("limit" in t) for t in texts])
    doc = Document(text=text, id="1", metadata={"source": "book"})

    assert step.filter(doc) is True
    assert doc.text == text[text.index("# Limits") :]
    assert doc.metadata["book_sections"] == {"all": 3, "kept": 2}
    assert doc.metadata["evidence"] == [
        {"section": "Preface", "span": [0, text.index("# Limits")], "math_score": 0.0, "threshold": 0.5}
    ]
    novel = Document(text="# One\n" + "My aunt kept bees. " * 60, id="2", metadata={"source": "book"})
    assert step.filter(novel) == (False, "not_math")
    page = Document(text=text, id="3", metadata={"source": "web"})
    assert step.filter(page) is True
    assert "math_score" not in page.metadata


def epub(spine: dict[str, str], container: str = "META-INF/container.xml") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr(container, '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>')
        items = "".join(f'<item href="{name}" id="i{n}"/>' for n, name in enumerate(spine))
        order = "".join(f'<opf:itemref idref="i{n}"/>' for n in reversed(range(len(spine))))
        book.writestr("OPS/book.opf", f"<package><manifest>{items}</manifest><spine>{order}</spine></package>")
        for name, text in spine.items():
            book.writestr(f"OPS/{name.replace('%20', ' ')}", f"<html><body>{text}</body></html>")
    return held.getvalue()


def test_an_epub_is_read_in_the_order_of_its_spine() -> None:
    """Headings become Markdown's; what is no EPUB, or lacks a part, is None."""
    text = epub_text(
        epub({"b%20two.xhtml": "<h1>Sums</h1><p>Second part.</p>", "a.xhtml": "<h1>Limits</h1><p>First.</p>"})
    )

    assert text is not None
    assert [line for line in text.splitlines() if line] == ["# Limits", "First.", "# Sums", "Second part."]
    assert epub_text(b"no zip") is None
    assert epub_text(epub({}, "other.xml")) is None

"""Markdown of a page's main content: headings, lists, quotes, code, tables, footnotes, theorems; formulas put back.

Emphasis, links and images are not written: in training text they are noise, and half of a formula's letters would wear
asterisks. A `|` inside a formula stays as it is in a table's cell, since a formula is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from filters.content_features import FORMULA, HEADINGS
from filters.content_tree import INLINE, TEXT, Outline
from filters.formulas import Formula, delimited
from filters.main_content import Choice
from filters.markdown_parts import (
    BREAK,
    code_block,
    code_in_table,
    footnote_mark,
    inline_text,
    is_anchor,
    lead_of,
    table_text,
)

_DISPLAY_TAIL = re.compile(r"\s*([.,;:!?)\]，。；：！？、）]+)(?=\s|$)")
# a pair that holds something like a formula, or a dollar by itself
_DOLLAR = re.compile(r"((?<![\\$\w])\$(?![\s\d$])[^$\n]{0,80}(?<![\s\\])\$)|(?<!\\)\$")
_BLANKS = re.compile(r"[^\S\u3000]+")
_TOUCHING = re.compile("\ue001(?=\ue000|\\d)")
_LEFT_OVER = re.compile("[\ue000-\ue002]")


_CODE = frozenset(("pre", "code", "kbd", "samp", "tt", "xmp", "listing"))


@dataclass(slots=True)
class _Frame:
    """An open quote, list item or definition: what its first line and its others begin with."""

    first: str
    rest: str
    list_id: int  # of the outermost list around it, -1 for quotes
    used: bool = False


def write(outline: Outline, choice: Choice, formulas: Sequence[Formula]) -> tuple[str, set[int]]:
    """The Markdown of the chosen nodes, and the numbers of the formulas in it.

    Formula n stands where its placeholder, U+E000 n U+E001, stood.
    """
    if formulas and "$" in "".join(outline.texts):
        outline = replace(outline, texts=_escaped(outline))
    writer = _Writer(outline, bytearray(choice.dropped), formulas)
    for node in choice.nodes:
        writer.subtree(node)
    writer.notes()
    text = "\n".join(writer.lines)
    return _LEFT_OVER.sub("", text).strip("\n"), writer.kept


def _escaped(outline: Outline) -> list[str]:
    """The texts, with a backslash before each single `$` outside code: beside formulas it would open one."""
    texts, code_ends = list(outline.texts), 0
    for node, (tag, text) in enumerate(zip(outline.tags, outline.texts, strict=True)):
        if tag in _CODE and node >= code_ends:
            code_ends = outline.ends[node]
        elif "$" in text and node >= code_ends:
            texts[node] = _DOLLAR.sub(lambda match: match[1] or r"\$", text)
    return texts


class _Writer:
    def __init__(self, outline: Outline, dropped: bytearray, formulas: Sequence[Formula]) -> None:
        self.outline, self.dropped, self.formulas = outline, dropped, formulas
        self.lines: list[str] = []
        self.inline: list[str] = []
        self.frames: list[_Frame] = []
        self.open: list[tuple[int, bool]] = []  # where an open element ends, and whether a frame closes with it
        self.lists: list[list[int]] = []  # [end, node, next number or -1] of the open lists
        self.lead = ""
        self.last_list = -1
        self.footnotes: dict[str, str] = {}  # target id -> label
        self.deferred: list[tuple[str, str]] = []
        self.kept: set[int] = set()

    def subtree(self, root: int) -> None:
        """Writes one chosen node."""
        tags, texts, ends, dropped = self.outline.tags, self.outline.texts, self.outline.ends, self.dropped
        node, end = root, ends[root]
        while node < end:
            while self.open and self.open[-1][0] <= node:
                self.leave()
            if dropped[node]:
                node = ends[node]
                continue
            tag = tags[node]
            if tag == TEXT:
                self.inline.append(texts[node])
                node += 1
                continue
            enter = _ENTER.get(tag)
            if enter is not None:
                node = enter(self, node)
            elif tag in INLINE:
                node += 1
            else:
                node = self.block(node)
        while self.open:
            self.leave()
        self.flush()

    def leave(self) -> None:
        self.flush()
        _, framed = self.open.pop()
        if framed:
            self.frames.pop()

    # --- output ---------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes what has been gathered as a paragraph."""
        if not self.inline:
            return
        text = _BLANKS.sub(" ", "".join(self.inline))
        self.inline.clear()
        for paragraph in text.split(BREAK + BREAK) if BREAK in text else (text,):
            self.paragraph("\n".join(line.strip() for line in paragraph.strip(BREAK + " ").split(BREAK)))

    def paragraph(self, text: str) -> None:
        """A paragraph, display formulas on lines of their own."""
        if not text.strip():
            return
        if self.lead:
            text, self.lead = f"{self.lead} {text}", ""
        if "\ue000" not in text:
            self.emit(self.prose(text))
            return
        last = 0
        for match in FORMULA.finditer(text):
            formula = self.formula(match)
            if formula is None or not formula.display or match.start() < last:
                continue
            self.emit(self.prose(text[last : match.start()]).strip())
            tail = _DISPLAY_TAIL.match(text, match.end())
            last = tail.end() if tail else match.end()
            self.emit(self.tex(formula) + (tail[1] if tail else ""))
        self.emit(self.prose(text[last:]).strip())

    def prose(self, text: str) -> str:
        """Text with its formulas put in."""
        if "\ue000" not in text:
            return text
        text = _TOUCHING.sub("\ue001 ", text)
        return FORMULA.sub(lambda match: "" if (f := self.formula(match)) is None else self.tex(f), text)

    def formula(self, match: re.Match[str]) -> Formula | None:
        index = int(match[0][1:-1])
        if index >= len(self.formulas):  # typed by the page
            return None
        self.kept.add(index)
        return self.formulas[index]

    def tex(self, formula: Formula) -> str:
        """The formula with its delimiters; on one line where each line would get a quote's or an item's prefix."""
        text = delimited(formula)
        return text if not self.frames or "%" in text else " ".join(text.split("\n"))

    def emit(self, block: str) -> None:
        """Appends a block behind the prefixes of the open quotes and items."""
        if not block:
            return
        frames = self.frames
        outermost = next((frame.list_id for frame in frames if frame.list_id >= 0), -1)
        starts_item = any(not frame.used and frame.list_id >= 0 for frame in frames)
        if self.lines and not (starts_item and outermost == self.last_list):
            self.lines.append("".join(frame.rest for frame in frames if frame.used).rstrip())
        first = "".join(frame.rest if frame.used else frame.first for frame in frames)
        rest = "".join(frame.rest for frame in frames)
        for number, line in enumerate(block.split("\n")):
            self.lines.append(((rest if number else first) + line).rstrip())
        for frame in frames:
            frame.used = True
        self.last_list = outermost

    def flush_lead(self) -> None:
        """A bold lead with no paragraph behind it stands by itself."""
        if self.lead:
            self.inline.append(" ")
            lead, self.lead = self.lead, ""
            self.inline.clear()
            self.emit(self.prose(lead))

    def notes(self) -> None:
        """The footnotes whose text stood in the middle of a paragraph."""
        for label, text in self.deferred:
            self.emit(f"[^{label}]: {self.prose(text)}")

    # --- elements: each returns the node to go on with ------------------------------------------------------------

    def block(self, node: int) -> int:
        """An element that starts a line: a paragraph, a division, a theorem."""
        self.flush()
        lead = lead_of(self.outline, node, self.dropped)
        if lead is not None:
            self.flush_lead()
            self.lead = f"**{inline_text(self.outline, lead, self.dropped)}**"
            self.dropped[lead] = 1
        attributes = self.outline.attributes[node]
        label = self.footnotes.get(attributes.get("id") or "") if self.footnotes and attributes else None
        if label is not None:
            self.frames.append(_Frame(f"[^{label}]: ", "    ", -1))
        self.open.append((self.outline.ends[node], label is not None))
        return node + 1

    def heading(self, node: int) -> int:
        self.flush()
        text = inline_text(self.outline, node, self.dropped)
        if text:
            self.flush_lead()
            self.emit(f"{'#' * int(self.outline.tags[node][1])} {self.prose(text)}")
        return self.outline.ends[node]

    def line_break(self, node: int) -> int:
        self.inline.append(BREAK)
        return node + 1

    def rule(self, node: int) -> int:
        self.flush()
        return node + 1

    def pre(self, node: int) -> int:
        self.flush()
        self.flush_lead()
        if "\ue000" in self.outline.text(node):  # text that was laid out by hand, not code
            self.emit(self.prose("\n".join(line.rstrip() for line in self.outline.text(node).strip("\n").split("\n"))))
        else:
            self.emit(code_block(self.outline, node))
        return self.outline.ends[node]

    def code(self, node: int) -> int:
        text = " ".join(self.outline.text(node).split())
        if not text or "\ue000" in text:
            return node + 1
        fence = "``" if "`" in text else "`"
        pad = " " if "`" in text else ""
        self.inline.append(f"{fence}{pad}{text}{pad}{fence}")
        return self.outline.ends[node]

    def table(self, node: int) -> int:
        self.flush()
        code = code_in_table(self.outline, node)
        if code >= 0:
            return self.pre(code) and self.outline.ends[node]
        text = table_text(self.outline, node, self.dropped)
        if text is None:  # it lays out the page
            return self.block(node)
        self.flush_lead()
        self.emit(self.prose(text))
        return self.outline.ends[node]

    def list(self, node: int) -> int:
        self.flush()
        self.flush_lead()
        self.close_lists(node)
        start = self.outline.attributes[node].get("start") or "1"
        number = int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 1
        self.lists.append([self.outline.ends[node], node, number if self.outline.tags[node] == "ol" else -1])
        self.open.append((self.outline.ends[node], False))
        return node + 1

    def close_lists(self, node: int) -> None:
        """Forgets the lists that end before a node."""
        while self.lists and self.lists[-1][0] <= node:
            self.lists.pop()

    def item(self, node: int) -> int:
        self.flush()
        self.close_lists(node)
        label = self.footnotes.get(self.outline.attributes[node].get("id") or "")
        if label is not None:
            frame = _Frame(f"[^{label}]: ", "    ", -1)
        elif self.lists and self.lists[-1][2] >= 0:
            marker = f"{self.lists[-1][2]}. "
            self.lists[-1][2] += 1
            frame = _Frame(marker, " " * len(marker), self.lists[0][1])
        else:
            frame = _Frame("- ", "  ", self.lists[0][1] if self.lists else node)
        self.frames.append(frame)
        self.open.append((self.outline.ends[node], True))
        return node + 1

    def quote(self, node: int) -> int:
        self.flush()
        self.flush_lead()
        self.frames.append(_Frame("> ", "> ", -1))
        self.open.append((self.outline.ends[node], True))
        return node + 1

    def definition(self, node: int) -> int:
        self.flush()
        self.frames.append(_Frame(": ", "  ", self.outline.parents[node]))
        self.open.append((self.outline.ends[node], True))
        return node + 1

    def link(self, node: int) -> int:
        if is_anchor(self.outline, node):
            return self.outline.ends[node]
        mark = footnote_mark(self.outline, node)
        if mark is None:
            return node + 1
        target, label = mark
        self.footnotes[target] = label
        self.inline.append(f"[^{label}]")
        return self.outline.ends[node]

    def note(self, node: int) -> int:
        """A footnote in the middle of the text (LaTeXML, distill)."""
        label = str(len(self.deferred) + 1)
        self.deferred.append((label, inline_text(self.outline, node, self.dropped)))
        self.inline.append(f"[^{label}]")
        return self.outline.ends[node]


_ENTER: dict[str, Callable[[_Writer, int], int]] = {
    **dict.fromkeys(HEADINGS, _Writer.heading),
    **dict.fromkeys(("ul", "ol", "dir"), _Writer.list),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), _Writer.code),
    **dict.fromkeys(("pre", "xmp", "listing"), _Writer.pre),
    "br": _Writer.line_break,
    "hr": _Writer.rule,
    "table": _Writer.table,
    "li": _Writer.item,
    "blockquote": _Writer.quote,
    "dd": _Writer.definition,
    "a": _Writer.link,
    "d-footnote": _Writer.note,
}

"""Pieces of Markdown that are read from a subtree at once: code, tables, lines of text, footnote marks, leads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from filters.content_features import HEADINGS
from filters.content_tree import INLINE, TEXT, Outline, words

BREAK = "\ue002"  # a line break inside a paragraph, while blanks are collapsed
MAX_COLUMNS, MAX_ROWS, MAX_CELL = 20, 200, 400
MAX_LEAD = 200
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|brush:|sourcecode|highlight)[-: ]\s*([\w+#.-]{1,20})", re.I
)
_NO_LANGUAGE = words(
    "text plain plaintext none default code highlight hljs wrap table line numbers sourcecode source console-output "
    "chroma notranslate prettyprint linenums container body rouge highlighter-rouge copy expand xl inline auto "
    "fallback nohighlight nocode"
)
_ANCHORS = frozenset(("#", "¶", "§", "🔗", "⚓", "∞", "", "", "", "↩", "↩︎", "↑", "^", "⤴", "↵", "¶#", "[edit]", "edit"))
_FOOTNOTE_TARGET = re.compile(r"^#(?:fn|footnote|note|ftn|_ftn|sdfootnote|easy-footnote|fnt)[\w:.-]*$", re.IGNORECASE)
_FOOTNOTE_LABEL = re.compile(r"^[\[(]?(\d{1,3}|[*†‡a-z])[\])]?$")
_ENVIRONMENT = words(
    "theorem thm lemma lem proposition prop corollary cor definition defn proof remark rem example exercise exercises "
    "conjecture claim axiom postulate solution hint note warning tip important caution danger attention admonition "
    "callout fact observation question problem answer notation convention assumption property algorithm principle "
    "exploration activity project investigation insight aside"
)
_ENVIRONMENT_TAGS = frozenset(("div", "article", "aside", "details", "dl", "li"))
_LEAD_CLASS = re.compile(r"title|heading|head\b|label|caption|thmname|summary", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z]+")


def inline_text(outline: Outline, root: int, dropped: bytearray) -> str:
    """The text of a subtree on one line, code in backticks; what starts a line elsewhere is parted by a blank."""
    tags, ends = outline.tags, outline.ends
    parts: list[str] = []
    node, end = root + 1, ends[root]
    while node < end:
        tag = tags[node]
        if dropped[node] or (tag == "a" and is_anchor(outline, node)):
            node = ends[node]
        elif tag == TEXT:
            parts.append(outline.texts[node])
            node += 1
        elif tag in ("code", "kbd", "tt") and "\ue000" not in (text := outline.text(node)) and "`" not in text:
            parts.append(f"`{' '.join(text.split())}`" if text.strip() else "")
            node = ends[node]
        else:
            if tag not in INLINE or tag == "br":
                parts.append(" ")
            node += 1
    return " ".join("".join(parts).split())


def is_anchor(outline: Outline, node: int) -> bool:
    """Whether a link is only a handle: ¶, #, ↩."""
    return outline.ends[node] - node <= 3 and outline.text(node).strip() in _ANCHORS


def footnote_mark(outline: Outline, node: int) -> tuple[str, str] | None:
    """(id of the note, label) where a link is a footnote's mark."""
    href = outline.attributes[node].get("href") or ""
    if not href.startswith("#") or len(href) < 2:
        return None
    label = _FOOTNOTE_LABEL.match(outline.text(node).strip())
    if label is None or not (_FOOTNOTE_TARGET.match(href) or "footnote" in outline.tokens(node)):
        return None
    return href[1:], label[1]


# --- theorems ---------------------------------------------------------------------------------------------------------


def lead_of(outline: Outline, node: int, dropped: bytearray) -> int | None:
    """The element with the name of a theorem, a proof or a note ("Theorem 1.2"), where `node` is one."""
    classes = outline.attributes[node].get("class")
    if not classes or outline.tags[node] not in _ENVIRONMENT_TAGS or not _is_environment(classes):
        return None
    tags = outline.tags
    at, end = node + 1, min(outline.ends[node], node + 12)
    while at < end:
        if dropped[at]:
            at = outline.ends[at]
        elif tags[at] == TEXT:
            if outline.texts[at].strip():
                return None
            at += 1
        elif tags[at] in HEADINGS or tags[at] in ("strong", "b", "summary") or _LEAD_CLASS.search(outline.tokens(at)):
            return at if 0 < len(outline.text(at).strip()) <= MAX_LEAD else None
        else:
            at += 1
    return None


def _is_environment(classes: str) -> bool:
    return any(part.lower() in _ENVIRONMENT for part in _NAME.findall(classes))


# --- code -------------------------------------------------------------------------------------------------------------


def code_block(outline: Outline, node: int) -> str:
    """A fenced code block, with its language where the page says it."""
    text = outline.text(node)
    if not text.strip():
        return ""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{_language(outline, node)}\n{text}\n{fence}"


def _language(outline: Outline, node: int) -> str:
    """The language that the block's class names: of a `code` inside it, of itself, or of the three elements around."""
    places = [n for n in range(node + 1, min(node + 3, outline.ends[node])) if outline.tags[n] == "code"] + [node]
    above = outline.parents[node]
    for _ in range(8):  # a table with line numbers stands between: pre, td, tr, tbody, table, figure
        if above < 0 or len(places) > 8:
            break
        places.append(above)
        above = outline.parents[above]
    for place in places:
        attributes = outline.attributes[place]
        said = attributes.get("data-lang") or attributes.get("data-language")
        classes = attributes.get("class") or ""
        match = _LANGUAGE.search(classes)
        name = said or (match[1] if match else "")
        if not name and "highlight" in classes.split():
            name = next((c for c in classes.split() if c.lower() not in _NO_LANGUAGE and c.isalnum()), "")
        if name and name.lower() not in _NO_LANGUAGE and re.fullmatch(r"[\w+#.-]{1,20}", name):
            return name.lower()
    return ""


def code_in_table(outline: Outline, table: int) -> int:
    """The code of a table of line numbers and code, -1 for other tables."""
    found = -1
    for node in range(table + 1, outline.ends[table]):
        tag = outline.tags[node]
        if tag in ("td", "th"):
            inside = outline.text(node)
            pre = next((n for n in range(node + 1, outline.ends[node]) if outline.tags[n] == "pre"), -1)
            if pre < 0 and inside.strip():
                return -1
            if pre >= 0 and not inside.replace("\n", "").strip().isdigit():
                if found >= 0:
                    return -1
                found = pre
    return found


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    columns: int


def table_text(outline: Outline, table: int, dropped: bytearray) -> str | None:
    """A pipe table where it is rectangular and small, else lines of cells; None for a table that lays out."""
    rows = _rows(outline, table, dropped)
    if rows is None or len(rows) < 2:
        return None
    width = max(sum(cell.columns for cell in row) for row in rows)
    if not 2 <= width <= MAX_COLUMNS:
        return None
    grid = [[text for cell in row for text in (cell.text, *[""] * (cell.columns - 1))] for row in rows]
    if len(rows) > MAX_ROWS or any(len(row) != width for row in grid):
        return "\n".join(" | ".join(filter(None, row)) for row in grid)
    lines = ["| " + " | ".join(row) + " |" for row in grid]
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def _rows(outline: Outline, table: int, dropped: bytearray) -> list[list[_Cell]] | None:
    """The cells of each row; None where a cell holds more than a line of text, or a table of its own."""
    if "ltx_eq" in outline.tokens(table) or outline.attributes[table].get("role") == "presentation":
        return None
    tags, ends = outline.tags, outline.ends
    rows: list[list[_Cell]] = []
    node, end = table + 1, ends[table]
    while node < end:
        tag = tags[node]
        if dropped[node]:
            node = ends[node]
        elif tag == "tr":
            rows.append([])
            node += 1
        elif tag in ("td", "th"):
            if not _is_plain(outline, node):
                return None
            text = inline_text(outline, node, dropped)
            if len(text) > MAX_CELL:
                return None
            span = outline.attributes[node].get("colspan") or "1"
            columns = int(span) if span.isascii() and span.isdigit() and len(span) < 3 else 1
            if rows:
                rows[-1].append(_Cell(text.replace("|", "\\|"), max(1, columns)))
            node = ends[node]
        else:
            node += 1
    return [row for row in rows if any(cell.text for cell in row)]


def _is_plain(outline: Outline, cell: int) -> bool:
    """Whether a cell holds nothing that needs lines of its own."""
    paragraphs = 0
    for node in range(cell + 1, outline.ends[cell]):
        tag = outline.tags[node]
        if tag in HEADINGS or tag in ("table", "pre", "blockquote", "form", "dl"):
            return False
        paragraphs += tag in ("p", "li")
    return paragraphs <= 3

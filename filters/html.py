"""From the bytes of a page to its text: charset, main content by resiliparse, a verdict where there is none."""

from __future__ import annotations

import re

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

EXTRACT_VERSION = "extract-1"
MAX_BAD_SHARE = 0.001  # replaced characters; more of them and the text was read in a wrong charset
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_META_BYTES = 4096  # browsers look for the declaration in the first 1,024; pages with long comments put it later
_GB = {
    "gb2312",
    "gbk",
    "x-gbk",
    "gb_2312-80",
    "hz-gb-2312",
}  # what they declare; gb18030 is what reads them all
_TAG = re.compile(r"<(/?)([a-zA-Z][\w-]*)")
# elements without an end tag, or whose end tag pages leave out
_VOID = {
    *[
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "dt",
        "dd",
        "td",
        "th",
        "tr",
        "option",
    ]
}
MANY_TAGS = 3_000  # from here on a page's depth is measured
MAX_DEPTH = 1_000  # resiliparse's time is quadratic in it: 100,000 open elements take four minutes; pages have 50
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def decode(data: bytes, declared: str | None = None) -> str | None:
    """The text of a file or page, or None where no charset reads it.

    Tried in this order: byte order mark, UTF-8, the declared charset, gb18030, resiliparse's detection. UTF-8 comes
    before the declaration since it hardly ever fits by accident, and declarations lie.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return _sound(data.decode(name, "replace"))
    for charset in ("utf-8", _canonical(declared), "gb18030"):
        try:
            return _sound(data.decode(charset))
        except (UnicodeDecodeError, LookupError):
            continue
    try:
        return _sound(data.decode(detect_encoding(data) or "utf-8", "replace"))
    except LookupError:
        return None


def _canonical(charset: str | None) -> str:
    name = (charset or "utf-8").strip().lower()
    return "gb18030" if name in _GB else name


def _sound(text: str) -> str | None:
    """The text, if few of its characters were replaced or are control characters."""
    bad = text.count("\ufffd") + text.count("\0")
    return text if bad <= max(1, MAX_BAD_SHARE * len(text)) else None


def decode_html(data: bytes, http_charset: str | None = None) -> str | None:
    """The page as text; charset from the HTTP header or the page's own declaration."""
    declared = http_charset
    if not declared and (match := _META_CHARSET.search(data[:_META_BYTES])):
        declared = match[1].decode("ascii", "replace")
    return decode(data, declared)


def looks_like_html(data: bytes) -> bool:
    """Whether the first bytes could be a page: it has a tag, and is no PDF, image or archive."""
    head = data[:_META_BYTES].lstrip()
    return b"<" in head and not head.startswith((b"%PDF", b"PK\x03\x04", b"\x89PNG", b"GIF8", b"\xff\xd8\xff"))


def depth(html: str) -> int:
    """How deep the page's elements are nested, as the tags stand (elements that are never closed count)."""
    deepest = level = 0
    for match in _TAG.finditer(html):
        if match[1]:
            level = max(0, level - 1)
        elif match[2].lower() not in _VOID:
            level += 1
            deepest = max(deepest, level)
    return deepest


def page_text(html: str, *, main_content: bool = True) -> tuple[str, str]:
    """(text, title) of a page; block structure kept as line breaks.

    `alt_texts` stays on: without it resiliparse also skips figure elements, and with them code blocks.
    """
    tree = HTMLTree.parse(html)
    text = extract_plain_text(tree, preserve_formatting=True, main_content=main_content, alt_texts=True)
    return text.strip(), (tree.title or "").strip()


class Extract(BaseFilter):
    """Puts the text of a page in the place of its HTML (`Document.media[0]`); documents without HTML pass.

    Removed: `undecodable`, `nested_too_deep`, `no_content`, `extract_error:TYPE`.
    """

    name = "extract"

    def __init__(self, *, main_content: bool = True, exclusion_writer: object = None) -> None:
        super().__init__(exclusion_writer)
        self.main_content = main_content

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """True, with the text in place, or (False, reason)."""
        if not doc.media:
            return True
        media = doc.media.pop()
        html = decode_html(media.media_bytes or b"", media.metadata.get("charset"))
        if html is None:
            return False, "undecodable"
        if html.count("<") > MANY_TAGS and depth(html) > MAX_DEPTH:
            return False, "nested_too_deep"
        try:
            doc.text, title = page_text(html, main_content=self.main_content)
        except (ValueError, RuntimeError, RecursionError) as error:
            return False, f"extract_error:{type(error).__name__}"
        if title:
            doc.metadata["title"] = title
        return (True, "") if doc.text else (False, "no_content")

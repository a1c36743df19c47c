"""EPUB books: a zip of XHTML files, in the order of the package's spine, as one Markdown text."""

from __future__ import annotations

import html
import io
import posixpath
import re
import zipfile
import zlib
from urllib.parse import unquote

from filters.html import extract

MAX_PART_BYTES = 20_000_000  # of one file inside, unpacked: a zip of a few kilobytes can hold gigabytes of zeros
MAX_PARTS = 5_000
_TAG = re.compile(r"<(?:\w+:)?(rootfile|itemref|item)\b([^>]*)>")
_ATTRIBUTE = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


def epub_text(data: bytes) -> str | None:
    """The text of a book, headings as `#` lines and formulas as TeX; None where the bytes are no readable EPUB."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            package = next(a["full-path"] for tag, a in _tags(book, "META-INF/container.xml") if tag == "rootfile")
            tags = _tags(book, package)
            files = {a["id"]: a["href"] for tag, a in tags if tag == "item" and "id" in a and "href" in a}
            spine = [files[a["idref"]] for tag, a in tags if tag == "itemref" and a.get("idref") in files]
            folder = posixpath.dirname(package)
            parts = [_read(book, posixpath.normpath(posixpath.join(folder, unquote(p)))) for p in spine[:MAX_PARTS]]
    except (zipfile.BadZipFile, zlib.error, KeyError, StopIteration, NotImplementedError, RuntimeError, EOFError):
        return None  # RuntimeError: encrypted
    texts = (extract(part, main_content=False).text for part in parts if part)
    return "\n\n".join(text for text in texts if text)


def _tags(book: zipfile.ZipFile, name: str) -> list[tuple[str, dict[str, str]]]:
    held = _read(book, name).decode("utf-8", "replace")
    return [
        (found[1], {a[1]: html.unescape(a[2] or a[3] or "") for a in _ATTRIBUTE.finditer(found[2])})
        for found in _TAG.finditer(held)
    ]


def _read(book: zipfile.ZipFile, name: str) -> bytes:
    """A file of the book; b"" for one that unpacks to more than `MAX_PART_BYTES`. KeyError where there is none."""
    with book.open(name) as part:
        held = part.read(MAX_PART_BYTES + 1)
    return held if len(held) <= MAX_PART_BYTES else b""

"""Links from the numbers of a report to the documents behind them, and back.

A number links to the first of its documents; each document tells which numbers it stands behind, and which document is
the next behind the same. So the page needs no script for it; with one, the documents of a number open beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup, escape

_PLAIN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")  # others may hold anything, and are numbered instead


class Links:
    """What a page has linked so far; `documents` are those that it can link to, by id."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self._documents = documents
        self._numbers: dict[str, int] = {}
        self._uses: dict[str, list[Markup]] = {}
        self._count = 0

    def see(self, content: Any, shown: Iterable[str], what: str) -> Markup:
        """The content, as a link to the documents of these ids where the page has any; `what` says what they are."""
        ids = [i for i in dict.fromkeys(shown) if i in self._documents]
        if not ids:
            return escape(content)
        numbers = " ".join([str(self._number(i)) for i in ids])
        self._count += 1
        place = f"n-{self._count}"
        for number, (one, following) in enumerate(zip(ids, [*ids[1:], None], strict=True), 1):
            back = Markup('<a href="#{}">{}</a>').format(place, what)
            of = f" {number} of {len(ids)}" if len(ids) > 1 else ""
            then = Markup(', <a href="#{}">next</a>').format(self._anchor(following)) if following else ""
            self._uses.setdefault(one, []).append(Markup("{}{}{}").format(back, of, then))
        link = Markup('<a id="{}" href="#{}" data-see="{}" data-what="{}">{}</a>')
        return link.format(place, self._anchor(ids[0]), numbers, what, content)

    def name(self, document: str) -> Markup:
        """An id, as a link to the document where the page has it."""
        shown = Markup('<span class="id">{}</span>').format(document)
        if document not in self._documents:
            return shown
        link = Markup('<a href="#{}" data-see="{}" data-what="Document">{}</a>')
        return link.format(self._anchor(document), self._number(document), shown)

    def all(self) -> list[tuple[str, Mapping[str, Any], list[Markup]]]:
        """Anchor, document and uses of every document, in the order in which the page came to them."""
        for one in self._documents:
            self._number(one)
        return [(self._anchor(i), self._documents[i], self._uses.get(i, [])) for i in self._numbers]

    def _number(self, document: str) -> int:
        return self._numbers.setdefault(document, len(self._numbers))

    def _anchor(self, document: str) -> str:
        """Where a document stands; its id, so that a link can be sent on."""
        number = self._number(document)
        return f"d-{document}" if _PLAIN_ID.fullmatch(document) else f"n-d-{number}"

"""Documents that somebody asked to be left out: by id, by address, by host."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from datatrove.pipeline.filters.base_filter import BaseFilter

from filters.errors import InputError
from filters.urls import CANONICAL_URL_VERSION, canonical_url

if TYPE_CHECKING:
    from datatrove.data import Document

TAKEDOWN_VERSION = f"takedown-1/{CANONICAL_URL_VERSION}"


@dataclass(frozen=True, slots=True)
class TakedownList:
    """What a list names. `domains` stand for themselves and all hosts below them."""

    ids: frozenset[str]
    urls: frozenset[str]  # canonical
    domains: frozenset[str]

    def reason(self, doc: Document) -> str | None:
        """Why the document goes: `id`, `url` or `host`; None where it stays."""
        if doc.id in self.ids or doc.metadata.get("source_id") in self.ids:
            return "id"
        url = str(doc.metadata.get("url") or "")
        if url and canonical_url(url) in self.urls:
            return "url"
        labels = str(doc.metadata.get("host") or urlsplit(url).hostname or "").lower().split(".")
        return "host" if any(".".join(labels[n:]) in self.domains for n in range(len(labels))) else None


@lru_cache(maxsize=4)
def load_takedown(path: str, sha256: str) -> TakedownList:  # noqa: ARG001 - the digest is the cache's key
    """The list in a file: a line `id VALUE`, `url VALUE` or `host VALUE` for each; blank lines and # are left out."""
    found: dict[str, set[str]] = {"id": set(), "url": set(), "host": set()}
    for number, line in enumerate(Path(path).read_text("utf-8", "replace").splitlines(), 1):
        kind, _, value = line.strip().partition(" ")
        if not kind or kind.startswith("#"):
            continue
        if kind not in found or not value.strip():
            msg = f"{path}, line {number}: {line.strip()[:80]!r} is no entry; write `id ...`, `url ...` or `host ...`"
            raise InputError(msg)
        found[kind].add(value.strip())
    urls = frozenset(canonical_url(url) for url in found["url"])
    return TakedownList(frozenset(found["id"]), urls, frozenset(host.lower() for host in found["host"]))


class Takedown(BaseFilter):
    """Removes what a list names, as `taken_down:id`, `taken_down:url` or `taken_down:host`."""

    name = "takedown"

    def __init__(self, path: str, sha256: str) -> None:
        """The file of the list, and its digest."""
        super().__init__()
        self.path, self.sha256 = path, sha256

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the document stays."""
        reason = load_takedown(self.path, self.sha256).reason(doc)
        return True if reason is None else (False, f"taken_down:{reason}")

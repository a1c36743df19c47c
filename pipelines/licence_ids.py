"""Licences as inputs state them, in words of all kinds, as the identifiers that a dataset card may hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CREATIVE = re.compile(
    r"\bcc[\s_-]*(?P<kind>by(?:[\s_-]*(?:nc|sa|nd))*)[\s_-]*(?:v\.?)?\s*(?P<version>[1-4]\.0|2\.5)"
    r"|creativecommons\.org/licenses/(?P<kind2>[a-z-]+)/(?P<version2>[1-4]\.0|2\.5)"
)
_NAMED = (  # the first pattern of a family wins: LGPL and AGPL hold GPL
    (re.compile(r"\bcc[\s_-]*0\b|publicdomain/zero"), "cc0-1.0"),
    (re.compile(r"\bapache[\s,-]*(?:licen[cs]e)?[\s,-]*(?:version|v\.?)?\s*2"), "apache-2.0"),
    (re.compile(r"\bmit\b"), "mit"),
    (re.compile(r"\bbsd[\s-]*3"), "bsd-3-clause"),
    (re.compile(r"\bbsd[\s-]*2"), "bsd-2-clause"),
    (re.compile(r"\bagpl[\s-]*(?:v|version)?\.?\s*3"), "agpl-3.0"),
    (re.compile(r"\blgpl[\s-]*(?:v|version)?\.?\s*3"), "lgpl-3.0"),
    (re.compile(r"\blgpl[\s-]*(?:v|version)?\.?\s*2\.1"), "lgpl-2.1"),
    (re.compile(r"\bgpl[\s-]*(?:v|version)?\.?\s*3"), "gpl-3.0"),
    (re.compile(r"\bgpl[\s-]*(?:v|version)?\.?\s*2"), "gpl-2.0"),
    (re.compile(r"\b(?:gfdl|gnu free documentation)"), "gfdl"),
    (re.compile(r"\bmpl[\s-]*2|mozilla public"), "mpl-2.0"),
    (re.compile(r"\bodc[\s-]*by\b"), "odc-by"),
    (re.compile(r"\bodbl\b"), "odbl"),
    (re.compile(r"\bunlicense\b"), "unlicense"),
)


def licence_ids(stated: str) -> list[str]:
    """The identifiers that a statement names, in alphabetical order; none where it names none that is known."""
    text = stated.lower()
    found = {name for pattern, name in _NAMED if pattern.search(text)}
    for match in _CREATIVE.finditer(text):
        kind = re.sub(r"[\s_-]+", "-", match["kind"] or match["kind2"]).strip("-")
        found.add(f"cc-{kind}-{match['version'] or match['version2']}")
    return sorted(found)


def header_licence(stated: Iterable[str | None]) -> list[str]:
    """The identifiers for a card whose documents state these licences; none where one states none, or none known."""
    found: set[str] = set()
    for one in stated:
        ids = licence_ids(one) if one else []
        if not ids:
            return []
        found.update(ids)
    return sorted(found)

"""Personal data, plainly: every rule tried at every place of one text, no kernel and no batch."""

from __future__ import annotations

import re

from filters import personal_rules as rules
from filters.personal import KINDS, Found, Kind

_PLACES: tuple[tuple[str, Kind, rules.Rule], ...] = (
    ("[@＠]", "email", rules.email_at),
    ("[aA][tT]", "email", rules.spoken_email_at),
    ("(?<![0-9])[0-9]", "telephone", rules.telephone_at),
    ("(?<![0-9])[0-9]", "ip", rules.ip_at),
)


def find(text: str) -> list[Found]:
    """The personal data of a text, in characters; of what overlaps the first stays, of those the longest."""
    data = memoryview(text.encode())
    found = []
    for pattern, kind, rule in _PLACES:
        for match in re.finditer(pattern, text):
            span = rule(data, 0, len(data), len(text[: match.start()].encode()))
            if span:
                begin, end = (len(bytes(data[:place]).decode()) for place in span)
                found.append(Found(begin, end, kind))
    kept: list[Found] = []
    for one in sorted(found, key=lambda f: (f.begin, -f.end, KINDS.index(f.kind))):
        if not any(one.begin < other.end for other in kept):
            kept.append(one)
    return kept

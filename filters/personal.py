"""Personal data in texts: e-mail addresses, telephone numbers, IP addresses, in English and Chinese.

A kernel goes over the bytes of a whole batch and names the few places where one may stand; the rules of
`filters.personal_rules` decide there. How precise they are on mathematics, and what they find of what was planted, is
measured by benchmarks/personal_data.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from filters import personal_kernels as kernels
from filters import personal_rules as rules
from filters.text import Batch, char_places, pack
from filters.words import read_only

PERSONAL_VERSION = "personal-1"

Kind = Literal["email", "telephone", "ip"]
KINDS: tuple[Kind, ...] = ("email", "telephone", "ip")
PLACEHOLDERS: Mapping[Kind, str] = {"email": "[email]", "telephone": "[telephone]", "ip": "[ip]"}

_I64 = npt.NDArray[np.int64]
_RULES: Mapping[int, tuple[Kind, rules.Rule]] = {
    kernels.EMAIL: ("email", rules.email_at),
    kernels.SPOKEN_EMAIL: ("email", rules.spoken_email_at),
    kernels.TELEPHONE: ("telephone", rules.telephone_at),
    kernels.IP: ("ip", rules.ip_at),
}


class Found(NamedTuple):
    """Personal data of a kind, at text[begin:end], in characters."""

    begin: int
    end: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Spans:
    """Personal data of a batch, in order, no two of a document overlapping.

    documents : int64[M]; spans : int64[M, 2], begin and end in bytes of `Batch.data`; kinds : of each, M of them.
    """

    documents: _I64
    spans: _I64
    kinds: tuple[Kind, ...]


def find(batch: Batch, kinds: Collection[Kind] = KINDS) -> Spans:
    """The personal data of all documents of a batch; it may share its bytes with Arrow. O(bytes)."""
    wanted = sum(1 << number for number, (kind, _) in _RULES.items() if kind in kinds)
    places = kernels.candidates(read_only(batch.data), read_only(batch.offsets), wanted, kernels.HINTS)
    data, offsets = batch.data.data, batch.offsets.tolist()
    found: list[tuple[int, int, int, Kind]] = []
    for document, place, number in places.tolist():
        kind, rule = _RULES[number]
        if span := rule(data, offsets[document], offsets[document + 1], place):
            found.append((document, *span, kind))
    rows = list(apart(found))
    table = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3)
    return Spans(table[:, 0], table[:, 1:], tuple(row[3] for row in rows))


def apart(found: Iterable[tuple[int, int, int, Kind]]) -> Iterable[tuple[int, int, int, Kind]]:
    """(document, begin, end, kind) in order; of those that overlap the first stays, of these the longest."""
    last = (-1, 0)
    for document, begin, end, kind in sorted(found, key=lambda row: (row[0], row[1], -row[2], KINDS.index(row[3]))):
        if document != last[0] or begin >= last[1]:
            yield document, begin, end, kind
            last = document, end


def find_in(texts: Sequence[str], kinds: Collection[Kind] = KINDS) -> list[list[Found]]:
    """The personal data of each text, in characters."""
    batch = pack(texts)
    spans = find(batch, kinds)
    places = char_places(batch, spans.documents, spans.spans).tolist() if len(spans.kinds) else []
    found: list[list[Found]] = [[] for _ in texts]
    for document, (begin, end), kind in zip(spans.documents.tolist(), places, spans.kinds, strict=True):
        found[document].append(Found(begin, end, kind))
    return found


def mask(text: str, found: Iterable[Found], placeholders: Mapping[Kind, str] = PLACEHOLDERS) -> str:
    """The text with a placeholder where personal data was found; `found` in order and apart, as `find_in` gives it."""
    parts, last = [], 0
    for begin, end, kind in found:
        parts += [text[last:begin], placeholders[kind]]
        last = end
    return "".join([*parts, text[last:]])


def disguise(value: str, kind: Kind) -> str:
    """What may be shown of a value: two characters of each part of an address, the first and last two of a number."""
    if kind == "email" and "@" in value:
        local, _, domain = value.rpartition("@")
        name, _, top = domain.rpartition(".")
        return f"{local[: min(2, len(local) - 1)]}***@{name[: min(2, len(name) - 1)]}***.{top}"
    return f"{value[:2]}***{value[-2:]}" if len(value) >= 8 else "***"

"""What a run of `decontaminate` counts, and the report that is made of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from decontam.match import KINDS, MATCH_VERSION
from filters.errors import InputError
from filters.text import TEXT_VERSION
from pipelines.files import encodable
from pipelines.row_fields import Fields, pattern
from pipelines.row_scan import LISTED, Hit, Scanned, strongest

if TYPE_CHECKING:
    from decontam.index import Index

PROFILES: Mapping[str, Mapping[str, str]] = {
    # a look-alike on the web teaches the skill; in a training set of samples it is the test with other numbers
    "web": {"exact": "drop", "short": "drop", "near": "report", "judged": "report", "review": "report"},
    "posttrain": {"exact": "drop", "short": "drop", "near": "drop", "judged": "drop", "review": "report"},
}
SHOWN = 5  # lines of evidence for the terminal
_VERSIONED = ("mathcorpus", "numba", "numpy", "orjson", "pyarrow", "rapidfuzz")


class Tally:
    """Counts of a run. Documents are rows."""

    def __init__(self, index: Index, actions: Mapping[str, str]) -> None:
        self.index, self.actions = index, actions
        self.files: dict[str, Counter[str]] = {}
        self.fields: dict[str, Counter[str]] = {}
        self.bad: Counter[str] = Counter()
        self.bad_rows: dict[str, list[str]] = {}
        self.documents = Counter(read=0, clean=0, removed=0, reported=0, cut=0, tagged=0)
        self.classes: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        self.matches: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        self.benchmarks: dict[tuple[str, str], Counter[str]] = {}
        self.items: set[tuple[str, str, int]] = set()
        self.contaminated = 0  # documents with a match that calls for more than a report
        self.first: list[dict[str, Any]] = []

    def add_part(self, name: str, found: Scanned, first: int) -> None:
        """Counts what was read of a part of a file, whose first row has the number `first`."""
        file = self.files.setdefault(name, Counter(read=0, clean=0, removed=0, bad=0))
        for counts in (file, self.documents):
            counts.update(read=found.rows, clean=found.rows)
        for text_field, texts in found.texts.items():
            self.fields.setdefault(text_field, Counter(texts=0))["texts"] += texts
        self.bad.update(found.problems)
        file["bad"] += sum(found.problems.values())
        for problem, rows in found.listed.items():
            listed = self.bad_rows.setdefault(problem, [])
            listed += [encodable(f"{name}#{first + row}") for row in rows[: LISTED - len(listed)]]

    def add_row(self, name: str, hits: Sequence[Hit]) -> None:
        """Counts the hits of a row."""
        kinds = [hit.match.kind for hit in hits]
        self.classes[strongest(kinds)] += 1
        self.matches.update(kinds)
        does = {self.actions[kind] for kind in kinds}
        if "drop" in does:
            for counts in (self.files[name], self.documents):
                counts.update(clean=-1, removed=1)
        else:
            self.documents.update(reported=1, cut="cut" in does, tagged="tag" in does)
        self.contaminated += does != {"report"}
        by_field: dict[str, list[str]] = {}
        by_benchmark: dict[tuple[str, str], list[str]] = {}
        for hit in hits:
            benchmark = hit.line["benchmark"], hit.line["split"]
            self.items.add((*benchmark, hit.line["item"]))
            by_field.setdefault(pattern(hit.place), []).append(hit.match.kind)
            by_benchmark.setdefault(benchmark, []).append(hit.match.kind)
            if len(self.first) < SHOWN:
                self.first.append(hit.line)
        for text_field, found in by_field.items():
            self.fields[text_field][strongest(found)] += 1
        for key, found in by_benchmark.items():
            self.benchmarks.setdefault(key, Counter()).update({"documents": 1, strongest(found): 1})


def check_read(scanned: Sequence[Scanned], fields: Fields) -> None:
    """InputError where no row of all the input has the field that was asked for: a misspelt name finds nothing."""
    keys = next((s.keys for s in scanned if s.keys), None)
    if keys is not None and not any(s.texts for s in scanned):
        wanted = fields.names[0] if fields.names else "text"
        msg = f"no row has a text in {wanted!r}; they have {encodable(', '.join(keys))}; name one with --field"
        raise InputError(msg)


def make_report(tally: Tally, options: Mapping[str, Any]) -> dict[str, Any]:
    """What report.json holds, but for the cost."""
    index = tally.index
    hit = Counter((benchmark, split) for benchmark, split, _ in tally.items)
    return {
        "documents": dict(tally.documents) | {"contaminated": tally.contaminated},
        "classes": dict(tally.classes),
        "matches": dict(tally.matches),
        "files": [{"name": encodable(name), **counts} for name, counts in sorted(tally.files.items())],
        "fields": {name: dict(counts) for name, counts in sorted(tally.fields.items())},
        "benchmarks": [
            {"benchmark": key[0], "split": key[1], "items_hit": hit[key], **dict.fromkeys(KINDS, 0), **counts}
            for key, counts in sorted(tally.benchmarks.items())
        ],
        "coverage": [line._asdict() for line in index.coverage()],
        "bad_rows": dict(sorted(tally.bad.items())),
        "bad_rows_listed": dict(sorted(tally.bad_rows.items())),
        "options": dict(options),
        "actions": dict(tally.actions),
        "index": {"digest": index.digest, "items": len(index.items), "ngram": index.ngram},
        "versions": {
            "text": TEXT_VERSION,
            "match": MATCH_VERSION,
            "python": ".".join(map(str, sys.version_info[:3])),
            **{name: _version(name) for name in _VERSIONED},
        },
    }


def _version(name: str) -> str:
    """That of a library; one that is loaded knows it, the files of the others are read, which takes a while."""
    known: str | None = getattr(sys.modules.get(name), "__version__", None)
    return known or version(name)

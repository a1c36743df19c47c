"""The report of a decontamination run: each hit beside the benchmark item, so that anyone can judge a removal.

One HTML file that loads nothing and works without its script. All that came with documents and benchmarks is data that
someone on the web wrote: hidden characters are shown, Jinja escapes the rest, and a content security policy allows one
script, ours, by its hash. A page of a million hits would open nowhere: it shows a fair choice and says what is left.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decontam.align import side_by_side, visible
from filters.errors import OutputError

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_BYTES = 4_900_000  # of the page: opens at once on a telephone, and passes as a mail attachment
SHOWN_PAIRS = 400  # hits: more than anyone reads, and enough that each benchmark and class has its share
SHOWN_ROWS = 200  # of a table
OPEN_ROWS = 12  # of a table that stands open; longer ones would hide the evidence below them
SHOWN_NAME = 120  # characters of a name: a file, a benchmark, a field
SHOWN_TEXT = 4_000  # characters of a text; lines of evidence hold fewer

# Classes of evidence, strongest first, and what each rests on.
CLASSES: Mapping[str, str] = {
    "exact": "shares an n-gram with the item, and the common subsequence around it is above the threshold",
    "short": "holds the whole of a question that is too short for an n-gram, set off from what stands around it",
    "near": "a look-alike: shares shorter n-grams, or n-grams but for their numbers, and is above the same threshold",
    "judged": "tells the same problem in other words, as a model says that was asked about it; no rule finds it",
    "review": "all that it shares with the item stands in many unrelated documents too, and convicts nobody by itself",
}
_RESERVE_BYTES = 600_000  # for the menus of the filters, which are only known with the hits
_FIRST_COLUMNS = ("read", "texts", "items", "documents", "items_hit", *CLASSES)  # of a table; others stand behind
_LINE_KEYS = {"class", "benchmark", "split", "item", "field", "doc_text", "item_text", "private"}
_LINE_KEYS |= {"lcs", "ngrams", "span", "more"}


def write_report(out: Path, report: dict[str, Any], evidence: Iterable[dict[str, Any]]) -> None:
    """Writes out/report.html; the file appears under its name only when it is whole.

    report : what report.json holds. Known are `documents` {read, clean, removed, reported, …}, `files` [{name, read,
        clean, removed}], `fields` {name: documents, or {class: documents}}, `classes` {class: documents}, `benchmarks`
        [{benchmark, split, items_hit, documents, exact, short, …}], `coverage` [{benchmark, split, items, …}],
        `bad_rows` {reason: rows}, `judge` {answers, unknown {reason: pairs}, documents_unknown, …}, `options` {name:
        value}, `index` {digest, items, ngram, …}; any may be missing.
    evidence : the lines of evidence.jsonl, in order; they are read once and not kept.
    Raises OutputError where the folder cannot be written.
    """
    data = page(report, evidence).encode()
    path = out / "report.html"
    partial = out / f".report.html.{os.getpid()}.partial"
    try:
        out.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as exc:
        msg = f"cannot write {path}: {exc}"
        raise OutputError(msg) from exc


def page(report: Mapping[str, Any], evidence: Iterable[Mapping[str, Any]]) -> str:
    """The HTML of a report and its evidence, shorter than MAX_BYTES."""
    chosen = _Choice()
    for line in evidence:
        chosen.add(line)
    view = _view(report, chosen)
    room = MAX_BYTES - _RESERVE_BYTES - len(_render(view, []).encode())
    card = _environment().get_template("hit.html.j2")
    hits = []
    for number, line in chosen.best():
        hit = _hit(number, line)
        hit["html"] = card.render(h=hit)
        room -= len(hit["html"].encode())
        if room < 0:
            break
        hits.append(hit)
    return _render(view, sorted(hits, key=lambda h: h["place"]))


class _Choice:
    """The hits to show, at most SHOWN_PAIRS of a stream of any length.

    First the first hit of each document in each class of each benchmark, these groups taking turns; then the second
    ones, and so on. So neither a page that lists a whole benchmark nor the commonest set pushes the others out.
    """

    def __init__(self) -> None:
        self.lines = self.unwritten = 0
        self._document: tuple[str, str] | None = None
        self._ranks: Counter[tuple[str, ...]] = Counter()
        self._turns: Counter[tuple[tuple[str, ...], int]] = Counter()
        self._kept: list[tuple[tuple[int, int, tuple[str, ...], int], Mapping[str, Any]]] = []

    def add(self, line: Mapping[str, Any]) -> None:
        """Counts a line, and keeps it while none that come later are to be preferred."""
        self.lines += 1
        self.unwritten += int(line.get("more") or 0)
        document = (_text(line, "origin"), _text(line, "doc_id"))
        if document != self._document:
            self._document = document
            self._ranks.clear()
        group = tuple(_text(line, key) for key in ("class", "benchmark", "split"))
        rank = self._ranks[group]
        self._ranks[group] += 1
        if rank >= SHOWN_PAIRS:  # this document alone fills the page
            return
        turn = self._turns[group, rank]
        self._turns[group, rank] += 1
        key = (rank, turn, group, self.lines)
        if len(self._kept) < SHOWN_PAIRS or key < self._kept[-1][0]:
            insort(self._kept, (key, line))
            del self._kept[SHOWN_PAIRS:]

    def best(self) -> list[tuple[int, Mapping[str, Any]]]:
        """(number of the line from 1, line), those to be shown first first."""
        return [(key[-1], line) for key, line in self._kept]


def _text(line: Mapping[str, Any], key: str) -> str:
    value = line.get(key)
    return "" if value is None else str(value)


def _name(value: Any) -> str:
    """A name on one line: hidden characters shown, the middle left out where it is long."""
    text = visible(" ".join(str(value).split()))
    half = SHOWN_NAME // 2
    return text if len(text) <= SHOWN_NAME else f"{text[:half]}…{text[-half:]}"


# --- the hits ---------------------------------------------------------------------------------------------------------


def _hit(number: int, line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of evidence as its template takes it."""
    kind, benchmark = _name(_text(line, "class")), _name(f"{_text(line, 'benchmark')} / {_text(line, 'split')}")
    document, item = (_text(line, key)[:SHOWN_TEXT] for key in ("doc_text", "item_text"))
    left, right = ([(visible(text), common) for text, common in side] for side in side_by_side(document, item))
    span = line.get("span") or []
    length = span[1] - span[0] if len(span) == 2 else len(document)
    lcs = float(line.get("lcs") or 0)
    order = list(CLASSES).index(kind) if kind in CLASSES else len(CLASSES)
    return {
        "number": number,
        "kind": kind,
        "known": kind in CLASSES,
        "benchmark": benchmark,
        "field": _name(_text(line, "field")),
        "item": _name(_text(line, "item")),
        "lcs": lcs,
        "ngrams": line.get("ngrams"),
        "span": span,
        "others": [(_label(k), _name(v)) for k, v in line.items() if k not in _LINE_KEYS and v not in (None, "")],
        "document": left,
        "left_out": max(0, length - len(document)),
        "item_text": right,
        "private": _name(_text(line, "private")),
        "place": (order, benchmark, -lcs, number),
    }


def _label(key: str) -> str:
    return {"doc_id": "id", "text_field": "field of the document"}.get(key, _name(key).replace("_", " "))


# --- the figures ------------------------------------------------------------------------------------------------------


def verdict(report: Mapping[str, Any]) -> str:
    """What the run found, in one sentence."""
    documents = report.get("documents") or {}
    read, clean = documents.get("read", 0), documents.get("clean", 0)
    removed, reported = documents.get("removed", 0), documents.get("reported", 0)
    bad = sum((report.get("bad_rows") or {}).values())
    unread = f"; {_count(bad, 'row')} could not be read" if bad else ""
    unknown = (report.get("judge") or {}).get("documents_unknown")
    unread += f"; {_count(unknown, 'document')} could not be judged by the model" if unknown else ""
    if not read:
        return f"No document was read{unread}."
    found = removed + reported or max(0, read - clean)
    if not found:
        return f"No benchmark text was found in {_count(read, 'document')}{unread}."
    changed = [f"{documents[key]:,} {key}" for key in ("cut", "tagged") if documents.get(key)]
    kept = f"kept and reported ({', '.join(changed)})" if changed else "kept and reported"
    parts = [f"{n:,} {word}" for n, word in ((removed, "removed"), (reported, kept)) if n]
    done = f": {', '.join(parts)}" if parts else ""
    kinds = report.get("classes") or {}
    alike = any(kinds.get(kind) for kind in ("near", "judged", "review"))
    what = "Benchmark text or its like" if alike else "Benchmark text"
    of_all = f"{found:,} of {_count(read, 'document')} ({percent(found, read)})"
    return f"{what} was found in {of_all}{done}{unread}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(part: float, whole: float) -> str:
    """The share with two digits that count; only nothing is 0 %, and only all is 100 %."""
    share = 100 * part / whole
    if share in {0.0, 100.0}:
        return f"{share:.0f} %"
    if share > 99:
        return f"{min(share, 99.99):.2f} %"
    return "under 0.001 %" if share < 0.001 else f"{share:.2g} %"


def _view(report: Mapping[str, Any], chosen: _Choice) -> dict[str, Any]:
    """What the template takes, but for the hits."""
    documents = report.get("documents") or {}
    rows = {key: report.get(key) or [] for key in ("benchmarks", "coverage", "files")}
    ends = {"read": "documents read", "removed": "removed", "clean": "kept", "reported": "kept with a hit"}
    tiles = [(documents.get(key, 0), label) for key, label in ends.items()]
    tiles += [(documents[key], key) for key in ("cut", "tagged") if documents.get(key)]
    tiles.append((sum(row.get("items_hit") or 0 for row in rows["benchmarks"]), "benchmark items found"))
    settings = {"Options": "options", "Actions": "actions", "Index": "index", "Judge": "judge", "Versions": "versions"}
    return {
        "verdict": verdict(report),
        "found": bool(documents.get("removed") or documents.get("reported") or chosen.lines),
        "tiles": tiles,
        "classes": [(kind, meaning, (report.get("classes") or {}).get(kind, 0)) for kind, meaning in CLASSES.items()],
        "tables": [
            _table("Found, by benchmark", "benchmark / split", _named_sets(rows["benchmarks"])),
            _table("Found, by file", "file", rows["files"]),
            _table("Found, by field", "field of the documents", _by_name(report.get("fields"), "documents")),
            _table("Rows that could not be read", "reason", _by_name(report.get("bad_rows"), "rows")),
            _table("Likely paraphrases, by what the model said", "answer", _by_name(_answers(report), "pairs")),
            _table("Questions that the rule can protect", "benchmark / split", _named_sets(rows["coverage"])),
        ],
        "settings": [(part, _settings(report.get(key))) for part, key in settings.items()],
        "lines": chosen.lines,
        "unwritten": chosen.unwritten,
    }


def _answers(report: Mapping[str, Any]) -> dict[str, int]:
    """What became of the pairs that a model was to be asked about, but those of rows that are removed anyway."""
    judge = report.get("judge") or {}
    unknown = {f"unknown: {reason}": pairs for reason, pairs in (judge.get("unknown") or {}).items()}
    return {**(judge.get("answers") or {}), **unknown}


def _named_sets(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "name": f"{row.get('benchmark', '')} / {row.get('split', '')}"} for row in rows]


def _by_name(counts: Mapping[str, Any] | None, unit: str) -> list[dict[str, Any]]:
    """A row for each name; its value is a number, or numbers by name."""
    return [{"name": k, **(v if isinstance(v, Mapping) else {unit: v})} for k, v in (counts or {}).items()]


def _table(title: str, head: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A table with a column for each number that a row has."""
    found = dict.fromkeys(k for row in rows for k, v in row.items() if isinstance(v, int | float) and k != "name")
    numbers = [*(k for k in _FIRST_COLUMNS if k in found), *(k for k in found if k not in _FIRST_COLUMNS)]
    return {
        "title": title,
        "open": len(rows) <= OPEN_ROWS,
        "heads": [head, *(_name(column).replace("_", " ") for column in numbers)],
        "rows": [(_name(row.get("name", "")), [row.get(column) for column in numbers]) for row in rows[:SHOWN_ROWS]],
        "left_out": max(0, len(rows) - SHOWN_ROWS),
    }


def _settings(values: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    named = list((values or {}).items())[:SHOWN_ROWS]
    return [(_name(k).replace("_", " "), _name(v if isinstance(v, str) else _json(v))) for k, v in named]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


# --- the page ---------------------------------------------------------------------------------------------------------


def _render(view: Mapping[str, Any], hits: Sequence[Mapping[str, Any]]) -> str:
    from markupsafe import Markup

    script, style = _own("tables.js") + _own("report.js"), _own("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    menus = {name: sorted(Counter(hit[name] for hit in hits).items()) for name in ("benchmark", "field")}
    kinds = Counter(hit["kind"] for hit in hits)
    menus["kind"] = sorted(kinds.items(), key=lambda k: ([*CLASSES, k[0]].index(k[0]), k[0]))
    template = _environment().get_template("report.html.j2")
    return template.render(
        view,
        cards=[Markup(hit["html"]) for hit in hits],  # noqa: S704 - rendered by our own template
        menus=menus,
        script=Markup(script),  # noqa: S704 - our own file
        style=Markup(style),  # noqa: S704 - our own file
        script_digest=digest,
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(_own), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["number"] = _number
    made.tests["chinese"] = lambda pieces: any("\u4e00" <= char <= "\u9fff" for text, _ in pieces for char in text)
    return made


def _number(value: float | None) -> str:
    """A number with thousands marked, or a dash."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


@cache
def _own(name: str) -> str:
    return (files("decontam") / name).read_text("utf-8")

"""Reports as an audit gives them, with every key of docs/audit.md and, where a document can bring it, any text."""

from __future__ import annotations

from typing import Any

SHARES = [n / 20 for n in range(21)]
DELIMITERS = ("dollar", "display_dollar", "parenthesis", "bracket", "environment", "brace")
DOUBLING = [2.0**n for n in range(21)]


def amounts(value: str | None, documents: int, shown: list[str]) -> dict[str, Any]:
    """A row of a table by value."""
    return {"value": value, "documents": documents, "tokens": 10 * documents, "characters": 50, "shown": shown}


def document(name: str, text: str) -> dict[str, Any]:
    """A document as the table of an audit has it."""
    told = {"id": name, "origin": f"o/{text}", "url": f"https://x/{text}", "tokens": 9, "text": f"{text} end"}
    return {**told, **dict.fromkeys(("source", "language", "licence"), text)}


def contamination(text: str, shown: list[str]) -> dict[str, Any]:
    """Benchmark text that was found."""
    row = {"benchmark": text, "split": text, "items": 10, "protected": 8, "unprotected": 2, "documents": 1}
    pair = {"doc_id": shown[0], "origin": text, "benchmark": text, "split": text, "item": 1, "field": text}
    pair |= {"class": text, "lcs": 0.9, "ngrams": 2, "span": [0, 9]}
    texts = {"doc_text": [[text, True], [text, False]], "item_text": [[text, True]]}
    return {
        "documents": 1,
        "reported": 0,
        "reported_classes": {},
        "reported_shown": {},
        "lines": 1,
        "lines_left_out": 0,
        "classes": {text: 1},
        "benchmarks": [{**row, "items_hit": 1, "lcs": [0] * 19 + [1], "shown": shown}],
        "lcs_edges": SHARES,
        "pairs": [{**pair, **texts}],
        "pairs_left_out": 0,
        "strongest": {"exact": 1},
        "strongest_shown": {"exact": shown},
    }


def duplicates(a: str, b: str) -> dict[str, Any]:
    """An exact pair and a near one."""
    near = {"sampled": 1, "of": 2, "documents": 1, "share": 0.5, "siblings": 0}
    return {
        "exact": {"documents": 1, "share": 0.5, "groups": [{"documents": 2, "shown": [a, b]}]},
        "near": {**near, "groups": [{"documents": 2, "similarity": 0.8, "shown": [b, a]}]},
    }


def measures(text: str, a: str, b: str) -> dict[str, Any]:
    """What the audit measures; `a` and `b` are ids of documents."""
    columns = ("source", "language", "stated_language", "host", "licence", "year")
    flag = {"documents": 1, "share": 0.5, "shown": [a]}
    kinds = ("email", "telephone", "ip")
    one = {"id": b, "masked": "jo***@ex***.org", "context": f"{text} jo***@ex***.org"}
    return {
        "documents": 2,
        "characters": 100,
        "tokens": 20,
        "empty": 0,
        "by": {name: [amounts(text, 1, [a, b]), amounts(None, 1, [b])] for name in columns},
        "others": {name: {"values": 1, "documents": 1, "tokens": 1, "characters": 1} for name in columns},
        "lengths": {"edges": DOUBLING, "counts": [0, 0, 0, 2, *[0] * 16], "shown": [[], [], [], [a, b], *[[]] * 16]},
        "duplicates": duplicates(a, b),
        "contamination": contamination(text, [a]),
        "formulas": {
            "documents_with": 1,
            "formulas": 3,
            "characters_share": {"edges": SHARES, "counts": [1] * 20, "shown": [[a]] * 20},
            "unbalanced": {
                **flag,
                "kinds": {**dict.fromkeys(DELIMITERS, 0), "dollar": 1},
                "kinds_shown": {**{kind: [] for kind in DELIMITERS}, "dollar": [a]},
            },
        },
        "language": {
            "stated": 2,
            "confused": 1,
            "share": 0.5,
            "confusion": [{"stated": text, "detected": "zh", "documents": 1, "shown": [b]}],
        },
        "personal": {kind: {"documents": 1, "occurrences": 2, "shown": [one]} for kind in kinds},
        "personal_any": 1,
        "adult": flag,
        "spam": flag,
        "synthetic": {"documents": 0, "tokens": 0, "share": 0.0, "shown": []},
        "slices": [{"source": text, "language": "en", "documents": 2, "shown": [a, b]}],
    }


def mix(text: str) -> dict[str, Any]:
    """What became of a mix, as a recipe wanted it."""
    part = {"documents_there": 9, "tokens_there": 90, "documents": 9, "copies": 12, "tokens": 120, "epochs": 1.33}
    wanted = {"weight": 3.0, "tokens": None, "epochs": None}
    where = {"source": "web", "math_score": {"at_least": 0.5, "below": None}, "host": [text, "b.org"]}
    return {
        "name": text,
        "seed": 7,
        "tokens_wanted": 200,
        "tokens_got": 130,
        "documents": 10,
        "copies": 13,
        "parts": [
            {
                "name": text,
                "where": where,
                "wanted": wanted,
                **part,
                "share_wanted": 0.75,
                "share_got": 0.9,
                "short": 30,
            },
            {"name": "rest", "where": {}, "wanted": wanted, **part, "share_wanted": None, "share_got": 0.1, "short": 0},
        ],
        "caps": [{"column": "host", "value": text, "before": 500, "after": 100}],
        "more_caps": 3,
        "left_out": {"no_part": 4, "budget": 2, f"cap:{text}": 1},
    }


def folder(text: str = "plain") -> dict[str, Any]:
    """The report of a folder that somebody else made."""
    unread = {"count": 1, "first": [f"{text}.docx"]}
    about = {"paths": [text], "files": 2, "bytes": 999, "documents": 2, "unreadable": {text: 3}, "skipped": {text: 1}}
    built = (
        "build",
        "funnel",
        "composition",
        "removed",
        "histograms",
        "duplicates",
        "contamination",
        "samples",
        "cost",
    )
    return {
        "format": "mathcorpus-report-1",
        "kind": "folder",
        "verdict": "2 documents.",
        **dict.fromkeys((*built, "packed")),
        "mixes": [],
        "input": {**about, "unread_files": unread},
        "measures": measures(text, "a" * 32, text),
        "documents": {"a" * 32: document("a" * 32, text), text: document(text, text)},
        "comparison": None,
        "gates": {"documents": 2, "contaminated.exact": 1},
        "failed": [{"gate": "contaminated.exact > 0", "value": 1}],
    }


def comparison(text: str, a: str, b: str) -> dict[str, Any]:
    """What came since another build, what is gone, and why."""
    side = {"name": text, "key": text, "documents": 9, "tokens": 90}
    stage = {"stage": text, "changed": ["threshold", text], "files": True, "code": False, "moved": True}
    reason = f"removed_before:language:{text}"
    part = {"documents": 3, "tokens": 30, "why": {reason: 2, "not_read_before": 1}, "shown": {reason: [a, b]}}
    return {
        "a": side,
        "b": side,
        "stages": [stage, {"stage": "quality", "only": "now"}],
        "sources": [{"source": text, "changed": [text]}],
        "in_both": 6,
        "other_id": 1,
        "changed_text": 2,
        "changed_shown": [a],
        "came": {**part, "by_source": {text: {"documents": 3, "tokens": 30}}},
        "gone": {"documents": 0, "tokens": 0, "why": {}, "shown": {}, "by_source": {}},
    }


def packed(text: str) -> dict[str, Any]:
    """The manifest of a packed corpus, as far as the page shows it."""
    return {
        "settings": {"length": 4096, "method": text},
        "tokenizer": {"name": text, "vocabulary": 500},
        "documents": {"in": 10, "packed": 9, "cut": 3, "cut_needlessly": 1, "removed": {"empty": 1, "dropped": 0}},
        "tokens": {"in": 8000, "out": 7990, "dropped": 10, "padding": 202},
        "sequences": {"count": 2, "length": 4096, "padded": 1},
    }


def additions(text: str, a: str, b: str) -> dict[str, Any]:
    """What an audit adds to the report of a build that has documents `a` and `b`."""
    return {
        "kind": "build",
        "measures": measures(text, a, b),
        "mixes": [mix(text)],
        "packed": packed(text),
        "comparison": comparison(text, b, a),
        "gates": {"documents": 2},
        "failed": [{"gate": "documents < 3", "value": 2}],
    }

"""The ledger of a cycle: what it added, from where, with examples, for the report and for tables of tabs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipelines.recall_seeds import CANDIDATES, LABELS
from pipelines.recall_stats import MATH, SCORE_UNITS, Prefix

ADDED = pa.schema(
    [("label", pa.string()), *CANDIDATES, ("text", pa.string())], metadata={"mathcorpus": "recall-added-1"}
)
_EXAMPLE = 300  # characters of a text in the report
_FIRST = 20  # prefixes and examples of each kind in it


def math_hosts(judged: Mapping[str, Prefix]) -> int:
    """Hosts that are mathematical, or have a folder that is."""
    return len({name.partition("/")[0] for name, prefix in judged.items() if prefix.side == MATH})


def by_side(judged: Mapping[str, Prefix]) -> dict[str, int]:
    """How many prefixes are on each side."""
    counts = Counter(p.side for p in judged.values())
    return {side: counts[side] for side in sorted({MATH, *counts})}


def told_of(added: pa.Table) -> dict[str, Any]:
    """What was added, by reason: how many pages, from which prefixes, with examples."""
    told: dict[str, Any] = {}
    rows = added.to_pylist()
    for why in sorted({row["why"] for row in rows}):
        mine = [row for row in rows if row["why"] == why]
        places = Counter(row["prefix"] for row in mine)
        told[why] = {
            "label": LABELS[why],
            "pages": len(mine),
            "prefixes": len(places),
            "from": [
                {"prefix": p, "pages": n} for p, n in sorted(places.items(), key=lambda x: (-x[1], x[0]))[:_FIRST]
            ],
            "examples": [_example(row) for row in mine[:_FIRST]],
        }
    return told


def _example(row: Mapping[str, Any]) -> dict[str, Any]:
    text = row["text"][:_EXAMPLE]
    return {"id": row["id"], "url": row["url"], "score": row["score"] / SCORE_UNITS, "text": text}


def prefix_rows(judged: Mapping[str, Prefix]) -> bytes:
    """The prefixes as a table of tabs and lines; pages and recalled are those that each speaks for."""
    lines = ["\t".join(Prefix.__slots__)]
    for prefix in judged.values():
        cells = (getattr(prefix, name) for name in Prefix.__slots__)
        lines.append("\t".join(f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in cells))
    return "".join(f"{line}\n" for line in lines).encode()

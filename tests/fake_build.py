"""A folder as `mathcorpus build` leaves it, written from a list of documents and their fates; no stage runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from pipelines import dataset as ds

STAGES = ("ingest", "language", "quality", "exact_dedup", "minhash_dedup", "decontaminate", "tokens")
QUESTION = "Tom has 3 apples and buys 4 more apples. How many apples does he have?"
Doc = dict[str, Any]


def doc(name: str, text: str = "text", **more: Any) -> Doc:
    """A document; with `stage` and `reason` it is a removed one, `evidence` are its lines."""
    return {"id": name, "origin": f"o/{name}", "source": "web", "text": text, **more}


def line(name: str, benchmark: str, item: int, lcs: float, **more: Any) -> dict[str, Any]:
    """A line of evidence as the decontamination step writes it."""
    found = {"doc_id": name, "origin": f"o/{name}", "benchmark": benchmark, "split": "test", "item": item}
    found |= {"field": "question", "class": "exact", "lcs": lcs, "ngrams": 2, "span": [0, 9]}
    return {**found, "doc_text": "Tom had 3 apples", "item_text": QUESTION, **more}


DOCUMENTS = [
    doc("k1", "one α", language="en", language_score=1.0, math_score=0.35, quality_score=0.5, tokens=2, host="a.org"),
    doc("k2", "two", language="en", tokens=1, host="b.org", evidence=[line("k2", "gsm8k", 3, 0.65)], keeper="decontaminate"),
    doc("k3", "三", language="zh", tokens=1 << 21, source="book", licence="CC0"),
    doc("r1", "le", language="fr", language_score=0.8, stage="language", reason="language:fr", score=0.8),
    doc("r2", "", stage="quality", reason="too_short", score=1.0, evidence=[{"rule": "too_short", "value": 1, "limit": 40}]),
    doc("r3", "one α", stage="exact_dedup", reason="exact_duplicate", score=1.0, evidence=[{"kept": "k1"}]),
    doc("r4", "one β", stage="minhash_dedup", reason="near_duplicate", score=0.9, evidence=[{"kept": "k1", "similarity": 0.9}]),
    doc("r5", "Tom", stage="minhash_dedup", reason="near_duplicate", score=0.8, evidence=[{"kept": "r6", "similarity": 0.8}]),
    doc(
        "r6",
        "Tom had 3 apples",
        stage="decontaminate",
        reason="contaminated:gsm8k",
        score=1.0,
        evidence=[line("r6", "gsm8k", 0, 1.0), line("r6", "gsm8k", 4, 0.95), line("r6", "math", 5, 0.7, more=9)],
    ),
]  # fmt: skip


def write_build(root: Path, docs: list[Doc], shards: int = 1, stages: tuple[str, ...] = STAGES) -> Path:
    """A build folder as `mathcorpus build` leaves it."""
    writers = {
        (kind, n): ds.ShardWriter(root / kind, f"{n:05d}.parquet", schema)
        for kind, schema in SCHEMAS.items()
        for n in range(shards)
    }
    for number, one in enumerate(docs):
        write_document({kind: writers[kind, number % shards] for kind in SCHEMAS}, dict(one))
    found = {}
    for kind, schema in SCHEMAS.items():
        found[kind] = ds.Dataset(root / kind, tuple(writers[kind, n].commit() for n in range(shards)), "key")
        found[kind].save(schema)
    ds.write_json(root / "manifest.json", manifest(docs, found, stages))
    return root


SCHEMAS = {"corpus": ds.DOCUMENTS, "removed": ds.REMOVED, "ledger": ds.LEDGER, "evidence": ds.EVIDENCE}


def write_document(writers: dict[str, ds.ShardWriter], row: Doc) -> None:
    """Writes a document where its fate puts it."""
    lines, keeper = row.pop("evidence", None), row.pop("keeper", None)
    key = f"{row.get('stage', keeper)}/{row['id']}" if lines else None
    if lines:
        text = orjson.dumps(lines, option=orjson.OPT_SORT_KEYS).decode()
        stage = row.get("stage", keeper)
        writers["evidence"].write({"key": key, "id": row["id"], "stage": stage, "evidence": text})
    if "stage" in row:
        writers["removed"].write(row)
        columns = ("id", "stage", "reason", "score", "source", "url", "origin")
        writers["ledger"].write({**{c: row.get(c) for c in columns}, "evidence": key})
    else:
        writers["corpus"].write(row)


def manifest(docs: list[Doc], found: dict[str, ds.Dataset], stages: tuple[str, ...]) -> dict[str, Any]:
    """The manifest that `pipelines.build` writes."""
    counted, flow = [], len(docs)
    for name in stages:
        removed = Counter(d["reason"] for d in docs if d.get("stage") == name)
        gone = sum(removed.values())
        counted.append({"name": name, "key": f"key-{name}", "in": flow, "made": 0, "kept": flow - gone,
                        "removed": dict(removed)})  # fmt: skip
        flow -= gone
    cost = {"wall_s": 1.5, "cpu_s": 2.5, "peak_rss_mb": 300}
    return {
        "name": "fake",
        "key": "the-key",
        "engine": "inline",
        "seconds": 3.25,
        "documents": {"read": len(docs), "made": 0, "kept": flow, "removed": len(docs) - flow},
        "datasets": {n: {"rows": d.rows, "digest": d.digest, "content": d.content} for n, d in found.items()},
        "stages": counted,
        "skipped": {"record:warcinfo": 1},
        "unread_files": {"count": 1, "first": ["pages/readme.docx"]},
        "passes": [
            {"kind": "map", "stages": ["ingest"], "folder": "m", "cost": {**cost, "stages_cpu_s": {"ingest": 2.0}}},
            {"kind": "map", "stages": ["tokens"], "folder": "n", "cost": {**cost, "stages_cpu_s": {"tokens": 0.5}}},
        ],
        "versions": {"code": {"ingest": "ingest-1"}, "format": "f-1", "libraries": {"mathcorpus": "0.1.0"}},
    }


def write_coverage(build: Path, folder: str, key: str, benchmarks: dict[str, int]) -> None:
    """The manifest of an index: of each benchmark the number of items that are too short."""
    coverage = [
        {"benchmark": b, "split": "test", "items": 10, "protected": 10 - n, "unprotected": n}
        for b, n in benchmarks.items()
    ]
    ds.write_json(build / "work" / folder / "manifest.json", {"key": key, "coverage": coverage})

"""A recipe and input small enough to build in a second, for tests of builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import yaml

from pipelines.build import Build
from pipelines.engine import Engine, InlineEngine
from pipelines.plan import Plan, make_plan
from pipelines.recipe_file import parse_recipe

WORDS = (
    "prime", "number", "theorem", "proof", "integral", "matrix", "vector", "angle",
    "triangle", "root", "field", "group", "ring", "limit", "series",
)  # fmt: skip


def text(seed: int, length: int = 60) -> str:
    """Words in an order that a seed decides; other seeds share no run of five."""
    return " ".join(
        WORDS[(seed * 7 + i * (seed % 11 + 1) + i * i // 3) % len(WORDS)] + f" {seed + i}" for i in range(length)
    )


ITEM = (
    "A farmer has 17 sheep and buys 25 more at the market; how many sheep does the farmer have after selling 9 of them?"
)
DEFAULT_STAGES: list[dict[str, Any]] = [
    {"stage": "quality", "min_tokens": 5},
    {"stage": "exact_dedup"},
    {"stage": "minhash_dedup"},
    {"stage": "decontaminate", "against": "bench"},
    {"stage": "tokens"},
]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))


def write_input(root: Path, files: int = 4) -> None:
    """Documents with planted copies, near copies, contamination, a short and a broken one; and a benchmark."""
    rows = [{"id": str(i), "text": text(i)} for i in range(24)]
    rows += [{"id": "copy", "text": text(3).upper()}, {"id": "near", "text": text(5, 59) + " end"}]
    rows += [{"id": "dirty", "text": f"{text(50, 20)} {ITEM.lower()} {text(51, 20)}"}, {"id": "short", "text": "a b"}]
    for number in range(files):
        write_rows(root / "in" / f"part-{number}.jsonl", rows[number::files])
    with (root / "in" / "part-0.jsonl").open("ab") as file:
        file.write(b"{broken\n")
    write_rows(root / "bench" / "farm" / "test.jsonl", [{"question": ITEM, "answer": "33"}])


def plan(root: Path, out: str = "out", stages: list[dict[str, Any]] | None = None, **source: Any) -> Plan:
    """The plan of the small recipe."""
    recipe = {
        "name": "small",
        "shard_mb": 0.001,
        "sources": [{"format": "jsonl", "name": "notes", "path": "in", **source}],
        "stages": stages or DEFAULT_STAGES,
    }
    return make_plan(parse_recipe(yaml.safe_dump(recipe), root / "r.yaml", {}), root, root / out)


def build(made: Plan, engine: Engine | None = None) -> dict[str, Any]:
    """Runs a plan; the manifest."""
    return Build(made, lambda: engine or InlineEngine()).run()


def digests(manifest: dict[str, Any]) -> dict[str, str]:
    """Digest of each dataset of a build."""
    return {name: d["digest"] for name, d in manifest["datasets"].items()}

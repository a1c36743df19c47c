"""What every report begins with: its format, and the keys that only an audit or a later command fills."""

from __future__ import annotations

from typing import Any

import orjson

from pipelines.places import Place

FORMAT = "mathcorpus-report-1"
BUILD, FOLDER = "build", "folder"


def absent(kind: str) -> dict[str, Any]:
    """The keys of a report of which nothing is known yet."""
    none = dict.fromkeys(("input", "packed", "measures", "comparison"))
    return {"format": FORMAT, "kind": kind, **none, "mixes": [], "gates": {}, "failed": []}


def head(build: Place, manifest: dict[str, Any]) -> dict[str, Any]:
    """The same of a build, with its mixes, and with what `mathcorpus pack` made of it."""
    packed = build / "packed" / "manifest.json"
    return {
        **absent(BUILD),
        "mixes": [{"name": name, **mix} for name, mix in sorted(manifest.get("mixes", {}).items())],
        "packed": orjson.loads(packed.read_bytes()) if packed.exists() else None,
    }

"""A small build with planted texts that must not leave, for the tests of publishing."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import yaml
from click.testing import CliRunner, Result
from small import ITEM, text, write_rows

from pipelines.build import Build
from pipelines.cli import main
from pipelines.engine import InlineEngine
from pipelines.plan import make_plan
from pipelines.recipe_file import parse_recipe

USER = "zaphod"
SECRET = "swordfish-4711-swordfish"
LOOKALIKE = (
    "A baker bakes 12 loaves, sells 7 at the fair and eats 3 with her 5 friends; how many of the loaves last 4 days?"
)
OTHER_NUMBERS = (
    "A baker bakes 31 loaves, sells 16 at the fair and eats 8 with her 9 friends; how many of the loaves last 6 days?"
)
REMOVED = ("zorblat", "quuxified", "flimflam")  # words of documents that are removed: too short, near, contaminated
BENCHMARK = (ITEM, LOOKALIKE, "onlytheanswerknows")
RECIPE: dict[str, Any] = {
    "name": "small",
    "params": {"data": None},
    "sources": [
        {"format": "jsonl", "name": "notes", "path": "${data}/notes"},
        {"format": "jsonl", "name": "books", "path": "${data}/books", "source": "book", "licence": "CC BY 4.0"},
    ],
    "stages": [
        {"stage": "quality", "min_tokens": 5},
        {"stage": "exact_dedup"},
        {"stage": "minhash_dedup"},
        {"stage": "decontaminate", "against": "${data}/bench"},
        {"stage": "tokens"},
    ],
}


def run(*words: object) -> Result:
    """`mathcorpus publish` with these words."""
    return CliRunner().invoke(main, ["publish", *map(str, words)])


def told(*words: object) -> dict[str, Any]:
    """The figures of a run that succeeds."""
    result = run(*words, "--json")

    assert result.exit_code == 0, result.output
    found: dict[str, Any] = orjson.loads(result.stdout)
    return found


def make_build(root: Path, **more: Any) -> Path:
    """The folder of a build whose data lies in somebody's home; `more` are keys of its recipe."""
    home = root / "home" / USER / "data"
    rows = [{"id": str(i), "text": text(i)} for i in range(12)]
    rows += [{"id": "short", "text": REMOVED[0]}, {"id": "near", "text": f"{text(5, 59)} {REMOVED[1]}"}]
    rows += [{"id": "dirty", "text": f"{text(50, 20)} {ITEM.lower()} {REMOVED[2]} {text(51, 20)}"}]
    rows += [{"id": "like", "text": f"{text(60, 20)} {OTHER_NUMBERS} {text(61, 20)}"}]
    write_rows(home / "notes" / "a.jsonl", rows)
    write_rows(home / "books" / "b.jsonl", [{"id": "zh", "text": "设 $a>0$，证明：三角形的内角和等于一百八十度。" * 5}])
    items = [{"question": ITEM, "answer": "33"}, {"question": LOOKALIKE, "answer": BENCHMARK[2]}]
    write_rows(home / "bench" / "farm" / "test.jsonl", items)
    recipe = {**RECIPE, "shard_mb": 0.001, **more}
    parsed = parse_recipe(yaml.safe_dump(recipe), root / "r.yaml", {"data": str(home)})
    Build(make_plan(parsed, root, root / "out"), InlineEngine).run()
    return root / "out"


def all_text(data: bytes) -> str:
    """Everything that can be read in bytes that left: Parquet unpacked, and what is base64 within a commit."""
    if data[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(data))
        return f"{table.to_pylist()} {table.schema.metadata}"
    told = data.decode("utf-8", "replace")
    if told.startswith('{"key"'):
        for line in told.splitlines():
            content = orjson.loads(line)["value"].get("content", "")
            told += all_text(base64.b64decode(content)) if content else ""
    return told


def found_in(data: bytes, words: tuple[str, ...]) -> list[str]:
    """Those of some texts that can be read in bytes, whatever their case and spaces."""
    squeezed = re.sub(r"\s+", " ", all_text(data)).lower()
    return [word for word in words if word.lower() in squeezed]

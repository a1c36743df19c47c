"""Near duplicates in a datatrove pipeline of one's own."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from test_dedup_command import crawl, write

from filters.errors import InputError
from pipelines.dedup_step import MinhashSignatures, RemoveDuplicates, find_duplicates


def kept(root: Path, tasks: int) -> list[str]:
    """The ids that stay, with a number of tasks."""
    out = root / f"with-{tasks}"

    def execute(name: str, *steps: object) -> None:
        pipeline = [JsonlReader(str(root / "in")), *steps]
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(out / name)).run()

    execute("logs-1", MinhashSignatures(out / "signatures"))
    removed = find_duplicates(out / "signatures")
    writer = JsonlWriter(str(out / "kept"), compression=None)
    execute("logs-2", RemoveDuplicates(out / "signatures"), writer)
    lines = [orjson.loads(line) for path in (out / "kept").glob("*.jsonl") for line in path.open("rb")]

    assert len(lines) == 160 - removed
    return sorted(line["id"] for line in lines)


def test_any_number_of_tasks_keeps_the_same_documents(tmp_path: Path) -> None:
    """Three runs of tasks, one answer; something goes."""
    for number in (1, 2):
        write(tmp_path / "in" / f"{number}.jsonl", crawl(number, 40))
    found = kept(tmp_path, 1)

    assert 50 < len(found) < 140
    assert kept(tmp_path, 2) == found


def test_a_missing_task_is_found_out(tmp_path: Path) -> None:
    """An answer over half of the signatures would keep what should go."""
    write(tmp_path / "in" / "1.jsonl", crawl(1, 5))
    step = MinhashSignatures(tmp_path / "signatures")
    list(step.run(JsonlReader(str(tmp_path / "in")).run(), 0, 2))

    with pytest.raises(InputError, match="signatures of 1 tasks of 2; run them all first"):
        find_duplicates(tmp_path / "signatures")

"""What a scan loads before it reads its first row: a second of imports is more than most files take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY
from small import ITEM, write_rows

from decontam.benchmarks import Item
from decontam.index import build_index

RUN = """
import sys
from pipelines.cli import main
try:
    main(["decontaminate", *sys.argv[1:], "--quiet"])
except SystemExit as end:
    assert not end.code
print(*(name for name in sys.modules if "." not in name or name in ("scipy.linalg", "pyarrow.parquet")))
"""
HEAVY = {"datatrove", "pydantic", "datasets", "jinja2", "pandas", "altair", "fsspec", "scipy.linalg", "tqdm"}


@pytest.mark.parametrize(("name", "arrow"), [("a.jsonl", False), ("a.parquet", True)])
def test_a_scan_loads_what_it_needs(tmp_path: Path, name: str, arrow: bool) -> None:
    """No recipe, no report, no step of another library; Arrow only for Parquet."""
    build_index([Item("farm", "test", 0, "question", ITEM)]).save(tmp_path / "farm.idx")
    write_rows(tmp_path / "a.jsonl", [{"text": ITEM}])
    pq.write_table(pa.table({"text": [ITEM]}), tmp_path / "a.parquet")

    command = [sys.executable, "-c", RUN, str(tmp_path / name), "--index", str(tmp_path / "farm.idx")]
    loaded = set(subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout.split())

    assert loaded & HEAVY == set()
    assert ("pyarrow" in loaded) is arrow
    assert {"numba", "decontam", "pipelines"} <= loaded


def test_numba_is_told_no_lie_about_scipy_afterwards() -> None:
    """What was hidden while numba loaded can be imported; garbage is collected again."""
    code = (
        "import gc, sys\nfrom pipelines.quick_start import quick_start\n"
        "with quick_start():\n    assert not gc.isenabled()\nassert gc.isenabled()\n"
        "assert 'scipy.linalg' not in sys.modules\nimport scipy.linalg\nprint(scipy.linalg.norm([3.0, 4.0]))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=REPOSITORY)

    assert told.stdout == "5.0\n"

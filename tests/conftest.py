"""Fixtures: where the real data is, and every engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# a time limit on one example measures what else the machine does, and the first compiles kernels
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parent.parent
QUICKSTART = REPOSITORY / "examples" / "quickstart"
PROGRAM = Path(sys.executable).with_name("mathcorpus")  # of the environment that runs the tests


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("MATHCORPUS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "raw").is_dir():
        pytest.skip(f"no real data in {folder}; set MATHCORPUS_DATA")
    return folder


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One Spark session for all tests."""
    pytest.importorskip("pyspark", reason="the spark extra is not installed")
    from pipelines.engine_spark import make_session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # workers import faulty.py
        session = make_session(2, None)
        yield session
        session.stop()

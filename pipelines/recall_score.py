"""Adds a score to rows, file by file: the same rows, in the same order and format, with one more field."""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from filters.classifier import load_model
from filters.errors import InputError, OutputError
from pipelines import dataset as ds
from pipelines.recall_rows import ROWS, as_line, line_batches, text_of, with_number
from pipelines.row_fields import Fields, parse_row
from pipelines.row_find import RowFile, find_rows
from pipelines.row_parquet import open_parquet, unreadable
from pipelines.row_pool import Pool

STANDARD_OUTPUT = Path("-")
NO_SCORE = "no_score"
BINS = 10

_GZIP_LEVEL = 6

Progress = Callable[[str, int], None]  # (what is being done, bytes of input done since the last call)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is scored, and where it goes."""

    inputs: tuple[str, ...]
    out: Path  # a folder, or - for standard output
    fields: Fields = field(default_factory=Fields)
    name: str = "math_score"
    workers: int | None = None
    top: float = 1.0  # the greatest score


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(Target):
    """What the caller of the recall classifier asks for."""

    model: Path


@dataclass(slots=True)
class Scored:
    """What a file held."""

    top: float = 1.0
    rows: int = 0
    problems: Counter[str] = field(default_factory=Counter)  # rows without a score, by reason
    bins: Counter[str] = field(default_factory=Counter)  # scores, by the lower end of a tenth of the range

    @property
    def names(self) -> list[str]:
        """The lower ends of the tenths."""
        return [f"{self.top * number / BINS:.1f}" for number in range(BINS)]

    def count(self, scores: Sequence[float]) -> None:
        """Adds scored rows."""
        names = self.names
        self.bins.update(names[min(int(score / self.top * BINS), BINS - 1)] for score in scores)


@dataclass(frozen=True, slots=True)
class _Job:
    """A file to score, and where it goes; nowhere is standard output."""

    file: RowFile
    out: Path | None
    fields: Fields
    name: str
    top: float


class Scorer(Protocol):
    """What gives scores: the recall classifier, or a language model."""

    def scores(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """float64[N]; NaN where there is none."""
        ...


def score(options: ScoreOptions, progress: Progress = lambda _what, _size: None) -> dict[str, Any]:
    """Writes the files scored by the recall classifier, and returns counts; see `write_scores`."""
    digest = ds.file_sha256(options.model)[0] if options.model.is_file() else ""
    model = load_model(str(options.model), digest)
    there = partial(_score_there, str(options.model), digest)
    found = write_scores(options, model, there, progress)
    return {"model": {"file": options.model.name, "sha256": digest}, **found}


def write_scores(
    options: Target, scorer: Scorer, there: Callable[[_Job], Scored] | None, progress: Progress
) -> dict[str, Any]:
    """Writes the scored files, and returns counts; InputError where no row of any file has text.

    there : scores a file in another process; without it all is done in this one.
    """
    started = time.perf_counter()
    to_folder = options.out != STANDARD_OUTPUT
    if to_folder and options.out.exists() and not options.out.is_dir():
        msg = f"--out {options.out}: is a file; give a folder, or - for standard output"
        raise OutputError(msg)
    total = Scored(options.top)
    with tempfile.TemporaryDirectory() as spool:
        files = find_rows(options.inputs, Path(spool))
        _check_out(options.out if to_folder else None, files)
        jobs = [
            _Job(f, options.out / f.name if to_folder else None, options.fields, options.name, options.top)
            for f in files
        ]
        here = partial(_score_file, scorer)
        workers = options.workers if to_folder and there else 1
        with Pool(workers, sum(f.size for f in files), len(files)) as pool:
            for file, found in zip(files, pool.map(there or here, here, jobs), strict=True):
                progress("score", file.size)
                total.rows += found.rows
                total.problems.update(found.problems)
                total.bins.update(found.bins)
    if total.rows and not total.bins and not total.problems[NO_SCORE]:
        msg = f"input: no row of {total.rows:,} has text ({', '.join(total.problems)}); name its field with --field"
        raise InputError(msg)
    return {
        "files": len(files),
        "rows": total.rows,
        "scored": sum(total.bins.values()),
        "not_scored": dict(sorted(total.problems.items())),
        "by_score": {name: total.bins[name] for name in total.names},
        "seconds": round(time.perf_counter() - started, 3),
    }


def _check_out(out: Path | None, files: Sequence[RowFile]) -> None:
    for file in files:
        if out is not None and not file.is_remote and (out / file.name).resolve() == Path(file.path).resolve():
            msg = f"--out {out}: would overwrite the input {file.path}; give another folder"
            raise OutputError(msg)


def _score_there(model: str, digest: str, job: _Job) -> Scored:
    return _score_file(load_model(model, digest), job)


def _score_file(model: Scorer, job: _Job) -> Scored:
    if job.file.is_parquet:
        return _score_parquet(model, job) if job.out else _print_parquet(model, job)
    found = Scored(job.top)
    with _lines(job.out) as out:
        for lines in line_batches(job.file):
            out.write(b"".join(_scored_lines(model, job, lines, found)))
    return found


def _scored_lines(model: Scorer, job: _Job, lines: Sequence[bytes], found: Scored) -> Iterator[bytes]:
    """The lines, those with text with their score."""
    rows = [(None, "") if line.isspace() else parse_row(line) for line in lines]
    found.rows += sum(not line.isspace() for line in lines)
    found.problems.update(problem for _, problem in rows if problem)
    scores = iter(_scores(model, job, [row for row, _ in rows if row is not None], found))
    for line, (row, _) in zip(lines, rows, strict=True):
        value = next(scores) if row is not None else None
        yield line if row is None or value is None else with_number(line, row, job.name, value)


def _scores(model: Scorer, job: _Job, rows: Sequence[dict[str, Any]], found: Scored) -> list[float | None]:
    """The score of each row; None for one without text, or to which there is none."""
    texts = [text_of(row, job.fields) for row in rows]
    given = model.scores([text for text in texts if text is not None]).tolist()
    found.count([score for score in given if score == score])  # noqa: PLR0124 - NaN is no score
    rest = iter(None if score != score else score for score in given)  # noqa: PLR0124
    scores = [None if text is None else next(rest) for text in texts]
    found.problems["no_text"] += texts.count(None)
    found.problems[NO_SCORE] += scores.count(None) - texts.count(None)
    found.problems = +found.problems
    return scores


@contextmanager
def _lines(path: Path | None) -> Iterator[BinaryIO]:
    """A file of lines, compressed as its name says, that has its name when it is whole; or standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with _committed(path) as tmp, ExitStack() as stack:
        plain = stack.enter_context(tmp.open("wb"))
        writer: Any = plain
        if path.name.endswith(".gz"):
            writer = stack.enter_context(gzip.GzipFile("", "wb", _GZIP_LEVEL, plain, mtime=0))
        elif path.name.endswith(".zst"):
            compressor = zstandard.ZstdCompressor(level=ds.ZSTD_LEVEL, write_checksum=True)
            writer = stack.enter_context(compressor.stream_writer(plain, closefd=False))
        yield writer


@contextmanager
def _committed(path: Path) -> Iterator[Path]:
    """A place to write, which gets its name at the end."""
    with ds.writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp = path.with_name(f".{path.name}.tmp")
        yield tmp
        ds.commit_file(tmp, path)


def _score_parquet(model: Scorer, job: _Job) -> Scored:
    """Writes the file with one more column, or with that column overwritten."""
    assert job.out is not None
    found = Scored(job.top)
    with _committed(job.out) as tmp, ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for table in _scored_tables(model, job, found):
            if writer is None:
                level = ds.ZSTD_LEVEL
                writer = stack.enter_context(
                    pq.ParquetWriter(tmp, table.schema, compression="zstd", compression_level=level)
                )
            if len(table):
                writer.write_table(table, row_group_size=len(table))
    return found


def _print_parquet(model: Scorer, job: _Job) -> Scored:
    found = Scored(job.top)
    for table in _scored_tables(model, job, found):
        sys.stdout.buffer.writelines(map(as_line, table.to_pylist()))
    sys.stdout.buffer.flush()
    return found


def _scored_tables(model: Scorer, job: _Job, found: Scored) -> Iterator[pa.Table]:
    """The row groups with their scores; an empty table first, so that a file without rows has its columns."""
    with open_parquet(job.file) as source:
        yield _with_column(source.schema_arrow.empty_table(), job.name, [])
        for group in range(source.metadata.num_row_groups):
            try:
                table = source.read_row_group(group)
            except (OSError, pa.ArrowException) as error:
                raise unreadable(job.file, error) from error
            scores: list[float | None] = []
            for first in range(0, len(table), ROWS):
                scores += _scores(model, job, table.slice(first, ROWS).to_pylist(), found)
            found.rows += len(table)
            yield _with_column(table, job.name, scores)


def _with_column(table: pa.Table, name: str, scores: Sequence[float | None]) -> pa.Table:
    column = pa.array(scores, pa.float64())
    if name in table.schema.names:
        return table.set_column(table.schema.names.index(name), name, column)
    return table.append_column(name, column)

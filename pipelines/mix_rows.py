"""What a mix has to know of each document: its part, its tokens, its place in the draw, and the values with a cap.

The first of two tasks over the corpus. A rank's rows stand in the order of its documents, so that the second task joins
nothing. The place in the draw is a digest of seed and id, and nothing else: neither other documents, nor the engine,
nor how the corpus is cut has a say in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import pyarrow as pa

from filters.errors import InputError
from pipelines import dataset as ds
from pipelines.memory import memory_limit
from pipelines.places import Place
from pipelines.recipe_mix import METADATA, Mix, Part, Range
from pipelines.stage import finish
from pipelines.tables import write_tables

NO_PART = -1
VALUES = pa.schema([("value", pa.string()), ("tokens", pa.int64())], metadata={"mathcorpus": "mix-values-1"})
_VALUE_CHARS = 200  # of a value with a cap; the rest of a longer one is told by its digest
Values = dict[str, Sequence[Any]]  # of the columns that a mix asks for, a value for each document


def rows_schema(mix: Mix) -> pa.Schema:
    """Columns of the rows: digest, part (by number; NO_PART), tokens, and the value for each cap."""
    fixed = [("digest", pa.uint64()), ("part", pa.int16()), ("tokens", pa.int64())]
    caps = [(f"cap{number}", pa.string()) for number in range(len(mix.caps))]
    return pa.schema([*fixed, *caps], metadata={"mathcorpus": "mix-rows-1"})


def draw(seed: int, identity: str) -> int:
    """The place of a document in the draw, below 2**64: documents with low ones are taken first."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{identity}".encode(), digest_size=8).digest())


def most_copies(part: Part) -> int:
    """Copies of a document that a part may hold."""
    return part.max_epochs if part.epochs is None else math.ceil(part.epochs)


@dataclass(frozen=True)
class CountTask:
    """Writes the rows of each shard of the corpus, and the tokens of each value that has a cap."""

    out: Place
    corpus: ds.Dataset
    mix: Mix
    seed: int
    memory_mb: int | None = None  # a rank may hold

    @property
    def ranks(self) -> int:
        """One for each shard."""
        return len(self.corpus.shards)

    def run(self, rank: int) -> None:
        """Does one rank; its marker says how many documents and tokens there are for each part."""
        with memory_limit(self.memory_mb, f"{self.out}: rank {rank}"):
            self._run(rank)

    def _run(self, rank: int) -> None:
        started = time.perf_counter(), time.process_time()
        name = f"{rank:05d}.parquet"
        there: list[list[int]] = [[0, 0] for _ in self.mix.parts]
        values: list[Counter[str]] = [Counter() for _ in self.mix.caps]
        rows = write_tables(self.out / "rows", name, rows_schema(self.mix), self._tables(rank, there, values))
        shards = {"rows": asdict(rows)}
        for number, counts in enumerate(values):
            table = pa.table([list(counts), list(counts.values())], schema=VALUES).sort_by("value")
            shards[f"cap{number}"] = asdict(write_tables(self.out / f"cap{number}", name, VALUES, [table]))
        finish(self.out, rank, {"shards": shards, "there": there}, started, {})

    def _tables(self, rank: int, there: list[list[int]], values: list[Counter[str]]) -> Iterator[pa.Table]:
        part_of, names = parts_of(self.mix), columns_of(self.mix)
        read = sorted({"id", "tokens", *(METADATA[:-1] if n.startswith(METADATA) else n for n in names)})
        most = [most_copies(part) for part in self.mix.parts]
        one = ds.Dataset(self.corpus.root, (self.corpus.shards[rank],), self.corpus.key)
        for table in one.tables(read):
            found = values_of(table, names)
            tokens = _tokens(table)
            parts = [part_of(found, row) for row in range(table.num_rows)]
            capped = [[written(value) for value in found[cap.column]] for cap in self.mix.caps]
            for row, (part, count) in enumerate(zip(parts, tokens, strict=True)):
                if part != NO_PART:
                    there[part][0] += 1
                    there[part][1] += count
                    for column, counts in zip(capped, values, strict=True):
                        if (value := column[row]) is not None:
                            counts[value] += count * most[part]
            digests = [draw(self.seed, i) for i in table["id"].to_pylist()]
            yield pa.table([pa.array(digests, pa.uint64()), parts, tokens, *capped], schema=rows_schema(self.mix))


def _tokens(table: pa.Table) -> list[int]:
    tokens: list[int] = table["tokens"].to_pylist()
    if table["tokens"].null_count:
        lost = table["id"][tokens.index(None)]  # type: ignore[arg-type]
        msg = f"document {lost}: its tokens are not counted; put `- stage: tokens` behind the last stage"
        raise InputError(msg)
    return tokens


def columns_of(mix: Mix) -> list[str]:
    """The columns, metadata.KEY among them, that a mix asks for."""
    return sorted({c for part in mix.parts for c in part.where} | {cap.column for cap in mix.caps})


def values_of(table: pa.Table, names: Sequence[str]) -> Values:
    """The values of columns, for each document."""
    found: Values = {name: table[name].to_pylist() for name in names if not name.startswith(METADATA)}
    keys = {name: name.removeprefix(METADATA) for name in names if name.startswith(METADATA)}
    held = [_metadata(text) for text in table["metadata"].to_pylist()] if keys else []
    return {**found, **{name: [one.get(key) for one in held] for name, key in keys.items()}}


def _metadata(text: str | None) -> dict[str, Any]:
    try:
        found = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:  # NaN, and nesting beyond what orjson reads, which `dataset.to_json` may write
        found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}


def parts_of(mix: Mix) -> Callable[[Values, int], int]:
    """A function of values and row: the number of the first part whose `where` holds there, or NO_PART."""
    wanted = [[(name, _test(one)) for name, one in part.where.items()] for part in mix.parts]

    def part_of(found: Values, row: int) -> int:
        for number, tests in enumerate(wanted):
            if all(holds(found[name][row]) for name, holds in tests):
                return number
        return NO_PART

    return part_of


def _test(condition: Any) -> Callable[[Any], bool]:
    if isinstance(condition, Range):
        least, below = condition.at_least, condition.below

        def within(value: Any) -> bool:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            return (least is None or value >= least) and (below is None or value < below)  # neither holds for NaN

        return within
    wanted = {_typed(one) for one in (condition if isinstance(condition, list) else [condition])}
    return lambda value: _typed(value) in wanted


def _typed(value: Any) -> tuple[str, Any]:
    """The value such that equals are equal: no number is true, a list is no value, and neither is what is no number."""
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, int) or (isinstance(value, float) and not math.isnan(value)):
        return "number", value
    return ("text", value) if isinstance(value, str) else ("none", None)


def written(value: Any) -> str | None:
    """A value with a cap as text; None where it is none."""
    kind, plain = _typed(value)
    if kind == "none":
        return None
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    text: str = ds.encodable(plain) if isinstance(plain, str) else json.dumps(plain)
    if len(text) <= _VALUE_CHARS:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{text[:_VALUE_CHARS]}… ({digest})"

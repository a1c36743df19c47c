"""Tables at rest: keys, decisions and counts as committed Parquet shards, written as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import dataset as ds
from pipelines.files import unfinished_file
from pipelines.places import Place


def write_tables(root: Place, name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> ds.Shard:
    """Tables as one committed shard; a row group at a time is held."""
    rows = 0
    with ds.writing(root):
        tmp = unfinished_file(root, name)
        with pq.ParquetWriter(tmp, schema, compression="zstd", compression_level=ds.ZSTD_LEVEL) as file:
            for table in _row_groups(schema, tables):
                file.write_table(table)
                rows += table.num_rows
        digest, size = ds.file_sha256(tmp)
        ds.commit_file(tmp, root / name)
    return ds.Shard(name, rows, size, digest, "0" * 32)


def write_table(root: Place, name: str, table: pa.Table) -> ds.Shard:
    """A table as one committed shard."""
    return write_tables(root, name, table.schema, [table])


def _row_groups(schema: pa.Schema, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The tables' rows in tables of about BYTES_PER_GROUP; one without rows where there are none."""
    held = schema.empty_table()
    for table in tables:
        held = pa.concat_tables([held, table])
        if held.nbytes >= ds.BYTES_PER_GROUP:
            yield held
            held = schema.empty_table()
    yield held


def save_table(root: Place, key: str, table: pa.Table) -> ds.Dataset:
    """A dataset of one shard, for decision tables."""
    shard = write_table(root, "00000.parquet", table)
    dataset = ds.Dataset(root, (shard,), key)
    dataset.save(table.schema)
    return dataset

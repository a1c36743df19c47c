"""The life of one document, in plain words, whether it was kept or removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from filters.errors import InputError
from pipelines.dataset import TYPED, Dataset, in_parts, read_build
from pipelines.places import Place
from pipelines.trace_index import DEDUPS, Index

_SHOWN_CHARS = 200
_SCORES = ("language", "language_score", "math_score", "quality_score", "tokens")


MADE = "synth:"  # origins of what a stage `synth` of this build made


class Scan:
    """Answers as `Index` does, by reading whole datasets; shards are skipped by their statistics."""

    def __init__(self, build: Place) -> None:
        self.build = build

    def rows(self, name: str, document: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """Rows of a dataset with that id, in order."""
        rows: list[dict[str, Any]] = []
        for path in Dataset.load(self.build / name).paths():
            rows += _rows_with(path, document, columns)
        return rows

    def shards(self, name: str, document: str) -> list[int]:  # noqa: ARG002 - the index knows better
        """Numbers of the shards of a dataset that may hold a row with that id: all."""
        return list(range(len(Dataset.load(self.build / name).shards)))

    def keeper_rows(self, document: str) -> Iterator[dict[str, Any]]:
        """Rows of evidence that name the document as the one that was kept."""
        import pyarrow.compute as pc  # a seventh of the start: an index does without

        for table in Dataset.load(self.build / "evidence").tables(["stage", "evidence"]):
            named = pc.match_substring(table["evidence"], _as_keeper(document))
            yield from table.filter(pc.and_(pc.is_in(table["stage"], pa.array(DEDUPS)), named)).to_pylist()


def trace(build: Place, document: str) -> dict[str, Any]:
    """What happened to a document: its row, its stages in order, why and on what evidence it went.

    Asks the build's index, or scans its datasets where there is none.

    Raises InputError where the build has no document of that id.
    """
    manifest = read_build(build)
    columns = ["id", *TYPED, "text"]
    source = Index.of(build) or Scan(build)
    removed = source.rows("removed", document, [*columns, "stage", "reason", "score"])
    kept = source.rows("corpus", document, columns)
    if not removed and not kept:
        msg = f"{build}: no document {document!r}; ids are in the column `id` of corpus/ and ledger/"
        raise InputError(msg)
    evidence = source.rows("evidence", document)
    return {
        "id": document,
        "lives": [_life(row, manifest, evidence) for row in (*kept, *removed)],
        "similar_removed": sum(_as_keeper(document) in row["evidence"] for row in source.keeper_rows(document)),
        "mixes": _mixes(build, document, source.shards("corpus", document)) if kept and manifest.get("mixes") else [],
    }


def _mixes(build: Place, document: str, shards: list[int]) -> list[dict[str, Any]]:
    """How often each mix has a document of the corpus, and why one has it not; their shards are those of the corpus."""
    from pipelines.mix import FOLDER, OTHERS

    found = []
    for name in sorted(read_build(build)["mixes"]):
        taken, left = (
            [r for n in shards for r in _rows_with(Dataset.load(build / folder / name).paths()[n], document, columns)]
            for folder, columns in ((FOLDER, ["part"]), (OTHERS, ["part", "reason"]))
        )
        part = (taken or left)[0]["part"]
        found.append({"mix": name, "part": part, "copies": len(taken), "reason": None if taken else left[0]["reason"]})
    return found


def _rows_with(path: Place, document: str, columns: list[str] | None) -> list[dict[str, Any]]:
    table = pq.read_table(in_parts(path), columns=columns, filters=[("id", "=", document)])
    return list(table.to_pylist())


def _life(row: dict[str, Any], manifest: dict[str, Any], evidence: list[dict[str, Any]]) -> dict[str, Any]:
    stage = row.get("stage")
    names = [s["name"] for s in manifest["stages"]]
    begin = names.index("synth") if row["origin"].startswith(MADE) else 0  # where it was made, in this build
    passed = names[begin : None if stage is None else names.index(stage)]
    return {
        "kept": stage is None,
        "origin": row["origin"],
        "url": row["url"],
        "source": row["source"],
        "parents": row["parents"] or [],
        "scores": {c: row[c] for c in _SCORES if row[c] is not None},
        "passed": passed,
        "stage": stage,
        "reason": row.get("reason"),
        "score": row.get("score"),
        "evidence": [line for e in evidence if e["stage"] == stage for line in orjson.loads(e["evidence"])],
        "begins": (row["text"] or "")[:_SHOWN_CHARS],
    }


def _as_keeper(document: str) -> str:
    """How evidence of deduplication names the document that was kept."""
    return orjson.dumps({"kept": document})[1:-1].decode()


def in_words(found: dict[str, Any]) -> str:
    """The trace as lines to read."""
    lines = [f"document {found['id']}"]
    for life in found["lives"]:
        if life["origin"].startswith(MADE):
            lines += ["  made here    by synth"]
        else:
            lines += [f"  read from    {life['origin']}" + (f"  ({life['url']})" if life["url"] else "")]
        lines += [f"  made of      {parent}" for parent in life["parents"]]
        lines += [f"  is a         {life['source']} document"]
        lines += [f"  passed       {', '.join(life['passed']) or 'no stage'}"]
        lines += [f"  measured     {', '.join(f'{k} {v}' for k, v in life['scores'].items()) or 'nothing'}"]
        if life["kept"]:
            lines += ["  KEPT         it is in corpus/"]
        else:
            score = "" if life["score"] is None else f", score {life['score']:.4g}"
            lines += [f"  REMOVED      by {life['stage']}: {life['reason']}{score}"]
            lines += [f"    because    {_evidence_words(e)}" for e in life["evidence"]]
        begins = " ".join(life["begins"].split())
        lines += [f"  it begins    {begins!r}" if begins else "  it has no text"]
    for one in found["mixes"]:
        part = "" if one["part"] is None else f", part {one['part']}"
        copies = "once" if one["copies"] == 1 else f"{one['copies']} times"
        told = f"in {one['mix']}{part}: {copies}" if one["copies"] else f"not in {one['mix']}{part}: {one['reason']}"
        lines += [f"  mix          {told}"]
    if found["similar_removed"]:
        lines += [f"  {found['similar_removed']} documents were removed as duplicates of it"]
    return "\n".join(lines)


def _evidence_words(line: dict[str, Any]) -> str:
    if "benchmark" in line:
        return (
            f"it holds {line['benchmark']}/{line['split']} item {line['item']} ({line['field']}): LCS {line['lcs']}, "
            f"{line['ngrams']} shared n-grams, characters {line['span'][0]} to {line['span'][1]}: {line['doc_text']!r}"
        )
    if "kept" in line:
        alike = f", similarity {line['similarity']}" if "similarity" in line else ""
        return f"{line['kept']} was kept in its place{alike}"
    if "rule" in line:
        return f"{line['rule']} is {line['value']}, the limit {line['limit']}"
    return ", ".join(f"{k} {v}" for k, v in line.items())

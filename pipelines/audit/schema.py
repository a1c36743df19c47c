"""The JSON Schema of report.json, written out by `python -m pipelines.audit.schema > docs/report.schema.json`.

What an audit counts is closed: a key that is not described is an error of the report's. What a build tells of itself
(versions, libraries, stages) is open, since other versions tell more.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson

from pipelines.audit.head import BUILD, FOLDER, FORMAT

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = "urn:mathcorpus:report-1"
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {"type": "object"}


def listed(item: Schema) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item}


def nullable(schema: Schema) -> Schema:
    """Such a value, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def closed(**fields: Schema) -> Schema:
    """An object with these keys and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def opened(**fields: Schema) -> Schema:
    """An object with these keys at least."""
    return {"type": "object", "properties": fields, "required": list(fields)}


def table(value: Schema) -> Schema:
    """An object of names and such values."""
    return {"type": "object", "additionalProperties": value}


IDS = listed(TEXT)
NAMED = nullable(TEXT)
COUNTED = nullable(COUNT)
BINS = {"edges": listed(NUMBER), "counts": listed(COUNT)}
FOUND = {"documents": COUNT, "share": SHARE}
AMOUNTS = {"documents": COUNT, "tokens": COUNTED, "characters": COUNT}
UNREAD = closed(count=COUNT, first=listed(TEXT))
SEGMENTS = listed({"type": "array", "prefixItems": [TEXT, FLAG], "minItems": 2, "maxItems": 2})

CONTAMINATION: Schema = {
    "documents": COUNT,
    "reported": COUNT,
    "reported_classes": table(COUNT),
    "reported_shown": table(IDS),
    "lines": COUNT,
    "lines_left_out": COUNT,
    "classes": table(COUNT),
    "benchmarks": listed(
        opened(
            benchmark=TEXT,
            split=TEXT,
            items=COUNTED,
            protected=COUNTED,
            unprotected=COUNTED,
            documents=COUNT,
            items_hit=COUNT,
            lcs=listed(COUNT),
            shown=IDS,
        )
    ),
    "lcs_edges": listed(SHARE),
    "pairs": listed(opened(doc_id=TEXT, benchmark=TEXT, split=TEXT, doc_text=SEGMENTS, item_text=SEGMENTS)),
    "pairs_left_out": COUNT,
}


def _measures() -> Schema:
    value = closed(value=NAMED, **AMOUNTS, shown=IDS)
    others = closed(values=COUNT, **AMOUNTS)
    columns = ("source", "language", "stated_language", "host", "licence", "year")
    near = closed(sampled=COUNT, of=COUNT, **FOUND, siblings=COUNT, groups=listed(_group(similarity=nullable(SHARE))))
    personal = closed(documents=COUNT, occurrences=COUNT, shown=listed(closed(id=TEXT, masked=TEXT, context=TEXT)))
    kinds = ("dollar", "display_dollar", "parenthesis", "bracket", "environment", "brace")
    unbalanced = closed(
        **FOUND, kinds=closed(**dict.fromkeys(kinds, COUNT)), kinds_shown=closed(**dict.fromkeys(kinds, IDS)), shown=IDS
    )
    binned = closed(**BINS, shown=listed(IDS))
    confusion = closed(stated=TEXT, detected=TEXT, documents=COUNT, shown=IDS)
    return closed(
        documents=COUNT,
        characters=COUNT,
        tokens=COUNT,
        empty=COUNT,
        by=closed(**dict.fromkeys(columns, listed(value))),
        others=closed(**dict.fromkeys(columns, others)),
        lengths=binned,
        duplicates=closed(exact=closed(**FOUND, groups=listed(_group())), near=near),
        contamination=nullable(closed(**CONTAMINATION, strongest=table(COUNT), strongest_shown=table(IDS))),
        formulas=closed(documents_with=COUNT, formulas=COUNT, characters_share=binned, unbalanced=unbalanced),
        language=closed(stated=COUNT, confused=COUNT, share=SHARE, confusion=listed(confusion)),
        personal=closed(email=personal, telephone=personal, ip=personal),
        personal_any=COUNT,
        adult=closed(**FOUND, shown=IDS),
        spam=closed(**FOUND, shown=IDS),
        synthetic=closed(**FOUND, tokens=COUNT, shown=IDS),
        slices=listed(closed(source=NAMED, language=NAMED, documents=COUNT, shown=IDS)),
    )


def _group(**more: Schema) -> Schema:
    return closed(documents=COUNT, shown=IDS, **more)


def _build() -> dict[str, Schema]:
    """The keys that a build fills, and that are null for a folder."""
    reason = closed(stage=TEXT, reason=TEXT, documents=COUNT, shown=IDS)
    stage = opened(stage=TEXT, made=COUNT, kept=COUNT, removed=COUNT, reasons=listed(ANY))
    check = closed(check=TEXT, left=COUNT, right=COUNT, holds=FLAG)
    part = opened(**AMOUNTS)
    parts = ("by_source", "by_language", "by_source_language", "by_host", "by_licence")
    histogram = opened(edges=listed(NUMBER), kept=listed(COUNT), removed=listed(COUNT))
    cluster = opened(kept=TEXT, documents=COUNT, exact=COUNT, near=COUNT, members=listed(ANY))
    counts = opened(read=COUNT, made=COUNT, kept=COUNT, removed=COUNT)
    about = opened(name=TEXT, key=TEXT, engine=TEXT, versions=ANY, documents=counts, datasets=ANY, stages=listed(ANY))
    return {
        "build": about,
        "funnel": closed(stages=listed(stage), checks=listed(check), balanced=FLAG),
        "composition": opened(total=part, **dict.fromkeys(parts, listed(part)), other_hosts=ANY),
        "removed": listed(reason),
        "histograms": table(histogram),
        "duplicates": closed(removed=table(COUNT), clusters=listed(cluster), clusters_left_out=COUNT),
        "contamination": closed(**CONTAMINATION),
        "samples": listed(closed(source=NAMED, language=NAMED, documents=COUNT, shown=IDS)),
        "cost": opened(seconds=NUMBER, passes=listed(ANY), stages_cpu_s=listed(ANY), peak_rss_mb=COUNT),
    }


def _comparison() -> Schema:
    side = closed(name=TEXT, key=TEXT, documents=COUNT, tokens=COUNT)
    by_source = table(closed(documents=COUNT, tokens=COUNT))
    part = closed(documents=COUNT, tokens=COUNT, why=table(COUNT), shown=table(IDS), by_source=by_source)
    only = {"only": {"enum": ["before", "now"]}}
    changed = {"changed": listed(TEXT)}
    flags = {"files": FLAG, "code": FLAG, "moved": FLAG}
    return closed(
        a=side,
        b=side,
        stages=nullable(listed({"oneOf": [closed(stage=TEXT, **only), closed(stage=TEXT, **changed, **flags)]})),
        sources=nullable(listed({"oneOf": [closed(source=TEXT, **only), closed(source=TEXT, **changed)]})),
        in_both=COUNT,
        other_id=COUNT,
        changed_text=COUNT,
        changed_shown=IDS,
        came=part,
        gone=part,
    )


def schema() -> Schema:
    """The JSON Schema (2020-12) of every report.json, of a build or of a folder."""
    told = {
        "paths": listed(TEXT),
        "files": COUNT,
        "bytes": COUNT,
        "documents": COUNT,
        "unreadable": table(COUNT),
        "skipped": table(COUNT),
        "unread_files": UNREAD,
    }
    document = opened(id=TEXT, origin=NAMED, url=NAMED, text=NAMED)
    mix = opened(name=TEXT, seed=COUNT, tokens_got=COUNT, documents=COUNT, copies=COUNT, parts=listed(ANY))
    built = _build()
    report = closed(
        format={"const": FORMAT},
        kind={"enum": [BUILD, FOLDER]},
        verdict=TEXT,
        input=nullable(closed(**told)),
        **{name: nullable(one) for name, one in built.items()},
        mixes=listed(mix),
        packed=nullable(ANY),
        measures=nullable(_measures()),
        comparison=nullable(_comparison()),
        gates=table(NUMBER),
        failed=listed(closed(gate=TEXT, value=NUMBER)),
        documents=table(document),
    )
    of_build = {"properties": {"kind": {"const": BUILD}, "input": {"type": "null"}, "build": ANY}}
    none = {name: {"type": "null"} for name in built}
    of_folder = {"properties": {"kind": {"const": FOLDER}, "input": ANY, "measures": ANY, **none}}
    head = {"$schema": DIALECT, "$id": NAME, "title": "report.json of mathcorpus build and mathcorpus audit"}
    return {**head, **report, "oneOf": [of_build, of_folder]}


def text() -> str:
    """The schema as docs/report.schema.json has it."""
    return orjson.dumps(schema(), option=orjson.OPT_INDENT_2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())

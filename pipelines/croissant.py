"""The Croissant description of a published corpus: JSON-LD that dataset searches and loaders read.

Version 1.0 of the format. Files are named relative to the description, which holds wherever the folder is copied, and
each with its SHA-256; the records are those of all shards together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.columns import COLUMNS

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_MIME = "application/x-parquet"
_CONTEXT: dict[str, Any] = {  # of the specification, whole: readers warn of any other
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True, slots=True)
class Described:
    """What a description says: files are (path, bytes, SHA-256), date is the day of the build."""

    name: str
    summary: str
    url: str
    creator: str
    licences: Sequence[str]
    languages: Sequence[str]
    keywords: Sequence[str]
    digest: str
    date: str
    files: Sequence[tuple[str, int, str]]
    folder: str
    schema: pa.Schema


def croissant(one: Described) -> dict[str, Any]:
    """The description as JSON."""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": one.name,
        "description": one.summary,
        "url": one.url,
        "citeAs": f"{one.creator}: {one.name}, mathematical corpus, digest {one.digest[:12]}.",
        "license": list(one.licences),
        "creator": {"@type": "Organization", "name": one.creator},
        "datePublished": one.date,
        "inLanguage": list(one.languages),
        "keywords": list(one.keywords),
        "version": f"1.0.0+{one.digest[:12]}",
        "distribution": _files(one),
        "recordSet": [{
            "@type": "cr:RecordSet",
            "@id": "documents",
            "name": "documents",
            "description": "A record is a document.",
            "key": {"@id": "documents/id"},
            "field": [_field(f) for f in one.schema],
        }],
    }  # fmt: skip


def _files(one: Described) -> list[dict[str, Any]]:
    """Each shard by itself, and all of them together, of which the records are."""
    shards = [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{size} B",
            "encodingFormat": _MIME,
            "sha256": digest,
        }
        for path, size, digest in one.files
    ]
    together = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "description": "All shards of the corpus.",
        "encodingFormat": _MIME,
        "includes": f"{one.folder}/*.parquet",
    }
    return [*shards, together]


def _field(field: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(field.type)
    kind = field.type.value_type if is_list else field.type
    return {
        "@type": "cr:Field",
        "@id": f"documents/{field.name}",
        "name": field.name,
        "description": COLUMNS[field.name],
        "dataType": _data_type(kind),
        **({"repeated": True} if is_list else {}),
        "source": {"fileSet": {"@id": "shards"}, "extract": {"column": field.name}},
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"

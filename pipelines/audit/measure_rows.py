"""What an audit notes of each document: a row without its text, from which all figures are counted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
from datatrove.data import Document

from decontam.match import DecontaminationParams, scan_batch
from decontam.step import open_index
from filters import personal
from filters.language import UNKNOWN, detect
from filters.minhash import MinHashParams, signatures
from filters.quality import listed_share
from filters.text import Batch, Tokens, pack, tokenise
from pipelines.audit.measure_formulas import formulas
from pipelines.decisions import Artefact, document_key
from pipelines.dedup_keys import DIGEST_BYTES, contents, minhash_params, near_columns, quality_units, tokens_of
from pipelines.recipe import MinhashDedupStage

NEAR = MinhashDedupStage(stage="minhash_dedup")  # as recipes have it
PERSONAL = personal.KINDS
TEXTS = ("source", "language", "stated_language", "host", "licence", "year")
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # spreads the least shingle, which is a small number, over all 64 bits
_NAMES = {"english": "en", "chinese": "zh", "cn": "zh", "cmn": "zh", "eng": "en", "zho": "zh", "chi": "zh"}
_STATED = ("input_language", "lang", "page_language")
_DATES = ("date", "year", "timestamp", "published", "created")
_YEAR = re.compile(r"(?:19|20)\d\d(?!\d)")
_CODE = "code"

FACTS = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "origin", "url", *TEXTS)),
        *((name, pa.int64()) for name in ("tokens", "characters", "formulas", "formula_characters")),
        ("unbalanced", pa.list_(pa.string())),
        *((name, pa.int32()) for name in PERSONAL),
        ("adult_share", pa.float64()),
        ("spam_share", pa.float64()),
        ("synthetic", pa.bool_()),
        ("draw", pa.uint64()),  # digest of the seed and the id: what is shown and sampled has the smallest
        ("key", pa.binary(16)),
        ("rank", pa.int32()),
        ("priority", pa.int32()),
        ("quality", pa.int32()),
        ("content", pa.binary(DIGEST_BYTES)),
        ("template", pa.uint64()),
        ("bands", pa.binary()),  # null where a document is in no sample of near duplicates
        ("proof", pa.binary()),
        ("loose", pa.list_(pa.int64())),
        ("matches", pa.binary()),  # JSON, as `pipelines.scan_reduce` has it
    ],
    metadata={"mathcorpus": "audit-facts-1"},
)


@dataclass(frozen=True)
class Measures:
    """What is measured, and how: it travels to the workers."""

    seed: int
    share: float  # of documents that are compared for near duplicates
    folder: bool  # sources are then named by folders and formats
    index: Artefact | None = None
    rule: DecontaminationParams | None = None


def facts(docs: Sequence[Document], measures: Measures, rank: int) -> pa.Table:
    """A row for each document."""
    texts = [doc.text for doc in docs]
    batch = pack(texts)
    tokens = tokens_of(batch)
    counts = np.diff(tokenise(batch, folded=False, spans=False).offsets).tolist()
    rows = [_row(doc, count, measures) for doc, count in zip(docs, counts, strict=True)]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    columns |= _personal(batch)
    columns |= {"content": contents(tokens), **_near(docs, tokens, measures), **_scans(batch, measures)}
    columns |= {"rank": [rank] * len(docs), "priority": [0] * len(docs)}
    return pa.table(columns, schema=FACTS)


def draw(seed: int, name: str) -> int:
    """64 bits that say whether a document is shown: a digest of the seed and its id."""
    data = f"{seed}:{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _row(doc: Document, tokens: int, measures: Measures) -> dict[str, Any]:
    about = doc.metadata
    source = _source(about) if measures.folder else about.get("source")
    code = about.get("source") == _CODE
    found = formulas("" if code else doc.text)
    return {
        "id": doc.id,
        "origin": about.get("origin"),
        "url": about.get("url"),
        "source": source,
        "language": _language(doc, code=code, known=None if measures.folder else about.get("language")),
        "stated_language": _stated(about),
        "host": about.get("host"),
        "licence": _text(about.get("licence")) or _text(about.get("license")),
        "year": _year(about),
        "characters": len(doc.text),
        "tokens": about.get("tokens", tokens),  # those of the stage `tokens`, which may have a model's
        **{f"{name}_share": listed_share(doc.text, name, tokens) for name in ("adult", "spam")},
        "formulas": found.count,
        "formula_characters": found.characters,
        "unbalanced": sorted(+found.unbalanced),
        "synthetic": is_synthetic(about),
        "draw": draw(measures.seed, doc.id),
        "key": document_key(doc),
        "quality": quality_units(about.get("quality_score")),
    }


def _source(about: dict[str, Any]) -> str:
    """What the input calls it, else the first folder that its file is in, else the format of the file."""
    if stated := _text(about.get("input_source")):
        return stated
    format_, _, name = str(about["origin"]).partition("/")
    folder, below, _ = name.partition("#")[0].partition("/")
    return folder if below else format_


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _language(doc: Document, *, code: bool, known: str | None) -> str:
    if known is not None:
        return known
    return UNKNOWN if code else detect(doc.text)[0]


def _stated(about: dict[str, Any]) -> str | None:
    """The language that a row or a page says it is in: the first part of its code."""
    said = next((text for name in _STATED if (text := _text(about.get(name)))), None)
    if said is None:
        return None
    code = re.split(r"[-_,; ]", said.lower(), maxsplit=1)[0]
    return _NAMES.get(code, code[:20]) or None


def _year(about: dict[str, Any]) -> str | None:
    said = next((about[name] for name in _DATES if about.get(name) is not None), None)
    found = _YEAR.match(str(said)) if said is not None else None
    return found[0] if found else None


def is_synthetic(about: dict[str, Any]) -> bool:
    """Whether a document says that a model wrote it."""
    said = about.get("source") == "synth" or about.get("input_source") == "synth" or about.get("synthetic") is True
    return said or bool(about.get("parents") or about.get("input_parents"))


def _personal(batch: Batch) -> dict[str, npt.NDArray[np.int64]]:
    """How often personal data of each kind stand in each document."""
    found = personal.find(batch)
    kinds = np.array([PERSONAL.index(kind) for kind in found.kinds], np.int64)
    return {
        kind: np.bincount(found.documents[kinds == number], minlength=len(batch))
        for number, kind in enumerate(PERSONAL)
    }


def _near(docs: Sequence[Document], tokens: Tokens, measures: Measures) -> dict[str, pa.Array]:
    """The keys of near duplicates, null for documents that are not compared."""
    params = minhash_params(NEAR)
    if measures.share >= 1:
        return near_columns(tokens, params, NEAR.proof, NEAR.sibling_tokens)
    chosen = np.flatnonzero(_least(tokens, params) < measures.share)
    found = near_columns(
        tokens_of(pack([docs[i].text for i in chosen.tolist()])), params, NEAR.proof, NEAR.sibling_tokens
    )
    places = np.full(len(docs), -1)
    places[chosen] = np.arange(len(chosen))
    rows = pa.array(places, mask=places < 0)
    return {name: column.take(rows) for name, column in found.items()}


def _least(tokens: Tokens, params: MinHashParams) -> npt.NDArray[np.float64]:
    """A number in 0 to 1 from the least of a document's shingles: alike documents often have the same."""
    least = signatures(tokens, MinHashParams(1, 1, params.ngram, params.seed))[0][:, 0]
    return (least.astype(np.uint64) * _GOLDEN).astype(np.float64) / float(1 << 64)


def _scans(batch: Batch, measures: Measures) -> dict[str, Any]:
    """What is found of the benchmarks in each document."""
    if measures.index is None or measures.rule is None:
        nothing = [None] * len(batch)
        return {"loose": nothing, "matches": nothing}
    found = scan_batch(open_index(measures.index.path, measures.index.digest), batch, measures.rule)
    return {"loose": [s.loose for s in found], "matches": [orjson.dumps(s.matches) for s in found]}

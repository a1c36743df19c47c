"""What a document gives to deduplication: its rank among likes, digests, keys of its bands, and what proves an edge.

The text is read once, and its tokens (numbers and operators kept) are made once; all that follows works on these rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import Document

from filters.minhash import MinHashParams, band_keys, shingle_sets, signatures
from filters.near import content_digests, masked_digests
from filters.text import Batch, Tokens, pack, tokenise
from filters.urls import canonical_url
from pipelines.decisions import KEY_BYTES, document_key

if TYPE_CHECKING:
    from pipelines.recipe import ExactDedupStage, MinhashDedupStage

QUALITY_UNITS = 10_000  # quality_score as an integer: floats are not compared
DIGEST_BYTES = 16
_URL_SOURCES = {"web"}  # a book's chapters and a project's files share the address of the whole

_RANKED = [("key", pa.binary(KEY_BYTES)), ("id", pa.string()), ("priority", pa.int32()), ("quality", pa.int32())]
_EXACT = [("content", pa.binary(DIGEST_BYTES)), ("url", pa.binary(DIGEST_BYTES))]
_NEAR = [("template", pa.uint64()), ("bands", pa.binary()), ("proof", pa.binary())]
EXACT_KEYS = pa.schema([*_RANKED, *_EXACT], metadata={"mathcorpus": "exact-keys-2"})
MINHASH_KEYS = pa.schema([*_RANKED, _EXACT[0], *_NEAR], metadata={"mathcorpus": "minhash-keys-2"})
ALL_KEYS = pa.schema([*_RANKED, *_EXACT, *_NEAR], metadata={"mathcorpus": "dedup-keys-1"})


def _ranked(docs: Sequence[Document], priority: Sequence[str]) -> dict[str, list[Any]]:
    order = {kind: i for i, kind in enumerate(priority)}
    return {
        "key": [document_key(d) for d in docs],
        "id": [d.id for d in docs],
        "priority": [order.get(d.metadata.get("source", ""), len(order)) for d in docs],
        "quality": [quality_units(d.metadata.get("quality_score")) for d in docs],
    }


def quality_units(score: float | None) -> int:
    """A quality as an integer that can be compared; without one it is 0."""
    return round(QUALITY_UNITS * (score or 0.0))


def tokens_of(batch: Batch) -> Tokens:
    """The tokens that deduplication compares: operators too, since exercises may differ in nothing else."""
    return tokenise(batch, operators=True, folded=False, spans=False, numbers=True)


def url_digest(url: str | None) -> bytes | None:
    """Digest of the canonical address; None without one."""
    canonical = canonical_url(url) if url else ""
    return hashlib.blake2b(canonical.encode(), digest_size=DIGEST_BYTES).digest() if canonical else None


def contents(tokens: Tokens) -> pa.Array:
    """The digest of each text's tokens; null for a text without any, which equals no other."""
    found = content_digests(tokens).astype("<u8").tobytes()
    digests = pa.FixedSizeBinaryArray.from_buffers(pa.binary(DIGEST_BYTES), len(tokens), [None, pa.py_buffer(found)])
    empty = np.diff(tokens.offsets) == 0
    return pc.if_else(pa.array(~empty), digests, pa.scalar(None, digests.type)) if empty.any() else digests


def near_columns(tokens: Tokens, params: MinHashParams, proof: str, sibling_tokens: int) -> dict[str, pa.Array]:
    """template, bands and proof of each text; bands are null where there is no token.

    proof : `shingles`, for the set of shingles (uint32, ascending), or `signature`; both little-endian.
    """
    found, counts = signatures(tokens, params)
    bands = band_keys(found, params).astype("<u8")
    row = pa.py_buffer(bands.tobytes())
    packed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8 * params.bands), len(tokens), [None, row])
    if proof == "signature":
        values, ends = found.astype("<u4"), np.arange(len(tokens) + 1, dtype=np.int64) * params.slots
    else:
        sets = shingle_sets(tokens, params)
        values, ends = sets.values.astype("<u4"), sets.offsets
    proofs = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(tokens), [None, pa.py_buffer((4 * ends).tobytes()), pa.py_buffer(values.tobytes())]
    )
    return {
        "template": pa.array(masked_digests(tokens, sibling_tokens)),
        "bands": pc.if_else(pa.array(counts > 0), packed.cast(pa.binary()), pa.scalar(None, pa.binary())),
        "proof": proofs.cast(pa.binary()),
    }


def exact_keys(docs: Sequence[Document], config: ExactDedupStage, _: object = None) -> pa.Table:
    """One row a document: its rank among equals, the digest of its tokens, and that of its address."""
    tokens = tokens_of(pack([d.text for d in docs]))
    urls = [
        url_digest(d.metadata.get("url")) if config.urls and d.metadata.get("source") in _URL_SOURCES else None
        for d in docs
    ]
    return pa.table({**_ranked(docs, config.priority), "content": contents(tokens), "url": urls}, schema=EXACT_KEYS)


def minhash_params(config: MinhashDedupStage) -> MinHashParams:
    """The signature's parameters."""
    return MinHashParams(bands=config.bands, rows=config.rows, ngram=config.ngram, seed=config.seed)


def minhash_keys(docs: Sequence[Document], config: MinhashDedupStage, _: object = None) -> pa.Table:
    """One row a document: its rank among likes, its bands, and what proves an edge."""
    tokens = tokens_of(pack([d.text for d in docs]))
    near = near_columns(tokens, minhash_params(config), config.proof, config.sibling_tokens)
    return pa.table({**_ranked(docs, config.priority), "content": contents(tokens), **near}, schema=MINHASH_KEYS)

"""A small tokenizer that is trained here, and documents to pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from small import text
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines import dataset as ds

EOS = "<|endoftext|>"
PATTERN = r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TEXTS = [text(seed, 20 + seed % 7 * 30) for seed in range(40)] + [
    "求 $x^2 = 4$ 的解。因为 x > 0，所以 x = 2。" * 4,
    "naïve café – ∑∫ 🙂",
]


def train(size: int = 400, special: tuple[str, ...] = (EOS,)) -> Any:
    """A byte-level BPE tokenizer of so many tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def save(path: Path, tokenizer: Any = None, **changes: Any) -> Path:
    """A tokenizer.json of the tokenizer, or of one that is trained, with some keys changed."""
    about = orjson.loads((tokenizer or train()).to_str())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(about | changes))
    return path


def write_dataset(root: Path, texts: list[str], shards: int = 3, copies: dict[int, int] | None = None) -> Path:
    """A dataset of documents d000, d001, ...; with `copies`, one as a mix writes it, in which some come again."""
    schema = ds.DOCUMENTS
    if copies is not None:
        schema = schema.append(schema.field("tokens").with_name("copy"))
    writers = [ds.ShardWriter(root, f"{n:05d}.parquet", schema) for n in range(shards)]
    number = 0
    for at, one in enumerate(texts):
        for copy in range((copies or {}).get(at, 0) + 1):
            more = {"copy": copy} if copies is not None else {}
            writers[number % shards].write({"id": f"d{at:03d}", "text": one, **more})
            number += 1
    ds.Dataset(root, tuple(w.commit() for w in writers), "key").save(schema)
    return root

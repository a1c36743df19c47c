"""Quality of near-duplicate removal on planted pairs: recall by Jaccard similarity, proven precision, siblings kept.

    python -P benchmarks/dedup_quality.py DATA [--pairs N]

DATA is the folder with `benchmarks/` and `raw/` (see its README). Documents are pieces of books (LaTeX, Markdown,
Chinese) and seeds; each gets a changed copy: words, numbers, a block replaced or moved, a frame of boilerplate. The
similarity of a pair is that of the sets of its 5-token shingles, computed here from strings. Siblings are questions of
GSM8K's training set and the same with other numbers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from common import record
from decontam_quality import read_rows

from filters.text import token_strings

SEED = 20260102
NGRAM = 5
CHARS = (400, 6000)  # of a document
SIBLING_TOKENS = 200


class Pair(NamedTuple):
    """A document, its changed copy, and how alike they are."""

    kind: str
    text: str
    copy: str
    similarity: float


def shingles(text: str) -> set[tuple[str, ...]]:
    """The n-grams of a text's tokens."""
    tokens = token_strings(text, operators=True)
    return {tuple(tokens[i : i + NGRAM]) for i in range(max(1, len(tokens) - NGRAM + 1))}


def jaccard(a: str, b: str) -> float:
    """The similarity of two texts."""
    first, second = shingles(a), shingles(b)
    return len(first & second) / len(first | second)


def are_siblings(a: str, b: str) -> bool:
    """Whether two short texts differ in numbers and operators alone."""
    words = [[t for t in token_strings(x, operators=True) if not re.fullmatch(r"[\d.]+|[-+*/=<>]", t)] for x in (a, b)]
    return words[0] == words[1] and max(len(token_strings(x, operators=True)) for x in (a, b)) <= SIBLING_TOKENS


# --- plants -----------------------------------------------------------------------------------------------------------


def _words(text: str, rng: random.Random, share: float) -> str:
    parts = re.split(r"(\s+)", text) if " " in text else list(text)
    for place in rng.sample(range(len(parts)), int(share * len(parts) / 12)):
        parts[place] = "换" if parts[place] and ord(parts[place][0]) > 0x3000 else f" other{place} "
    return "".join(parts)


def _numbers(text: str, rng: random.Random, share: float) -> str:
    return re.sub(r"\d+", lambda m: str(rng.randrange(1000)) if rng.random() < share else m[0], text)


def _block(text: str, rng: random.Random, share: float) -> str:
    size = int(share * len(text) / 2)
    at = rng.randrange(max(1, len(text) - size))
    return text[:at] + "".join(rng.sample(text[at : at + size], len(text[at : at + size]))) + text[at + size :]


def _moved(text: str, rng: random.Random, share: float) -> str:
    size = int(share * len(text) / 2)
    at = rng.randrange(max(1, len(text) - size))
    return text[:at] + text[at + size :] + "\n\n" + text[at : at + size]


def _framed(text: str, rng: random.Random, share: float) -> str:
    words = [f"menu{rng.randrange(10**6)}" for _ in range(int(share * len(text) / 12))]
    return " ".join(words) + "\n\n" + text


CHANGES: dict[str, Callable[[str, random.Random, float], str]] = {
    "words": _words,
    "numbers": _numbers,
    "block": _block,
    "moved": _moved,
    "framed": _framed,
}


def documents(data: Path) -> list[str]:
    """Texts of books and seeds of a fitting length, none like another."""
    rows = [r for path in sorted((data / "raw" / "books").glob("*.zst")) for r in read_rows(path)]
    texts = [r["text"][at : at + CHARS[1]] for r in rows for at in range(0, len(r["text"]), CHARS[1])]
    texts += [
        r["text"][: CHARS[1]]
        for name in ("positive", "negative")
        for r in read_rows(data / "raw" / "seeds" / f"{name}.jsonl.gz")
    ]
    return list(dict.fromkeys(t for t in texts if len(t) >= CHARS[0]))


def pairs(texts: list[str], count: int) -> Iterator[Pair]:
    """Changed copies, in turns by kind, with similarities from 0.5 to 1."""
    rng = random.Random(SEED)
    chosen = rng.sample(texts, len(texts))
    found = 0
    for text, (kind, change) in zip(chosen, itertools.cycle(CHANGES.items()), strict=False):
        copy = change(text, rng, rng.random() ** 2)
        similarity = jaccard(text, copy)
        if copy != text and similarity >= 0.5:
            yield Pair(kind, text, copy, similarity)
            found += 1
        if found == count:
            return


def siblings(data: Path) -> list[tuple[str, str]]:
    """Questions of at most 200 tokens, and the same with every number changed."""
    rows = read_rows(data / "benchmarks" / "gsm8k" / "train.jsonl.gz")
    rng = random.Random(SEED)
    made: dict[str, str] = {}
    for row in rows:
        text = row["question"]
        other = re.sub(r"\d+", lambda m: str(int(m[0]) + rng.randrange(1, 9)), text)
        if other != text and len(token_strings(text, operators=True)) <= SIBLING_TOKENS:
            made[text] = other
    return list(made.items())


# --- measurement ------------------------------------------------------------------------------------------------------


def removed(texts: list[str], folder: Path, **settings: Any) -> dict[str, tuple[str, float]]:
    """Id -> (id it goes for, similarity) of the near duplicates among texts, whose ids are their places."""
    from filters.minhash import MinHashParams
    from pipelines.dedup import Options, run
    from pipelines.dedup_rows import RowParams

    source = folder / "in.jsonl"
    source.write_bytes(b"".join(orjson.dumps({"id": f"{n:06d}", "text": t}) + b"\n" for n, t in enumerate(texts)))
    shape = MinHashParams(settings.pop("bands", 14), settings.pop("rows", 8))
    run(Options((str(source),), folder / "out", rows=RowParams(minhash=shape), **settings), lambda _what, _size: None)
    rows = pq.read_table(folder / "out" / "clusters.parquet").to_pylist()
    return {r["id"]: (r["kept"], r["similarity"]) for r in rows if r["kept"] and r["kind"] in ("near", "exact")}


def measure(made: list[Pair], pair_siblings: list[tuple[str, str]], **settings: Any) -> dict[str, float]:
    """Recall of pairs at or above 0.8, precision of what went, and the share of siblings that went."""
    texts = [t for pair in made for t in (pair.text, pair.copy)]
    with tempfile.TemporaryDirectory() as folder:
        gone = removed(texts, Path(folder), **settings)
    figures: dict[str, float] = {}
    hit = {n for n in range(len(made)) if f"{2 * n:06d}" in gone or f"{2 * n + 1:06d}" in gone}
    alike = [n for n, pair in enumerate(made) if pair.similarity >= 0.8 and not are_siblings(pair.text, pair.copy)]
    figures["recall_0.8"] = sum(n in hit for n in alike) / len(alike)
    for kind in CHANGES:
        own = [n for n in alike if made[n].kind == kind]
        figures[f"recall_0.8_{kind}"] = sum(n in hit for n in own) / max(1, len(own))
    true = [jaccard(texts[int(i)], texts[int(kept)]) for i, (kept, _) in gone.items()]
    told = [score for _, score in gone.values()]
    threshold = settings.get("threshold", 0.75)
    figures["precision"] = sum(t >= threshold for t in true) / len(true)
    figures["precision_0.5"] = sum(t >= 0.5 for t in true) / len(true)
    figures["largest_error"] = max(abs(a - b) for a, b in zip(true, told, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        flat = [t for pair in pair_siblings for t in pair]
        gone = removed(flat, Path(folder), **settings)
    figures["siblings_removed"] = sum(are_siblings(flat[int(i)], flat[int(k)]) for i, (k, _) in gone.items()) / len(
        flat
    )
    return figures


def main() -> None:
    """Prints the figures for several shapes of the signature."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument(
        "--json", action="store_true", help="only the figures of the defaults, and no row of results.csv"
    )
    args = parser.parse_args()
    made, alike = list(pairs(documents(args.data), args.pairs)), siblings(args.data)
    if args.json:
        print(json.dumps(measure(made, alike[: args.pairs])))
        return
    short = sum(are_siblings(pair.text, pair.copy) for pair in made)
    print(f"{len(made)} pairs, {short} of them siblings; {len(alike)} pairs of questions with other numbers")
    for bands, rows in ((14, 8), (16, 7), (11, 10)):
        for threshold in (0.75, 0.8):
            found = measure(made, alike, bands=bands, rows=rows, threshold=threshold)
            print(bands, "x", rows, "threshold", threshold, {k: round(v, 4) for k, v in found.items()})
            if (bands, rows, threshold) == (14, 8, 0.75):
                record("dedup, recall of pairs at 0.8", found["recall_0.8"], "share")
                record("dedup, precision of what went", found["precision"], "share")


if __name__ == "__main__":
    main()

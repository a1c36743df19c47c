"""Quality of decontamination on planted sets: recall by kind of edit, false removals, and MATH train against test.

    python -P benchmarks/decontam_quality.py DATA [--items N] [--record]

(-P, since a script beside this one may bear the name of the package.)

DATA is the folder with `benchmarks/` and `raw/` (see its README). The plants are those of `mathcorpus selftest` (see
`decontam.plants`), up to N questions of each kind, in pieces of books and pages that hold no item. A question counts
as found when it, or the same text in another set, is among the matches of its document.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from decontam.benchmarks import Item, load_benchmarks
from decontam.index import Index, build_index
from decontam.match import KINDS, DecontaminationParams, Scan, scan_batch
from decontam.plants import HOST_CHARS, PLANTS, plantable, plants, recall

SEED = 20260101
RULE = DecontaminationParams()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a .gz or .zst file."""
    raw = path.read_bytes()
    data = (
        gzip.decompress(raw)
        if path.suffix == ".gz"
        else zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)).read()
    )
    return [json.loads(line) for line in data.splitlines()]


def clean_texts(data: Path) -> list[str]:
    """Pieces of books and whole negative seeds, which hold no benchmark item but by accident."""
    books = [row["text"] for path in sorted((data / "raw" / "books").glob("*.zst")) for row in read_rows(path)]
    pieces = [text[at : at + HOST_CHARS] for text in books for at in range(0, len(text), HOST_CHARS)]
    return pieces + [row["text"] for row in read_rows(data / "raw" / "seeds" / "negative.jsonl.gz")]


def all_items(data: Path) -> list[Item]:
    """The items of every published test set."""
    return load_benchmarks([data / "benchmarks"])


def scans(index: Index, texts: Iterable[str], params: DecontaminationParams) -> list[Scan]:
    """The scan of each text, in batches."""
    texts = list(texts)
    return [scan for at in range(0, len(texts), 64) for scan in scan_batch(index, texts[at : at + 64], params)]


def found(index: Index, name: str, hosts: Sequence[str], count: int) -> dict[str, float]:
    """Share of planted questions that were found: removed (exact, short), and by any class."""
    told = recall(index, RULE, name, plants(name, plantable(index, RULE).of(name), hosts, SEED, count))
    removed = told.classes["exact"] + told.classes["short"]
    shares = {"removed": removed, "any": told.found}
    return {"planted": told.planted} | {key: round(n / max(1, told.planted), 4) for key, n in shares.items()}


def removed_share(index: Index, texts: Sequence[str]) -> dict[str, float]:
    """Share of clean texts by the strongest class found in them."""
    counts = dict.fromkeys(KINDS, 0)
    for scan in scans(index, texts, RULE):
        if scan.matches:
            counts[min((m.kind for m in scan.matches), key=KINDS.index)] += 1
    return {"texts": len(texts)} | {kind: round(count / len(texts), 5) for kind, count in counts.items()}


def math_train(data: Path) -> int:
    """MATH train problems that rule `qwen-math` finds in MATH test, problems only."""
    test = [i for i in load_benchmarks([data / "benchmarks" / "math" / "test.jsonl.gz"]) if i.field == "question"]
    train = [i for i in load_benchmarks([data / "benchmarks" / "math" / "train.jsonl.gz"]) if i.field == "question"]
    params = replace(RULE, short=False, near=False)
    return sum(bool(scan.matches) for scan in scans(build_index(test), (i.text for i in train), params))


def figures(data: Path, count: int, every: int) -> dict[str, Any]:
    """All figures: recall by kind, shares of clean texts, MATH train."""
    index = build_index(all_items(data))
    clean = clean_texts(data)[::every]
    hosts = [t for t, scan in zip(clean, scans(index, clean, RULE), strict=True) if not scan.matches]
    return {
        "recall": {name: found(index, name, hosts, count) for name in PLANTS},
        "clean": removed_share(index, clean),
        "math_train_in_test": math_train(data),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--items", type=int, default=3_000, help="questions planted of each kind")
    parser.add_argument("--every", type=int, default=1, help="take every N-th clean text")
    parser.add_argument("--record", action="store_true", help="append the figures to results.csv")
    options = parser.parse_args()
    told = figures(options.data, options.items, options.every)
    print(json.dumps(told, indent=1))
    if options.record:
        append(told)


def append(told: dict[str, Any]) -> None:
    """The rows of results.csv."""
    sys.path.insert(0, str(Path(__file__).parent))
    from common import record

    for kind, figure in told["recall"].items():
        record(f"decontamination, plants found, {kind}", figure["any"], "share")
    record("decontamination, clean texts removed", told["clean"]["exact"] + told["clean"]["short"], "share")
    record("decontamination, clean texts that are near", told["clean"]["near"], "share")
    record("decontamination, MATH train found in MATH test", told["math_train_in_test"], "problems")


if __name__ == "__main__":
    main()

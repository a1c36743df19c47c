"""Quality of decontamination on planted sets: recall by kind of edit, false removals, and MATH train against test.

    python -P benchmarks/decontam_quality.py DATA [--items N]

(-P, since a script beside this one may bear the name of the package.)

DATA is the folder with `benchmarks/` and `raw/` (see its README). Each kind plants up to N questions, chosen and edited
by a fixed seed, one into the middle of each host: a piece of 4,000 characters of a book or a page that holds no item.
A document counts as found when the planted question, or the same text in another set, is among its matches.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from decontam.benchmarks import Item, load_benchmarks
from decontam.index import Index, build_index
from decontam.match import KINDS, DecontaminationParams, Scan, scan_batch

SEED = 20260101
HOST_CHARS = 4_000
MIN_CLAUSE_CHARS = 8  # shorter ones are the parts of a formula or a list
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CLAUSE = re.compile(r"[^,.;?!，。；？！]+[,.;?!，。；？！]")

Edit = Callable[[str, random.Random], str]


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


def verbatim(text: str, _: random.Random) -> str:
    """The question itself."""
    return text


def rewrapped(text: str, rng: random.Random) -> str:
    """Lines broken elsewhere and quoted as in Markdown."""
    return re.sub(r"\s+", lambda _: rng.choice([" ", "\n", "\n> ", "  "]), text)


def recased(text: str, rng: random.Random) -> str:
    """Other case and punctuation."""
    text = text.replace(", ", " -- ").replace("?", rng.choice([" ?!", " ", "…"]))
    return text if "\\" in text else text.upper()


def respaced(text: str, rng: random.Random) -> str:
    """Other spellings of the same LaTeX: spaces, sizes, fractions."""
    text = re.sub(r"\\[dt]?frac\b", lambda _: rng.choice(["\\frac", "\\dfrac", "\\tfrac"]), text)
    text = (
        re.sub(r"(?<!\\)([=+<>])", r" \1 ", text)
        .replace("\\left", "")
        .replace("\\right", "")
        .replace("\\le ", "\\leq ")
    )
    return re.sub(r"\$([^$]+)\$", lambda m: rng.choice([f"\\({m[1]}\\)", f"$\\displaystyle {m[1]}\\,$"]), text)


def widened(text: str, _: random.Random) -> str:
    """ASCII digits, letters and marks in full width where no command would break."""
    return text if "\\" in text else "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def one_word(text: str, rng: random.Random) -> str:
    """One word replaced."""
    words = list(re.finditer(r"(?<![\\\w])[a-z]{2,}\b|[一-鿿]", text))
    if not words:
        return text
    word = rng.choice(words)
    return text[: word.start()] + ("某" if len(word[0]) == 1 else "whichever") + text[word.end() :]


def one_number(text: str, rng: random.Random) -> str:
    """One number replaced by another."""
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return one_word(text, rng)
    number = rng.choice(numbers)
    return text[: number.start()] + _other(number[0], rng) + text[number.end() :]


def all_numbers(text: str, rng: random.Random) -> str:
    """Every number replaced."""
    return _NUMBER.sub(lambda m: _other(m[0], rng), text)


def names(text: str, rng: random.Random) -> str:
    """Capitalised words inside sentences, and the same words elsewhere, replaced throughout."""
    found = sorted(
        set(_NAME.findall(text)) | set(re.findall(r"^[A-Z][a-z]+(?= (?:has|is|had|bought|wants|went|sold)\b)", text))
    )
    for name in found:
        text = re.sub(rf"\b{name}\b", rng.choice(["Zubin", "Oksana", "Tadeusz", "Ngozi"]), text)
    return text


def one_clause(text: str, rng: random.Random) -> str:
    """One clause of at most a third of the question replaced by other words."""
    clauses = [c for c in _CLAUSE.finditer(text) if 3 * len(c[0]) <= len(text) and len(c[0]) > MIN_CLAUSE_CHARS]
    if not clauses:
        return text
    clause = rng.choice(clauses)
    other = (
        "同时又发生了另外一些事情，" if re.search("[一-鿿]", clause[0]) else " while something else took place nearby,"
    )
    return text[: clause.start()] + other + text[clause.end() :]


def _other(number: str, rng: random.Random) -> str:
    return next(n for n in iter(lambda: str(rng.randint(2, 97)), "") if n != number)


EDITS: dict[str, Edit] = {
    f.__name__: f
    for f in (verbatim, rewrapped, recased, respaced, widened, one_word, one_number, all_numbers, names, one_clause)
}


def plantable(index: Index, name: str) -> list[int]:
    """The questions that an edit of this name applies to: all with an anchor, or (`short`) those below."""
    held = index.protected()["short" if name == "short" else "exact"]
    chosen = [n for n, item in enumerate(index.items) if held[n] and item.field == "question"]
    if name in {"verbatim", "short"}:
        return chosen
    rng = random.Random(SEED)
    return [n for n in chosen if EDITS[name](index.items[n].text, rng) != index.items[n].text]


def planted(index: Index, name: str, hosts: Sequence[str], count: int) -> list[tuple[int, str]]:
    """(question, document) of up to `count` plants of one kind; a short question stands as a line of its own."""
    rng = random.Random(f"{SEED}/{name}")
    numbers = plantable(index, name)
    edit = EDITS.get(name, verbatim)
    documents = []
    for number in sorted(rng.sample(numbers, min(count, len(numbers)))):
        host = rng.choice(hosts)
        middle = host.rfind("\n", 0, len(host) // 2) + 1
        documents.append((number, f"{host[:middle]}\n{edit(index.items[number].text, rng)}\n{host[middle:]}"))
    return documents


def scans(index: Index, texts: Iterable[str], params: DecontaminationParams) -> list[Scan]:
    """The scan of each text, in batches."""
    texts = list(texts)
    return [scan for at in range(0, len(texts), 64) for scan in scan_batch(index, texts[at : at + 64], params)]


def recall(index: Index, name: str, hosts: Sequence[str], count: int) -> dict[str, float]:
    """Share of planted documents in which the question was found: removed (exact, short), and by any class."""
    plants = planted(index, name, hosts, count)
    found = {"removed": 0, "any": 0}
    for (number, _), scan in zip(plants, scans(index, (t for _, t in plants), DecontaminationParams()), strict=True):
        kinds = [m.kind for m in scan.matches if _same(index.items[m.item], index.items[number])]
        found["removed"] += bool({"exact", "short"} & set(kinds))
        found["any"] += bool(kinds)
    return {"planted": len(plants)} | {key: round(value / max(1, len(plants)), 4) for key, value in found.items()}


def _same(found: Item, wanted: Item) -> bool:
    return (
        found == wanted or found.text == wanted.text or (found.benchmark, found.row) == (wanted.benchmark, wanted.row)
    )


def removed_share(index: Index, texts: Sequence[str]) -> dict[str, float]:
    """Share of clean texts by the strongest class found in them."""
    counts = dict.fromkeys(KINDS, 0)
    for scan in scans(index, texts, DecontaminationParams()):
        if scan.matches:
            counts[min((m.kind for m in scan.matches), key=KINDS.index)] += 1
    return {"texts": len(texts)} | {kind: round(count / len(texts), 5) for kind, count in counts.items()}


def math_train(data: Path) -> int:
    """MATH train problems that rule `qwen-math` finds in MATH test, problems only."""
    test = [i for i in load_benchmarks([data / "benchmarks" / "math" / "test.jsonl.gz"]) if i.field == "question"]
    train = [i for i in load_benchmarks([data / "benchmarks" / "math" / "train.jsonl.gz"]) if i.field == "question"]
    params = replace(DecontaminationParams(), short=False, near=False)
    return sum(bool(scan.matches) for scan in scans(build_index(test), (i.text for i in train), params))


def figures(data: Path, count: int, every: int) -> dict[str, Any]:
    """All figures: recall by kind, shares of clean texts, MATH train."""
    index = build_index(all_items(data))
    clean = clean_texts(data)[::every]
    hosts = [t for t, scan in zip(clean, scans(index, clean, DecontaminationParams()), strict=True) if not scan.matches]
    return {
        "recall": {name: recall(index, name, hosts, count) for name in [*EDITS, "short"]},
        "clean": removed_share(index, clean),
        "math_train_in_test": math_train(data),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--items", type=int, default=3_000, help="questions planted of each kind")
    parser.add_argument("--every", type=int, default=1, help="take every N-th clean text")
    options = parser.parse_args()
    print(json.dumps(figures(options.data, options.items, options.every), indent=1))


if __name__ == "__main__":
    main()

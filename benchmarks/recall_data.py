"""Labelled text for measuring recall: pages by our own labels, books, seeds; each with the host or project it is from.

pages.jsonl holds a line for each host of the real web data: for each label the digests of the URLs that have it, judged
once by title, address and text. `math`: what the page is about is mathematics or statistics; `unsure`: programming
contests, physics and machine learning with formulas (counted as mathematics from 8 formulas on, and less); `software`:
manuals of mathematical libraries and formal proofs, left out. Book chapters are what their book is.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import zstandard
from common import ROOT

from filters.extract_step import Extract
from filters.language import detect
from pipelines.inputs import InputFile
from pipelines.recipe import WarcSource
from pipelines.sources import Rejected, read_file

MIN_BYTES = 200  # a shorter page is a stub, and its label a guess
MIN_FORMULAS = 8
_FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
_MATH_BOOKS = (
    *("stacks-project", "napkin", "HoTT/book", "OpenLogic", "jirilebl/ra", "APEXCalculus", "osbooks-calculus"),
    *("Introduction-to-Mathematics", "algebra-lecturenote", "pumpkin-book"),
)
_CHINESE_BOOKS = ("algebra-lecturenote", "pumpkin-book", "with-golang", "es6tutorial")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text, whether it is mathematics, where it is from, and how sure that is."""

    text: str
    math: bool
    host: str
    language: str
    sure: bool = True

    def without_delimiters(self) -> str:
        """The text where the delimiters of formulas were lost."""
        return re.sub(r"\$+|\\[()\[\]]", " ", self.text)

    def without_formulas(self) -> str:
        """The text where the formulas were lost."""
        return _FORMULA.sub(" ", self.text)


def pages(data: Path, files: int | None = None) -> list[Labelled]:
    """The labelled pages of raw/web, or of its first files: pages of all hosts are shuffled over them."""
    labels = _labels()
    found = []
    for url, host, text in _extracted(sorted((data / "raw" / "web").glob("*.warc.gz"))[:files]):
        label = labels.get(_digest(url))
        if label in {"math", "other", "unsure"} and len(text.encode("utf-8", "replace")) >= MIN_BYTES:
            sure = label != "unsure"
            math = label == "math" if sure else len(_FORMULA.findall(text)) >= MIN_FORMULAS
            found.append(Labelled(text, math, host, detect(text)[0], sure))
    return found


def _labels() -> dict[str, str]:
    lines = map(orjson.loads, (ROOT / "benchmarks" / "pages.jsonl").read_bytes().splitlines())
    return {digest: label for line in lines for label in line if label != "host" for digest in line[label].split()}


def _digest(url: str) -> str:
    return hashlib.blake2b(url.encode(), digest_size=4).hexdigest()


def _extracted(files: Sequence[Path]) -> Iterator[tuple[str, str, str]]:
    source, extract = WarcSource(format="warc", name="web", path="web"), Extract()
    for path in files:
        file = InputFile("web", path.name, str(path), path.stat().st_size, "")
        for doc in read_file(source, file, Counter()):
            if not isinstance(doc, Rejected):
                kept = extract.filter(doc)
                if (kept if isinstance(kept, bool) else kept[0]) and "host" in doc.metadata:
                    yield doc.metadata["url"], doc.metadata["host"], doc.text


def books(data: Path) -> list[Labelled]:
    """The chapters of raw/books."""
    rows = []
    for path in sorted((data / "raw" / "books").glob("*.jsonl.zst")):
        lines = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines()
        rows += [orjson.loads(line) for line in lines]
    return [
        Labelled(
            row["text"],
            any(name in row["repo"] for name in _MATH_BOOKS),
            row["repo"],
            "zh" if any(name in row["repo"] for name in _CHINESE_BOOKS) else "en",
        )
        for row in rows
    ]


def seeds(data: Path) -> list[Labelled]:
    """The seeds of raw/seeds; their host is their source."""
    found = []
    for name in ("positive", "negative"):
        with gzip.open(data / "raw" / "seeds" / f"{name}.jsonl.gz") as lines:
            rows = map(orjson.loads, lines)
            found += [Labelled(row["text"], name == "positive", row["source"], row["language"]) for row in rows]
    return found

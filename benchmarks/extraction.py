"""Extraction of math pages: ours against trafilatura, resiliparse and magic-html, on the pages of the shared data.

    python -P benchmarks/extraction.py DATA [--pages N] [--record]

(-P, since a script beside this one may bear the name of the package.)

DATA is the folder with the WARC files. Up to N pages of each host are drawn; `extraction_truth.py` says what is true
of them. Peers that are not installed are left out, with a line. The figures are means over pages; of formulas over
pages with at least 4. Development pages: the extractor has been tuned on them, although it knows no host.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from common import record  # noqa: E402
from extraction_scorer import formula_scores, token_f1  # noqa: E402
from extraction_truth import Truth, sample  # noqa: E402

from filters.html import decode_html, extract  # noqa: E402

MIN_FORMULAS = 4
RUNS = 3
SIZES = ((0, 20_000), (20_000, 60_000), (60_000, 200_000), (200_000, 2_000_000))
KINDS = ("markdown", "blogs", "math", "manuals")
Extractor = Callable[[bytes], str]


def ours(html: bytes) -> str:
    """This project."""
    return extract(html).text


def trafilatura(html: bytes) -> str:
    """Its plain text, which keeps more formulas than its Markdown."""
    return import_module("trafilatura").extract(decode_html(html)) or ""


def resiliparse(html: bytes) -> str:
    """Its main content with alternative texts."""
    text = import_module("resiliparse.extract.html2text").extract_plain_text
    return str(text(decode_html(html), preserve_formatting=True, main_content=True, alt_texts=True))


def magic_html(html: bytes) -> str:
    """Its forum mode, and the text of what that returns by resiliparse."""
    found = import_module("magic_html").GeneralExtractor().extract(decode_html(html), base_url="", html_type="forum")
    text = import_module("resiliparse.extract.html2text").extract_plain_text
    return str(text(found["html"], preserve_formatting=True, alt_texts=True))


PEERS: dict[str, Extractor] = {"trafilatura": trafilatura, "resiliparse": resiliparse, "magic-html": magic_html}


def installed() -> dict[str, Extractor]:
    """Ours and the peers that are here."""
    here: dict[str, Extractor] = {"ours": ours}
    for name, run in PEERS.items():
        try:
            here[f"{name} {version(name)}"] = run
        except PackageNotFoundError:
            print(f"{name}: not installed, left out")
    return here


def timed(run: Extractor, truths: list[Truth]) -> tuple[list[str], list[float]]:
    """Texts and CPU seconds, page by page; a page at which a peer fails is an empty one.

    The seconds are the least of some runs, since other processes on the machine make a page look dearer than it is.
    """
    texts, seconds = [], []
    for truth in truths:
        runs = []
        for _ in range(RUNS):
            start = time.process_time()
            try:
                text = run(truth.html)
            except Exception as error:  # noqa: BLE001 - foreign code; what it raises is its own affair
                print(f"  {truth.url}: {type(error).__name__}")
                text = ""
            runs.append(time.process_time() - start)
        texts.append(text)
        seconds.append(min(runs))
    return texts, seconds


def figures(truths: list[Truth], texts: list[str], seconds: list[float]) -> dict[str, float]:
    """The row of one extractor."""
    pairs = list(zip(truths, texts, strict=True))
    rows = {f"F1 {kind}": [token_f1(t, p.text) for p, t in pairs if p.kind == kind] for kind in KINDS}
    scores = [(p, formula_scores(t, p.formulas)) for p, t in pairs if len(p.formulas) >= MIN_FORMULAS]
    for name in ("strict", "loose", "span", "precision", "context"):
        rows[name] = [getattr(s, name) for _, s in scores]
    rows["span zh"] = [s.span for p, s in scores if is_chinese(p)]
    row = {name: mean(values) if values else float("nan") for name, values in rows.items()}
    row["empty"] = sum(not text.strip() for text in texts)
    row["pages/s"] = len(truths) / sum(seconds)
    return row


def is_chinese(page: Truth) -> bool:
    """Whether a tenth of the main text is Chinese characters."""
    return sum("\u4e00" <= c <= "\u9fff" for c in page.text) > len(page.text) / 10


def by_size(truths: list[Truth], seconds: list[float]) -> dict[str, float]:
    """Pages per CPU second for each class of sizes in bytes."""
    rates = {}
    for low, high in SIZES:
        chosen = [s for page, s in zip(truths, seconds, strict=True) if low <= len(page.html) < high]
        if chosen:
            rates[f"{low // 1000}-{high // 1000} kB"] = len(chosen) / sum(chosen)
    return rates


def main() -> None:
    """Prints the table, and writes our row to results.csv where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pages", type=int, default=8, help="pages of each host")
    parser.add_argument("--record", action="store_true", help="append our figures to results.csv")
    options = parser.parse_args()
    truths = sample(options.data, options.pages)
    print(f"{len(truths)} pages, {sum(len(t.formulas) >= MIN_FORMULAS for t in truths)} with formulas")
    for name, run in installed().items():
        texts, seconds = timed(run, truths)
        row = figures(truths, texts, seconds)
        print(f"{name:24}" + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
        if name == "ours":
            rates = by_size(truths, seconds)
            print(f"{'':24}" + "  ".join(f"{size}: {rate:.0f} pages/s" for size, rate in rates.items()))
            if options.record:
                record_row(row, rates)


def record_row(row: dict[str, float], rates: dict[str, float]) -> None:
    """Our figures in results.csv."""
    for key, value in row.items():
        record(f"extraction, {key}", value, "pages per CPU second" if key == "pages/s" else "share")
    for size, rate in rates.items():
        record(f"extraction, pages of {size}", rate, "pages per CPU second")


if __name__ == "__main__":
    main()

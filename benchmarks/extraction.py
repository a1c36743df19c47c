"""Extraction of math pages: ours against trafilatura, resiliparse and magic-html, on the pages of the shared data.

    python -P benchmarks/extraction.py DATA [--pages N] [--record]

(-P, since a script beside this one may bear the name of the package.)

DATA is the folder with the WARC files. Up to N pages of each host are drawn; `extraction_truth.py` says what is true
of them. Peers that are not installed are left out, with a line: `pip install trafilatura magic-html lxml_html_clean` in
an environment of its own, since datatrove asks for an old trafilatura (magic-html wants Python 3.12). The figures are
means over pages; of formulas over pages with at least 4. Development pages: the extractor has been tuned on them,
although it knows no host.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
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
ROUNDS = 3
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


def texts_of(run: Extractor, truths: list[Truth]) -> tuple[list[str], int]:
    """Texts, page by page, and the number of crashes; a page at which an extractor fails is an empty one."""
    texts, crashes = [], 0
    for truth in truths:
        try:
            texts.append(run(truth.html))
        except Exception as error:  # noqa: BLE001 - foreign code; what it raises is its own affair
            print(f"  {truth.url}: {type(error).__name__}")
            texts.append("")
            crashes += 1
    return texts, crashes


def seconds_of(run: Extractor, truths: list[Truth]) -> float:
    """CPU seconds of one run over some pages, together: the clock's tick is longer than a page takes."""
    start = time.process_time()
    for truth in truths:
        with contextlib.suppress(Exception):  # counted by `texts_of`
            run(truth.html)
    return time.process_time() - start


def rates(extractors: dict[str, Extractor], truths: list[Truth]) -> dict[str, dict[str, float]]:
    """Pages per CPU second of each extractor for each class of sizes in bytes, and `all`.

    The extractors take turns, and the best of some rounds counts, since other processes make all of them look slower.
    """
    classes = {}
    for low, high in SIZES:
        if pages := [truth for truth in truths if low <= len(truth.html) < high]:
            classes[f"{low // 1000}-{high // 1000} kB"] = pages
    best: dict[tuple[str, str], float] = {}
    for _ in range(ROUNDS):
        for size, pages in classes.items():
            for name, run in extractors.items():
                seconds = seconds_of(run, pages)
                best[name, size] = min(seconds, best.get((name, size), seconds))
    found = {}
    for name in extractors:
        total = sum(best[name, size] for size in classes)
        each = {size: len(pages) / best[name, size] for size, pages in classes.items()}
        found[name] = {**each, "all": len(truths) / total}
    return found


def figures(truths: list[Truth], texts: list[str]) -> dict[str, float]:
    """The row of one extractor."""
    pairs = list(zip(truths, texts, strict=True))
    rows = {f"F1 {kind}": [token_f1(t, p.text) for p, t in pairs if p.kind == kind] for kind in KINDS}
    scores = [(p, formula_scores(t, p.formulas)) for p, t in pairs if len(p.formulas) >= MIN_FORMULAS]
    for name in ("strict", "loose", "span", "precision", "context"):
        rows[name] = [getattr(s, name) for _, s in scores]
    conventions: dict[str, list[float]] = {}
    for page, score in scores:
        conventions.setdefault(page.convention, []).append(score.span)
    rows["span by convention"] = [mean(values) for values in conventions.values()]
    rows["span zh"] = [s.span for p, s in scores if is_chinese(p)]
    row = {name: mean(values) if values else float("nan") for name, values in rows.items()}
    row["empty"] = sum(not text.strip() for text in texts)
    return row


def is_chinese(page: Truth) -> bool:
    """Whether a tenth of the main text is Chinese characters."""
    return sum("\u4e00" <= c <= "\u9fff" for c in page.text) > len(page.text) / 10


def main() -> None:
    """Prints the table, and writes it to results.csv where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pages", type=int, default=8, help="pages of each host")
    parser.add_argument("--record", action="store_true", help="append the figures to results.csv")
    options = parser.parse_args()
    truths = sample(options.data, options.pages)
    told = [t for t in truths if len(t.formulas) >= MIN_FORMULAS]
    counts = Counter(t.convention for t in told)
    print(f"{len(truths)} pages of {len({t.host for t in truths})} hosts, {len(told)} with formulas,")
    print(f"{sum(map(is_chinese, told))} of them Chinese; by convention {dict(sorted(counts.items()))}")
    extractors = installed()
    table = {}
    for name, run in extractors.items():
        texts, crashes = texts_of(run, truths)
        table[name] = {**figures(truths, texts), "crashes": crashes}
    for name, speeds in rates(extractors, truths).items():
        table[name].update({f"pages/s, {size}": rate for size, rate in speeds.items()})
    show(table)
    if options.record:
        for name, row in table.items():
            for key, value in row.items():
                if value == value:  # noqa: PLR0124 - not a number where no page has such formulas
                    record(f"extraction, {name}, {key}", value, _unit(key))


def show(table: dict[str, dict[str, float]]) -> None:
    """A line for each figure, a column for each extractor."""
    print(f"{'':24}" + "".join(f"{name:>20}" for name in table))
    for key in next(iter(table.values())):
        cells = (f"{row[key]:20.0f}" if _unit(key) != "share" else f"{row[key]:20.3f}" for row in table.values())
        print(f"{key:24}" + "".join(cells))


def _unit(key: str) -> str:
    if key in ("empty", "crashes"):
        return "pages"
    return "pages per CPU second" if key.startswith("pages/s") else "share"


if __name__ == "__main__":
    main()

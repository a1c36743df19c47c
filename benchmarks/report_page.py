"""The report of a large build: size of report.html and report.json, time to write them, and time to open the page.

    python benchmarks/report_page.py [DOCUMENTS] [--keep FOLDER]

The build is synthetic, with many hosts, reasons, benchmarks and clusters, so that every table of the page is as long as
it can be; its report is measured as `build` writes it and as `audit` fills it. Times in the browser are from the start
of the navigation to the load event, and to a table that a click has sorted: wall times, the least of ROUNDS.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import ROOT, record

sys.path.insert(0, str(ROOT / "tests"))
from browser import start
from fake_build import STAGES, doc, line, write_build, write_coverage

from pipelines import dataset as ds
from pipelines.audit.measure_report import Options, audit
from pipelines.audit.report import write_report

ROUNDS, SHARDS = 5, 10
BENCHMARKS = [f"benchmark{n}" for n in range(40)]
WORDS = [f"word{n}" for n in range(3000)] + ["已知", "求证", "函数", "$x^2+y^2=1$", r"\frac{1}{2}"]
SORTED = """addEventListener("load", () => setTimeout(() => {
  const tables = [...document.querySelectorAll("table")].sort((a, b) => b.rows.length - a.rows.length);
  tables[0].querySelector("thead button").click();
  tables[0].offsetHeight;
  window.sortedRows = tables[0].tBodies[0].rows.length;
  window.sortedAt = performance.now();
}));"""


def documents(count: int) -> Iterator[dict[str, Any]]:
    """Six of ten are kept; the others go in every stage, for as many reasons as there are."""
    rng = random.Random(11)
    ids = [ds.document_id(f"o/{n}") for n in range(count)]
    for n, name in enumerate(ids):
        text = " ".join(rng.choices(WORDS, k=120))
        host = f"host{int(rng.paretovariate(0.6)) % 5000}.example.org"
        about = {"origin": f"web-{n % 50:05d}.warc.gz#{n}", "url": f"https://{host}/{n}", "host": host}
        about |= {"source": f"source{n % 8}", "language": rng.choice(["en", "zh", "und", "mixed"])}
        about |= {"licence": f"licence {n % 30}", "tokens": len(text) // 4, "math_score": rng.random()}
        about |= {"quality_score": rng.random(), "language_score": rng.random()}
        yield {**doc(name, text), **about, **fate(n, ids, rng)}


def fate(n: int, ids: list[str], rng: random.Random) -> dict[str, Any]:
    """Why a document went, if it did."""
    name = ids[n]
    match n % 20:
        case 0 | 1 | 2:
            return {"stage": "ingest", "reason": f"not_html:application/type-{int(rng.paretovariate(0.7)) % 2000}"}
        case 3:
            lines = [{"rule": "too_short", "value": 1, "limit": 40}]
            return {"stage": "quality", "reason": f"rule-{n % 300}", "score": 0.2, "evidence": lines}
        case 4 | 5:
            near = {"kept": ids[n % 400 // 20 * 20 + 10], "similarity": 0.8}
            return {"stage": "minhash_dedup", "reason": "near_duplicate", "score": 0.8, "evidence": [near]}
        case 6 if n % 40 == 6:
            found = [line(name, rng.choice(BENCHMARKS), rng.randrange(500), rng.random()) for _ in range(3)]
            reason = f"contaminated:{found[0]['benchmark']}"
            return {"stage": "decontaminate", "reason": reason, "score": 1.0, "evidence": found}
        case _:
            return {}


def opened(page: Path, profile: Path) -> tuple[float, float]:
    """Seconds to the load event, and to the sorted table."""
    browser = start(profile)
    browser.screen(1280, 900)
    browser.ask("Page.addScriptToEvaluateOnNewDocument", source=SORTED)
    loads, sorts = [], []
    for _ in range(ROUNDS):
        browser.open(page.as_uri())
        while (at := browser.value("window.sortedAt")) is None:
            time.sleep(0.01)
        loads.append(browser.value("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
        sorts.append(at / 1000)
    browser.close()
    return min(loads), min(sorts)


def measure(build: Path, name: str, seconds: float) -> None:
    """Records the figures of one report."""
    figures = {
        f"{name}, report.html": ((build / "report.html").stat().st_size / 1e6, "MB"),
        f"{name}, report.json": ((build / "report.json").stat().st_size / 1e6, "MB"),
        f"{name}, to write": (seconds, "CPU s"),
    }
    with tempfile.TemporaryDirectory() as profile:
        load, sort = opened(build / "report.html", Path(profile))
    figures |= {f"{name}, page loaded": (load, "s"), f"{name}, table sorted": (sort, "s")}
    for what, (value, unit) in figures.items():
        print(f"{what}: {value:.3g} {unit}")
        record(what, value, unit)


def main() -> None:
    """Writes the build and measures its two reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=int, nargs="?", default=100_000)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        build = given.keep or Path(scratch) / "build"
        write_build(build, list(documents(given.documents)), SHARDS, STAGES)
        write_coverage(build, "index-decontaminate-0", "need", dict.fromkeys(BENCHMARKS, 3))
        began = time.process_time()
        write_report(build)
        measure(build, f"report of {given.documents:,} documents", time.process_time() - began)
        began = time.process_time()
        audit(Options((str(build),)), lambda *_: None)
        measure(build, f"report of {given.documents:,} documents, audited", time.process_time() - began)


if __name__ == "__main__":
    main()

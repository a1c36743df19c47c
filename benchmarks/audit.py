"""The command `audit`: time, processor time and memory on a folder, on a build, and on 100,000 documents of each kind.

    python benchmarks/audit.py folder PATH [BENCHMARKS]     for example shared/data/raw
    python benchmarks/audit.py build PATH
    python benchmarks/audit.py synthetic [DOCUMENTS]        a folder and a build, both made here

Processor seconds and memory are those of a run in one process; the wall time beside it is that of a run with as many
workers as the machine has cores. Formulas: what is found of delimiters that were taken out of the folder's own texts
(`audit, lost delimiters`), one of each kind in every document that has some and is balanced.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
from common import ROOT, record

sys.path.insert(0, str(ROOT / "tests"))
from fake_build import doc, write_build

from pipelines import dataset as ds
from pipelines.audit.documents import Rows, find_documents, read_documents
from pipelines.audit.measure_formulas import formulas
from pipelines.engine import InlineEngine

PROGRAM = Path(sys.executable).with_name("mathcorpus")
FILES, HOSTS = 20, 3000
COMMON = ["the", "of", "that", "are", "we", "have", "which", "is", "and", "a", "in", "to"]
WORDS = [f"word{chr(97 + n % 26)}{n}" for n in range(1000)] + 80 * COMMON + 20 * ["$x^2 + y^2 = 1$", r"$\frac{1}{2}$"]
LOST = {
    "dollar": (r"(?<![\\$])\$(?!\$)[^$\n]{0,80}(?<!\\)(\$)(?!\$)", r"(?<![\\$])(\$)(?!\$)[^$\n]{0,80}(?<!\\)\$(?!\$)"),
    "display_dollar": (r"(?<!\$)(\$\$)[^$]+\$\$", r"(?<!\$)\$\$[^$]+(\$\$)"),
    "bracket": (r"(?<!\\)(\\\])",),
    "environment": (r"(\\end\{(?:align\*?|equation\*?|cases|aligned|[bp]?matrix)\})",),
    "brace": (r"[\^_]\{[^{}$]*(\})",),
}


def run(*arguments: str) -> tuple[float, float, float]:
    """(wall seconds, processor seconds, peak MB) of the command; it has to end well."""
    started = time.perf_counter()
    process = subprocess.Popen([PROGRAM, "audit", *arguments, "--quiet"])
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, arguments
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure(name: str, *arguments: str) -> None:
    """Records what a run costs, in one process and in all."""
    with tempfile.TemporaryDirectory() as folder:
        _, cpu, memory = run(*arguments, "--out", f"{folder}/one", "--workers", "1")
        wall, _, _ = run(*arguments, "--out", f"{folder}/all")
        size = Path(folder, "one", "report.html").stat().st_size
    print(f"{name}: {cpu:.1f} CPU s, {memory:.0f} MB, {wall:.1f} s with all cores, page {size / 1e6:.2f} MB")
    record(f"audit, {name}", cpu, "CPU s")
    record(f"audit, {name}, memory", memory, "MB")
    record(f"audit, {name}, all cores", wall, "s")


def lost_delimiters(folder: Path) -> None:
    """Records the share of lost delimiters that are found, and of untouched documents the share that is flagged."""
    rng, tried, found = random.Random(1), Counter[str](), Counter[str]()
    flagged = with_formulas = 0
    for text in texts(folder):
        whole = formulas(text)
        with_formulas += whole.count > 0
        flagged += bool(+whole.unbalanced)
        if whole.count < 3 or +whole.unbalanced:
            continue
        for kind, patterns in LOST.items():
            places = [m.span(1) for pattern in patterns for m in re.finditer(pattern, text)]
            if places:
                begin, end = rng.choice(places)
                tried[kind] += 1
                found[kind] += bool(+formulas(text[:begin] + text[end:]).unbalanced)
    for kind, count in tried.items():
        record(f"audit, lost delimiters found, {kind}", found[kind] / count, f"share of {count}")
        print(f"{kind}: {found[kind]} of {count} found")
    record("audit, documents with unbalanced formulas", flagged / with_formulas, f"share of {with_formulas}")


def texts(folder: Path) -> Iterator[str]:
    """The texts of a folder's documents, as the audit reads them."""
    with tempfile.TemporaryDirectory() as work:
        files = find_documents([str(folder)], Rows(), Path(work) / "out")
        data = read_documents(files, Path(work), InlineEngine(), lambda *_: None).data
        for table in data.tables(["text"]):
            yield from table["text"].to_pylist()


def documents(count: int) -> Iterator[dict[str, str]]:
    """Texts of about 250 words, one in fifty a copy of another, of many hosts."""
    for n in range(count):
        rng = random.Random(n - 7 if n % 50 == 49 else n)
        text = " ".join(rng.choices(WORDS, k=250))
        host = f"host{int(random.Random(n).paretovariate(0.6)) % HOSTS}.example.org"
        yield {"id": str(n), "text": text, "url": f"https://{host}/{n}", "language": "en"}


def write_folder(root: Path, count: int) -> Path:
    """The documents as JSON lines."""
    root.mkdir()
    files = [(root / f"part-{n:02d}.jsonl").open("wb") for n in range(FILES)]
    for n, one in enumerate(documents(count)):
        files[n % FILES].write(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE))
    for file in files:
        file.close()
    return root


def write_corpus(root: Path, count: int) -> Path:
    """The documents as a build that kept all of them."""
    made = (
        {
            **doc(ds.document_id(one["id"]), one["text"]),
            "url": one["url"],
            "host": one["url"].split("/")[2],
            "language": "en",
        }
        for one in documents(count)
    )
    return write_build(root, list(made), FILES)


def main() -> None:
    what, *rest = sys.argv[1:]
    if what == "folder":
        benchmarks = ["--benchmarks", rest[1]] if len(rest) > 1 else []
        lost_delimiters(Path(rest[0]))
        measure("folder of real data", rest[0], *benchmarks)
    elif what == "build":
        measure("real build", rest[0])
    else:
        count = int(rest[0]) if rest else 100_000
        with tempfile.TemporaryDirectory() as root:
            measure(f"build of {count:,}", str(write_corpus(Path(root, "build"), count)))
            measure(f"folder of {count:,}", str(write_folder(Path(root, "docs"), count)))


if __name__ == "__main__":
    main()

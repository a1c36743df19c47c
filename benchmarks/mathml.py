"""MathML to TeX on real elements whose TeX is known: leaves kept, same structure, milliseconds each.

    python benchmarks/mathml.py WARC... [--most 3000] [--record]

The elements are the `math` of the pages in the archives that state their TeX beside the presentation (annotation,
alttext, data-latex); one of each TeX is taken. tests/mathml_oracle.py says how they are compared.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

from common import ROOT, record
from fastwarc.warc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser

from filters import mathml

SEED = 7
MIN_TEX_CHARS = 6  # a letter alone says nothing
_KNOWN = re.compile(r'<annotation[^>]*tex">([^<]*)|alttext="([^"]*)"|data-latex="([^"]*)"')


def elements(archives: list[Path]) -> Iterator[tuple[str, str]]:
    """(TeX as the page states it, source of the element), each TeX once."""
    seen = set()
    for archive in archives:
        with archive.open("rb") as stream:
            for page in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                html = bytes(page.reader.read()).decode("utf-8", "replace")
                for node in LexborHTMLParser(html).css("math") if "<math" in html else ():
                    source = node.html or ""
                    stated = _KNOWN.search(source)
                    tex = next((group for group in stated.groups() if group), "") if stated else ""
                    if len(tex) >= MIN_TEX_CHARS and tex not in seen and "<merror" not in source:
                        seen.add(tex)
                        yield tex, source


def main() -> None:
    """Prints the three figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("archives", nargs="+", type=Path)
    options.add_argument("--most", type=int, default=3_000)
    options.add_argument("--record", action="store_true", help="append the figures to results.csv")
    chosen = options.parse_args()
    from mathml_oracle import fidelity

    known = sorted(elements(chosen.archives))
    sample = random.Random(SEED).sample(known, min(chosen.most, len(known)))
    trees = [LexborHTMLParser(source) for _, source in sample]
    nodes = [node for tree in trees if (node := tree.css_first("math")) is not None]
    start = time.process_time()
    found = [mathml.to_tex(node) for node in nodes]
    milliseconds = (time.process_time() - start) / len(nodes) * 1e3
    scores = [fidelity(node, tex) for node, tex in zip(nodes, found, strict=True) if tex is not None]
    kept, same = sum(s.kept for s in scores) / len(nodes), sum(s.same for s in scores) / len(nodes)
    print(f"{len(nodes)} elements: leaves kept {kept:.4f}, same structure {same:.4f}, {milliseconds:.3f} ms each")
    if chosen.record:
        for name, value, unit in (
            ("leaves", kept, "share"),
            ("structure", same, "share"),
            ("time", milliseconds, "ms"),
        ):
            record(f"mathml/{name}", value, unit)


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(ROOT / "tests"))
    main()

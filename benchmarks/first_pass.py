"""The first pass: what it saves of a crawl, what it loses, and what it costs.

    python benchmarks/first_pass.py SEEDS WARC... [--other HOST,...]

Every page is extracted and scored by a recall classifier trained on SEEDS (positive.jsonl.gz and negative.jsonl.gz,
texts in `text`); what is kept then is compared with what the first pass lets through. --other names hosts without
mathematics, for the share that it saves of pages such as nearly all of a crawl are.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from common import record

from filters import first_pass
from filters.classifier import TrainParams, load_model, train
from filters.html import decode_html, extract
from pipelines.inputs import InputFile
from pipelines.recipe import WarcSource
from pipelines.sources import Rejected, read_file, read_texts

KEPT = 0.5  # math_score from which on a build keeps a page
BATCH = 32
MIN_CHARS = 200  # of text; the classifier knows nothing of shorter ones, and the quality stage removes them
THRESHOLDS = sorted({0.02, 0.03, first_pass.THRESHOLD, 0.08, 0.1, 0.2})


def main() -> None:
    """Prints recall, shares and costs, and records those of the shipped threshold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=Path)
    parser.add_argument("warcs", type=Path, nargs="+")
    parser.add_argument("--other", default="")
    given = parser.parse_args()
    pages = [page for path in given.warcs for page in _pages(path)]
    size = sum(len(data) for _, data, _ in pages)
    first_pass.signs([b"compiled"])
    started = time.process_time()
    found = [
        sign for i in range(0, len(pages), BATCH) for sign in first_pass.signs([_utf8(p) for p in pages[i : i + BATCH]])
    ]
    first_s = time.process_time() - started
    started = time.process_time()
    texts = [extract(data, url, charset=charset).text for url, data, charset in pages]
    extract_s = time.process_time() - started
    kept = (_scores(given.seeds, texts) >= KEPT) & np.array([bool(text) for text in texts])
    hosts = [urlsplit(url).hostname for url, _, _ in pages]
    other = np.isin(hosts, given.other.split(","))
    print(
        f"{len(pages)} pages, {size / 1e6:.1f} MB; {kept.sum()} kept by extraction and recall; {other.sum()} of others"
    )
    print(f"first pass {1e3 * first_s / len(pages):.3f} ms a page, {size / first_s / 1e6:.0f} MB/s, decoding included")
    print(f"extraction {1e3 * extract_s / len(pages):.2f} ms a page")
    for threshold in THRESHOLDS:
        passed = np.array([sign._replace(probability=sign.probability >= threshold).verdict for sign in found])
        recall, saved = (passed & kept).sum() / kept.sum(), 1 - passed[~kept].mean()
        long = kept & (np.array(list(map(len, texts))) >= MIN_CHARS)
        of_long = (passed & long).sum() / long.sum()
        others = f", of other hosts {1 - passed[other].mean():.3f}" if other.any() else ""
        recalls = f"recall {recall:.4f}, of pages with text {of_long:.4f}"
        print(f"threshold {threshold}: {recalls}, saved of what is not kept {saved:.3f}{others}")
        if threshold == first_pass.THRESHOLD:
            record("first pass, recall", recall, "share of pages that extraction and recall keep")
            record("first pass, recall of texts of 200 characters", of_long, "share of those pages")
            record("first pass, saved", saved, "share of the other pages")
            record("first pass, cost", 1e3 * first_s / len(pages), "ms a page")
            lost = Counter(host for host, k, p in zip(hosts, kept, passed, strict=True) if k and not p)
            print("  lost:", ", ".join(f"{host} {count}" for host, count in lost.most_common()))


def _pages(path: Path) -> list[tuple[str, bytes, str | None]]:
    source = WarcSource(format="warc", name="web", path=str(path))
    file = InputFile("web", path.name, str(path), path.stat().st_size, "")
    found = []
    for one in read_file(source, file, Counter()):
        if not isinstance(one, Rejected):
            [media] = one.media
            found.append((one.metadata.get("url", ""), media.media_bytes, media.metadata.get("charset")))
    return found


def _utf8(page: tuple[str, bytes, str | None]) -> bytes:
    return (decode_html(page[1], page[2]) or "").encode("utf-8", "replace")


def _scores(seeds: Path, texts: list[str]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.bin"
        positive, negative = (read_texts([seeds / f"{n}.jsonl.gz"], "text") for n in ("positive", "negative"))
        train(positive, negative, TrainParams(), path)
        return np.asarray(load_model(str(path), "").scores(texts))


if __name__ == "__main__":
    main()

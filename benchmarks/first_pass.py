"""The first pass: trains its table of words, and measures what it saves and what it loses.

    python benchmarks/first_pass.py train SEEDS
    python benchmarks/first_pass.py measure SEEDS WARC...

SEEDS is a folder with positive.jsonl.gz and negative.jsonl.gz, texts in `text`. The table is trained on them alone,
formulas left out, since pages with formulas pass anyway: no page that is measured was trained on. `measure` extracts
every page, scores it by a classifier trained on the seeds, and compares what these keep with what the first pass does.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from filters import first_pass, page_scan
from filters.classifier import TrainParams, load_model, prepare, score, train
from filters.html import decode_html, extract
from pipelines.inputs import InputFile
from pipelines.recipe import WarcSource
from pipelines.sources import Rejected, read_file, read_texts

TABLE = Path(first_pass.__file__).with_suffix(".npy")
PENALTY = 2e-3  # of squared weights
STEP = 200.0  # features are shares of words, about 1/STEP each
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
LONGEST = 1 << 18  # words of a text that are looked at
KEPT = 0.5  # math_score from which on the full pipeline keeps a page


def train_table(seeds: Path) -> None:
    """Trains the table of words and writes it beside its module."""
    texts = {name: read_texts([seeds / f"{name}.jsonl.gz"], "text") for name in ("positive", "negative")}
    shares = _shares([FORMULA.sub(" ", t).replace("<", " ") for name in texts for t in texts[name]])
    labels = np.repeat([1.0, 0.0], [len(texts["positive"]), len(texts["negative"])])

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = point[:-1], point[-1]
        logits = STEP * (shares @ weights) + bias
        error = 1 / (1 + np.exp(-logits)) - labels
        value = np.logaddexp(0, -logits * (2 * labels - 1)).mean() + PENALTY * weights @ weights
        gradient = STEP * (shares.T @ error) / len(labels) + 2 * PENALTY * weights
        return value, np.append(gradient, error.mean())

    found = minimize(loss, np.zeros(page_scan.WORD_SLOTS + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    # the mean over words of weight + bias is the logit
    np.save(TABLE, np.round(first_pass.SCALE * (STEP * found[:-1] + found[-1])).astype(np.int16))
    print(f"{TABLE}: {TABLE.stat().st_size} bytes, from {Counter(labels)}")


def _shares(texts: list[str]) -> csr_matrix:
    """For each text the share of its words in each slot."""
    slots, none = np.zeros(LONGEST, np.int64), np.zeros(page_scan.WORD_SLOTS, np.int16)
    rows = []
    for text in texts:
        count = min(LONGEST, int(page_scan.scan_page(text.encode("utf-8", "replace"), none, slots)[page_scan.WORDS]))
        row = np.bincount(slots[:count], minlength=page_scan.WORD_SLOTS) / max(1, count)
        rows.append(csr_matrix(row))
    from scipy.sparse import vstack

    return csr_matrix(vstack(rows))


def measure(seeds: Path, warcs: list[Path]) -> None:
    """Prints recall, share and cost of the first pass on the pages of WARC files."""
    pages = [page for path in warcs for page in _pages(path)]
    started = time.process_time()
    found = [
        first_pass.signs((decode_html(data, charset) or "").encode("utf-8", "replace")) for _, data, charset in pages
    ]
    first_s = time.process_time() - started
    started = time.process_time()
    texts = [extract(data, url, charset=charset).text for url, data, charset in pages]
    extract_s = time.process_time() - started
    scores = np.array(_scores(seeds, texts))
    kept, passed = (scores >= KEPT) & np.array([bool(t) for t in texts]), np.array([f.verdict for f in found])
    size = sum(len(data) for _, data, _ in pages)
    print(f"{len(pages)} pages, {size / 1e6:.1f} MB; {kept.sum()} kept by extraction and recall")
    print(f"first pass {1e3 * first_s / len(pages):.3f} ms a page, {size / first_s / 1e6:.0f} MB/s, with decoding")
    print(f"extraction {1e3 * extract_s / len(pages):.3f} ms a page")
    print(f"recall {(passed & kept).sum() / kept.sum():.4f}, passed {passed.mean():.3f} of all, "
          f"{(passed & ~kept).sum() / (~kept).sum():.3f} of those not kept")  # fmt: skip
    lost = Counter(urlsplit(page[0]).hostname for page, k, p in zip(pages, kept, passed, strict=True) if k and not p)
    print("lost", lost.most_common())


def _pages(path: Path) -> list[tuple[str, bytes, str | None]]:
    source = WarcSource(format="warc", name="web", path=str(path))
    found = []
    for record in read_file(source, InputFile("web", path.name, str(path), path.stat().st_size, ""), Counter()):
        if not isinstance(record, Rejected):
            [media] = record.media
            found.append((record.metadata.get("url", ""), media.media_bytes, media.metadata.get("charset")))
    return found


def _scores(seeds: Path, texts: list[str]) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.bin"
        positive, negative = (read_texts([seeds / f"{n}.jsonl.gz"], "text") for n in ("positive", "negative"))
        train(positive, negative, TrainParams(buckets=500_000), path)
        model = load_model(str(path), "")
        return [score(model, text) for text in prepare(texts)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "measure"])
    parser.add_argument("seeds", type=Path)
    parser.add_argument("warcs", type=Path, nargs="*")
    given = parser.parse_args()
    if given.command == "train":
        train_table(given.seeds)
    else:
        measure(given.seeds, given.warcs)

"""A folder of documents that somebody else made, with one of everything that an audit counts planted in it."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from test_sources import record

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)
CHINESE = "设函数的定义域为全体实数，证明它在每一点都连续。我们先考虑任意一点的邻域，再用定义验证极限等于函数值。" * 3
OTHER_CHINESE = (
    "等差数列的前几项之和等于首项与末项之和乘以项数的一半，这个公式可以用倒序相加的方法推导出来，也可以用归纳法。"
)
WORDS = (
    "the sum of two angles is a right angle and its sides have lengths that we compare with those of other figures when "
    "they are similar so that each ratio can be found by a theorem about parallel lines and their proofs"
).split()
PAGE = "<html lang='{}'><head><title>t</title></head><body><article><p>{}</p></article></body></html>"


def prose(seed: int, words: int = 120) -> str:
    """English words in an order of their own."""
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(words)) + "."


def long_pair() -> tuple[str, str]:
    """Two texts that differ in a word of each hundred and fifty."""
    words = prose(7, 300).split()
    changed = list(words)
    changed[40], changed[200] = "otherwise", "elsewhere"
    return " ".join(words), " ".join(changed)


def rows() -> list[dict[str, Any]]:
    """The rows of rows.jsonl.gz: what each is for stands in its id."""
    first, second = long_pair()
    return [
        {"id": "plain", "text": prose(1), "license": "CC0", "date": "2021-03-04"},
        {"id": "repeat-a", "text": prose(2), "language": "en"},
        {"id": "repeat-b", "text": f"  {prose(2)}  ", "language": "en"},
        {"id": "near-a", "text": first},
        {"id": "near-b", "text": second},
        {"id": "personal", "text": f"{prose(3)} Write to jane.miller@lists.uni-ulm.de or call +49 731 5022345."},
        {"id": "unbalanced", "text": f"Let $x^2 + y be given, where $y \\in A$ holds. {prose(4)}"},
        {"id": "balanced", "text": f"Let $x^2 + y$ be given, it costs $5 or $6. {prose(5)}"},
        {"id": "contaminated", "text": f"{prose(6)}\n\n{QUESTION}\n\n{prose(8)}"},
        {"id": "synthetic", "text": prose(9), "synthetic": True},
        {"id": "says-english", "text": CHINESE, "language": "en-US"},
    ]


def write_planted(root: Path) -> Path:
    """Writes the folder: five formats, and what cannot be read."""
    root.mkdir(parents=True)
    lines = [orjson.dumps(row) for row in rows()] + [b"{broken", b'{"id": "no text"}', b'{"text": "   "}']
    (root / "rows.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n", mtime=0))
    told = [(PAGE.format("en", prose(10)), "200 OK", b"http://a.org/1")]
    told += [(PAGE.format("zh-CN", OTHER_CHINESE), "200 OK", b"http://b.org/1")]
    told += [(PAGE.format("en", "gone"), "404 Not Found", b"http://a.org/2")]
    pages = [record(html.encode(), status).replace(b"http://a.example/x", url) for html, status, url in told]
    (root / "web").mkdir()
    (root / "web" / "crawl.warc").write_bytes(b"".join(pages))
    table = pa.table({"text": [prose(11), prose(12)], "id": ["p1", "p2"], "source": ["shelf", "shelf"]})
    pq.write_table(table, root / "part.parquet")
    (root / "notes").mkdir()
    (root / "notes" / "one.md").write_text(f"# Notes\n\n{prose(13)}\n")
    (root / "notes" / "x.py").write_text("price = '$5'\nprint(price)\n")
    (root / "broken.parquet").write_bytes(b"PAR1 this is no Parquet")
    (root / "cut.jsonl.gz").write_bytes(gzip.compress(orjson.dumps({"text": prose(14)}), mtime=0)[:-12])
    (root / "slides.pdf").write_bytes(b"%PDF-1.4")
    return root


def write_benchmarks(root: Path) -> Path:
    """A benchmark of one question."""
    (root / "clips").mkdir(parents=True)
    (root / "clips" / "test.jsonl").write_bytes(orjson.dumps({"question": QUESTION, "answer": "72"}) + b"\n")
    return root

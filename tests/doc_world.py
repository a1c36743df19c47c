"""What stands for the files that the documentation names: small, and of the kind that each name says."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner
from conftest import QUICKSTART, REPOSITORY
from model_server import model_server
from scoring import become_scorer
from small import ITEM, WORDS, text, write_input, write_rows
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from decontam.benchmarks import Item
from decontam.index import build_index
from pipelines.cli import main

CHINESE = "小明有十七只羊，又在集市上买了二十五只，后来卖掉了九只，问小明现在一共还有多少只羊？"
RECIPE = """\
name: small
shard_mb: 0.001
sources:
  - {format: jsonl, name: notes, path: in}
stages:
  - {stage: quality, min_tokens: 5}
  - stage: exact_dedup
  - stage: minhash_dedup
  - {stage: decontaminate, against: bench}
  - stage: tokens
"""
PAIRS = """\
name: pairs
sources: [{format: jsonl, name: corpus, path: corpus}]
synth:
  server: {url: "http://localhost:8000", model: tiny-instruct}
  refine: false
"""
REGISTRY = """\
version: 1
profiles:
  posttrain: [gsm8k, math]
sets:
"""
SET = """\
  {name}:
    title: {name}
    language: en
    licence: MIT
    revision:
    fields: {{question: [question], solution: [answer]}}
    file: {name}/test
    rows:
    digest:
"""
ROWS = 30  # of a file
SMALL = 1_000_000  # bytes of a file that is copied; the models of the quickstart are not


def environment(world: Path) -> dict[str, str]:
    """Variables under which the names of benchmarks mean the stand-ins, and `mathcorpus` and `python` ours."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MATHCORPUS_REGISTRY": str(world / "registry.yaml"),
        "MATHCORPUS_BENCHMARKS": str(world / "cache"),
    }


def make_world(root: Path) -> Path:
    """Every stand-in below `root`, with the quickstart built in out/quickstart."""
    shutil.copytree(REPOSITORY / "examples", root / "examples", ignore=shutil.ignore_patterns("model", "__pycache__"))
    write_input(root)
    (root / "recipe.yaml").write_text(RECIPE)
    _benchmarks(root)
    _rows(root)
    _pages(root)
    _seeds(root)
    _tokenizer(root)
    (root / "pairs.yaml").write_text(PAIRS)
    command = ["build", str(root / "examples/quickstart/recipe.yaml"), "--out", str(root / "out/quickstart")]
    built = CliRunner().invoke(main, command, catch_exceptions=False)
    assert built.exit_code == 0, built.output
    return root


@contextmanager
def model_servers() -> Iterator[dict[str, str]]:
    """Addresses of a server that scores, and of one that finds the pairs of a document and knows no paraphrase."""

    def talk(asked: str, _times: int) -> str:
        pair = "<qa><question>1</question><answer></answer><solution>2</solution></qa>"
        return pair if "<document>" in asked else "no"

    with model_server(lambda *_: "") as scorer, model_server(talk) as talker:
        become_scorer(scorer)
        yield {"score": scorer.url, "synth": talker.url, "decontaminate": talker.url}


def copy_world(world: Path, to: Path) -> Path:
    """A copy that commands may write into; large files are the same ones, which nothing writes in place."""

    def copy(source: str, target: str) -> None:
        (os.link if Path(source).stat().st_size > SMALL else shutil.copy2)(source, target)

    shutil.copytree(world, to, copy_function=copy)
    return to


class Frame:
    """Stands for a Spark DataFrame: three rows, and what mapInArrow does with them."""

    def __init__(self) -> None:
        html = (QUICKSTART / "input/pages/pigeonhole.html").read_text(encoding="utf-8")
        self.batch = pa.RecordBatch.from_pylist([{"id": str(n), "text": text(n), "html": html} for n in range(3)])

    def mapInArrow(self, function: Callable[..., Any], schema: object) -> list[pa.RecordBatch]:  # noqa: N802 - Spark's
        """All batches that come of ours."""
        return list(function(iter([self.batch])))


def python_names(here: Path) -> dict[str, Any]:
    """What stands for the names that Python in the documentation takes as given."""
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    index = build_index([Item("farm", "test", 0, "question", ITEM)])
    index.save(here / "sets.idx")
    return {
        "html": (here / "page.html").read_bytes(),
        "url": "https://a.example/pigeonhole",
        "batches": [[text(1), ITEM]],
        "index": index,
        "frame": Frame(),
        "schema": None,
        "reader": JsonlReader(str(here / "corpus")),
        "writer": JsonlWriter(str(here / "kept")),
    }


def _benchmarks(root: Path) -> None:
    chosen = {
        "gsm8k": ITEM,
        "math": "Find the sum of all primes between 20 and 40 and show each step.",
        "cmath": CHINESE,
    }
    (root / "registry.yaml").write_text(REGISTRY + "".join(SET.format(name=name) for name in chosen))
    for name, question in chosen.items():
        write_rows(root / "cache" / name / "test.jsonl", [{"question": question, "answer": "33"}])
    shutil.copytree(QUICKSTART / "benchmarks", root / "path/to/benchmarks")
    shutil.copytree(QUICKSTART / "benchmarks", root / "my/bench")
    write_rows(root / "new/exam.jsonl", [{"question": " ".join(WORDS), "answer": "1"}])
    write_rows(root / "secret.jsonl", [{"question": " ".join(reversed(WORDS)), "answer": "1"}])


def _rows(root: Path) -> None:
    rows = [{"id": str(n), "text": text(n, 80), "url": f"https://a.example/{n}"} for n in range(ROWS)]
    for name in ("corpus", "books", "web"):
        write_rows(root / name / f"{name}-0.jsonl", rows)
    for number in (1, 2):
        new = {"id": f"new-{number}", "text": text(70 + number)}
        write_rows(root / f"crawl-{number}" / f"crawl-{number}.jsonl", [*rows[:5], new])
    for name in ("train.jsonl", "sft.jsonl"):
        write_rows(root / name, rows)
    pq.write_table(pa.Table.from_pylist(rows), root / "sft.parquet")
    (root / "pages.jsonl.gz").write_bytes(gzip.compress((root / "train.jsonl").read_bytes()))
    chinese = [
        {"id": str(n), "text": f"第{n}页。" + "数列的极限与函数的连续性是分析学的基础。" * (n + 3)} for n in range(10)
    ]
    (root / "zh.jsonl.gz").write_bytes(gzip.compress(b"".join(orjson.dumps(row) + b"\n" for row in chinese)))
    said = [(row["text"], 0.9) for row in _lines("positive")] + [(row["text"], 0.1) for row in _lines("negative")]
    write_rows(root / "pages.jsonl", [{"id": str(n), "text": f"{page} p={p}"} for n, (page, p) in enumerate(said)])


def _pages(root: Path) -> None:
    shutil.copytree(QUICKSTART / "input/pages", root / "site")
    shutil.copytree(QUICKSTART / "input/web", root / "crawl")
    page = QUICKSTART / "input/pages/pigeonhole.html"
    shutil.copy(page, root / "page.html")
    rows = [{"content": page.read_text(encoding="utf-8"), "warc_url": "https://a.example/pigeonhole"}]
    pq.write_table(pa.Table.from_pylist(rows), root / "rows.parquet")


def _seeds(root: Path) -> None:
    (root / "seeds").mkdir()
    for label in ("positive", "negative"):
        found = gzip.compress((QUICKSTART / f"seeds/{label}.jsonl").read_bytes())
        (root / "seeds" / f"{label}.jsonl.gz").write_bytes(found)


def _tokenizer(root: Path) -> None:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    made.train_from_iterator([row["text"] for row in _lines("positive")], trainer)
    made.save(str(root / "tokenizer.json"))


def _lines(label: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (QUICKSTART / f"seeds/{label}.jsonl").read_bytes().splitlines()]

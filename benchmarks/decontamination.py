"""Decontamination against datatrove's n-gram filter and a plain JSON scan, on the same documents.

    python benchmarks/decontamination.py DATA

DATA: folder with raw/books, raw/seeds and benchmarks/. Searched for are the test splits of the sets of the Qwen2.5-Math
report (SETS); the documents are those of DATA in which no item is exact or short, with two questions planted in each
megabyte. Ours from text in memory (`hits`: 13-grams shared with an item; `scan`: the rule, by its classes) and as the
whole command from a file, which holds the documents over and over, to the evidence, but for its start; the JSON scan
parses each line and takes the length of its text; datatrove's NGramsDecontFilter with n-grams of 13 and its default
normalisation. datatrove's indexer does not start without lighteval, so its index is made here, of the same hashes;
without spaCy its words are those of a regular expression, which is several times faster. One thread; in turns, the
best of all rounds, in megabytes of text for each processor second. Last, start and peak memory of the command.
"""

from __future__ import annotations

import gzip
import math
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from command import file_to_evidence, peak_memory, start_up
from common import record

from decontam.anchors import Texts, search
from decontam.benchmarks import benchmark_files, load_benchmarks
from decontam.index import Index, build_index
from decontam.match import DecontaminationParams, scan_batch
from filters.text import Batch, pack, tokenise

ROUNDS = 5
BATCH_BYTES = 1_000_000
FILE_MB = 100  # of text in a file, so that what a run costs once counts little
PLANTS = 2  # in a megabyte
PLANT_CHARS = 150  # of a question that is planted, at least
SEED = 20261121
SETS = (
    *("gsm8k", "math", "minerva_math", "gaokao2023en", "olympiadbench", "college_math", "mmlu_stem", "cmath"),
    *("gaokao2024_I", "gaokao2024_II", "gaokao2024_mix", "gaokao_math_cloze", "gaokao_math_qa"),
    *("cn_middle_school", "aime24", "amc23"),
)
PEER_BYTES = 1_500_000  # the peer is slow; more gives the same figure
UNIT = "MB of text per CPU second"
INDEX = "sets.idx"
_HAN = re.compile("[\u4e00-\u9fff]")


def load_texts(data: Path) -> dict[str, list[str]]:
    """The texts of books and seeds by language; a text is Chinese when a fifth of its characters are Han."""
    lines: list[bytes] = []
    for path in sorted((data / "raw" / "books").glob("*.jsonl.zst")):
        lines += zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines()
    for path in sorted((data / "raw" / "seeds").glob("*.jsonl.gz")):
        lines += gzip.decompress(path.read_bytes()).splitlines()
    texts: dict[str, list[str]] = {"English": [], "Chinese": []}
    for text in (orjson.loads(line)["text"] for line in lines):
        texts["Chinese" if len(_HAN.findall(text)) * 5 > len(text) else "English"].append(text)
    return texts


def planted(index: Index, texts: Sequence[str]) -> list[str]:
    """The texts in which no item is exact or short, with questions of the index planted in them."""
    params, kinds = DecontaminationParams(), {"exact", "short"}
    clean = [
        text
        for group in batches(texts)
        for text, scan in zip(group, scan_batch(index, group, params), strict=True)
        if not any(match.kind in kinds for match in scan.matches)
    ]
    questions = [item.text for item in index.items if item.field == "question" and len(item.text) > PLANT_CHARS]
    draw = random.Random(SEED)
    for _ in range(round(PLANTS * megabytes(clean))):
        place = draw.randrange(len(clean))
        paragraphs = clean[place].split("\n\n")
        paragraphs.insert(draw.randrange(len(paragraphs) + 1), draw.choice(questions))
        clean[place] = "\n\n".join(paragraphs)
    return clean


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in groups of about BATCH_BYTES."""
    group: list[str] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text.encode())
        if size >= BATCH_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def hits(index: Index, packed: Sequence[Batch]) -> None:
    """Bytes in memory to the n-grams that they share with items."""
    for batch in packed:
        tokens = tokenise(batch, folded=False, spans=False)
        search(index.segments[0], "exact", Texts(tokens.hashes, tokens.hashes, tokens.offsets))


def scan(index: Index, packed: Sequence[Batch], params: DecontaminationParams) -> None:
    """Bytes in memory to matches."""
    for batch in packed:
        scan_batch(index, batch, params)


def json_scan(lines: Sequence[bytes]) -> int:
    """The sum of the lengths of the texts: what any tool that reads JSON pays."""
    return sum(len(orjson.loads(line)["text"]) for line in lines)


def datatrove_filter(index: Index, folder: Path) -> tuple[Any, str]:
    """(datatrove's filter over the same items, how it finds words)."""
    from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
    from datatrove.utils.text import ngrams, simplify_text
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Words(WordTokenizer):  # type: ignore[misc]
        def word_tokenize(self, text: str) -> list[str]:
            return re.findall(r"\w+|[^\w\s]", text)

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    try:
        import spacy  # noqa: F401

        language, words = "eng_Latn", "spaCy"
    except ImportError:
        language, words = Words(), "a regular expression"
    config = NGramsDecontConfig(n_grams=index.ngram)
    peer = NGramsDecontFilter(str(folder), config=config, language=language)
    hashes: set[int] = set()
    for item in index.items:
        tokens = peer.tokenizer.word_tokenize(simplify_text(item.text, config.norm_config))
        hashes.update(peer.hash_func(" ".join(ngram)) for ngram in ngrams(tokens, config.n_grams))
    np.array(sorted(hashes), dtype=config.hash_config.np_descr).tofile(folder / "items.index.hashes")
    return peer, words


def run_datatrove(peer: Any, texts: Sequence[str]) -> None:
    """Texts in memory to datatrove's verdicts."""
    from datatrove.data import Document

    for text in texts:
        peer.filter(Document(text=text, id=""))


def measured(works: dict[str, tuple[Callable[[], object], float]]) -> dict[str, float]:
    """The best speed of each work, given with its megabytes, after one run that does not count; in turns."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS + 1):
        for name, (work, _) in works.items():
            started = time.process_time()
            work()
            if number:
                spent[name].append(time.process_time() - started)
    return {name: works[name][1] / min(times) for name, times in spent.items()}


def megabytes(texts: Sequence[str]) -> float:
    """The size of the texts in UTF-8."""
    return sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6


def write_files(texts: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """The texts as a Parquet file and as jsonl.zst."""
    parquet, lines = folder / "texts.parquet", folder / "texts.jsonl.zst"
    pq.write_table(pa.table({"text": list(texts)}), parquet, compression="zstd")
    lines.write_bytes(zstandard.compress(b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts)))
    return parquet, lines


def works_of(index: Index, texts: list[str], folder: Path, peer: Any) -> dict[str, tuple[Callable[[], object], float]]:
    """What is measured on the texts, each with its megabytes."""
    size = megabytes(texts)
    packed = [pack(group) for group in batches(texts)]
    copies = math.ceil(FILE_MB / size)
    part = texts[:: max(1, round(size * 1e6 / PEER_BYTES))]
    classes: dict[str, dict[str, Any]] = {
        "exact": {"short": False, "near": False},
        "exact and short": {"near": False},
        "all classes": {},
    }
    works: dict[str, tuple[Callable[[], object], float]] = {
        "hits": (partial(hits, index, packed), size),
        "JSON scan": (partial(json_scan, [orjson.dumps({"text": text}) for text in texts]), size),
        "datatrove": (partial(run_datatrove, peer, part), megabytes(part)),
    }
    for name, points in classes.items():
        works[f"scan, {name}"] = (partial(scan, index, packed, DecontaminationParams(**points)), size)
        for kind, path in zip(("Parquet", "jsonl.zst"), write_files(texts * copies, folder), strict=True):
            command = partial(file_to_evidence, folder / INDEX, path, **points)
            works[f"command, {kind}, {name}"] = (command, copies * size)
    return works


def main() -> None:
    """Measures all, prints the figures and the ratio to the peer, and records them."""
    data = Path(sys.argv[1])
    items = load_benchmarks(benchmark_files([data / "benchmarks"]))
    index = build_index(item for item in items if item.benchmark in SETS and item.split == "test")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index.save(folder / INDEX)
        peer, words = datatrove_filter(index, folder)
        for language, texts in load_texts(data).items():
            speeds = measured(works_of(index, planted(index, texts), folder, peer))
            for label, speed in speeds.items():
                ratio = speed / speeds["datatrove"]
                print(f"{language:8} {label:36} {speed:8.2f} MB/s  {ratio:7.1f} times datatrove (words by {words})")
                record(f"decontamination of 13 sets, {language}, {label}", speed, UNIT)
            for path in sorted(folder.glob("texts.*")):
                peak = peak_memory(folder / INDEX, path)
                print(f"{language:8} command, {path.suffixes[0][1:]}: {peak:.0f} MiB at most")
                record(f"decontamination of 13 sets, {language}, command, {path.name}, peak memory", peak, "MiB")
        wall, cpu = start_up(folder / INDEX, folder)
        print(f"start of the command: {wall:.2f} s, {cpu:.2f} CPU seconds")
        record("decontamination of 13 sets, start of the command", wall, "s")
        record("decontamination of 13 sets, start of the command, processor", cpu, "CPU s")


if __name__ == "__main__":
    main()

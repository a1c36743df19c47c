"""Packing: its speed against datatrove's tokeniser, what each method pads and cuts, its memory.

    python -P benchmarks/pack.py BUILD TOKENIZER [--rounds 3] [--only PART...] [--repeat 2 8]

BUILD is a finished build, TOKENIZER a tokenizer.json (`--train FILE` makes one first, of 32,768 tokens, of the build's
own documents: what is packed is then what it was trained on). Seconds are of processor time, of one process; ours and
the peer take turns, the best round counts. Memory is the largest resident set of the whole command, inline.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

sys.path.insert(0, str(Path(__file__).parent))
from common import record

from filters.packing import Pieces, best_fit, best_fit_bins, gather, greedy
from pipelines import dataset as ds
from pipelines.engine import InlineEngine
from pipelines.pack import Options, Steps, pack
from pipelines.pack_inputs import given_tokenizer
from pipelines.pack_tokens import shuffled_place

LENGTHS = (2048, 4096, 8192, 32_768)
VOCABULARY = 32_768
TRAINED_CHARS = 20_000  # of each second document
ITEMS = 1_000_000  # of the kernel
LONG_CHARS = 20_000_000
EOS = "<|endoftext|>"


def documents(build: Path) -> Iterator[dict[str, Any]]:
    """Rows of the corpus."""
    for table in ds.Dataset.load(build / "corpus").tables():
        yield from table.to_pylist()


def train(build: Path, file: Path) -> None:
    """A byte-level BPE tokenizer of half of the documents."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    words = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    split = pre_tokenizers.Split(words, "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (row["text"][:TRAINED_CHARS] for number, row in enumerate(documents(build)) if number % 2 == 0)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(file))


def ours(build: Path, tokenizer: Path, method: str, out: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """(manifest, processor seconds of both halves) of one run."""
    given = given_tokenizer(str(tokenizer), Path())
    manifest = pack(build, out, given, Options(4096, method), InlineEngine, Steps())
    return manifest, orjson.loads((out / "cost.json").read_bytes())["stages_cpu_s"]


def theirs(build: Path, tokenizer: Path, out: Path, *, shuffled: bool) -> float:
    """Processor seconds of datatrove's DocumentTokenizer on the same documents, reading them included."""
    from datatrove.data import Document
    from datatrove.pipeline.tokens import DocumentTokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    step = DocumentTokenizer(
        str(out), str(tokenizer), eos_token=EOS, batch_size=1000, seed=1, shuffle_documents=shuffled
    )
    begun = time.process_time()
    step.run(Document(text=row["text"], id=row["id"]) for row in documents(build))
    return time.process_time() - begun


def speed(build: Path, tokenizer: Path, rounds: int) -> None:
    """Tokens a second and core of each half, and of datatrove's tokeniser in turn."""
    best: dict[str, float] = {}

    def note(name: str, seconds: float) -> None:
        best[name] = min(best.get(name, seconds), seconds)

    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            manifest, cost = ours(build, tokenizer, "best-fit", folder / "a")
            note("tokenise", cost["tokens"])
            note("best-fit", cost["pack"])
            _, cost = ours(build, tokenizer, "greedy", folder / "b")
            note("tokenise", cost["tokens"])
            note("greedy", cost["pack"])
            note("datatrove, DocumentTokenizer", theirs(build, tokenizer, folder / "c", shuffled=False))
            note("datatrove, DocumentTokenizer with shuffle", theirs(build, tokenizer, folder / "d", shuffled=True))
    tokens = manifest["tokens"]["in"]
    for name, seconds in best.items():
        print(f"{name:45} {seconds:8.2f} CPU s  {tokens / seconds / 1e6:8.2f} M tokens/s")
        record(f"pack, {name}, {tokens / 1e6:.1f} M tokens", tokens / seconds, "tokens/s")


def token_counts(build: Path, tokenizer: Path) -> np.ndarray:
    """Tokens of each document in the order of the shuffle, the end of text among them."""
    subwords = given_tokenizer(str(tokenizer), Path())
    from pipelines.pack_inputs import ended

    encode, _ = ended(subwords, None)
    rows = list(documents(build))
    counts = np.array(encode.counts([row["text"] for row in rows]), np.int64)
    keys = [shuffled_place(1, row["id"], 0) for row in rows]
    counts = counts[np.argsort(np.array(keys, np.uint64))]
    return counts[counts > 0] + 1


def methods(build: Path, tokenizer: Path) -> None:
    """What each method pads and cuts, by length."""
    tokens = token_counts(build, tokenizer)
    print(f"{len(tokens):,} documents, {tokens.sum():,} tokens, median {np.median(tokens):,.0f}")
    print("| length | longer | method | sequences | padded | documents cut | cut although they fit | cut once more |")
    print("|---|---|---|---|---|---|---|---|")
    for length in LENGTHS:
        for name, found in (
            ("greedy", greedy(tokens, length)),
            ("best-fit", best_fit(tokens, length, pad=False)),
            ("best-fit, padded", best_fit(tokens, length, pad=True)),
        ):
            _tell(name, tokens, length, found)


def _tell(name: str, tokens: np.ndarray, length: int, found: Pieces) -> None:
    count = int(found.sequence[-1]) + 1
    pieces = np.bincount(found.document, minlength=len(tokens))
    longer, padded = float(np.mean(tokens > length)), 1 - tokens.sum() / (count * length)
    cut, needless = float(np.mean(pieces > 1)), float(np.mean((pieces > 1) & (tokens <= length)))
    more = float(np.mean(pieces > -(-tokens // length)))
    print(f"| {length} | {longer:.2%} | {name} | {count:,} | {padded:.4%} | {cut:.2%} | {needless:.2%} | {more:.2%} |")
    for what, value in (("padded", padded), ("documents cut", cut), ("documents cut although they fit", needless)):
        record(f"pack, {name}, length {length}, {what}", 100 * value, "%")


def kernels(build: Path, tokenizer: Path) -> None:
    """Items a second of best-fit, tokens a second of the copying."""
    tokens, rng = token_counts(build, tokenizer), np.random.default_rng(7)
    rests = tokens % 4096
    sizes = rng.choice(rests[rests > 0], ITEMS)
    many = rng.choice(tokens, 4000)
    ids, begins = rng.integers(0, 30_000, int(many.sum())).astype(np.uint16), np.cumsum(many) - many
    pieces = best_fit(many, 4096, pad=False)
    work: dict[str, tuple[float, Callable[[], Any]]] = {
        "best-fit kernel, items": (ITEMS, lambda: best_fit_bins(sizes, 4096)),
        "best-fit with cuts, items": (ITEMS, lambda: best_fit(sizes, 4096, pad=False)),
        "copying kernel, tokens": (float(many.sum()), lambda: gather(ids, begins, pieces, 4096, 0)),
    }
    for name, (count, call) in work.items():
        call()
        seconds = []
        for _ in range(5):
            begun = time.process_time()
            call()
            seconds.append(time.process_time() - begun)
        print(f"{name:30} {count / min(seconds) / 1e6:8.2f} M/s")
        record(f"pack, {name}", count / min(seconds), "1/s")


def repeated(build: Path, times: int, out: Path) -> int:
    """The corpus so many times over, with ids of their own; bytes of text."""
    size, writers = 0, [ds.ShardWriter(out, f"{n:05d}.parquet", ds.DOCUMENTS) for n in range(times)]
    for number, writer in enumerate(writers):
        for row in documents(build):
            writer.write({**row, "id": f"{number}-{row['id']}"})
            size += len(row["text"].encode())
    ds.Dataset(out, tuple(w.commit() for w in writers), "key").save(ds.DOCUMENTS)
    return size


def peak(program: str, *arguments: str) -> tuple[float, float]:
    """(largest resident set in MB, processor seconds) of a program in a process of its own.

    By the process itself: `ru_maxrss`, of it or of a child, counts what the process held that started it.
    """
    told = "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0], time.process_time())"
    command = [sys.executable, "-c", f"import time\n{program}\n{told}", *arguments]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    kilobytes, seconds = lines[-1].split()
    return int(kilobytes) / 1024, float(seconds)


def memory(build: Path, tokenizer: Path, times: list[int]) -> None:
    """Peak of the command on the corpus, repeated."""
    for number in times:
        with tempfile.TemporaryDirectory() as scratch:
            size = repeated(build, number, Path(scratch, "corpus"))
            options = ["--tokenizer", str(tokenizer), "--length", "4096", "--engine", "inline"]
            found, seconds = peak(_PACK, "pack", f"{scratch}/corpus", *options)
            print(f"{size / 1e6:,.0f} MB of text: {found:,.0f} MB, {seconds:,.0f} CPU s")
            record(f"pack, memory, {size / 1e6:,.0f} MB of text", found, "MB")


_PACK = "from pipelines.cli import main; main(standalone_mode=False)"
_ENCODE = """
import sys
from pathlib import Path
from filters.subwords import Subwords
text = Path(sys.argv[2]).read_text(encoding="utf-8")
subwords = Subwords(Path(sys.argv[1]).read_bytes(), "t", window=int(sys.argv[3]))
print(len(subwords.ids([text])[0]))
"""


_SECOND_HALF = """
import sys
from pathlib import Path
import numpy as np
from pipelines.pack import BUCKET_TOKENS
from pipelines.pack_sequences import Packing, PackTask, TailTask
from pipelines.pack_tokens import _Document, _Runs, shuffled_place
out, wanted = Path(sys.argv[1]), int(sys.argv[2])
rng, end, made = np.random.default_rng(7), np.array([0], "<u2"), 0
with _Runs(out / "ids", 0, end, sort=True) as runs:
    while made < wanted:
        ids = rng.integers(1, 30_000, int(rng.lognormal(7.2, 1.2)) + 1).astype(np.uint32)
        runs.add(_Document(shuffled_place(1, str(made), 0), str(made), 0, ""), ids)
        made += len(ids) + 1
    runs.commit()
packing = Packing(4096, "best-fit", "cut", 1, False, "t", 2, 0)
task = PackTask(out / "packed", out / "ids", 1, -(-made // BUCKET_TOKENS), packing, None)
for rank in range(task.ranks):
    task.run(rank)
TailTask(out / "tails", task.out, task.ranks, packing).run(0)
"""


def second_half(_build: Path, _tokenizer: Path) -> None:
    """Peak of packing alone, without encoding, on random ids: documents of log-normal lengths."""
    for millions in (30, 100, 300):
        with tempfile.TemporaryDirectory() as scratch:
            found, seconds = peak(_SECOND_HALF, scratch, str(millions * 1_000_000))
        print(f"{millions} M tokens, packed alone: {found:,.0f} MB, {seconds:,.1f} CPU s", flush=True)
        record(f"pack, memory, second half alone, {millions} M tokens", found, "MB")


def long(build: Path, tokenizer: Path) -> None:
    """Peak of one text of LONG_CHARS characters, in windows and whole."""
    with tempfile.TemporaryDirectory() as scratch:
        text, size = [], 0
        for row in documents(build):
            text.append(row["text"])
            size += len(row["text"])
            if size > LONG_CHARS:
                break
        file = Path(scratch, "long.txt")
        file.write_text("\n\n".join(text)[:LONG_CHARS], encoding="utf-8")
        for name, window in (("in windows", 1 << 18), ("whole", LONG_CHARS)):
            found, seconds = peak(_ENCODE, str(tokenizer), str(file), str(window))
            print(f"a text of {LONG_CHARS:,} characters {name}: {found:,.0f} MB, {seconds:,.1f} CPU s")
            record(f"pack, memory, a text of {LONG_CHARS:,} characters, {name}", found, "MB")


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, nargs="+", default=[2, 8])
    parts = ["methods", "kernels", "speed", "long", "second-half", "memory"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    given = parser.parse_args()
    if given.train:
        train(given.build, given.tokenizer)
    for part in given.only:
        if part == "speed":
            speed(given.build, given.tokenizer, given.rounds)
        elif part == "memory":
            memory(given.build, given.tokenizer, given.repeat)
        else:
            others = {"methods": methods, "kernels": kernels, "long": long, "second-half": second_half}
            others[part](given.build, given.tokenizer)


if __name__ == "__main__":
    main()

"""Tokens per second of the local backend, with a model of a real architecture and size and random weights.

    python benchmarks/local_model.py [--shape 0.5b] [--device cpu] [--requests 16] [--prompt 512] [--answer 128]

Speed depends on shapes and not on what weights say. Two figures: tokens read, when only the probabilities of labels are
wanted, and tokens written, when texts are, the reading of their prompts included. Seconds are those of the clock on a
GPU, and CPU seconds of all threads on a CPU, which others may share. Needs the extra `local`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from common import record
from transformers import Qwen2Config, Qwen2ForCausalLM

from examples.quickstart.make_model import train_tokenizer
from synth.local_model import LocalBackend
from synth.requests import Request, Sampling

SHAPES = {  # of Qwen2: hidden, MLP, layers, heads, heads of keys and values, whether both ends share a table
    "tiny": (64, 128, 2, 4, 2, True),
    "0.5b": (896, 4864, 24, 14, 2, True),
    "1.5b": (1536, 8960, 28, 12, 2, True),
    "7b": (3584, 18944, 28, 28, 4, False),
}
VOCABULARY = 151_936
WORDS = ("prime", "circle", "matrix", "limit", "graph", "proof", "lemma", "number", "angle", "function")
WARM_TOKENS = 4


def write_model(folder: Path, shape: str, device: str) -> float:
    """Writes a model with random weights and says how many millions of parameters it has."""
    hidden, inner, layers, heads, few, tied = SHAPES[shape]
    tokenizer = train_tokenizer([" ".join(WORDS)], 512)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=few,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=torch.float32 if device == "cpu" else torch.bfloat16,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config).to(config.dtype)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def requests(number: int, words: int, answer: int) -> list[Request]:
    """Requests of so many words each; `answer` 0 asks for probabilities."""
    rnd = random.Random(number)
    labels = () if answer else ("YES", "NO")
    sampling = Sampling(temperature=1.0, max_tokens=answer or 1)
    texts = (" ".join(rnd.choices(WORDS, k=words)) for _ in range(number))
    return [Request("speed", "speed/en@1", "random", (("user", text),), sampling, labels=labels) for text in texts]


def speed(backend: LocalBackend, asked: list[Request], clock: Callable[[], float]) -> tuple[float, float]:
    """(tokens read, tokens written) per second."""
    start = clock()
    outcomes = asyncio.run(backend.ask(asked))
    seconds = clock() - start
    read, written = sum(o.usage.prompt for o in outcomes), sum(o.usage.completion for o in outcomes)
    return read / seconds, written / seconds


def main() -> None:
    """Reads the command line, measures and records."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=512, help="words of a prompt, about a token each")
    parser.add_argument("--answer", type=int, default=128, help="tokens of an answer")
    parser.add_argument("--dry", action="store_true", help="record nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        millions = write_model(Path(place), options.shape, options.device)
        backend = LocalBackend(Path(place), options.device, options.batch)
        asyncio.run(backend.ask(requests(1, WARM_TOKENS, WARM_TOKENS)))
        clock = time.process_time if options.device == "cpu" else time.perf_counter
        read, _ = speed(backend, requests(options.requests, options.prompt, 0), clock)
        _, written = speed(backend, requests(options.requests, options.prompt, options.answer), clock)
    on = "CPU" if options.device == "cpu" else torch.cuda.get_device_name()
    second = "CPU second" if options.device == "cpu" else "second"
    batch = min(options.batch, options.requests)
    name = f"local model, Qwen2 {options.shape}, {millions:.0f} M parameters, batch {batch}, {on}"
    for kind, value in (("read", read), ("written", written)):
        print(f"{name}: {value:.1f} tokens {kind} per {second}")
        if not options.dry:
            record(f"{name}, {kind}", value, f"tokens per {second}")


if __name__ == "__main__":
    main()

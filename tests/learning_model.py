"""Trains a small Qwen2 model on the toy world, in three CPU minutes: it reads documents that it has not seen.

python tests/learning_model.py FOLDER [--steps N]
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from toy_world import lessons, write_pack
from transformers import Qwen2Config, Qwen2ForCausalLM

from examples.quickstart.make_model import chat, look_back, save, train_tokenizer

SEED = 20
VOCABULARY = 640
SAMPLE = 1_000  # lessons that the tokenizer is trained on
STEPS = 2_000
BATCH = 16  # lessons
POOL = 40  # batches that are drawn at once and sorted by length
WIDTH, LAYERS, HEADS = 96, 2, 8
NEAR_HEADS = 5  # of layer 0, that begin by looking at the tokens just before: else it takes minutes to find out
ROPE_BASE = 1e4
RATE = 4e-3
RATE_AT_LAST = 0.02  # share of RATE
PROMPT_WEIGHT = 0.1  # of a token of the question, against one of the answer: reading is learnt by foretelling, too
IGNORED = -100


def learn(folder: Path, steps: int = STEPS, threads: int = 1) -> None:
    """Trains and writes the model; the same one for the same number of threads."""
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as pack:
        given = lessons(SEED, write_pack(Path(pack)))
    sample = list(itertools.islice(given, SAMPLE))
    tokenizer = train_tokenizer(
        ["\n".join([*(text for _, text in asked), reply]) for asked, reply in sample], VOCABULARY
    )
    model = Qwen2ForCausalLM(_config(tokenizer))
    wide = WIDTH // HEADS
    with torch.no_grad():
        for head in range(NEAR_HEADS):
            own, attention = slice(head * wide, (head + 1) * wide), model.model.layers[0].self_attn
            for projection in (attention.q_proj, attention.k_proj):
                projection.weight[own] = 0
            look_back(attention, own, head + 1, ROPE_BASE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    for step, (ids, labels, mask, weights) in enumerate(itertools.islice(_batches(tokenizer, given), steps)):
        warm, cooled = min(1.0, (step + 1) / 100), 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = RATE * warm * (RATE_AT_LAST + (1 - RATE_AT_LAST) * cooled)
        logits = model(ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="none")
        optimizer.zero_grad()
        loss = (losses * weights[:, 1:].flatten()).sum() / weights[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    save(model, tokenizer, folder)


def _config(tokenizer: Any) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
        initializer_range=WIDTH**-0.5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _batches(tokenizer: Any, given: Iterator[Any]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Tokens, labels, mask and weights, (lessons, positions) each; those of a batch are of like length."""
    while True:
        rows = []
        for asked, reply in itertools.islice(given, BATCH * POOL):
            prompt = chat(tokenizer, asked)
            rows.append((prompt, [*tokenizer(reply, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]))
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        for at in (torch.randperm(POOL) * BATCH).tolist():
            part = rows[at : at + BATCH]
            length = max(len(prompt) + len(reply) for prompt, reply in part)
            ids = torch.full((len(part), length), tokenizer.pad_token_id)
            weights = torch.zeros(ids.shape)
            for number, (prompt, reply) in enumerate(part):
                end = len(prompt) + len(reply)
                ids[number, :end] = torch.tensor(prompt + reply)
                weights[number, :end] = PROMPT_WEIGHT
                weights[number, len(prompt) : end] = 1.0
            yield ids, ids.masked_fill(weights == 0, IGNORED), (weights > 0).long(), weights


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    learn(options.folder, options.steps)


if __name__ == "__main__":
    main()

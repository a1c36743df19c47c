"""Builds a tiny language model that answers given questions as told, with the probabilities that it is told.

    python make_model.py EXAMPLES.jsonl --out FOLDER

Each line of the examples is `{"messages": [{"role": …, "content": …}], "answers": [{"text": …, "weight": …}]}`: when
asked with these messages, the model is to give one of these texts, each as often as its weight says. The result is a
folder like that of any model: Qwen2's architecture and tokenizer, a chat template, float32 weights of some megabytes.
It knows nothing else: it stands in for an instruct model where the pipeline is to be shown or tested and the outcome
known.

Nothing is trained. The least expected cross-entropy over all answers is reached by giving each next token the share
that it has among the answers that begin alike, and weights that do so are computed: layer 0 averages the tokens before
a position, and looks at each of the last few; layer 1 fetches the averages at the tokens that open a message, made such
that questions differ as much as they can. A position of an answer so holds a key to its question and its place in it;
the last MLP, with more random features than there are such positions, is solved for what each is to say.

Needs torch and transformers: pip install 'mathcorpus[local]'.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

Messages = Sequence[tuple[str, str]]  # (role, content)
Example = tuple[Messages, Sequence[tuple[str, float]]]  # and (answer, weight)
Shares = dict[int, float]  # of next tokens

OPEN, CLOSE, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ROPE_BASE = 1e6
SURE = 30.0  # logarithm of how much the token that a head looks for outweighs another
LOUD = 50.0  # logit of a token that is to be said; most others are about 0
FAINT = 1e-4  # differences between questions below this share of the whole are not amplified further
LENGTH = 0.5  # share of the last norm that is what is said, where that is longest
RIDGE = 1e-12  # of the mean square of the features
SPARE = 1.5  # features for each position
ANSWERS_COUNT = 20  # times that an answer counts when the tokenizer is trained: labels become one token

# residual dimensions: a mark on tokens that open a message, then these
TOKENS, AVERAGES, KEYS, NEAR, SAID = 48, 48, 48, 64, 111
HIDDEN = 1 + TOKENS + AVERAGES + KEYS + NEAR + SAID
HEADS = 16
NEAR_HEADS = 8  # of layer 0: each looks at one of the tokens before; the others average
MARK = 0
AT = {}
_first = 1
for _name, _width in (("tokens", TOKENS), ("averages", AVERAGES), ("keys", KEYS), ("near", NEAR), ("said", SAID)):
    AT[_name] = slice(_first, _first + _width)
    _first += _width


@dataclass(frozen=True)
class Fit:
    """How well the examples are known: the largest difference between an answer's weight and its probability."""

    worst: float
    answers: int
    positions: int  # at which the answers have a next token; those that answers begin with alike count once


def build(examples: Sequence[Example], folder: Path, vocabulary: int = 2048, seed: int = 0) -> Fit:
    """Computes a model of the examples, writes it and asks it. The same bytes for the same number of torch's threads.

    ValueError: no examples, an answer without weight, or a question that is asked twice.
    """
    _check(examples)
    torch.manual_seed(seed)
    tokenizer = train_tokenizer([_texts(example) for example in examples], vocabulary)
    prompts = [chat(tokenizer, messages) for messages, _ in examples]
    answers = [_answers(tokenizer, given) for _, given in examples]
    shares = [_shares(given) for given in answers]
    positions = sum(map(len, shares))
    with torch.no_grad():
        lower = Qwen2ForCausalLM(_config(tokenizer, 1))  # without an MLP to speak of, as that is still to be found
        opening = tokenizer.convert_tokens_to_ids(OPEN)
        _look(lower, opening)
        _fetch(lower, prompts, opening)
        states = [_states(lower, prompt, follow) for prompt, follow in zip(prompts, shares, strict=True)]
        model = Qwen2ForCausalLM(_config(tokenizer, int(SPARE * positions) + HIDDEN))
        model.load_state_dict({n: t for n, t in lower.state_dict().items() if ".mlp." not in n}, strict=False)
        _solve(model, torch.cat(states), [here for follow in shares for here in follow.values()])
        worst = max(_errors(model, states, shares, answers))
    save(model, tokenizer, folder)
    return Fit(worst, sum(map(len, answers)), positions)


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Writes what `from_pretrained` and servers read."""
    model.generation_config.do_sample = True  # or servers ignore the temperature
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """Qwen2's tokenizer with merges of these texts.

    Its class replaces the splitting of whatever is loaded as `qwen2`: only a tokenizer that was trained with that same
    splitting reads as it was trained.
    """
    tokenizer = Qwen2Tokenizer(eos_token=CLOSE, pad_token=PAD).train_new_from_iterator(
        texts, vocabulary, new_special_tokens=[OPEN], show_progress=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _check(examples: Sequence[Example]) -> None:
    if not examples:
        msg = "no examples; a model needs at least one question with an answer"
        raise ValueError(msg)
    asked = set()
    for messages, answers in examples:
        question = tuple(map(tuple, messages))
        if question in asked:
            msg = f"asked twice: {question!r}; give all answers to a question in one example"
            raise ValueError(msg)
        asked.add(question)
        if not answers or min(weight for _, weight in answers) <= 0:
            msg = f"an answer without weight: {question!r}; weights are above 0"
            raise ValueError(msg)


def _texts(example: Example) -> str:
    messages, answers = example
    return "\n".join([content for _, content in messages] + [text for text, _ in answers] * ANSWERS_COUNT)


def _config(tokenizer: Any, features: int) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=features,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def chat(tokenizer: Any, messages: Messages) -> list[int]:
    turns = [{"role": role, "content": content} for role, content in messages]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _answers(tokenizer: Any, given: Sequence[tuple[str, float]]) -> list[tuple[list[int], float]]:
    """(tokens, share) of each answer."""
    whole = sum(weight for _, weight in given)
    return [
        ([*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id], weight / whole)
        for text, weight in given
    ]


def _shares(answers: Sequence[tuple[list[int], float]]) -> dict[tuple[int, ...], Shares]:
    """Beginning of an answer -> token that may follow -> share."""
    follow: dict[tuple[int, ...], Shares] = {}
    for says, weight in answers:
        for at, token in enumerate(says):
            here = follow.setdefault(tuple(says[:at]), {})
            here[token] = here.get(token, 0.0) + weight
    return {
        begin: {token: weight / sum(here.values()) for token, weight in here.items()} for begin, here in follow.items()
    }


# --- what a position knows --------------------------------------------------------------------------------------------


def _look(model: Any, opening: int) -> None:
    """Embeddings, and layer 0: averages over the tokens up to a position, and the last few tokens one by one."""
    table = model.model.embed_tokens.weight
    table.zero_()
    table[:, AT["tokens"]] = torch.randn(len(table), TOKENS)
    table[opening, MARK] = HIDDEN**0.5
    layer = model.model.layers[0]
    attention, wide = layer.self_attn, HIDDEN // HEADS
    for parameter in (*attention.parameters(), layer.mlp.down_proj.weight):
        parameter.zero_()
    for head in range(HEADS):
        own = slice(head * wide, (head + 1) * wide)
        if head < NEAR_HEADS:
            look_back(attention, own, head + 1, ROPE_BASE)
        else:  # random distances, so that order matters to an average
            attention.q_proj.bias[own] = torch.randn(wide)
            attention.k_proj.bias[own] = torch.randn(wide)
        attention.v_proj.weight[own, AT["tokens"]] = torch.randn(wide, TOKENS) / TOKENS**0.5
        into = AT["near" if head < NEAR_HEADS else "averages"]
        attention.o_proj.weight[into, own] = torch.randn(into.stop - into.start, wide) / wide**0.5


def look_back(attention: Any, own: slice, distance: int, base: float) -> None:
    """Lets the head whose dimensions are `own` see the token so many positions before, and no other.

    Keys are all alike; the query is as far turned as a key is that comes `distance` earlier. base : of the rotations.
    """
    wide = own.stop - own.start
    turns = base ** (-torch.arange(wide // 2) * 2 / wide)  # radians for each position
    loud = (SURE * wide**0.5 / float((1 - turns.cos()).sum())) ** 0.5  # SURE between neighbours
    angles = distance * turns
    attention.q_proj.bias[own] = loud * torch.cat([angles.cos(), -angles.sin()])
    attention.k_proj.bias[own] = loud * torch.cat([torch.ones(wide // 2), torch.zeros(wide // 2)])


def _fetch(model: Any, prompts: Sequence[list[int]], opening: int) -> None:
    """Attention of layer 1: every position gets the averages at the tokens that open a message, whitened."""
    layer = model.model.layers[1]
    attention, wide = layer.self_attn, HIDDEN // HEADS
    seen = []
    for prompt in prompts:
        [states] = model.model(torch.tensor([prompt]), output_hidden_states=True).hidden_states[1]
        opens = torch.tensor(prompt) == opening
        normal = layer.input_layernorm(states)[opens]
        seen.append(normal[:, AT["averages"]].double().mean(0))
    table = torch.stack(seen)
    middle = table.mean(0)
    _, scale, directions = torch.linalg.svd(table - middle, full_matrices=False)
    spread = (scale / len(prompts) ** 0.5).clamp(min=FAINT * float(table.norm(dim=1).mean()))
    whitening = directions / spread[:, None]
    for parameter in attention.parameters():
        parameter.zero_()
    for head in range(HEADS):
        slowest = head * wide + wide // 2 - 1  # the pair that positions hardly turn
        attention.q_proj.bias[slowest] = wide**0.5
        attention.k_proj.weight[slowest, MARK] = SURE / float(normal[:, MARK].min())
    rank = len(whitening)
    attention.v_proj.weight[:rank, AT["averages"]] = whitening.float()
    attention.v_proj.bias[:rank] = -(whitening @ middle).float()
    attention.o_proj.weight[AT["keys"], :KEYS] = torch.eye(KEYS)


# --- what it says -----------------------------------------------------------------------------------------------------


def _solve(model: Any, states: torch.Tensor, wanted: Sequence[Shares]) -> None:
    """The last MLP: random features, and the weights with which they say what is wanted of each of the states."""
    layer = model.model.layers[1]
    for part in (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight):
        part.normal_(std=HIDDEN**-0.5)
    for each in model.model.layers:
        each.mlp.down_proj.weight.zero_()
    codes = torch.nn.functional.normalize(torch.randn(model.config.vocab_size, SAID), dim=1)
    said = torch.stack([_code(codes, here) for here in wanted])
    # the last norm divides by a length that what is added is part of: its share of it is the same everywhere
    loud = float(said.norm(dim=1).max()) / (LENGTH * HIDDEN) ** 0.5
    said = said / loud
    rest = HIDDEN - said.square().sum(1, keepdim=True)
    added = said * (states.double().square().sum(1, keepdim=True) / rest).sqrt()
    inner = layer.post_attention_layernorm(states)
    features = (layer.mlp.act_fn(layer.mlp.gate_proj(inner)) * layer.mlp.up_proj(inner)).double()
    products = features @ features.T
    products.diagonal().add_(RIDGE * float(products.diagonal().mean()))
    solved = features.T @ torch.cholesky_solve(added, torch.linalg.cholesky(products))
    layer.mlp.down_proj.weight[AT["said"]] = solved.T.float()
    model.lm_head.weight.zero_()
    model.lm_head.weight[:, AT["said"]] = codes * loud


def _states(model: Any, prompt: list[int], follow: dict[tuple[int, ...], Shares]) -> torch.Tensor:
    """What the last MLP gets at each beginning of an answer, (beginnings, hidden)."""
    found = {}
    begins = set(follow)
    longest = [begin for begin in follow if not any((*begin, token) in begins for token in follow[begin])]
    for begin in longest:
        with _Kept(model.model.layers[1].post_attention_layernorm) as kept:
            model.model(torch.tensor([prompt + list(begin)]))
        for at in range(len(begin) + 1):
            found[begin[:at]] = kept.states[0, len(prompt) - 1 + at]
    return torch.stack([found[begin] for begin in follow])


class _Kept:
    """Keeps what a module gets, while it is open."""

    states: torch.Tensor

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    def __enter__(self) -> _Kept:
        self._hook = self._module.register_forward_pre_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def _keep(self, _: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self.states = given[0]


def _code(codes: torch.Tensor, here: Shares) -> torch.Tensor:
    """The shortest vector whose products with the codes of these tokens are the logarithms of their shares, LOUD."""
    logits = torch.tensor([LOUD], dtype=torch.double) + torch.tensor(list(here.values()), dtype=torch.double).log()
    return torch.linalg.lstsq(codes[list(here)].double(), logits[:, None], driver="gelsd").solution[:, 0]


def _errors(
    model: Any,
    states: Sequence[torch.Tensor],
    shares: Sequence[dict[tuple[int, ...], Shares]],
    answers: Sequence[Sequence[tuple[list[int], float]]],
) -> Iterator[float]:
    """How far the probability of each answer is from its share."""
    layer = model.model.layers[1]
    for given, here, follow in zip(answers, states, shares, strict=True):
        whole = here + layer.mlp(layer.post_attention_layernorm(here))
        chances = torch.log_softmax(model.lm_head(model.model.norm(whole)).double(), -1)
        rows = dict(zip(follow, chances, strict=True))
        for says, weight in given:
            chance = sum(float(rows[tuple(says[:at])][token]) for at, token in enumerate(says))
            yield abs(math.exp(chance) - weight)


def read_examples(path: Path) -> list[Example]:
    """The examples of a file of JSON lines."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [
        ([(m["role"], m["content"]) for m in row["messages"]], [(a["text"], a["weight"]) for a in row["answers"]])
        for row in rows
    ]


def main() -> None:
    """Reads the command line, builds the model and says how well it fits."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("examples", type=Path, help="JSON lines of messages and answers")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    options = parser.parse_args()
    fit = build(read_examples(options.examples), options.out)
    print(f"{fit.answers} answers, {fit.positions} positions; no probability is off by more than {fit.worst:.1e}")


if __name__ == "__main__":
    main()

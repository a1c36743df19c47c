"""A transformers model in this process as a backend: chat template, greedy and sampled answers, exact probabilities.

The only file that imports torch and transformers. A group is answered in batches of prompts of about one length. Each
request draws from a generator of its own seed, so that an answer does not depend on what else is in its batch, as far
as the arithmetic of the model does not. Texts are decoded without special tokens.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filters.errors import InputError, UsageError
from synth.backend import EMPTY, TOO_LONG, CallFailedError, Capabilities
from synth.requests import Outcome, Request, Usage

BATCH = 16  # prompts computed together

_GROUP = 8  # batches' worth of requests that one call takes, to sort them by length
_TAIL = 16  # tokens in which a text that ends an answer is looked for
_WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model", "*.jinja")


class LocalBackend:
    """One model of a folder. Asked with one call at a time: a call is a batch already."""

    def __init__(self, folder: Path, device: str | None = None, batch: int = BATCH) -> None:
        """device : as torch names it; None for a GPU where there is one. InputError for what is no model.

        On a GPU weights have the type that they are stored in; on a CPU they are float32.
        """
        if find_spec("torch") is None or find_spec("transformers") is None:
            msg = "a local model needs torch and transformers; install them with: pip install 'mathcorpus[local]'"
            raise UsageError(msg)
        if not (folder / "config.json").is_file():
            msg = f"{folder}: no config.json; name the folder of a transformers model"
            raise InputError(msg)
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        kind = torch.float32 if self._device == "cpu" else "auto"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            loaded = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=kind)
            self._net = loaded.to(self._device).eval()
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            msg = f"{folder}: no model that transformers can load ({' '.join(str(error).split())[:200]})"
            raise InputError(msg) from error
        self._batch = batch
        self._ends = _ends(self._net.generation_config.eos_token_id, self._tokenizer.eos_token_id)
        self._context = int(getattr(self._net.config, "max_position_embeddings", 0))
        self.model = name_of(folder)
        self.capabilities = Capabilities(
            model=self.model,
            chat=self._tokenizer.chat_template is not None,
            completions=True,
            prompt_lists=True,
            n=batch * _GROUP,
            seed=True,
            stop=True,
            logprobs=True,
            context=self._context,
        )

    async def open(self) -> None:
        """Makes calls of the running event loop wait for each other."""
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        """Nothing to close."""

    def joins(self, group: Sequence[Request], request: Request) -> bool:  # noqa: ARG002 - any request may join
        """As many as are worth sorting by length."""
        return len(group) < self._batch * _GROUP

    def remedy(self, failed: CallFailedError) -> str:
        """There is no call that fails."""
        return failed.kind

    async def ask(self, group: Sequence[Request]) -> list[Outcome]:
        """The outcomes of a group, in order."""
        async with self._turn:
            return await asyncio.to_thread(self._answer, group)

    def render(self, messages: tuple[tuple[str, str], ...]) -> str:
        """The text that the model is shown, by its chat template; joined by empty lines where it has none."""
        if self._tokenizer.chat_template is None:
            return "\n\n".join(text for _, text in messages)
        said = [{"role": role, "content": text} for role, text in messages]
        return str(self._tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True))

    def _answer(self, group: Sequence[Request]) -> list[Outcome]:
        import torch

        templated = self._tokenizer.chat_template is not None
        prompts = [
            self._tokenizer(self.render(request.messages), add_special_tokens=not templated)["input_ids"]
            for request in group
        ]
        outcomes: dict[int, Outcome] = {}
        for place, (request, prompt) in enumerate(zip(group, prompts, strict=True)):
            room = 1 if request.labels else request.sampling.max_tokens
            if self._context and len(prompt) + room > self._context:
                outcomes[place] = Outcome(failure=TOO_LONG, model=self.model)
        with torch.inference_mode():
            for places in self._batches(group, prompts, outcomes):
                asked, shown = [group[p] for p in places], [prompts[p] for p in places]
                found = (self._score if asked[0].labels else self._write)(asked, shown)
                outcomes |= zip(places, found, strict=True)
        return [outcomes[place] for place in range(len(group))]

    def _batches(
        self, group: Sequence[Request], prompts: Sequence[list[int]], done: dict[int, Outcome]
    ) -> Iterator[list[int]]:
        """Places of a group by batch: probabilities and texts apart, and by length."""
        for scored in (True, False):
            places = [p for p, r in enumerate(group) if bool(r.labels) is scored and p not in done]
            places.sort(key=lambda p: (len(prompts[p]), group[p].sampling.max_tokens))
            yield from (places[at : at + self._batch] for at in range(0, len(places), self._batch))

    # --- probabilities ------------------------------------------------------------------------------------------------

    def _score(self, requests: Sequence[Request], prompts: Sequence[list[int]]) -> list[Outcome]:
        """The log-probability that each label's tokens come next."""
        first = self._next_logprobs(prompts).cpu()
        found = []
        for row, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            tops: dict[tuple[int, ...], tuple[str, float]] = {}
            for label in request.labels:
                tokens = self._tokenizer(label, add_special_tokens=False)["input_ids"]
                value = float(first[row, tokens[0]]) + self._rest(prompt, tokens)
                tops.setdefault(tuple(tokens), (label, value))  # spellings that are the same tokens count once
            usage = Usage(len(prompt), 0, 1)
            found.append(Outcome(None, "length", usage, tuple(tops.values()), model=self.model))
        return found

    def _rest(self, prompt: list[int], tokens: list[int]) -> float:
        """The log-probability of the tokens of a label after the first, given all before."""
        befores = [prompt + tokens[:end] for end in range(1, len(tokens))]
        if not befores:
            return 0.0
        return sum(float(row[token]) for row, token in zip(self._next_logprobs(befores), tokens[1:], strict=True))

    def _next_logprobs(self, prompts: Sequence[list[int]]) -> Any:
        """(prompts, vocabulary) float32."""
        import torch

        ids, mask = self._padded(prompts)
        logits = self._forward(ids, mask, None).logits[:, -1]
        return torch.log_softmax(logits.float(), dim=-1)

    # --- texts --------------------------------------------------------------------------------------------------------

    def _write(self, requests: Sequence[Request], prompts: Sequence[list[int]]) -> list[Outcome]:
        """Texts of a batch, a token at a time, until each has ended."""
        import torch

        ids, mask = self._padded(prompts)
        drawers = [torch.Generator().manual_seed(request.draw) for request in requests]
        written: list[list[int]] = [[] for _ in requests]
        finishes = [""] * len(requests)
        cache = None
        while not all(finishes):
            told = self._forward(ids, mask, cache)
            cache = told.past_key_values
            tokens = _draw(told.logits[:, -1].float(), requests, drawers)
            for row, token in enumerate(tokens):
                if not finishes[row]:
                    finishes[row] = self._finish(requests[row], written[row], token)
            ids = torch.tensor(tokens, device=self._device)[:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        return [self._outcome(*row) for row in zip(requests, prompts, written, finishes, strict=True)]

    def _finish(self, request: Request, written: list[int], token: int) -> str:
        """Adds a token to what is written; why the answer ends with it, if it does."""
        if token in self._ends:
            return "stop"
        written.append(token)
        if request.sampling.stop:
            tail = self._tokenizer.decode(written[-_TAIL:])
            if any(stop in tail for stop in request.sampling.stop):
                return "stop"
        return "length" if len(written) >= request.sampling.max_tokens else ""

    def _outcome(self, request: Request, prompt: list[int], written: list[int], finish: str) -> Outcome:
        text = self._tokenizer.decode(written, skip_special_tokens=True)
        for stop in request.sampling.stop:
            text = text.partition(stop)[0]
        failure = "" if text and not text.isspace() else EMPTY
        usage = Usage(len(prompt), 0, len(written))
        return Outcome(text, finish, usage, failure=failure, model=self.model)

    # --- the model ----------------------------------------------------------------------------------------------------

    def _padded(self, prompts: Sequence[list[int]]) -> tuple[Any, Any]:
        """Ids and mask, both (prompts, longest), padded on the left: the last position is the last of every prompt."""
        import torch

        longest = max(map(len, prompts))
        ids = torch.zeros((len(prompts), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        return ids.to(self._device), mask.to(self._device)

    def _forward(self, ids: Any, mask: Any, cache: Any) -> Any:
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        return self._net(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )


def _draw(logits: Any, requests: Sequence[Request], drawers: Sequence[Any]) -> list[int]:
    """The next token of each row of (rows, vocabulary) logits: the likeliest at temperature 0, otherwise one of the
    likeliest that have `top_p` of the probability together, drawn with one number of the row's own generator.
    """
    import torch

    likeliest = logits.argmax(dim=-1)
    if all(request.sampling.temperature == 0 for request in requests):
        return [int(token) for token in likeliest]
    heat = torch.tensor([request.sampling.temperature or 1.0 for request in requests], device=logits.device)
    kept = torch.tensor([request.sampling.top_p for request in requests], device=logits.device)
    shares, order = torch.softmax(logits / heat[:, None], dim=-1).double().sort(descending=True, stable=True)
    shares = torch.where(shares.cumsum(dim=-1) - shares < kept[:, None], shares, 0.0)
    sums = shares.cumsum(dim=-1)
    drawn = torch.cat([torch.rand(1, generator=drawer, dtype=torch.float64) for drawer in drawers]).to(logits.device)
    places = (sums <= (drawn * sums[:, -1])[:, None]).sum(dim=-1, keepdim=True).clamp(max=sums.shape[1] - 1)
    tokens = order.gather(1, places)[:, 0]
    return [
        int(greedy if request.sampling.temperature == 0 else token)
        for request, greedy, token in zip(requests, likeliest, tokens, strict=True)
    ]


def _ends(*given: int | list[int] | None) -> frozenset[int]:
    """The tokens that end an answer."""
    return frozenset(one for ids in given for one in ([ids] if isinstance(ids, int) else ids or []))


def name_of(folder: Path) -> str:
    """The name of a local model, with a digest of its files: other weights in the same folder are another model."""
    return f"{folder.name}@{_digest(folder)}"


def _digest(folder: Path) -> str:
    """12 hex digits of all files that decide what the model says: another model in the same folder is another."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)}):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()

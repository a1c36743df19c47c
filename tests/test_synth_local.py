"""The local backend: what it says is what the model computes, whatever stands in the same batch."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the local extra is not installed")
transformers = pytest.importorskip("transformers", reason="the local extra is not installed")

from filters.errors import InputError  # noqa: E402 - after the skips
from synth.engine import Options, answer_all, resolve  # noqa: E402
from synth.journal import Journal  # noqa: E402
from synth.local_model import LocalBackend  # noqa: E402
from synth.requests import Outcome, Request, Sampling  # noqa: E402

pytestmark = pytest.mark.slow

TEXTS = ["Find $x$.", "What is 2 + 3, and why?", "求 $x^2=4$ 的解。", "A train leaves at noon. " * 6]
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2 of random weights, with a byte-level tokenizer trained on the spot."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    built.train_from_iterator([*TEXTS * 5, "YES NO"], trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=built, eos_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(7)
    torch.set_num_threads(1)  # two that wait for each other on a busy machine are slower than one
    config = transformers.Qwen2Config(
        vocab_size=400, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.3, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer.save_pretrained(place)
    transformers.Qwen2ForCausalLM(config).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> LocalBackend:
    return LocalBackend(folder, device="cpu", batch=4)


def request(text: str, **more: Any) -> Request:
    return Request("t", "p@1", "tiny", (("user", text),), **{"sampling": Sampling(max_tokens=12), **more})


def ask(model: LocalBackend, plan: list[Request]) -> list[Outcome]:
    return asyncio.run(model.ask(plan))


def test_greedy_is_what_transformers_generates(model: LocalBackend, folder: Path) -> None:
    """Token for token, in a batch with others of other lengths, through the chat template."""
    net = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    expected = []
    for text in TEXTS:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        said = net.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids["input_ids"].shape[1] :]
        expected.append(tokenizer.decode(said, skip_special_tokens=True))

    assert [outcome.text for outcome in ask(model, [request(text) for text in TEXTS])] == expected


def test_probabilities_are_those_of_the_model(model: LocalBackend, folder: Path) -> None:
    """Labels of one token and of several, in one batch: the closed form within 1e-5."""
    net = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    labels = ("YES", "N", "Yes, sir")
    worst = 0.0
    for text, outcome in zip(TEXTS, ask(model, [request(text, labels=labels) for text in TEXTS]), strict=True):
        for label, found in outcome.tops:
            ids = tokenizer(f"<|user|>{text}<|end|><|assistant|>")["input_ids"]
            own = tokenizer(label)["input_ids"]
            logits = net(torch.tensor([ids + own])).logits[0].detach().log_softmax(-1)
            wanted = sum(float(logits[len(ids) + k - 1, token]) for k, token in enumerate(own))
            worst = max(worst, abs(math.exp(found) - math.exp(wanted)) / math.exp(wanted))

    assert [label for label, _ in outcome.tops] == list(labels)
    assert worst < 1e-4


def test_a_sample_depends_on_its_seed_and_on_nothing_else(model: LocalBackend) -> None:
    """The same alone and among others; other samples, seeds and attempts differ."""
    drawn = Sampling(temperature=1.0, top_p=0.95, max_tokens=12)
    plan = [request(text, sampling=drawn, sample=k) for text in TEXTS for k in range(3)]
    together = ask(model, plan)

    assert [ask(model, [one])[0].text for one in plan] == [outcome.text for outcome in together]
    assert len({outcome.text for outcome in together}) == len(plan)
    assert ask(model, [replace(plan[0], seed=9)])[0].text != together[0].text


def test_samples_have_the_probabilities_of_the_model(model: LocalBackend) -> None:
    """300 first tokens: the share of the commonest that is a letter within four standard deviations of its probability."""
    said = ask(
        model, [request("Find $x$.", sampling=Sampling(temperature=1.0, max_tokens=1), sample=k) for k in range(300)]
    )
    texts = [str(outcome.text) for outcome in said]
    likeliest = max(sorted({text for text in texts if text.isascii() and text.isalpha()}), key=texts.count)
    [scored] = ask(model, [request("Find $x$.", labels=(likeliest,))])
    share = math.exp(scored.tops[0][1])

    assert abs(texts.count(likeliest) / 300 - share) < 4 * math.sqrt(share * (1 - share) / 300)


def test_an_answer_ends_where_it_was_told_to(model: LocalBackend) -> None:
    """A text that ends it is not part of it; tokens are counted."""
    [whole] = ask(model, [request(TEXTS[0])])
    stop = str(whole.text)[4:6]
    [cut] = ask(model, [request(TEXTS[0], sampling=Sampling(max_tokens=12, stop=(stop,)))])

    assert (whole.finish, whole.usage.completion) == ("length", 12)
    assert (cut.finish, cut.text) == ("stop", str(whole.text).partition(stop)[0])


def test_a_document_longer_than_the_context_has_its_end(model: LocalBackend) -> None:
    """And takes no other of its group with it; through the engine, twice the same."""
    plan = [request(TEXTS[0]), request("long " * 300), request(TEXTS[1], labels=("YES",))]
    with Journal(None) as journal:
        counted = answer_all(plan, model, journal, lambda *_: "", Options(concurrency=1))
        ends = [resolve(one, journal, lambda *_: "", 0)[1].failure for one in plan]

    assert (counted.answered, counted.failures) == (2, {"context_too_long": 1})
    assert ends == ["", "context_too_long", ""]


def test_a_batch_is_faster_than_one_by_one(folder: Path) -> None:
    """At least twice, in CPU time."""
    seconds = []
    plan = [request(f"{n} {TEXTS[1]}", labels=("YES", "NO")) for n in range(128)]
    for batch in (1, 32):
        model = LocalBackend(folder, device="cpu", batch=batch)
        started = time.process_time()
        ask(model, plan)
        seconds.append(time.process_time() - started)

    assert seconds[1] < seconds[0] / 2


def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    """A folder without a model, and one with half of one."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text('{"model_type": "qwen2"}')

    for folder in (tmp_path, tmp_path / "half"):
        with pytest.raises(InputError) as told:
            LocalBackend(folder)
        assert "\n" not in str(told.value)

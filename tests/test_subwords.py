"""Tokenizers: text stays text, long texts are encoded in windows as if they were whole, errors are one line."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizer import EOS, TEXTS, save, train
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from filters.errors import InputError, UsageError
from filters.subwords import Subwords, check_end, find_end, from_hub


def bytes_of(tokenizer: Any, tmp: Path, **changes: Any) -> bytes:
    return save(tmp / "tokenizer.json", tokenizer, **changes).read_bytes()


@pytest.fixture(scope="module")
def data() -> bytes:
    return train().to_str().encode()


def whole(data: bytes, text: str) -> list[int]:
    """The slow twin: all at once."""
    ids: list[int] = Tokenizer.from_str(data.decode()).encode(text, add_special_tokens=False).ids
    return ids


def test_ids_are_those_of_the_library(data: bytes) -> None:
    """Of texts in a batch, one of them empty, in their order; `counts` are their numbers."""
    subwords = Subwords(data, "t")
    texts = [*TEXTS, "", "a"]

    assert [ids.tolist() for ids in subwords.ids(texts)] == [whole(data, text) for text in texts]
    assert subwords.counts(texts) == [len(whole(data, text)) for text in texts]


def word_level() -> dict[str, Any]:
    """Tokenizers of other kinds: what stands before the model decides where words begin."""
    found = {}
    for name, before, model, trainer in (
        ("prefix", pre_tokenizers.ByteLevel(add_prefix_space=True), models.BPE(), trainers.BpeTrainer),
        ("metaspace", pre_tokenizers.Metaspace(), models.BPE(unk_token="?"), trainers.BpeTrainer),
        ("bert", pre_tokenizers.BertPreTokenizer(), models.WordPiece(unk_token="?"), trainers.WordPieceTrainer),
        ("unigram", pre_tokenizers.Metaspace(), models.Unigram(), trainers.UnigramTrainer),
        ("no words", None, models.BPE(unk_token="?"), trainers.BpeTrainer),
    ):
        tokenizer = Tokenizer(model)
        if before is not None:
            tokenizer.pre_tokenizer = before
        if name == "bert":
            tokenizer.normalizer = normalizers.NFKC()
        more = {"unk_token": "?"} if name == "unigram" else {}
        tokenizer.train_from_iterator(TEXTS, trainer(vocab_size=500, special_tokens=["?"], show_progress=False, **more))
        found[name] = tokenizer
    return found


@pytest.mark.parametrize("name", ["byte level", "prefix", "metaspace", "bert", "unigram", "no words"])
def test_windows_give_the_ids_of_the_whole(name: str, data: bytes) -> None:
    """A text that is many windows long, with words, digits, spaces and Chinese at their borders."""
    data = data if name == "byte level" else word_level()[name].to_str().encode()
    rng = random.Random(3)
    parts = [rng.choice([*TEXTS, "\n\n   \n", " 1234567 ", "é́", "求解", "don't", "$\\frac{a}{b}$"]) for _ in range(200)]
    text = rng.choice(["", " "]).join(parts)
    subwords = Subwords(data, "t", window=600)

    assert subwords.ids([text])[0].tolist() == whole(data, text)
    assert subwords._in_windows(text) is None or name != "no words"


_TRAINED = train().to_str().encode()
_RUN = st.tuples(st.sampled_from(["a", "b ", " ", "\n", "1", "12", "é", "求", "<|", "prime "]), st.integers(1, 120))


@settings(max_examples=60)
@given(st.lists(_RUN, min_size=5, max_size=40))
def test_windows_of_odd_texts(runs: list[tuple[str, int]]) -> None:
    """Runs of digits, spaces and letters, some longer than what windows share; then the text is encoded whole."""
    data, text = _TRAINED, "".join(one * count for one, count in runs)

    assert Subwords(data, "t", window=256).ids([text])[0].tolist() == whole(data, text)


def test_windows_are_joined_and_not_given_up(data: bytes) -> None:
    """The usual text is never encoded whole: that would need memory for all of it."""
    text = " ".join(TEXTS)

    assert Subwords(data, "t", window=1000)._in_windows(text) is not None
    assert Subwords(data, "t", window=1000)._in_windows("a" * 5000) is None


@pytest.mark.parametrize("special", [True, False])
def test_a_special_token_in_a_text_stays_text(special: bool, tmp_path: Path) -> None:
    """Also where the file does not call it special: what a page writes ends no document."""
    tokenizer = train(special=(EOS, "<|im_start|>"))
    added = [
        {"id": n, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special or n > 0}
        for n, c in enumerate((EOS, "<|im_start|>"))
    ]  # fmt: skip
    data = bytes_of(tokenizer, tmp_path, added_tokens=added)
    subwords = Subwords(data, "t", EOS)
    text = f"one{EOS}two <|im_start|> {EOS}"

    [ids] = subwords.ids([text])

    assert check_end(subwords) == 0
    assert set(ids.tolist()) & {0, 1} == set()
    assert tokenizer.decode(ids.tolist(), skip_special_tokens=False) == text


def test_what_a_file_asks_for_beside_ids_is_left_out(tmp_path: Path) -> None:
    """No truncation, no padding, no template, no dropout."""
    tokenizer = train()
    plain = Subwords(tokenizer.to_str().encode(), "t").ids(TEXTS[:3])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    data = bytes_of(tokenizer, tmp_path)
    data = data.replace(b'"dropout":null', b'"dropout":0.5')

    assert b'"dropout":0.5' in data
    assert all(np.array_equal(a, b) for a, b in zip(Subwords(data, "t").ids(TEXTS[:3]), plain, strict=True))


def test_a_lone_surrogate_is_replaced(data: bytes) -> None:
    """Which the library refuses."""
    assert Subwords(data, "t").counts(["a\ud800b"]) == Subwords(data, "t").counts(["a?b"])


def test_the_end_of_text_is_said_or_known_or_asked_for(data: bytes, tmp_path: Path) -> None:
    """What stands beside the tokenizer wins; without any the special tokens are named."""
    subwords = Subwords(data, "t")
    other = Subwords(train(special=("[CLS]", "[SEP]")).to_str().encode(), "t")

    assert find_end(subwords, ()) == EOS
    assert find_end(subwords, ("a",)) == "a"
    with pytest.raises(
        UsageError, match=r"^t: has no token that is known to end a text; name it with --eos .*\[CLS\], \[SEP\]"
    ):
        find_end(other, ())
    with pytest.raises(UsageError, match=r"^t: has no token '</s>'; name one of its own with --eos"):
        check_end(Subwords(data, "t", "</s>"))
    with pytest.raises(UsageError, match=r"^t: makes its end-of-text token of the text 'a'; name another with --eos"):
        check_end(Subwords(data, "t", "a"))


def test_the_size_of_a_token_follows_the_largest_id(data: bytes, tmp_path: Path) -> None:
    """65,536 ids fit in two bytes, wherever the vocabulary has holes."""
    for largest, size in ((65_535, 2), (65_536, 4)):
        added = [{"id": largest, "content": "<far>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]  # fmt: skip
        tokenizer = train()
        vocabulary = {**tokenizer.get_vocab(), "<far>": largest}
        model = {"type": "BPE", "vocab": vocabulary, "merges": []}
        found = Subwords(bytes_of(tokenizer, tmp_path, model=model, added_tokens=added), "t")

        assert (found.largest, found.token_bytes) == (largest, size)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"model": {"type": "none"}}', b"\x00\xff"])
def test_what_is_no_tokenizer_is_one_line(data: bytes) -> None:
    """Whatever it is instead."""
    with pytest.raises(
        InputError, match=r"^t: is no tokenizer\.json that the tokenizers library reads \(.*\)$"
    ) as caught:
        Subwords(data, "t")

    assert "\n" not in str(caught.value)


def test_a_name_that_the_hub_does_not_give_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, or no such name: what to give instead."""

    def fails(_name: str) -> None:
        msg = "no network.\nand more"
        raise OSError(msg)

    monkeypatch.setattr(Tokenizer, "from_pretrained", fails, raising=False)
    with pytest.raises(
        UsageError, match=r"^org/name: is no file here, and the hub does not give it \(no network\); give"
    ):
        from_hub("org/name")


def test_a_name_of_the_hub_is_its_tokenizer(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library brings from there encodes as the file does."""
    monkeypatch.setattr(Tokenizer, "from_pretrained", lambda _name: Tokenizer.from_str(data.decode()), raising=False)
    brought = Subwords(from_hub("org/name"), "org/name")

    assert brought.counts(TEXTS) == Subwords(data, "t").counts(TEXTS)

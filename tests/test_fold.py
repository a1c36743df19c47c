"""The folded model: fastText's own answers on any text, for every loss; what it refuses; the preparation of recall."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import fasttext
import naive_density
import naive_fold
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import density
from filters.classifier import prepare
from filters.errors import InputError
from filters.fold import Fold, fold, load_fold
from filters.fold_file import SOFTMAX, BinFile, read_bin
from filters.text import pack, tokenise

EQUAL = 2e-5  # asked for; half of it is what fastText adds to a probability
STEP = 16 / 512 / 4 + EQUAL  # of the table of sigmoids, where its slope is steepest

WORDS = ["alpha", "beta", "定理", "x", "looooooooooong", "looooooooooonh", "é", "the", "theorem", "12", "π", "</s"]
SETTINGS: dict[str, dict[str, Any]] = {
    "two labels": {"labels": 2, "dim": 16, "wordNgrams": 3},
    "words alone": {"labels": 2, "dim": 4, "wordNgrams": 1},
    "character n-grams": {"labels": 2, "dim": 8, "wordNgrams": 2, "minn": 2, "maxn": 4},
    "single characters": {"labels": 3, "dim": 8, "wordNgrams": 1, "minn": 1, "maxn": 2},
    "five labels": {"labels": 5, "dim": 8, "wordNgrams": 2},
    "hierarchical": {"labels": 5, "dim": 8, "wordNgrams": 3, "loss": "hs"},
    "one vs all": {"labels": 3, "dim": 8, "wordNgrams": 2, "loss": "ova"},
    "negative sampling": {"labels": 3, "dim": 8, "wordNgrams": 2, "loss": "ns"},
}
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.one_of(
            st.sampled_from([*WORDS, "__label__1", "__label__other", "</s>", "\n", "\0", "\v", "unseen", "__label_"]),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        ),
        max_size=40,
    ).map(" ".join),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """A model of each kind, as fastText loads it, and its file."""
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name, given_settings in SETTINGS.items():
        wanted = dict(given_settings)
        count = wanted.pop("labels")
        lines = [
            f"__label__{n % count} " + " ".join(WORDS[(n * k + n % count) % len(WORDS)] for k in range(1, 9))
            for n in range(60)
        ]
        (folder / "examples.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        # twelve threads: with fewer than ten fastText leaves memory as it finds it
        model = fasttext.train_supervised(
            str(folder / "examples.txt"), **wanted, bucket=1000, lr=0.5, epoch=20, minCount=2, thread=12, verbose=0
        )
        model.save_model(str(folder / f"{name}.bin"))
        made[name] = model, folder / f"{name}.bin"
    return made


def asked(model: Any, text: str, labels: tuple[str, ...]) -> list[float]:
    """What fastText says, 0 for labels that it leaves out; a line break ends its text, so there is none."""
    line = " ".join(text.encode("utf-8", "replace").decode().split("\n")) + "\n"
    told = {label: p for p, label in model.f.predict(line, len(labels), 0.0, "strict")}
    return [told.get(label, 0.0) for label in labels]


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_any_text_is_answered_as_fasttext_answers(
    name: str, models: dict[str, tuple[Any, Path]], texts: list[str]
) -> None:
    """Every label of every text, for all losses, n-grams of words and characters, labels and line ends in the text."""
    model, path = models[name]
    folded = load_fold(path)
    expected = np.array([asked(model, text, folded.labels) for text in texts])

    apart = np.abs(folded.predict(texts) - expected).max()

    assert apart <= (STEP if SETTINGS[name].get("loss") in ("ova", "ns") else EQUAL)


def test_real_documents_are_answered_as_fasttext_answers(shared_data: Path, tmp_path: Path) -> None:
    """Seeds of both labels, short and long, by a model that was trained on others of them."""
    rows = {}
    for name in ("positive", "negative"):
        with gzip.open(shared_data / "raw" / "seeds" / f"{name}.jsonl.gz") as lines:
            rows[name] = [" ".join(json.loads(line)["text"].split()) for line in lines][::20]
    examples = [f"__label__{name} {text}" for name, texts in rows.items() for text in texts[::2]]
    (tmp_path / "examples.txt").write_text("\n".join(examples), encoding="utf-8")
    model = fasttext.train_supervised(
        str(tmp_path / "examples.txt"), dim=16, wordNgrams=3, minn=3, maxn=4, bucket=20_000, thread=12, verbose=0
    )
    model.save_model(str(tmp_path / "m.bin"))
    folded = load_fold(tmp_path / "m.bin")
    texts = [text for side in rows.values() for text in side[1::2]]
    expected = np.array([asked(model, text, folded.labels) for text in texts])

    assert len(texts) > 250
    assert np.abs(folded.predict(texts) - expected).max() <= EQUAL


@pytest.mark.parametrize("name", SETTINGS)
def test_the_file_is_read_as_fasttext_reads_it(name: str, models: dict[str, tuple[Any, Path]]) -> None:
    """Words, labels and both matrices."""
    model, path = models[name]
    held = read_bin(path)

    assert [word.decode() for word in held.words] == model.get_words()
    assert list(held.labels) == model.get_labels()
    assert np.array_equal(held.inputs, model.get_input_matrix())
    assert np.array_equal(held.outputs, model.get_output_matrix())


def made_up(buckets: int, ngrams: int, maxn: int, labels: int, words: list[bytes]) -> BinFile:
    """A model that nobody trained, with large random weights."""
    generator = np.random.default_rng(buckets)
    inputs = generator.normal(size=(len(words) + buckets, 3)).astype(np.float32)
    outputs = generator.normal(size=(labels, 3)).astype(np.float32)
    names = tuple(f"__label__{n}" for n in range(labels))
    return BinFile(tuple(words), names, (3,) * labels, inputs, outputs, buckets, ngrams, 1, maxn, SOFTMAX)


@settings(max_examples=150, deadline=None)
@given(
    buckets=st.sampled_from([1, 2, 3, 7, 64, 100, 4097]),
    ngrams=st.integers(1, 5),
    maxn=st.sampled_from([0, 1, 3]),
    labels=st.sampled_from([2, 4]),
    words=st.lists(st.sampled_from([w.encode() for w in [*WORDS, "</s>", "abcdefgh", "abcdefghi"]]), unique=True),
    text=st.one_of(TEXTS.map(lambda t: t.encode("utf-8", "replace")), st.binary(max_size=40)),
)
def test_the_kernels_add_the_rows_that_the_plain_twin_adds(
    buckets: int, ngrams: int, maxn: int, labels: int, words: list[bytes], text: bytes
) -> None:
    """Any dictionary, any number of buckets, any bytes."""
    held = made_up(buckets, ngrams, maxn, labels, words)
    means = naive_fold.means(text, held)
    shares = np.exp(means - means.max()) / np.exp(means - means.max()).sum() + 1e-5

    assert np.allclose(fold(held).predict([text])[0], np.nan_to_num(shares), atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_prepared_tokens_score_as_the_prepared_text(models: dict[str, tuple[Any, Path]], texts: list[str]) -> None:
    """Training sees a string and scoring sees tokens; both are the plain twin's."""
    folded: Fold = load_fold(models["two labels"][1])
    strings = prepare(texts)
    tokens = tokenise(pack(texts), spans=False)

    assert strings == [naive_fold.prepare(text) for text in texts]
    assert np.array_equal(folded.predict_tokens(tokens), folded.predict(strings))


def test_the_preparation_masks_numbers_and_drops_long_tokens() -> None:
    """Chinese by character, no line breaks, every number one sign, nothing above 40 bytes."""
    text = "Let $x_1 = 3.14$\nand 12,345\n设函数 " + "a" * 41 + " " + "b" * 40

    assert prepare([text, ""]) == ["let x 0 0 and 0 设 函 数 " + "b" * 40, ""]


def test_log_odds_are_those_of_the_probability(models: dict[str, tuple[Any, Path]]) -> None:
    """Of two labels exactly; of others from the probability; 0 where nothing is known."""
    tokens = tokenise(pack(["alpha beta theorem", "x the 12"]), spans=False)
    for name in ("two labels", "five labels", "one vs all", "hierarchical"):
        folded = load_fold(models[name][1])
        shares = folded.predict_tokens(tokens) - 1e-5
        for at, label in enumerate(folded.labels):
            expected = np.log(shares[:, at] / (1 - shares[:, at]))
            assert np.allclose(folded.logits(tokens, label), expected, atol=2e-3), (name, label)
    nothing = fold(made_up(5, 1, 0, 2, [b"a"]))
    assert nothing.logits(tokenise(pack(["zz"]), spans=False), "__label__1").tolist() == [0.0]


def test_the_table_holds_one_number_a_row_of_two_labels(models: dict[str, tuple[Any, Path]]) -> None:
    """4 bytes for each word and bucket, whatever the dimension; K numbers of K labels."""
    for name, numbers in (("two labels", 1), ("five labels", 5)):
        held = read_bin(models[name][1])
        assert load_fold(models[name][1]).table_bytes == 4 * numbers * len(held.inputs)


def test_what_is_no_supervised_model_is_refused(models: dict[str, tuple[Any, Path]], tmp_path: Path) -> None:
    """One line that says what the file is, and what to give."""
    whole = models["two labels"][1].read_bytes()
    cases = {
        "not a fastText model": b"not a model at all",
        "not a fastText model; give": b"",
        "cut off or damaged": whole[: len(whole) // 2],
        "cut off or damaged; copy": whole[:70],
    }
    for message, data in cases.items():
        (tmp_path / "m.bin").write_bytes(data)
        with pytest.raises(InputError, match=message):
            load_fold(tmp_path / "m.bin")
    with pytest.raises(InputError, match="cannot be read"):
        load_fold(tmp_path / "missing.bin")


def test_quantised_models_and_word_vectors_are_refused(models: dict[str, tuple[Any, Path]], tmp_path: Path) -> None:
    """Their rows are gone, or they have no labels."""
    model = fasttext.load_model(str(models["two labels"][1]))
    (tmp_path / "few.txt").write_text("alpha beta " * 50)
    vectors = fasttext.train_unsupervised(
        str(tmp_path / "few.txt"), dim=4, minCount=1, bucket=100, thread=12, verbose=0
    )
    vectors.save_model(str(tmp_path / "v.bin"))
    model.quantize(dsub=2)
    model.save_model(str(tmp_path / "q.ftz"))

    with pytest.raises(InputError, match="word vectors and no labels"):
        load_fold(tmp_path / "v.bin")
    with pytest.raises(InputError, match="is quantised"):
        load_fold(tmp_path / "q.ftz")


TERMS = [
    "theorem",
    "if and only if",
    "if and",
    "the",
    "定理",
    "定",
    "概率论",
    "概率",
    "13",
    "14",
    "015",
    "3.5",
    "a",
    "Б",
    "α",
]
SIGNS = ["$", "$$", "\\frac", "\\(", "\\]", "\\", "²", "∑", "→", "×", "𝒜", "^_", "{};", "'\"", "+-*/=<>", "—", "。"]


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(
        st.one_of(st.text(max_size=40), st.lists(st.sampled_from([*TERMS, *SIGNS]), max_size=30).map(" ".join)),
        min_size=1,
        max_size=4,
    )
)
def test_densities_are_those_of_the_plain_twin(texts: list[str]) -> None:
    """Terms, numbers, letters and signs of any text; documents of a batch do not see each other."""
    batch = pack(texts)
    found = density.features(batch, tokenise(batch, spans=False))

    assert np.allclose(found, [naive_density.features(text) for text in texts])


def test_densities_tell_mathematics_from_the_rest_on_pages_nobody_trained_on() -> None:
    """In both languages, with and without formulas."""
    texts = [
        "Theorem. Let $G$ be a finite group and $H$ a subgroup of $G$. Then $|H|$ divides $|G|$. Proof. Consider cosets.",
        "Let f be a continuous function on a closed interval; then f is bounded and attains its maximum there.",
        "定理：设函数在闭区间上连续，则它在该区间上有界，并且能取到最大值和最小值。证明：由致密性定理可得。",
        "The train left the city in the morning, and we had lunch by the sea with friends from the village.",
        "Install the package with the command line, restart the server, and open the page in your browser.",
        "今天早上我们坐火车去海边旅行，中午和朋友一起在小镇上吃饭，天气很好，大家都很开心。",
    ]
    batch = pack(texts)

    assert (density.logits(batch, tokenise(batch, spans=False)) > 0).tolist() == [True, True, True, False, False, False]

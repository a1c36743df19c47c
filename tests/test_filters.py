"""Language, quality, extraction and recall on texts whose answer a reader knows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from datatrove.data import Document, Media, MediaType

from filters.charset import decode
from filters.classifier import Recall, TrainParams, load_model, prepare, score, train
from filters.errors import InputError, UsageError
from filters.extract_step import Extract
from filters.html import decode_html, looks_like_html
from filters.language import Language, detect
from filters.quality import Quality, QualityParams, signals

ENGLISH = "Let $x$ be a prime number greater than two. Then $x$ is odd, since every even number is divisible by two."
CHINESE = "设函数 $f(x)$ 在闭区间 $[a,b]$ 上连续，在开区间内可导，则存在一点使得导数等于平均变化率。"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (CHINESE, "zh"),
        (
            r"定理：若 $\frac{a}{b} = \frac{c}{d}$，则 $ad = bc$。Proof by cross multiplication 证明如下，两边同乘以分母即可。",
            "zh",
        ),
        (
            "Soit f une fonction continue sur un intervalle fermé ; elle atteint alors ses bornes, ce qui est un théorème.",
            "fr",
        ),
        ("これは数学の教科書です。関数と極限について学びます。微分と積分も扱います。", "ja"),
        (r"$$\int_0^1 x^2 dx = \frac{1}{3}$$", "und"),
        ("", "und"),
    ],
)
def test_language_is_that_of_the_prose(text: str, language: str) -> None:
    """Formulas, commands and numbers do not decide."""
    assert detect(text)[0] == language


def test_source_code_has_no_language_and_passes() -> None:
    """Code is und and is not asked."""
    doc = Document(text="def f(x):\n    return x", id="1", metadata={"source": "code"})

    assert Language(("en",)).filter(doc) is True
    assert doc.metadata["language"] == "und"


def test_another_language_goes_with_its_code() -> None:
    """The reason names the language; the score is the detector's certainty."""
    doc = Document(text="Das ist ein deutscher Satz über das Wetter in den Bergen und nichts anderes.", id="1")

    assert Language(("en", "zh")).filter(doc) == (False, "language:de")
    assert doc.metadata["filter_score"] == doc.metadata["language_score"] > 0.9


def prose(words: int) -> str:
    return " ".join(("the sum of two odd numbers is even because each leaves one".split() * words)[:words])


TABLE = "\n".join(f"parcel {i} {i * 31} {i * 17} {i * 13} {i * 7} {i + 5} {i + 9}" for i in range(40))
MENU = "\n".join(["Home", "About us", "Contact", "Latest news", "Cheap flights", "Best hotels"] * 5)
REPEATED = "\n".join(["Subscribe to our newsletter today for more"] * 20 + [prose(20)])
MATRIX = "\n".join(
    [r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "x = 1", "y = 2", "}", "}", "$a_1 = 3$"] * 8
) + prose(40)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (prose(60), None),
        (ENGLISH + " " + prose(40), None),
        (CHINESE * 2, None),
        ("too few words", "too_short"),
        (TABLE, "number_junk"),
        (MENU + "\n" + prose(30), "link_list"),
        (REPEATED, "repeated_lines"),
        (MATRIX, None),
    ],
)
def test_quality_removes_junk_and_leaves_mathematics(text: str, reason: str | None) -> None:
    """Each kind of junk goes for its reason; braces, short lines and digits in formulas stay."""
    [found] = signals([text])
    verdict = found.verdict(QualityParams(max_repeated_line_share=0.6 if text is MATRIX else 0.4))

    assert (verdict[0] if verdict else None) == reason
    assert 0 <= found.score <= 1


def test_quality_asks_code_only_for_its_length() -> None:
    """Repeated lines are normal in source code."""
    doc = Document(text=REPEATED, id="1", metadata={"source": "code"})

    assert Quality().filter(doc) is True
    assert Quality().filter(Document(text="x = 1", id="2", metadata={"source": "code"})) == (False, "too_short")


def test_quality_leaves_rule_value_and_limit_as_evidence() -> None:
    """The ledger can say which rule, what was found, and what was allowed."""
    doc = Document(text=TABLE, id="1")
    Quality().filter(doc)

    [line] = doc.metadata["evidence"]
    assert (line["rule"], line["limit"]) == ("number_junk", 0.6)
    assert line["value"] == doc.metadata["filter_score"] > 0.8


PAGE = """<html><head><title>Odd &amp; even</title></head><body><nav><a href=/>Home</a></nav>
<article><h1>Odd numbers</h1><p>The sum of two odd numbers is even. Let a and b be odd; then a + b is even.</p>
<p>Here a = 2m + 1 and b = 2n + 1, and so the sum is 2(m + n + 1).</p></article><footer>Imprint</footer></body></html>"""


def page(data: bytes, charset: str | None = None) -> Document:
    media = Media("html", MediaType.DOCUMENT, "", media_bytes=data, metadata={"charset": charset} if charset else {})
    return Document(text="", id="1", media=[media])


def test_a_page_becomes_its_main_text() -> None:
    """Title and article stay, navigation goes, and the HTML is dropped."""
    doc = page(PAGE.encode())

    assert Extract().filter(doc) == (True, "")
    assert doc.text.startswith("# Odd numbers\n")
    assert "2(m + n + 1)" in doc.text
    assert "Home" not in doc.text
    assert doc.metadata["title"] == "Odd & even"
    assert doc.media == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"<html><body></body></html>", "no_content"), (b"<html>" + bytes(range(128, 256)) * 20, "undecodable")],
)
def test_a_page_without_text_is_a_verdict(data: bytes, reason: str) -> None:
    """Nothing is dropped without a reason."""
    assert Extract().filter(page(data)) == (False, reason)


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (CHINESE.encode(), "gb2312"),
        (CHINESE.encode("gb18030"), "gb2312"),
        (CHINESE.encode("gb18030"), None),
        (CHINESE.encode("big5", "ignore"), "big5"),
        (CHINESE.encode("utf-16"), None),
    ],
)
def test_charsets_are_read_and_lies_found_out(data: bytes, declared: str | None) -> None:
    """A page that declares GB2312 and is UTF-8 is read as UTF-8."""
    text = decode(data, declared)

    assert text is not None
    assert text == CHINESE or (declared == "big5" and "函" in text)


def test_the_page_declares_its_charset() -> None:
    """Where the HTTP header is silent the meta element is heard."""
    html = '<html><head><meta charset="windows-1252"></head><body>caf\xe9</body></html>'

    assert "café" in (decode_html(html.encode("cp1252")) or "")


def test_what_is_no_page_is_seen() -> None:
    """PDFs and images under a page's name are found out."""
    assert looks_like_html(PAGE.encode())
    assert not looks_like_html(b"%PDF-1.4 <</Type>>")
    assert not looks_like_html(b"plain words")


def test_deeply_nested_pages_are_a_verdict() -> None:
    """A hundred thousand open elements would take the extractor minutes; a long page of paragraphs is no such page."""
    assert Extract().filter(page(b"<html>" + b"<div>" * 100_000 + b"deep")) == (False, "nested_too_deep")
    assert Extract().filter(page(b"<html>" + b"<p>Let x be odd.<br>" * 5_000)) == (True, "")


POSITIVE = [f"the theorem says that the integral of x {i} over the interval equals a sum of primes" for i in range(40)]
NEGATIVE = [f"the hotel near the beach {i} serves breakfast with fresh bread and good coffee" for i in range(40)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.bin"
    train(POSITIVE, NEGATIVE, TrainParams(epochs=10, buckets=100_000), path)
    return path


def test_training_twice_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    """Also when the seeds come in another order."""
    counts = train(POSITIVE[::-1], NEGATIVE[::-1], TrainParams(epochs=10, buckets=100_000), tmp_path / "again.bin")

    assert counts == {"math": 40, "other": 40}
    assert (tmp_path / "again.bin").read_bytes() == model.read_bytes()


def test_training_does_not_read_what_the_process_left_in_memory(model: Path, tmp_path: Path) -> None:
    """After 300 MB of ones were held and freed, the same seeds give the same bytes, not NaN."""
    dirt = [b"\xff" * 100_000 for _ in range(3_000)]
    del dirt
    train(POSITIVE, NEGATIVE, TrainParams(epochs=10, buckets=100_000), tmp_path / "again.bin")

    assert (tmp_path / "again.bin").read_bytes() == model.read_bytes()


def test_the_classifier_tells_its_seeds_apart(model: Path) -> None:
    """Scores are probabilities, high for mathematics and low for the rest; an empty text scores 0."""
    loaded = load_model(str(model), hashlib.sha256(model.read_bytes()).hexdigest())
    scores = [score(loaded, p) for p in prepare([POSITIVE[3], NEGATIVE[3], ""])]

    assert scores[0] > 0.8
    assert scores[1] < 0.2
    assert scores[2] == 0.0


def test_the_threshold_is_that_of_the_source(model: Path) -> None:
    """A mapping gives each kind of source its own."""
    docs = [Document(text=NEGATIVE[0], id=s, metadata={"source": s}) for s in ("web", "code")]
    found = Recall(str(model), "x", {"web": 0.5, "code": 0.0}).filter_batch(docs)

    assert found == [(False, "not_math"), True]
    assert docs[0].metadata["filter_score"] == docs[0].metadata["math_score"]


def test_a_matrix_that_would_be_uninitialised_memory_is_refused(tmp_path: Path) -> None:
    """Small models read the heap; the message says what to give."""
    with pytest.raises(UsageError, match="make a matrix below 32 MiB; give buckets: 838861"):
        train(POSITIVE, NEGATIVE, TrainParams(dim=10), tmp_path / "m.bin")


def test_seeds_without_text_are_an_error(tmp_path: Path) -> None:
    """A label without examples is named."""
    with pytest.raises(InputError, match="no seeds with text for 'other'"):
        train(POSITIVE, ["", "  "], TrainParams(), tmp_path / "m.bin")


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "m.bin").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"m\.bin: not a fastText model"):
        load_model(str(tmp_path / "m.bin"), "d")

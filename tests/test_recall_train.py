"""`mathcorpus recall train` and `score`: hosts held out, balance, the same bytes, and rows with one more field."""

from __future__ import annotations

import gzip
import io
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.classifier import NEGATIVE, POSITIVE, Mix, TrainParams, append_mix, load_model
from filters.errors import InputError, OutputError, UsageError
from pipelines.cli import _Group
from pipelines.cli_recall import recall
from pipelines.recall_metrics import auc, bins, calibration_error, logistic_regression, measure
from pipelines.recall_rows import host_of, with_number
from pipelines.recall_score import ScoreOptions, score
from pipelines.recall_train import Example, TrainOptions, balanced, deal, train

PARAMS = TrainParams(dim=100, epochs=5, word_ngrams=2, min_count=1, buckets=90_000)
MATH = "let {w} be a prime then the sum of the roots of the polynomial {w} is even by theorem {n}"
OTHER = "we sailed to the island of {w} and had fresh bread with olives near the harbour on day {n}"
YUAN = "设整数{w}为素数，则多项式的根之和为偶数，由定理可得证明第 {n} 页"
JI = "我们坐船去海岛{w}旅行，傍晚在港口旁边吃新鲜的面包和橄榄，第 {n} 天"


def word(n: int) -> str:
    """A word of its own for each number: numbers are masked."""
    return "".join("abcdefghij"[int(digit)] for digit in str(n)) + "ea"


def rows(english: str, chinese: str, hosts: str) -> list[dict[str, Any]]:
    """Forty rows of three hosts, one of them Chinese."""
    return [
        {
            "text": (chinese if n % 3 == 0 else english).format(n=n, w=word(n)),
            "url": f"https://{hosts}{n % 3}.example/{n}",
            "source": hosts,
            "language": "zh" if n % 3 == 0 else "en",
        }
        for n in range(40)
    ]


def write(path: Path, lines: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A model of two small files, and its report."""
    folder = tmp_path_factory.mktemp("recall")
    yes = write(folder / "yes.jsonl", rows(MATH, YUAN, "math"))
    no = write(folder / "no.jsonl.gz", rows(OTHER, JI, "trip"))
    return folder / "m.bin", train(TrainOptions((yes,), (no,), folder / "m.bin", params=PARAMS, folds=3))


def test_the_same_rows_give_the_same_bytes_whatever_the_order_of_files(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Cut into other files, in reverse, with a row twice, as Parquet."""
    model, report = trained
    yes, no = rows(MATH, YUAN, "math")[::-1], rows(OTHER, JI, "trip")
    write(tmp_path / "yes" / "b.jsonl", [*yes[:10], yes[3]])
    pq.write_table(pa.Table.from_pylist(yes[10:]), tmp_path / "yes" / "a.parquet")
    no_files = (write(tmp_path / "2.jsonl", no[20:]), write(tmp_path / "1.jsonl.gz", no[:20][::-1]))
    again = train(TrainOptions((str(tmp_path / "yes"),), no_files, tmp_path / "m.bin", params=PARAMS, folds=3))

    assert (tmp_path / "m.bin").read_bytes() == model.read_bytes()
    assert again == {**report, "left_out": {**report["left_out"], "repeated": 1}}
    assert again == json.loads((tmp_path / "m.bin.json").read_bytes())


def test_the_report_says_how_the_model_does_on_other_hosts(trained: tuple[Path, dict[str, Any]]) -> None:
    """By host, source and language, for the score and for fastText alone; what was trained on; the model's digest."""
    model, report = trained
    found = report["evaluation"]["score"]

    assert {host: row["documents"] for host, row in found["hosts"].items()} == {
        f"{kind}{n}.example": size for kind in ("math", "trip") for n, size in enumerate((14, 13, 13))
    }
    assert {name: row["documents"] for name, row in found["languages"].items()} == {"en": 52, "zh": 28}
    assert set(found["sources"]) == {"math", "trip"}
    assert (found["all"]["f1"], found["all"]["auc"]) == (1.0, 1.0)
    assert sum(row["documents"] for row in found["bins"]) == 80
    assert report["evaluation"]["fasttext"]["all"]["documents"] == 80
    assert report["model"]["bytes"] == model.stat().st_size
    assert sum(row["examples"] for row in report["examples"]) == 80
    assert report["mix"]["slope"] > 0
    assert report["text"].startswith("recall-text-1/")


def test_fasttext_reads_the_model_and_the_mix_is_behind_it(trained: tuple[Path, dict[str, Any]]) -> None:
    """The file is fastText's own; ours reads the calibration at its end."""
    path, report = trained

    assert set(fasttext.load_model(str(path)).get_labels()) == {POSITIVE, NEGATIVE}
    assert load_model(str(path), "m").mix == Mix(**report["mix"])


def test_scores_do_not_see_numbers_or_line_breaks(trained: tuple[Path, dict[str, Any]]) -> None:
    """Masked and joined; a text without tokens scores 0; a batch scores as its texts alone."""
    model = load_model(str(trained[0]), "m")
    texts = [
        MATH.format(n=3, w="x"),
        MATH.format(n=98_765, w="X").replace(" ", "\n"),
        OTHER.format(n=1, w="x"),
        "",
        "—",
    ]
    scores = model.scores(texts)

    assert scores[0] == scores[1] > 0.9
    assert scores[2] < 0.1
    assert scores[3:].tolist() == [0.0, 0.0]
    assert scores.tolist() == [model.scores([text])[0] for text in texts]


def test_a_model_without_a_mix_scores_by_fasttext_alone(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Its own probability of the prepared text; a mix of another preparation is refused."""
    model = fasttext.load_model(str(trained[0]))
    model.save_model(str(tmp_path / "plain.bin"))
    text = "let x be prime and we had bread"
    told = {label: p for p, label in model.f.predict(f"{text}\n", 2, 0.0, "strict")}

    assert load_model(str(tmp_path / "plain.bin"), "p").scores([text.upper()])[0] == pytest.approx(
        told[POSITIVE], abs=2e-5
    )
    append_mix(tmp_path / "plain.bin", Mix(text="recall-text-0/text-0"))
    with pytest.raises(InputError, match="prepared by recall-text-0/text-0, and here by .*; train it again"):
        load_model(str(tmp_path / "plain.bin"), "q")


def test_without_density_the_score_is_calibrated_fasttext(tmp_path: Path) -> None:
    """For subjects that are not mathematics."""
    mixed = np.array([0.0, 2.0, -9.0, 9.0])
    plain = Mix(intercept=0.5, slope=0.25, density=False).probabilities(mixed, np.full(4, 50.0))

    assert plain.tolist() == pytest.approx([1 / (1 + math.exp(-z)) for z in (0.5, 1.0, -1.0, 2.0)])


HOSTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), min_size=1, max_size=60)


def example(host: str, positive: bool, text: str = "x", source: str = "s", language: str = "en") -> Example:
    return Example(text, positive, source, host, language, 0.0)


@settings(max_examples=100, deadline=None)
@given(found=HOSTS, folds=st.integers(2, 6))
def test_no_host_is_in_two_parts(found: list[tuple[str, bool]], folds: int) -> None:
    """And every part has a host of each label, or nothing is dealt."""
    examples = [example(host, positive) for host, positive in found]
    parts = deal(examples, folds)
    most = {h: 2 * sum(p for g, p in found if g == h) >= sum(g == h for g, _ in found) for h, _ in found}
    fewest = min(sum(most.values()), len(most) - sum(most.values()), folds)

    if parts is None:
        assert fewest < 2
        return
    assert set(parts.tolist()) == set(range(fewest))
    assert len({(host, part) for (host, _), part in zip(found, parts.tolist(), strict=True)}) == len(most)
    for part in range(fewest):
        assert {most[h] for (h, _), at in zip(found, parts.tolist(), strict=True) if at == part} == {True, False}


def test_labels_weigh_the_same_and_no_source_drowns_the_others() -> None:
    """A source has the root of its examples, a small one is repeated, up to four times; Chinese keeps its share."""
    examples = [example("h", True, f"a{n}", "big") for n in range(900)]
    examples += [example("h", True, f"b{n}", "small") for n in range(9)]
    examples += [example("h", False, f"c{n}", "other") for n in range(91)]
    examples += [example("h", n > 4, f"d{n}", "zh", "zh") for n in range(20)]
    lines = balanced(examples, 1)
    counts = Counter((label, text[0]) for label, text in lines)

    assert counts == {
        (POSITIVE, "a"): 455,  # of 500: ten elevenths
        (POSITIVE, "b"): 36,
        (NEGATIVE, "c"): 364,
        (POSITIVE, "d"): 10,
        (NEGATIVE, "d"): 10,
    }
    assert balanced(examples[::-1], 1) != balanced(examples, 2)
    assert sorted(balanced(examples[::-1], 1)) == sorted(lines)


def test_a_text_with_both_labels_trains_neither(tmp_path: Path) -> None:
    """It is counted; an input without text is named; one host a label cannot be held out."""
    yes = write(tmp_path / "yes.jsonl", [{"text": "let x be a prime"}, {"text": "three coins"}, {"text": "  "}])
    no = write(tmp_path / "no.jsonl", [{"text": "we sailed to the island"}, {"text": "three coins"}])
    report = train(TrainOptions((yes,), (no,), tmp_path / "m.bin", params=PARAMS))

    assert report["left_out"] == {"repeated": 0, "empty": 1, "both_labels": 2}
    assert report["evaluation"] is None
    assert report["mix"]["slope"] == 1.0
    with pytest.raises(InputError, match="--negative: no rows with text"):
        train(TrainOptions((yes,), (write(tmp_path / "e.jsonl", [{"body": "x"}]),), tmp_path / "m.bin", params=PARAMS))


def test_wrong_use_is_one_line(tmp_path: Path) -> None:
    """Before anything is read."""
    yes = (write(tmp_path / "yes.jsonl", [{"text": "x"}]),)
    with pytest.raises(UsageError, match="--folds 1: give 2 or more parts"):
        train(TrainOptions(yes, yes, tmp_path / "m.bin", params=PARAMS, folds=1))
    with pytest.raises(OutputError, match="is a folder; give the name of a file"):
        train(TrainOptions(yes, yes, tmp_path, params=PARAMS))
    with pytest.raises(UsageError, match="epochs is 0; give more than 0"):
        train(TrainOptions(yes, yes, tmp_path / "m.bin", params=TrainParams(epochs=0)))
    with pytest.raises(UsageError, match="fastText makes no buckets"):
        train(TrainOptions(yes, yes, tmp_path / "m.bin", params=TrainParams(word_ngrams=1)))
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}\n{"text"\n')
    with pytest.raises(InputError, match=r"bad\.jsonl: line 2: not json"):
        train(TrainOptions((str(tmp_path / "bad.jsonl"),), yes, tmp_path / "m.bin", params=PARAMS))


# --- scoring rows -----------------------------------------------------------------------------------------------------

LINES = (
    b'{"id": 1, "text": "let x be a prime of the polynomial"}\n'
    b"\n"
    b'{"text" : "we sailed to the island", "note": 1.50 }\r\n'
    b'{"id": 3, "text": null}\n'
    b"not json\n"
    b'{"text": "fresh bread", "math_score": "old"}'
)


def test_lines_get_one_more_field_and_stay_as_they_are(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Spacing, line ends and rows without text too; compressed as the input was; counted."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "in" / "b.jsonl.zst").write_bytes(zstandard.compress(LINES))
    report = score(ScoreOptions(inputs=(str(tmp_path / "in"),), model=trained[0], out=tmp_path / "out"))
    written = gzip.decompress((tmp_path / "out" / "a.jsonl.gz").read_bytes())
    first, blank, second, third, broken, last = written.split(b"\n")

    assert zstandard.ZstdDecompressor().stream_reader((tmp_path / "out" / "b.jsonl.zst").read_bytes()).read() == written
    assert first.startswith(LINES.split(b"\n")[0][:-1] + b',"math_score":')
    assert json.loads(first)["math_score"] > 0.5 > json.loads(second)["math_score"]
    assert second.startswith(b'{"text" : "we sailed to the island", "note": 1.50,"math_score":0.')
    assert second.endswith(b"}\r")
    assert [blank, third, broken] == [b"", b'{"id": 3, "text": null}', b"not json"]
    assert json.loads(last)["math_score"] < 0.5
    assert (report["rows"], report["scored"], report["not_scored"]) == (10, 6, {"no_text": 2, "not_json": 2})
    assert sum(report["by_score"].values()) == 6


def test_parquet_gets_a_column(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Null where a row has no text; chat messages are scored as one text; an old column is overwritten."""
    chat = [{"role": "user", "content": "let x be a prime"}, {"role": "assistant", "content": "of the polynomial"}]
    table = pa.table({"messages": [chat, [], chat], "math_score": ["a", "b", "c"], "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    score(ScoreOptions(inputs=(str(tmp_path / "a.parquet"),), model=trained[0], out=tmp_path / "out"))
    written = pq.read_table(tmp_path / "out" / "a.parquet")
    first, second, third = written["math_score"].to_pylist()

    assert written.column_names == ["messages", "math_score", "n"]
    assert written["n"].to_pylist() == [1, 2, 3]
    assert first == third > 0.5
    assert second is None


def run(*args: str | Path, stdin: bytes | None = None) -> Result:
    """The command as the program runs it: errors are one line."""
    program = _Group("mathcorpus")
    program.add_command(recall)
    return CliRunner().invoke(program, ["recall", *map(str, args)], input=stdin)


def test_the_command_trains_and_scores(tmp_path: Path) -> None:
    """Tables for a reader, JSON for a program, scored lines on standard output, and one line for what is wrong."""
    yes = write(tmp_path / "yes.jsonl", rows(MATH, YUAN, "math"))
    no = write(tmp_path / "no.jsonl", rows(OTHER, JI, "trip"))
    model = tmp_path / "m.bin"
    small = ("--dim", "100", "--buckets", "90000", "--folds", "2")
    told = run("train", "--positive", yes, "--negative", no, *small, "--out", model)
    printed = run("score", "-", "--model", model, "--out", "-", stdin=LINES)
    counted = run("score", yes, "--model", model, "--out", tmp_path / "out", "--json")
    wrong = run("score", yes, "--model", tmp_path / "none.bin", "--out", tmp_path / "out")
    lost = run("score", yes, "--model", model, "--out", tmp_path / "out", "--field", "body")

    assert told.exit_code == printed.exit_code == counted.exit_code == 0
    assert "on hosts that were held out, at the threshold 0.5:" in told.output
    assert "language zh" in told.output
    assert f"{model}.json" in told.output
    assert printed.stdout_bytes.count(b"\n") == LINES.count(b"\n")
    assert json.loads(printed.stdout_bytes.split(b"\n")[0])["math_score"] > 0.5
    assert json.loads(counted.output)["scored"] == 40
    assert (wrong.exit_code, lost.exit_code) == (2, 2)
    assert "none.bin: cannot be read" in wrong.output
    assert "no row of 40 has text (no_text); name its field with --field" in lost.output
    assert run("score", yes, "--model", model, "--out", tmp_path).exit_code == 2  # over its own input


# --- figures ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40))
def test_figures_are_those_of_a_plain_count(found: list[tuple[int, bool]]) -> None:
    """Precision, recall, F1, area and calibration error, from their definitions."""
    scores, positive = np.array([s / 8 for s, _ in found]), np.array([p for _, p in found])
    told = measure(scores, positive)
    pairs = [(a > b) + (a == b) / 2 for a, p in found if p for b, q in found if not q]
    hits = sum(s >= 4 and p for s, p in found)
    chosen, yes = sum(s >= 4 for s, _ in found), sum(p for _, p in found)

    assert told["precision"] == (hits / chosen if chosen else None)
    assert told["recall"] == (hits / yes if yes else None)
    assert told["f1"] == (2 * hits / (chosen + yes) if chosen + yes else None)
    assert auc(scores, positive) == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)
    errors = [abs(sum(s / 8 - p for s, p in found if min(int(s / 8 * 10), 9) == b)) for b in range(10)]
    assert calibration_error(scores, positive) == pytest.approx(sum(errors) / len(found))
    assert sum(row["documents"] for row in bins(scores, positive)) == len(found)


def test_logistic_regression_finds_the_odds() -> None:
    """Of a lone intercept it is the share; of a feature the ratio of odds."""
    features = np.array([[1.0, 0.0]] * 4 + [[1.0, 1.0]] * 4)
    positive = np.array([True, False, False, False, True, True, True, False])
    solved = logistic_regression(features, positive, np.ones(8), 1e-9)

    assert solved.tolist() == pytest.approx([math.log(1 / 3), math.log(9)], abs=1e-6)


@pytest.mark.parametrize(
    ("row", "host"),
    [
        ({"host": "a.b", "url": "https://c.d/e"}, "a.b"),
        ({"url": "https://C.d:80/e", "source": "s"}, "c.d"),
        ({"url": "http://[broken", "repo": "owner/name"}, "owner/name"),
        ({"source": "s", "host": ""}, "s"),
        ({"source": 3}, None),
    ],
)
def test_a_row_is_from_its_host(row: dict[str, Any], host: str | None) -> None:
    """Or that of its url, its repository, its source."""
    assert host_of(row) == host


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{}\n", b'{"s":0.5}\n'),
        (b'{ "a": 1 } \r\n', b'{ "a": 1,"s":0.5} \r\n'),
        (b'\xef\xbb\xbf{"a": {}}', b'\xef\xbb\xbf{"a": {},"s":0.5}'),
        (b'{"s": 1, "a": "\xc3\xa9"}\n', b'{"s": 0.5, "a": "\\u00e9"}\n'),
    ],
)
def test_a_number_is_added_to_a_line(line: bytes, expected: bytes) -> None:
    """Before the closing brace, all other bytes as they were; only a field of that name is written anew."""
    row = json.loads(io.BytesIO(line.removeprefix(b"\xef\xbb\xbf")).read())

    assert with_number(line, row, "s", 0.5) == expected

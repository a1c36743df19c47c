"""`mathcorpus pack`: every token of every document once, the same bytes however it is run, and errors in one line."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from fake_build import DOCUMENTS, write_build
from small_tokenizer import EOS, TEXTS, save, train, write_dataset
from tokenizers import Tokenizer

from filters.errors import InputError, OutputError
from pipelines import pack as packing
from pipelines import pack_tokens
from pipelines.cli import main
from pipelines.dataset import Dataset
from pipelines.engine import InlineEngine, make_engine
from pipelines.pack import Options, Steps, pack
from pipelines.pack_inputs import given_tokenizer
from pipelines.places import Place

LENGTH = 64
METHODS = [("best-fit", "cut"), ("best-fit", "pad"), ("greedy", "cut")]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("tok") / "tokenizer.json")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Documents shorter and longer than a sequence, an empty one, one with a special token, a very long one."""
    texts = [*TEXTS, "", f"before {EOS} behind", " ".join(TEXTS[:12])]
    return write_dataset(tmp_path / "corpus", texts)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several runs and buckets of a few documents each."""
    monkeypatch.setattr(packing, "BUCKET_TOKENS", 1500)
    monkeypatch.setattr(pack_tokens, "RUN_TOKENS", 700)
    monkeypatch.setattr(pack_tokens, "ROWS_PER_GROUP", 2)


def packed(corpus: Place, tokenizer: Path, out: Place, engine: Any = None, **options: Any) -> dict[str, Any]:
    given = given_tokenizer(str(tokenizer), Path())
    return pack(corpus, out, given, Options(**{"length": LENGTH, **options}), lambda: engine or InlineEngine(), Steps())


def files(out: Path) -> dict[str, str]:
    """Digest of every file of a packed corpus but its cost."""
    every = [p for p in out.rglob("*") if p.is_file() and p.name not in ("cost.json", ".lock")]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(every)}


def sequences(out: Path) -> list[dict[str, Any]]:
    return [row for table in Dataset.load(out / "sequences").tables() for row in table.to_pylist()]


def documents(out: Path) -> list[dict[str, Any]]:
    return [row for table in Dataset.load(out / "documents").tables() for row in table.to_pylist()]


def rebuilt(out: Path) -> dict[str, list[int]]:
    """The tokens of each document, put together from the pieces in the sequences."""
    found: dict[str, dict[int, list[int]]] = {}
    for row in sequences(out):
        assert len(row["input_ids"]) == LENGTH
        assert row["starts"][0] == 0
        ends = [*row["starts"][1:], row["tokens"]]
        for begin, end, name, at in zip(row["starts"], ends, row["documents"], row["offsets"], strict=True):
            assert begin < end
            assert at not in found.setdefault(name, {})
            found[name][at] = row["input_ids"][begin:end]
        assert set(row["input_ids"][row["tokens"] :]) <= {0}
    whole = {}
    for name, parts in found.items():
        whole[name] = []
        for at in sorted(parts):
            assert at == len(whole[name])
            whole[name] += parts[at]
    return whole


def expected(corpus: Path, tokenizer: Path) -> dict[str, list[int]]:
    """The tokens of each document by the library itself, with the end of text behind them."""
    by_hand = Tokenizer.from_file(str(tokenizer))
    by_hand.encode_special_tokens = True
    rows = [row for table in Dataset.load(corpus).tables() for row in table.to_pylist()]
    return {row["id"]: [*by_hand.encode(row["text"]).ids, 0] for row in rows if row["text"]}


@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize(("method", "fill"), METHODS)
def test_every_token_is_packed_once(
    method: str, fill: str, shuffled: bool, corpus: Path, tokenizer: Path, tmp_path: Path
) -> None:
    """All of each document, in order, from the sequences alone; accounts that a reader can add up."""
    out = tmp_path / "out"
    manifest = packed(corpus, tokenizer, out, method=method, fill=fill, seed=1 if shuffled else None)
    found = rebuilt(out)

    assert found == expected(corpus, tokenizer)
    assert manifest["documents"]["in"] == len(found) + 1 == manifest["documents"]["packed"] + 1
    assert manifest["documents"]["removed"] == {"empty": 1, "dropped": 0}
    assert manifest["tokens"]["in"] == manifest["tokens"]["out"] == sum(map(len, found.values()))
    assert manifest["sequences"]["count"] * LENGTH == manifest["tokens"]["out"] + manifest["tokens"]["padding"]
    assert manifest["sequences"]["padded"] <= 1 or fill == "pad"
    pieces = Counter(name for row in sequences(out) for name in row["documents"])
    rows = {row["id"]: row for row in documents(out)}
    assert {name: row["pieces"] for name, row in rows.items()} == {name: pieces[name] for name in rows}
    assert {name: row["tokens"] for name, row in rows.items()} == {name: len(found.get(name, ())) for name in rows}
    cut = sum(1 for name, count in pieces.items() if count > 1)
    needlessly = sum(1 for name, count in pieces.items() if count > 1 and len(found[name]) <= LENGTH)
    assert (manifest["documents"]["cut"], manifest["documents"]["cut_needlessly"]) == (cut, needlessly)
    assert needlessly == 0 or fill == "cut"


def test_greedy_without_shuffle_is_the_corpus_end_to_end(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    """But for the ends of buckets, which come last: here there is one bucket."""
    packing.BUCKET_TOKENS = 1 << 20
    packed(corpus, tokenizer, tmp_path / "out", method="greedy", seed=None)
    stream = [token for ids in expected(corpus, tokenizer).values() for token in ids]
    found = [token for row in sequences(tmp_path / "out") for token in row["input_ids"][: row["tokens"]]]
    order = [row["id"] for table in Dataset.load(corpus).tables() for row in table.to_pylist() if row["text"]]
    by_order = [token for name in order for token in expected(corpus, tokenizer)[name]]

    assert found == by_order
    assert sorted(found) == sorted(stream)


@pytest.mark.parametrize("name", ["local", "spark"])
def test_engines_and_workers_give_the_same_bytes(
    name: str, tmp_path: Path, corpus: Path, tokenizer: Path, request: pytest.FixtureRequest
) -> None:
    """Inline, three processes, Spark."""
    if name == "spark":
        from pipelines.engine_spark import SparkEngine

        pytest.importorskip("pyspark", reason="the spark extra is not installed")
        engine: Any = SparkEngine(2, session=request.getfixturevalue("spark"))
    else:
        engine = make_engine(name, 3)
    packing.BUCKET_TOKENS = 1 << 12
    packed(corpus, tokenizer, tmp_path / "inline")
    with closing(engine):
        packed(corpus, tokenizer, tmp_path / name, engine)

    assert files(tmp_path / name) == files(tmp_path / "inline")
    assert len(files(tmp_path / name)) > 10


def test_the_cutting_into_shards_does_not_matter(tokenizer: Path, tmp_path: Path) -> None:
    """The same documents in one shard and in seven."""
    made = []
    for shards in (1, 7):
        root = write_dataset(tmp_path / f"c{shards}", TEXTS, shards)
        packed(root, tokenizer, tmp_path / f"o{shards}")
        made.append(
            {name: digest for name, digest in files(tmp_path / f"o{shards}").items() if name != "manifest.json"}
        )

    assert made[0] == made[1]


def test_another_seed_is_another_order_of_the_same_documents(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    """And no shuffle a third."""
    orders = []
    for seed in (1, 2, None):
        packed(corpus, tokenizer, tmp_path / f"{seed}", seed=seed, method="greedy")
        orders.append([name for row in sequences(tmp_path / f"{seed}") for name in row["documents"]])

    assert len({tuple(order) for order in orders}) == 3
    assert {frozenset(order) for order in orders} == {frozenset(expected(corpus, tokenizer))}


def test_copies_of_a_mix_are_packed_apart(tokenizer: Path, tmp_path: Path) -> None:
    """A document that a mix has three times is packed three times, and counted so."""
    root = write_dataset(tmp_path / "mix", TEXTS[:5], 2, copies={1: 2, 4: 1})
    manifest = packed(root, tokenizer, tmp_path / "out")

    rows = sorted((row["id"], row["copy"]) for row in documents(tmp_path / "out"))
    assert rows == [
        ("d000", 0),
        ("d001", 0),
        ("d001", 1),
        ("d001", 2),
        ("d002", 0),
        ("d003", 0),
        ("d004", 0),
        ("d004", 1),
    ]
    tokens = Counter({"d001": 2, "d004": 1})
    ids = expected(root, tokenizer)
    assert manifest["tokens"]["out"] == sum(len(ids[name]) * (1 + tokens[name]) for name in ids)


def test_the_last_sequence_can_be_dropped(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    """Then none is padded, and the manifest says how many tokens and documents went with it."""
    manifest = packed(corpus, tokenizer, tmp_path / "out", drop_last=True)
    whole = packed(corpus, tokenizer, tmp_path / "whole")

    assert whole["tokens"]["padding"] > 0 == manifest["tokens"]["padding"]
    assert manifest["tokens"]["dropped"] == LENGTH - whole["tokens"]["padding"]
    assert manifest["tokens"]["in"] == manifest["tokens"]["out"] + manifest["tokens"]["dropped"]
    assert manifest["sequences"]["count"] == whole["sequences"]["count"] - 1


def test_a_corpus_shorter_than_a_sequence_is_one_that_is_padded(tokenizer: Path, tmp_path: Path) -> None:
    """Nothing is dropped unasked."""
    root = write_dataset(tmp_path / "c", ["one", "two"], 1)
    manifest = packed(root, tokenizer, tmp_path / "out", length=4096)
    [row] = sequences(tmp_path / "out")

    assert manifest["sequences"] == {"count": 1, "length": 4096, "padded": 1}
    assert row["tokens"] == manifest["tokens"]["in"]


@pytest.mark.parametrize("corrupt", [True, False])
def test_ids_that_changed_on_disk_are_found_out(
    corrupt: bool, corpus: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two halves: another byte, or a file that is cut."""
    plain = packing.PackTask.run

    def spoil(self: Any, rank: int) -> None:
        file = self.tokens / "ids" / "00001.bin"
        data = bytearray(file.read_bytes())
        data[5] ^= 1
        file.write_bytes(data if corrupt else data[:100])
        plain(self, rank)

    monkeypatch.setattr(packing.PackTask, "run", spoil)
    with pytest.raises(InputError, match="delete .* and run again"):
        packed(corpus, tokenizer, tmp_path / "out")


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: object) -> tuple[int, str]:
    told = CliRunner().invoke(main, ["pack", *map(str, arguments)])
    return told.exit_code, told.output


def test_the_command_packs_a_build(tokenizer: Path, tmp_path: Path) -> None:
    """Into DIR/packed; a second run does nothing; --json tells what the manifest says."""
    build = write_build(tmp_path / "build", DOCUMENTS)
    options = (build, "--tokenizer", tokenizer, "--length", "16", "--engine", "inline")
    code, told = run(*options)
    again, said = run(*options, "--json")
    manifest = orjson.loads((build / "packed" / "manifest.json").read_bytes())

    assert (code, again) == (0, 0), told
    assert "documents 3  packed 3" in told
    assert orjson.loads(said) == {**manifest, "fresh": False}
    assert manifest["corpus"]["kind"] == "build"
    assert not (build / "packed" / "work").exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (["--length", "32"], "was made with length 64, not 32; delete it, or give another folder with --out"),
        (["--method", "greedy"], "was made with method best-fit, not greedy; delete it"),
        (["--fill", "pad"], "was made with fill cut, not pad; delete it"),
        (["--seed", "2"], "was made with seed 1, not 2; delete it"),
        (["--no-shuffle"], "was made with seed 1, not no shuffle; delete it"),
        (["--drop-last"], "was made with drop_last False, not True; delete it"),
    ],
)
def test_other_settings_are_refused(
    change: list[str], line: str, corpus: Path, tokenizer: Path, tmp_path: Path
) -> None:
    """Whether what is there is whole or half done."""
    packed(corpus, tokenizer, corpus / "packed")
    options = (corpus, "--tokenizer", tokenizer, "--length", LENGTH, "--engine", "inline", *change)
    whole = run(*options)
    (corpus / "packed" / "work").mkdir()
    manifest = orjson.loads((corpus / "packed" / "manifest.json").read_bytes())
    (corpus / "packed" / "work" / "settings.json").write_bytes(orjson.dumps(manifest["settings"]))
    (corpus / "packed" / "manifest.json").unlink()

    for code, told in (whole, run(*options)):
        assert (code, told.count("\n")) == (2, 1)
        assert line in told


def test_another_corpus_or_tokenizer_is_refused(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    """By digests; a folder with other files too."""
    out = tmp_path / "out"
    packed(corpus, tokenizer, out)
    other = save(tmp_path / "tok" / "tokenizer.json", train(420))

    with pytest.raises(OutputError, match="was made with another corpus; delete it, or give another"):
        packed(write_dataset(tmp_path / "c2", TEXTS[:3]), tokenizer, out)
    with pytest.raises(OutputError, match="was made with tokenizer [0-9a-f]{16}, not [0-9a-f]{16}; delete it"):
        packed(corpus, other, out)
    with pytest.raises(OutputError, match="tokenizer.json: is a file; give a folder with --out"):
        packed(corpus, tokenizer, tokenizer)
    with pytest.raises(OutputError, match="holds other files \\(c2, …\\); give an empty folder with --out"):
        packed(corpus, tokenizer, tmp_path)


def _folder(tmp: Path) -> Path:
    (tmp / "empty").mkdir()
    return tmp / "empty"


def _unfinished(tmp: Path) -> Path:
    (tmp / "b" / "work").mkdir(parents=True)
    return tmp / "b"


@pytest.mark.parametrize(
    ("folder", "options", "line"),
    [
        (None, {"--length": "1"}, "1 is not in the range x>=2"),
        (None, {"--tokenizer": "no/such/file.json"}, "no/such/file.json: no such file or folder, and no name of the hub"),
        (None, {"--tokenizer": "{empty}"}, "is a folder without tokenizer.json; give the file"),
        (None, {"--eos": "</s>"}, "has no token '</s>'; name one of its own with --eos"),
        (None, {"--tokenizer": "{bad}"}, "is no tokenizer.json that the tokenizers library reads"),
        (None, {"--tokenizer": "{headless}"}, "has no token that is known to end a text; name it with --eos"),
        (None, {"--method": "greedy", "--fill": "pad"}, "--fill pad: only with --method best-fit"),
        (_folder, {}, "there is no manifest.json; give the folder of a finished build"),
        (_unfinished, {}, "this build is not finished; run `mathcorpus build` again"),
        (lambda tmp: write_dataset(tmp / "none", []), {}, "holds no documents, so there is nothing to pack"),
        (lambda tmp: write_dataset(tmp / "void", ["", ""]), {}, "none of its documents has text"),
    ],
)  # fmt: skip
def test_errors_are_one_line(
    folder: Callable[[Path], Path] | None,
    options: dict[str, str],
    line: str,
    corpus: Path,
    tokenizer: Path,
    tmp_path: Path,
) -> None:
    """Exit code 2, what was wrong and how to mend it."""
    (tmp_path / "bad.json").write_text("{}")
    save(tmp_path / "headless.json", train(special=("[X]",)))
    places = {"empty": tmp_path, "bad": tmp_path / "bad.json", "headless": tmp_path / "headless.json"}
    given = {"--tokenizer": str(tokenizer), "--length": str(LENGTH), "--engine": "inline", **options}
    code, told = run(folder(tmp_path) if folder else corpus, *(p.format(**places) for o in given.items() for p in o))

    assert (code, told.count("\n")) == (2, 1), told
    assert line in told


def test_the_end_of_text_beside_a_tokenizer_is_taken(tokenizer: Path, tmp_path: Path) -> None:
    """tokenizer_config.json says it, as a string or as an object."""
    for said in ("b", {"content": "b"}):
        save(tmp_path / "tok" / "tokenizer.json", train(special=("b ", EOS)))
        (tmp_path / "tok" / "tokenizer_config.json").write_bytes(orjson.dumps({"eos_token": said}))
        assert given_tokenizer(str(tmp_path / "tok"), Path()).says == ("b",)


def test_what_is_written_can_be_read_by_itself(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    """Plain lists of 32-bit integers, no dictionary of ours needed; token files hold the same tokens."""
    packed(corpus, tokenizer, tmp_path / "out")
    shards = sorted((tmp_path / "out" / "sequences").glob("*.parquet"))
    table = pq.read_table(shards)
    tokens = [np.fromfile(p, "<u2") for p in sorted((tmp_path / "out" / "tokens").glob("*.ds"))]

    assert str(table.schema.field("input_ids").type) == "list<element: int32>"
    assert np.concatenate(tokens).tolist() == [t for ids in table["input_ids"].to_pylist() for t in ids]

"""A private index finds what an open one finds, and holds and shows nothing of the texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from small import ITEM, text, write_rows

from decontam.benchmarks import Item
from decontam.index import Index, add_items, build_index, load_index
from decontam.match import DecontaminationParams, scan_batch
from decontam.private import KEY_BYTES, derive_key, keyed, mix
from filters.text import pack, token_strings, tokenise
from pipelines.cli import main
from pipelines.cli_benchmarks import benchmarks
from pipelines.cli_decontaminate import decontaminate
from tests.naive_decontam import naive_mix

RULE = DecontaminationParams()
OTHER = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May, in all how many?"
)
SHORT = "Simplify the fraction 24 over 36 now."
CHINESE = "小明有１２个苹果，小红比小明多３个，他们一共有多少个苹果？"
SECRETS = (ITEM, OTHER, SHORT, CHINESE, "Größe der Fläche: \\frac{22}{7} \ud800 hoch zwei")
PIECE = 6  # bytes

main.add_command(decontaminate)
main.add_command(benchmarks)


def questions(*texts: str, name: str = "set") -> list[Item]:
    """One question for each text."""
    return [Item(name, "test", row, "question", one) for row, one in enumerate(texts)]


def told(index: Index, texts: Sequence[str], params: DecontaminationParams) -> list[Any]:
    """All that a scan says but for the ids of n-grams, which are in the order of their hashes."""
    scans = scan_batch(index, texts, params)
    return [([(replace(m, anchors=()), len(m.anchors)) for m in scan.matches], len(scan.loose)) for scan in scans]


DOCUMENTS = [
    f"{text(1)}. {ITEM}\n{OTHER}\n{SHORT}",
    OTHER.replace("48", "51").replace("half", "twice"),
    f"{CHINESE}\n{SHORT}",
    CHINESE.replace("１２", "15"),
    f"We {SHORT} now",
    ITEM[:90],
    "",
    text(2),
]


@pytest.mark.parametrize("params", [RULE, DecontaminationParams(rule="qwen2-formula")], ids=lambda p: p.rule)
def test_what_is_found_is_what_the_open_index_finds(params: DecontaminationParams) -> None:
    """The same items by the same classes, with the same ratios, n-grams, windows and spans; alone and as segments."""
    items, more = questions(*SECRETS), questions(f"{OTHER} Why?", ITEM[:80], name="more")
    expected = told(build_index(items), DOCUMENTS, params)

    assert expected == told(build_index(items, private=True), DOCUMENTS, params)
    assert {m.kind for found, _ in expected for m, _ in found} > {"exact"} or params.rule != "qwen-math"
    expected = told(add_items(build_index(items), more), DOCUMENTS, params)
    for first, second in ((True, True), (True, False), (False, True)):
        index = add_items(build_index(items, private=first), more, private=second)
        assert expected == told(index, DOCUMENTS, params)


WORD = st.sampled_from("a b c d e 1 2".split())
TEXTS = st.lists(st.lists(WORD, max_size=14).map(" ".join), max_size=4)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_any_items_are_found_alike(items: list[str], texts: list[str]) -> None:
    """Also where every second n-gram repeats, and numbers are masked."""
    params = DecontaminationParams(ngram=4, near_ngram=3)
    first, second = (build_index(questions(*items), 4, 3, private=private) for private in (False, True))

    assert told(first, texts, params) == told(second, texts, params)
    assert first.coverage() == second.coverage()


WORDS = st.integers(0, (1 << 64) - 1)


@given(st.lists(WORDS, max_size=20), WORDS, WORDS)
def test_the_mix_is_that_of_its_twin_and_can_be_undone(hashes: list[int], first: int, second: int) -> None:
    """Whatever the key, different hashes stay different: the twin's inverse gives them back."""
    mixed = mix(np.array(hashes, dtype=np.uint64), np.uint64(first), np.uint64(second)).tolist()

    assert [naive_mix(value, first, second) for value in hashes] == mixed
    assert [naive_mix(value, first, second, undo=True) for value in mixed] == hashes


def test_the_file_holds_nothing_of_the_texts(tmp_path: Path) -> None:
    """No six bytes of a text or of its tokens, and no hash of a token as an open index has it."""
    path = tmp_path / "secret.idx"
    build_index(questions(*SECRETS), private=True).save(path)
    data = path.read_bytes()
    pieces = [one.encode("utf-8", "surrogatepass") for one in SECRETS]
    pieces += ["".join(token_strings(one)).encode() for one in SECRETS]
    hashes = tokenise(pack(SECRETS)).hashes.tolist()

    assert [] == [p[n : n + PIECE] for p in pieces for n in range(len(p) - PIECE + 1) if p[n : n + PIECE] in data]
    assert [] == [value for value in hashes if value.to_bytes(8, "little") in data]
    assert all(item.text == "" for item in load_index(path).items)
    assert ITEM.encode()[:PIECE] in _saved(tmp_path / "open.idx", build_index(questions(*SECRETS)))


def _saved(path: Path, index: Index) -> bytes:
    index.save(path)
    return path.read_bytes()


def test_the_key_is_that_of_the_items(tmp_path: Path) -> None:
    """The same items give the same file; any other item gives another key, under which no hash is the same."""
    items = questions(*SECRETS)
    first, second = (
        _saved(tmp_path / name, build_index(given, private=True)) for name, given in (("a", items), ("b", items[::-1]))
    )
    keys = {derive_key(given) for given in (items, items[1:], questions(*SECRETS, name="other"))}
    tokens = tokenise(pack([ITEM]))

    assert first == second
    assert {len(key) for key in keys} == {KEY_BYTES}
    assert len(keys) == 3
    assert len({value for key in keys for value in keyed(tokens, key).hashes.tolist()}) == 3 * len(
        set(tokens.hashes.tolist())
    )
    assert keyed(tokens, b"") is tokens


def test_what_a_private_index_holds_is_not_added_again() -> None:
    """Without texts, an item is known by its place and its tokens; another word or place makes it new."""
    index = build_index(questions(ITEM, OTHER, ""), private=True)
    new = questions(ITEM, f"{OTHER} Why?", "")

    added = add_items(index, [*new, *questions(ITEM, name="more")])

    assert [item.text for item in added.newest.items] == [ITEM, f"{OTHER} Why?"]
    assert [added.is_private(number) for number in range(5)] == [True, True, True, False, False]


def test_no_output_shows_what_only_the_benchmark_holds(tmp_path: Path) -> None:
    """The document's side is there; the item's says that it is private, in the evidence, the report and the terminal."""
    changed = ITEM.replace("market", "fair")
    write_rows(tmp_path / "secret/test.jsonl", [{"question": ITEM}])
    write_rows(tmp_path / "in.jsonl", [{"text": text(3)}, {"text": f"{text(4)}. {changed}"}])
    secret, out = str(tmp_path / "secret.idx"), tmp_path / "out"
    CliRunner().invoke(
        main, ["benchmarks", "index", "--private", "--against", str(tmp_path / "secret"), "--out", secret]
    )

    shown = CliRunner().invoke(
        main, ["decontaminate", str(tmp_path / "in.jsonl"), "--index", secret, "--out", str(out)]
    )

    [line] = map(orjson.loads, (out / "evidence.jsonl").read_bytes().splitlines())
    assert (line["item_text"], line["private"]) == ("", "the index holds keyed hashes of this item and not its text")
    assert (line["doc_text"], line["benchmark"], line["item"]) == (changed.rstrip("?"), "secret", 0)
    assert "Private: the index holds keyed hashes" in (out / "report.html").read_text()
    assert "| (private)" in shown.stdout
    assert [] == [p.name for p in out.rglob("*") if p.is_file() and b"market" in p.read_bytes()]
    assert "market" not in shown.stdout

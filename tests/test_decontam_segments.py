"""Items are added to an index as a segment of its own: what it finds is what the whole index finds of these items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from small import ITEM, text, write_rows

from decontam.benchmarks import Item
from decontam.index import Index, add_items, build_index, load_index
from decontam.match import DecontaminationParams, Match, Scan, scan_batch
from filters.errors import UsageError
from pipelines.cli import main
from pipelines.cli_benchmarks import benchmarks
from pipelines.cli_decontaminate import decontaminate

RULE = DecontaminationParams()
OTHER = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May, in all how many?"
)
SHORT = "Simplify the fraction 24 over 36 now."
PHRASE = "the smallest positive integer value of the number n such that the sum of all digits"

main.add_command(decontaminate)
main.add_command(benchmarks)


def questions(*texts: str, name: str = "set") -> list[Item]:
    """One question for each text."""
    return [Item(name, "test", row, "question", text) for row, text in enumerate(texts)]


def shifted(match: Match, items: int, ids: int) -> Match:
    """The match as an index says it that has so many items and ids before those of the match."""
    return replace(match, item=match.item + items, anchors=tuple(ids + anchor for anchor in match.anchors))


def union(first: Index, second: Index, texts: list[str], params: DecontaminationParams) -> list[Scan]:
    """What two indexes find, numbered as if they were the segments of one."""
    items, ids = len(first.items), sum(segment.ids for segment in first.segments)
    return [
        Scan(
            a.matches + [shifted(match, items, ids) for match in b.matches],
            a.loose + tuple(ids + gram for gram in b.loose),
        )
        for a, b in zip(scan_batch(first, texts, params), scan_batch(second, texts, params), strict=True)
    ]


def test_a_run_is_the_union_over_the_segments() -> None:
    """Every class and every loose n-gram, in the order of the items; the segments were built from different items."""
    old, new = questions(ITEM, SHORT, name="b"), questions(OTHER, f"{SHORT} Twice.", f"{ITEM} Why?", name="a")
    near = OTHER.replace("48", "51").replace("half", "twice")
    texts = [
        f"{text(1)}. {ITEM}\n{OTHER}\n{SHORT}",
        near,
        f"{SHORT}\n{near}",
        "",
        text(2),
        ITEM[:90],
        f"We {SHORT} now",
    ]

    index = add_items(build_index(old), new)

    found = scan_batch(index, texts, RULE)
    assert union(build_index(old), build_index(new), texts, RULE) == found
    assert {match.kind for scan in found for match in scan.matches} == {"exact", "short", "near"}
    assert any(scan.loose for scan in found)
    for scan in found:
        assert [match.item for match in scan.matches] == sorted(match.item for match in scan.matches)
    assert [(m.kind, index.items[m.item]) for m in found[2].matches][:2] == [("short", old[1]), ("near", new[0])]


WORD = st.sampled_from("a b c d e 1 2".split())
TEXTS = st.lists(st.lists(WORD, max_size=14).map(" ".join), max_size=4)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_whatever_is_added_changes_nothing_that_was_there(
    first: list[str], second: list[str], third: list[str], texts: list[str]
) -> None:
    """Three segments of any items; the newest alone finds what the whole finds of its items, in the same numbers."""
    params = DecontaminationParams(ngram=4, near_ngram=3)
    parts = [questions(*first, name="a"), questions(*second, name="b"), questions(*third, name="c")]
    old = add_items(build_index(parts[0], 4, 3), parts[1])

    index = add_items(old, parts[2])

    assert union(old, build_index(parts[2], 4, 3), texts, params) == scan_batch(index, texts, params)
    assert [i for part in parts for i in sorted(part)] == list(index.items)
    if second:
        assert scan_batch(build_index(parts[2], 4, 3), texts, params) == scan_batch(index.newest, texts, params)


def test_the_other_rule_finds_the_union_too() -> None:
    """`qwen2-formula` compares with the items of every segment."""
    params = DecontaminationParams(rule="qwen2-formula")
    index = add_items(build_index(questions(ITEM, name="b")), questions(OTHER, SHORT, name="a"))

    (scan,) = scan_batch(index, [f"{ITEM} {OTHER}"], params)

    assert [index.items[match.item].text for match in scan.matches] == [ITEM, OTHER]


def test_what_is_there_already_is_not_added_again() -> None:
    """Whichever segment holds it; another text, row or set is another item."""
    first, second = questions(ITEM, OTHER), questions(SHORT, name="more")
    index = add_items(add_items(build_index(first), first + second), second + questions(ITEM, f"{OTHER}!"))

    assert [len(segment.items) for segment in index.segments] == [2, 1, 1]
    assert index.items[-1] == Item("set", "test", 1, "question", f"{OTHER}!")
    assert list(index.newest.items) == [index.items[-1]]


def test_nothing_new_is_an_empty_segment_that_the_next_addition_replaces() -> None:
    """The newest then finds nothing, and the index what it found before."""
    index = add_items(build_index(questions(ITEM)), questions(ITEM))

    assert len(index.newest.items) == 0
    assert scan_batch(index.newest, [ITEM], RULE) == [Scan([])]
    assert scan_batch(index, [ITEM], RULE) == scan_batch(build_index(questions(ITEM)), [ITEM], RULE)
    assert [len(s.items) for s in add_items(index, questions(OTHER, name="more")).segments] == [1, 1]


def test_coverage_and_protection_count_through_the_segments() -> None:
    """A set that stands in two segments is one line; tokens, texts and ids are those of the item."""
    index = add_items(
        build_index(questions(ITEM, "7")), [*questions("", SHORT, "8"), Item("a", "b", 0, "solution", OTHER)]
    )

    assert [tuple(line) for line in index.coverage()] == [("set", "test", 5, 2, 3, 1, 1, 2)]
    assert [item.text for item in index.unprotected()] == ["7", "", "8"]
    assert index.protected()["exact"].tolist() == [True, False, True, False, False, False]
    assert index.lengths.tolist() == [len(index.tokens(number)) for number in range(6)]
    assert index.first_ids == [0, index.segments[0].ids]


def test_the_same_additions_give_the_same_bytes(tmp_path: Path) -> None:
    """In the same order, from memory or from a file; in another order they are another index."""
    a, b = questions(ITEM, name="a"), questions(OTHER, SHORT, name="b")
    build_index(a).save(tmp_path / "a")
    add_items(load_index(tmp_path / "a"), b).save(tmp_path / "ab")
    add_items(build_index(a), b[::-1]).save(tmp_path / "same")
    swapped = add_items(build_index(b), a)

    assert (tmp_path / "ab").read_bytes() == (tmp_path / "same").read_bytes()
    assert load_index(tmp_path / "ab", check=True).digest == add_items(build_index(a), b).digest != swapped.digest
    assert load_index(tmp_path / "ab").newest.digest == build_index(b).digest


def test_only_an_addition_is_new() -> None:
    """An index of one segment has none."""
    with pytest.raises(UsageError, match="nothing was added"):
        _ = build_index(questions(ITEM)).newest


# --- the commands -----------------------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> str:
    """What a command prints that ends well."""
    told = CliRunner().invoke(main, [*map(str, arguments)])

    assert told.exit_code == 0, told.output
    return told.stdout


def evidence(out: Path) -> list[dict[str, Any]]:
    """The lines of evidence of a run."""
    return [orjson.loads(line) for line in (out / "evidence.jsonl").read_bytes().splitlines()]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Sixty clean rows, most with a stock phrase, one contaminated by each of two sets, one by both, a look-alike."""
    rows = [f"{text(n, 6)} Find {PHRASE} {text(n + 100, 40)}" for n in range(60)]
    rows += [f"{text(70)}. {ITEM}", f"{text(71)}. {OTHER}", f"{ITEM}\n{OTHER}\n{SHORT}", f"Find {PHRASE}"]
    rows += [OTHER.replace("48", "51").replace("half", "twice")]
    write_rows(tmp_path / "in.jsonl", [{"text": row, "n": n} for n, row in enumerate(rows)])
    write_rows(tmp_path / "old/test.jsonl", [{"question": ITEM}])
    write_rows(
        tmp_path / "new/test.jsonl",
        [{"question": q} for q in (OTHER, SHORT, f"Find {PHRASE} is that of all the sheep of the farm.", ITEM)],
    )
    run("benchmarks", "index", tmp_path / "old", "--out", tmp_path / "old.idx")
    run("benchmarks", "index", "--add", tmp_path / "old.idx", tmp_path / "new", "--out", tmp_path / "both.idx")
    return tmp_path


def test_only_new_finds_what_a_full_run_finds_of_the_addition(corpus: Path) -> None:
    """The evidence is the same, line by line, of every class; clean by the old and then the new is clean by both."""
    lcs = ("--lcs-threshold", "0.9")
    run("decontaminate", corpus / "in.jsonl", "--index", corpus / "both.idx", "--out", corpus / "full", *lcs)
    run(
        "decontaminate",
        corpus / "in.jsonl",
        "--index",
        corpus / "both.idx",
        "--only-new",
        "--out",
        corpus / "only",
        *lcs,
    )
    run("decontaminate", corpus / "in.jsonl", "--index", corpus / "old.idx", "--out", corpus / "was", *lcs)
    after = ("decontaminate", corpus / "was/clean/in.jsonl", "--index", corpus / "both.idx", "--only-new", *lcs)
    run(*after, "--out", corpus / "then")

    full, new = evidence(corpus / "full"), evidence(corpus / "only")
    assert [line for line in full if line["benchmark"] == "new"] == new
    assert [line for line in full if line["benchmark"] == "old"] == evidence(corpus / "was")
    assert {line["class"] for line in new} == {"exact", "short", "near", "review"}
    assert (corpus / "full/clean/in.jsonl").read_bytes() == (corpus / "then/clean/in.jsonl").read_bytes()
    assert len((corpus / "full/clean/in.jsonl").read_bytes().splitlines()) < 65
    report = orjson.loads((corpus / "only/report.json").read_bytes())
    assert report["options"]["only_new"] is True
    assert report["index"]["items"] == 4


def test_only_new_needs_an_index_with_an_addition(corpus: Path) -> None:
    """One line says what is missing."""
    for given_index, told in ((("--against", corpus / "old"), "--index"), (("--index", corpus / "old.idx"), "added")):
        result = CliRunner().invoke(
            main, ["decontaminate", str(corpus / "in.jsonl"), "--only-new", *map(str, given_index)]
        )

        assert (result.exit_code, result.stderr.count("\n"), told in result.stderr) == (2, 1, True)

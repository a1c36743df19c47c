"""The registry: names, checked files, fetched and pinned sets, and the options of multiple choice."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from decontam.benchmarks import Item, benchmark_files, load_benchmarks, published_items
from decontam.hub import Fetched, Pinned, fetch, hub_rows, pin
from decontam.options import own_enough
from decontam.registry import BenchmarkSet, load_registry, located, resolve, set_digest
from filters.errors import InputError, UsageError

ROWS = [{"stem": "How many sheep are left of seventeen?", "key": "All but nine died, so 9.", "pick": ["9", "17"]}]
DIGEST = "f4c24ccfda29cb104fcc6cd28fac31d0"  # of ROWS
REGISTRY = """\
# comments stay
version: 1
profiles:
  small: [farm]
sets:
  farm:
    title: Farm
    language: en
    licence: MIT
    hub: somebody/farm
    revision:
    fields: {question: [stem], solution: [key], option: [pick]}
    file: farm/test
    rows: 1
    digest: f4c24ccfda29cb104fcc6cd28fac31d0
    aliases: [Old-Farm]

  yard:  # has no copy on the hub
    title: Yard
    language: en
    licence: MIT
    revision:
    fields: {question: [stem]}
    file: farm/yard
    rows:
    digest:
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and the registry of two sets in use."""
    (tmp_path / "registry.yaml").write_text(REGISTRY)
    monkeypatch.setenv("MATHCORPUS_REGISTRY", str(tmp_path / "registry.yaml"))
    monkeypatch.setenv("MATHCORPUS_BENCHMARKS", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The file at `path` with one row a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def published(entry: BenchmarkSet) -> list[dict[str, Any]]:
    """What a hub that has ROWS gives."""
    return ROWS


def no_hub(entry: BenchmarkSet) -> list[dict[str, Any]]:
    """A hub that must not be asked."""
    pytest.fail(f"asked for {entry.hub}")


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("gsm8k", ("gsm8k",)),
        ("GSM-8K", ("gsm8k",)),
        ("MATH", ("math",)),
        ("MATH-500", ("math500",)),
        ("CMath", ("cmath",)),
        ("AIME2024", ("aime24",)),
        ("gaokao2024-ii", ("gaokao2024_II",)),
        ("pretrain", ("gsm8k", "math")),
        ("gsm9k", None),
    ],
)
def test_a_name_is_found_in_any_spelling(name: str, sets: tuple[str, ...] | None) -> None:
    """Case, hyphens, aliases and profiles; a name that is not known stands for nothing."""
    assert load_registry().find(name) == sets


def test_the_profiles_are_those_of_the_report_and_all() -> None:
    """`posttrain` has the twelve sets with GaoKao's five members in the place of one; `all` every set."""
    registry = load_registry()

    assert registry.find("posttrain") == (
        "gsm8k", "math", "minerva_math", "gaokao2023en", "olympiadbench", "college_math", "mmlu_stem",
        "gaokao2024_I", "gaokao2024_II", "gaokao2024_mix", "gaokao_math_cloze", "gaokao_math_qa",
        "cmath", "cn_middle_school", "aime24", "amc23",
    )  # fmt: skip
    assert registry.find("all") == tuple(registry.sets)
    assert {"mgsm_zh", "aime25", "aime26", "math500", "svamp", "asdiv", "mawps", "tabmwp"} <= set(registry.sets)
    assert {"aqua", "sat_math", "minif2f", "carp_en", "humaneval", "mbpp"} <= set(registry.sets)


def test_what_only_the_hub_can_tell_is_empty() -> None:
    """No revision is made up; sets that were not at hand have no rows and no digest, all others have both."""
    sets = load_registry().sets

    assert {name for name, entry in sets.items() if entry.revision} == set()
    assert [name for name, entry in sets.items() if not entry.pinned] == ["aime25", "aime26", "humaneval", "mbpp"]
    assert all((e.rows is None) == (e.digest is None) for e in sets.values())


def test_the_published_files_are_those_of_the_registry(shared_data: Path) -> None:
    """Every benchmark file at hand is a set of the registry, with its rows and digest; train splits are none."""
    files = resolve([shared_data / "benchmarks"])
    known = {load_registry().of_file(f.parent.name, f.name.partition(".")[0]) for f in files}

    assert len(files) == 27
    assert None not in known
    assert len(known) == 27


def test_a_name_is_looked_for_in_a_folder_and_then_in_the_cache(cache: Path, tmp_path: Path) -> None:
    """The folder goes first; paths and names together give each file once, sorted."""
    kept = write_rows(cache / "farm" / "test.jsonl", ROWS)
    own = write_rows(tmp_path / "own" / "exam.jsonl", [{"question": "q"}])

    assert resolve(["Old-Farm"]) == [kept]
    assert resolve([str(own), "farm", cache / "farm"]) == [kept, own]
    local = write_rows(tmp_path / "local" / "farm" / "test.jsonl", ROWS)
    assert resolve(["small"], cache, tmp_path / "local") == [local]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (ROWS * 2, "it has 2 rows, expected 1"),
        ([{**ROWS[0], "stem": "How many goats are left of seventeen?"}], f"expected {DIGEST}"),
        ([{**ROWS[0], "pick": ["9", "18"]}], f"expected {DIGEST}"),
    ],
)
def test_a_file_that_is_not_the_set_is_refused(cache: Path, rows: list[dict[str, Any]], told: str) -> None:
    """Rows, questions and options are checked, for a name and for a folder; the message is one line."""
    path = write_rows(cache / "farm" / "test.jsonl", rows)

    for given in ("farm", cache):
        with pytest.raises(InputError, match=told) as caught:
            resolve([given])
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_digest_tells_texts_and_nothing_else() -> None:
    """Order, width, spaces and row numbers do not matter; a text that comes twice does."""
    one = Item("a", "test", 0, "question", "Find  ２x.\n")
    two = Item("a", "test", 1, "question", "Find 3x.")
    moved = [Item("b", "x", 7, "question", "Find 3x."), Item("b", "x", 9, "question", "Find 2x.")]

    assert set_digest([one, two]) == set_digest(moved) == "ccd569e58065e1499736fabeb44d885e"
    assert set_digest([one, two, two]) != set_digest(moved)
    assert set_digest([Item("a", "test", 0, "solution", "Find 2x."), two]) != set_digest(moved)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ("gsm9k", UsageError, "near: gsm8k"),
        ("no-such-thing-at-all", UsageError, "no file or folder$"),
        ("some/folder", InputError, "no such benchmark file or folder: some/folder"),
        ("mbpp", InputError, "not here: mbpp; run `mathcorpus benchmarks fetch mbpp`"),
        ("all", InputError, "and 28 more; run `mathcorpus benchmarks fetch all`"),
    ],
)
def test_a_name_that_gives_no_file_says_what_to_do(tmp_path: Path, given: str, error: type, told: str) -> None:
    """A slip tells the near names, a set that is not here the command that brings it."""
    with pytest.raises(error, match=told):
        resolve([given], tmp_path / "empty")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("licence: MIT", "license: MIT", "sets.farm.licence: Field required"),
        ("[farm]", "[barn]", "a profile names barn"),
        ("[Old-Farm]", "[yard]", "two entries answer to yard"),
        ("farm/yard", "farm/test", "two entries answer to farm/test"),
        ("rows: 1", "rows: none", "sets.farm.rows"),
        ("sets:", "sets: [", "cannot read the registry"),
    ],
)
def test_a_registry_with_a_slip_is_refused(cache: Path, tmp_path: Path, old: str, new: str, told: str) -> None:
    """The error names the file and the key, in one line."""
    (tmp_path / "bad.yaml").write_text(REGISTRY.replace(old, new, 1))

    with pytest.raises(InputError, match=told) as caught:
        load_registry(tmp_path / "bad.yaml")

    assert "bad.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fetched_set_is_checked_kept_and_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    """It lies in the cache as NAME/SPLIT.jsonl.gz; a second fetch asks nobody; another cache gets equal bytes."""
    path = cache / "farm" / "test.jsonl.gz"

    assert list(fetch(["farm"], loader=published)) == [Fetched("farm", path, 1, False, True)]
    assert list(fetch(["farm"], loader=no_hub)) == [Fetched("farm", path, 1, True, True)]
    assert [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()] == ROWS
    list(fetch(["farm"], tmp_path / "other", published))
    assert (tmp_path / "other" / "farm" / "test.jsonl.gz").read_bytes() == path.read_bytes()
    assert sorted(p.name for p in cache.rglob("*")) == ["farm", "test.jsonl.gz"]


@pytest.mark.parametrize("damage", [b"", b"not JSON\n", b'{"stem": "another"}\n'])
def test_a_wrong_file_in_the_cache_is_fetched_again(cache: Path, damage: bytes) -> None:
    """What is there and not right is replaced, under whatever suffix it lay."""
    wrong = cache / "farm" / "test.jsonl"
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(damage)

    [one] = fetch(["farm"], loader=published)

    assert not one.was_there
    assert resolve(["farm"]) == [cache / "farm" / "test.jsonl.gz"]


def test_a_folder_of_sets_stands_for_the_hub(cache: Path, tmp_path: Path) -> None:
    """With a folder the hub is not asked; a set that is not pinned comes unchecked and says so."""
    write_rows(tmp_path / "stick" / "farm" / "test.jsonl", ROWS)
    write_rows(tmp_path / "stick" / "farm" / "yard.jsonl", [{"stem": "a"}, {"stem": "b"}])

    found = list(fetch(["all"], loader=no_hub, source=tmp_path / "stick"))

    assert [(one.name, one.rows, one.checked) for one in found] == [("farm", 1, True), ("yard", 2, False)]


def test_sets_that_cannot_be_had_are_told_together_at_the_end(cache: Path) -> None:
    """The others come; nothing wrong is left in the cache."""
    with pytest.raises(InputError) as caught:
        list(fetch(["all"], loader=lambda entry: ROWS * 3))

    assert str(caught.value) == (
        "not fetched: farm (it has 3 rows, expected 1); "
        "yard (no hub id in the registry: give a folder that has it with --from)"
    )
    assert located(load_registry().sets["farm"], cache) is None


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of two splits on this disk, which `datasets` loads by its path; its cache is thrown away."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "arrow")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "published"
    write_rows(folder / "train.jsonl", [{"stem": "a"}])
    write_rows(folder / "test.jsonl", [{"stem": "b"}, {"stem": "c"}])
    return folder


def entry_at(folder: Path | str, split: str) -> BenchmarkSet:
    """A set whose hub id is a folder of this disk."""
    entry = load_registry().sets["math500"]
    return entry.model_copy(update={"hub": str(folder), "split": split})


def test_rows_come_through_datasets(hub_folder: Path) -> None:
    """The library itself loads a split, and two splits as one, without a network."""
    assert list(hub_rows(entry_at(hub_folder, "test"))) == [{"stem": "b"}, {"stem": "c"}]
    assert list(hub_rows(entry_at(hub_folder, "train+test"))) == [{"stem": "a"}, {"stem": "b"}, {"stem": "c"}]


@pytest.mark.parametrize(("hub", "split"), [("somebody/farm", "test"), ("published", "none")])
def test_what_the_hub_refuses_is_one_line_with_a_way_out(hub_folder: Path, hub: str, split: str) -> None:
    """No network and a split that is not there tell what to do instead."""
    place = hub_folder if hub == "published" else hub

    with pytest.raises(InputError, match="give it with --from, or as a path") as caught:
        list(hub_rows(entry_at(place, split)))

    assert "\n" not in str(caught.value)


def test_pin_fills_a_copy_and_leaves_the_rest(cache: Path) -> None:
    """Three lines of each set change; the rows are those of the revision; comments and order stay."""
    asked = []

    def loader(entry: BenchmarkSet) -> list[dict[str, Any]]:
        asked.append(entry.revision)
        return [*ROWS, {"stem": "Another?"}]

    text, pinned = pin(["farm"], loader, lambda entry: "0123456789" * 4)

    digest = "f44f6ed87d2921d8c3b7b64283994421"
    assert pinned == [Pinned("farm", "0123456789" * 4, 2, digest)]
    assert asked == ["0123456789" * 4]
    assert text == REGISTRY.replace("revision:", f'revision: "{"0123456789" * 4}"', 1).replace(
        "rows: 1", "rows: 2"
    ).replace(DIGEST, digest)
    assert yaml.safe_load(text)["sets"]["farm"]["revision"] == "0123456789" * 4


def test_pin_from_a_folder_leaves_the_revision(cache: Path, tmp_path: Path) -> None:
    """A set that no hub has gets rows and digest from a folder; without one there is nothing to count."""
    write_rows(tmp_path / "stick" / "farm" / "yard.jsonl", [{"stem": "a"}])

    text, [one] = pin(["yard"], no_hub, source=tmp_path / "stick")

    assert (one.revision, one.rows) == (None, 1)
    assert yaml.safe_load(text)["sets"]["yard"]["rows"] == 1
    assert yaml.safe_load(text)["sets"]["farm"] == yaml.safe_load(REGISTRY)["sets"]["farm"]
    with pytest.raises(InputError, match="yard has no hub id"):
        pin(["yard"], no_hub)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["1", "2"], "q\nA. 1\nB. 2"),
        (["A)1", "B)2"], "q\nA)1\nB)2"),
        ([1, 2.5], "q\nA. 1\nB. 2.5"),
        ({"A": "1", "B": "2", "C": None}, "q\nA. 1\nB. 2"),
        ("A) 1 B) 2 < 3", "q\nA) 1\nB) 2 < 3"),
        (None, None),
        ([], None),
        ({"text": ["1"]}, None),
    ],
)
def test_options_stand_behind_the_question(tmp_path: Path, options: object, text: str | None) -> None:
    """However the options are written, each comes with its letter; the question stands alone as well."""
    path = write_rows(tmp_path / "own" / "test.jsonl", [{"question": "q", "options": options}])

    found = {item.field: item.text for item in published_items(path)}

    assert found == ({"question": "q"} if text is None else {"question": "q", "option": text})


OWN = ["a chord of the circle", "a tangent to it", "the diameter"]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ([OWN], [True]),
        ([OWN, [*OWN[:2], "the radius"]], [False, False]),  # two of three are stock: both rows have them
        ([OWN, ["true", "false"]], [True, False]),
        ([["1000 2000 3000 4000 5000 6000 7000 8000"]], [False]),  # no word
        ([["A. one two three four", "B. five six seven"]], [False]),  # 7 tokens; letters are none of them
        ([["A. one two three four", "B. five six seven eight"]], [True]),
        ([["一二三四五六七八九"]], [True]),
        ([], []),
    ],
)
def test_only_options_of_its_own_make_a_variant(options: list[list[str]], kept: list[bool]) -> None:
    """Options that other rows have too, or that are numbers, would convict every exercise that offers them."""
    assert own_enough(options) == kept


def test_a_variant_is_an_item(tmp_path: Path) -> None:
    """The row with options of its own has one more item, with the question before them."""
    rows = [{"question": "What is AB?", "options": OWN}, {"question": "Is it?", "options": ["yes", "no"]}]

    items = load_benchmarks([write_rows(tmp_path / "own" / "test.jsonl", rows)])

    assert items == [
        Item("own", "test", 0, "option", "What is AB?\nA. a chord of the circle\nB. a tangent to it\nC. the diameter"),
        Item("own", "test", 0, "question", "What is AB?"),
        Item("own", "test", 1, "question", "Is it?"),
    ]


def test_variants_of_the_published_sets(shared_data: Path) -> None:
    """3,904 rows have options, 1,873 of them enough of their own."""
    files = benchmark_files([shared_data / "benchmarks"])

    assert sum(i.field == "option" for f in files for i in published_items(f)) == 3904
    assert sum(i.field == "option" for i in load_benchmarks(files)) == 1873


def test_a_bare_answer_of_a_known_set_is_no_item(tmp_path: Path) -> None:
    """The registry says which field is a worked solution; a file of that name with other columns is read as usual."""
    known = write_rows(tmp_path / "cmath" / "test.jsonl", [{"question": "q", "answer": "nine sheep are left"}])
    other = write_rows(tmp_path / "math" / "test.jsonl", [{"question": "q", "answer": "s"}])

    assert [item.field for item in load_benchmarks([known])] == ["question"]
    assert [item.field for item in load_benchmarks([other])] == ["question", "solution"]
    assert [i.text for i in load_benchmarks([known], {"solution": ["answer"]})] == ["q", "nine sheep are left"]

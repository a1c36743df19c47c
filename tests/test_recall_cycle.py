"""Recall in cycles: it finds more each time, ends by its rule, obeys, and goes on wherever it was killed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from small_recall import caught_urls, recall, recall_and_precision, recipe, tree
from synthetic_web import Page, write_web

from filters.errors import InputError, RecipeError
from pipelines.cli_recall_cycle import cycle
from pipelines.engine import Engine, InlineEngine, make_engine
from pipelines.recall import Recall
from pipelines.recall_cycle import Given
from pipelines.recall_recipe import RecallRecipe, load_recall_recipe
from pipelines.recall_review import read_review


class Web:
    """A synthetic web and a recall of it."""

    def __init__(self, root: Path, hosts: int, pages: int) -> None:
        self.root = root
        self.pages: list[Page] = write_web(root, hosts, pages, files=3)
        self.report = recall(root)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    """30 hosts, 1,000 pages, recalled until the rule stops it."""
    return Web(tmp_path_factory.mktemp("web"), 30, 1_000)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Web:
    """10 hosts, 300 pages, recalled in two cycles."""
    made = Web.__new__(Web)
    made.root = tmp_path_factory.mktemp("small")
    made.pages = write_web(made.root, 10, 300, files=3)
    made.report = recall(made.root, last=2)
    return made


def test_recall_rises_from_cycle_to_cycle_until_the_rule_stops_it(web: Web) -> None:
    """From the dialects of the first seeds to nearly all, with fewer errors; the last cycle caught hardly a new page."""
    cycles = web.report["cycles"]
    found = [recall_and_precision(web.pages, caught_urls(web.root / "out" / f"cycle-{c['cycle']}")) for c in cycles]

    assert found[0][0] < 0.8
    assert found[0][0] < found[1][0] < found[-1][0]
    assert found[-1][0] > 0.95
    assert found[-1][1] > 0.95 > found[0][1]
    assert [c["known_share"] >= 0.98 for c in cycles] == [False] * (len(cycles) - 1) + [True]
    assert web.report["stopped"] == f"{cycles[-1]['known_share']:.1%} of cycle {len(cycles)} were caught before"
    assert cycles[-1]["evaluation"]["f1"] > cycles[0]["evaluation"]["f1"]


def test_the_ledger_says_what_was_added_from_where(web: Web) -> None:
    """Pages of mathematical prefixes as positive seeds, hard ones of other hosts as negative; none of them twice."""
    first = orjson.loads((web.root / "out" / "cycle-1" / "report.json").read_bytes())
    added = pq.read_table(web.root / "out" / "cycle-1" / "added.parquet").to_pylist()
    by_why = {why: [r for r in added if r["why"] == why] for why in first["added"]}

    assert {why: told["pages"] for why, told in first["added"].items()} == {w: len(rows) for w, rows in by_why.items()}
    assert set(by_why) == {"uncollected", "low", "hard"}
    assert all("/notes/" in r["prefix"] or "/math/" in r["prefix"] for r in by_why["uncollected"])
    assert all(r["score"] >= 500_000 and "/notes/" not in r["url"] for r in by_why["hard"])
    assert all(r["score"] < 500_000 and r["label"] == "negative" for r in by_why["low"])
    assert first["added"]["hard"]["examples"][0]["text"] == by_why["hard"][0]["text"][:300]
    assert len({r["key"] for r in added}) == len(added)


def test_the_corpus_is_what_the_last_cycle_caught(web: Web) -> None:
    """Documents with their score, behind a manifest."""
    rows = [
        r for path in sorted((web.root / "out" / "corpus").glob("*.parquet")) for r in pq.read_table(path).to_pylist()
    ]
    last = web.report["cycles"][-1]

    assert len(rows) == last["caught"] == web.report["corpus"]["rows"]
    assert {r["url"] for r in rows} == caught_urls(web.root / "out" / f"cycle-{last['cycle']}")
    assert min(r["math_score"] for r in rows) >= 0.5


class Refuses(InlineEngine):
    """An engine that must not be asked to run anything but the corpus and the documents."""

    def run(self, task: Any, ranks: Any, progress: Any) -> None:
        """Fails."""
        raise AssertionError(task)


def test_a_finished_cycle_is_not_done_again(web: Web) -> None:
    """Not by a second run, and not when more cycles are asked for; another rule begins anew."""
    before = tree(web.root / "out")
    recall(web.root, engine=Refuses(), stop={"cycles": 9})

    assert tree(web.root / "out") == before
    shutil.copytree(web.root / "out", web.root / "other")
    with pytest.raises(AssertionError, match="ScoreTask"):
        recall(web.root, "other", Refuses(), hosts={"min_share": 0.2})


@pytest.mark.slow  # every cycle trains in a process of its own
@pytest.mark.parametrize(("name", "workers"), [("local", 1), ("local", 3), ("spark", 2)])
def test_engines_agree(name: str, workers: int, small: Web, request: Any) -> None:
    """Every file of every cycle is byte for byte that of the inline engine."""
    recall(small.root, f"{name}{workers}", engine_of(name, workers, request), last=2)

    assert tree(small.root / f"{name}{workers}") == tree(small.root / "out")


def engine_of(name: str, workers: int, request: Any) -> Engine:
    if name != "spark":
        return make_engine(name, workers)
    from pipelines.engine_spark import SparkEngine

    return SparkEngine(workers, session=request.getfixturevalue("spark"))


class Killed(BaseException):
    """What stands for the end of the process."""


@pytest.mark.slow  # every cycle trains in a process of its own
@pytest.mark.parametrize("stride", [11, 23])
def test_killed_anywhere_it_ends_in_the_same_bytes(stride: int, small: Web, monkeypatch: Any) -> None:
    """Killed before the 11th (23rd) file gets its name, and started again each time with a little more to live."""
    left = [0]
    replace: Callable[..., Any] = Path.replace

    def dying(self: Path, target: Path) -> Any:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dying)
    out, deaths = f"killed{stride}", 0
    while True:
        left[0] = stride + 3 * deaths  # a rank that is cut short is done again, whole
        try:
            recall(small.root, out, last=2)
            break
        except Killed:
            deaths += 1

    assert deaths > 1
    assert tree(small.root / out) == tree(small.root / "out")


def edit_review(path: Path, verdicts: dict[str, str], extra: str = "") -> None:
    """Writes verdicts beside names of a review, as a person would."""
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    cells = [row.split("\t") for row in rows]
    lines = ["\t".join([verdicts.get(c[2], c[0]), *c[1:-1], "seen" if c[2] in verdicts else c[-1]]) for c in cells]
    path.write_text("\r\n".join([header, *lines, extra]) + "\r\n", encoding="utf-8-sig")


def test_the_next_cycle_obeys_the_review(small: Web) -> None:
    """A rejected host is caught no more and gives hard negatives, an accepted one and page are seeds; edits stay."""
    out = small.root / "reviewed"
    recall(small.root, "reviewed", last=1)
    review = read_review(out / "review.tsv")
    page = next(name for (kind, name), row in review.rows.items() if kind == "page" and row["proposed"] == "hard")
    edit_review(
        out / "review.tsv", {"math0.example/notes/": "Reject", page: "accept"}, "accept\t\thttps://site4.example/"
    )
    recall(small.root, "reviewed", last=2)
    added = pq.read_table(out / "cycle-2" / "added.parquet").to_pylist()
    reasons = {(r["url"].split("/")[2], r["why"]) for r in added}
    kept = read_review(out / "review.tsv").rows

    assert not any("math0.example/notes/" in url for url in caught_urls(out / "cycle-2"))
    assert any("math0.example/notes/" in url for url in caught_urls(out / "cycle-1"))
    assert ("math0.example", "hard") in reasons
    assert ("site4.example", "uncollected") in reasons
    assert [r["why"] for r in added if r["id"] == page] == ["accept"]
    assert kept["prefix", "math0.example/notes/"]["verdict"] == "reject"
    assert kept["prefix", "math0.example/notes/"]["note"] == "seen"
    assert kept["host", "site4.example"]["verdict"] == "accept"


def test_pages_of_a_mathematical_host_that_score_low_are_no_seeds(small: Web) -> None:
    """A page below `least_score` is left out, and nothing else changes."""
    added = {}
    for least in (0.0, 0.45):
        recall(small.root, f"least{least}", last=1, widen={"least_score": least})
        rows = pq.read_table(small.root / f"least{least}" / "cycle-1" / "added.parquet").to_pylist()
        added[least] = {r["url"]: r["score"] for r in rows if r["why"] == "uncollected"}

    assert added[0.45] == {url: score for url, score in added[0.0].items() if score >= 450_000}
    assert 0 < len(added[0.45]) < len(added[0.0])


def test_new_verdicts_are_obeyed_after_the_rule_has_stopped(web: Web) -> None:
    """The recall goes on until it stops again, and the cycles before the verdict stay as they are."""
    shutil.copytree(web.root / "out", web.root / "again")
    before, done = tree(web.root / "again"), len(web.report["cycles"])
    edit_review(web.root / "again" / "review.tsv", {"math0.example/notes/": "reject"})
    report = recall(web.root, "again")
    after = tree(web.root / "again")

    assert len(report["cycles"]) > done
    assert {n: after[n] for n in before if n.startswith("cycle-")} == {
        n: d for n, d in before.items() if n.startswith("cycle-")
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("yes\thost\th.org", r"review.tsv:2: verdict 'yes': write accept, reject, unsure, or nothing$"),
        ("accept\tcity\th.org", r"review.tsv:2: city 'h.org': kind is host, prefix or page"),
        ("accept\thost\thttp://[", r"review.tsv:2: host 'http://\[': kind is"),
    ],
)
def test_a_review_that_cannot_be_understood_names_its_line(line: str, message: str, tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / "review.tsv").write_text(f"verdict\tkind\tname\n{line}\n")

    with pytest.raises(InputError, match=message):
        read_review(tmp_path / "review.tsv")


def test_a_review_without_its_header_is_refused(tmp_path: Path) -> None:
    """Its columns cannot be known."""
    (tmp_path / "review.tsv").write_text("accept\thost\th.org\n")

    with pytest.raises(InputError, match="the first line must name the columns"):
        read_review(tmp_path / "review.tsv")


@pytest.mark.parametrize("keep", [{"pages": 40}, {"tokens": 5_000}])
def test_a_budget_is_kept_to(keep: dict[str, int], small: Web) -> None:
    """By rank or by tokens: as many as fit, not one more."""
    [report] = recall(small.root, f"budget-{next(iter(keep))}", last=1, keep=keep)["cycles"]

    assert report["caught"] == keep.get("pages", report["caught"])
    assert keep.get("tokens", 1 << 40) - 250 < report["caught_tokens"] <= keep["tokens"] if "tokens" in keep else True


def test_whole_hosts_are_held_out() -> None:
    """Seeds with an address are held out by host, others by their text; the labelled files take their place."""
    rows = [(f"text {n}", f"https://h{n % 40}.org/{n}") for n in range(400)]
    given = Given(recipe(evaluate=None, held_out=0.25), {"positive": rows, "negative": [("b", "")]}, None, None)
    trained, measured = given.split
    hosts = [{int(t.split()[1]) % 40 for t in side["positive"]} for side in (trained, measured)]

    assert len(trained["positive"]) + len(measured["positive"]) == 400
    assert hosts[0] & hosts[1] == set()
    assert 4 <= len(hosts[1]) <= 16


RECIPE = """\
name: r
sources:
  - {format: jsonl, name: web, path: web}
seeds: {positive: seeds/positive.jsonl, negative: seeds/negative.jsonl}
hosts:
  min_share: 0.1
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "min_share: 0.1",
            "min_shar: 0.1",
            "r.yaml:6: hosts.min_shar: unknown key; did you mean 'min_share'? allowed: depth,",
        ),
        (
            "min_share: 0.1",
            "min_share: 2",
            "r.yaml:6: hosts.min_share: Input should be less than or equal to 1 (found 2)",
        ),
        ("format: jsonl", "format: warc", "r.yaml:3: sources.0: unknown format"),
        ("path: web", "path: web, html: true", "r.yaml:1: recipe: source 'web' holds HTML; extract it first"),
        ("name: r\n", "name: r\nheld_out: 0\n", "r.yaml:1: recipe: held_out is 0 and there is no evaluate"),
    ],
)
def test_a_recipe_that_does_not_validate_says_where(old: str, new: str, message: str, tmp_path: Path) -> None:
    """File, line, key, in one line."""
    (tmp_path / "r.yaml").write_text(RECIPE.replace(old, new))

    with pytest.raises(RecipeError) as caught:
        load_recall_recipe(tmp_path / "r.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_prints_a_line_for_each_cycle(small: Web) -> None:
    """Cycle, caught, new, known before, hosts, seeds, F1; and where the corpus is."""
    (small.root / "r.yaml").write_bytes(orjson.dumps(recipe().model_dump(mode="json", exclude={"params"})))
    out = small.root / "out"
    told = CliRunner().invoke(
        cycle, [str(small.root / "r.yaml"), "--engine", "inline", "--cycles", "2", "--out", str(out)]
    )
    lines = told.stdout.splitlines()

    assert told.exit_code == 0, told.output
    assert lines[0].split() == "cycle caught new known before math hosts seeds added F1 held out".split()
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"]
    assert lines[3] == f"stopped: {small.report['stopped']}"
    assert str(out / "corpus") in lines[4]


def test_the_example_is_a_recipe() -> None:
    """examples/recall-cycle.yaml validates."""
    example = Path(__file__).parent.parent / "examples" / "recall-cycle.yaml"

    assert isinstance(load_recall_recipe(example, {"data": "/d"}), RecallRecipe)


@pytest.mark.slow
def test_a_web_of_20_000_pages_is_recalled(tmp_path: Path) -> None:
    """300 hosts: recall rises in every cycle but the last, which the rule ends; nearly all is found, and hardly more."""
    pages = write_web(tmp_path, 300, 20_000, files=8)
    report = Recall(recipe(shard_mb=2), tmp_path, tmp_path / "out", lambda: make_engine("local", 2)).run()
    found = [
        recall_and_precision(pages, caught_urls(tmp_path / "out" / f"cycle-{c['cycle']}")) for c in report["cycles"]
    ]

    assert [share for share, _ in found[:3]] == sorted({share for share, _ in found[:3]})
    assert found[0][0] < 0.8
    assert found[-1][0] > 0.97
    assert found[-1][1] > 0.99
    assert report["stopped"].endswith("were caught before")

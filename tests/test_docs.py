"""The documentation agrees with the project: generated pages, links, the tree of files, figures."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
from collections.abc import Iterator

import pytest
from conftest import REPOSITORY
from doc_commands import PAGES, blocks

from pipelines import cli_page

EXTRACTORS = ("ours", "trafilatura 2.3.1", "resiliparse 2.0.1", "magic-html 0.1.8")
DECONTAMINATION = "decontamination of 13 sets"
FIGURE = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def test_the_page_of_the_command_line_is_that_of_the_code() -> None:
    """Made anew, it is the same; otherwise: python -m pipelines.cli_page > docs/cli.md."""
    assert (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8") == cli_page.page()


def test_the_page_of_licences_is_that_of_the_pins() -> None:
    """As installed packages state them; otherwise: python docs/licences.py. What is not installed keeps its row."""
    spec = importlib.util.spec_from_file_location("licences_page", REPOSITORY / "docs" / "licences.py")
    licences = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(licences)  # type: ignore[union-attr]

    assert (REPOSITORY / "docs" / "licences.md").read_text(encoding="utf-8") == licences.page()


def anchors(page: str) -> set[str]:
    """The names that the headings of a page can be reached by."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link names a file of the project, and a heading where it names one."""
    text = FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))
    for target in (m["target"] for m in LINK.finditer(text)):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = ((REPOSITORY / page).parent / path).resolve() if path else REPOSITORY / page

        assert found.exists(), (page, target)
        assert found.is_relative_to(REPOSITORY), (page, target)
        assert not anchor or anchor in anchors(found.relative_to(REPOSITORY).as_posix()), (page, target)


def test_every_page_can_be_reached_from_the_readme() -> None:
    """The README links each page of docs/, and CHANGELOG and CONTRIBUTING."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    linked = {m["target"].partition("#")[0] for m in LINK.finditer(text)}

    assert [page for page in PAGES if page not in linked | {"README.md"}] == []


def tree() -> Iterator[str]:
    """The paths of the README's tree; a folder's members are indented below it."""
    [block] = [b for b in blocks("README.md", "text") if "constraints.txt" in b.text]
    above: list[str] = []
    for line in block.text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], line.split()[0]]
        yield "".join(above)


def test_the_tree_of_the_readme_is_that_of_the_project() -> None:
    """All that it names is there, as a file or as a folder; nothing at the top is left out."""
    named = list(tree())
    wrong = [p for p in named if not (REPOSITORY / p).exists() or (REPOSITORY / p).is_dir() != p.endswith("/")]
    told = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if told.returncode != 0:
        pytest.skip("no git checkout: what belongs to the project is not known")
    top = {path if "/" not in path else path.partition("/")[0] + "/" for path in told.stdout.splitlines()}

    assert wrong == []
    assert {name for name in top if not name.startswith(".")} - set(named) == set()


RESULTS = {  # words of a line of the README's table -> rows of results.csv, in the order of the line's figures
    "word for word": ["decontamination, plants found, verbatim"],
    "with one word changed": [f"decontamination, plants found, {k}" for k in ("one_word", "all_numbers", "edits_10")],
    "without benchmarks": ["decontamination, clean texts removed"],
    "classes, English": [f"{DECONTAMINATION}, English, {k}" for k in ("command, jsonl.zst, all classes", "datatrove")],
    "in Chinese": [f"{DECONTAMINATION}, Chinese, {k}" for k in ("command, jsonl.zst, all classes", "datatrove")],
    "stay whole": [f"extraction, {who}, span" for who in EXTRACTORS],
    "token F1": [f"extraction, {who}, F1 math" for who in EXTRACTORS],
    "pages per CPU second": [f"extraction, {who}, pages/s, all" for who in EXTRACTORS],
    "never seen": [f"recall of pages, default, score, all, {k}" for k in ("F1", "AUC")],
    "recall classifier": ["recall, dim 100, folded", "recall, dim 100, fasttext.predict"],
    "0.8 and more": ["dedup, recall of pairs at 0.8", "dedup, precision of what went"],
    "signatures, English": [f"dedup, English, {k}" for k in ("text to signatures", "datatrove", "datasketch", "rensa")],
    "to clusters": [
        "dedup, signatures to clusters, 1000000 documents, ours",
        "dedup, signatures to clusters, 20000 documents, datatrove",
    ],
    "token ids": [f"pack, {k}, 13.9 M tokens" for k in ("tokenise", "datatrove, DocumentTokenizer")],
    "although they fit": [f"pack, {k}, length 4096, documents cut although they fit" for k in ("best-fit", "greedy")],
    "a mix of": [f"mix, 10,000,000 documents, a cap{k}" for k in ("", ", memory")],
    "audited": [f"report of 100,000 documents, audited, {k}" for k in ("report.html", "page loaded")],
    "model client": ["synth: requests per client CPU-s, 1 KB prompts, durable journal", "synth: the same asked by httpx, no journal"],
    "wrongly called": [f"answer equality, held-out sets, false {k}" for k in ("accepts", "rejects")],
    "builds killed": [*(f"faults, {k}, kills" for k in ("local", "spark", "cluster")), "faults, local, builds that recovered"],
}  # fmt: skip


def results() -> list[list[str]]:
    """The cells of each line of the README's table of results."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## Results")[2]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.parametrize("cells", results(), ids=lambda cells: cells[0])
def test_every_figure_of_the_readme_was_measured(cells: list[str]) -> None:
    """It is in results.csv, at one of the commits named; the line has no figure more, and none less."""
    title, ours, others, commits = cells
    [names] = [names for words, names in RESULTS.items() if words in title]
    figures = [float(n.replace(",", "")) for n in FIGURE.findall(f"{ours} {others}")]
    with (REPOSITORY / "benchmarks" / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["benchmark"], float(row["value"])) for row in csv.DictReader(file) if row["commit"] in commits}

    assert [pair for pair in zip(names, figures, strict=True) if pair not in rows] == []


def test_the_readme_opens_with_a_worked_example() -> None:
    """A title, a sentence, and a contamination with what the command says of it."""
    first = blocks("README.md")[0]
    begins = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("\n\n")[1]

    assert begins.rstrip().endswith(".")
    assert begins.count(". ") == 0
    assert "mathcorpus decontaminate" in first.text
    assert first.told is not None
    assert first.told.startswith("exact: ")

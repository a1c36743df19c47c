"""The documentation agrees with the project: generated pages, links, the tree of files, figures."""

from __future__ import annotations

import re

import pytest
from conftest import REPOSITORY
from doc_commands import PAGES

from pipelines import cli_page

LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def test_the_page_of_the_command_line_is_that_of_the_code() -> None:
    """Made anew, it is the same; otherwise: python -m pipelines.cli_page > docs/cli.md."""
    assert (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8") == cli_page.page()


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

"""What goes from inside the main region: related-links lists, buttons, words about the page."""

from __future__ import annotations

from filters.content_features import HEADINGS, Features
from filters.content_rules import (
    BODY,
    MAX_BOILERPLATE_LINE,
    announces_references,
    heading_calls,
    heading_is_boilerplate,
    line_is_boilerplate,
)
from filters.content_tree import INLINE, TEXT, Outline

LINK_LIST = 0.6  # of a list's weight in links
BOX_TAGS = frozenset(("div", "ul", "ol", "table", "section", "dl", "center"))
BOX_SHARE = 0.3  # of the region; a box of more is the article
BOX_LINKS = 0.3
MAX_LEAD = 200
FIRST_NODES = 8  # elements that may stand open or empty before a box's heading
INDEX_FACTOR = 1.5  # clutter to prose; a region with more is a list of links by itself, and stays whole


def clean(  # noqa: PLR0913
    outline: Outline, features: Features, dropped: bytearray, region: int, prose: list[int], clutter: list[int]
) -> None:
    """Marks what goes in `dropped`."""
    tags, ends, weights, links = outline.tags, outline.ends, features.weights, features.links
    if clutter[region] > INDEX_FACTOR * prose[region]:
        return
    node, end = region + 1, ends[region]
    seen: dict[int, bool] = {}
    body_ends = end if features.flags[region] & BODY else 0
    while node < end:
        tag = tags[node]
        if tag == TEXT:
            node += 1
            continue
        if dropped[node] or not weights[node]:
            node = ends[node]
            continue
        if features.flags[node] & BODY and node >= body_ends:
            body_ends = ends[node]
        if (
            node >= body_ends
            and tag in BOX_TAGS
            and not prose[node]
            and clutter[node] > LINK_LIST * weights[node]
            and not _has_paragraphs(outline, prose, outline.parents[node], seen)
            and not announces_references(outline.text(node)[:MAX_LEAD].lstrip())
        ):
            dropped[node] = 1
            node = ends[node]
            continue
        if tag in HEADINGS:
            if weights[node] < MAX_BOILERPLATE_LINE and heading_is_boilerplate(_line(outline, node)):
                _drop_box(outline, features, dropped, node, region)
            node = ends[node]
            continue
        if (
            tag not in INLINE
            and tag != "pre"
            and weights[node] < MAX_BOILERPLATE_LINE
            and not features.formulas[node]
            and line_is_boilerplate(_line(outline, node))
        ):
            dropped[node] = 1
            node = ends[node]
            continue
        node += 1


def _has_paragraphs(outline: Outline, prose: list[int], parent: int, seen: dict[int, bool]) -> bool:
    """Whether paragraphs stand right below an element, so that a list of links beside them is a reading list."""
    if parent not in seen:
        seen[parent] = any(prose[child] and outline.tags[child] not in BOX_TAGS for child in outline.children(parent))
    return seen[parent]


def _line(outline: Outline, node: int) -> str:
    return " ".join(outline.text(node).split())


def _drop_box(outline: Outline, features: Features, dropped: bytearray, heading: int, region: int) -> None:
    """Drops a heading such as "Related posts" with its box, or with the link list behind it; else nothing."""
    weights, links = features.weights, features.links
    box = heading
    while (parent := outline.parents[box]) > region and weights[parent] < BOX_SHARE * weights[region]:
        if box - parent > FIRST_NODES or any(outline.texts[before].strip() for before in range(parent + 1, box)):
            break
        box = parent
    if box != heading and (links[box] > BOX_LINKS * weights[box] or heading_calls(_line(outline, heading))):
        dropped[box] = 1
        return
    follower, end = outline.ends[heading], outline.ends[outline.parents[heading]]
    while follower < end and not weights[follower]:
        follower = outline.ends[follower]
    if follower < end and links[follower] > LINK_LIST * weights[follower]:
        dropped[heading] = dropped[follower] = 1

"""What goes from inside the main region: related-links lists, buttons, words about the page."""

from __future__ import annotations

from filters.content_features import HEADINGS, Features
from filters.content_rules import (
    BODY,
    MAX_BOILERPLATE_LINE,
    announces_references,
    heading_calls,
    heading_is_boilerplate,
    heading_opens_comments,
    line_is_boilerplate,
    line_is_date,
)
from filters.content_tree import INLINE, TEXT, Outline

LINK_LIST = 0.6  # of a list's weight in links
BOX_TAGS = frozenset(("div", "ul", "ol", "table", "section", "dl", "center"))
BOX_SHARE = 0.3  # of the region; a box of more is the article
BOX_LINKS = 0.3
MAX_LEAD = 200
ARTICLE_SHARE = 0.3  # of the region's weight that stands before comments on it
BEGUN = 40  # weight of prose
LEAD_TAGS = frozenset(("p", "div", "time", "ul", "section", "header", "dl", "address", "figcaption"))
FIRST_NODES = 8  # elements that may stand open or empty before a box's heading
INDEX_FACTOR = 1.5  # clutter to prose; a region with more is a list of links by itself, and stays whole


def clean(
    outline: Outline, features: Features, dropped: bytearray, region: int, prose: list[int], clutter: list[int]
) -> None:
    """Marks what goes in `dropped`."""
    if clutter[region] > INDEX_FACTOR * prose[region]:
        return
    tags, ends, weights, parents = outline.tags, outline.ends, features.weights, outline.parents
    seen: dict[int, bool] = {}
    begun = False  # whether a sentence of the article has been seen
    passed = 0  # weight of the texts before
    node, end = region + 1, ends[region]
    body_ends = end if features.flags[region] & BODY else 0
    while node < end:
        tag = tags[node]
        if tag == TEXT or dropped[node] or not weights[node]:
            passed += weights[node] * (tag == TEXT)
            node = ends[node]
            continue
        if features.flags[node] & BODY:
            body_ends = max(body_ends, ends[node])
        if tag in HEADINGS:
            if weights[node] < MAX_BOILERPLATE_LINE:
                line = _line(outline, node)
                if heading_opens_comments(line) and passed > ARTICLE_SHARE * weights[region]:
                    _drop_rest(outline, dropped, node, region)
                    return
                if heading_is_boilerplate(line):
                    _drop_box(outline, features, dropped, node, region)
        elif node >= body_ends and tag in BOX_TAGS and not prose[node] and clutter[node] > LINK_LIST * weights[node]:
            dropped[node] = not (
                _has_paragraphs(outline, prose, parents[node], seen)
                or announces_references(outline.text(node)[:MAX_LEAD].lstrip())
            )
        elif tag not in INLINE and tag != "pre" and weights[node] < MAX_BOILERPLATE_LINE:
            begun = begun or prose[node] >= BEGUN
            # a box with nothing but this box in it was read already
            if weights[node] != weights[parents[node]] or parents[node] <= region:
                dropped[node] = not features.formulas[node] and _is_chrome(outline, node, begun=begun)
        node = ends[node] if dropped[node] or tag in HEADINGS else node + 1


def _is_chrome(outline: Outline, node: int, *, begun: bool) -> bool:
    """Whether a short block is a button or, above the article's first sentence, a date."""
    line = _line(outline, node)
    return line_is_boilerplate(line) or (not begun and outline.tags[node] in LEAD_TAGS and line_is_date(line))


def _drop_rest(outline: Outline, dropped: bytearray, node: int, region: int) -> None:
    """Drops a node and all that follows it in the region."""
    dropped[node] = 1
    while node != region:
        beside, parent = outline.ends[node], outline.parents[node]
        while beside < outline.ends[parent]:
            dropped[beside] = 1
            beside = outline.ends[beside]
        node = parent


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

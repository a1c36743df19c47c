"""Numbers about the blocks of a page: how much text, how much of it in links, how many sentences, formulas and code.

A block is the nearest element above a text that starts a line of its own. Weight is the length in UTF-8 bytes, so that
a Chinese character counts as much as three letters of an English word, and a formula counts as 12.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

import numpy as np

from filters.content_rules import (
    BODY,
    COMMENTS,
    DROP,
    FURNITURE,
    LIKELY_BODY,
    MAX_SMALL_PRINT,
    POST,
    of_names,
    role_is_chrome,
    small_print_places,
)
from filters.content_tree import INLINE, TEXT, Outline, words

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
FORMULA = re.compile("\ue000\\d+\ue001")
FORMULA_WEIGHT = 12
EDGE_EARLY, EDGE_LATE = 0.1, 0.6  # small print stands in the first tenth of a page's nodes or behind six tenths of them
_PUNCTUATION = re.compile(r"[.,;:!?](?=\s|$)|[。，；：！？、]")
_CODE_TAGS = frozenset(("pre", "code"))
_CHROME_TAGS = frozenset(("nav", "footer", "aside", "menu", "button"))
_MARKED_TAGS = _CHROME_TAGS | {"header", "main", "article", "pre", "code"}
_SLUG_TAGS = words("section article h1 h2 h3 h4 h5 h6 li p a span dt dd tr figure table body html main")
_SLUG_CLASS = re.compile(r"\b(?:section|level\d|sect\d|outline-\d|chapter)\b")
_NOTE_CLASS = re.compile(
    r"note|admonition|callout|theorem|proof|remark|definition|example|hint|warning|tip|exercise|box", re.I
)
_HIDDEN_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_TELLING = frozenset(("role", "itemprop", "hidden", "aria-hidden", "style"))
HIDDEN = 64
CODE = 128  # a box of code that is no `pre`: in coqdoc every name in it is a link to what it names


@dataclass(slots=True)
class Features:
    """Parallel to the outline's nodes.

    flags: what names, tags and roles say of the element itself (content_rules, and HIDDEN); blocks: index of the block
    that a text belongs to, -1 elsewhere; stops: 1 for a text with a mark that ends or parts a sentence; and sums over
    the whole subtree: weights, links (weight inside links), formulas. marked: the elements with flags, and `header`s;
    written: the texts that are not blank.
    small_print: blocks near the page's edges that speak of rights, cookies and newsletters.
    """

    flags: list[int]
    blocks: list[int]
    stops: list[int]
    weights: list[int]
    links: list[int]
    formulas: list[int]
    marked: list[int]
    written: list[int]
    small_print: set[int] = field(default_factory=set)


def zeros(size: int) -> array[int]:
    """A row of zeros that can be filled number by number and summed without being copied."""
    return array("q", bytes(8 * size))


def subtree_sums(rows: Sequence[array[int]], ends: list[int]) -> list[list[int]]:
    """For each row, the sums over i .. ends[i]-1 for each i."""
    behind, total = np.asarray(ends), np.zeros(len(ends) + 1, dtype=np.int64)
    sums = []
    for row in rows:
        np.cumsum(np.frombuffer(row, dtype=np.int64), out=total[1:])
        sums.append((total[behind] - total[:-1]).tolist())
    return sums


def measure(outline: Outline) -> Features:
    """One pass over names and texts, and the sums."""
    size = len(outline.tags)
    flags, marked = _all_flags(outline)
    blocks, stops = [0] * size, [0] * size
    weights, links, formulas = zeros(size), zeros(size), zeros(size)
    nearest, linked, written = [0] * size, [False] * size, list[int]()
    code_ends = 0
    for node, (tag, text, parent) in enumerate(zip(outline.tags, outline.texts, outline.parents, strict=True)):
        if tag != TEXT:
            blocks[node] = -1
            nearest[node] = nearest[parent] if tag in INLINE else node
            if flags[node] & CODE:
                code_ends = outline.ends[node]
            is_link = (parent >= 0 and linked[parent]) or (tag == "a" and "href" in outline.attributes[node])
            linked[node] = is_link and node >= code_ends
            continue
        bare = text.strip()
        if not bare:
            blocks[node] = -1
            continue
        blocks[node] = nearest[parent]
        written.append(node)
        weight = len(bare) if bare.isascii() else len(bare.encode("utf-8", "replace"))
        if _PUNCTUATION.search(bare):
            stops[node] = 1
        if "\ue000" in bare:
            found = FORMULA.findall(bare)
            formulas[node] = len(found)
            weight += FORMULA_WEIGHT * len(found) - sum(map(len, found)) - 4 * len(found)
        weights[node] = weight
        if linked[parent]:
            links[node] = weight
    weights_below, links_below, formulas_below = subtree_sums((weights, links, formulas), outline.ends)
    features = Features(flags, blocks, stops, weights_below, links_below, formulas_below, marked, written)
    _mark_small_print(outline, features)
    return features


def _all_flags(outline: Outline) -> tuple[list[int], list[int]]:
    """The flags of all nodes, and the nodes that have some."""
    flags, marked = [0] * len(outline.tags), []
    code_ends = 0  # names inside code are those of the highlighter: <span class="comment">
    for node, (tag, attributes) in enumerate(zip(outline.tags, outline.attributes, strict=True)):
        if node < code_ends or not (attributes or tag in _MARKED_TAGS):
            continue
        if tag in _CODE_TAGS:
            code_ends = outline.ends[node]
        classes, name = attributes.get("class"), attributes.get("id")
        flag = _named(tag, classes or "", name or "") if classes or name or tag in _MARKED_TAGS else 0
        if not _TELLING.isdisjoint(attributes):
            flag |= _of_attributes(attributes)
        if tag == "figcaption":  # pandoc hides its captions from screen readers, since the image has them as alt
            flag &= ~HIDDEN
        if flag & (BODY | POST):
            flag &= ~DROP  # CopyrightRichText-richText
        flags[node] = flag
        if flag or tag == "header":
            marked.append(node)
    return flags, marked


def _mark_small_print(outline: Outline, features: Features) -> None:
    """Finds the blocks of small print in the texts at both edges of the page, joined."""
    early, late = EDGE_EARLY * len(outline.tags), EDGE_LATE * len(outline.tags)
    nodes = [n for n in features.written if not early < n < late and features.weights[n] < MAX_SMALL_PRINT]
    starts = list(accumulate((len(outline.texts[node]) + 1 for node in nodes), initial=0))
    for place in small_print_places("\n".join(outline.texts[node] for node in nodes)):
        features.small_print.add(features.blocks[nodes[bisect_right(starts, place) - 1]])


@lru_cache(maxsize=1 << 15)
def _named(tag: str, classes: str, name: str) -> int:
    """What an element says of itself by its tag, class and id."""
    if name and (tag in _SLUG_TAGS or _SLUG_CLASS.search(classes)):
        name = ""  # made from a heading's words: <section id="comments"> may be a chapter about comments
    flags = of_names(f"{classes} {name}") if classes or name else 0
    if tag in _CHROME_TAGS and not (tag == "aside" and _NOTE_CLASS.search(classes)):
        flags |= DROP
    if tag in INLINE:
        flags &= DROP | FURNITURE | POST
    elif tag in ("body", "html"):
        flags &= BODY | LIKELY_BODY
    elif tag in ("main", "article"):
        flags = (flags & ~DROP) | LIKELY_BODY
    if tag == "div" and "code" in classes.split():
        flags |= CODE
    return flags


def _of_attributes(attributes: dict[str, str | None]) -> int:
    flags = 0
    role = attributes.get("role")
    if role is not None:
        if role_is_chrome(role):
            flags |= DROP
        elif role == "main":
            flags |= LIKELY_BODY
    item = attributes.get("itemprop")
    if item is not None:
        if item == "articleBody":
            flags |= BODY
        elif item == "text":
            flags |= POST
        elif item in ("comment", "commentText"):
            flags |= COMMENTS
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        flags |= HIDDEN
    style = attributes.get("style")
    if style and _HIDDEN_STYLE.search(style):
        flags |= HIDDEN
    return flags

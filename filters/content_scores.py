"""How much of each element is prose, and how much is links: what the choice of the main region rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from filters.content_features import HEADINGS, Features, subtree_sums, zeros
from filters.content_rules import BODY
from filters.content_tree import Outline

LINKED = 0.5  # of a block's weight in links; from there on it is an entry of a menu, if it is short
SHORT, LONG = 100, 160  # weights: below, links decide; above, a paragraph is prose beyond doubt
SENTENCE = 40  # weight of the shortest sentence
INLINE_LINKS = 0.3  # links among much text of one block are words of it, not a list
_PRE_VALUE, _NEUTRAL_VALUE = 0.6, 0.25


@dataclass(frozen=True, slots=True)
class Sums:
    """Over each subtree, in weight and without what was dropped: prose (worth keeping), clutter (lists of links),
    neutral (neither), and the number of formulas outside links."""

    prose: list[int]
    clutter: list[int]
    neutral: list[int]
    formulas: list[int]


def score(outline: Outline, features: Features, dropped: bytearray) -> Sums:
    """Scores each block by its own texts, and adds the blocks up the tree."""
    size = len(outline.tags)
    own: dict[int, list[int]] = {}
    formulas = zeros(size)
    bodies = _covered(outline, (n for n in features.marked if features.flags[n] & BODY))
    gone = _covered(outline, (n for n in features.marked if dropped[n]))
    for node in features.written:
        if gone[node]:
            continue
        weight, link, formula = features.weights[node], features.links[node], features.formulas[node]
        entry = own.get(features.blocks[node])
        if entry is None:
            entry = own[features.blocks[node]] = [0, 0, 0, 0]
        entry[0] += weight
        entry[1] += link // 2 if bodies[node] else link  # in an element with a body's name links are content
        entry[2] += formula
        entry[3] += features.stops[node]
    prose, clutter, neutral = zeros(size), zeros(size), zeros(size)
    for block, (weight, link, formula, stop) in own.items():
        if link <= LINKED * weight:
            formulas[block] = formula
        if block in features.small_print and not formula:
            neutral[block] = weight
        else:
            prose[block], clutter[block], neutral[block] = _worth(outline.tags[block], weight, link, formula, stop)
    return Sums(*subtree_sums((prose, clutter, neutral, formulas), outline.ends))


def _covered(outline: Outline, nodes: Iterable[int]) -> bytearray:
    """1 for each node in the subtrees of some nodes, which come in document order."""
    covered, ends = bytearray(len(outline.tags)), 0
    for node in nodes:
        if node >= ends:
            ends = outline.ends[node]
            covered[node:ends] = b"\1" * (ends - node)
    return covered


def _worth(tag: str, weight: int, link: int, formulas: int, stops: int) -> tuple[int, int, int]:
    """(prose, clutter, neutral) of one block, in weight."""
    if tag in HEADINGS:
        return 0, 0, 0
    density = link / weight
    text = weight - link
    if density > LINKED and text < SHORT:
        return 0, int(link * (0.5 if stops > 1 and tag == "p" else 1.0)), 0
    if tag == "pre":
        return int(_PRE_VALUE * text), 0, 0
    if formulas or (stops and text >= SENTENCE) or text >= SHORT:
        sure = 1.0 if formulas else min(1.0, text / LONG)  # teasers are short, paragraphs of an article are not
        clutter = link * density * (1.0 if text < LONG else INLINE_LINKS)
        return int(text * (1 - density) * sure), int(clutter), int(text * (1 - sure))
    return int(_NEUTRAL_VALUE * text), int(link * density), text

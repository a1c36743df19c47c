"""Which parts of a page are its main text: an article, a chapter, or the posts of a thread.

Four steps. What names, roles and tags call navigation, footer, advertisement or comments goes, unless it holds much of
the page's prose (then the name speaks of a wrapper). Pages with posts in the template of a forum keep those posts. Else
each element is a candidate, and the one with the best balance of prose inside it and link lists outside it wins, with a
bonus for names such as `article-body`. A region that lost formulas is widened. Last, the region's own chrome goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from filters.content_cleaning import INDEX_FACTOR, clean
from filters.content_features import HEADINGS, HIDDEN, Features, measure
from filters.content_rules import BODY, COMMENTS, DROP, LIKELY_BODY, of_names
from filters.content_scores import Sums, score
from filters.content_threads import (
    WRAPPER_SHARE,
    comments_are_the_page,
    drop_furniture,
    find_posts,
    with_title,
)
from filters.content_tree import INLINE, Outline

COMMENTED = 200  # weight of the prose outside comments from which on they are comments on something
CANDIDATE_SHARE = 0.2  # of the page's prose that a candidate holds at least
NEUTRAL_LOSS = 0.3  # how much a character that is neither prose nor links counts against a candidate
CLEAR_SHARE, CLEAR_WEIGHT = 0.6, 500  # of a region that is an article, however long the menus beside it
FEW_WORDS = 200  # weight of the prose of a page that has none
NARROW_SHARE = 0.9
KEPT_FORMULAS = 0.95
ASIDE_LINKS = 0.3
LOST_FORMULAS = 0.2  # of the page's formulas; an element with so many is not dropped for its name
FEW_FORMULAS = 3
_CHROME_TAGS = frozenset(("nav", "aside", "footer", "header"))
_BONUS = {BODY: 0.2, LIKELY_BODY: 0.08}
_NO_CANDIDATES = INLINE | HEADINGS | {"p", "tr", "tbody", "pre", "header", "footer", "li", "ul", "ol", "figure"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Nodes to write, in order, none inside another; dropped[i] is 1 where node i and all below it is left out."""

    nodes: list[int]
    dropped: bytearray


def everything(outline: Outline) -> Choice:
    """The whole page."""
    return Choice([0] if outline.tags else [], bytearray(len(outline.tags)))


def choose(outline: Outline) -> Choice:
    """The main content of a page; no nodes where it has no text at all. Formulas stand in it as placeholders."""
    if not outline.tags:
        return Choice([], bytearray())
    features = measure(outline)
    posts = find_posts(outline, features)
    thread = bool(posts) or comments_are_the_page(outline, features)
    dropped = _chrome(outline, features, keep_comments=thread)
    if thread:
        drop_furniture(outline, features, dropped, posts or [0])
    if posts:
        return Choice(with_title(outline, features, dropped, posts), dropped)
    sums = score(outline, features, dropped)
    if not sums.prose[0]:  # nothing but menus, headings and small print
        return Choice([max(0, _index(features, sums))], dropped)
    region = _widen(outline, sums, _narrow(outline, features, sums, _best(outline, features, sums)))
    clean(outline, features, dropped, region, sums.prose, sums.clutter)
    return Choice([region], dropped)


# --- what goes for its name -------------------------------------------------------------------------------------------


def _chrome(outline: Outline, features: Features, *, keep_comments: bool) -> bytearray:
    """1 for each element that goes with all below it."""
    flags, weights, links = features.flags, features.weights, features.links
    dropped = bytearray(len(flags))
    unwanted = DROP | HIDDEN if keep_comments else DROP | HIDDEN | COMMENTS
    prose, formulas = weights[0] - links[0], features.formulas[0]
    ends = body_ends = 0
    for node in features.marked:
        if flags[node] & BODY:
            body_ends = max(body_ends, outline.ends[node])
        if node < ends or not weights[node]:
            continue
        if outline.tags[node] == "aside" and node < body_ends and _is_remark(outline, features, node):
            continue
        named = flags[node] & unwanted
        if not named and (outline.tags[node] != "header" or _is_title(outline, features, node)):
            continue
        mine = weights[node] - links[node]
        comments = flags[node] & unwanted & COMMENTS and prose - mine > COMMENTED
        wraps = mine > WRAPPER_SHARE * prose or (
            features.formulas[node] > max(FEW_FORMULAS, LOST_FORMULAS * formulas)
            and links[node] < mine
            and outline.tags[node] not in _CHROME_TAGS
        )
        if comments or not wraps:
            dropped[node] = 1
            ends = outline.ends[node]
    return dropped


def _is_remark(outline: Outline, features: Features, aside: int) -> bool:
    """Whether an `aside` inside an article is a remark of its author: nothing but the tag speaks against it."""
    names = of_names(outline.tokens(aside))
    return not names & (DROP | COMMENTS) and features.links[aside] < ASIDE_LINKS * features.weights[aside]


def _is_title(outline: Outline, features: Features, header: int) -> bool:
    """Whether a `header` is that of an article or a section, not that of the page."""
    node = outline.parents[header]
    while node >= 0:
        if outline.tags[node] == "section" or features.flags[node] & (BODY | LIKELY_BODY):
            return True
        node = outline.parents[node]
    return False


# --- the region -------------------------------------------------------------------------------------------------------


def _best(outline: Outline, features: Features, sums: Sums) -> int:
    """The element with the best balance of prose inside and clutter outside; of equal ones the innermost."""
    best, best_score = 0, -1.0
    total = sums.prose[0]
    wanted = CANDIDATE_SHARE * total
    prose, clutter, neutral, tags, flags = sums.prose, sums.clutter, sums.neutral, outline.tags, features.flags
    for node in range(len(tags)):
        mine = prose[node]
        if mine < wanted or tags[node] in _NO_CANDIDATES:
            continue
        recall = mine / total
        precision = mine / (mine + clutter[node] + NEUTRAL_LOSS * neutral[node])
        score = 2 * recall * precision / (recall + precision)
        if flags[node] & BODY:
            score += _BONUS[BODY]
        elif flags[node] & LIKELY_BODY:
            score += _BONUS[LIKELY_BODY]
        if score >= best_score:
            best, best_score = node, score
    clear = prose[best] > max(CLEAR_WEIGHT, CLEAR_SHARE * total) and clutter[best] < prose[best]
    if not clear and clutter[0] > INDEX_FACTOR * total and (named := _index(features, sums)) >= 0:
        return named
    return best


def _index(features: Features, sums: Sums) -> int:
    """The region of a page that is mostly links: the innermost element with a body's name and most of the page.

    Most of its prose, or else most of what is left of it. -1 where there is none, but prose beside a long menu.
    """
    bodies = [n for n in features.marked if features.flags[n] & BODY and sums.prose[n] > sums.prose[0] / 2]
    if bodies:
        return bodies[-1]
    held = [a + b + c for a, b, c in zip(sums.prose, sums.clutter, sums.neutral, strict=True)]
    named = [n for n in features.marked if features.flags[n] & (BODY | LIKELY_BODY) and held[n] > held[0] / 2]
    if named:
        return named[-1]
    return 0 if sums.prose[0] < FEW_WORDS else -1


def _narrow(outline: Outline, features: Features, sums: Sums, region: int) -> int:
    """The innermost element below the region with a body's name and nearly all of its prose, else the region."""
    wanted = NARROW_SHARE * sums.prose[region]
    ends = outline.ends[region]
    inside = (n for n in features.marked if region < n < ends and features.flags[n] & BODY and sums.prose[n] >= wanted)
    return max(inside, default=region)


def _widen(outline: Outline, sums: Sums, region: int) -> int:
    """The nearest element around the region with nearly all formulas that stand outside chrome."""
    wanted = KEPT_FORMULAS * sums.formulas[0]
    while sums.formulas[region] < wanted and outline.parents[region] >= 0:
        region = outline.parents[region]
    return region

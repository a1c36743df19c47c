"""Threads: pages whose main text is what many people wrote, in a forum, or as questions and answers."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from filters.content_features import HEADINGS, HIDDEN, Features
from filters.content_rules import BODY, COMMENTS, DROP, FURNITURE, POST
from filters.content_tree import Outline

WRAPPER_SHARE = 0.4  # of the page's prose; an element with so much of it is no navigation, whatever its name
MANY_POSTS = 2
POSTS_SHARE = 0.5  # of the prose outside chrome that a thread's posts hold
THREAD_FACTOR = 2  # comments with so many times the prose of the rest are what the page is about
ARTICLE_WEIGHT = 800  # an article of this much prose is one, however many comments it has


def comments_are_the_page(outline: Outline, features: Features) -> bool:
    """Whether comments are what the page is about: they outweigh the rest, and no article stands there."""
    comments = ends = 0
    for node in features.marked:
        flags, mine = features.flags[node], features.weights[node] - features.links[node]
        if node < ends:
            continue
        if flags & COMMENTS and outline.tags[node] != "a":
            comments += mine
            ends = outline.ends[node]
        elif flags & BODY and mine > ARTICLE_WEIGHT:
            return False
    rest = features.weights[0] - features.links[0] - comments
    return comments > THREAD_FACTOR * rest


def find_posts(outline: Outline, features: Features) -> list[int]:
    """The bodies of the posts, where the page is a thread in a known template and they hold its prose; else nothing."""
    posts: list[int] = []
    prose = features.weights[0] - features.links[0]
    names = [(node, features.flags[node]) for node in features.marked]
    inside = list(accumulate((flags & POST for _, flags in names), initial=0))
    held = chrome = ends = 0
    for number, (node, flags) in enumerate(names if inside[-1] else ()):
        mine = features.weights[node] - features.links[node]
        if node < ends:
            continue
        if flags & (DROP | HIDDEN) and mine < WRAPPER_SHARE * prose:
            chrome += mine
        elif flags & POST and features.weights[node]:
            posts.append(node)
            held += mine
        elif flags & BODY and mine > ARTICLE_WEIGHT:
            last = bisect_left(features.marked, outline.ends[node])
            if inside[last] == inside[number]:
                return []  # an article, and comments on it in the template of a forum
            continue
        else:
            continue
        ends = outline.ends[node]
    return posts if len(posts) >= MANY_POSTS and held > POSTS_SHARE * (prose - chrome) else []


def with_title(outline: Outline, features: Features, dropped: bytearray, posts: list[int]) -> list[int]:
    """The posts, with the page's first h1 where that stands before them and outside chrome."""
    node = 0
    while node < posts[0]:
        if dropped[node]:
            node = outline.ends[node]
        elif outline.tags[node] == "h1" and features.weights[node]:
            return [node, *posts]
        else:
            node += 1
    return posts


def drop_furniture(outline: Outline, features: Features, dropped: bytearray, nodes: list[int]) -> None:
    """Signatures, user boxes and buttons inside posts, and the thread's subject said again above a reply."""
    for first in nodes:
        for node in range(first + 1, outline.ends[first]):
            if features.flags[node] & FURNITURE or (
                outline.tags[node] in HEADINGS and outline.text(node).lstrip().startswith("Re:")
            ):
                dropped[node] = 1

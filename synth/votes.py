"""Which of n answers to one question most of them give, by mathematical equality and not by spelling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synth.answers import normalise


@dataclass(frozen=True, slots=True)
class Vote:
    """What n samples agree on.

    winner : the largest class's answer: of its normalised spellings the shortest, then the first; empty without one.
    share : its votes divided by n: a sample without an answer votes for none, and counts.
    margin : its votes less those of the next class. 0 where two classes are equally large: then no class has won, and
        `winner` is that with the first spelling.
    classes : votes of each class, from the largest.
    """

    winner: str
    share: float
    margin: int
    n: int
    n_parsed: int
    classes: tuple[int, ...]


def vote(answers: Sequence[str | None], compare: Callable[[str, str], bool]) -> Vote:
    """Classes of answers and the largest, whatever the order of the answers.

    answers : one a sample; None where a sample has no answer.
    compare : whether two answers are equal; unknown is not equal.
    Equal is not always transitive (a decimal may be called equal to two numbers that differ), so classes are closed:
    two answers are together if a chain of equal ones joins them. O(k**2) comparisons of k different spellings.
    """
    parsed = [normalise(answer) for answer in answers if answer is not None]
    spellings = sorted(set(parsed), key=lambda text: (len(text), text))
    parent = list(range(len(spellings)))

    def root(at: int) -> int:
        while parent[at] != at:
            at = parent[at]
        return at

    for later, spelling in enumerate(spellings):
        for earlier in range(later):
            one, other = root(earlier), root(later)
            if one != other and compare(spellings[earlier], spelling):
                parent[max(one, other)] = min(one, other)
    votes = dict.fromkeys(range(len(spellings)), 0)
    places = {spelling: at for at, spelling in enumerate(spellings)}
    for spelling in parsed:
        votes[root(places[spelling])] += 1
    order = sorted((at for at in votes if votes[at]), key=lambda at: (-votes[at], at))
    classes = tuple(votes[at] for at in order)
    first, second = (*classes, 0, 0)[:2]
    share = first / len(answers) if answers else 0.0
    return Vote(spellings[order[0]] if order else "", share, first - second, len(answers), len(parsed), classes)

"""Near duplicates among samples, against the plain rule."""

from __future__ import annotations

from dataclasses import replace

from synth.near_samples import NearSamples
from synth.requests import Outcome, Request
from synth.samples import Sample, generation

WORDS = (
    "a train leaves the station at noon and travels east at constant speed while another train leaves the same "
    "station two hours later and travels in the same direction at a greater speed so when does it catch the first"
).split()


def sample(name: str, question: str, parent: str) -> Sample:
    """A sample with a question."""
    made = generation(Request("generate", "generate/en@1:0", "m", ()), Outcome("text"))
    return replace(Sample(name, "generate", "en", (parent,), made), question=question)


def shingles(question: str) -> set[tuple[str, ...]]:
    """Five words each."""
    words = question.split()
    return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}


def test_only_the_first_of_near_questions_stays() -> None:
    """One word less at the end is the same question; numbers, another parent and half of the words decide."""
    near = NearSamples()
    whole, shorter, half = " ".join(WORDS), " ".join(WORDS[:-1]), " ".join(WORDS[: len(WORDS) // 2])
    assert len(shingles(whole) & shingles(shorter)) / len(shingles(whole) | shingles(shorter)) > 0.75
    assert near(sample("first", whole, "a")) is None
    assert near(sample("again", shorter, "b")) == "first"
    assert near(sample("sibling", shorter, "a")) is None
    assert near(sample("half", half, "c")) is None
    assert near(sample("empty", "", "d")) is None


def test_other_numbers_are_another_exercise() -> None:
    """Short exercises that differ in two numbers are below the threshold."""
    near = NearSamples()
    exercise = "What is the sum of {} and {} if both are counted twice?"
    assert near(sample("one", exercise.format(12, 30), "a")) is None
    assert near(sample("two", exercise.format(14, 35), "b")) is None
    assert near(sample("three", exercise.format(12, 30), "c")) == "one"

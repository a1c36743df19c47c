"""The rules behind the gates that need nothing but the text: each gives (pass, fail or unknown, reason, evidence)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from filters.tex import sound
from filters.text import token_strings
from synth.answers import extract_answer
from synth.samples import Document, Sample
from synth.texts import chinese_share, is_in, pattern

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
Finding = tuple[str, str, Mapping[str, Any]]

MIN_QUESTION = {"en": 20, "zh": 8}  # characters: "What is 1+1?" is none to learn from; Chinese says more with fewer
MAX_QUESTION = 4_000  # characters: longer ones are pages
MAX_SOLUTION = 4_096  # tokens of filters.text: longer ones have lost their way
MIN_TEXT, MAX_TEXT = 200, 40_000  # characters of a section or a dialogue
MAX_ANSWER = 200  # characters: longer ones are no final answer
WHOLE = {"stop", "eos", "eos_token", "end_turn", "stop_sequence"}  # as servers call an answer that ended by itself
CUT, FILTERED = "length", "content_filter"
_PAIRS = {"extract", "refine", "generate"}  # formats of pairs in tags: a complete one is whole wherever the answer ends
_SOLVED = {"cot", "code"}
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_DOLLARS = re.compile(r"(?<!\\)(?:\\\\)*(\$\$?)")
_BRACKETS = re.compile(r"(?<!\\)(?:\\\\)*\\([\[\]()])")
_FORMULA = re.compile(r"(?<!\\)\$\$(.+?)(?<!\\)\$\$|(?<!\\)\$(.+?)(?<!\\)\$", re.DOTALL)
_NEXT_DOLLAR = {("", "$"): "$", ("", "$$"): "$$", ("$", "$$"): "$"}  # `$x,$$y$` closes and opens
_CLOSING = {"[": "]", "(": ")"}


def source_text(item: Document | Sample) -> str:
    """The text that an item was made of, or is."""
    return item.text if isinstance(item, Document) else item.context or item.training_text


def parse(sample: Sample) -> Finding:
    """Came from complete tags: has what its format wants. What stood outside of the tags is told."""
    made = sample.generation
    evidence = {"outside": made.outside, "dropped": made.dropped}
    if sample.format in {"textbook", "dialogue"}:
        return (PASS, "", evidence) if sample.text else (FAIL, "no_text", evidence)
    if not sample.question.strip():
        return FAIL, "no_question", evidence
    return (PASS, "", evidence) if sample.solution or sample.answer else (FAIL, "no_solution", evidence)


def finish(sample: Sample) -> Finding:
    """The answer ended by itself; a complete pair may come from one that was cut off behind it."""
    said = sample.generation.finish
    if said in WHOLE:
        return PASS, "", {"finish": said}
    if said == CUT:
        return (PASS if sample.format in _PAIRS else FAIL), CUT, {"finish": said}
    return (FAIL if said == FILTERED else UNKNOWN), said or "not_told", {"finish": said}


def language(sample: Sample) -> Finding:
    """Written in the language it was asked for, without words of the prompt or the chat."""
    target = "zh" if sample.language == "zh" else "en"
    share, words = chinese_share(sample.training_text)
    evidence = {"chinese": round(share, 4), "words": round(words, 1), "wanted": target}
    if not is_in(sample.training_text, target):
        return FAIL, "other", evidence
    talk = pattern("system").search(sample.training_text)
    return (FAIL, "prompt_words", {**evidence, "words_of": talk[0]}) if talk else (PASS, "", evidence)


def length(sample: Sample) -> Finding:
    """Neither too short nor too long."""
    if sample.text:
        size = len(sample.text)
        reason = "short_text" if size < MIN_TEXT else "long_text" if size > MAX_TEXT else ""
        return (FAIL if reason else PASS), reason, {"chars": size}
    size, tokens = len(sample.question.strip()), len(token_strings(sample.solution))
    least = MIN_QUESTION["zh" if sample.language == "zh" else "en"]
    failures = {
        "short_question": size < least, "long_question": size > MAX_QUESTION, "long_solution": tokens > MAX_SOLUTION,
    }  # fmt: skip
    reason = next((name for name, failed in failures.items() if failed), "")
    return (FAIL if reason else PASS), reason, {"question_chars": size, "solution_tokens": tokens}


def self_contained(sample: Sample) -> Finding:
    """The question refers to no figure and no text around it."""
    for kind in ("figure", "context"):
        if found := pattern(kind).search(sample.question):
            return FAIL, kind, {"words": found[0]}
    return PASS, "", {}


def latex(sample: Sample) -> Finding:
    """Dollars, brackets, braces and environments match, in question, solution and text each."""
    for part in ("question", "solution", "text"):
        if reason := unbalanced(getattr(sample, part)):
            return FAIL, reason, {"part": part}
    return PASS, "", {}


def unbalanced(text: str) -> str:
    """What does not match in a text with formulas: dollars, brackets, formula, braces; or nothing."""
    prose = _CODE.sub(" ", text)
    opened = ""
    for sign in _DOLLARS.findall(prose):
        if (opened, sign) == ("$$", "$"):
            return "dollars"
        opened = _NEXT_DOLLAR.get((opened, sign), "")
    if opened:
        return "dollars"
    for sign in _BRACKETS.findall(prose):
        if (sign in _CLOSING) == bool(opened) or (opened and _CLOSING[opened] != sign):
            return "brackets"
        opened = sign if sign in _CLOSING else ""
    if opened:
        return "brackets"
    if not all(sound(a or b) for a, b in _FORMULA.findall(prose)):
        return "formula"
    return "" if sound(prose) else "braces"


def one_answer(sample: Sample) -> Finding:
    """One answer that can be compared."""
    if question_kind(sample.question)[0] == "proof":
        return PASS, "proof", {}
    found = extract_answer(sample.solution)
    if sample.format in _SOLVED and (found is None or found.differing):
        return FAIL, ("several" if found else "none"), {"answer": sample.answer}
    if not sample.answer.strip():
        return FAIL, "none", {}
    size = len(sample.answer)
    return (
        (FAIL if size > MAX_ANSWER else PASS),
        ("long" if size > MAX_ANSWER else ""),
        {"answer": sample.answer[:MAX_ANSWER]},
    )


def question_kind(question: str) -> tuple[str, Mapping[str, Any]]:
    """(proof, choice, binary or open, the words that say so)."""
    for kind in ("proof", "choice", "binary"):
        if found := pattern(kind).search(question):
            return kind, {"words": found[0][:80]}
    return "open", {}


def contained(part: Sequence[str], whole: Sequence[str]) -> float:
    """The share of tokens of `part` that stand in `whole`, each as often; 0 for a part without tokens."""
    return (Counter(part) & Counter(whole)).total() / len(part) if part else 0.0


def copied(part: Sequence[str], whole: Sequence[str], n: int) -> float:
    """The share of n-grams of `part` that stand in `whole`; of a part of fewer tokens, it is its only one."""
    n = min(n, len(part))
    if not n:
        return 0.0
    known = {tuple(whole[k : k + n]) for k in range(len(whole) - n + 1)}
    own = [tuple(part[k : k + n]) for k in range(len(part) - n + 1)]
    return sum(ngram in known for ngram in own) / len(own)


RULES: Mapping[str, Callable[[Sample], Finding]] = {
    "parse": parse, "finish": finish, "language": language, "length": length, "self_contained": self_contained,
    "latex": latex,
}  # fmt: skip

"""What a model wrote, taken apart: tags around anything with LaTeX, and never JSON.

In a JSON string `\\frac` is a form feed and the letters "rac": of MATH's 5,000 solutions that a model would write there
without doubled backslashes none survives, and a fifth is damaged without an error. Tags need no escapes inside, so a
text goes through byte for byte; only where a document holds one of our own tags is its first sign written as an entity
on the way in, and as a sign again on the way out.

The grammar is strict: `<qa>` with question, answer and solution once each, in this order, or `<none/>` alone. A model
that bends it is asked again, since what it meant would be a guess. Text around the tags is ignored, but measured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TAGS = r"/?(?:document|qa|question|answer|solution|text|verdict|reason|think)>|none/>|block \d+>"
_SIGN = re.compile(rf"(<|&(?:amp;)*lt;)(?={_TAGS})")
_ESCAPED = re.compile(rf"&((?:amp;)*lt;)(?={_TAGS})")
_PAIR_TAG = re.compile(r"<(/?)(qa|question|answer|solution)>")
_NONE = re.compile(r"<none/>")
_PAIR_ORDER = ("qa", "question", "/question", "answer", "/answer", "solution", "/solution", "/qa")
_INSIDE = (2, 4, 6)  # gaps before the closing tags of question, answer and solution
_TEXT_TAG = re.compile(r"<(/?)text>")
_VERDICT = re.compile(r"<verdict>(.*?)</verdict>", re.DOTALL)
_VERDICTS = {"yes": "yes", "no": "no", "unknown": "unknown", "是": "yes", "否": "no", "不确定": "unknown"}
_DASH = re.compile(r"\s*[-–—~～至到]\s*")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?\Z")
_SEPARATOR = re.compile(r"[,，、;；\s]+")
_THOUGHT_BEGIN, _THOUGHT_END = "<think>", "</think>"
MAX_RANGE = 10_000  # blocks in one range: a longer one names nothing


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with what belongs to it; answer and solution may be empty."""

    question: str
    answer: str
    solution: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text holds.

    pairs, text : what was asked for; neither where the model said that there is nothing.
    failure : empty, or why all of it is refused.
    outside : characters outside of the tags, blanks not counted.
    dropped : pairs begun and not ended, in a text that was cut off.
    """

    pairs: tuple[Pair, ...] = ()
    text: str = ""
    failure: str = ""
    outside: int = 0
    dropped: int = 0


def escape(text: str) -> str:
    """The text with our tags' first signs as entities; `unescape` gives it back, whatever it holds.

    A lone surrogate, which no server takes, becomes U+FFFD.
    """
    clean = _without_surrogates(text)
    return _SIGN.sub(lambda m: "&lt;" if m[0] == "<" else "&amp;" + m[0][1:], clean) if ">" in clean else clean


def unescape(text: str) -> str:
    """The text that `escape` was given."""
    return _ESCAPED.sub(lambda m: "<" if m[1] == "lt;" else "&" + m[1].removeprefix("amp;"), text)


def _without_surrogates(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def spoken(text: str) -> tuple[str, str]:
    """(what was written behind the thoughts of a reasoning model, failure): `unclosed_think` where they never end."""
    clean = _without_surrogates(text)
    _, end, behind = clean.rpartition(_THOUGHT_END)
    if end:
        return behind, ""
    return ("", "unclosed_think") if _THOUGHT_BEGIN in behind else (behind, "")


def parse_pairs(text: str, *, cut: bool = False) -> Parsed:
    """The pairs of a text in tags, in order.

    cut : whether the text ended because it was long enough: a pair that is not complete is dropped, and refused as
    `unclosed` otherwise; `truncated` where no pair is complete. Other failures: `no_tags`, `nested:qa`, `order:TAG`,
    `empty_question`, `none_and_pairs`.
    """
    body, failure = spoken(text)
    if failure:
        return Parsed(failure=failure)
    marks = list(_PAIR_TAG.finditer(body))
    nothing = bool(_NONE.search(body))
    if nothing or not marks:
        failure = ("none_and_pairs" if marks else "") if nothing else "no_tags"
        return Parsed(failure=failure, outside=_inked(_NONE.sub("", body)))
    whole = len(marks) - len(marks) % len(_PAIR_ORDER)
    for number, mark in enumerate(marks):
        if (name := mark[1] + mark[2]) != _PAIR_ORDER[number % len(_PAIR_ORDER)]:
            return Parsed(failure=f"{'nested' if name == 'qa' else 'order'}:{name}")
    if whole < len(marks) and not (cut and whole):
        return Parsed(failure="truncated" if cut else "unclosed")
    pairs = tuple(_pair(body, marks[k : k + len(_PAIR_ORDER)]) for k in range(0, whole, len(_PAIR_ORDER)))
    if any(not pair.question.strip() for pair in pairs):
        return Parsed(failure="empty_question")
    borders = [0, *(at for mark in marks[:whole] for at in mark.span())]
    borders.append(marks[whole].start() if whole < len(marks) else len(body))
    gaps = [body[borders[k] : borders[k + 1]] for k in range(0, len(borders), 2)]
    outside = sum(_inked(gap) for number, gap in enumerate(gaps) if number % len(_PAIR_ORDER) not in _INSIDE)
    return Parsed(pairs, outside=outside, dropped=int(whole < len(marks)))


def parse_text(text: str) -> Parsed:
    """The text between one `<text>` and one `</text>`, or `<none/>`.

    Failures: `no_tags`, `unclosed`, `order:text`, `none_and_text`, `empty_text`.
    """
    body, failure = spoken(text)
    marks, nothing = list(_TEXT_TAG.finditer(body)), bool(_NONE.search(body))
    if failure or nothing:
        failure = failure or ("none_and_text" if marks else "")
        return Parsed(failure=failure, outside=_inked(_NONE.sub("", body)))
    if [mark[1] for mark in marks] != ["", "/"]:
        known = {0: "no_tags", 1: "order:text" if marks and marks[0][1] else "unclosed"}
        return Parsed(failure=known.get(len(marks), "order:text"))
    found = _body(body[marks[0].end() : marks[1].start()])
    outside = _inked(body[: marks[0].start()] + body[marks[1].end() :])
    return Parsed(text=found, outside=outside) if found.strip() else Parsed(failure="empty_text", outside=outside)


def parse_ids(text: str, known: Sequence[int]) -> tuple[tuple[int, ...], str]:
    """(the block numbers of a list such as "3, 5-7", failure): `not_numbers`, `unknown_block`, `bad_range`.

    known : the numbers that were shown, ascending. Numbers come back ascending, each once; none for an empty text.
    """
    numbers: set[int] = set()
    for part in filter(None, _SEPARATOR.split(_DASH.sub("-", text.strip()))):
        found = _RANGE.match(part)
        if not found:
            return (), "not_numbers"
        first, last = int(found[1]), int(found[2] or found[1])
        if last - first >= MAX_RANGE or last < first:
            return (), "bad_range"
        numbers.update(range(first, last + 1))
    shown = set(known)
    for number in sorted(numbers):
        if number not in shown:
            return (), "unknown_block"
    return tuple(sorted(numbers)), ""


def parse_verdict(text: str) -> tuple[str, str]:
    """(`yes`, `no` or `unknown`, failure) of a text with one `<verdict>`: `no_verdict`, `verdicts`, `other_verdict`."""
    body, failure = spoken(text)
    found = _VERDICT.findall(body)
    if failure or len(found) != 1:
        return "", failure or ("verdicts" if found else "no_verdict")
    verdict = _VERDICTS.get(found[0].strip().lower(), "")
    return verdict, "" if verdict else "other_verdict"


def _pair(body: str, marks: Sequence[re.Match[str]]) -> Pair:
    return Pair(*(_body(body[marks[k].end() : marks[k + 1].start()]) for k in (1, 3, 5)))


def _body(text: str) -> str:
    """What stands between two tags; a line break that sets the tags on lines of their own is not part of it."""
    framed = len(text) > 1 and text[0] == "\n" == text[-1]
    return unescape(text[1:-1] if framed else text)


def _inked(text: str) -> int:
    return len("".join(text.split()))

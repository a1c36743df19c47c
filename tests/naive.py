"""Slow, obvious twins of the kernels: the oracles of the property tests. Plain Python, nothing clever."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from filters.text import CJK_RANGES, COMMANDS, NEWER_RANGES

MASK = (1 << 64) - 1
IGNORED = {"Mn", "Me", "Cf"}
OPERATORS = "+-*/=<>"


class Char(NamedTuple):
    """A folded character: its class, and the bytes of the original that it came from.

    kind: "letter", "digit", "raised letter", "raised digit", "cjk", "command" or "other".
    """

    text: str
    kind: str
    start: int
    end: int


class Token(NamedTuple):
    """A token and the bytes of the original that it came from."""

    text: str
    start: int
    end: int


def decode(data: bytes) -> list[tuple[str | None, int, int]]:
    """The characters of UTF-8 with their byte spans; None for each byte that belongs to none."""
    chars: list[tuple[str | None, int, int]] = []
    at = 0
    while at < len(data):
        char, end = None, at + 1
        for length in (1, 2, 3, 4):
            try:
                char = data[at : at + length].decode()
            except UnicodeDecodeError:
                continue
            end = at + length
            break
        chars.append((char, at, end))
        at = end
    return chars


def is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] == "L" or unicodedata.category(char) == "Mc"


def fold(char: str) -> list[tuple[str, str]]:
    """The (character, kind) pairs that one character folds to."""
    if any(first <= ord(char) <= last for first, last in NEWER_RANGES):
        return [("", "other")]
    if unicodedata.category(char) in IGNORED:
        return []
    tag = unicodedata.decomposition(char).split(" ")[0]
    apart = "raised " if unicodedata.category(char) in ("No", "So") or tag in ("<super>", "<sub>") else ""
    folded = ""
    for lowered in unicodedata.normalize("NFKC", char).lower():
        folded += unicodedata.normalize("NFKD", lowered) if is_letter(lowered) else lowered
    pairs = []
    for part in folded:
        if unicodedata.category(part) in IGNORED:
            continue
        if unicodedata.category(part) == "Nd":
            pairs.append((str(unicodedata.decimal(part)), apart + "digit"))
        elif any(first <= ord(part) <= last for first, last in CJK_RANGES):
            pairs.append((part, "cjk"))
        elif is_letter(part):
            pairs.append(("σ" if part == "ς" else part, apart + "letter"))
        else:
            same = {"−": "-", "∗": "*", "×": "*", "÷": "/", "∕": "/", "⁄": "/"}
            pairs.append((same.get(part, part), "other"))
    return pairs


def is_ascii_letter(char: str | None) -> bool:
    return char is not None and char.isascii() and char.isalpha()


def environment_end(chars: list[str | None], at: int) -> int:
    """Where a "{name}" or "{name*}" that begins at chars[at] ends; `at` if there is none."""
    rest = "".join(char if char is not None else "\ufffd" for char in chars[at:])
    name, brace, _ = rest[1:].partition("}")
    letters = name.removesuffix("*")
    if rest[:1] == "{" and brace and letters and all(is_ascii_letter(char) for char in letters):
        return at + len(name) + 2
    return at


def folded_chars(data: bytes) -> list[Char]:
    """The folded characters of a document; a LaTeX command is one of them, "other" if it is dropped."""
    decoded = decode(data)
    chars = [char for char, _, _ in decoded]
    folded = []
    at = 0
    while at < len(chars):
        char, start, end = decoded[at]
        at += 1
        if char == "\\" and at < len(chars) and is_ascii_letter(chars[at]):
            name = ""
            while at < len(chars) and is_ascii_letter(chars[at]):
                name += str(chars[at])
                end = decoded[at][2]
                at += 1
            token = COMMANDS.get(name, name.lower())
            folded.append(Char(token, "command" if token else "other", start, end))
            if name in ("begin", "end"):
                at = environment_end(chars, at)
        elif char is None:
            folded.append(Char("", "other", start, end))
        else:
            folded += [Char(text, kind, start, end) for text, kind in fold(char)]
    return folded


def run_end(chars: list[Char], at: int, kind: str) -> int:
    """Where the run of characters of one kind that begins at `at` ends."""
    while at < len(chars) and chars[at].kind == kind:
        at += 1
    return at


def mark_end(chars: list[Char], at: int) -> int:
    """Where a group mark that begins at `at` ends, or -1."""
    for mark in (",", "{,}", "\\,"):
        window = chars[at : at + len(mark)]
        if [(char.text, char.kind) for char in window] == [(char, "other") for char in mark]:
            return at + len(mark)
    return -1


def number(chars: list[Char], at: int) -> tuple[str, int]:
    """The number that begins at chars[at], and where it ends."""
    kind = chars[at].kind
    end = run_end(chars, at, kind)
    text = "".join(char.text for char in chars[at:end])
    since_mark = end - at
    while since_mark <= 3:
        group = mark_end(chars, end)
        if group < 0 or run_end(chars, group, kind) - group != 3:
            break
        text += "".join(char.text for char in chars[group : group + 3])
        end = group + 3
        since_mark = 3
    while end < len(chars) and chars[end].text == "." and run_end(chars, end + 1, kind) > end + 1:
        after = run_end(chars, end + 1, kind)
        text += "".join(char.text for char in chars[end:after])
        end = after
    return text, end


def tokens(data: bytes, *, operators: bool = False) -> list[Token]:
    """The tokens of one document by the rule `text-1`."""
    chars = folded_chars(data)
    found = []
    at = 0
    while at < len(chars):
        text, kind, start, _ = chars[at]
        first, at = at, at + 1
        if kind.endswith("digit"):
            text, at = number(chars, first)
        elif kind.endswith("letter"):
            at = run_end(chars, first, kind)
            text = "".join(char.text for char in chars[first:at])
        elif kind == "other" and not (operators and text and text in OPERATORS):
            continue
        found.append(Token(text, start, chars[at - 1].end))
    return found


def token_hash(token: str) -> int:
    """The 64-bit hash of a token."""
    data = token.encode()
    value = 0
    for at in range(0, len(data), 8):
        word = int.from_bytes(data[at : at + 8], "little")
        value = (value ^ word) * 0xFF51AFD7ED558CCD & MASK
        value ^= value >> 32
    value = (value ^ len(data) * 0x9E3779B97F4A7C15 & MASK) * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ (value >> 32)


def splitmix64(seed: int, count: int) -> list[int]:
    """The first `count` numbers of splitmix64."""
    numbers = []
    for _ in range(count):
        seed = seed + 0x9E3779B97F4A7C15 & MASK
        value = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & MASK
        value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
        numbers.append(value ^ value >> 31)
    return numbers


def shingles(hashes: list[int], ngram: int) -> list[int]:
    """The 32-bit shingles of a document's token hashes."""
    width = min(ngram, len(hashes))
    found = []
    for start in range(len(hashes) - width + 1 if hashes else 0):
        value = 0
        for token in hashes[start : start + width]:
            value = value * 0x9E3779B97F4A7C15 + token & MASK
        found.append(((value ^ value >> 32) * 0xBF58476D1CE4E5B9 & MASK) >> 32)
    return found


def signature(hashes: list[int], slots: int, ngram: int, seed: int) -> list[int]:
    """The MinHash signature of a document's token hashes."""
    drawn = [number >> 32 for number in splitmix64(seed, 2 * slots)]
    images = [
        [(factor | 1) * x + term & 0xFFFFFFFF for x in shingles(hashes, ngram)]
        for factor, term in zip(drawn[0::2], drawn[1::2], strict=True)
    ]
    return [min(image, default=0xFFFFFFFF) for image in images]


def components(edges: list[tuple[int, int]], n: int) -> list[int]:
    """The smallest member of each node's component: labels sink along the edges until nothing moves."""
    labels = list(range(n))
    moved = True
    while moved:
        moved = False
        for a, b in edges:
            least = min(labels[a], labels[b])
            moved = moved or labels[a] != least or labels[b] != least
            labels[a] = labels[b] = least
    return labels

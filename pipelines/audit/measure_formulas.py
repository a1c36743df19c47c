"""Formulas of a text, whoever wrote it: how many, how much of it they are, and which delimiters have no partner.

A text is read as Markdown or LaTeX: code, verbatim and comments are passed over, `\\$` is a dollar. A `$` is a
delimiter only where what stands up to the next one is a formula; one that is left over counts as unbalanced only in a
paragraph that has mathematics, and not where it is a price, a shell prompt or a variable of a program.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from filters.raw_delimiters import MAX_DISPLAY_CHARS, MAX_INLINE_CHARS, like_inline

KINDS = ("dollar", "display_dollar", "parenthesis", "bracket", "environment", "brace")
MAX_INNER = 8  # formulas in the words of one
NEAR = 200  # characters in which TeX has to stand, for a delimiter without a partner to be one
_ENVIRONMENTS = (
    "equation|align|alignat|flalign|gather|multline|eqnarray|displaymath|math|aligned|split|cases|array|[pbvBV]?matrix"
)
_TOKEN = re.compile(
    r"(?P<skip>^[ \t>]*(?P<fence>```+|~~~+)[^\n`~\\]*\n.*?(?:^[ \t>]*(?P=fence)|\Z)"
    r"|(?<!`)`(?!`)[^`\n]{1,200}`(?!`)"
    r"|\\begin\{(?P<verbatim>verbatim|Verbatim|lstlisting|minted)\*?\}.{0,20000}?\\end\{(?P=verbatim)\*?\}"
    r"|\\verb\*?(?P<bar>[^\w\s*])[^\n]{0,300}?(?P=bar))"
    rf"|\\(?P<edge>begin|end) ?\{{(?P<name>(?:{_ENVIRONMENTS})\*?)\}}"
    r"|\\(?P<bracket>[()\[\]])|\\.|(?P<dollar>\$)|(?P<blank>\n[ \t]*\n)|(?P<comment>%[^\n]*)",
    re.DOTALL | re.MULTILINE,
)
_LATEX = re.compile(r"\\(?:section|chapter|label|documentclass|begin\{(?:document|theorem|proof|lemma|definition))\b")
_COMMAND = re.compile(r"\\[a-zA-Z]{2}|[_^]\{|\^\w")
_TEX_BODY = re.compile(r"\\[a-zA-Z]|[_^=<>]|^\s*[\w+\-/*()., ]{1,20}\s*$")
_IN_DOLLARS = re.compile(r"(?<![$\\])\$(?! )([^$\n]{1,260})(?<! )\$(?!\d)")
_NO_DELIMITER = re.compile(  # behind a `$`: a price, a variable, a command to be typed
    r"\d[\d,.]*(?![\w^_{\\+=*/])|\{|\((?!\\)|[A-Za-z_]\w{2,}(?![\w^{])|[A-Za-z_]\w*(?:\[|->|=)|[A-Z][A-Z_]+\b|[?@#!*'\"/|&;.]"
)
_BEFORE = " \t(\"'“‘（，。、：；"  # what may stand before a delimiter that opens
_IN_A_WORD = re.compile(r"\w\$\d")  # of a replacement: $1
_CURRENCIES = ("US", "CA", "AU", "NT", "HK")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}(?![a-zA-Z])")
_TEXT_COMMAND = re.compile(r"\\(?:text\w*|mbox|mathrm|operatorname\*?|begin|end)\s*\{[^{}]*\}")
_ESCAPE = re.compile(r"\\[^a-zA-Z]")
_EDGES = re.compile(r"\\(begin|end) ?\{(\w+\*?)\}")
_IN_TEXT = re.compile(r"\\(?:text\w*|mbox|hbox|mathrm)\s*\{[^{}]*\Z")  # where a `$` begins a formula inside a formula
_PRETEXT = re.compile(r"<(m|me|men|md|mdn)>.{0,3000}?</\1>", re.DOTALL)
_PAIRS = {"(": (")", "parenthesis"), "[": ("]", "bracket")}
_CLOSERS = {")": "parenthesis", "]": "bracket"}


@dataclass(slots=True)
class Formulas:
    """What a text holds: formulas, characters in them, and delimiters that have no partner, by kind."""

    count: int = 0
    characters: int = 0
    unbalanced: Counter[str] = field(default_factory=Counter)


def formulas(text: str) -> Formulas:
    """The formulas of a text; O(n) time, but for delimiters without a partner, each of which looks up to a limit."""
    found = Formulas()
    if "</m>" in text:  # PreTeXt: its `$` are those of programs
        for formula in _PRETEXT.finditer(text):
            found.count, found.characters = found.count + 1, found.characters + len(formula[0])
    elif "$" in text or "\\" in text:
        _Reading(text, found).run()
    return found


def _is_prose(body: str) -> bool:
    """Whether it is what stands between two formulas, and not in one."""
    if not (body[:1].isspace() and body[-1:].isspace()):
        return False
    words = len(_WORD.findall(_TEXT_COMMAND.sub("", body)))
    return words > 1 or (words == 1 and body.strip().isalpha())


class _Reading:
    """One pass over a text's delimiters."""

    def __init__(self, text: str, found: Formulas) -> None:
        self.text, self.found = text, found
        latex = _LATEX.search(text) is not None
        self.marks = [m for m in _TOKEN.finditer(text) if m["skip"] is None and (latex or m["comment"] is None)]
        speaks = any(m["edge"] or m["bracket"] for m in self.marks)
        self.sure = latex or speaks or any(_COMMAND.search(m[1]) for m in _IN_DOLLARS.finditer(text))
        self.begins = 0  # of the paragraph
        self.mathematics = False  # whether the paragraph has a formula in TeX

    def run(self) -> None:
        at = 0
        while at < len(self.marks):
            mark = self.marks[at]
            if mark["blank"]:
                self.begins, self.mathematics = mark.end(), False
                at += 1
            elif mark["dollar"]:
                at = self._display(at) if self._doubled(at) else self._inline(at)
            elif mark["edge"]:
                at = self._environment(at)
            elif mark["bracket"]:
                at = self._bracket(at)
            else:
                at += 1

    def _doubled(self, at: int) -> bool:
        place = self.marks[at].end()
        return self.text[place : place + 1] == "$"

    def _inline(self, at: int) -> int:
        mark = self.marks[at]
        behind = self._next_dollar(at, mark.end())
        for _ in range(MAX_INNER):
            if not behind or not _IN_TEXT.search(self.text, mark.end(), self.marks[behind].start()):
                break
            inner = self._next_dollar(behind, mark.end())
            behind = self._next_dollar(inner, mark.end()) if inner else 0
        closing = self.marks[behind]
        if behind:
            body, following = self.text[mark.end() : closing.start()], self.text[closing.end() : closing.end() + 1]
            if not _is_prose(body) and like_inline(body, following, sure=self.sure, renderer=True):
                self._add(mark.start(), closing.end(), body)
                return behind + 1
        if not self._is_something_else(mark) and (self.mathematics or self._tex_near(mark.start())):
            self.found.unbalanced["dollar"] += 1
        return at + 1

    def _next_dollar(self, at: int, begin: int) -> int:
        """The next `$` of the paragraph that a formula from `begin` may have; 0 where there is none."""
        for behind in range(at + 1, len(self.marks)):
            mark = self.marks[behind]
            if mark["blank"] or mark.start() - begin > MAX_INLINE_CHARS:
                return 0
            if mark["dollar"]:
                return behind
        return 0

    def _is_something_else(self, mark: re.Match[str]) -> bool:
        """Whether a `$` is no delimiter by what stands around it; behind a letter or a sign it could only close."""
        line = self.text[self.text.rfind("\n", 0, mark.start()) + 1 : mark.start()]
        if line[-1:].strip(_BEFORE):
            return line[-2:] in _CURRENCIES or _IN_A_WORD.match(self.text, mark.start() - 1) is not None
        prompt = not line.strip(" >\t") and self.text[mark.end() : mark.end() + 1] == " "
        return prompt or _NO_DELIMITER.match(self.text, mark.end()) is not None

    def _display(self, at: int) -> int:
        start = self.marks[at].start()
        behind = at + 2
        while behind < len(self.marks) and self.marks[behind].start() - start <= MAX_DISPLAY_CHARS:
            if self.marks[behind]["blank"]:
                break
            if self.marks[behind]["dollar"] and self._doubled(behind):
                self._add(start, self.marks[behind].end() + 1, self.text[start + 2 : self.marks[behind].start()])
                return behind + 2
            behind += 1
        if self._tex_near(start):
            self.found.unbalanced["display_dollar"] += 1
        return at + 2

    def _bracket(self, at: int) -> int:
        mark = self.marks[at]
        sign = mark["bracket"]
        if sign in _CLOSERS:
            if _COMMAND.search(self.text, max(self.begins, mark.start() - NEAR), mark.start()):
                self.found.unbalanced[_CLOSERS[sign]] += 1
            return at + 1
        closer, kind = _PAIRS[sign]
        behind = at + 1
        while behind < len(self.marks) and self.marks[behind].start() - mark.start() <= MAX_DISPLAY_CHARS:
            if self.marks[behind]["bracket"] == sign:
                break
            if self.marks[behind]["bracket"] == closer:
                body = self.text[mark.end() : self.marks[behind].start()]
                if _TEX_BODY.search(body):
                    self._add(mark.start(), self.marks[behind].end(), body)
                return behind + 1
            behind += 1
        if self.text[mark.end() : mark.end() + 1] != "[" and self._tex_near(mark.end()):
            self.found.unbalanced[kind] += 1
        return at + 1

    def _environment(self, at: int) -> int:
        mark, level = self.marks[at], 1
        if mark["edge"] == "end":
            self.found.unbalanced["environment"] += 1
            return at + 1
        for behind in range(at + 1, len(self.marks)):
            other = self.marks[behind]
            if other.start() - mark.start() > MAX_DISPLAY_CHARS:
                break
            if other["name"] == mark["name"]:
                level += 1 if other["edge"] == "begin" else -1
                if level == 0:
                    self._add(mark.start(), other.end(), self.text[mark.end() : other.start()])
                    return behind + 1
        self.found.unbalanced["environment"] += 1
        return at + 1

    def _tex_near(self, place: int) -> bool:
        """Whether TeX stands around a place, in its paragraph."""
        end = self.text.find("\n\n", place)
        last = min(place + NEAR, len(self.text) if end < 0 else end)
        return _COMMAND.search(self.text, max(self.begins, place - NEAR), last) is not None

    def _add(self, start: int, end: int, body: str) -> None:
        self.found.count += 1
        self.found.characters += end - start
        self.mathematics |= self.sure or _COMMAND.search(body) is not None
        if "{" in body or "}" in body:
            bare = _ESCAPE.sub("", body)
            self.found.unbalanced["brace"] += bare.count("{") != bare.count("}")
            edges = Counter(m.groups() for m in _EDGES.finditer(body))
            names = {name for _, name in edges}
            self.found.unbalanced["environment"] += any(edges["begin", n] != edges["end", n] for n in names)

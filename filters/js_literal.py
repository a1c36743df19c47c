"""Object literals of JavaScript as Python values, as far as configurations of MathJax and KaTeX are written in it.

No interpreter: strings, arrays, objects, numbers, booleans and comments are read; anything else (functions, names,
concatenations) becomes None and is jumped over to the next comma or closing bracket of its level.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Value: TypeAlias = "str | float | bool | list[Value] | dict[str, Value] | None"

MAX_CHARS = 20_000  # of one literal; configurations have some hundred
MAX_DEPTH = 12
_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|`((?:[^`\\]|\\.)*)`', re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ATOM = re.compile(r"!?[\w.+-]+")
_KEY = re.compile(r"[\w$]+")
_NAMED = {"true": True, "!0": True, "false": False, "!1": False}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}


def parse(source: str, at: int) -> Value:
    """The literal that starts at `at` or behind blanks there; None for what is none."""
    return _Reader(source[at : at + MAX_CHARS]).value(0)


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def value(self, depth: int) -> Value:
        """The value at the reader's place, and on behind it."""
        self._blank()
        start = self.source[self.at : self.at + 1]
        result: Value = None
        if start in ("[", "{") and depth < MAX_DEPTH:
            result = self._array(depth) if start == "[" else self._object(depth)
        elif match := _STRING.match(self.source, self.at):
            self.at = match.end()
            result = _unescaped(next(g for g in match.groups() if g is not None))
        elif match := _ATOM.match(self.source, self.at):
            self.at = match.end()
            result = _atom(match[0])
        self._blank()
        if self.source[self.at : self.at + 1] not in ("", ",", "]", "}"):
            self._skip()
        return result

    def _blank(self) -> None:
        match = _BLANK.match(self.source, self.at)
        if match:
            self.at = match.end()

    def _skip(self) -> None:
        """To the comma or bracket that ends the value which started before."""
        level = 0
        while self.at < len(self.source):
            if string := _STRING.match(self.source, self.at):
                self.at = string.end()
                continue
            character = self.source[self.at]
            if character in "\"'`":  # never closed; trying again at each sign behind it would be quadratic
                self.at = len(self.source)
                return
            if level == 0 and character in ",]}":
                return
            level += (character in "[{(") - (character in "]})")
            self.at += 1

    def _array(self, depth: int) -> list[Value]:
        self.at += 1
        items: list[Value] = []
        while self._more("]"):
            items.append(self.value(depth + 1))
        return items

    def _object(self, depth: int) -> dict[str, Value]:
        self.at += 1
        items: dict[str, Value] = {}
        while self._more("}"):
            if string := _STRING.match(self.source, self.at):
                key, self.at = _unescaped(next(g for g in string.groups() if g is not None)), string.end()
            elif name := _KEY.match(self.source, self.at):
                key, self.at = name[0], name.end()
            else:
                self._skip()
                continue
            self._blank()
            if self.source[self.at : self.at + 1] == ":":
                self.at += 1
                items[key] = self.value(depth + 1)
            else:
                self._skip()
        return items

    def _more(self, closing: str) -> bool:
        """Whether another item follows; else the closing bracket has been read."""
        self._blank()
        while self.source[self.at : self.at + 1] == ",":
            self.at += 1
            self._blank()
        character = self.source[self.at : self.at + 1]
        if character in ("", "]", "}"):
            self.at += character == closing
            return False
        return True


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPED.get(code, code)


def _atom(text: str) -> Value:
    if text in _NAMED:
        return _NAMED[text]
    try:
        return float(text)
    except ValueError:
        return None

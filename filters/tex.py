"""TeX as pages state it, made fit to stand between `$` and `$`: wrappers off, entities resolved, macros expanded.

What an author wrote is kept as it is: `\\label`, `\\tag`, spacing and line breaks too. Changed are only comments and
blank lines (they would end a formula), entities, a `$` inside (`\\text{if $x$}` becomes `\\text{if \\(x\\)}`), and
macros that the page defines. TeX whose braces or `\\left` and `\\right` do not match is kept, and said to be unsound.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

MAX_FORMULA_CHARS = 20_000  # longer ones are no formula of a person; macros may not grow one beyond it
_MAX_EXPANSIONS = 2_000  # of one formula: macros that call one another
_MAX_BODY_CHARS = 2_000
_CDATA = re.compile(r"^\s*%?\s*<!\[CDATA\[|%?\s*\]\]>\s*$")
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
# to the end of its line; behind a letter or digit, unless a line break follows at once, it is a modulo or per cent
_COMMENT = re.compile(r"(\\.)|(?:(?<![^\s{}])%[^\n]*|%)(?:\n[ \t]*|$)|%", re.DOTALL)
_PERCENT = re.compile(r"\\.|%", re.DOTALL)
_BLANK_LINE = re.compile(r"\n[ \t\r]*(?:\n[ \t\r]*)+")
_INVISIBLE = str.maketrans("\xa0", " ", "\u200b\u200c\u200d\u2060\ufeff\u00ad\x00\ue000\ue001")
_WRAPPERS = (
    ("\\[", "\\]", True), ("$$", "$$", True), ("\\(", "\\)", False), ("$", "$", False),
    ("\\begin{displaymath}", "\\end{displaymath}", True), ("\\begin{math}", "\\end{math}", False),
)  # fmt: skip
_STRUCTURE = re.compile(r"\\(left|right)(?![a-zA-Z])|\\(begin|end)\s*\{([^{}]{0,40})\}|\\.|[{}]", re.DOTALL)
_STRUCTURED = re.compile(r"\\(?:[{}]|left|right|begin|end)")
_DOLLAR = re.compile(r"\\.|[${}]", re.DOTALL)
_COMMAND = re.compile(r"\\(?:([a-zA-Z@]+)|.)", re.DOTALL)
_DEFINITION = re.compile(
    r"\\(?:(?:re|provide)?newcommand|providecommand|DeclareMathOperator|g?def)(?![a-zA-Z])(\*?)\s*"
    r"(?:\{\s*\\([a-zA-Z@]+)\s*\}|\\([a-zA-Z@]+))"
)
_COLOUR = re.compile(r"\\definecolor(?:\s*\{[^{}]*\}){3}")
_COUNT = re.compile(r"\s*\[(\d)\]")
_DEFAULT = re.compile(r"\s*\[([^][]*)\]")
_PARAMETERS = re.compile(r"((?:#\d)*)\s*(?=\{)")
_BLANKS = re.compile(r"\s*")
_ARGUMENT = re.compile(r"#(\d)")
# every renderer knows these, so pages that define them for another one lose nothing
_KNOWN = frozenset(["lt", "gt"])


@dataclass(frozen=True, slots=True)
class Macro:
    """`body` with #1, #2, ...; `default` is that of the first argument where it is optional."""

    body: str
    arguments: int = 0
    default: str | None = None


@dataclass(slots=True)
class Macros:
    """Macros by name, without the backslash. Grows as formulas of the page define more."""

    known: dict[str, Macro] = field(default_factory=dict)

    def apply(self, tex: str) -> str:
        """The TeX with its own definitions taken in and off, and all macros expanded; nothing where it only defines."""
        if "\\newcommand" in tex or "command{" in tex or "def\\" in tex or "\\DeclareMathOperator" in tex:
            tex = self._define(tex)
        return self._expanded(tex) if self.known and "\\" in tex else tex

    def add(self, name: str, macro: Macro) -> None:
        """A macro of the page's configuration."""
        name = name.removeprefix("\\")
        if name.isascii() and name.isalpha() and name not in _KNOWN and len(macro.body) <= _MAX_BODY_CHARS:
            self.known[name] = macro

    def _define(self, tex: str) -> str:
        kept: list[str] = []
        at = 0
        while match := _DEFINITION.search(tex, at):
            kept.append(tex[at : match.start()])
            found = _definition(tex, match)
            if found is None:  # not closed: what follows is its body, and looking on would be quadratic
                return "".join(kept) + tex[match.start() :]
            macro, at = found
            self.add(match[2] or match[3], macro)
        return _COLOUR.sub("", "".join(kept) + tex[at:])

    def _expanded(self, tex: str) -> str:
        """Expanded from the left; what a macro gave is read again. A macro that grows without end is given up."""
        out: list[str] = []
        budget = _MAX_EXPANSIONS
        at = 0
        rest, outermost = tex, ""
        end_of_last = len(rest)  # how much stood behind the last call that the author wrote
        while match := _COMMAND.search(rest, at):
            name = match[1] or ""
            macro = self.known.get(name)
            if macro is None:
                at = match.end()
                continue
            if len(rest) - match.start() <= end_of_last:
                outermost = name
            called = _call(macro, rest, match.end())
            budget -= 1
            if called is None:
                return tex
            body, end = called
            if budget < 0 or len(body) + len(rest) > MAX_FORMULA_CHARS:
                del self.known[outermost]
                return tex
            before = rest[: match.start()]
            if len(body) > 1 and before.rstrip()[-1:] in ("^", "_"):
                body = "{" + body + "}"
            out.append(before)
            end_of_last = min(end_of_last, len(rest) - end)
            rest = body + _gap(body, rest[end : end + 1]) + rest[end:]
            at = 0
        return "".join(out) + rest


def _definition(tex: str, match: re.Match[str]) -> tuple[Macro, int] | None:
    """(macro, where its definition ends), or None where it is no simple one."""
    at, count, default = match.end(), 0, None
    if match[0].startswith(("\\def", "\\gdef")):
        given = _PARAMETERS.match(tex, at)
        if given is None:
            return None
        count, at = len(given[1]) // 2, given.end()
    else:
        if stated := _COUNT.match(tex, at):
            count, at = int(stated[1]), stated.end()
        if stated := _DEFAULT.match(tex, at):
            default, at = stated[1], stated.end()
    body = argument(tex, at)
    if body is None:
        return None
    text, at = body
    if "DeclareMathOperator" in match[0]:
        text = f"\\operatorname{match[1]}{{{text}}}"
    return Macro(text.strip(), count, default), at


def argument(tex: str, at: int) -> tuple[str, int] | None:
    """(argument that starts at or behind `at`, without its braces, where it ends); None where there is none."""
    at = _BLANKS.match(tex, at).end()  # type: ignore[union-attr]  # it matches the empty string
    if at >= len(tex) or tex[at] == "}":
        return None
    if tex[at] == "\\":
        end = _COMMAND.match(tex, at)
        return (end[0], end.end()) if end else None
    if tex[at] != "{":
        return tex[at], at + 1
    level = 0
    for mark in _STRUCTURE.finditer(tex, at):
        level += (mark[0] == "{") - (mark[0] == "}")
        if level == 0:
            return tex[at + 1 : mark.start()], mark.end()
    return None


def _call(macro: Macro, tex: str, at: int) -> tuple[str, int] | None:
    """(what a macro stands for, where its arguments end); None where an argument is missing."""
    given: list[str] = []
    if macro.default is not None:
        stated = _DEFAULT.match(tex, at)
        given.append(stated[1] if stated else macro.default)
        at = stated.end() if stated else at
    while len(given) < macro.arguments:
        found = argument(tex, at)
        if found is None:
            return None
        text, at = found
        given.append(text)

    def fill(match: re.Match[str]) -> str:
        number = int(match[1])
        text = given[number - 1] if 0 < number <= len(given) else ""
        return _gap(macro.body[: match.start()], text[:1]) + text

    return _ARGUMENT.sub(fill, macro.body), at


def _gap(before: str, following: str) -> str:
    """The blank that keeps a command at the end apart from a letter that follows."""
    if not following.isalpha():
        return ""
    letters = len(before) - len(before.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    return " " if letters and before[-letters - 1 : -letters] == "\\" else ""


def clean(tex: str) -> str:
    """TeX without CDATA wrappers, comments, entities, invisible characters, blank lines and outer blanks."""
    if "]]>" in tex:
        tex = _CDATA.sub("", tex)
    if "&" in tex and ";" in tex:
        tex = _ENTITY.sub(lambda m: html.unescape(m[0]), tex)
    if not tex.isascii():
        tex = tex.translate(_INVISIBLE)
    if "%" in tex:
        tex = _without_comments(tex)
    tex = tex.strip()
    if "\n" in tex:
        tex = _BLANK_LINE.sub("\n", tex)
    return tex[:-1].rstrip() if (len(tex) - len(tex.rstrip("\\"))) % 2 else tex  # `\\ ` of which strip() left half


def _without_comments(tex: str) -> str:
    """TeX without comments; where no line breaks are left that could end them, the signs stay and the text is kept."""
    bare = _COMMENT.sub(lambda m: m[1] or ("\\%" if m[0] == "%" else ""), tex) if "\n" in tex else ""
    return bare if bare and (sound(bare) or not sound(tex)) else _PERCENT.sub(_escaped_percent, tex)


def _escaped_percent(match: re.Match[str]) -> str:
    return "\\%" if match[0] == "%" else match[0]


def unwrapped(tex: str) -> tuple[str, bool | None]:
    """(TeX without delimiters around it, whether they were those of a display; None where it had none)."""
    tex = tex.strip()
    for opening, closing, display in _WRAPPERS:
        inner = tex[len(opening) : -len(closing)]
        around = inner and tex.startswith(opening) and tex.endswith(closing) and inner[-1] != "\\"
        if around and closing not in inner.replace("\\$", ""):
            return inner.strip(), display
    return tex, None


def sound(tex: str) -> bool:
    """Whether braces, `\\left` and `\\right`, and environments match."""
    if not _STRUCTURED.search(tex):
        return tex.count("{") == tex.count("}")
    level = stretched = 0
    open_environments: list[str] = []
    for mark in _STRUCTURE.finditer(tex):
        text = mark[0]
        if text == "{":
            level += 1
        elif text == "}":
            level -= 1
        elif mark[1]:
            stretched += 1 if mark[1] == "left" else -1
        elif mark[2] == "begin":
            open_environments.append(mark[3])
        elif mark[2] and (not open_environments or open_environments.pop() != mark[3]):
            return False
        if level < 0 or stretched < 0:
            return False
    return not (level or stretched or open_environments)


def without_dollars(tex: str) -> str:
    """TeX in which a `$` inside a group opens and closes by `\\(` and `\\)`; one outside a group is dropped."""
    out: list[str] = []
    level, last, opened = 0, 0, -1
    for mark in _DOLLAR.finditer(tex):
        text = mark[0]
        if text == "$":
            out.append(tex[last : mark.start()])
            last = mark.end()
            if level > 0:
                out.append("\\)" if opened >= 0 else "\\(")
                opened = -1 if opened >= 0 else len(out) - 1
        else:
            level += (text == "{") - (text == "}")
    if opened >= 0:
        out[opened] = ""
    return "".join(out) + tex[last:]

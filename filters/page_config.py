"""What a page says about its mathematics: delimiters, macros, and which renderer it loads. One scan of the source.

MathJax 2 (`MathJax.Hub.Config`), 3 and 4 (`MathJax = {..}`), KaTeX auto-render (`renderMathInElement`), ASCIIMathML and
jsMath are read where they stand in the page. A configuration in a file of its own is not seen: then the renderer's
defaults hold, and a single `$` is taken for a delimiter only where what it encloses looks like TeX.
"""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

from filters.js_literal import Value, parse
from filters.tex import Macro, Macros

MAX_DELIMITERS = 12  # of each kind; pages state up to four
MAX_MACROS = 400
MAX_KEYS = 60  # read in one script; configurations have ten
_TAG_CHARS = 2_000  # of a script's start tag
_SOURCE = re.compile(r"""\bsrc\s*=\s*["']?([^\s"'>]+)""", re.IGNORECASE)
_TYPE = re.compile(r"""\btype\s*=\s*["']?\s*math/(?:tex|asciimath)""", re.IGNORECASE)
_ONLOAD = re.compile(r"""\bonload\s*=\s*("[^"]*"|'[^']*')""", re.IGNORECASE)
# substrings: looking for them costs a tenth of what a pattern does
_ABOUT_MATH = (
    "athJax",
    "athjax",
    "renderMathIn",
    "atex",
    "aTeX",
    "tex2jax",
    "sMath",
    "smath",
    "scii",
    "ASCII",
    "LaTeXM",
)
_RENDERERS = ("MathJax", "renderMathIn", "katex", "KaTeX", "jsMath")
_KEYS = ("inlineMath", "displayMath", "process", "acros", "delimiters", "ignore", "skip")
_BRACKET_TAG = re.compile(r"\[/(?:i?tex|[id]?math|latex|eq|display|TEX|LATEX|MATH)\]")
_TYPED = re.compile(r"&#(?:[xX]0*[eE]00[01]|0*5734[45])")
_KEY = re.compile(
    r"(?<![\w$])[\"']?(inlineMath|displayMath|processEscapes|processEnvironments|[mM]acros|delimiters|ignoreHtmlClass|"
    r"processHtmlClass|ignoreClass|processClass|skipHtmlTags|skipTags)[\"']?\s*[:=](?!=)"
)
_ASCIIMATH_ONLY = re.compile(r"ASCIIMath(?:ML|TeXImg)|[?&]config=AM[_-]|[?&]config=MML-AM|asciimath2jax|asciimath\s*:")
_ASCIIMATH = re.compile(r"input/[aA]scii[mM]ath|[?&]config=[\w-]*AM[_-]")
_BARE = re.compile(r"""getElementsByClassName\(["']math["']\)|jsMath|\.math\b[^{};]{0,80}katex\.render""")
_WORDS = re.compile(r"[\w-]+")
BACKTICKS = ("`", "`")


class Dollar(Enum):
    """Whether a single `$` is a delimiter: the page says so, says nothing, or names others."""

    YES = "yes"
    MAYBE = "maybe"
    NO = "no"


@dataclass(slots=True)
class PageConfig:
    """inline, display: pairs of delimiters, `$` not among them; dollar: whether it is one, too; renderer: whether the
    page loads one; asciimath: pairs, none where the page does not use it; asciimath_only: whether it is what the page
    is written in; scripts: whether formulas stand in `math/tex` scripts; bare: whether elements of class "math" hold
    TeX without delimiters; code: whether delimiters count in inline code; ignored, processed: classes in which they
    do not count, and in which they do again (`*` is every class); private: whether U+E000 or U+E001 may stand in it;
    bracket_tags: whether `[/tex]` or its like does."""

    inline: list[tuple[str, str]] = field(default_factory=lambda: [("\\(", "\\)")])
    display: list[tuple[str, str]] = field(default_factory=lambda: [("$$", "$$"), ("\\[", "\\]")])
    dollar: Dollar = Dollar.MAYBE
    renderer: bool = False
    escapes: bool = True
    environments: bool = True
    asciimath: list[tuple[str, str]] = field(default_factory=list)
    asciimath_only: bool = False
    scripts: bool = False
    bare: bool = False
    code: bool = False
    ignored: frozenset[str] = frozenset(["tex2jax_ignore", "mathjax_ignore"])
    processed: frozenset[str] = frozenset(["tex2jax_process", "mathjax_process"])
    private: bool = False
    bracket_tags: bool = False
    macros: Macros = field(default_factory=Macros)


def read(html: str) -> PageConfig:
    """The configuration of a page from its source; defaults where it states none. Never raises."""
    config = PageConfig()
    config.private = "\ue000" in html or "\ue001" in html or ("&#" in html and bool(_TYPED.search(html)))
    config.bracket_tags = "[/" in html and bool(_BRACKET_TAG.search(html))
    for attributes, body in _scripts(html):
        if "math/" in attributes and _TYPE.search(attributes):
            config.scripts = True
            continue
        if "src" in attributes and (source := _SOURCE.search(attributes)) and _any(_ABOUT_MATH, source[1]):
            _loaded(config, source[1])
        if "onload" in attributes and (onload := _ONLOAD.search(attributes)):
            _stated(config, entities.unescape(onload[1]))
        if body and _any(_ABOUT_MATH, body):
            _stated(config, body)
    return config


def _scripts(html: str) -> Iterator[tuple[str, str]]:
    """(attributes, text) of each script; searching for a fixed string is many times faster than a pattern is."""
    opening, closing = "<script", "</script"
    if "<SCRIPT" in html or "<Script" in html:
        lowered = html.lower()
        folded = lowered if len(lowered) == len(html) else html
    else:
        folded = html
    at = folded.find(opening)
    while at >= 0:
        start = html.find(">", at, at + _TAG_CHARS)
        if start < 0:
            return
        end = folded.find(closing, start)
        end = len(html) if end < 0 else end
        yield html[at + len(opening) : start], html[start + 1 : end]
        at = folded.find(opening, end)


def _any(words: tuple[str, ...], text: str) -> bool:
    return any(word in text for word in words)


def _loaded(config: PageConfig, source: str) -> None:
    """What a script's address says."""
    lowered = source.lower()
    if "mathjax" in lowered or "katex" in lowered:
        config.renderer = True
        config.bare |= "katex" in lowered
    if "jsmath" in lowered:
        config.bare = True
    _asciimath(config, source)


def _asciimath(config: PageConfig, text: str) -> None:
    if _ASCIIMATH_ONLY.search(text):
        config.asciimath_only = True
    elif not _ASCIIMATH.search(text):
        return
    if not config.asciimath:
        config.asciimath.append(BACKTICKS)


def _stated(config: PageConfig, source: str) -> None:
    """A script's text that may be about mathematics."""
    config.renderer |= _any(_RENDERERS, source)
    config.bare |= _BARE.search(source) is not None
    _asciimath(config, source)
    if not _any(_KEYS, source):
        return
    for key in islice(_KEY.finditer(source), MAX_KEYS):
        _SETTERS[key[1]](config, parse(source, key.end()))


# --- one function for each key ----------------------------------------------------------------------------------------


def _pairs(value: Value) -> list[tuple[str, str]]:
    """Pairs of delimiters; `{"[+]": [..]}` adds to the defaults, which are always kept."""
    if isinstance(value, dict):
        return _pairs(value.get("[+]"))
    items = value if isinstance(value, list) else []
    found = [item for item in items if isinstance(item, list) and len(item) == 2 and all(map(_is_delimiter, item))]
    return [(str(opening), str(closing)) for opening, closing in found[:MAX_DELIMITERS]]


def _is_delimiter(value: Value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _add(pairs: list[tuple[str, str]], found: list[tuple[str, str]]) -> None:
    pairs += [p for p in found if p not in pairs and p != ("$", "$")]


def _set_inline(config: PageConfig, value: Value) -> None:
    found = _pairs(value)
    if ("$", "$") in found:
        config.dollar = Dollar.YES
    elif found and config.dollar is Dollar.MAYBE:
        config.dollar = Dollar.NO
    for pair in found:
        if pair in config.display:
            config.display.remove(pair)
    _add(config.inline, found)


def _set_display(config: PageConfig, value: Value) -> None:
    _add(config.display, _pairs(value))


def _set_delimiters(config: PageConfig, value: Value) -> None:
    """KaTeX: `{left, right, display}`; a list of pairs is AsciiMath's."""
    if pairs := _pairs(value):
        config.asciimath = pairs
        return
    inline: list[Value] = []
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict) and isinstance(item.get("left"), str) and isinstance(item.get("right"), str):
            pair: list[Value] = [item["left"], item["right"]]
            if item.get("display"):
                _set_display(config, [pair])
            else:
                inline.append(pair)
    _set_inline(config, inline)


def _set_macros(config: PageConfig, value: Value) -> None:
    for name, meaning in list(value.items() if isinstance(value, dict) else [])[:MAX_MACROS]:
        parts = meaning if isinstance(meaning, list) else [meaning]
        if not parts or not isinstance(parts[0], str):
            continue
        count = int(parts[1]) if len(parts) > 1 and isinstance(parts[1], float) and 0 <= parts[1] <= 9 else 0
        if not count and "#" in parts[0]:  # KaTeX counts for itself
            count = max((int(d) for d in re.findall(r"#(\d)", parts[0])), default=0)
        default = parts[2] if len(parts) > 2 and isinstance(parts[2], str) else None
        config.macros.add(name, Macro(parts[0], count, default))


def _words(value: Value) -> frozenset[str]:
    """The class names of a pattern such as `tex2jax_process|math`; `*` where it is everything."""
    if not isinstance(value, str):
        return frozenset()
    return frozenset(["*"]) if ".*" in value else frozenset(_WORDS.findall(value))


def _set_ignored(config: PageConfig, value: Value) -> None:
    config.ignored |= _words(value)


def _set_processed(config: PageConfig, value: Value) -> None:
    config.processed |= _words(value)


def _set_skipped(config: PageConfig, value: Value) -> None:
    if isinstance(value, list) and value and "code" not in value:
        config.code = True


def _set_escapes(config: PageConfig, value: Value) -> None:
    config.escapes = value is not False


def _set_environments(config: PageConfig, value: Value) -> None:
    config.environments = value is not False


_SETTERS = {
    "inlineMath": _set_inline, "displayMath": _set_display, "delimiters": _set_delimiters, "macros": _set_macros,
    "Macros": _set_macros, "ignoreHtmlClass": _set_ignored, "ignoreClass": _set_ignored,
    "processHtmlClass": _set_processed, "processClass": _set_processed, "skipHtmlTags": _set_skipped,
    "skipTags": _set_skipped, "processEscapes": _set_escapes, "processEnvironments": _set_environments,
}  # fmt: skip

"""What stands above, below and beside something in MathML: scripts, limits, accents, roots, fractions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from filters import mathml_tables as tables
from filters.mathml_leaves import em, spaced
from filters.mathml_tree import TOKENS, Element, braced, convert

PRIMES = {"′": 1, "'": 1, "’": 1, "″": 2, "‴": 3, "⁗": 4}
_ONE_GROUP = frozenset(["mover", "munder", "msqrt", "menclose"])
_COMMAND_AND_BRACE = re.compile(r"\\[a-zA-Z]+\{")
_BRACKETS = frozenset(["()", "[]"])
_BRACES = frozenset(["⏞", "⏟", "︷", "︸", "⎴", "⎵"])


def lineless(element: Element) -> bool:
    """Whether a fraction is drawn without its line: a binomial."""
    thickness = element.get("linethickness").strip()
    return thickness[:1] == "0" and em(thickness) == 0.0


def fraction(element: Element) -> str:
    """`mfrac`"""
    if len(element.children) != 2:
        return row_of(element)
    above, below = element.children
    if lineless(element):
        return f"{{{convert(above)}\\atop {convert(below)}}}"
    if element.get("bevelled") == "true":
        return f"{_base(above)}/{_base(below)}"
    command = {"true": "\\dfrac", "false": "\\tfrac"}.get(element.get("displaystyle"), "\\frac")
    return command + braced(above) + braced(below)


def row_of(element: Element) -> str:
    """The children as a row, where an element has not the number of children that it should have."""
    return convert(Element("mrow", {}, element.children))


def root(element: Element) -> str:
    """`msqrt`"""
    return f"\\sqrt{{{row_of(element).strip()}}}"


def indexed_root(element: Element) -> str:
    """`mroot`"""
    if len(element.children) != 2:
        return root(element)
    base, index = element.children
    degree = convert(index).strip()
    return f"\\sqrt[{{{degree}}}]{braced(base)}" if "]" in degree else f"\\sqrt[{degree}]{braced(base)}"


def _base(element: Element | None) -> str:
    """What scripts are set to: braces only where they are needed."""
    if element is None:
        return "{}"
    tex = convert(element)
    bare = tex.strip()
    if element.tag in TOKENS or (element.tag in _ONE_GROUP and _is_one_group(bare)):
        return tex if bare else "{}"
    if element.tag == "mrow" and element.children and _bracketed(element.children, bare):
        return bare
    return "{" + bare + "}"


def _is_one_group(tex: str) -> bool:
    """Whether TeX is a command and its only argument, such as an accent and what stands below it."""
    match = _COMMAND_AND_BRACE.match(tex)
    level = 0
    for place in range(match.end() - 1 if match else len(tex), len(tex)):
        level += (tex[place] == "{") - (tex[place] == "}")
        if level == 0:
            return place == len(tex) - 1
    return False


def _bracketed(row: Sequence[Element], tex: str) -> bool:
    """Whether one pair of brackets encloses a row, so that no braces need to."""
    first, last = row[0], row[-1]
    if first.tag != "mo" or last.tag != "mo":
        return False
    return tex.startswith("\\left") or (first.text + last.text in _BRACKETS and not crossed(row[1:-1], *_ends(row)))


def _ends(row: Sequence[Element]) -> tuple[str, str]:
    return row[0].text, row[-1].text


def crossed(inner: Sequence[Element], opening: str, closing: str) -> bool:
    """Whether the fences around a row are not each other's, as in (a)+(b)."""
    level = 0
    for child in inner:
        if child.tag == "mo" and opening != closing:
            level += (child.text == opening) - (child.text == closing)
            if level < 0:
                return True
    return False


def script(tex: str) -> str:
    """A superscript or subscript: one character stands alone, more go in braces."""
    tex = tex.strip()
    if tex.startswith("^"):  # a degree sign, which is a superscript by itself
        tex = tex[1:].strip("{}")
    return tex if len(tex) == 1 and (tex.isalnum() or tex in "*+-") else "{" + tex + "}"


def _scripted(base: str, below: Element | None, above: Element | None) -> str:
    """base_below^above, primes as marks."""
    tex = base
    if below is not None and (sub := _stacked(below)):
        tex = tex.rstrip() + "_" + script(sub)
    if above is not None:
        primes = above.text if above.tag in TOKENS else "".join(c.text or "?" for c in above.children)
        if primes and all(c in PRIMES for c in primes):
            return tex.rstrip() + "'" * sum(PRIMES[c] for c in primes)
        if sup := _stacked(above):
            tex = tex.rstrip() + "^" + script(sup)
    return tex


def _stacked(element: Element) -> str:
    """A script; a table in one column is `\\substack`."""
    if element.tag == "mtable" and all(len(line.children) <= 1 for line in element.children):
        lines = [" ".join(convert(cell).strip() for cell in line.children) for line in element.children]
        return "\\substack{" + " \\\\ ".join(lines) + "}"
    return convert(element).strip()


def _children(element: Element, count: int) -> list[Element | None]:
    padded: list[Element | None] = [None if c.tag == "none" else c for c in element.children[:count]]
    return padded + [None] * (count - len(padded))


def sub(element: Element) -> str:
    """`msub`"""
    base, below = _children(element, 2)
    return _scripted(_base(base), below, None)


def sup(element: Element) -> str:
    """`msup`"""
    base, above = _children(element, 2)
    return _scripted(_base(base), None, above)


def subsup(element: Element) -> str:
    """`msubsup`"""
    base, below, above = _children(element, 3)
    return _scripted(_base(base), below, above)


def multiscripts(element: Element) -> str:
    """`mmultiscripts`: scripts in front are set to an empty group."""
    if not element.children:
        return ""
    base, *rest = element.children
    cut = next((i for i, c in enumerate(rest) if c.tag == "mprescripts"), len(rest))
    tex = ""
    for at in range(cut + 1, len(rest), 2):
        tex += _scripted("{}", *_pair(rest, at))
    tex += _base(base)
    for at in range(0, cut, 2):
        tex = _scripted(tex if at == 0 else tex + "{}", *_pair(rest[:cut], at))
    return tex


def _pair(elements: Sequence[Element], at: int) -> tuple[Element | None, Element | None]:
    pair = [None if e.tag == "none" or not (e.text or e.children) else e for e in elements[at : at + 2]]
    return pair[0], pair[1] if len(pair) > 1 else None


# --- above and below --------------------------------------------------------------------------------------------------


def _mark(element: Element | None) -> str:
    """The character of an accent or brace, "" for other things."""
    return element.text if element is not None and element.tag in ("mo", "mi", "mn") else ""


def _operator(element: Element | None) -> str:
    """What takes limits, as it is written in front of them; "" for anything else."""
    if element is None or element.tag not in ("mo", "mi"):
        return _brace(element)
    text = element.text.rstrip("\u2061")
    if text in tables.TAKES_LIMITS:
        return convert(element)
    if text in tables.LARGE:
        return convert(element).rstrip() + "\\limits"
    tex = convert(element)
    if tex.startswith("\\operatorname{"):
        return "\\operatorname*" + tex[13:]
    if tex.strip()[1:] in tables.FUNCTIONS:
        return tex if tex.strip()[1:] in tables.LIMITS else f"\\operatorname*{{{tex.strip()[1:]}}}"
    return ""


def _brace(element: Element | None) -> str:
    """A brace above or below something, whose label is set like a limit."""
    if element is not None and element.tag in ("mover", "munder") and len(element.children) == 2:
        return convert(element) if _mark(element.children[1]) in _BRACES else ""
    return ""


def _arrow(element: Element | None, above: str, below: str = "") -> str:
    """An arrow with labels, "" where the element is none."""
    command = tables.XARROWS.get(_mark(element))
    return f"\\{command}{f'[{below}]' if below else ''}{{{above}}}" if command else ""


def over(element: Element) -> str:
    """`mover`"""
    base, above = _children(element, 2)
    if base is None or above is None:
        return row_of(element)
    if (mark := _mark(above)) in tables.OVER and not _operator(base):
        narrow, wide = tables.OVER[mark]
        letter = base.tag in TOKENS and len(base.text) == 1
        return f"\\{narrow if letter or above.get('stretchy') == 'false' else wide}{braced(base)}"
    if operator := _operator(base):
        return _scripted(operator, None, above)
    label = convert(above).strip()
    if base.text == "=" and label in ("\\mathrm{def}", "\\text{def}", "def", "\\operatorname{def}"):
        return "\\overset{\\mathrm{def}}{=}"
    if base.text != "=" and (arrow := _arrow(base, label)):
        return arrow
    return f"\\overset{{{label}}}{braced(base)}" if label else convert(base)


def under(element: Element) -> str:
    """`munder`"""
    base, below = _children(element, 2)
    if base is None or below is None:
        return row_of(element)
    if (mark := _mark(below)) in tables.UNDER and not _operator(base):
        return f"\\{tables.UNDER[mark]}{braced(base)}"
    if operator := _operator(base):
        return _scripted(operator, below, None)
    label = _stacked(below)
    if base.text != "=" and (arrow := _arrow(base, "", label)):
        return arrow
    return f"\\underset{{{label}}}{braced(base)}" if label else convert(base)


def underover(element: Element) -> str:
    """`munderover`"""
    base, below, above = _children(element, 3)
    if base is None or below is None or above is None:
        return row_of(element)
    if operator := _operator(base):
        return _scripted(operator, below, above)
    if arrow := _arrow(base, convert(above).strip(), convert(below).strip()):
        return arrow
    if _mark(above) in tables.OVER:
        return under(Element("munder", {}, [Element("mover", {}, [base, above]), below]))
    if _mark(below) in tables.UNDER:
        return over(Element("mover", {}, [Element("munder", {}, [base, below]), above]))
    return f"\\overset{{{convert(above).strip()}}}{{\\underset{{{_stacked(below)}}}{braced(base)}}}"


def enclose(element: Element) -> str:
    """`menclose`: a frame, a strike, a line above or below; other notations are left out."""
    body = row_of(element).strip()
    command = tables.ENCLOSURES.get(" ".join(element.get("notation").split()))
    return f"\\{command}{{{body}}}" if command else spaced(body)


def phantom(element: Element) -> str:
    """`mphantom`"""
    return f"\\phantom{{{row_of(element).strip()}}}"
